//! Usage of APIs that no dialect is known of, read where a configuration points to.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tariff::{Meter, Usage};
use usage::response::{Format, PointerError, Pointers, Reading, ResponseReader, Status};

fn pointers(pointers: &[(&str, Meter)]) -> Pointers {
    Pointers::new(pointers.iter().copied()).unwrap()
}

/// What an answer comes to, cut at every byte.
fn read(pointers: &Pointers, format: Format, answer: &str) -> Reading {
    let read = |pieces: &[&[u8]]| {
        let mut reader = ResponseReader::pointed(pointers, format);
        pieces.iter().for_each(|piece| reader.feed(piece));
        reader.reading()
    };
    let bytes = answer.as_bytes();
    let whole = read(&[bytes]);
    for at in 0..bytes.len() {
        let (before, after) = bytes.split_at(at);
        assert_eq!(read(&[before, after]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), whole, "byte by byte");
    whole
}

fn usage(counts: &[(Meter, u64)]) -> Usage {
    counts.iter().fold(Usage::new(), |usage, (meter, count)| usage.with(*meter, *count))
}

#[test]
fn members_and_elements_are_found_by_their_pointers() {
    let pointers = pointers(&[
        ("/usage/pages_processed", Meter::Pages),
        ("/billing/0/units", Meter::Images),
        ("/billing/1/units", Meter::Searches),
        ("/billing/1/10", Meter::InputTokens),
        ("/a~1b/m~0n", Meter::Characters),
        ("//length", Meter::Seconds),
    ]);
    let answer = r#"{"model":"ocr-2","usage":{"pages_processed":12,"other":{"pages_processed":99}},
        "billing":[{"units":3,"10":7},{"10":8,"units":4},{"units":5}],
        "a/b":{"m~n":40,"m":41},"a~1b":{"m~0n":42},"":{"length":2.25},"pages_processed":98}"#;
    let reading = read(&pointers, Format::Json, answer);
    let expected = [
        (Meter::Pages, 12),
        (Meter::Images, 3),
        (Meter::Searches, 4),
        (Meter::InputTokens, 8),
        (Meter::Characters, 40),
        (Meter::Seconds, 3),
    ];
    assert_eq!((reading.usage, reading.status), (Some(usage(&expected)), Status::Complete));
    assert_eq!(reading.answered_model.as_deref(), Some("ocr-2"));
    // A number in a pointer is a member's name where there is an object, and an element's place where there is a list.
    let by_name = read(&pointers, Format::Json, r#"{"billing":{"0":{"units":6},"1":{"units":7}}}"#);
    assert_eq!(by_name.usage, Some(usage(&[(Meter::Images, 6), (Meter::Searches, 7)])));
}

#[test]
fn of_events_the_last_value_counts() {
    let pointers = pointers(&[("/usage/pages", Meter::Pages)]);
    let streamed = |events: &[&str]| {
        let events: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
        read(&pointers, Format::EventStream, &events)
    };
    let (first, last) = (r#"{"usage":{"pages":3}}"#, r#"{"usage":{"pages":5}}"#);
    let whole = streamed(&[first, r#"{"text":"x"}"#, last, "[DONE]"]);
    assert_eq!((whole.usage, whole.status), (Some(usage(&[(Meter::Pages, 5)])), Status::Complete));
    let endless = streamed(&[first, r#"{"text":"x"}"#]);
    assert_eq!((endless.usage, endless.status), (Some(usage(&[(Meter::Pages, 3)])), Status::Complete));
    assert_eq!(streamed(&[r#"{"text":"x"}"#]).usage, None);
    let zeroed = streamed(&[first, r#"{"usage":{"pages":0}}"#]);
    assert_eq!((zeroed.usage, zeroed.status), (Some(usage(&[(Meter::Pages, 3)])), Status::Partial));
}

#[test]
fn what_stands_there_and_is_no_count_is_not_coerced() {
    let pointers = pointers(&[("/n", Meter::Pages), ("/deep/n", Meter::Images)]);
    for value in ["-1", "1.5", "\"7\"", "1e3", "9007199254740993", "{}", "[1]", "true"] {
        let reading = read(&pointers, Format::Json, &format!(r#"{{"n":{value},"deep":{{"n":1}}}}"#));
        assert_eq!(
            (reading.usage, reading.status, reading.malformed),
            (Some(usage(&[(Meter::Images, 1)])), Status::Partial, 1),
            "{value}"
        );
    }
    for nothing in [r#"{"n":null}"#, r#"[{"n":1}]"#, r#"{"deep":[{"n":1}]}"#, "7", ""] {
        assert_eq!(read(&pointers, Format::Json, nothing).usage, None, "{nothing}");
    }
}

#[test]
fn headers_state_counts_in_digits() {
    let none = pointers(&[]);
    assert!(none.is_empty());
    let stated = |digits: &[u8]| {
        let mut reader = ResponseReader::pointed(&none, Format::Opaque);
        reader.state(Meter::Pages, digits);
        reader.feed(b"%PDF-1.7 \xff");
        let reading = reader.reading();
        (reading.usage, reading.status, reading.delivered.bytes)
    };
    assert_eq!(stated(b"17"), (Some(usage(&[(Meter::Pages, 17)])), Status::Complete, 10));
    for malformed in [&b""[..], b"-1", b"+1", b"1.5", b" 1", b"0x1", b"99999999999999999999", b"\xff"] {
        assert_eq!(stated(malformed), (None, Status::Failed, 10));
    }
}

#[test]
fn a_pointer_that_is_none_is_named() {
    let error = |all: &[(&'static str, Meter)]| Pointers::new(all.iter().copied()).err();
    for pointer in ["", "usage", "/a~", "/a~2b", "/a/-", "#/a"] {
        assert_eq!(error(&[(pointer, Meter::Pages)]), Some((pointer, PointerError::Syntax)));
    }
    assert_eq!(error(&[("/1/2/3/4/5/6/7/8", Meter::Pages)]), None);
    let deep = "/1/2/3/4/5/6/7/8/9";
    assert_eq!(error(&[(deep, Meter::Pages)]), Some((deep, PointerError::TooDeep)));
    for (one, other) in [("/a", "/a"), ("/a/b", "/a"), ("/a", "/a/b"), ("/a/0/b", "/a/0")] {
        let crossed = error(&[(one, Meter::Pages), (other, Meter::Images)]);
        assert_eq!(crossed, Some((other, PointerError::Crossed)), "{one} {other}");
    }
    assert_eq!(error(&[("/a", Meter::Tokens)]), Some(("/a", PointerError::Meter)));
    assert_eq!(error(&[("/a", Meter::Requests)]), Some(("/a", PointerError::Meter)));
    let names: Vec<String> = (0..33).map(|n| format!("/n{n}")).collect();
    let many = names.iter().map(|name| (name.as_str(), Meter::Pages));
    assert_eq!(Pointers::new(many).err(), Some(("/n32", PointerError::TooMany)));
    let long = format!("/{}", "n".repeat(65));
    assert_eq!(
        Pointers::new([(&*long, Meter::Pages)].into_iter()).err(),
        Some((&*long, PointerError::TooLong))
    );
    let deepest = pointers(&[("/1/2/3/4/5/6/7/8", Meter::Pages)]);
    let nested = r#"{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":9}}}}}}}}"#;
    assert_eq!(read(&deepest, Format::Json, nested).usage, Some(usage(&[(Meter::Pages, 9)])));
}

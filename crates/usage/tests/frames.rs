//! Framings other than events of the web: Amazon's frames and lines, cut, damaged, and made up by an enemy.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use tariff::{Meter, Usage};
use usage::limits::{FRAME_HEADERS_MAX, FRAME_PAYLOAD_MAX};
use usage::response::{Dialect, Format, Reading, ResponseReader, Status};

const EVENT: &[(&str, &str)] = &[(":event-type", "chunk"), (":message-type", "event")];
const EXCEPTION: &[(&str, &str)] =
    &[(":exception-type", "throttlingException"), (":message-type", "exception")];

fn read(dialect: Dialect, format: Format, pieces: &[&[u8]]) -> Reading {
    let mut reader = ResponseReader::new(dialect, format);
    pieces.iter().for_each(|piece| reader.feed(piece));
    reader.reading()
}

/// What an answer comes to, cut at every byte.
fn reading(dialect: Dialect, format: Format, answer: &[u8]) -> Reading {
    let whole = read(dialect, format, &[answer]);
    for at in 0..answer.len() {
        let (before, after) = answer.split_at(at);
        assert_eq!(read(dialect, format, &[before, after]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(read(dialect, format, &single), whole, "byte by byte");
    whole
}

/// A header whose value is a text.
fn text_headers(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend(name.as_bytes());
        bytes.push(7);
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value.as_bytes());
    }
    bytes
}

fn frame_of(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut frame = [length(16 + headers.len() + payload.len()), length(headers.len())].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    frame_of(&text_headers(headers), payload.as_bytes())
}

const HELLO: &str = r#"{"contentBlockIndex":0,"delta":{"text":"hello"},"p":"abcdef"}"#;
const STOP: &str = r#"{"p":"ab","stopReason":"end_turn"}"#;
const METADATA: &str =
    r#"{"metrics":{"latencyMs":9},"p":"a","usage":{"inputTokens":5,"outputTokens":2,"totalTokens":7}}"#;

fn conversation() -> Vec<Vec<u8>> {
    [HELLO, STOP, METADATA].iter().map(|payload| frame(EVENT, payload)).collect()
}

fn usage(counts: &[(Meter, u64)]) -> Option<Usage> {
    Some(counts.iter().fold(Usage::new(), |usage, (meter, count)| usage.with(*meter, *count)))
}

const COUNTED: [(Meter, u64); 2] = [(Meter::InputTokens, 5), (Meter::OutputTokens, 2)];

fn converse(answer: &[u8]) -> Reading {
    reading(Dialect::BedrockConverse, Format::AwsEventStream, answer)
}

#[test]
fn a_stream_of_frames_is_read() {
    let whole = converse(&conversation().concat());
    assert_eq!((whole.usage, whole.status, whole.malformed), (usage(&COUNTED), Status::Complete, 0));
    assert!(whole.ended && whole.streamed && !whole.error_event);
    assert_eq!((whole.delivered.events, whole.delivered.content_events), (3, 1));
    assert_eq!(whole.delivered.content_bytes, 5);
    let nothing = converse(&[]);
    assert_eq!((nothing.usage, nothing.status, nothing.ended), (None, Status::Failed, false));
    // A frame without a payload says nothing.
    let empty = converse(&[conversation().concat(), frame(EVENT, "")].concat());
    assert_eq!((empty.status, empty.malformed, empty.delivered.events), (Status::Complete, 0, 3));
}

#[test]
fn every_kind_of_header_is_passed_over() {
    let mut headers = Vec::new();
    let values: [&[u8]; 10] =
        [b"", b"", b"1", b"12", b"1234", b"12345678", b"\x00\x03abc", b"\x00\x00", b"12345678", &[9; 16]];
    for (kind, value) in values.iter().enumerate() {
        headers.extend(b"\x02ab");
        headers.push(u8::try_from(kind).unwrap());
        headers.extend(*value);
    }
    headers.extend(text_headers(EVENT));
    let answer = [frame_of(&headers, METADATA.as_bytes()), frame(EVENT, STOP)].concat();
    let whole = converse(&answer);
    assert_eq!((whole.usage, whole.status, whole.malformed), (usage(&COUNTED), Status::Complete, 0));
}

#[test]
fn a_frame_with_headers_that_cannot_be_read_is_not_believed() {
    let begins = |name: &[u8], rest: &[u8]| [name, rest].concat();
    for headers in [
        begins(b"\x02ab", b"\x0a"),
        begins(b"\x02ab", b"\x07\x00\x09abc"),
        begins(b"\x09ab", b""),
        begins(b"\x02ab", b"\x06\x00"),
        begins(b"", b"\x00\x00"),
    ] {
        let answer = [frame(EVENT, STOP), frame_of(&headers, METADATA.as_bytes())].concat();
        let read = converse(&answer);
        assert_eq!((read.usage, read.malformed), (None, 1), "{headers:?}");
    }
}

#[test]
fn an_exception_after_200_is_an_error() {
    let message = r#"{"message":"Too many requests"}"#;
    for headers in
        [EXCEPTION, &[(":message-type", "error"), (":error-code", "x")], &[(":exception-type", "")]]
    {
        let answer = [frame(EVENT, HELLO), frame(headers, message)].concat();
        let read = converse(&answer);
        assert!(read.error_event && !read.ended, "{headers:?}");
        assert_eq!((read.usage, read.status, read.delivered.content_bytes), (None, Status::Failed, 5));
    }
}

#[test]
fn what_a_damaged_frame_says_is_taken_back() {
    let frames = conversation();
    let [hello, stop, metadata] = &*frames else { unreachable!() };
    let broken = |frame: &[u8], at: usize| {
        let mut frame = frame.to_vec();
        frame[at] ^= 1;
        frame
    };
    // In its payload: what comes behind is found, and nothing that it said is known.
    let damaged = broken(metadata, metadata.len() - 8);
    let read = converse(&[&**hello, stop, &damaged].concat());
    assert_eq!((read.usage, read.status, read.malformed), (None, Status::Failed, 1));
    assert_eq!(read.delivered.content_bytes, 5);
    let read = converse(&[&**hello, stop, &damaged, metadata].concat());
    assert_eq!((read.usage, read.status, read.malformed), (usage(&COUNTED), Status::Partial, 1));
    let read = converse(&[&*broken(hello, hello.len() - 1), stop, metadata].concat());
    assert_eq!((read.delivered.content_bytes, read.status, read.malformed), (0, Status::Partial, 1));
    // In its lengths: nothing behind it is found.
    for at in 0..12 {
        let read = converse(&[&**hello, &broken(stop, at), metadata].concat());
        assert_eq!((read.usage, read.malformed, read.ended), (None, 1, false), "at {at}");
        assert_eq!((read.status, read.delivered.content_bytes), (Status::Failed, 5));
    }
}

#[test]
fn a_frame_counts_when_it_is_whole() {
    let whole = conversation().concat();
    for at in 0..whole.len() {
        let (before, _) = whole.split_at(at);
        assert_eq!(converse(before).usage, None, "cut at {at}");
    }
}

#[test]
fn lengths_beyond_the_format_are_none() {
    let prelude = |total: u32, headers: u32| {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    };
    let read = |prelude: Vec<u8>| {
        let frames = conversation().concat();
        read(Dialect::BedrockConverse, Format::AwsEventStream, &[&prelude, &frames])
    };
    for (total, headers) in [
        (0, 0),
        (15, 0),
        (16, 1),
        (u32::MAX, 0),
        (u32::MAX, u32::MAX),
        (FRAME_PAYLOAD_MAX + 17, 0),
        (FRAME_HEADERS_MAX + 17, FRAME_HEADERS_MAX + 1),
    ] {
        let reading = read(prelude(total, headers));
        assert_eq!((reading.malformed, reading.usage), (1, None), "{total} {headers}");
    }
    // As long as the format allows: the frame is waited for.
    assert_eq!(read(prelude(FRAME_PAYLOAD_MAX + 16, 0)).malformed, 0);
}

/// A chunk of an invocation: the model's event inside of Amazon's.
fn chunk(event: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.encode(event);
    format!(r#"{{"bytes":"{bytes}","p":"abcdefghijkl"}}"#)
}

#[test]
fn an_invocation_has_the_model_s_events_inside() {
    let started = r#"{"type":"message_start","message":{"model":"claude","usage":{"input_tokens":5,"output_tokens":1}}}"#;
    let generated =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#;
    let stopped = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":2}}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
    let invoke = |payloads: &[String]| {
        let frames = payloads.iter().map(|payload| frame(EVENT, payload));
        reading(Dialect::BedrockInvoke, Format::AwsEventStream, &frames.collect::<Vec<_>>().concat())
    };
    let all = [started, generated, delta, stopped].map(chunk);
    let whole = invoke(&all);
    assert_eq!((whole.usage, whole.status, whole.malformed), (usage(&COUNTED), Status::Complete, 0));
    assert_eq!(whole.answered_model.as_deref(), Some("claude"));
    assert_eq!((whole.delivered.events, whole.delivered.content_events), (4, 1));
    // What is no base64, or no JSON, is none; what comes behind it is.
    for (broken, malformed) in [("e30*", 1), ("e3", 2), ("eyJh", 1), ("e319", 1), ("e31", 1), ("ee==", 2)] {
        let broken = format!(r#"{{"bytes":"{broken}"}}"#);
        let read = invoke(&[all[0].clone(), broken.clone(), all[2].clone(), all[3].clone()]);
        assert_eq!((read.usage, read.malformed), (usage(&COUNTED), malformed), "{broken}");
    }
}

fn lines(answer: &str) -> Reading {
    reading(Dialect::OllamaChat, Format::Lines, answer.as_bytes())
}

const GENERATED: &str = r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":false}"#;
const DONE: &str =
    r#"{"model":"m","message":{"content":""},"done":true,"prompt_eval_count":5,"eval_count":2}"#;

#[test]
fn each_line_is_a_document() {
    for answer in [
        format!("{GENERATED}\n{DONE}\n"),
        format!("{GENERATED}\r\n{DONE}\r\n"),
        format!("\u{feff}{GENERATED}\n\n \t\r\n{DONE}"),
        format!(" {GENERATED} \n{DONE}\n\n"),
    ] {
        let read = lines(&answer);
        assert_eq!((read.usage, read.status, read.malformed), (usage(&COUNTED), Status::Complete, 0));
        assert_eq!(read.delivered.content_bytes, 2, "{answer:?}");
        assert!(read.ended && read.streamed, "{answer:?}");
    }
    // The line that breaks is lost, and no other; it could have had counts.
    let read = lines(&format!("{GENERATED}\n{{\"message\":{{\"content\":\"x\n{DONE}\n"));
    assert_eq!((read.usage, read.status, read.malformed), (usage(&COUNTED), Status::Partial, 1));
    let cut = lines(&format!("{GENERATED}\n{}", DONE.split_at(60).0));
    assert_eq!((cut.usage, cut.ended, cut.malformed), (None, false, 0));
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let headers = prop_oneof![
        Just(text_headers(EVENT)),
        Just(text_headers(EXCEPTION)),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let payload = prop_oneof![
        Just(HELLO.as_bytes().to_vec()),
        Just(METADATA.as_bytes().to_vec()),
        Just(chunk(METADATA).into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    (headers, payload).prop_map(|(headers, payload)| frame_of(&headers, &payload))
}

proptest! {
    /// Whatever the frames are, and wherever bytes of them are damaged: any two cuts read the same, and counts come
    /// from frames whose checksums are right alone.
    #[test]
    fn damage_shows_and_cuts_do_not(
        frames in prop::collection::vec(any_frame(), 0..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 0..3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        invoked in any::<bool>(),
    ) {
        let mut answer = frames.concat();
        if !answer.is_empty() {
            for (at, change) in damage {
                let at = at.index(answer.len());
                answer[at] ^= change;
            }
        }
        let dialect = if invoked { Dialect::BedrockInvoke } else { Dialect::BedrockConverse };
        let whole = read(dialect, Format::AwsEventStream, &[&answer]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&read(dialect, Format::AwsEventStream, &pieces), &whole);
        if answer != frames.concat() && whole.usage.is_some() {
            // The damage is in another frame than the counts, which are right.
            let counts = COUNTED.iter().all(|(meter, count)| whole.usage.as_ref().unwrap().get(*meter) == *count);
            prop_assert!(counts);
        }
    }

    /// Whatever the lines are, any two cuts read the same.
    #[test]
    fn cuts_of_lines_do_not_show(
        parts in prop::collection::vec(
            prop::sample::select(vec![GENERATED, DONE, "\n", "\r\n", " ", "{", "\"", "\\", "\u{feff}", "}", "[1]", "é"]),
            0..12,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let answer = parts.concat();
        let (before, after) = answer.as_bytes().split_at(cut.index(answer.len() + 1));
        let whole = read(Dialect::OllamaChat, Format::Lines, &[answer.as_bytes()]);
        prop_assert_eq!(read(Dialect::OllamaChat, Format::Lines, &[before, after]), whole);
    }
}

//! Forms: what is read of them whatever the cuts, and what is refused because upstreams could read it otherwise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test may fail loudly")]

use proptest::prelude::*;
use usage::request::{Boundary, FormFault, Member, RequestError, RequestFacts, RequestScanner, Unclear};

const TYPE: &[u8] = b"multipart/form-data; boundary=----B1";

fn scan(content_type: &[u8], pieces: &[&[u8]]) -> Result<RequestFacts, RequestError> {
    let mut scanner = RequestScanner::form(Boundary::of(content_type).unwrap().unwrap());
    for piece in pieces {
        scanner.feed(piece)?;
    }
    scanner.finish()
}

/// What a body comes to, cut at every byte.
fn read(body: &[u8]) -> Result<RequestFacts, RequestError> {
    let whole = scan(TYPE, &[body]);
    for at in 0..body.len() {
        let (before, after) = body.split_at(at);
        assert_eq!(scan(TYPE, &[before, after]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(scan(TYPE, &single), whole, "byte by byte");
    whole
}

fn field(name: &str, value: &str) -> String {
    format!("------B1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, content: &str) -> String {
    format!(
        "------B1\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n{content}\r\n"
    )
}

fn form(parts: &[String]) -> Vec<u8> {
    format!("{}------B1--\r\n", parts.concat()).into_bytes()
}

#[track_caller]
fn assert_refused(body: &[u8], expected: FormFault) {
    match read(body) {
        Err(RequestError::Form { fault, .. }) => assert_eq!(fault, expected),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(body)),
    }
}

#[test]
fn fields_are_noted_wherever_they_stand_and_files_are_counted() {
    let content = "\r\n------B\r\n--\r\r\n\n----\u{0}ü";
    let facts = read(&form(&[
        field("language", "de"),
        file("file", content),
        field("model", "whisper-1"),
        field("response_format", "verbose_json"),
        field("timestamp_granularities[]", "word"),
        field("timestamp_granularities[]", "segment"),
        field("stream", "True"),
        field("n", "3"),
        field("prompt", &"ü".repeat(100)),
        field("empty", ""),
    ]))
    .unwrap();
    assert_eq!(facts.model.as_deref(), Some("whisper-1"));
    assert_eq!((facts.stream, facts.n), (true, Some(3)));
    assert_eq!(facts.file_bytes, content.len() as u64);
    assert_eq!(facts.member("language"), Ok(Member::Text("de")));
    assert_eq!(facts.member("response_format"), Ok(Member::Text("verbose_json")));
    assert_eq!(facts.member("prompt"), Ok(Member::LongText(100)));
    assert_eq!(facts.member("empty"), Ok(Member::Text("")));
    assert_eq!(facts.member("n"), Ok(Member::Text("3")));
    assert_eq!(facts.member("file"), Ok(Member::Object), "a file is no single value");
    for name in ["timestamp_granularities", "timestamp_granularities[]"] {
        assert_eq!(facts.member(name), Err(Unclear::Twice), "{name}");
    }
    assert_eq!(facts.member("temperature"), Ok(Member::Absent));
}

/// Upstreams take `size[]` for `size`: what is priced by the one is not hidden by the other.
#[test]
fn a_name_with_brackets_is_noted_without_them() {
    let one = read(&form(&[field("size[]", "2048")])).unwrap();
    let two = read(&form(&[field("size", "512"), field("size[0]", "2048")])).unwrap();
    for name in ["size", "size[]"] {
        assert_eq!(one.member(name), Ok(Member::Text("2048")), "{name}");
        assert_eq!(two.member(name), Err(Unclear::Twice), "{name}");
    }
}

#[test]
fn what_is_no_text_is_not_taken_for_text() {
    let sized = |bytes: usize| {
        let body = form(&[file("file", &"x".repeat(bytes))]);
        let facts = scan(TYPE, &[&body]).unwrap();
        facts.input_tokens() - (facts.body_bytes - facts.media_bytes).div_ceil(4)
    };
    assert_eq!([100, 6_400, 100_000, 2_560_000].map(sized), [25, 1_600, 1_600, 10_000]);
}

#[test]
fn the_boundary_is_read_strictly() {
    assert_eq!(Boundary::of(b"application/json"), None);
    assert_eq!(Boundary::of(b"multipart/mixed; boundary=B"), None);
    for fits in [
        "multipart/form-data; boundary=B",
        "Multipart/Form-Data;BOUNDARY=\"B\"",
        "multipart/form-data; charset=utf-8; boundary=B",
    ] {
        let whole = b"--B\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--B--";
        assert_eq!(scan(fits.as_bytes(), &[whole]).unwrap().model.as_deref(), Some("m"), "{fits}");
    }
    for refused in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=B; boundary=C",
        "multipart/form-data; boundary=B; boundary*=utf-8''C",
        "multipart/form-data; boundary=B; charset=utf-16",
        "multipart/form-data; boundary=\"B",
        "multipart/form-data; boundary=B C",
        "multipart/form-data; boundary=B, multipart/form-data; boundary=C",
        "multipart/form-data; boundary=B\\C",
        &format!("multipart/form-data; boundary={}", "B".repeat(71)),
    ] {
        assert!(Boundary::of(refused.as_bytes()).unwrap().is_err(), "{refused}");
    }
}

#[test]
fn what_stands_around_the_parts_is_refused() {
    let whole = form(&[field("model", "m")]);
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(read(text.trim_end().as_bytes()).is_ok(), "the last line break may be missing");
    assert_refused(&[b"\r\n", &*whole].concat(), FormFault::Preamble);
    assert_refused(&[b"{}", &*whole].concat(), FormFault::Preamble);
    assert_refused(b"{\"model\":\"m\"}", FormFault::Preamble);
    assert_refused(&[&*whole, b"x"].concat(), FormFault::Epilogue);
    assert_refused(&[&*whole, b"\r\n"].concat(), FormFault::Epilogue);
    assert_refused(&[text.trim_end().as_bytes(), b"\n"].concat(), FormFault::Epilogue);
    for end in 0..text.trim_end().len() {
        assert_refused(&text.as_bytes()[..end], FormFault::Unended);
    }
    assert_refused(b"", FormFault::Unended);
    assert_refused(b"------B1 \r\n", FormFault::Boundary);
    assert_refused(b"------B1\n", FormFault::Boundary);
    assert_refused(b"------B1-\r\n", FormFault::Boundary);
    assert_refused(&form(&vec![field("x", "y"); 65]), FormFault::Parts);
    assert!(read(&form(&vec![field("x", "y"); 64])).is_ok());
}

#[test]
fn a_boundary_in_a_value_that_only_some_would_see_is_refused() {
    let hidden = "Content-Disposition: form-data; name=\"model\"\r\n\r\ndear";
    for around in
        ["\n------B1\r\n", "\r------B1\r\n", "x\n------B1\n", "\r\r\n------B1 \r\n", "\r\n------B12\r\n"]
    {
        let body = form(&[field("model", "cheap"), file("file", &format!("x{around}{hidden}"))]);
        assert_refused(&body, FormFault::Boundary);
    }
    assert_refused(&form(&[file("file", "------B1\r\n")]), FormFault::Boundary);
    // In the middle of a line it is none for anybody.
    assert!(read(&form(&[file("file", "x------B1\r\n")])).is_ok());
}

#[test]
fn headers_of_a_part_that_could_be_read_otherwise_are_refused() {
    let part = |head: &str| form(&[format!("------B1\r\n{head}\r\n\r\nm\r\n")]);
    let name = "Content-Disposition: form-data; name=\"model\"";
    for fits in [
        name.to_owned(),
        "content-disposition:form-data;name=model".to_owned(),
        format!("Content-Type: text/plain; charset=utf-8\r\n{name}"),
        format!("{name}\r\nContent-Type: text/plain"),
        format!("{name}\r\nContent-Transfer-Encoding: 8bit"),
        format!("{name}\r\nX-Other: y"),
        format!("{name}\r\n!#$%&'*+-.^_`|~9aZ: y"),
    ] {
        assert_eq!(read(&part(&fits)).unwrap().model.as_deref(), Some("m"), "{fits}");
    }
    for refused in [
        "X-Other: y".to_owned(),
        String::new(),
        format!("\r\n{name}"),
        format!("{name}\r\n{name}"),
        format!("{name}\nX-Other: y"),
        format!("X-Other: y\r{name}"),
        format!("X-Other: y\r\n {name}"),
        format!("{name}\r\n\tfolded"),
        format!("{name}; name=\"other\""),
        format!("{name}; name*=utf-8''other"),
        format!("{name}; size=3"),
        "Content-Disposition: form-data; name=\"mo\\del\"".to_owned(),
        "Content-Disposition: form-data; name=\"mo%64el\"".to_owned(),
        "Content-Disposition: form-data; name=\"model".to_owned(),
        "Content-Disposition: form-data; name=\"\"".to_owned(),
        "Content-Disposition: form-data; name=\"_charset_\"".to_owned(),
        "Content-Disposition: form-data; filename=\"x\\\"; name=\"model\"".to_owned(),
        "Content-Disposition: form-data".to_owned(),
        "Content-Disposition: attachment; name=\"model\"".to_owned(),
        format!("{name}\r\nContent-Transfer-Encoding: base64"),
        format!("{name}\r\nContent-Type: text/plain; charset=utf-16"),
        format!("{name}\r\nContent-Type: text/plain; charset=utf-16; charset=utf-8"),
        format!("{name}\r\nNo colon"),
        // Names of headers that some upstreams strip.
        format!("Content-Disposition : form-data; name=\"n\"\r\n{name}"),
        format!("{name}\r\nContent-Disposition\t: form-data; name=\"n\""),
        format!("\u{b}Content-Disposition: form-data; name=\"n\"\r\n{name}"),
        format!("\u{a0}Content-Disposition: form-data; name=\"n\"\r\n{name}"),
        format!("{name}\r\n: y"),
        format!("{name}\r\nX(Y): y"),
        // Names within other values, which some upstreams find there.
        "Content-Disposition: form-data; filename=\"a; name=n;b\"; name=\"model\"".to_owned(),
        "Content-Disposition: form-data; name=\"file\"; filename=\"a; b.mp3\"".to_owned(),
        "Content-Disposition: form-data; name=\"file\"; filename=\"a NAME=model\"".to_owned(),
        "Content-Disposition: form-data; name=file; filename=a,Name=model".to_owned(),
        "Content-Disposition: form-data; name=\"name=model\"".to_owned(),
        "Content-Disposition: form-data; filename=\"model\"; name=\"file\"".to_owned(),
        format!("Content-Other: form-data; name=\"n\"\r\n{name}"),
        format!("{name}\r\nContent-Type: text/plain; Name=n"),
        // What some upstreams take for the end of a line, or of a text.
        format!("X-Other: y\u{b}{name}"),
        format!("X-Other: y\0\r\n{name}"),
        "Content-Disposition: form-data; name=\"file\"; filename=\"a\u{c}b\"".to_owned(),
    ] {
        assert_refused(&part(&refused), FormFault::Head);
    }
    let long = |extra: usize| part(&format!("{name}\r\nX: {}", "y".repeat(extra)));
    let room = 1024 - name.len() - "\r\nX: ".len() - 4;
    assert!(read(&long(room)).is_ok());
    assert_refused(&long(room + 1), FormFault::HeadTooLong);
}

#[test]
fn fields_that_matter_are_fields_and_stand_once() {
    let twice = form(&[field("model", "a"), file("file", "x"), field("model", "b")]);
    assert_eq!(read(&twice), Err(RequestError::Duplicate { member: "model".into() }));
    for (name, known) in [("Model", "model"), ("model[]", "model"), ("N[0]", "n"), ("\u{17f}tream", "stream")]
    {
        let body = form(&[field("model", "a"), field(name, "b")]);
        match read(&body).unwrap_err() {
            RequestError::Misspelled { member } => assert_eq!(member, known),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_refused(&form(&[file("model", "m")]), FormFault::FieldAsFile);
    assert!(matches!(read(&form(&[field("n", "x")])), Err(RequestError::WrongType { member: "n", .. })));
    assert!(matches!(read(&form(&[field("n", "0")])), Err(RequestError::OutOfRange { member: "n", .. })));
    assert!(matches!(read(&form(&[field("n", "2.0")])), Err(RequestError::WrongType { .. })));
    // As long as what is kept of a value, and longer: its end is not lost.
    let padded = |zeros: usize| read(&form(&[field("n", &format!("{}128", "0".repeat(zeros)))]));
    assert!(matches!(padded(256), Err(RequestError::WrongType { member: "n", .. })));
    assert_eq!(padded(253).unwrap().n, Some(128));
    let stream = read(&form(&[field("stream", &format!("true{}", " ".repeat(253)))]));
    assert!(matches!(stream, Err(RequestError::WrongType { member: "stream", .. })));
    assert!(matches!(read(&form(&[field("stream", "maybe")])), Err(RequestError::WrongType { .. })));
    assert_eq!(read(&form(&[field("model", &"m".repeat(257))])), Err(RequestError::ModelTooLong));
    let latin = [b"------B1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\xff\r\n------B1--"];
    assert_eq!(scan(TYPE, &[latin[0]]), Err(RequestError::ModelNotUnicode));
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n------B1\r\n".to_vec()),
        4 => Just(b"Content-Disposition: form-data; name=\"model\"\r\n\r\n".to_vec()),
        2 => Just(b"Content-Disposition: form-data; name=\"f\"; filename=\"g\"\r\n\r\n".to_vec()),
        2 => Just(b"\r\n------B1--".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"--".to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => "[a-z\r\n=;\"-]{0,9}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| {
        let mut body = b"------B1\r\n".to_vec();
        body.extend(pieces.concat());
        body
    })
}

proptest! {
    #[test]
    fn any_cut_of_anything_reads_the_same(body in hostile(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut done = 0;
        for end in at.into_iter().chain([body.len()]) {
            pieces.push(&body[done..end]);
            done = end;
        }
        prop_assert_eq!(scan(TYPE, &pieces), scan(TYPE, &[&body]));
    }

    /// Whatever is in a file, a form that is read has no other fields than those that stand outside of it.
    #[test]
    fn no_file_hides_a_field(content in hostile()) {
        let content = &content[b"------B1\r\n".len()..];
        let body = [
            field("model", "cheap").as_bytes(),
            b"------B1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n",
            content,
            b"\r\n------B1--\r\n",
        ]
        .concat();
        if let Ok(facts) = scan(TYPE, &[&body]) {
            prop_assert_eq!(facts.model.as_deref(), Some("cheap"));
        }
    }
}

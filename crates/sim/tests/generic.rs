//! APIs that no dialect is known of, metered as the configuration says, through edge and ledger.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use edge::settle::Origin;
use serde_json::{Value, json};
use sim::{Seen, World};

const CATALOG: &str = r"
name: Generic
parameters:
  batch: n
  quality: quality
  length: seconds
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  ocr: { price: { per_unit: { pages: 3 } } }
  parse-2: { price: { per_unit: { pages: 5, input_tokens: 0.5 } } }
  scan: { price: { per_unit: { characters: 0.1 }, per_request: 2 } }
  film:
    price: { per_unit: { seconds: 4 } }
    quantity: { seconds: { parameter: length, default: 5, max: 60 } }
    variants: { hd: { when: { quality: hd }, price: { per_unit: { seconds: 10 } } } }
plans:
  free: { price_usd: 0, cycle: P7D, grants: { weekly: 9000 } }
";

const ROUTES: &str = r#"[
  {"path":"/ocr","action":{"meter":{"pointers":{"/usage/pages":"pages","/usage/billed/0/tokens":"input_tokens"}}}},
  {"path":"/upload","action":{"meter":{"pointers":{"/pages":"pages"},"price":"ocr","body":"pass"}}},
  {"path":"/scan","methods":["GET"],"action":{"meter":{"headers":{"x-characters":"characters"},"price":"scan","body":"pass"}}},
  {"path":"/film","action":{"meter":{"price":"film"}}}
]"#;

const JSON: &str = "application/json";

fn world(mode: &str) -> World {
    let config = format!(r#"{{"ledger":{{"cluster":"l"}},"headers":"{mode}","routes":{ROUTES}}}"#);
    let mut world = World::with(1, &config, CATALOG);
    world.account("a", "free");
    world
}

fn post(world: &mut World, path: &str, further: &[(&str, &str)], body: &[u8]) -> usize {
    world.post("a", path, further, body)
}

/// Charge, source, status and usage of a request that was answered so.
fn line(world: &mut World, stream: usize, (kind, answer): (&str, &[u8]), origin: Origin) -> Value {
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{:?}", world.streams[stream].seen);
    world.answer_headers(stream, 200, kind);
    world.answer_piece(stream, answer, origin == Origin::Upstream);
    let line: Value = serde_json::from_str(&world.log(stream, origin)).expect("a line");
    world.pass(1_500);
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    assert_eq!(line["operation"], "generic");
    line
}

fn charged(line: &Value) -> (&str, &str, &str) {
    let text = |member: &str| line[member].as_str().unwrap_or_default();
    (text("charge"), text("source"), text("status"))
}

#[test]
fn pointers_price_documents_and_streams() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode);
        let document =
            br#"{"model":"parse-2-large","usage":{"pages":4,"billed":[{"tokens":10},{"tokens":99}]}}"#;
        let events = b"data: {\"usage\":{\"pages\":1}}\n\ndata: {\"usage\":{\"pages\":3,\"billed\":[{\"tokens\":2}]}}\n\n";
        let lines = b"{\"usage\":{\"pages\":1}}\n{\"usage\":{\"pages\":2,\"billed\":[{\"tokens\":2}]}}\n";
        for (kind, answer, origin, expected) in [
            (JSON, &document[..], Origin::Upstream, ("25.000000", "reported", "complete")),
            ("application/problem+json", document, Origin::Upstream, ("25.000000", "reported", "complete")),
            ("text/event-stream", events, Origin::Upstream, ("16.000000", "reported", "complete")),
            ("text/event-stream", events, Origin::Cut, ("16.000000", "reported", "partial")),
            ("application/x-ndjson", lines, Origin::Upstream, ("11.000000", "reported", "complete")),
        ] {
            let stream = post(&mut world, "/ocr", &[], br#"{"model":"parse-2"}"#);
            let line = line(&mut world, stream, (kind, answer), origin);
            assert_eq!(charged(&line), expected, "{mode} {kind} {line}");
        }
        // Nobody counts it: a page is charged, and the tokens as estimated.
        let stream = post(&mut world, "/ocr", &[], br#"{"model":"parse-2"}"#);
        let line = line(&mut world, stream, (JSON, b"{\"usage\":{}}"), Origin::Upstream);
        assert_eq!(charged(&line), ("7.500000", "estimated", "failed"), "{line}");
        let stream = post(&mut world, "/ocr", &[], b"%PDF");
        assert!(matches!(world.streams[stream].seen, Some(Seen::Reply(400, _))));
        world.check_at_rest();
    }
}

#[test]
fn a_body_that_passes_may_be_anything() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode);
        for (further, body) in [
            (&[("content-encoding", "gzip")][..], &b"\x1f\x8b\x08"[..]),
            (&[("content-type", "application/pdf")], b"%PDF-1.7 \xff\xfe"),
            (&[], br#"{"model":"parse-2"}"#),
            (&[], &[0; 2_000_000]),
        ] {
            let stream = post(&mut world, "/upload", further, body);
            assert_eq!(world.streams[stream].upstream.len(), body.len(), "{mode}: as it came");
            let line = line(&mut world, stream, (JSON, br#"{"pages":7}"#), Origin::Upstream);
            assert_eq!(
                (charged(&line), line["model"].as_str()),
                (("21.000000", "reported", "complete"), Some("ocr"))
            );
        }
        world.check_at_rest();
    }
}

#[test]
fn headers_are_counts() {
    let mut world = world("hold");
    for (value, expected) in [
        (Some("120"), ("14.000000", "reported", "complete")),
        (Some("0"), ("2.000000", "reported", "complete")),
        // Not counted, so one is.
        (Some("many"), ("2.100000", "estimated", "failed")),
        (None, ("2.100000", "estimated", "failed")),
    ] {
        let stream = world.get(0, "a", "/scan");
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
        let headers: Vec<_> = value.map(|value| ("x-characters", value)).into_iter().collect();
        world.answer_with(stream, 200, "text/plain", &headers);
        world.answer_piece(stream, b"not {json}", true);
        let line: Value = serde_json::from_str(&world.log(stream, Origin::Upstream)).expect("a line");
        assert_eq!(charged(&line), expected, "{value:?} {line}");
    }
    // They are as good where the body is compressed.
    let stream = world.get(0, "a", "/scan");
    world.answer_with(stream, 200, "text/plain", &[("x-characters", "120"), ("content-encoding", "gzip")]);
    world.answer_piece(stream, b"\x1f\x8b\x08", true);
    let line: Value = serde_json::from_str(&world.log(stream, Origin::Upstream)).expect("a line");
    assert_eq!(charged(&line), ("14.000000", "reported", "complete"), "{line}");
    world.check_at_rest();
}

#[test]
fn a_route_with_a_price_alone_is_sold_by_what_its_requests_state() {
    let mut world = world("hold");
    for (body, charge) in [
        (json!({"seconds": 3}), "12.000000"),
        (json!({"seconds": 3, "quality": "hd"}), "30.000000"),
        (json!({"seconds": 3, "n": 2}), "24.000000"),
        (json!({"model": "ocr"}), "20.000000"),
    ] {
        let stream = post(&mut world, "/film", &[], body.to_string().as_bytes());
        let line = line(&mut world, stream, (JSON, br#"{"id":"job_1"}"#), Origin::Upstream);
        assert_eq!(charged(&line), (charge, "counted", "complete"), "{body}");
    }
    world.check_at_rest();
}

#[test]
fn what_is_pointed_at_and_has_no_price_marks_the_usage() {
    let mut world = world("hold");
    for (model, charge, status, unpriced) in [
        ("ocr", "12.000000", "partial", json!({"input_tokens": 10})),
        ("parse-2", "25.000000", "complete", Value::Null),
    ] {
        let stream = post(&mut world, "/ocr", &[], format!(r#"{{"model":"{model}"}}"#).as_bytes());
        let answer = br#"{"usage":{"pages":4,"billed":[{"tokens":10}]}}"#;
        let line = line(&mut world, stream, (JSON, answer), Origin::Upstream);
        assert_eq!(charged(&line), (charge, "reported", status), "{line}");
        assert_eq!(line["unpriced"], unpriced, "{line}");
    }
    world.pass(1_500);
    assert_eq!(world.metrics.get("bursar.unmetered_responses"), Some(&1));
}

//! Images, speech, transcripts, moderations, rerankers and responses in the background, through edge and ledger.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use edge::settle::Origin;
use serde_json::{Value, json};
use sim::{Seen, World, config};

/// Prices by which each count shows in another digit.
const CATALOG: &str = r"
name: Media
parameters:
  text: { member: input, read: characters }
  size: size
  batch: n
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  gpt: { price: { per_unit: { input_tokens: 1, output_tokens: 1000 } }, max_output_default: 10 }
  tts: { price: { per_unit: { characters: 10 } }, quantity: { characters: text } }
  gpt-tts: { price: { per_unit: { input_tokens: 1, output_tokens: 100 } }, max_output_default: 50 }
  omni-moderation-latest: { price: { per_request: 0 } }
  paid-moderation: { price: { per_request: 3 } }
  tokens-rerank: { price: { per_unit: { input_tokens: 2 } } }
  search-rerank: { price: { per_unit: { searches: 5 } } }
  paint:
    price: { per_unit: { images: 10 } }
    quantity: { images: batch }
    variants: { large: { when: { size: large }, price: { per_unit: { images: 40 } } } }
  gpt-paint: { price: { per_unit: { input_tokens: 1, image_input_tokens: 2, output_tokens: 100 } }, max_output_default: 50 }
  stored: { price: { per_request: 0 } }
plans:
  free: { price_usd: 0, cycle: P7D, grants: { weekly: 900000 } }
";

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const SOUND: &str = "audio/mpeg";

fn world(further: &str) -> World {
    let mut world = World::with(1, &config("hold", further), CATALOG);
    world.account("a", "free");
    world
}

fn send(world: &mut World, path: &str, kind: &str, body: &[u8]) -> usize {
    let length = body.len().to_string();
    let headers = [
        (":method", "POST"),
        (":path", path),
        ("authorization", "Bearer key-a"),
        ("content-type", kind),
        ("content-length", &length),
    ];
    let stream = world.open(0, &headers, false, body.to_vec());
    world.body(stream);
    stream
}

fn post(world: &mut World, path: &str, body: &str) -> usize {
    send(world, path, JSON, body.as_bytes())
}

/// The line of a forwarded request that was answered so, once the ledger has posted the same.
fn answered(world: &mut World, stream: usize, (kind, answer): (&str, &[u8])) -> Value {
    ended(world, stream, (kind, answer), Origin::Upstream)
}

fn ended(world: &mut World, stream: usize, (kind, answer): (&str, &[u8]), origin: Origin) -> Value {
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
    world.answer_headers(stream, 200, kind);
    world.answer_piece(stream, answer, origin == Origin::Upstream);
    let line: Value = serde_json::from_str(&world.log(stream, origin)).expect("a line");
    world.pass(1_500);
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    line
}

/// Charge, source and status.
fn charged(line: &Value) -> (&str, &str, &str) {
    let text = |member: &str| line[member].as_str().unwrap_or_default();
    (text("charge"), text("source"), text("status"))
}

fn refused(world: &World, stream: usize) -> (u32, String) {
    match &world.streams[stream].seen {
        Some(Seen::Reply(status, reply)) => (*status, reply["error"]["message"].to_string()),
        other => panic!("expected a reply, saw {other:?}"),
    }
}

#[test]
fn each_is_charged_by_what_is_known_of_it() {
    let mut world = world("");
    let sound = b"\xff\xfb\x90\x00{\"usage\":{\"characters\":9}}\n\ndata: [DONE]\n\n";
    let speech = r#"{"model":"tts","input":"Grüße","voice":"alloy"}"#;
    let tokens = json!({"input_tokens": 14, "output_tokens": 20, "total_tokens": 34});
    let spoken = format!("data: {}\n\n", json!({"type": "speech.audio.done", "usage": tokens}));
    let usage = json!({"input_tokens": 50, "output_tokens": 5, "total_tokens": 55, "input_tokens_details": {"image_tokens": 40}});
    let painted = json!({"type": "image_generation.completed", "b64_json": "AAAA", "usage": usage});
    let draft = json!({"type": "image_generation.partial_image", "b64_json": "AAAA"});
    let painted = format!("data: {draft}\n\ndata: {painted}\n\n");
    let paint = r#"{"model":"paint","size":"large","stream":true}"#;
    let tokens_used = json!({"results": [], "usage": {"total_tokens": 30}}).to_string();
    let searched = json!({"results": [], "meta": {"billed_units": {"search_units": 2}}}).to_string();
    let flagged = json!({"results": [{"flagged": false}]}).to_string();
    for (path, body, answer, operation, expected) in [
        ("/v1/audio/speech", speech, (SOUND, &sound[..]), "speech", ("50.000000", "counted", "complete")),
        (
            "/openai/deployments/tts/audio/speech",
            r#"{"input":"abc"}"#,
            (SOUND, sound),
            "speech",
            ("30.000000", "counted", "complete"),
        ),
        (
            "/v1/audio/speech",
            r#"{"model":"gpt-tts","input":"abc","stream_format":"sse"}"#,
            (EVENTS, spoken.as_bytes()),
            "speech",
            ("2014.000000", "reported", "complete"),
        ),
        (
            "/v1/images/generations",
            paint,
            (EVENTS, painted.as_bytes()),
            "items",
            ("40.000000", "reported", "complete"),
        ),
        (
            "/v1/images/generations",
            r#"{"model":"gpt-paint","stream":true}"#,
            (EVENTS, painted.as_bytes()),
            "items",
            ("590.000000", "reported", "complete"),
        ),
        (
            "/v1/moderations",
            r#"{"input":"x"}"#,
            (JSON, flagged.as_bytes()),
            "moderation",
            ("0.000000", "counted", "complete"),
        ),
        (
            "/v1/moderations",
            r#"{"input":"x","model":"paid-moderation"}"#,
            (JSON, flagged.as_bytes()),
            "moderation",
            ("3.000000", "counted", "complete"),
        ),
        (
            "/v1/rerank",
            r#"{"model":"tokens-rerank","query":"q","documents":["a"]}"#,
            (JSON, tokens_used.as_bytes()),
            "rerank",
            ("60.000000", "reported", "complete"),
        ),
        (
            "/v2/rerank",
            r#"{"model":"search-rerank","query":"q","documents":["a"]}"#,
            (JSON, searched.as_bytes()),
            "rerank",
            ("10.000000", "reported", "complete"),
        ),
        (
            "/v2/rerank",
            r#"{"model":"search-rerank","query":"q","documents":["a"]}"#,
            (JSON, tokens_used.as_bytes()),
            "rerank",
            ("5.000000", "estimated", "failed"),
        ),
    ] {
        let stream = post(&mut world, path, body);
        let line = answered(&mut world, stream, answer);
        assert_eq!(
            (charged(&line), line["operation"].as_str()),
            (expected, Some(operation)),
            "{path} {line}"
        );
    }
    world.check_at_rest();
}

#[test]
fn a_sound_that_breaks_off_has_been_made_of_the_whole_text() {
    let mut world = world("");
    let stream = post(&mut world, "/v1/audio/speech", r#"{"model":"tts","input":"Hello"}"#);
    let line = ended(&mut world, stream, (SOUND, b"\xff\xfb"), Origin::Cut);
    assert_eq!(charged(&line), ("50.000000", "counted", "partial"));
    let stream = post(&mut world, "/v1/audio/speech", r#"{"model":"tts","input":"Hello"}"#);
    world.answer_headers(stream, 500, JSON);
    world.answer_piece(stream, b"{}", true);
    let line: Value = serde_json::from_str(&world.log(stream, Origin::Upstream)).expect("a line");
    assert_eq!(line["outcome"], "released");
    world.check_at_rest();
}

const BACKGROUND: &str = r#"{"model":"gpt","background":true,"max_output_tokens":7,"input":"hello there"}"#;
const QUEUED: &[u8] =
    br#"{"id":"resp_1","status":"queued","background":true,"error":null,"usage":null,"output":[]}"#;

#[test]
fn a_response_in_the_background_is_not_sold_for_its_receipt() {
    let mut world = world("");
    for (member, told) in [
        (r#""background":true"#, "\\\"background\\\" is not offered here: leave it out."),
        (r#""background":"true""#, "\\\"background\\\" must be true or false."),
        (r#""background":1"#, "\\\"background\\\" must be true or false."),
        (r#""Background":true"#, "\\\"background\\\" must be written with the same"),
    ] {
        let stream = post(&mut world, "/v1/responses", &format!(r#"{{"model":"gpt",{member}}}"#));
        let (status, message) = refused(&world, stream);
        assert_eq!(status, 400, "{member}");
        assert!(message.contains(told), "{member}: {message}");
    }
    let usage = json!({"usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}).to_string();
    for member in [r#""background":false"#, r#""background":null"#, r#""store":true"#] {
        let stream = post(&mut world, "/v1/responses", &format!(r#"{{"model":"gpt",{member}}}"#));
        let line = answered(&mut world, stream, (JSON, usage.as_bytes()));
        assert_eq!(charged(&line), ("2003.000000", "reported", "complete"), "{member}");
    }
    world.check_at_rest();
}

#[test]
fn a_response_in_the_background_is_charged_what_it_holds_where_it_is_offered() {
    let routes = r#","background":"hold","routes":[{"prefix":"/v1/responses/","methods":["GET"],"action":{"flat":"stored"}}]"#;
    let mut world =
        World::with(1, &format!(r#"{{"ledger":{{"cluster":"l"}},"headers":"hold"{routes}}}"#), CATALOG);
    world.account("a", "free");
    let held = BACKGROUND.len().div_ceil(4) + 7_000;
    let stream = post(&mut world, "/v1/responses", BACKGROUND);
    let line = answered(&mut world, stream, (JSON, QUEUED));
    assert_eq!(charged(&line), (&*format!("{held}.000000"), "estimated", "failed"), "{line}");
    // Streamed to its end, its usage is known.
    let streamed = BACKGROUND.replace("true,", r#"true,"stream":true,"#);
    let usage = json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5});
    let created = json!({"type": "response.created", "response": {"usage": null}});
    let completed = json!({"type": "response.completed", "response": {"usage": usage}});
    let events = format!("data: {created}\n\ndata: {completed}\n\n");
    let stream = post(&mut world, "/v1/responses", &streamed);
    let line = answered(&mut world, stream, (EVENTS, events.as_bytes()));
    assert_eq!(charged(&line), ("2003.000000", "reported", "complete"), "{line}");
    // The client goes: it can fetch the rest later.
    let stream = post(&mut world, "/v1/responses", &streamed);
    let line = ended(&mut world, stream, (EVENTS, events.split_at(60).0.as_bytes()), Origin::Cut);
    let held = streamed.len().div_ceil(4) + 7_000;
    assert_eq!(charged(&line), (&*format!("{held}.000000"), "estimated", "failed"), "{line}");
    // Fetched, however often, it is not charged again.
    for _ in 0..2 {
        let stream = world.get(0, "a", "/v1/responses/resp_1");
        let line = answered(&mut world, stream, (JSON, completed["response"].to_string().as_bytes()));
        assert_eq!((line["charge"].as_str(), line["operation"].as_str()), (Some("0.000000"), Some("flat")));
    }
    world.check_at_rest();
}

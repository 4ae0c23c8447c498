//! Images, speech, transcripts, moderations, rerankers and responses in the background, through edge and ledger.
#![expect(clippy::panic, clippy::expect_used, reason = "tests may fail loudly")]

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
  words: timestamp_granularities
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
  whisper-1: { price: { per_unit: { seconds: 7 } } }
  gpt-transcribe: { price: { per_unit: { input_tokens: 1, audio_input_tokens: 3, output_tokens: 100 } }, max_output_default: 20 }
  by-request: { price: { per_request: 6 }, variants: { words: { when: { words: word }, price: { per_request: 9 } } } }
  search: { price: { per_request: 2 } }
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
    world.post("a", path, &[("content-type", kind)], body)
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

fn form(fields: &[(&str, &str)], file: usize) -> Vec<u8> {
    let part = |(name, value): &(&str, &str)| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let sound = "\u{1}".repeat(file);
    let file = format!(
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n{sound}\r\n"
    );
    format!("{file}{}--B--\r\n", fields.iter().map(part).collect::<String>()).into_bytes()
}

const FORM: &str = "multipart/form-data; boundary=B";
const TRANSCRIBE: &str = "/v1/audio/transcriptions";

#[test]
fn an_upload_is_charged_by_its_answer_or_by_what_is_known_of_it() {
    let mut world = world("");
    let tokens = json!({"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18,
        "input_token_details": {"audio_tokens": 10, "text_tokens": 4}});
    let done = json!({"type": "transcript.text.done", "text": "hi", "usage": tokens});
    let events =
        format!("data: {}\n\ndata: {done}\n\n", json!({"type": "transcript.text.delta", "delta": "hi"}));
    let whole = json!({"text": "hi", "usage": tokens}).to_string();
    let seconds = json!({"text": "hi", "usage": {"type": "duration", "seconds": 9}}).to_string();
    let verbose = json!({"task": "transcribe", "duration": 8.47, "text": "hi", "segments": []}).to_string();
    let images = json!({"data": [{"b64_json": "AAAA"}, {"b64_json": "AAAA"}]}).to_string();
    let plain = "1\n00:00:00,000 --> 00:00:08,000\nhi\n";
    let (complete, reported) = ("complete", "reported");
    for (path, fields, answer, operation, expected) in [
        (
            TRANSCRIBE,
            &[("model", "whisper-1")][..],
            (JSON, &*seconds),
            "transcription",
            ("63.000000", reported, complete),
        ),
        (
            TRANSCRIBE,
            &[("response_format", "verbose_json"), ("model", "whisper-1")],
            (JSON, &*verbose),
            "transcription",
            ("63.000000", reported, complete),
        ),
        (
            "/v1/audio/translations",
            &[("model", "by-request")],
            (JSON, r#"{"text":"hi"}"#),
            "transcription",
            ("6.000000", "counted", complete),
        ),
        (
            TRANSCRIBE,
            &[("model", "by-request"), ("response_format", "srt")],
            ("text/plain", plain),
            "transcription",
            ("6.000000", "counted", complete),
        ),
        (
            TRANSCRIBE,
            &[("timestamp_granularities[]", "word"), ("model", "by-request")],
            (JSON, r#"{"text":"hi"}"#),
            "transcription",
            ("9.000000", "counted", complete),
        ),
        (
            TRANSCRIBE,
            &[("model", "gpt-transcribe")],
            (JSON, &*whole),
            "transcription",
            ("434.000000", reported, complete),
        ),
        (
            TRANSCRIBE,
            &[("model", "gpt-transcribe"), ("stream", "true")],
            (EVENTS, &*events),
            "transcription",
            ("434.000000", reported, complete),
        ),
        // Of 40,000 bytes three seconds are held for, and charged where nobody counts them.
        (
            TRANSCRIBE,
            &[("model", "whisper-1"), ("response_format", "srt")],
            ("text/plain", plain),
            "transcription",
            ("21.000000", "estimated", "failed"),
        ),
        (
            "/openai/deployments/whisper-1/audio/translations",
            &[],
            (JSON, r#"{"text":"hi"}"#),
            "transcription",
            ("21.000000", "estimated", "failed"),
        ),
        (
            "/v1/images/edits",
            &[("model", "paint"), ("n", "2"), ("size", "large")],
            (JSON, &*images),
            "items",
            ("80.000000", "counted", complete),
        ),
        (
            "/v1/images/variations",
            &[("model", "paint"), ("n", "3")],
            (JSON, &*images),
            "items",
            ("20.000000", "counted", complete),
        ),
    ] {
        let stream = send(&mut world, path, FORM, &form(fields, 40_000));
        let line = answered(&mut world, stream, (answer.0, answer.1.as_bytes()));
        assert_eq!(
            (charged(&line), line["operation"].as_str()),
            (expected, Some(operation)),
            "{path} {fields:?} {line}"
        );
    }
    world.check_at_rest();
}

#[test]
fn an_upload_that_is_not_read_is_refused() {
    let mut world = world("");
    let whole = form(&[("model", "whisper-1")], 10);
    // JSON, and a form whose field `model` is another one.
    let hidden = br#"{"model":"whisper-1","a":"&model=by-request&x="}"#;
    for (path, kind, body, told) in [
        (TRANSCRIBE, "multipart/form-data", &*whole, "the boundary in its content-type"),
        (TRANSCRIBE, JSON, &*whole, "not valid JSON"),
        (TRANSCRIBE, "application/x-www-form-urlencoded", hidden, "x-www-form-urlencoded; send JSON"),
        ("/v1/images/edits", "Application/X-WWW-Form-UrlEncoded;charset=utf-8", hidden, "send JSON"),
        (TRANSCRIBE, "application/json,application/x-www-form-urlencoded", hidden, "send JSON"),
        (TRANSCRIBE, "application/json,text/plain", hidden, "empty or there twice"),
        (TRANSCRIBE, "", hidden, "empty or there twice"),
        ("/v1/chat/completions", FORM, &*whole, "not valid JSON"),
        (TRANSCRIBE, FORM, br#"{"model":"whisper-1"}"#, "does not begin with its boundary"),
        (TRANSCRIBE, FORM, whole.split_at(60).0, "ends before its last boundary"),
        (TRANSCRIBE, FORM, &form(&[("model", "whisper-1"), ("model", "gpt")], 3), "twice"),
        (TRANSCRIBE, FORM, &form(&[("language", "de")], 3), "names no model"),
    ] {
        let stream = send(&mut world, path, kind, body);
        let (status, message) = refused(&world, stream);
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(told), "{told}: {message}");
    }
    let headers = [
        (":method", "POST"),
        (":path", TRANSCRIBE),
        ("authorization", "Bearer key-a"),
        ("content-type", JSON),
        ("content-type", FORM),
        ("content-length", "48"),
    ];
    let stream = world.open(0, &headers, false, hidden.to_vec());
    world.body(stream);
    let (status, message) = refused(&world, stream);
    assert_eq!((status, message.contains("there twice")), (400, true), "{message}");
    let large = form(&[("model", "whisper-1")], 1_048_576);
    let stream = send(&mut world, TRANSCRIBE, FORM, &large);
    assert_eq!(refused(&world, stream).0, 413);
    world.check_at_rest();
}

#[test]
fn a_compressed_body_passes_where_the_price_is_flat() {
    let mut world = world("");
    for (path, status) in [("/v1/search", None), ("/v1/responses", Some(400))] {
        let headers = [
            (":method", "POST"),
            (":path", path),
            ("authorization", "Bearer key-a"),
            ("content-encoding", "gzip"),
            ("content-length", "4"),
        ];
        let stream = world.open(0, &headers, false, b"\x1f\x8b\x08\0".to_vec());
        world.body(stream);
        if let Some(status) = status {
            assert_eq!(refused(&world, stream).0, status, "{path}");
            continue;
        }
        let line = answered(&mut world, stream, (JSON, b"{}"));
        assert_eq!((charged(&line).0, world.streams[stream].upstream.len()), ("2.000000", 4), "{line}");
    }
    world.check_at_rest();
}

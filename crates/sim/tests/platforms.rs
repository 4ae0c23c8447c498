//! Bedrock, Cohere and Ollama through edge and ledger: what their answers come to, whole, cut and failed; how a
//! refusal reads; and how a request is bounded.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use base64::Engine;
use edge::settle::Origin;
use serde_json::{Value, json};
use sim::{Seen, World, config};

/// Prices by which each count shows in another digit.
const CATALOG: &str = r"
name: Platforms
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  claude-v2:1:
    price:
      per_unit:
        { input_tokens: 1, cached_tokens: 0.1, cache_write_tokens: 0.01, cache_write_hour_tokens: 0.001, output_tokens: 1000 }
    max_output_default: 10
    service_tiers: { priority: { factor: 2 } }
  arn:aws:bedrock:eu-west-1:1:inference-profile/claude:
    price:
      per_unit:
        { input_tokens: 1, cached_tokens: 0.1, cache_write_tokens: 0.01, cache_write_hour_tokens: 0.001, output_tokens: 1000 }
    max_output_default: 10
  titan: { price: { per_unit: { input_tokens: 1, output_tokens: 1000 } }, max_output_default: 10 }
  command: { price: { per_unit: { input_tokens: 1, output_tokens: 1000, searches: 10000 } }, max_output_default: 10 }
  llama: { price: { per_unit: { input_tokens: 1, cached_tokens: 0.1, output_tokens: 1000 } }, max_output_default: 10 }
  vectors: { price: { per_unit: { input_tokens: 1, image_input_tokens: 10 } } }
  ultra: { price: { per_unit: { input_tokens: 2, output_tokens: 2000 } }, max_output_default: 10 }
plans:
  free:
    price_usd: 0
    cycle: P7D
    grants: { weekly: 900000 }
    models: ['claude-v2:1', 'arn:aws:bedrock:eu-west-1:1:inference-profile/claude', titan, command, llama, vectors]
  bound: { extends: free, price_usd: 1, max_tokens: 7 }
  paid: { extends: free, price_usd: 9, models: [ultra] }
";

fn world(plan: &str) -> World {
    let mut world = World::with(1, &config("hold", ""), CATALOG);
    world.account("a", plan);
    world
}

fn post(world: &mut World, path: &str, body: &str) -> usize {
    world.post("a", path, &[], body.as_bytes())
}

/// An answer: what its type says, further headers, its body.
struct Answer {
    kind: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

fn answer(kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { kind, headers: Vec::new(), body: body.into() }
}

/// The line of a request that was answered so, once the ledger has posted the same.
fn line(world: &mut World, path: &str, body: &str, answer: &Answer, origin: Origin) -> Value {
    let stream = post(world, path, body);
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{path} {body}");
    world.answer_with(stream, 200, answer.kind, &answer.headers);
    world.answer_piece(stream, &answer.body, origin == Origin::Upstream);
    let line: Value = serde_json::from_str(&world.log(stream, origin)).expect("a line");
    world.pass(1_500);
    let posted = world.charge_entries("a").last().map(|entry| entry.amount.to_string());
    if line["charge"] != "0.000000" {
        assert_eq!(line["charge"].as_str(), posted.as_deref(), "{line}");
    }
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    line
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const FRAMES: &str = "application/vnd.amazon.eventstream";
const CONVERSE: &str = "/model/claude-v2%3A1/converse";
const INVOKE: &str = "/model/claude-v2:1/invoke";
const CHAT: &str = r#"{"model":"llama","messages":[]}"#;

fn frame(kind: &str, payload: &Value) -> Vec<u8> {
    let name = ":message-type";
    let length = |bytes: usize| u32::try_from(bytes).expect("short").to_be_bytes();
    let mut headers = vec![u8::try_from(name.len()).expect("short")];
    headers.extend(name.as_bytes());
    headers.extend([7, 0, u8::try_from(kind.len()).expect("short")]);
    headers.extend(kind.as_bytes());
    let payload = payload.to_string();
    let mut frame = [length(16 + headers.len() + payload.len()), length(headers.len())].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn frames(payloads: &[Value]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| frame("event", payload)).collect()
}

fn chunk(event: &Value) -> Value {
    json!({"bytes": base64::engine::general_purpose::STANDARD.encode(event.to_string()), "p": "abc"})
}

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

fn events(data: &[Value]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

fn conversed() -> Value {
    json!({"inputTokens": 5, "outputTokens": 2, "totalTokens": 97, "cacheReadInputTokens": 20, "cacheWriteInputTokens": 70,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 40}, {"inputTokens": 30, "ttl": "5m"}]})
}

#[test]
fn bedrock_is_charged_what_its_answers_state() {
    let mut world = world("free");
    let whole = json!({"output": {"message": {"content": [{"text": "hi"}]}}, "stopReason": "end_turn", "usage": conversed()});
    let stream = [
        json!({"role": "assistant"}),
        json!({"delta": {"text": "hi"}, "contentBlockIndex": 0}),
        json!({"stopReason": "end_turn"}),
        json!({"usage": conversed(), "metrics": {"latencyMs": 1}}),
    ];
    let message = json!({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 20});
    let started = json!({"type": "message_start", "message": {"model": "claude", "usage": message}});
    let delta =
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}});
    let metrics = json!({"inputTokenCount": 5, "outputTokenCount": 3, "cacheReadInputTokenCount": 20});
    let stopped = json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics});
    let said = json!({"generation": "hi", "stop_reason": null});
    let last = json!({"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": metrics});
    let counted = vec![
        ("x-amzn-bedrock-input-token-count", "5"),
        ("x-amzn-bedrock-output-token-count", "3"),
        ("x-amzn-bedrock-cache-read-input-token-count", "20"),
    ];
    let with = |body: Value| Answer { kind: JSON, headers: counted.clone(), body: body.to_string().into() };
    let streamed = |events: &[Value]| answer(FRAMES, frames(&events.iter().map(chunk).collect::<Vec<_>>()));
    let in_tier = |mut answer: Answer| {
        answer.headers.push(("x-amzn-bedrock-service-tier", "priority"));
        answer
    };
    let arn = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fclaude/converse";
    for (path, answer, charge) in [
        (CONVERSE, answer(JSON, whole.to_string()), "2007.340000"),
        (arn, answer(JSON, whole.to_string()), "2007.340000"),
        ("/model/claude-v2:1/converse-stream", answer(FRAMES, frames(&stream)), "2007.340000"),
        (INVOKE, with(json!({"usage": message, "content": []})), "2007.000000"),
        (INVOKE, with(json!({"outputs": [{"text": "hi"}]})), "3007.000000"),
        (INVOKE, in_tier(with(json!({"outputs": [{"text": "hi"}]}))), "6014.000000"),
        (
            INVOKE,
            answer(JSON, json!({"prompt_token_count": 5, "generation_token_count": 2}).to_string()),
            "2005.000000",
        ),
        (
            "/model/titan/invoke",
            answer(JSON, json!({"embedding": [0.1], "inputTextTokenCount": 8}).to_string()),
            "8.000000",
        ),
        (
            "/model/titan/invoke",
            answer(JSON, json!({"inputTextTokenCount": 8, "results": [{"tokenCount": 4}]}).to_string()),
            "4008.000000",
        ),
        (
            "/model/claude-v2:1/invoke-with-response-stream",
            streamed(&[started, delta, stopped]),
            "4007.000000",
        ),
        (
            "/model/claude-v2:1/invoke-with-response-stream",
            in_tier(streamed(&[said.clone(), last.clone()])),
            "6014.000000",
        ),
        ("/model/claude-v2:1/invoke-with-response-stream", streamed(&[said, last]), "3007.000000"),
    ] {
        let line = line(&mut world, path, r#"{"stream":"x"}"#, &answer, Origin::Upstream);
        assert_eq!(line["charge"], charge, "{path} {line}");
        assert_eq!(
            (&line["source"], &line["status"]),
            (&"reported".into(), &"complete".into()),
            "{path} {line}"
        );
    }
    world.check_at_rest();
}

#[test]
fn the_header_of_an_invocation_asks_for_a_tier() {
    for (path, charge) in [(INVOKE, "6014.000000"), (CONVERSE, "3007.000000")] {
        let mut world = world("free");
        let headers = [
            (":method", "POST"),
            (":path", path),
            ("authorization", "Bearer key-a"),
            ("x-amzn-bedrock-service-tier", "priority"),
            ("content-length", "2"),
        ];
        let stream = world.open(0, &headers, false, b"{}".to_vec());
        world.body(stream);
        // Of both dialects, and without a word of the tier.
        let usage = json!({"inputTokens": 7, "outputTokens": 3, "input_tokens": 7, "output_tokens": 3});
        world.answer_with(stream, 200, JSON, &[]);
        world.answer_piece(stream, json!({"usage": usage}).to_string().as_bytes(), true);
        let line: Value = serde_json::from_str(&world.log(stream, Origin::Upstream)).expect("a line");
        assert_eq!(line["charge"], charge, "{path} {line}");
        world.pass(1_500);
        world.check_at_rest();
    }
}

#[test]
fn cohere_and_ollama_are_charged_what_their_answers_state() {
    let mut world = world("free");
    let units = json!({"billed_units": {"input_tokens": 5, "output_tokens": 2}, "tokens": {"input_tokens": 500, "output_tokens": 9}});
    let searched = json!({"billed_units": {"input_tokens": 5, "output_tokens": 2, "search_units": 1}});
    let end =
        json!({"event_type": "stream-end", "is_finished": true, "response": {"text": "hi", "meta": units}});
    let first = json!({"event_type": "text-generation", "is_finished": false, "text": "hi"});
    let delta = json!({"type": "content-delta", "delta": {"message": {"content": {"text": "hi"}}}});
    let last = json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": units}});
    let command = r#"{"model":"command"}"#;
    let streamed = r#"{"model":"command","stream":true}"#;
    let vectors = r#"{"model":"vectors"}"#;
    let said = json!({"model": "llama", "message": {"content": "hi"}, "done": false});
    let done = json!({"done": true, "prompt_eval_count": 5, "eval_count": 2});
    let cached = json!({"response": "hi", "done": true, "prompt_eval_count": 25, "prompt_eval_cached_count": 20, "eval_count": 2});
    for (path, body, answer, charge) in [
        (
            "/v1/chat",
            command,
            answer(JSON, json!({"text": "hi", "meta": searched}).to_string()),
            "12005.000000",
        ),
        (
            "/v1/chat",
            streamed,
            answer("application/stream+json", lines(&[first.clone(), end.clone()])),
            "2005.000000",
        ),
        ("/v1/chat", streamed, answer("text/plain", lines(&[first, end])), "2005.000000"),
        (
            "/v2/chat",
            command,
            answer(JSON, json!({"message": {"content": []}, "usage": units}).to_string()),
            "2005.000000",
        ),
        ("/v2/chat", streamed, answer(EVENTS, events(&[delta, last]) + "data: [DONE]\n\n"), "2005.000000"),
        (
            "/v2/chat",
            command,
            answer(JSON, json!({"usage": {"tokens": units["tokens"]}}).to_string()),
            "9500.000000",
        ),
        (
            "/v1/embed",
            vectors,
            answer(
                JSON,
                json!({"embeddings": [], "meta": {"billed_units": {"input_tokens": 8}}}).to_string(),
            ),
            "8.000000",
        ),
        (
            "/v2/embed",
            vectors,
            answer(JSON, json!({"meta": {"billed_units": {"images": 1, "image_tokens": 3}}}).to_string()),
            "30.000000",
        ),
        ("/api/chat", CHAT, answer(LINES, lines(&[said.clone(), done.clone()])), "2005.000000"),
        (
            "/api/chat",
            r#"{"model":"llama","stream":null}"#,
            answer("", lines(&[said, done.clone()])),
            "2005.000000",
        ),
        ("/api/chat", r#"{"model":"llama","stream":false}"#, answer(JSON, done.to_string()), "2005.000000"),
        ("/api/generate", CHAT, answer(LINES, lines(&[cached])), "2007.000000"),
        (
            "/api/embed",
            vectors,
            answer(JSON, json!({"embeddings": [[0.1]], "prompt_eval_count": 8}).to_string()),
            "8.000000",
        ),
    ] {
        let line = line(&mut world, path, body, &answer, Origin::Upstream);
        assert_eq!(line["charge"], charge, "{path} {line}");
        assert_eq!(
            (&line["source"], &line["status"]),
            (&"reported".into(), &"complete".into()),
            "{path} {line}"
        );
    }
    world.check_at_rest();
}

#[test]
fn what_a_provider_leaves_out_is_estimated_and_never_free() {
    let mut world = world("free");
    // 40 bytes of request are 10 tokens of input.
    let body = format!(r#"{{"model":"llama","prompt":"{}"}}"#, "x".repeat(9));
    assert_eq!(body.len(), 38);
    let said = json!({"response": "x".repeat(11), "done": false});
    for (last, charge, source) in [
        (json!({"done": true, "eval_count": 2}), "2010.000000", "estimated"),
        (json!({"done": true, "prompt_eval_count": 5}), "3005.000000", "estimated"),
        (json!({"done": true, "done_reason": "stop"}), "3010.000000", "estimated"),
        (json!({"done": true, "eval_count": 2, "prompt_eval_count": "5"}), "2010.000000", "estimated"),
        // More than the 10,010 that it holds: what the provider did count is charged in full.
        (json!({"done": true, "eval_count": 50}), "50000.000000", "reported"),
    ] {
        let answer = answer(LINES, lines(&[said.clone(), last]));
        let line = line(&mut world, "/api/generate", &body, &answer, Origin::Upstream);
        assert_eq!((&line["charge"], &line["source"]), (&charge.into(), &source.into()), "{line}");
        assert_ne!(line["status"], "complete", "{line}");
    }
    // Vectors without a count, as the older path answers.
    let answer = answer(JSON, r#"{"embedding":[0.1]}"#);
    let line = line(
        &mut world,
        "/api/embeddings",
        r#"{"model":"vectors","prompt":"xx"}"#,
        &answer,
        Origin::Upstream,
    );
    assert_eq!((&line["charge"], &line["source"]), (&"9.000000".into(), &"estimated".into()), "{line}");
    world.check_at_rest();
}

#[test]
fn a_stream_that_ends_early_is_charged_what_was_delivered() {
    let mut world = world("free");
    let path = "/model/claude-v2:1/converse-stream";
    let body = format!(r#"{{"messages":[],"inferenceConfig":{{"maxTokens":{}}}}}"#, 20);
    let delta = |letters: usize| json!({"delta": {"text": "x".repeat(letters)}});
    let metadata = json!({"usage": {"inputTokens": 5, "outputTokens": 2}});
    let whole = frames(&[delta(12), json!({"stopReason": "end_turn"}), metadata.clone()]);
    let input = body.len().div_ceil(4);
    for (answered, origin, charge, source, status) in [
        // The client goes, before and behind the counts.
        (frames(&[delta(12)]), Origin::Cut, 3000 + input, "estimated", "failed"),
        (frames(&[delta(9_999)]), Origin::Cut, 20_000 + input, "estimated", "failed"),
        (whole[..whole.len() - 1].to_vec(), Origin::Cut, 3000 + input, "estimated", "failed"),
        (whole.clone(), Origin::Cut, 2005, "reported", "complete"),
        // An exception behind 200, with counts and without.
        (
            [frames(&[delta(12)]), frame("exception", &json!({"message": "no"}))].concat(),
            Origin::Upstream,
            3000 + input,
            "estimated",
            "failed",
        ),
        (
            [whole.clone(), frame("exception", &json!({}))].concat(),
            Origin::Upstream,
            2005,
            "reported",
            "partial",
        ),
    ] {
        let line = line(&mut world, path, &body, &answer(FRAMES, answered), origin);
        assert_eq!(line["charge"], format!("{charge}.000000"), "{line}");
        assert_eq!((&line["source"], &line["status"]), (&source.into(), &status.into()), "{line}");
    }
    // Nothing but an exception is nothing.
    let failed = answer(FRAMES, frame("exception", &json!({"message": "no"})));
    let none = line(&mut world, path, &body, &failed, Origin::Upstream);
    assert_eq!((&none["charge"], &none["outcome"]), (&"0.000000".into(), &"released".into()), "{none}");
    // Damaged counts are not believed.
    let mut damaged = whole;
    let at = damaged.len() - 8;
    damaged[at] ^= 1;
    let line = line(&mut world, path, &body, &answer(FRAMES, damaged), Origin::Upstream);
    assert_eq!(
        (&line["charge"], &line["source"]),
        (&format!("{}.000000", 3000 + input).into(), &"estimated".into()),
        "{line}"
    );
    world.check_at_rest();
}

#[test]
fn a_plan_s_bound_is_put_where_the_api_has_it() {
    let mut world = world("bound");
    let text = "x".repeat(400);
    let long = json!({"text": text, "response": text, "output": {"message": {"content": [{"text": text}]}}});
    let mut long = long.to_string();
    long.pop();
    for (path, body, sent, held) in [
        (CONVERSE, r#"{"messages":[]}"#, r#"{"inferenceConfig":{"maxTokens":7},"messages":[]}"#, 7_004),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":9}}"#, r#"{"inferenceConfig":{"maxTokens":7}}"#, 7_009),
        // What the model would understand is not known: it is held for as much as it may say.
        (INVOKE, r#"{"prompt":""}"#, r#"{"prompt":""}"#, 10_004),
        (INVOKE, r#"{"max_gen_len":9}"#, r#"{"max_gen_len":7}"#, 7_005),
        (INVOKE, r#"{"max_tokens":5}"#, r#"{"max_tokens":5}"#, 5_004),
        (
            INVOKE,
            r#"{"textGenerationConfig":{"maxTokenCount":9}}"#,
            r#"{"textGenerationConfig":{"maxTokenCount":7}}"#,
            7_011,
        ),
        ("/v2/chat", r#"{"model":"command"}"#, r#"{"max_tokens":7,"model":"command"}"#, 7_005),
        // Nothing is generated, and Google refuses a member that it does not know.
        ("/v1beta/models/vectors:embedContent", r#"{"content":{}}"#, r#"{"content":{}}"#, 4),
        ("/v1/models/vectors:batchEmbedContents", r#"{"requests":[]}"#, r#"{"requests":[]}"#, 4),
        ("/api/chat", r#"{"model":"llama"}"#, r#"{"options":{"num_predict":7},"model":"llama"}"#, 7_005),
        (
            "/api/chat",
            r#"{"model":"llama","options":{"num_predict":-1}}"#,
            r#"{"model":"llama","options":{"num_predict":7}}"#,
            7_012,
        ),
    ] {
        let stream = post(&mut world, path, body);
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{path} {body}");
        assert_eq!(String::from_utf8_lossy(&world.streams[stream].upstream), sent, "{path}");
        world.answer_headers(stream, 200, JSON);
        // More than it was to be: the estimate is the hold.
        world.answer_piece(stream, long.as_bytes(), false);
        let line: Value = serde_json::from_str(&world.log(stream, Origin::Cut)).expect("a line");
        assert_eq!(line["charge"], format!("{held}.000000"), "{path} {body} {line}");
    }
}

#[test]
fn a_refusal_has_the_shape_that_the_client_shows() {
    let mut world = world("free");
    for (path, body, status) in [
        ("/model/ultra/converse", "{}", 402),
        ("/model/ultra/invoke", "{}", 402),
        ("/model/claude%252Dv2/converse", "{}", 400),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":"1"}}"#, 400),
        ("/v2/chat", r#"{"model":"ultra"}"#, 402),
        ("/v1/embed", r#"{"model":"unknown"}"#, 400),
        ("/api/chat", r#"{"model":"ultra"}"#, 402),
        ("/api/chat", r#"{"model":"llama","Stream":false}"#, 400),
    ] {
        let stream = post(&mut world, path, body);
        let Some(Seen::Reply(seen, reply)) = &world.streams[stream].seen else {
            panic!("{path}: {:?}", world.streams[stream].seen);
        };
        assert_eq!(*seen, status, "{path} {reply}");
        let member = if path.starts_with("/api") { "error" } else { "message" };
        assert_eq!(reply[member], reply["detail"], "{path} {reply}");
    }
    world.check_at_rest();
}

/// A server that does not know `max_completion_tokens` generates what it likes: all of that is held, and charged where the
/// client leaves before the counts.
#[test]
fn a_bound_that_a_server_does_not_know_bounds_nothing() {
    let route = r#"{"path":"/old","action":{"meter":"openai_chat"},"max_completion_tokens":false}"#;
    let config = config("hold", "").replace(r#""routes":["#, &format!(r#""routes":[{route},"#));
    let text = "x".repeat(32);
    let delta = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let chat = "/v1/chat/completions";
    let new = r#"{"max_completion_tokens":1,"#;
    let none = r#"{"max_tokens":0,"#;
    let both = r#"{"max_tokens":2,"max_completion_tokens":12,"#;
    let none_or_one = r#"{"max_tokens":0,"max_completion_tokens":1,"#;
    // In tokens of output: of the text that was delivered there are 8.
    for (plan, path, body, sent, held, charged) in [
        ("free", "/old", new, new, 10, 8),
        ("free", "/old", r#"{"max_tokens":3,"#, r#"{"max_tokens":3,"#, 3, 3),
        ("free", "/old", none, none, 10, 8),
        ("free", "/old", both, both, 12, 8),
        ("bound", "/old", new, r#"{"max_tokens":7,"max_completion_tokens":1,"#, 7, 7),
        ("bound", "/old", none, r#"{"max_tokens":7,"#, 7, 7),
        // A server that knows both may look at one of them alone.
        ("free", chat, none_or_one, none_or_one, 10, 8),
        ("bound", chat, none_or_one, r#"{"max_tokens":7,"max_completion_tokens":1,"#, 7, 7),
        ("free", chat, new, new, 1, 1),
    ] {
        let mut world = World::with(1, &config, CATALOG);
        world.account("a", plan);
        let rest = r#""stream":true,"stream_options":{"include_usage":true},"model":"llama"}"#;
        let (body, sent) = (format!("{body}{rest}"), format!("{sent}{rest}"));
        let stream = post(&mut world, path, &body);
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{plan} {path} {body}");
        assert_eq!(String::from_utf8_lossy(&world.streams[stream].upstream), sent);
        world.answer_headers(stream, 200, EVENTS);
        world.answer_piece(stream, events(std::slice::from_ref(&delta)).as_bytes(), false);
        let line: Value = serde_json::from_str(&world.log(stream, Origin::Cut)).expect("a line");
        let cost = |output: usize| output * 1000 + body.len().div_ceil(4);
        assert_eq!(line["takes"][0]["held"], json!(cost(held) * 1_000_000), "{plan} {path} {body} {line}");
        assert_eq!(line["charge"], format!("{}.000000", cost(charged)), "{plan} {path} {body} {line}");
        world.pass(1_500);
        world.check_at_rest();
    }
}

/// A bound under a name that an API does not know bounds nothing there, and 0 is none to servers that take it; of several
/// prompts each is answered.
#[test]
fn no_bound_of_a_client_s_gets_around_the_plan_s() {
    let mut world = world("bound");
    for (path, body, sent, held) in [
        (
            "/v1/chat/completions",
            r#"{"model":"llama","max_output_tokens":1}"#,
            r#"{"max_tokens":7,"model":"llama","max_output_tokens":1}"#,
            7_010,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"llama","max_tokens":0}"#,
            r#"{"model":"llama","max_tokens":7}"#,
            7_008,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"llama","max_completion_tokens":9}"#,
            r#"{"model":"llama","max_completion_tokens":7}"#,
            7_011,
        ),
        (
            "/v1/responses",
            r#"{"model":"llama","max_tokens":1}"#,
            r#"{"max_output_tokens":7,"model":"llama","max_tokens":1}"#,
            7_008,
        ),
        (
            "/v1/completions",
            r#"{"model":"llama","max_completion_tokens":1}"#,
            r#"{"max_tokens":7,"model":"llama","max_completion_tokens":1}"#,
            7_011,
        ),
        (
            "/v1/completions",
            r#"{"model":"llama","prompt":["a","b","c"],"n":2,"max_tokens":5}"#,
            r#"{"model":"llama","prompt":["a","b","c"],"n":2,"max_tokens":5}"#,
            30_016,
        ),
        (
            "/v1/completions",
            r#"{"model":"llama","prompt":[1,2,3],"max_tokens":5}"#,
            r#"{"model":"llama","prompt":[1,2,3],"max_tokens":5}"#,
            5_013,
        ),
        (
            "/api/chat",
            r#"{"model":"llama","options":{"num_predict":0}}"#,
            r#"{"model":"llama","options":{"num_predict":7}}"#,
            7_012,
        ),
    ] {
        let stream = post(&mut world, path, body);
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{path} {body}");
        assert_eq!(String::from_utf8_lossy(&world.streams[stream].upstream), sent, "{path}");
        let line: Value = serde_json::from_str(&world.log(stream, Origin::Cut)).expect("a line");
        assert_eq!(line["takes"][0]["held"], json!(held * 1_000_000_i64), "{path} {body} {line}");
        // The client has left before anything came.
        assert_eq!(
            (&line["charge"], &line["outcome"]),
            (&json!("0.000000"), &json!("no_upstream")),
            "{line}"
        );
    }
    world.check_at_rest();
}

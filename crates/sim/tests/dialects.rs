//! Each API dialect through edge and ledger: who is asked for, what it comes to, how a refusal reads.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use edge::settle::Origin;
use serde_json::{Value, json};
use sim::{Seen, World, config};

/// Prices by which each count shows in another digit.
const CATALOG: &str = r"
name: Dialects
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  text:
    price: { per_unit: { input_tokens: 1, cached_tokens: 0.1, output_tokens: 1000, reasoning_tokens: 100 } }
    max_output_default: 10
  claude:
    price:
      per_unit:
        { input_tokens: 1, cached_tokens: 0.1, cache_write_tokens: 0.01, cache_write_hour_tokens: 0.001, output_tokens: 1000, searches: 10000 }
    max_output_default: 10
  gemini-pro: { price: { per_unit: { input_tokens: 1, output_tokens: 1000 } }, max_output_default: 10 }
  gemini-ultra: { price: { per_unit: { input_tokens: 2, output_tokens: 2000 } }, max_output_default: 10 }
  vectors: { price: { per_unit: { input_tokens: 1 } } }
plans:
  free: { price_usd: 0, cycle: P7D, grants: { weekly: 900000 }, models: [text, claude, gemini-pro, vectors] }
  paid: { extends: free, price_usd: 9, models: [gemini-ultra], max_tokens: 7 }
";

fn world(plan: &str) -> World {
    let mut world = World::with(1, &config("hold", ""), CATALOG);
    world.account("a", plan);
    world
}

fn post(world: &mut World, path: &str, body: &str) -> usize {
    world.post("a", path, &[], body.as_bytes())
}

/// The line of a request that was answered so, once the ledger has posted the same.
fn line(world: &mut World, path: &str, body: &str, (kind, answer): (&str, &str)) -> Value {
    let stream = post(world, path, body);
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{path} {body}");
    world.answer_headers(stream, 200, kind);
    world.answer_piece(stream, answer.as_bytes(), true);
    let line: Value = serde_json::from_str(&world.log(stream, Origin::Upstream)).expect("a line");
    world.pass(1_500);
    let posted = world.charge_entries("a").last().expect("a charge").amount;
    assert_eq!(line["charge"], posted.to_string(), "{line}");
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    line
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const MESSAGES: &str = "/v1/messages";
const GENERATE: &str = "/v1beta/models/gemini-pro:generateContent";

fn events(data: &[Value]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

#[test]
fn each_dialect_is_charged_what_its_answer_states() {
    let mut world = world("free");
    let response = json!({"input_tokens": 30, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 33});
    let message = json!({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 70, "server_tool_use": {"web_search_requests": 1},
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 40}});
    let started = json!({"type": "message_start", "message": {"model": "claude", "usage": message}});
    let delta = json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4}});
    let gemini = json!({"promptTokenCount": 6, "candidatesTokenCount": 1, "thoughtsTokenCount": 2, "totalTokenCount": 9});
    let chunk = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}], "usageMetadata": gemini});
    let array = json!([chunk, chunk]).to_string();
    let streamed = GENERATE.replace(":generate", ":streamGenerate");
    let completion = r#"{"choices":[{"text":"x","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":5,"total_tokens":9}}"#;
    for (path, body, kind, answer, operation, charge) in [
        (
            "/v1/responses",
            r#"{"model":"text"}"#,
            JSON,
            json!({"usage": response}).to_string(),
            "responses",
            "2112.000000",
        ),
        (
            "/v1/responses",
            r#"{"model":"text","stream":true}"#,
            EVENTS,
            events(&[json!({"type": "response.completed", "response": {"usage": response}})]),
            "responses",
            "2112.000000",
        ),
        ("/v1/completions", r#"{"model":"text"}"#, JSON, completion.to_owned(), "completions", "5004.000000"),
        (
            "/openai/deployments/text/completions?api-version=1",
            r#"{"model":"gemini-ultra"}"#,
            JSON,
            completion.to_owned(),
            "completions",
            "5004.000000",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"vectors","input":"x"}"#,
            JSON,
            r#"{"data":[{}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#.to_owned(),
            "embeddings",
            "8.000000",
        ),
        (
            MESSAGES,
            r#"{"model":"claude","max_tokens":9}"#,
            JSON,
            json!({"usage": message}).to_string(),
            "messages",
            "12007.340000",
        ),
        (
            MESSAGES,
            r#"{"model":"claude","max_tokens":9,"stream":true}"#,
            EVENTS,
            events(&[started, delta, json!({"type": "message_stop"})]),
            "messages",
            "14007.340000",
        ),
        (GENERATE, r#"{"contents":[]}"#, JSON, chunk.to_string(), "generate_content", "3006.000000"),
        (&*streamed, r#"{"contents":[]}"#, JSON, array, "generate_content", "3006.000000"),
        (
            &*format!("{streamed}?alt=sse"),
            "{}",
            EVENTS,
            events(&[chunk.clone(), chunk]),
            "generate_content",
            "3006.000000",
        ),
    ] {
        let line = line(&mut world, path, body, (kind, &answer));
        assert_eq!(
            (line["charge"].as_str(), line["operation"].as_str()),
            (Some(charge), Some(operation)),
            "{path}"
        );
        assert_eq!(
            (line["source"].as_str(), line["status"].as_str()),
            (Some("reported"), Some("complete")),
            "{line}"
        );
    }
    world.check_at_rest();
}

#[test]
fn an_answer_that_is_cut_is_charged_what_was_stated_or_delivered() {
    let mut world = world("free");
    // The first event counts one token of output, whatever is delivered behind it.
    for (letters, charge, source) in [
        (4, "1005.000000", "reported"),
        (100, "25005.000000", "estimated"),
        (4_000, "50012.000000", "estimated"),
    ] {
        let line = cut(&mut world, letters);
        assert_eq!(
            (line["charge"].as_str(), line["source"].as_str()),
            (Some(charge), Some(source)),
            "{line}"
        );
        assert_eq!(line["status"], "partial");
        world.pass(1_500);
        let posted = world.charge_entries("a").last().expect("a charge").amount;
        assert_eq!(
            (posted.to_string().as_str(), world.book.counters.price_mismatches),
            (charge, 0),
            "{line}"
        );
    }
    world.check_at_rest();
}

/// A count that is missing and that no total tells is not for nothing: what was asked and what was delivered tell it.
#[test]
fn a_count_that_is_left_out_is_estimated() {
    let mut world = world("free");
    let (chat, responses) = ("/v1/chat/completions", "/v1/responses");
    let asked = r#"{"model":"text","messages":[]}"#;
    assert_eq!(asked.len().div_ceil(4), 8);
    let text = "x".repeat(11);
    let said = |path: &str, usage: &Value| {
        let mut answer = match path {
            "/v1/chat/completions" => {
                json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
            }
            "/v1/responses" => json!({"output": [{"content": [{"text": text}]}]}),
            _ => json!({"data": [{"embedding": [0.1]}]}),
        };
        answer["usage"] = usage.clone();
        answer.to_string()
    };
    for (path, body, usage, charge, source, status) in [
        (chat, asked, json!({"completion_tokens": 2}), "2008.000000", "estimated", "partial"),
        (chat, asked, json!({"prompt_tokens": 5}), "3005.000000", "estimated", "partial"),
        (chat, asked, json!({"prompt_tokens": 5, "total_tokens": 7}), "2005.000000", "reported", "partial"),
        (
            responses,
            r#"{"model":"text","input":"x"}"#,
            json!({"input_tokens": 5}),
            "3005.000000",
            "estimated",
            "partial",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"vectors","input":"x"}"#,
            json!({"total_tokens": 4}),
            "4.000000",
            "reported",
            "complete",
        ),
    ] {
        let line = line(&mut world, path, body, ("application/json", &said(path, &usage)));
        let told = (&line["charge"], &line["source"], &line["status"]);
        assert_eq!(told, (&charge.into(), &source.into(), &status.into()), "{path} {usage} {line}");
    }
    world.check_at_rest();
}

/// The line of a message that the client leaves when it has got so many letters.
fn cut(world: &mut World, letters: usize) -> Value {
    let stream = post(world, MESSAGES, r#"{"model":"claude","max_tokens":50,"stream":true}"#);
    world.answer_headers(stream, 200, EVENTS);
    let started =
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}});
    let delta = json!({"type": "content_block_delta", "delta": {"text": "x".repeat(letters)}});
    world.answer_piece(stream, events(&[started, delta]).as_bytes(), false);
    serde_json::from_str(&world.log(stream, Origin::Cut)).expect("a line")
}

const CHAT: &str = "/v1/chat/completions";
const STREAM: &str = r#"{"model":"text","max_tokens":50,"stream":true,"pad":"0123456789"}"#;

/// The line of a stream that broke off behind these bytes, and what the ledger posted for it.
fn broken_off(world: &mut World, path: &str, body: &str, (kind, answer): (&str, &str)) -> (Value, String) {
    let before = world.charge_entries("a").count();
    let stream = post(world, path, body);
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{path} {body}");
    world.answer_headers(stream, 200, kind);
    world.answer_piece(stream, answer.as_bytes(), false);
    let line: Value = serde_json::from_str(&world.log(stream, Origin::Cut)).expect("a line");
    world.pass(1_500);
    let posted =
        world.charge_entries("a").nth(before).map_or("0.000000".to_owned(), |entry| entry.amount.to_string());
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    (line, posted)
}

fn chunk(text: &str, usage: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": text}}], "usage": usage})
}

fn counted(prompt: u64, completion: u64) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

#[test]
fn what_was_delivered_after_the_last_count_is_estimated() {
    let mut world = world("free");
    let none = Value::Null;
    // 8 letters are two tokens; the request's 66 bytes are 17.
    let letters = "12345678";
    let generated = |text: &str, completion: u64| {
        json!({"candidates": [{"content": {"parts": [{"text": text}]}}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": completion, "totalTokenCount": 5 + completion}})
    };
    let gemini = GENERATE.replace(":generate", ":streamGenerate");
    let text_delta = json!({"type": "response.output_text.delta", "delta": letters});
    for (what, path, body, answer, source, charge) in [
        // Counts in every chunk, of all up to it: nothing is left to estimate.
        (
            "cumulative",
            CHAT,
            STREAM,
            events(&[chunk(letters, &counted(5, 1)), chunk("5678", &counted(5, 7))]),
            "reported",
            "7005.000000",
        ),
        // A first chunk that counts no output yet.
        (
            "zero first",
            CHAT,
            STREAM,
            events(&[chunk("", &counted(5, 0)), chunk(letters, &none)]),
            "estimated",
            "2005.000000",
        ),
        (
            "counted, then not",
            CHAT,
            STREAM,
            events(&[chunk(letters, &counted(5, 3)), chunk(letters, &none)]),
            "estimated",
            "5005.000000",
        ),
        ("never counted", CHAT, STREAM, events(&[chunk(letters, &none)]), "estimated", "2017.000000"),
        (
            "within the hold",
            CHAT,
            STREAM,
            events(&[chunk(&"x".repeat(4_000), &none)]),
            "estimated",
            "50017.000000",
        ),
        (
            "error at the end",
            CHAT,
            STREAM,
            events(&[chunk(letters, &none), json!({"error": {"message": "no"}})]),
            "estimated",
            "2017.000000",
        ),
        ("responses", "/v1/responses", STREAM, events(&[text_delta]), "estimated", "2017.000000"),
        ("gemini", &gemini, STREAM, events(&[generated(letters, 3)]), "reported", "3005.000000"),
    ] {
        let (line, posted) = broken_off(&mut world, path, body, (EVENTS, &answer));
        assert_eq!((line["source"].as_str(), posted.as_str()), (Some(source), charge), "{what}: {line}");
        assert_ne!(line["status"], "complete", "{what}");
    }
    world.check_at_rest();
}

#[test]
fn an_answer_that_has_not_begun_costs_nothing() {
    let mut world = world("free");
    let error = events(&[json!({"error": {"message": "overloaded"}})]);
    for (kind, answer) in [
        (EVENTS, ": keep-alive\n\n: OPENROUTER PROCESSING\n\n"),
        (EVENTS, "\n\n"),
        (JSON, "\n \n"),
        (EVENTS, &error),
        (JSON, r#"{"error":{"message":"overloaded"}}"#),
    ] {
        let (line, posted) = broken_off(&mut world, CHAT, STREAM, (kind, answer));
        assert_eq!(posted, "0.000000", "{answer:?}: {line}");
    }
    world.check_at_rest();
}

#[test]
fn the_first_byte_tells_what_the_type_does_not() {
    let mut world = world("free");
    let usage = counted(5, 7);
    let document = json!({"choices": [], "usage": usage}).to_string();
    let stream = events(&[chunk("x", &usage)]) + "data: [DONE]\n\n";
    for (kind, answer) in [
        ("text/plain", &stream),
        ("", &stream),
        (JSON, &stream),
        (EVENTS, &document),
        ("text/plain", &format!("\u{feff}{document}")),
    ] {
        let line = line(&mut world, CHAT, STREAM, (kind, answer));
        let read = (line["charge"].as_str(), line["source"].as_str(), line["status"].as_str());
        assert_eq!(read, (Some("7005.000000"), Some("reported"), Some("complete")), "{kind}: {line}");
    }
    world.check_at_rest();
}

#[test]
fn a_route_may_leave_stream_options_alone() {
    let routes = r#"{"path":"/old/chat","action":{"meter":"openai_chat"},"include_usage":false},"#;
    let config = config("hold", "").replace(r#""routes":["#, &format!(r#""routes":[{routes}"#));
    let mut world = World::with(1, &config, CATALOG);
    world.account("a", "free");
    let answer = events(&[chunk("12345678", &Value::Null)]) + "data: [DONE]\n\n";
    let old = line(&mut world, "/old/chat", STREAM, (EVENTS, &answer));
    assert_eq!(old["charge"], "2017.000000", "{old}");
    assert_eq!(
        (old["source"].as_str(), old["status"].as_str()),
        (Some("estimated"), Some("failed")),
        "{old}"
    );
    let stream = post(&mut world, "/old/chat", STREAM);
    assert_eq!(world.streams[stream].upstream, STREAM.as_bytes(), "the body goes on as it came");
    let stream = post(&mut world, CHAT, STREAM);
    assert_ne!(world.streams[stream].upstream, STREAM.as_bytes(), "elsewhere usage is asked for");
}

#[test]
fn a_refusal_has_the_error_object_of_the_api() {
    let mut world = world("free");
    for (path, body, status, error) in [
        (
            "/v1beta/models/gemini-ultra:generateContent",
            "{}",
            402,
            json!({"code": 402, "status": "FAILED_PRECONDITION"}),
        ),
        (
            "/v1beta/models/gemini%2Dultra:generateContent",
            "{}",
            400,
            json!({"code": 400, "status": "INVALID_ARGUMENT"}),
        ),
        (MESSAGES, r#"{"model":"gemini-ultra","max_tokens":1}"#, 402, json!({"type": "billing_error"})),
        (MESSAGES, r#"{"model":"claude","max_tokens":"x"}"#, 400, json!({"type": "invalid_request_error"})),
        (
            "/v1/responses",
            r#"{"model":"gemini-ultra"}"#,
            402,
            json!({"code": "plan_required", "param": null, "type": "insufficient_quota"}),
        ),
    ] {
        let stream = post(&mut world, path, body);
        let Some(Seen::Reply(seen, reply)) = &world.streams[stream].seen else {
            panic!("{path}: {:?}", world.streams[stream].seen);
        };
        let mut own = reply["error"].clone();
        let message = own.as_object_mut().and_then(|error| error.remove("message"));
        assert_eq!((*seen, &own, message.as_ref()), (status, &error, Some(&reply["detail"])), "{path}");
    }
    world.check_at_rest();
}

#[test]
fn searches_without_a_price_are_marked_and_the_tokens_charged_for_what_they_are() {
    let mut world = world("free");
    let usage = json!({"promptTokenCount": 6, "candidatesTokenCount": 1, "thoughtsTokenCount": 2, "totalTokenCount": 9});
    let grounding = json!({"webSearchQueries": ["herons"]});
    let answer = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP",
        "groundingMetadata": grounding}], "usageMetadata": usage});
    let gemini = line(&mut world, GENERATE, "{}", (JSON, &answer.to_string()));
    assert_eq!((&gemini["charge"], &gemini["status"]), (&json!("3006.000000"), &json!("partial")));
    assert_eq!(world.metrics.get("bursar.unmetered_responses"), Some(&1));
    // With one, they are charged.
    let usage = json!({"input_tokens": 5, "output_tokens": 2, "server_tool_use": {"web_search_requests": 1}});
    let answer = json!({"content": [{"type": "text", "text": "x"}], "usage": usage});
    let claude = line(&mut world, MESSAGES, r#"{"model":"claude"}"#, (JSON, &answer.to_string()));
    assert_eq!((&claude["charge"], &claude["status"]), (&json!("12005.000000"), &json!("complete")));
    assert_eq!(world.metrics.get("bursar.unmetered_responses"), Some(&1));
}

#[test]
fn calls_of_tools_are_charged_where_they_have_a_price_and_marked_where_not() {
    let mut world = world("free");
    let call = |kind: &str| json!({"type": kind, "status": "completed"});
    let usage = json!({"input_tokens": 5, "output_tokens": 2, "total_tokens": 7});
    let answer = |calls: &[Value]| json!({"object": "response", "output": calls, "usage": usage}).to_string();
    let mut ask = |calls: &[Value]| {
        let answer = answer(calls);
        let line = line(&mut world, "/v1/responses", r#"{"model":"claude","input":"x"}"#, (JSON, &answer));
        (line["charge"].clone(), line["status"].clone())
    };
    let search = call("web_search_call");
    assert_eq!(ask(std::slice::from_ref(&search)), (json!("12005.000000"), json!("complete")));
    let all =
        [search, call("file_search_call"), call("code_interpreter_call"), call("image_generation_call")];
    assert_eq!(ask(&all), (json!("12005.000000"), json!("partial")));
    // What was left out is absent from the usage, and named in the log.
    let body = r#"{"model":"claude","input":"x"}"#;
    let line = line(&mut world, "/v1/responses", body, (JSON, &answer(&all)));
    assert_eq!(line["unpriced"], json!({"file_searches": 1, "code_runs": 1, "images": 1}));
    assert_eq!(line["usage"], json!({"requests": 1, "input_tokens": 5, "output_tokens": 2, "searches": 1}));
    assert_eq!(world.metrics.get("bursar.unmetered_responses"), Some(&2));
}

#[test]
fn tokens_of_images_that_another_model_made_are_marked_where_they_have_no_price_of_their_own() {
    let catalog = CATALOG.replace(
        "vectors:",
        "inked: { price: { per_unit: { input_tokens: 1, output_tokens: 1000, image_output_tokens: 9000 } } }\n  vectors:",
    );
    let mut world = World::with(1, &config("hold", ""), &catalog.replace("[text, ", "[inked, text, "));
    world.account("a", "free");
    let made = json!({"image_gen": {"input_tokens": 3, "output_tokens": 40, "total_tokens": 43}});
    let own = json!({"image_tokens": 40});
    for (model, tool, details, charge, unpriced) in [
        ("text", &made, Value::Null, "42008.000000", json!({"image_output_tokens": 40})),
        ("inked", &made, Value::Null, "362008.000000", Value::Null),
        // Those of the model itself are its own output.
        ("text", &Value::Null, own, "42005.000000", Value::Null),
    ] {
        let output = if details.is_null() { 2 } else { 42 };
        let usage = json!({"input_tokens": 5, "output_tokens": output, "output_tokens_details": details,
            "total_tokens": 5 + output});
        let answer = json!({"object": "response", "output": [], "usage": usage, "tool_usage": tool});
        let body = format!(r#"{{"model":"{model}","input":"x","max_output_tokens":9}}"#);
        let line = line(&mut world, "/v1/responses", &body, (JSON, &answer.to_string()));
        let status = if unpriced.is_null() { "complete" } else { "partial" };
        assert_eq!((&line["charge"], &line["status"]), (&json!(charge), &json!(status)), "{line}");
        assert_eq!(line["unpriced"], unpriced, "{line}");
    }
    assert_eq!(world.metrics.get("bursar.unmetered_responses"), Some(&1));
}

#[test]
fn calls_of_tools_that_a_broken_stream_told_of_are_charged_above_its_hold() {
    let drawn = "images: 20000, output_tokens";
    let catalog = CATALOG.replace("output_tokens: 1000, searches", &format!("{drawn}: 1000, searches"));
    let mut world = World::with(1, &config("hold", ""), &catalog);
    world.account("a", "free");
    let done = |kind: &str, n: usize| {
        let item = json!({"id": n, "type": kind, "status": "completed"});
        json!({"type": "response.output_item.done", "output_index": n, "item": item})
    };
    let text = json!({"type": "response.output_text.delta", "delta": "herons"});
    // Input of 17 tokens and output of ten are held.
    let body = r#"{"model":"claude","input":"x","stream":true,"max_output_tokens":10}"#;
    for (kind, count, charge, source, unpriced) in [
        ("web_search_call", 0, "2017.000000", "estimated", Value::Null),
        // What was counted is within the hold: with the estimate, up to it.
        ("web_search_call", 1, "10017.000000", "estimated", Value::Null),
        ("web_search_call", 20, "200000.000000", "counted", Value::Null),
        ("image_generation_call", 2, "40000.000000", "counted", Value::Null),
        ("file_search_call", 2, "2017.000000", "estimated", json!({"file_searches": 2})),
    ] {
        let told: Vec<_> = (0..count).map(|n| done(kind, n)).chain([text.clone()]).collect();
        let (line, posted) = broken_off(&mut world, "/v1/responses", body, (EVENTS, &events(&told)));
        assert_eq!((line["charge"].as_str(), &*posted), (Some(charge), charge), "{kind} {count} {line}");
        assert_eq!((line["source"].as_str(), &line["unpriced"]), (Some(source), &unpriced), "{line}");
    }
    world.check_at_rest();
}

#[test]
fn calls_of_tools_are_charged_by_the_prices_of_the_tier_that_served_them() {
    let priced =
        |searches: &str| format!("{{ per_unit: {{ input_tokens: 2, output_tokens: 2000{searches} }} }}");
    let tiers = format!(
        "tiered: {{ price: {}, service_tiers: {{ priority: {{ price: {} }}, flex: {{ price: {} }} }} }}\n  vectors:",
        priced(", file_searches: 3"),
        priced(", searches: 7"),
        priced(""),
    );
    let catalog = CATALOG.replace("vectors:", &tiers).replace("[text, ", "[tiered, text, ");
    let mut world = World::with(1, &config("hold", ""), &catalog);
    world.account("a", "free");
    let call = |kind: &str| json!({"type": kind, "status": "completed"});
    let calls = [call("web_search_call"), call("file_search_call")];
    for (tier, charge, unpriced) in [
        ("priority", "17.000000", json!({"file_searches": 1})),
        ("flex", "10.000000", json!({"searches": 1, "file_searches": 1})),
        ("default", "13.000000", json!({"searches": 1})),
    ] {
        let usage = json!({"input_tokens": 5, "output_tokens": 0, "total_tokens": 5});
        let answer = json!({"object": "response", "output": calls, "service_tier": tier, "usage": usage});
        let body = r#"{"model":"tiered","input":"x","max_output_tokens":9}"#;
        let line = line(&mut world, "/v1/responses", body, (JSON, &answer.to_string()));
        assert_eq!((&line["charge"], &line["unpriced"]), (&json!(charge), &unpriced), "{line}");
    }
}

//! What has a price and is counted by nobody is never for nothing: one of it was held, and one is charged.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use edge::settle::Origin;
use serde_json::Value;
use sim::{Seen, World, config};

const CATALOG: &str = r#"
name: Uncounted
parameters: { clip: seconds }
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  speech: { price: { per_unit: { characters: 2 } } }
  dearer: { price: { per_request: 1, per_unit: { characters: 2, pages: 0 } } }
  words: { price: { per_unit: { seconds: 3 }, per_1k: { input_tokens: 10 } } }
  drawn: { price: { per_1k: { input_tokens: 10, output_tokens: 20 }, per_unit: { images: 5 } }, max_output_default: 100 }
  seen: { price: { per_1k: { input_tokens: 10, output_tokens: 20 }, per_unit: { images: 5 } } }
  inked: { price: { per_1k: { input_tokens: 10, output_tokens: 20, image_output_tokens: 100 }, per_unit: { images: 5 } } }
  shown: { price: { per_1k: { input_tokens: 0, output_tokens: 0 }, per_unit: { images: 5 } } }
  mere: { price: { per_1k: { input_tokens: 10, output_tokens: 20 } } }
  spoken: { price: { per_1k: { input_tokens: 10, output_tokens: 20 }, per_unit: { seconds: 3 } } }
  film: { price: { per_unit: { seconds: 4 } }, quantity: { seconds: { parameter: clip, default: 5, max: 20 } } }
  call: { price: { per_unit: { characters: 7 } } }
  talk: { price: { per_request: 1, per_1k: { input_tokens: 10 } } }
plans:
  free: { price_usd: 0, cycle: P7D, grants: { weekly: 1000 } }
"#;

fn world() -> World {
    let routes = r#"{"path":"/v1/items","action":{"meter":"items"}},{"path":"/film","action":{"flat":"film"}},
        {"path":"/call","action":{"flat":"call"}},{"path":"/talk","action":{"flat":"talk"}}"#;
    let config = config("hold", "").replace(r#""routes":["#, &format!(r#""routes":[{routes},"#));
    let mut world = World::with(1, &config, CATALOG);
    world.account("a", "free");
    world
}

fn post(world: &mut World, path: &str, body: &str) -> usize {
    world.post("a", path, &[], body.as_bytes())
}

/// The line of a request that was answered so, once the ledger has posted the same.
fn line(world: &mut World, path: &str, body: &str, (kind, answer): (&str, &str)) -> Value {
    let stream = post(world, path, body);
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{body}");
    world.answer_headers(stream, 200, kind);
    world.answer_piece(stream, answer.as_bytes(), true);
    let line: Value = serde_json::from_str(&world.log(stream, Origin::Upstream)).expect("a line");
    world.pass(1_500);
    let posted = world.charge_entries("a").last().expect("a charge").amount;
    assert_eq!(line["charge"], posted.to_string(), "{line}");
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    assert!(world.book.incidents.is_empty(), "{:?}", world.book.incidents);
    line
}

fn unmetered(world: &mut World) -> i64 {
    world.pass(1_500);
    world.metrics.get("bursar.unmetered_responses").copied().unwrap_or(0)
}

const JSON: &str = "application/json";

#[test]
fn an_answer_that_counts_nothing_is_one_of_what_is_sold() {
    let mut world = world();
    for (n, (body, answer, charge)) in [
        (r#"{"model":"speech"}"#, (JSON, r#"{"id":"x"}"#), "2.000000"),
        (r#"{"model":"speech"}"#, (JSON, r#"{"usage":{"total_tokens":9}}"#), "2.000000"),
        (r#"{"model":"speech"}"#, ("audio/mpeg", "\u{1}sound"), "2.000000"),
        (r#"{"model":"dearer"}"#, (JSON, r#"{"id":"x"}"#), "3.000000"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = line(&mut world, "/v1/items", body, answer);
        assert_eq!((line["charge"].as_str(), &line["usage"]["characters"]), (Some(charge), &Value::from(1)));
        assert_eq!((line["source"].as_str(), line["status"].as_str()), (Some("estimated"), Some("failed")));
        assert_eq!(unmetered(&mut world), i64::try_from(n).expect("few") + 1);
    }
    // Where it is told, it is what it is: nothing too.
    for (count, charge) in [(120, "240.000000"), (0, "0.000000")] {
        let told = format!(r#"{{"usage":{{"characters":{count}}}}}"#);
        let line = line(&mut world, "/v1/items", r#"{"model":"speech"}"#, (JSON, &told));
        assert_eq!((line["charge"].as_str(), line["source"].as_str()), (Some(charge), Some("reported")));
        assert_eq!(line["status"], "complete");
    }
    assert_eq!(unmetered(&mut world), 4);
    world.check_at_rest();
}

#[test]
fn an_answer_that_counts_a_part_is_one_of_the_rest() {
    let mut world = world();
    let told = r#"{"usage":{"input_tokens":1000,"output_tokens":0}}"#;
    let reported = line(&mut world, "/v1/items", r#"{"model":"words"}"#, (JSON, told));
    assert_eq!(
        (reported["charge"].as_str(), reported["usage"]["seconds"].as_u64()),
        (Some("13.000000"), Some(1))
    );
    assert_eq!(
        (reported["source"].as_str(), reported["status"].as_str()),
        (Some("reported"), Some("partial"))
    );
    assert_eq!(unmetered(&mut world), 1);
    // Items that were counted, of a model that is sold by tokens too: those are estimated, within the hold.
    let body = r#"{"model":"drawn","prompt":"a cat"}"#;
    let drawn = line(&mut world, "/v1/items", body, (JSON, r#"{"data":[{"url":"u"}]}"#));
    let usage = &drawn["usage"];
    assert_eq!((usage["images"].as_u64(), usage["input_tokens"].as_u64()), (Some(1), Some(9)), "{drawn}");
    assert!(usage["output_tokens"].as_u64() > Some(0), "{drawn}");
    assert_eq!((drawn["source"].as_str(), drawn["status"].as_str()), (Some("estimated"), Some("failed")));
    let charge = tariff::Micros::parse(drawn["charge"].as_str().expect("text")).expect("amount");
    // 9 input tokens, at most 100 of output, one image.
    assert!((5_090_000..=7_090_000).contains(&charge.get()), "{drawn}");
    world.check_at_rest();
}

#[test]
fn images_beside_text_are_charged_where_the_answer_tells_of_them() {
    let mut world = world();
    let image = r#","completion_tokens_details":{"image_tokens":500}"#;
    let made =
        chat(image).replace(r#""completion_tokens":0,"total_tokens":1000"#, r#""completion_tokens":500"#);
    let text = sim::usage(1000, 0);
    for (model, answer, charge, status) in [
        ("seen", &text, "10.000000", "complete"),
        // Of these somebody has made one, and its tokens have no price of their own.
        ("seen", &made, "25.000000", "partial"),
        ("inked", &made, "60.000000", "complete"),
        // Nothing but images is sold.
        ("shown", &text, "5.000000", "partial"),
    ] {
        let body = format!(r#"{{"model":"{model}","max_tokens":10,"messages":[]}}"#);
        let line = line(&mut world, "/v1/chat/completions", &body, (JSON, answer));
        assert_eq!(
            (line["charge"].as_str(), line["status"].as_str()),
            (Some(charge), Some(status)),
            "{line}"
        );
    }
    assert_eq!(unmetered(&mut world), 2);
    world.check_at_rest();
}

/// The usage of a chat that has read so many tokens, of which its total tells no more, with other members.
fn chat(more: &str) -> String {
    format!(r#"{{"usage":{{"prompt_tokens":1000,"completion_tokens":0,"total_tokens":1000{more}}}}}"#)
}

#[test]
fn seconds_beside_tokens_are_charged_where_they_are_sold() {
    let mut world = world();
    let sound = "A".repeat(64_000);
    let heard = format!(
        r#""messages":[{{"content":[{{"type":"input_audio","input_audio":{{"data":"{sound}","format":"mp3"}}}}]}}]"#
    );
    let plain = r#""messages":[]"#;
    let told = chat(r#","prompt_audio_seconds":4"#);
    let untold = chat("");
    let none = chat(r#","prompt_audio_seconds":0"#);
    for (model, messages, answer, charge, seconds) in [
        ("mere", &*heard, &told, "10.000000", None),
        ("spoken", &heard, &told, "22.000000", Some(4)),
        ("spoken", &heard, &none, "10.000000", Some(0)),
        ("spoken", plain, &untold, "10.000000", None),
        // What was sent and nobody counts: 48,000 bytes.
        ("spoken", &heard, &untold, "19.000000", Some(3)),
    ] {
        let body = format!(r#"{{"model":"{model}","max_tokens":1,{messages}}}"#);
        let line = line(&mut world, "/v1/chat/completions", &body, (JSON, answer));
        assert_eq!(
            (line["charge"].as_str(), line["usage"]["seconds"].as_u64()),
            (Some(charge), seconds),
            "{line}"
        );
        assert_eq!(line["source"], "reported");
    }
    world.check_at_rest();
}

#[test]
fn a_total_at_odds_is_counted_and_told() {
    let mut world = world();
    let body = r#"{"model":"mere","max_tokens":1,"messages":[]}"#;
    for (total, is_told) in [(1000, false), (1001, true), (999, true)] {
        let answer = chat("").replace("1000}}", &format!("{total}}}}}"));
        let line = line(&mut world, "/v1/chat/completions", body, (JSON, &answer));
        assert_eq!(line.get("total_mismatch"), is_told.then_some(&Value::Bool(true)), "{line}");
    }
    world.pass(1_500);
    assert_eq!(world.metrics.get("bursar.total_mismatches"), Some(&2));
    world.check_at_rest();
}

#[test]
fn a_flat_operation_is_what_it_was_held_for() {
    let mut world = world();
    for (path, charge, meter, count) in
        [("/film", "20.000000", "seconds", 5), ("/call", "7.000000", "characters", 1)]
    {
        let line = line(&mut world, path, "{}", (JSON, "{}"));
        assert_eq!((line["charge"].as_str(), line["usage"][meter].as_u64()), (Some(charge), Some(count)));
        assert_eq!(line["source"], "counted");
    }
    // Nobody reads the tokens of one.
    let stream = post(&mut world, "/talk", "{}");
    let Some(Seen::Reply(400, body)) = &world.streams[stream].seen else {
        panic!("{:?}", world.streams[stream].seen);
    };
    assert_eq!(body["code"], "unknown_model");
    world.check_at_rest();
}

#[test]
fn w3_only_where_the_catalog_says_that_n_counts_does_it_multiply() {
    for (parameters, seconds) in [("{ clip: seconds }", 7), ("{ clip: seconds, batch: n }", 21)] {
        let catalog = CATALOG.replacen("{ clip: seconds }", parameters, 1);
        let routes = r#""routes":[{"path":"/v1/items","action":{"meter":"items"}},"#;
        let mut world = World::with(1, &config("hold", "").replace(r#""routes":["#, routes), &catalog);
        world.account("a", "free");
        let body = r#"{"model":"film","n":3,"seconds":7}"#;
        let line = line(&mut world, "/v1/items", body, (JSON, r#"{"id":"job"}"#));
        assert_eq!(line["usage"]["seconds"].as_u64(), Some(seconds), "{line}");
        assert_eq!(line["charge"], format!("{}.000000", seconds * 4));
    }
}

//! What requests state beside their model: prices by it, bounds on it, counts from it; and what goes upstream.
#![expect(clippy::panic, clippy::expect_used, reason = "tests may fail loudly")]

use edge::settle::Origin;
use serde_json::Value;
use sim::{Seen, World, config};

const CATALOG: &str = r#"
name: Pictures
links: { top_up: "https://p.example/buy", upgrade: "https://p.example/plans", contact: "https://p.example/ask" }
features:
  uncensored: {}
  speed: { levels: [standard, fastest], header: x-speed }
parameters:
  batch: n
  size: size
  seconds: video.seconds
  images: { member: images, read: items }
  text: { member: input, read: characters }
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  picture:
    aliases: ["picture-2*"]
    price: { per_unit: { images: 10 } }
    quantity: { images: { parameter: batch, max: 64 } }
    variants:
      large: { when: { size: ["2048", "2048x2048"] }, price: { per_unit: { images: 40 } } }
  film:
    price: { per_unit: { seconds: 4 } }
    quantity: { seconds: { parameter: seconds, default: 5, max: 60 } }
  speech:
    price: { per_1k: { characters: 500 } }
    quantity: { characters: text }
  training:
    price: { per_request: 1 }
  bare:
    price: { per_unit: { images: 10 } }
    feature: uncensored
    quantity: { images: 1 }
plans:
  free:
    price_usd: 0
    cycle: P7D
    grants: { weekly: 1000 }
    request_limits: { batch: 1, images: 30 }
    levels: { speed: standard }
  pro:
    price_usd: 20
    cycle: P7D
    grants: { weekly: 1000 }
    request_limits: { batch: 8, images: 30 }
    features: [uncensored]
    levels: { speed: fastest }
    prices: { film: { per_unit: { seconds: 2 } } }
    limits: [{ meter: characters, window: day, max: 100 }]
  max:
    public: false
    price_usd: 100
    cycle: P7D
    grants: { weekly: 1000 }
    request_limits: { batch: null, text: 200 }
    prices: { picture@large: { per_unit: { images: 30 } } }
"#;

fn world(mode: &str) -> World {
    let routes = r#"{"path":"/v1/videos","action":{"meter":"items"}},{"path":"/v1/training","action":{"meter":"items"}}"#;
    let config = config(mode, "").replace(r#""routes":["#, &format!(r#""routes":[{routes},"#));
    let mut world = World::with(1, &config, CATALOG);
    for plan in ["free", "pro", "max"] {
        world.account(plan, plan);
    }
    world
}

fn post(world: &mut World, account: &str, path: &str, body: &str) -> usize {
    world.post(account, path, &[("x-speed", "fastest")], body.as_bytes())
}

fn picture(world: &mut World, account: &str, body: &str) -> usize {
    post(world, account, "/v1/images/generations", body)
}

fn reply(world: &World, stream: usize) -> (u32, Value) {
    match world.streams[stream].seen.clone() {
        Some(Seen::Reply(status, body)) => (status, body),
        other => panic!("expected a reply, saw {other:?}"),
    }
}

/// What an answered request is charged as, with its usage.
fn charged(world: &mut World, stream: usize, answer: &str) -> (String, String, Value) {
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{:?}", world.streams[stream].seen);
    let line: Value = serde_json::from_str(&world.answer(stream, 200, answer)).expect("a line");
    let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
    (text("model"), text("charge"), line["usage"].clone())
}

fn images(count: usize) -> String {
    format!(r#"{{"created":1,"data":[{}]}}"#, vec![r#"{"url":"u"}"#; count].join(","))
}

#[test]
fn w3_a_batch_holds_n_prices_and_settles_per_delivered_item() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode);
        let stream = picture(&mut world, "pro", r#"{"model":"picture","prompt":"a cat","n":4}"#);
        let held = |world: &World| {
            let node = serde_json::to_value(&world.syncs.last().expect("a sync").wants).expect("JSON");
            node.to_string()
        };
        assert!(held(&world).contains(r#""need":40000000"#), "4 x 10 credits: {}", held(&world));
        let (model, charge, usage) = charged(&mut world, stream, &images(3));
        assert_eq!((model.as_str(), charge.as_str()), ("picture", "30.000000"), "{mode}");
        assert_eq!(usage["images"], 3);
        world.check_at_rest();
    }
}

#[test]
fn w3_the_price_follows_the_options() {
    let mut world = world("hold");
    for (body, model, charge) in [
        (r#"{"model":"picture"}"#, "picture", "10.000000"),
        (r#"{"model":"picture-2026","size":"1024x1024"}"#, "picture", "10.000000"),
        (r#"{"model":"picture","size":"2048x2048"}"#, "picture@large", "40.000000"),
        (r#"{"model":"picture","size":2048}"#, "picture@large", "40.000000"),
        (r#"{"size":"2048","n":1,"model":"picture-2"}"#, "picture@large", "40.000000"),
        (r#"{"model":"picture","size":" 2048X2048"}"#, "picture@large", "40.000000"),
        (r#"{"model":"picture","size":"+02048"}"#, "picture@large", "40.000000"),
        (r#"{"model":"picture","opt":{"size":"2048"}}"#, "picture", "10.000000"),
    ] {
        let stream = picture(&mut world, "pro", body);
        let (as_model, charged, _) = charged(&mut world, stream, &images(1));
        assert_eq!((as_model.as_str(), charged.as_str()), (model, charge), "{body}");
    }
    for body in [
        r#"{"model":"picture@large","size":"2048"}"#,
        r#"{"model":"picture","Size":"2048"}"#,
        r#"{"model":"picture","size":["2048"]}"#,
        r#"{"model":"picture","n":65}"#,
        r#"{"model":"film","video":{"seconds":0}}"#,
        r#"{"model":"film","video":{"seconds":"0"}}"#,
        r#"{"model":"film","video":{"seconds":5,"seconds":60}}"#,
        r#"{"model":"film","video":{"seconds":5.5}}"#,
        r#"{"model":"film","video":{"seconds":"long"}}"#,
    ] {
        let path = if body.contains("film") { "/v1/videos" } else { "/v1/images/generations" };
        let stream = post(&mut world, "max", path, body);
        assert_eq!(reply(&world, stream).0, 400, "{body}");
    }
}

#[test]
fn w3_a_job_is_charged_by_what_it_asks_for() {
    let mut world = world("hold");
    let job = r#"{"id":"job_1","status":"queued"}"#;
    for (account, body, charge, seconds) in [
        ("free", r#"{"model":"film"}"#, "20.000000", 5),
        ("free", r#"{"model":"film","video":{"seconds":12}}"#, "48.000000", 12),
        ("max", r#"{"model":"film","n":3,"video":{"seconds":"10"}}"#, "120.000000", 30),
    ] {
        let stream = post(&mut world, account, "/v1/videos", body);
        let (_, charged, usage) = charged(&mut world, stream, job);
        assert_eq!((charged.as_str(), &usage["seconds"]), (charge, &Value::from(seconds)), "{body}");
    }
    // An answer that failed, and one that was cut before its first item, deliver nothing.
    let stream = picture(&mut world, "pro", r#"{"model":"picture","n":2}"#);
    let line = world.answer(stream, 200, r#"{"error":{"message":"no"}}"#);
    assert!(line.contains(r#""outcome":"released""#), "{line}");
    let stream = picture(&mut world, "pro", r#"{"model":"picture","n":2}"#);
    world.answer_headers(stream, 200, "application/json");
    world.answer_piece(stream, br#"{"created":1,"data":[{"url":"a"},"#, false);
    let line = world.leave(stream);
    assert!(line.contains(r#""charge":"10.000000""#) && line.contains(r#""status":"partial""#), "{line}");
    world.check_at_rest();
}

#[test]
fn w3_events_and_pictures_themselves_are_charged_by_what_was_asked_for() {
    let mut world = world("hold");
    let events = concat!(
        "event: image_generation.partial_image\ndata: {\"b64_json\":\"aa\"}\n\n",
        "event: image_generation.completed\ndata: {\"b64_json\":\"aaaa\"}\n\n",
    );
    for (body, kind, answer) in [
        (r#"{"model":"picture","n":2,"stream":true}"#, "text/event-stream", events),
        (r#"{"model":"picture","n":2}"#, "text/event-stream", events),
        (r#"{"model":"picture","n":2}"#, "image/png", "PNG and so on"),
        (r#"{"model":"picture","n":2}"#, "application/json", "\u{feff}{\"picture\":\"aaaa\"}"),
    ] {
        let stream = picture(&mut world, "pro", body);
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{body}");
        world.answer_headers(stream, 200, kind);
        world.answer_piece(stream, answer.as_bytes(), true);
        let line = world.log(stream, Origin::Upstream);
        assert!(line.contains(r#""charge":"20.000000""#), "{kind}: {line}");
    }
    world.check_at_rest();
}

/// A document that was cut says what was delivered, events that were cut do not; what the answer counts itself goes
/// before the length of its list, and tokens are nothing to a model that is sold by the picture.
#[test]
fn w3_a_cut_answer_is_charged_by_what_it_tells() {
    let mut world = world("hold");
    let events = "event: image_generation.partial_image\ndata: {\"b64_json\":\"aa\"}\n\n";
    for (answer, kind, charge) in [
        (events, "text/event-stream", "20.000000"),
        (r#"{"created":1,"#, "application/json", "0.000000"),
        (r#"{"created":1,"data":["#, "application/json", "0.000000"),
    ] {
        let stream = picture(&mut world, "pro", r#"{"model":"picture","n":2}"#);
        world.answer_headers(stream, 200, kind);
        world.answer_piece(stream, answer.as_bytes(), false);
        let line = world.leave(stream);
        assert!(line.contains(&format!(r#""charge":"{charge}""#)), "{answer}: {line}");
    }
    let stream = picture(&mut world, "pro", r#"{"model":"picture","n":3}"#);
    let told =
        r#"{"data":[1,2,3],"usage":{"images":2,"input_tokens":5,"output_tokens":7,"total_tokens":12}}"#;
    let (_, charge, usage) = charged(&mut world, stream, told);
    assert_eq!(
        (charge.as_str(), usage.to_string()),
        ("20.000000", r#"{"images":2,"requests":1}"#.to_owned())
    );
    world.check_at_rest();
}

#[test]
fn c12_a_plan_s_own_prices_stand_in_the_place_of_the_model_s() {
    let mut world = world("hold");
    let stream = post(&mut world, "pro", "/v1/videos", r#"{"model":"film"}"#);
    assert_eq!(charged(&mut world, stream, "{}").1, "10.000000");
}

#[test]
fn c12_a_plan_s_own_price_of_a_variant_is_for_that_variant_alone() {
    let mut world = world("hold");
    for (account, size, charge) in
        [("pro", "2048", "40.000000"), ("max", "2048", "30.000000"), ("max", "512", "10.000000")]
    {
        let stream = picture(&mut world, account, &format!(r#"{{"model":"picture","size":"{size}"}}"#));
        let (model, charged, _) = charged(&mut world, stream, &images(1));
        assert_eq!(charged, charge, "{account} {size}");
        assert_eq!(model, if size == "2048" { "picture@large" } else { "picture" });
    }
    world.check_at_rest();
}

#[test]
fn a_text_is_charged_and_bounded_by_its_characters() {
    let mut world = world("hold");
    let speech = |text: &str| format!(r#"{{"model":"speech","input":"{text}"}}"#);
    // Ten letters in more bytes, and eighty of which the filter keeps none.
    for (text, charge, characters) in
        [(r"größen\u00e4ößü", "5.000000", 10), (&*"é".repeat(80), "40.000000", 80)]
    {
        let stream = post(&mut world, "pro", "/v1/videos", &speech(text));
        let (_, charged, usage) = charged(&mut world, stream, "ID3");
        assert_eq!((charged.as_str(), &usage["characters"]), (charge, &Value::from(characters)), "{text}");
    }
    // Ten are left of the day's hundred.
    let stream = post(&mut world, "pro", "/v1/videos", &speech("eleven char"));
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["limit"].as_str()), (402, Some("characters/day")), "{body}");
    let stream = post(&mut world, "max", "/v1/videos", &speech(&"x".repeat(201)));
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["limit"].as_str()), (402, Some("text")), "{body}");
    let stream = post(&mut world, "pro", "/v1/videos", r#"{"model":"speech","input":["a","b"]}"#);
    assert_eq!(reply(&world, stream).0, 400);
    world.check_at_rest();
}

#[test]
fn w4_a_batch_over_the_cap_is_402_and_names_the_plan_that_unlocks_it() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode);
        let stream = picture(&mut world, "free", r#"{"model":"picture","n":1}"#);
        charged(&mut world, stream, &images(1));
        let stream = picture(&mut world, "free", r#"{"model":"picture","n":2}"#);
        let (status, body) = reply(&world, stream);
        assert_eq!((status, body["code"].as_str()), (402, Some("limit_reached")), "{mode} {body}");
        assert_eq!((body["limit_source"].as_str(), body["limit"].as_str()), (Some("request"), Some("batch")));
        assert_eq!(body["unlocks"][0]["plan"], "pro");
        assert_eq!((body.get("contact_url"), body.get("top_up_url")), (None, None), "credits would not help");
        // Only the plan that nobody can choose has more than 8.
        let stream = picture(&mut world, "pro", r#"{"model":"picture","n":9}"#);
        let (status, body) = reply(&world, stream);
        assert_eq!((status, body["contact_url"].as_str()), (402, Some("https://p.example/ask")), "{body}");
        assert_eq!(body.get("unlocks"), None);
        let stream = picture(&mut world, "max", r#"{"model":"picture","n":64}"#);
        charged(&mut world, stream, &images(64));
        world.check_at_rest();
    }
}

#[test]
fn w6_the_items_of_a_list_are_bounded() {
    let mut world = world("hold");
    let training =
        |count: usize| format!(r#"{{"model":"training","images":[{}]}}"#, vec!["\"i\""; count].join(","));
    let stream = post(&mut world, "pro", "/v1/training", &training(30));
    assert_eq!(charged(&mut world, stream, r#"{"id":"t"}"#).1, "1.000000");
    let stream = post(&mut world, "pro", "/v1/training", &training(31));
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["limit"].as_str()), (402, Some("images")), "{body}");
}

#[test]
fn w7_levels_go_upstream_as_headers_and_clients_cannot_make_them_up() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode);
        for (account, level) in [("free", Some("standard")), ("pro", Some("fastest")), ("max", None)] {
            // The key and the plan are known or not.
            for round in 0..2 {
                let stream = picture(&mut world, account, r#"{"model":"picture"}"#);
                let client = &world.streams[stream];
                let set =
                    client.set.iter().find(|(name, _)| name == "x-speed").map(|(_, value)| value.as_str());
                assert_eq!(set, level, "{mode} {account} {round}");
                assert_eq!(
                    client.removed.contains(&"x-speed".to_owned()),
                    level.is_none(),
                    "{mode} {account}"
                );
                world.answer(stream, 200, &images(1));
            }
        }
    }
}

#[test]
fn l3_a_gate_that_no_public_plan_opens_names_whom_to_ask() {
    let mut world = world("hold");
    let stream = picture(&mut world, "free", r#"{"model":"bare"}"#);
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["code"].as_str()), (402, Some("plan_required")));
    assert_eq!((body["unlocks"][0]["plan"].as_str(), body.get("contact_url")), (Some("pro"), None));
}

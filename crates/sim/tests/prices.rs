//! What a request costs by what was served: long inputs, tiers of service, routers; and what the provider says of it.
//! Edge and ledger reckon apart, and must come to the same.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use edge::settle::Origin;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use sim::{Seen, World, config};

const CATALOG: &str = r"
name: Prices
parameters: { size: size }
pools:
  weekly: { order: 1, expiry: cycle_end }
  jobs: { order: 2, expiry: never, asset: job }
models:
  chat:
    price:
      per_unit: { input_tokens: 1, cached_tokens: 0.1, output_tokens: 100 }
      above: [{ input_tokens: 1000, per_unit: { input_tokens: 2, cached_tokens: 0.2, output_tokens: 300 } }]
    cost: { per_unit: { input_tokens: 0.001, output_tokens: 0.01 } }
    variants:
      large: { when: { size: large }, price: { per_unit: { input_tokens: 10, output_tokens: 1000 } } }
    service_tiers:
      priority: { factor: 1.5 }
      flex: { price: { per_unit: { input_tokens: 0.3, output_tokens: 30 } } }
      standard: { factor: 0.9 }
      fast: { factor: 1.5 }
      us: { factor: 1.1 }
    max_output_default: 10
  plain: { price: { per_unit: { input_tokens: 1, output_tokens: 100 } }, max_output_default: 10 }
  router:
    aliases: [auto]
    price: { per_unit: { input_tokens: 7, output_tokens: 700 } }
    charge: answered
    max_output_default: 10
  train: { asset: job, price: { per_request: 1 } }
plans:
  free: { price_usd: 0, cycle: P7D, grants: { weekly: 900000000 } }
  own:
    extends: free
    price_usd: 1
    prices: { chat: { per_unit: { input_tokens: 2, cached_tokens: 2, output_tokens: 10 } } }
    limits: [{ meter: cost_usd, window: cycle, max: 100000, models: [chat] }]
    models: [chat, router]
";

fn world(plan: &str) -> World {
    let mut world = World::with(1, &config("hold", ""), CATALOG);
    world.account("a", plan);
    world
}

fn chat(world: &mut World, body: &Value) -> usize {
    let body = body.to_string();
    let stream = world.chat(0, "a", &body);
    world.body(stream);
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{body}");
    stream
}

/// The line of a request that was answered so, once the ledger has posted the same.
fn line(world: &mut World, body: &Value, answer: &Value) -> Value {
    let stream = chat(world, body);
    let line: Value = serde_json::from_str(&world.answer(stream, 200, &answer.to_string())).expect("a line");
    world.pass(1_500);
    let posted = world.charge_entries("a").last().expect("a charge").amount;
    assert_eq!(line["charge"], posted.to_string(), "{line}");
    assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
    line
}

fn charge(world: &mut World, body: &Value, answer: &Value) -> String {
    line(world, body, answer)["charge"].as_str().expect("a charge").trim_end_matches(".000000").to_owned()
}

fn used(prompt: u64, completion: u64) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

#[test]
fn a_long_input_has_its_own_prices_for_all_of_the_request() {
    let mut world = world("free");
    let ask = json!({"model": "chat"});
    let answer = |usage: Value| json!({"usage": usage});
    assert_eq!(charge(&mut world, &ask, &answer(used(1_000, 2))), "1200");
    assert_eq!(charge(&mut world, &ask, &answer(used(1_001, 2))), "2602");
    // What was cached makes an input long as well.
    let mut cached = used(2_000, 2);
    cached["prompt_tokens_details"] = json!({"cached_tokens": 1_500});
    assert_eq!(charge(&mut world, &ask, &answer(cached)), "1900");
    world.check_at_rest();
}

#[test]
fn a_hold_is_laid_at_the_context_tier_of_its_estimate() {
    let mut world = world("free");
    // 4,000 bytes are estimated as 1,000 tokens, one more as 1,001.
    let held = |world: &mut World, bytes: usize| {
        let frame = json!({"model": "chat", "input": ""}).to_string().len();
        let stream = chat(world, &json!({"model": "chat", "input": "x".repeat(bytes - frame)}));
        world.answer(stream, 200, &json!({"usage": used(1, 1)}).to_string());
        world.pass(1_500);
        world.charge_entries("a").last().expect("a charge").takes[0].held.to_string()
    };
    assert_eq!(held(&mut world, 4_000), "2000.000000");
    assert_eq!(held(&mut world, 4_001), "5002.000000");
}

#[test]
fn the_tier_that_was_served_is_charged_else_the_dearer_one_that_was_asked_for() {
    let mut world = world("free");
    let body = |tier: Value| json!({"model": "chat", "service_tier": tier});
    let answer = |tier: Value| json!({"service_tier": tier, "usage": used(10, 2)});
    let mut cost = |asked: Value, served: Value| {
        let line = line(&mut world, &body(asked), &answer(served));
        let charge = line["charge"].as_str().expect("a charge").trim_end_matches(".000000").to_owned();
        (charge, line["service_tier"].as_str().map(str::to_owned))
    };
    let of = |charge: &str, tier: Option<&str>| (charge.to_owned(), tier.map(str::to_owned));
    let none = Value::Null;
    assert_eq!(cost(json!("priority"), json!("priority")), of("315", Some("priority")));
    assert_eq!(cost(json!("priority"), json!("default")), of("210", None));
    assert_eq!(cost(none.clone(), json!("Priority")), of("315", Some("priority")));
    assert_eq!(cost(json!("priority"), none.clone()), of("315", Some("priority")));
    assert_eq!(cost(json!("flex"), json!("flex")), of("63", Some("flex")));
    // No client gives itself a discount: an upstream that ignores the member serves at the usual price.
    assert_eq!(cost(json!("flex"), none.clone()), of("210", None));
    assert_eq!(cost(json!("Standard"), none.clone()), of("210", None));
    assert_eq!(cost(json!("flex"), json!("priority")), of("315", Some("priority")));
    assert_eq!(cost(json!("auto"), none.clone()), of("210", None));
    assert_eq!(cost(json!("auto"), json!("auto")), of("210", None));
    assert_eq!(cost(json!(7), none.clone()), of("210", None));
    // Listed, the usual one is told apart; what is not listed costs the model's price and is told of.
    assert_eq!(cost(none.clone(), json!("standard")), of("189", Some("standard")));
    assert_eq!(cost(none, json!("scale")), of("210", Some("scale")));
    world.check_at_rest();
}

/// Where an answer was served is a tier beside its usual one alone: no other that was asked for, or is sold, gives way.
#[test]
fn a_region_is_a_tier_where_no_other_is_known() {
    let routes = r#"{"path":"/own","action":{"meter":"anthropic_messages"}},
        {"path":"/batch","action":{"meter":"anthropic_messages"},"service_tier":"flex"}"#;
    let config = config("hold", "").replace(r#""routes":["#, &format!(r#""routes":[{routes},"#));
    let mut world = World::with(1, &config, CATALOG);
    world.account("a", "free");
    let mut cost = |path: &str, asked: Value, served: Value| {
        let body = json!({"model": "chat", "service_tier": asked, "max_tokens": 100}).to_string();
        let stream = world.post("a", path, &[], body.as_bytes());
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{body}");
        let usage =
            json!({"input_tokens": 10, "output_tokens": 2, "inference_geo": "us", "service_tier": served});
        let answer = json!({"type": "message", "model": "chat", "usage": usage}).to_string();
        let line: Value = serde_json::from_str(&world.answer(stream, 200, &answer)).expect("a line");
        world.pass(1_500);
        assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
        let charge = line["charge"].as_str().expect("text").trim_end_matches(".000000").to_owned();
        (charge, line["service_tier"].as_str().map(str::to_owned))
    };
    let of = |charge: &str, tier: &str| (charge.to_owned(), Some(tier.to_owned()));
    let none = Value::Null;
    assert_eq!(cost("/own", none.clone(), json!("standard")), of("231", "us"));
    assert_eq!(cost("/own", none.clone(), none.clone()), of("231", "us"));
    assert_eq!(cost("/own", json!("default"), none.clone()), of("231", "us"));
    assert_eq!(cost("/own", none.clone(), json!("priority")), of("315", "priority"));
    assert_eq!(cost("/own", json!("priority"), none.clone()), of("315", "priority"));
    assert_eq!(cost("/batch", none.clone(), none), of("63", "flex"));
    world.check_at_rest();
}

/// What a route is sold in holds and is charged where the answer does not say another: no client chooses it.
#[test]
fn a_route_has_a_tier_of_its_own() {
    let routes = r#"{"path":"/batch","action":{"meter":"openai_chat"},"service_tier":"flex"}"#;
    let config = config("hold", "").replace(r#""routes":["#, &format!(r#""routes":[{routes},"#));
    let mut world = World::with(1, &config, CATALOG);
    world.account("a", "free");
    let mut cost = |model: &str, asked: Value, served: Value| {
        let body = json!({"model": model, "service_tier": asked, "max_tokens": 100}).to_string();
        let stream = world.post("a", "/batch", &[], body.as_bytes());
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{body}");
        let answer = json!({"model": "chat", "service_tier": served, "usage": used(10, 2)}).to_string();
        let line: Value = serde_json::from_str(&world.answer(stream, 200, &answer)).expect("a line");
        world.pass(1_500);
        let entry = world.charge_entries("a").last().expect("a charge").clone();
        assert_eq!(line["charge"], entry.amount.to_string(), "{line}");
        assert_eq!(world.book.counters.price_mismatches, 0, "{line}");
        let whole = |text: &str| text.trim_end_matches(".000000").to_owned();
        let held = (entry.takes[0].held.get() / 1_000_000 / 100 * 100).to_string();
        (
            held,
            whole(line["charge"].as_str().expect("text")),
            line["service_tier"].as_str().map(str::to_owned),
        )
    };
    let of = |held: &str, charge: &str, tier: Option<&str>| {
        (held.to_owned(), charge.to_owned(), tier.map(str::to_owned))
    };
    let none = Value::Null;
    assert_eq!(cost("chat", none.clone(), none.clone()), of("3000", "63", Some("flex")));
    // The answer's own word, a usual one too.
    assert_eq!(cost("chat", none.clone(), json!("priority")), of("3000", "315", Some("priority")));
    assert_eq!(cost("chat", none.clone(), json!("default")), of("3000", "210", None));
    // What costs more than the route's tier may be asked for.
    assert_eq!(cost("chat", json!("priority"), none.clone()), of("15000", "315", Some("priority")));
    assert_eq!(cost("chat", json!("standard"), none.clone()), of("9000", "189", Some("standard")));
    assert_eq!(cost("chat", json!("flex"), none.clone()), of("3000", "63", Some("flex")));
    assert_eq!(cost("chat", json!("default"), none.clone()), of("3000", "63", Some("flex")));
    assert_eq!(cost("chat", json!("auto"), none.clone()), of("15000", "63", Some("flex")));
    // A model that is not sold in that tier costs what it costs, and a router what the one costs that answered.
    assert_eq!(cost("plain", none.clone(), none.clone()), of("10000", "210", None));
    assert_eq!(cost("router", none.clone(), none), of("70000", "63", Some("flex")));
    world.check_at_rest();
}

#[test]
fn amazon_s_member_asks_for_a_tier_too() {
    let mut world = world("free");
    let ask = json!({"model": "chat", "serviceTier": {"type": "priority"}});
    let said = line(&mut world, &ask, &json!({"usage": used(10, 2)}));
    assert_eq!((&said["charge"], &said["service_tier"]), (&json!("315.000000"), &json!("priority")));
    world.check_at_rest();
}

#[test]
fn anthropic_s_fast_mode_is_a_tier() {
    let mut world = world("free");
    let answer = json!({"usage": used(10, 2)});
    let asks = |speed: Value, tier: &str| json!({"model": "chat", "speed": speed, "service_tier": tier});
    assert_eq!(charge(&mut world, &asks(json!("fast"), "auto"), &answer), "315");
    // How fast a text is spoken is a number, and no tier.
    assert_eq!(charge(&mut world, &asks(json!(1.5), "default"), &answer), "210");
    assert_eq!(charge(&mut world, &asks(json!("standard"), "default"), &answer), "210");
    world.check_at_rest();
}

#[test]
fn a_factor_is_times_whatever_price_holds_otherwise_and_a_price_replaces_it() {
    let answer = |tier: &str, prompt| json!({"service_tier": tier, "usage": used(prompt, 2)});
    let mut free = world("free");
    let large = json!({"model": "chat", "size": "large"});
    assert_eq!(charge(&mut free, &large, &answer("priority", 10)), "3150");
    assert_eq!(charge(&mut free, &large, &answer("flex", 10)), "63");
    assert_eq!(charge(&mut free, &json!({"model": "chat"}), &answer("priority", 1_001)), "3903");
    assert_eq!(
        free.charge_entries("a").map(|charge| &*charge.model).collect::<Vec<_>>(),
        ["chat@large", "chat@large", "chat"]
    );
    let mut own = world("own");
    let plain = json!({"model": "chat"});
    assert_eq!(charge(&mut own, &plain, &answer("default", 10)), "40");
    assert_eq!(charge(&mut own, &plain, &answer("priority", 10)), "60");
    assert_eq!(charge(&mut own, &plain, &answer("flex", 10)), "63");
    // The provider's cost is so many times as much too: 10 * 0.001 + 2 * 0.01 dollars.
    let costs: Vec<String> = own.charge_entries("a").map(|charge| charge.cost.to_string()).collect();
    assert_eq!(costs, ["0.030000", "0.045000", "0.030000"]);
    let used = own
        .charge_entries("a")
        .map(|charge| charge.takes.iter().map(|take| take.used.to_string()).collect::<Vec<_>>());
    assert_eq!(
        used.collect::<Vec<_>>(),
        [["40.000000", "0.030000"], ["60.000000", "0.045000"], ["63.000000", "0.030000"]]
    );
    own.check_at_rest();
    free.check_at_rest();
}

#[test]
fn a_hold_covers_the_tier_that_is_asked_for() {
    let mut world = world("free");
    let mut held = |tier: Value| {
        let stream =
            chat(&mut world, &json!({"model": "chat", "input": "x".repeat(60), "service_tier": tier}));
        world.answer(stream, 200, &json!({"usage": used(1, 1)}).to_string());
        world.pass(1_500);
        let charge = world.charge_entries("a").last().expect("a charge");
        let input = json!({"model": "chat", "input": "x".repeat(60), "service_tier": tier}).to_string().len();
        (charge.takes[0].held.get(), i64::try_from(input.div_ceil(4)).expect("short") * 1_000_000)
    };
    for (tier, of) in [
        (json!("priority"), 15),
        (json!("flex"), 10),
        (json!("standard"), 10),
        (json!("default"), 10),
        (json!("unknown"), 10),
        (json!("auto"), 15),
        (json!({"a": 1}), 15),
    ] {
        let (held, input) = held(tier.clone());
        assert_eq!(held, (input + 1_000_000_000) * of / 10, "{tier}");
    }
}

#[test]
fn a_router_is_charged_by_the_model_that_answered() {
    let mut world = world("own");
    let ask = json!({"model": "auto"});
    let answer = |model: &str| json!({"model": model, "usage": used(10, 2)});
    // The plan's own price of the model that answered; its price where there is none; the router's where it is not known, is
    // paid in something else, or is not named.
    assert_eq!(charge(&mut world, &ask, &answer("chat")), "40");
    assert_eq!(charge(&mut world, &ask, &answer("plain")), "210");
    for other in ["unknown", "train", "router", "auto", ""] {
        assert_eq!(charge(&mut world, &ask, &answer(other)), "1470", "{other}");
    }
    let tier = json!({"model": "chat", "service_tier": "priority", "usage": used(10, 2)});
    assert_eq!(charge(&mut world, &ask, &tier), "60");
    // Where the answer names no tier, the one that was asked for counts by the prices of the model that answered: here
    // `flex` costs more than the plan's own price, and `standard` less.
    for (tier, by, charged) in [
        ("priority", "chat", "60"),
        ("Priority", "chat", "60"),
        ("flex", "chat", "63"),
        ("standard", "chat", "40"),
        ("auto", "chat", "40"),
        ("scale", "chat", "40"),
        ("priority", "plain", "210"),
        ("priority", "unknown", "1470"),
    ] {
        let ask = json!({"model": "auto", "service_tier": tier});
        assert_eq!(charge(&mut world, &ask, &answer(by)), charged, "{tier} by {by}");
    }
    let served = json!({"model": "chat", "service_tier": "default", "usage": used(10, 2)});
    assert_eq!(charge(&mut world, &json!({"model": "auto", "service_tier": "priority"}), &served), "40");
    // What is asked for by name is charged by that name, whoever answers.
    assert_eq!(charge(&mut world, &json!({"model": "chat"}), &answer("plain")), "40");
    let first = world.charge_entries("a").next().expect("a charge");
    assert_eq!((&*first.model, first.answered_model.as_deref()), ("router", Some("chat")));
    world.check_at_rest();
}

/// No client has another model answer at the price of the one that it names.
#[test]
fn other_models_are_named_where_the_one_that_answers_is_charged() {
    let mut world = world("own");
    let ask = |model: &str, (name, value): (&str, Value)| {
        let mut body = json!({"model": model});
        body[name] = value;
        body.to_string()
    };
    let nested = json!({"gateway": {"models": ["plain"]}});
    let members = [
        ("models", json!(["plain"])),
        ("fallbacks", json!([{"model": "plain"}])),
        ("Fallbacks", json!("plain")),
        ("context_window_fallbacks", json!([{"chat": ["plain"]}])),
        ("content_policy_fallbacks", json!({"chat": ["plain"]})),
        ("providerOptions", nested),
    ];
    for member in members {
        let body = ask("chat", member.clone());
        let stream = world.chat(0, "a", &body);
        world.body(stream);
        let Some(Seen::Reply(400, reply)) = &world.streams[stream].seen else {
            panic!("{body}: {:?}", world.streams[stream].seen);
        };
        assert_eq!(reply["code"], "invalid_request", "{body} {reply}");
        let body = serde_json::from_str(&ask("router", member)).expect("JSON");
        let answer = json!({"model": "plain", "usage": used(10, 2)});
        assert_eq!(charge(&mut world, &body, &answer), "210", "{body}");
    }
    // Twice, of which an upstream may take either.
    let twice = r#"{"model":"chat","models":["plain"],"models":null}"#;
    let stream = world.chat(0, "a", twice);
    world.body(stream);
    assert!(
        matches!(world.streams[stream].seen, Some(Seen::Reply(400, _))),
        "{:?}",
        world.streams[stream].seen
    );
    for nothing in [
        ("models", json!([])),
        ("models", Value::Null),
        ("fallbacks", json!(false)),
        ("providerOptions", json!({"gateway": {"order": ["a"]}})),
        ("metadata", json!({"models": ["plain"]})),
    ] {
        let body = serde_json::from_str(&ask("chat", nothing)).expect("JSON");
        assert_eq!(charge(&mut world, &body, &json!({"usage": used(10, 2)})), "40", "{body}");
    }
    world.check_at_rest();
}

/// What a catalog reads means what the catalog says, and not what some gateway makes of it.
#[test]
fn a_list_of_models_that_the_catalog_reads_is_its_own() {
    let own = CATALOG.replace("{ size: size }", "{ size: size, stack: { member: models, read: items } }");
    let mut world = World::with(1, &config("hold", ""), &own);
    world.account("a", "own");
    let answer = json!({"usage": used(10, 2)});
    assert_eq!(charge(&mut world, &json!({"model": "chat", "models": ["plain"]}), &answer), "40");
    let others = json!({"model": "chat", "models": ["plain"], "fallbacks": ["plain"]}).to_string();
    let stream = world.chat(0, "a", &others);
    world.body(stream);
    assert!(
        matches!(&world.streams[stream].seen, Some(Seen::Reply(400, reply)) if reply["detail"].as_str().is_some_and(|told| told.contains("fallbacks"))),
        "{:?}",
        world.streams[stream].seen
    );
    world.check_at_rest();
}

/// A price beyond all belief is one to both sides, and the largest that there is.
#[test]
fn what_cannot_be_reckoned_is_never_free() {
    let mut world = world("free");
    let usage = json!({"prompt_tokens": 1, "completion_tokens": (1_u64 << 53) - 1});
    let line = line(&mut world, &json!({"model": "plain"}), &json!({"usage": usage}));
    let charge = tariff::Micros::parse(line["charge"].as_str().expect("text")).expect("an amount");
    assert_eq!(charge.get(), edge::limits::AMOUNT_MAX, "{line}");
}

#[test]
fn a_stated_cost_is_kept_compared_and_never_charged_by() {
    let mut world = world("own");
    let ask = json!({"model": "chat"});
    let with_cost = |cost: Value| {
        let mut usage = used(10, 2);
        usage["cost"] = cost;
        json!({"usage": usage})
    };
    // 0.03 dollars by the card: within one per cent is the same.
    for (cost, mismatches) in
        [(json!(0.03), 0), (json!(0.0303), 0), (json!(0.0304), 1), (json!(0), 2), (json!(-1), 2)]
    {
        assert_eq!(charge(&mut world, &ask, &with_cost(cost.clone())), "40", "{cost}");
        assert_eq!(world.book.counters.cost_mismatches, mismatches, "{cost}");
    }
    let stated: Vec<Option<u64>> = world.charge_entries("a").map(|charge| charge.provider_cost).collect();
    assert_eq!(stated, [Some(30_000_000_000), Some(30_300_000_000), Some(30_400_000_000), Some(0), None]);
    let counters = &world.book.counters;
    assert_eq!((counters.provider_cost, counters.card_cost), (90_700_000, 120_000_000));
    // Nothing to compare with without a card.
    let before = world.book.counters.cost_mismatches;
    assert_eq!(charge(&mut world, &json!({"model": "router"}), &with_cost(json!(5))), "1470");
    assert_eq!(world.book.counters.cost_mismatches, before);
    world.check_at_rest();
}

#[test]
fn an_answer_that_is_cut_keeps_to_the_dearer_tier_that_was_asked_for() {
    let mut world = world("free");
    for (asked, tier) in [("priority", Some("priority")), ("flex", None)] {
        let stream = chat(&mut world, &json!({"model": "chat", "service_tier": asked, "max_tokens": 5}));
        world.answer_headers(stream, 200, "application/json");
        world.answer_piece(stream, br#"{"choices":[{"message":{"content":"xxxxxxxx"#, false);
        let line: Value = serde_json::from_str(&world.log(stream, Origin::Cut)).expect("a line");
        world.pass(1_500);
        let posted = world.charge_entries("a").last().expect("a charge");
        assert_eq!(
            (line["charge"].as_str(), posted.service_tier.as_deref()),
            (Some(&*posted.amount.to_string()), tier)
        );
    }
    assert_eq!(world.book.counters.price_mismatches, 0);
}

/// A request and its answer.
fn exchange() -> impl Strategy<Value = (Value, Value)> {
    let tier = || {
        select(vec![
            Value::Null,
            json!("auto"),
            json!("priority"),
            json!("Flex"),
            json!("standard"),
            json!("default"),
            json!("scale"),
            json!(1),
        ])
    };
    let model = || select(vec!["chat", "router", "plain", "auto", "chat-of-someone", "train"]);
    let counts = (prop_oneof![0..3_000_u64, 995..1_005_u64], 0..1_500_u64, 0..2_000_u64);
    let cost = select(vec![Value::Null, json!(0.5), json!({"total_cost": 1e-3}), json!("x")]);
    (model(), tier(), any::<bool>(), 0..6_000_usize, model(), tier(), counts, cost).prop_map(
        |(asked, asked_tier, large, bytes, answered, served, (prompt, cached, completion), cost)| {
            let asked = if ["chat", "router", "auto"].contains(&asked) { asked } else { "chat" };
            let size = if large { "large" } else { "small" };
            let ask =
                json!({"model": asked, "service_tier": asked_tier, "size": size, "input": "x".repeat(bytes)});
            let mut usage = used(prompt, completion);
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached.min(prompt)});
            usage["cost"] = cost;
            (ask, json!({"model": answered, "service_tier": served, "usage": usage}))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edge_and_ledger_come_to_the_same(own in any::<bool>(), exchanges in proptest::collection::vec(exchange(), 1..12)) {
        let mut world = world(if own { "own" } else { "free" });
        for (ask, answer) in exchanges {
            // Asks that the charges and the costs agree.
            line(&mut world, &ask, &answer);
            let charge = world.charge_entries("a").last().expect("a charge");
            let told = charge.takes.iter().find(|take| take.bucket.starts_with("cost_usd")).map(|take| take.used);
            prop_assert!(told.is_none_or(|told| told == charge.cost), "{charge:?}");
        }
        world.check_at_rest();
    }
}

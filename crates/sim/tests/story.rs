//! The life of requests on one node, against the real book.
#![expect(clippy::panic, reason = "tests may fail loudly")]

use sim::{Ledger, Seen, World, ask, usage};

const SONNET: &str = "claude-sonnet-4.5";

fn reply(world: &World, stream: usize) -> (u32, serde_json::Value) {
    match world.streams[stream].seen.clone() {
        Some(Seen::Reply(status, body)) => (status, body),
        other => panic!("expected a reply, saw {other:?}"),
    }
}

#[test]
fn a_first_request_waits_for_the_ledger_and_is_charged_exactly() {
    for mode in ["hold", "stream"] {
        let mut world = World::new(1, mode);
        world.account("a", "starter");
        let stream = world.chat(0, "a", &ask(SONNET, 100));
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{mode}: {:?}", world.warnings);
        let line = world.answer(stream, 200, &usage(1_000, 50));
        assert!(line.contains(r#""charge":"0.037500""#), "{line}");
        world.pass(1_000);
        // 1,000 x 30 + 50 x 150 micro-credits.
        assert_eq!((world.charged("a"), world.charges("a")), (37_500, 1), "{mode}");
        world.check();
    }
}

#[test]
fn the_steady_path_makes_no_call() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask(SONNET, 100));
        world.answer(stream, 200, &usage(10, 10));
    }
    let before = world.calls;
    for n in 0..8 {
        let stream = world.chat(n % 2, "a", &ask(SONNET, 10));
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
        world.answer(stream, 200, &usage(10, 10));
    }
    assert!(world.calls <= before + 2, "{} calls for 8 requests", world.calls - before);
}

#[test]
fn m6_the_sixteenth_request_of_a_minute_is_429() {
    for mode in ["hold", "stream"] {
        let mut world = World::new(2, mode);
        world.account("a", "starter");
        for n in 0..15 {
            let stream = world.chat(n % 2, "a", &ask(SONNET, 10));
            assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{mode} {n}");
            world.answer(stream, 200, &usage(1, 1));
        }
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        let (status, body) = reply(&world, stream);
        assert_eq!((status, body["code"].as_str()), (429, Some("rate_limited")), "{mode}");
        world.pass(4_000);
        let stream = world.chat(1, "a", &ask(SONNET, 10));
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{mode}: a token is back after 4 s");
    }
}

#[test]
fn l3_a_gated_model_is_402_and_names_the_plan() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let stream = world.chat(0, "a", &ask("early-preview", 10));
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["code"].as_str()), (402, Some("plan_required")));
    assert_eq!(body["unlocks"][0]["plan"], "max");
}

#[test]
fn unknown_keys_and_models_are_refused() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let stream = world.chat(0, "nobody", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream).0, 401);
    let calls = world.calls;
    let stream = world.chat(0, "nobody", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream).0, 401);
    assert_eq!(world.calls, calls, "a miss is remembered");
    let stream = world.chat(0, "a", &ask("gpt-99", 10));
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["code"].as_str()), (400, Some("unknown_model")));
}

#[test]
fn m9_the_last_credits_can_be_spent_and_then_it_is_402() {
    let mut world = World::new(2, "hold");
    world.account("a", "topup_only");
    world.top_up("a", "1", "r1");
    let mut served = 0;
    loop {
        let stream = world.chat(served % 2, "a", &ask(SONNET, 1_000));
        if world.streams[stream].seen != Some(Seen::Forwarded) {
            let (status, body) = reply(&world, stream);
            assert_eq!((status, body["code"].as_str()), (402, Some("insufficient_credits")), "{body}");
            assert_eq!(
                (body["limit_source"].as_str(), body["available"].as_str()),
                (Some("pool"), Some("0.000000")),
                "{body}"
            );
            break;
        }
        world.answer(stream, 200, &usage(1_000, 1_000));
        served += 1;
        world.pass(1_500);
        assert!(served < 50, "the account never runs dry");
    }
    world.pass(1_000);
    // 0.18 credits a request: five fit whole, the sixth is clipped to what is left and may overdraw.
    assert_eq!(served, 6);
    assert_eq!(world.charged("a"), 6 * 180_000);
    world.check();

    world.top_up("a", "1", "r2");
    world.pass(1_500);
    let stream = world.chat(0, "a", &ask(SONNET, 1_000));
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "a top-up lifts the denial");
}

#[test]
fn leased_credits_serve_on_without_a_ledger_and_then_it_is_503() {
    let mut world = World::new(1, "hold");
    world.account("a", "max");
    let stream = world.chat(0, "a", &ask(SONNET, 100));
    world.answer(stream, 200, &usage(10, 10));
    world.pass(1_000);
    world.ledger = Ledger::Down;
    let stream = world.chat(0, "a", &ask(SONNET, 100));
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
    world.answer(stream, 200, &usage(10, 10));
    world.pass(3_000);
    // Far more than what is leased.
    let stream = world.chat(0, "a", &ask("claude-opus-4.6", 1_000_000));
    world.pass(1_500);
    let (status, body) = reply(&world, stream);
    assert_eq!((status, body["code"].as_str()), (503, Some("ledger_unavailable")));
    assert_eq!(world.charges("a"), 1);
    world.ledger = Ledger::Up;
    world.pass(5_000);
    assert_eq!(world.charges("a"), 2, "settlements are kept and delivered");
    world.check();
}

#[test]
fn answers_that_are_lost_change_nothing() {
    let mut world = World::new(1, "hold");
    world.account("a", "max");
    let stream = world.chat(0, "a", &ask(SONNET, 100));
    world.ledger = Ledger::Deaf;
    world.answer(stream, 200, &usage(10, 10));
    world.pass(4_000);
    world.ledger = Ledger::Up;
    world.pass(4_000);
    assert_eq!((world.charges("a"), world.charged("a")), (1, 10 * 30 + 10 * 150));
    world.check();
}

#[test]
fn a_node_that_was_closed_goes_on_under_a_new_id() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    let stream = world.chat(0, "a", &ask(SONNET, 100));
    world.ledger = Ledger::Down;
    world.answer(stream, 200, &usage(10, 10));
    world.pass(70_000);
    let late = world.chat(0, "a", &ask(SONNET, 100));
    world.pass(1_500);
    assert_eq!(reply(&world, late).0, 503, "a node that is cut off stops admitting");
    world.ledger = Ledger::Up;
    world.pass(5_000);
    let stream = world.chat(1, "a", &ask(SONNET, 100));
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{:?}", world.warnings);
    world.answer(stream, 200, &usage(10, 10));
    world.pass(2_000);
    assert_eq!(world.charges("a"), 2);
    world.check();
}

#[test]
fn a_flat_price_is_charged_once_per_answer() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let stream = world.get(0, "a", "/v1/search");
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
    world.answer(stream, 200, "{}");
    let failed = world.get(0, "a", "/v1/search");
    world.answer(failed, 500, "{}");
    world.pass(1_500);
    assert_eq!((world.charged("a"), world.charges("a")), (500_000, 1));
}

#[test]
fn an_answer_without_usage_is_estimated_and_never_above_the_hold() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let stream = world.chat(0, "a", &ask(SONNET, 5));
    let long = format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "x".repeat(10_000));
    let line = world.answer(stream, 200, &long);
    assert!(line.contains(r#""source":"estimated""#), "{line}");
    world.pass(1_500);
    // Hold: 81 bytes / 4 = 21 input tokens and 5 output tokens at most.
    let hold = 5 * 150 + i64::try_from(ask(SONNET, 5).len().div_ceil(4)).unwrap() * 30;
    assert_eq!(world.charged("a"), hold);
}

#[test]
fn parallel_requests_against_a_small_account_never_pass_its_bound() {
    for mode in ["hold", "stream"] {
        let mut world = World::new(2, mode);
        world.account("a", "topup_only");
        // Each holds (and uses) 0.18 credits and a little for its own bytes: ten fit into 2 credits.
        world.top_up("a", "2", "r1");
        let mut open = Vec::new();
        for n in 0..200 {
            let stream = world.chat(n % 2, "a", &ask(SONNET, 1_200));
            match &world.streams[stream].seen {
                Some(Seen::Forwarded) => open.push(stream),
                Some(Seen::Reply(status, _)) => assert!(*status == 402 || *status == 429, "{status}"),
                None => {}
            }
        }
        assert!(!open.is_empty() && open.len() <= 11, "{mode}: {}", open.len());
        for stream in open {
            world.answer(stream, 200, &usage(20, 1_200));
        }
        world.pass(3_000);
        let forwarded = world.streams.iter().filter(|client| client.seen == Some(Seen::Forwarded)).count();
        assert_eq!(world.charges("a"), forwarded, "{mode}: nobody is served for free");
        world.check();
    }
}

#[test]
fn a_sequential_client_on_two_workers_spends_all_it_has() {
    for mode in ["hold", "stream"] {
        let mut world = World::new(2, mode);
        world.account("a", "topup_only");
        world.top_up("a", "0.4", "r1");
        let mut served = 0;
        let refused = loop {
            let stream = world.chat(served % 2, "a", &ask(SONNET, 50));
            world.pass(250);
            match world.streams[stream].seen.clone() {
                Some(Seen::Forwarded) => drop(world.answer(stream, 200, &usage(0, 133))),
                Some(Seen::Reply(429, _)) => world.pass(2_000),
                other => break other,
            }
            served += usize::from(world.streams[stream].seen == Some(Seen::Forwarded));
        };
        // 0.01995 credits each: twenty fit, and the last of it is clipped for one more.
        let Some(Seen::Reply(status, body)) = refused else { panic!("{refused:?}") };
        assert_eq!((status, body["limit_source"].as_str()), (402, Some("pool")), "{mode}: {body}");
        assert_eq!(served, 21, "{mode}");
        world.check();
    }
}

#[test]
fn a_key_that_is_as_young_as_the_last_change_serves_on_every_worker_in_an_outage() {
    let mut world = World::new(2, "hold");
    world.account("old", "max");
    for worker in [0, 1] {
        let stream = world.chat(worker, "old", &ask(SONNET, 10));
        world.answer(stream, 200, &usage(1, 1));
    }
    world.account("a", "max");
    let stream = world.chat(0, "a", &ask(SONNET, 100));
    world.answer(stream, 200, &usage(1, 1));
    world.pass(1_500);
    world.ledger = Ledger::Down;
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask(SONNET, 100));
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "worker {worker}");
        world.answer(stream, 200, &usage(1, 1));
    }
}

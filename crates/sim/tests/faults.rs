//! What must not go wrong when something else does: hangs, lost charges, leaked holds, smuggled bytes.
#![expect(clippy::panic, reason = "tests may fail loudly")]

use edge::Origin;
use sim::{CATALOG, Ledger, Seen, World, ask, ask_stream, config, usage};

const SONNET: &str = "claude-sonnet-4.5";
const OPUS: &str = "claude-opus-4.6";
const BOTH: [&str; 2] = ["hold", "stream"];

fn reply(world: &World, stream: usize) -> (u32, String) {
    match world.streams[stream].seen.clone() {
        Some(Seen::Reply(status, body)) => (status, body["code"].as_str().unwrap_or_default().to_owned()),
        other => panic!("expected a reply, saw {other:?}"),
    }
}

fn forwarded(world: &World, stream: usize) -> bool {
    world.streams[stream].seen == Some(Seen::Forwarded)
}

/// One request from its headers to its settlement.
fn serve(world: &mut World, worker: usize, account: &str) -> usize {
    let stream = world.chat(worker, account, &ask(SONNET, 10));
    assert!(forwarded(world, stream), "{:?} {:?}", world.streams[stream].seen, world.warnings);
    world.answer(stream, 200, &usage(10, 10));
    stream
}

/// The catalog with lines in place of one.
fn catalog(line: &str, lines: &str) -> String {
    assert!(CATALOG.contains(line), "{line}");
    CATALOG.replacen(line, lines, 1)
}

// === hangs ===

#[test]
fn a_refusal_in_the_headers_is_sent_where_no_body_callback_will_come() {
    let mut world = World::new(1, "stream");
    world.account("a", "starter");
    for _ in 0..15 {
        serve(&mut world, 0, "a");
    }
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream), (429, "rate_limited".to_owned()));
    world.check_at_rest();
}

#[test]
fn a_call_whose_answer_never_comes_is_given_up() {
    for mode in BOTH {
        let mut world = World::new(1, mode);
        world.account("a", "starter");
        world.ledger = Ledger::Silent;
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        world.pass(1_500);
        assert_eq!(reply(&world, stream).0, 503, "{mode}");
        world.ledger = Ledger::Up;
        world.pass(3_000);
        serve(&mut world, 0, "a");
        world.pass(2_000);
        assert_eq!(world.charges("a"), 1, "{mode}");
        world.check_at_rest();
    }
}

#[test]
fn a_lost_call_for_the_catalog_is_given_up() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    // The sync's answer is there; the catalog that it names is asked for and never comes.
    world.delay_us = 1_000;
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    world.ledger = Ledger::Silent;
    world.pass(2);
    world.pass(1_500);
    assert_eq!(reply(&world, stream).0, 503);
    world.ledger = Ledger::Up;
    world.pass(4_000);
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    world.pass(20);
    assert!(forwarded(&world, stream), "{:?}", world.streams[stream]);
}

#[test]
fn an_answer_that_was_given_up_changes_nothing_when_it_comes() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    world.account("b", "starter");
    // Longer than the host would ever let it take.
    world.delay_us = 10_000_000;
    world.chat(0, "a", &ask(SONNET, 10));
    world.pass(3_000);
    world.delay_us = 1_000;
    world.pass(3_000);
    let stream = world.chat(0, "b", &ask(SONNET, 10));
    world.pass(300);
    assert!(forwarded(&world, stream), "{:?}", world.streams[stream]);
    world.answer(stream, 200, &usage(1, 1));
    world.pass(12_000);
    assert_eq!(world.charges("b"), 1);
    world.check_at_rest();
}

#[test]
fn a_refill_that_failed_is_asked_for_again_before_the_request_is_given_up() {
    for mode in BOTH {
        let mut world = World::new(2, mode);
        world.account("a", "max");
        serve(&mut world, 0, "a");
        world.ledger = Ledger::Down;
        let stream = world.chat(0, "a", &ask(OPUS, 100_000));
        assert_eq!(world.streams[stream].seen, None, "{mode}: it needs more than is leased");
        world.ledger = Ledger::Up;
        world.pass(600);
        assert!(forwarded(&world, stream), "{mode}: {:?}", world.streams[stream]);
    }
}

#[test]
fn another_worker_waits_for_the_same_refill_and_is_woken() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    world.account("b", "max");
    // Both workers know the ledger.
    serve(&mut world, 0, "b");
    serve(&mut world, 1, "b");
    serve(&mut world, 0, "a");
    serve(&mut world, 1, "a");
    world.delay_us = 20_000;
    let first = world.chat(0, "a", &ask(OPUS, 100_000));
    let second = world.chat(1, "a", &ask(OPUS, 1_000));
    let calls = world.calls;
    world.pass(50);
    assert!(forwarded(&world, first) && forwarded(&world, second), "{:?}", world.streams[second]);
    assert!(world.calls <= calls + 4, "{} calls", world.calls - calls);
}

#[test]
fn a_waiting_worker_does_not_call_without_end() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    serve(&mut world, 0, "a");
    serve(&mut world, 1, "a");
    // The first worker's VM dies with its refill under way: the second one waits for its deadline.
    world.ledger = Ledger::Silent;
    world.chat(0, "a", &ask(OPUS, 100_000));
    world.replace_vm(0);
    world.ledger = Ledger::Up;
    world.delay_us = 1_000;
    let calls = world.calls;
    let second = world.chat(1, "a", &ask(OPUS, 100_000));
    world.pass(900);
    assert!(world.calls <= calls + 6, "{} calls in 900 ms", world.calls - calls);
    world.pass(200);
    assert!(world.streams[second].seen.is_some());
    let third = world.chat(1, "a", &ask(OPUS, 100_000));
    world.pass(300);
    assert!(forwarded(&world, third), "{:?}", world.streams[third]);
}

#[test]
fn a_ledger_that_says_nothing_of_a_request_is_not_asked_without_end() {
    let mut world = World::new(1, "hold");
    world.account("a", "max");
    serve(&mut world, 0, "a");
    world.tamper = Some(Box::new(|response| {
        response.grants.clear();
        response.verdicts.clear();
    }));
    let calls = world.calls;
    let stream = world.chat(0, "a", &ask(OPUS, 100_000));
    world.pass(2_000);
    assert_eq!(reply(&world, stream).0, 503);
    assert!(world.calls < calls + 40, "{} calls", world.calls - calls);
}

// === parked requests ===

#[test]
fn a_parked_request_that_the_upstream_answers_is_never_resumed() {
    let mut world = World::new(1, "stream");
    world.account("a", "max");
    serve(&mut world, 0, "a");
    world.delay_us = 50_000;
    let stream = world.chat(0, "a", &ask(OPUS, 100_000));
    assert_eq!(world.streams[stream].seen, None);
    world.answer_headers(stream, 200, "application/json");
    assert_eq!(reply(&world, stream), (502, "upstream_answered_early".to_owned()));
    world.pass(2_000);
    world.log(stream, Origin::Host);
    world.pass(2_000);
    assert_eq!(world.charges("a"), 1);
    world.check_at_rest();
}

#[test]
fn requests_that_leave_while_parked_give_their_places_back() {
    for mode in BOTH {
        let mut world = World::new(1, mode);
        world.account("a", "max");
        world.account("b", "max");
        serve(&mut world, 0, "a");
        world.delay_us = 100_000;
        // Somebody is parked at any time, so that nothing is ever counted afresh.
        for round in 0..400 {
            let stays = world.chat(0, "b", &ask(OPUS, 100_000));
            let stream = world.chat(0, "a", &ask(OPUS, 500_000));
            if world.streams[stream].seen.is_none() {
                if mode == "stream" {
                    world.answer_headers(stream, 200, "application/json");
                }
                world.leave(stream);
            }
            world.pass(60);
            world.leave(stays);
            if let Some(Seen::Reply(status, body)) = &world.streams[stream].seen {
                assert_ne!(*status, 503, "{mode}: round {round}: {body}");
            }
        }
    }
}

#[test]
fn a_request_that_is_refused_while_parked_stays_refused() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    world.delay_us = 20_000;
    let body = ask(SONNET, 10);
    let stream = world.chat_headers(0, "a", &body);
    world.piece(stream, b"not JSON", false);
    world.pass(100);
    assert_eq!(world.streams[stream].seen, None, "it waits for the end of its body");
    world.piece(stream, &body.as_bytes()[8..], true);
    assert_eq!(reply(&world, stream), (400, "invalid_request".to_owned()));
    world.pass(1_500);
    assert!(world.streams[stream].upstream.is_empty());
    world.check_at_rest();
}

#[test]
fn accounts_that_wait_for_credits_do_not_lock_out_keys_that_must_be_looked_up() {
    let mut world = World::new(1, "hold");
    for account in ["a", "b", "c"] {
        world.account(account, "max");
        serve(&mut world, 0, account);
    }
    world.account("cold", "max");
    world.delay_us = 300_000;
    for n in 0..600 {
        world.chat(0, ["a", "b", "c"][n % 3], &ask(OPUS, 1_000_000));
    }
    let cold = world.chat(0, "cold", &ask(SONNET, 10));
    assert_eq!(world.streams[cold].seen, None, "its key is looked up");
}

#[test]
fn a_small_request_is_served_beside_a_large_one_that_is_refused() {
    let mut world = World::new(1, "hold");
    world.account("a", "topup_only");
    world.top_up("a", "1", "r1");
    world.delay_us = 1_000;
    // Something is held, so that neither is the last one.
    let open = world.chat(0, "a", &ask(SONNET, 1_000));
    world.pass(20);
    assert!(forwarded(&world, open));
    let large = world.chat(0, "a", &ask(SONNET, 100_000));
    let small = world.chat(0, "a", &ask(SONNET, 1_000));
    world.pass(20);
    assert_eq!(reply(&world, large).0, 402);
    assert!(forwarded(&world, small), "{:?}", world.streams[small]);
}

#[test]
fn look_ups_do_not_pile_up_through_an_outage() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    serve(&mut world, 0, "a");
    world.ledger = Ledger::Down;
    for n in 0..3_000 {
        world.get(0, &format!("nobody{n}"), "/v1/search");
        if n % 20 == 0 {
            world.pass(250);
        }
    }
    world.pass(3_000);
    world.syncs.clear();
    world.ledger = Ledger::Up;
    world.pass(3_000);
    let asked: usize = world.syncs.iter().map(|sync| sync.lookups.len()).sum();
    assert!(asked <= 600, "{asked} keys are looked up that nobody waits for");
}

// === bytes ===

#[test]
fn in_shadow_mode_an_edited_body_is_as_long_as_its_headers_say() {
    for mode in BOTH {
        let mut world = World::with(1, &config(mode, r#","enforce":false"#), CATALOG);
        world.account("a", "starter");
        serve(&mut world, 0, "a");
        // The edit is made before it is known that the model is none: `release` checks the framing.
        let stream = world.chat(0, "a", &ask_stream("gpt-99", 10));
        assert!(forwarded(&world, stream), "{mode}");
        let headers = world.answer_headers(stream, 200, "text/event-stream");
        world.answer_piece(stream, b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", false);
        world.answer_piece(stream, b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", false);
        world.answer_piece(stream, b"data: [DONE]\n\n", true);
        world.log(stream, Origin::Upstream);
        let seen = String::from_utf8(world.streams[stream].client.clone()).unwrap();
        assert!(!seen.contains("usage"), "{mode}: {seen} {headers:?}");
    }
}

#[test]
fn the_edit_of_a_body_that_ends_in_trailers_is_made_where_it_can_be() {
    let with_cap = catalog("    title: Starter\n", "    title: Starter\n    max_tokens: 7\n");
    for mode in BOTH {
        let mut world = World::with(1, &config(mode, ""), &with_cap);
        world.account("a", "starter");
        world.delay_us = 10_000;
        let body = ask_stream(SONNET, 100);
        let stream = world.chat_headers(0, "a", &body);
        world.piece(stream, body.as_bytes(), false);
        // The account becomes known when the body is there, but not its end.
        world.pass(100);
        world.trailers(stream);
        world.pass(100);
        assert!(forwarded(&world, stream), "{mode}: {:?}", world.streams[stream]);
        let upstream = String::from_utf8(world.streams[stream].upstream.clone()).unwrap();
        assert!(upstream.contains(r#""max_tokens":7,"#), "{mode}: {upstream}");
        assert!(upstream.contains(r#""include_usage":true"#), "{mode}: {upstream}");
    }
}

#[test]
fn a_body_in_pieces_arrives_whole_with_its_edit() {
    for mode in BOTH {
        for known in [false, true] {
            let mut world = World::new(1, mode);
            world.account("a", "starter");
            if known {
                serve(&mut world, 0, "a");
            }
            world.delay_us = 3_000;
            let body = ask_stream(SONNET, 10);
            let stream = world.chat_headers(0, "a", &body);
            for byte in body.as_bytes() {
                world.piece(stream, &[*byte], false);
                world.pass(1);
            }
            world.piece(stream, b"", true);
            world.pass(50);
            assert!(forwarded(&world, stream), "{mode} {known}: {:?}", world.streams[stream]);
            let upstream = String::from_utf8(world.streams[stream].upstream.clone()).unwrap();
            assert_eq!(upstream, body.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1));
        }
    }
}

#[test]
fn an_http2_body_that_ends_with_its_data_and_names_no_length() {
    for mode in BOTH {
        let mut world = World::new(1, mode);
        world.account("a", "starter");
        let headers = [(":method", "POST"), (":path", "/v1/chat/completions"), ("x-api-key", "key-a")];
        let stream = world.open(0, &headers, false, ask_stream(SONNET, 10).into_bytes());
        world.body(stream);
        assert!(forwarded(&world, stream), "{mode}");
        let stream = world.open(0, &headers, false, b"[]".to_vec());
        world.body(stream);
        assert_eq!(reply(&world, stream).0, 400, "{mode}");
    }
}

#[test]
fn a_body_of_the_announced_length_goes_on_and_nothing_behind_it_does() {
    for mode in BOTH {
        for delay_us in [0, 5_000] {
            let mut world = World::new(1, mode);
            world.account("a", "starter");
            serve(&mut world, 0, "a");
            world.delay_us = delay_us;
            // The second one needs more than is leased: it waits for the ledger while more bytes come.
            for max_tokens in [10, 100_000] {
                let body = ask(SONNET, max_tokens);
                let stream = world.chat_headers(0, "a", &body);
                world.piece(stream, body.as_bytes(), false);
                world.piece(stream, br#"{"model":"claude-opus-4.6"}"#, false);
                world.pass(50);
                world.piece(stream, b"", true);
                match &world.streams[stream].seen {
                    Some(Seen::Forwarded) => {
                        assert_eq!(world.streams[stream].upstream, body.as_bytes(), "{mode} {max_tokens}");
                        world.answer(stream, 200, &usage(1, 1));
                    }
                    _ => assert_eq!(reply(&world, stream).0, 400, "{mode} {max_tokens}"),
                }
            }
            world.pass(2_000);
            world.check_at_rest();
        }
    }
}

#[test]
fn a_refusal_is_sent_at_the_end_of_the_body_though_all_of_it_is_there() {
    for mode in BOTH {
        let mut world = World::new(1, mode);
        world.account("a", "starter");
        serve(&mut world, 0, "a");
        for body in [ask("gpt-99", 10), "not JSON".to_owned()] {
            let stream = world.chat_headers(0, "a", &body);
            world.piece(stream, body.as_bytes(), false);
            assert_eq!(world.streams[stream].seen, None, "{mode}: a reply would cost the connection");
            world.piece(stream, b"", true);
            assert_eq!(reply(&world, stream).0, 400, "{mode}");
        }
        world.check_at_rest();
    }
}

// === rates ===

#[test]
fn rates_of_single_models_count_in_both_modes() {
    let rates = "      - { id: rpm, max: 15, per: minute }\n      - { id: opus, max: 2, per: minute, models: [claude-opus-4.6] }\n";
    let with_rate = catalog("      - { id: rpm, max: 15, per: minute }\n", rates);
    for mode in BOTH {
        let mut world = World::with(1, &config(mode, ""), &with_rate);
        world.account("a", "starter");
        for n in 0..4 {
            let stream = world.chat(0, "a", &ask(OPUS, 10));
            assert_eq!(forwarded(&world, stream), n < 2, "{mode} {n}");
        }
        // What was refused for one model's rate has not used up the other's.
        for n in 0..14 {
            let stream = world.chat(0, "a", &ask(SONNET, 10));
            assert_eq!(forwarded(&world, stream), n < 13, "{mode} {n}");
        }
    }
}

#[test]
fn a_refusal_after_the_headers_gives_the_rate_back() {
    let mut world = World::new(1, "stream");
    world.account("a", "starter");
    serve(&mut world, 0, "a");
    for body in [ask("gpt-99", 10), ask("early-preview", 10), "not JSON".to_owned()] {
        for _ in 0..20 {
            let stream = world.chat(0, "a", &body);
            assert_ne!(reply(&world, stream).0, 429, "{body}");
        }
    }
    for _ in 0..14 {
        serve(&mut world, 0, "a");
    }
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream).0, 429);
}

#[test]
fn what_is_known_to_be_gone_is_refused_before_the_body() {
    let mut world = World::new(1, "stream");
    world.account("a", "topup_only");
    let first = world.chat(0, "a", &ask(SONNET, 10));
    assert_eq!(reply(&world, first).0, 402);
    let stream = world.chat_headers(0, "a", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream), (402, "insufficient_credits".to_owned()));
    let calls = world.calls;
    world.top_up("a", "1", "t1");
    world.pass(1_500);
    serve(&mut world, 0, "a");
    assert!(world.calls > calls);
    world.pass(1_500);
    world.check_at_rest();
}

#[test]
fn in_shadow_mode_a_request_above_its_rate_is_metered() {
    let shadow = catalog("    title: Starter\n", "    title: Starter\n    enforce: false\n");
    for mode in BOTH {
        for (configuration, plans) in
            [(config(mode, ""), shadow.as_str()), (config(mode, r#","enforce":false"#), CATALOG)]
        {
            let mut world = World::with(1, &configuration, plans);
            world.account("a", "starter");
            for _ in 0..15 {
                serve(&mut world, 0, "a");
            }
            let stream = world.chat(0, "a", &ask(SONNET, 10));
            assert!(forwarded(&world, stream), "{mode}");
            let line = world.answer(stream, 200, &usage(10, 10));
            assert!(line.contains(r#""code":"rate_limited""#), "{mode}: {line}");
            world.pass(1_500);
            assert_eq!(world.charges("a"), 16, "{mode}");
            world.check_at_rest();
        }
    }
}

// === money ===

#[test]
fn whatever_the_provider_calls_its_model_the_charge_is_posted() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let names = [r"a\u0001b", r"\n", &"\\u0000".repeat(256), &"x".repeat(300), &"\\\"".repeat(250)];
    for name in names {
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        let body = usage(10, 10).replace(SONNET, name);
        world.answer(stream, 200, &body);
        world.pass(1_500);
    }
    assert_eq!(world.charges("a"), names.len(), "{:?} {:?}", world.warnings, world.book.incidents);
}

#[test]
fn an_absurd_usage_is_bounded_and_does_not_spoil_the_account() {
    for workers in [1, 2] {
        let mut world = World::new(workers, "hold");
        world.account("a", "max");
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        world.answer(stream, 200, &usage(10, (1 << 53) - 1));
        world.pass(1_500);
        assert_eq!(world.charged("a"), 500_000_000, "the catalog's bound for one request");
        for n in 0..4 {
            let stream = world.chat(n % workers, "a", &ask(SONNET, 10));
            world.pass(300);
            assert!(forwarded(&world, stream), "{n}: {:?}", world.streams[stream]);
            world.answer(stream, 200, &usage(10, 10));
        }
        world.pass(2_000);
        assert_eq!(world.charges("a"), 5);
        world.check_at_rest();
    }
}

#[test]
fn an_absurd_bound_is_refused_like_any_other_that_is_too_large() {
    let mut world = World::new(1, "hold");
    world.account("a", "max");
    let open = world.chat(0, "a", &ask(SONNET, 10));
    let stream = world.chat(0, "a", &ask(SONNET, (1 << 53) - 1));
    world.pass(2_000);
    assert_eq!(reply(&world, stream).0, 402);
    let small = world.chat(0, "a", &ask(SONNET, 10));
    assert!(forwarded(&world, small), "{:?}", world.streams[small]);
    world.answer(open, 200, &usage(1, 1));
    world.answer(small, 200, &usage(1, 1));
    world.pass(2_000);
    assert_eq!(world.charges("a"), 2);
}

#[test]
fn in_shadow_mode_an_absurd_bound_is_charged_for_what_it_used() {
    let mut world = World::with(1, &config("hold", r#","enforce":false"#), CATALOG);
    world.account("a", "max");
    serve(&mut world, 0, "a");
    let stream = world.chat(0, "a", &ask(SONNET, (1 << 53) - 1));
    world.pass(2_000);
    assert!(forwarded(&world, stream));
    world.answer(stream, 200, &usage(10, 10));
    world.pass(2_000);
    assert_eq!(world.charges("a"), 2, "{:?}", world.book.incidents);
}

#[test]
fn an_error_in_a_successful_answer_is_not_charged() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    let line = world.answer(stream, 200, r#"{"error":{"message":"overloaded","type":"server_error"}}"#);
    assert!(line.contains(r#""outcome":"released""#), "{line}");
    // An error after content has been delivered is another matter.
    let stream = world.chat(0, "a", &ask_stream(SONNET, 10));
    world.answer_headers(stream, 200, "text/event-stream");
    world.answer_piece(stream, b"data: {\"choices\":[{\"delta\":{\"content\":\"text\"}}]}\n\n", false);
    world.answer_piece(stream, b"data: {\"error\":{\"message\":\"overloaded\"}}\n\n", true);
    let line = world.log(stream, Origin::Upstream);
    assert!(line.contains(r#""source":"estimated""#), "{line}");
    world.pass(1_500);
    assert_eq!(world.charges("a"), 1);
    world.check_at_rest();
}

#[test]
fn an_estimate_is_not_above_a_clipped_hold() {
    let mut world = World::new(1, "hold");
    world.account("a", "topup_only");
    world.top_up("a", "0.01", "r1");
    let stream = world.chat(0, "a", &ask(SONNET, 10_000));
    assert!(forwarded(&world, stream), "{:?}", world.streams[stream]);
    let long = format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "x".repeat(10_000));
    let line = world.answer(stream, 200, &long);
    assert!(line.contains(r#""charge":"0.010000""#), "{line}");
    world.pass(2_000);
    assert_eq!((world.charged("a"), world.book.counters.price_mismatches), (10_000, 0));
}

#[test]
fn settlements_of_a_vm_that_ended_are_sent_though_nobody_asks_for_anything() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    // Enough is leased for what follows.
    let large = world.chat(0, "a", &ask(SONNET, 10_000));
    world.answer(large, 200, &usage(10, 10));
    world.pass(1_000);
    world.ledger = Ledger::Down;
    for _ in 0..5 {
        serve(&mut world, 0, "a");
        serve(&mut world, 1, "a");
    }
    world.replace_vm(0);
    world.replace_vm(1);
    world.ledger = Ledger::Up;
    world.pass(5_000);
    assert_eq!(world.charges("a"), 11, "{:?}", world.warnings);
}

#[test]
fn what_is_admitted_has_a_place_in_the_ring() {
    // A free operation takes no lease, so that only the ring ends it.
    let free = catalog("    price: { per_request: 0.5 }\n", "    price: { per_request: 0 }\n");
    let free = free.replacen("    rates:\n      - { id: rpm, max: 60, per: minute }\n", "", 1);
    let mut world = World::with(1, &config("hold", ""), &free);
    world.account("a", "max");
    let first = world.get(0, "a", "/v1/search");
    world.answer(first, 200, "{}");
    world.pass(1_000);
    world.ledger = Ledger::Down;
    let mut served = 1;
    for round in 0..3 {
        let open: Vec<usize> = (0..5_000).map(|_| world.get(0, "a", "/v1/search")).collect();
        let refused = open.iter().filter(|stream| !forwarded(&world, **stream)).count();
        assert!(round == 0 || refused > 0, "the ring is never full");
        for stream in open {
            if forwarded(&world, stream) {
                world.answer(stream, 200, "{}");
                served += 1;
            }
        }
    }
    assert!(!world.warnings.iter().any(|text| text.contains("could not be kept")), "{:?}", world.warnings);
    world.ledger = Ledger::Up;
    world.pass(10_000);
    assert_eq!(world.charges("a"), served);
    world.check_at_rest();
}

#[test]
fn after_a_restore_the_ledger_s_word_counts_and_requests_go_on() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    let backup = world.book.clone();
    for n in 0..6 {
        serve(&mut world, n % 2, "a");
        world.pass(1_000);
    }
    world.book = backup;
    world.generation = Some("restored".to_owned());
    world.pass(2_000);
    for n in 0..4 {
        let stream = world.chat(n % 2, "a", &ask(OPUS, 100_000));
        world.pass(300);
        assert!(forwarded(&world, stream), "{n}: {:?} {:?}", world.streams[stream], world.warnings);
        world.answer(stream, 200, &usage(10, 10));
    }
    world.pass(3_000);
    assert_eq!(world.charges("a"), 4, "what came after the backup and was acknowledged is gone with it");
    world.check_at_rest();
}

#[test]
fn every_worker_forgets_what_another_ledger_has_told() {
    for mode in BOTH {
        let mut world = World::new(3, mode);
        world.account("a", "starter");
        for worker in 0..3 {
            serve(&mut world, worker, "a");
        }
        world.pass(2_000);
        let backup = world.book.clone();
        let now = world.book_now();
        book::command::plan::switch(&mut world.book, now, "a", "max", false).expect("a switch");
        world.pass(2_000);
        for worker in 0..3 {
            let stream = world.chat(worker, "a", &ask("early-preview", 10));
            assert!(forwarded(&world, stream), "{mode}, worker {worker}: the plan opens it");
            world.answer(stream, 200, &usage(1, 1));
        }
        world.pass(2_000);
        world.book = backup;
        world.generation = Some("restored".to_owned());
        world.pass(3_000);
        for worker in 0..3 {
            let stream = world.chat(worker, "a", &ask("early-preview", 10));
            world.pass(300);
            let (status, body) = reply(&world, stream);
            assert_eq!(
                status, 402,
                "{mode}, worker {worker}: the books that count know of no switch: {body}"
            );
        }
    }
}

// === calls ===

#[test]
fn old_snapshots_are_fetched_with_the_calls_that_are_made_anyway() {
    let mut world = World::new(1, "hold");
    let accounts: Vec<String> = (0..40).map(|n| format!("a{n}")).collect();
    for account in &accounts {
        world.account(account, "max");
    }
    for account in &accounts {
        serve(&mut world, 0, account);
        world.pass(400);
    }
    world.pass(50_000);
    let calls = world.calls;
    for _ in 0..4 {
        for account in &accounts {
            serve(&mut world, 0, account);
            world.pass(125);
        }
    }
    assert!(world.calls <= calls + 26, "{} calls in 20 s", world.calls - calls);
}

#[test]
fn a_change_at_the_ledger_is_felt_within_two_seconds() {
    let mut world = World::new(2, "hold");
    world.account("a", "starter");
    for worker in [0, 1] {
        serve(&mut world, worker, "a");
    }
    world.pass(5_100);
    let now = world.book_now();
    book::command::plan::switch(&mut world.book, now, "a", "max", false).expect("a switch");
    world.pass(2_000);
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask("early-preview", 10));
        assert!(forwarded(&world, stream), "worker {worker}: {:?}", world.streams[stream]);
    }
}

// === nodes ===

#[test]
fn a_worker_that_slept_through_the_node_s_end_does_not_spoil_its_records() {
    for mode in BOTH {
        let mut world = World::new(2, mode);
        world.account("a", "max");
        serve(&mut world, 0, "a");
        serve(&mut world, 1, "a");
        // All is told: nothing keeps either of them awake.
        world.pass(2_000);
        world.ledger = Ledger::Down;
        world.pass(70_000);
        world.ledger = Ledger::Up;
        // The first worker comes back and holds; the second one wakes up later.
        world.pass(3_000);
        let open = world.chat(0, "a", &ask(SONNET, 10));
        world.pass(300);
        assert!(forwarded(&world, open), "{mode}: {:?} {:?}", world.streams[open].seen, world.warnings);
        let other = world.chat(1, "a", &ask(SONNET, 10));
        world.pass(300);
        assert!(forwarded(&world, other), "{mode}");
        let nodes: Vec<_> = world.records().iter().map(|record| (record.node, record.open)).collect();
        assert_eq!(nodes, [(2, 2)], "{mode}");
        let told = world.warnings.iter().filter(|text| text.contains("had closed this node")).count();
        assert_eq!(told, 1, "{mode}: the second worker follows the first one");
        world.answer(open, 200, &usage(1, 1));
        world.answer(other, 200, &usage(1, 1));
        world.pass(2_000);
        assert_eq!(world.charges("a"), 4, "{mode}");
    }
}

// === leases ===

/// Names of accounts whose records share one value of shared data.
fn crowd(n: usize) -> Vec<String> {
    let shard = |name: &str| wire::id::tag(name) % edge::Tables::default().record_shards();
    let names = (0..).map(|i| format!("acct_{i}"));
    names.filter(|name| shard(name) == shard("acct_0")).take(n).collect()
}

#[test]
fn a_record_that_makes_room_gives_its_leases_back() {
    for workers in [1, 2] {
        let mut world = World::new(workers, "hold");
        let names = crowd(edge::limits::RECORDS_PER_SHARD + 1);
        for (n, name) in names.iter().enumerate() {
            world.account(name, "max");
            // The rates of the first ones are at rest by now.
            world.pass(1_500);
            serve(&mut world, (n + 1) % workers, name);
        }
        world.pass(2_000);
        let first = &world.book.accounts[names[0].as_str()];
        assert_eq!(first.leases, [], "{workers}: {:?}", world.warnings);
        assert!(world.records().iter().all(|record| record.account != names[0]));
        world.check_at_rest();
    }
}

#[test]
fn a_key_that_was_revoked_unheard_is_not_served_for_long() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    world.account("b", "max");
    serve(&mut world, 0, "a");
    serve(&mut world, 0, "b");
    // All who knew of the key are gone when it is revoked, and who comes next learns of the feed elsewhere.
    world.replace_vm(0);
    let now = world.book_now();
    book::command::key::revoke(&mut world.book, now, "a", "k-a").expect("revoked");
    world.account("c", "max");
    serve(&mut world, 1, "c");
    let stream = world.chat(1, "a", &ask(SONNET, 10));
    if forwarded(&world, stream) {
        world.answer(stream, 200, &usage(1, 1));
    }
    world.pass(2_000);
    let stream = world.chat(1, "a", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream), (401, "invalid_api_key".to_owned()));
    world.pass(2_000);
    let stream = world.chat(1, "a", &ask(SONNET, 10));
    assert_eq!(reply(&world, stream), (401, "invalid_api_key".to_owned()));
}

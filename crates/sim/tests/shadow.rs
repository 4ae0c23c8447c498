//! Shadow mode: nothing is refused, and what passes is charged wherever there is an account, a body and a price.

use book::command::{key, open};
use sim::{CATALOG, Ledger, Seen, World, ask, ask_stream, config, usage};
use wire::AccountStatus;

const SONNET: &str = "claude-sonnet-4.5";
/// By the configuration, or by the plan alone.
const WAYS: [bool; 2] = [true, false];
const MODES: [&str; 2] = ["hold", "stream"];

fn world(mode: &str, by_plan: bool, catalog: &str) -> World {
    if !by_plan {
        return World::with(1, &config(mode, r#","enforce":false"#), catalog);
    }
    let title = "    title: Starter\n";
    assert!(catalog.contains(title));
    World::with(1, &config(mode, ""), &catalog.replacen(title, "    title: Starter\n    enforce: false\n", 1))
}

/// A request that passes: its line, once it is answered.
fn passes(world: &mut World, stream: usize) -> String {
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{:?}", world.warnings);
    world.answer(stream, 200, &usage(10, 10))
}

fn for_all(act: impl Fn(&mut World, &str)) {
    for mode in MODES {
        for by_plan in WAYS {
            let mut world = world(mode, by_plan, CATALOG);
            world.account("a", "starter");
            act(&mut world, mode);
            world.pass(3_000);
            world.check_at_rest();
        }
    }
}

#[test]
fn a_model_that_the_plan_closes_is_charged() {
    for_all(|world, mode| {
        let stream = world.chat(0, "a", &ask("early-preview", 10));
        let line = passes(world, stream);
        assert!(line.contains(r#""outcome":"shadow_plan_required""#), "{mode}: {line}");
        world.pass(1_500);
        assert_eq!(world.charges("a"), 1, "{mode}");
        assert!(world.charged("a") > 0, "{mode}");
        assert_eq!(world.book.counters.price_mismatches, 0);
    });
}

#[test]
fn a_model_that_the_key_lacks_is_charged() {
    for_all(|world, mode| {
        let now = world.book_now();
        let digest = edge::request::credential::digest(b"key-narrow").expect("digest");
        let narrow = key::NewKey {
            account: "a".to_owned(),
            id: "k-narrow".to_owned(),
            digest,
            name: None,
            auth_class: None,
            models: Some(vec!["gpt-*".to_owned()]),
            expires_at: None,
        };
        key::create(&mut world.book, now, &narrow).expect("key");
        let stream = world.chat(0, "narrow", &ask(SONNET, 10));
        let line = passes(world, stream);
        assert!(line.contains(r#""outcome":"shadow_forbidden_model""#), "{mode}: {line}");
        world.pass(1_500);
        assert_eq!(world.charges("a"), 1, "{mode}");
    });
}

#[test]
fn a_suspended_account_is_charged() {
    for_all(|world, mode| {
        let now = world.book_now();
        open::set_status(&mut world.book, now, "a", AccountStatus::Suspended).expect("an account");
        for _ in 0..2 {
            let stream = world.chat(0, "a", &ask(SONNET, 10));
            let line = passes(world, stream);
            assert!(line.contains(r#""outcome":"shadow_account_suspended""#), "{mode}: {line}");
        }
        world.pass(1_500);
        assert_eq!(world.charges("a"), 2, "{mode}");
    });
}

#[test]
fn what_a_ledger_that_is_down_cannot_cover_is_charged() {
    for_all(|world, mode| {
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        passes(world, stream);
        world.pass(1_500);
        world.ledger = Ledger::Down;
        let stream = world.chat(0, "a", &ask(SONNET, 100_000));
        world.pass(1_500);
        let line = passes(world, stream);
        assert!(line.contains(r#""outcome":"shadow_ledger_unavailable""#), "{mode}: {line}");
        // Long after the node has ceased to admit, too.
        world.pass(70_000);
        let stream = world.chat(0, "a", &ask_stream(SONNET, 10));
        world.pass(1_500);
        let line = passes(world, stream);
        assert!(line.contains(r#""outcome":"shadow_ledger_unavailable""#), "{mode}: {line}");
        world.ledger = Ledger::Up;
        world.pass(5_000);
        assert_eq!(world.charges("a"), 3, "{mode} {:?} {:?}", world.warnings, world.book.incidents);
    });
}

/// The first reason is told, whatever else stands in the way.
#[test]
fn what_cannot_be_charged_is_told_and_passes() {
    for_all(|world, mode| {
        let stream = world.chat(0, "a", &ask("gpt-99", 10));
        let line = passes(world, stream);
        assert!(line.contains(r#""outcome":"shadow_unknown_model""#), "{mode}: {line}");
        let stream = world.chat(0, "a", "not JSON");
        let line = passes(world, stream);
        assert!(line.contains(r#""outcome":"shadow_invalid_request""#), "{mode}: {line}");
        world.pass(1_500);
        assert_eq!(world.charges("a"), 0, "{mode}");
    });
}

/// A key that is revoked while its request waits is nobody's any more.
#[test]
fn a_key_that_ended_is_not_charged() {
    for mode in MODES {
        let mut world = world(mode, false, CATALOG);
        world.account("a", "starter");
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        passes(&mut world, stream);
        let now = world.book_now();
        key::revoke(&mut world.book, now, "a", "k-a").expect("a key");
        world.pass(2_000);
        let stream = world.chat(0, "a", &ask(SONNET, 10));
        let line = passes(&mut world, stream);
        assert!(line.contains(r#""outcome":"shadow_invalid_api_key""#), "{mode}: {line}");
        world.pass(2_000);
        assert_eq!(world.charges("a"), 1, "{mode}");
    }
}

const PICTURES: &str = r#"
name: Pictures
parameters: { batch: n, size: size, seconds: seconds }
pools:
  weekly: { order: 1, expiry: cycle_end }
models:
  picture:
    price: { per_unit: { images: 10 } }
    quantity: { images: { parameter: batch, max: 8 } }
    variants:
      large: { when: { size: "2048" }, price: { per_unit: { images: 40 } } }
  film:
    price: { per_unit: { seconds: 4 } }
    quantity: { seconds: { parameter: seconds, default: 5, max: 20 } }
plans:
  starter:
    title: Starter
    price_usd: 0
    cycle: P7D
    grants: { weekly: 1000 }
    request_limits: { batch: 2 }
"#;

#[test]
fn more_than_the_plan_allows_in_a_request_is_charged() {
    for mode in MODES {
        for by_plan in WAYS {
            let mut world = world(mode, by_plan, PICTURES);
            world.account("a", "starter");
            for (body, outcome, charge) in [
                // Above the plan's bound, above what is offered at all, and what cannot be read as a number.
                (r#"{"model":"picture","n":3}"#, "shadow_limit_reached", "30.000000"),
                (r#"{"model":"picture","n":9}"#, "shadow_limit_reached", "90.000000"),
                (r#"{"model":"film","seconds":21}"#, "shadow_invalid_request", "84.000000"),
                (r#"{"model":"film","seconds":0}"#, "shadow_invalid_request", "20.000000"),
                (r#"{"model":"film","seconds":"long"}"#, "shadow_invalid_request", "20.000000"),
                (r#"{"model":"picture","size":["2048"]}"#, "shadow_invalid_request", "10.000000"),
            ] {
                let length = body.len().to_string();
                let headers = [
                    (":method", "POST"),
                    (":path", "/v1/images/generations"),
                    ("authorization", "Bearer key-a"),
                    ("content-length", &length),
                ];
                let stream = world.open(0, &headers, false, body.as_bytes().to_vec());
                world.body(stream);
                assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{body}");
                // The answer does not say how many there are: what was asked for is charged.
                world.answer_headers(stream, 200, "image/png");
                world.answer_piece(stream, b"PNG", true);
                let line = world.log(stream, edge::Origin::Upstream);
                assert!(line.contains(&format!(r#""outcome":"{outcome}""#)), "{mode} {body}: {line}");
                assert!(line.contains(&format!(r#""charge":"{charge}""#)), "{mode} {body}: {line}");
            }
            world.pass(2_000);
            assert_eq!((world.charges("a"), world.charged("a")), (6, 254_000_000), "{mode}");
            assert_eq!(world.book.counters.price_mismatches, 0);
            world.check_at_rest();
        }
    }
}

/// Where the ring has no place left that is not promised to others, the access log keeps the settlement.
#[test]
fn with_a_full_ring_the_access_log_has_the_charge() {
    let free = CATALOG.replacen("    price: { per_request: 0.5 }\n", "    price: { per_request: 0 }\n", 1);
    let mut world = world("hold", true, &free);
    world.account("a", "starter");
    world.account("b", "max");
    let first = world.chat(0, "a", &ask(SONNET, 10));
    passes(&mut world, first);
    world.pass(1_500);
    world.ledger = Ledger::Down;
    let mut served = 1;
    while served < 20_000 {
        let stream = world.get(0, "a", "/v1/search");
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{served}");
        let line = world.answer(stream, 200, "{}");
        if line.contains(r#""node":"#) {
            assert!(!line.contains(r#""seq":"#), "{line}");
            let report: wire::Report = serde_json::from_str(&line).expect("a report");
            assert_eq!(report.outcome, "shadow_ledger_unavailable");
            break;
        }
        served += 1;
    }
    assert!(served < 20_000, "the ring is never full");
    world.ledger = Ledger::Up;
    world.pass(15_000);
    assert_eq!(world.charges("a"), served);
    world.check_at_rest();
}

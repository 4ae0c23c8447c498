//! Bounded fail-open: a plan's allowance beyond the lease, in an outage of the ledger and never otherwise.

use sim::{CATALOG, Ledger, Seen, World, ask, config, usage};

const SONNET: &str = "claude-sonnet-4.5";
/// The allowance of these tests, in micro-credits.
const ALLOWANCE: i64 = 2_000_000;

/// The page's catalog with two plans without rates, of which one fails open.
fn catalog(credits: &str) -> String {
    let plan = |name: &str, further: &str| {
        format!("  {name}:\n    title: {name}\n    grants: {{ included: 1500 }}\n{further}")
    };
    let fail_open = format!("    fail_open: {{ credits: {credits} }}\n");
    format!("{CATALOG}\n{}{}", plan("opens", &fail_open), plan("closes", ""))
}

fn world(workers: usize, mode: &str, credits: &str) -> World {
    let mut world = World::with(workers, &config(mode, ""), &catalog(credits));
    for (account, plan) in [("open", "opens"), ("closed", "closes")] {
        world.account(account, plan);
        serve(&mut world, 0, account);
        world.pass(400);
        serve(&mut world, workers - 1, account);
        world.pass(1_500);
    }
    world
}

/// One request from its headers to its settlement, or its refusal; waits as long as a request may.
fn serve(world: &mut World, worker: usize, account: &str) -> bool {
    let stream = world.chat(worker, account, &ask(SONNET, 1_000));
    for _ in 0..20 {
        match &world.streams[stream].seen {
            Some(Seen::Forwarded) => {
                world.answer(stream, 200, &usage(10, 900));
                return true;
            }
            Some(Seen::Reply(status, body)) => {
                assert_eq!((*status, body["code"].as_str()), (503, Some("ledger_unavailable")));
                return false;
            }
            _ => world.pass(100),
        }
    }
    false
}

/// What is served of so many requests, one after the other.
fn served(world: &mut World, workers: usize, account: &str, requests: usize) -> usize {
    (0..requests).filter(|n| serve(world, n % workers, account)).count()
}

#[test]
fn in_an_outage_each_node_admits_so_much_and_no_more() {
    for (workers, mode) in [(1, "hold"), (2, "hold"), (2, "stream")] {
        let mut world = world(workers, mode, "2");
        let before = (world.charged("open"), world.charges("open"));
        let lease = |world: &World| {
            let account = world.book.accounts.values().find(|account| account.id.as_str() == "open");
            account.expect("it is open").outstanding("credits").get()
        };
        let leased = lease(&world);
        world.ledger = Ledger::Down;
        let open = served(&mut world, workers, "open", 60);
        let closed = served(&mut world, workers, "closed", 60);
        assert!(open > 0 && open < 60 && closed < 60, "{mode}: {open} and {closed} of 60");
        // What is used is less than what is held; holds are what the allowance bounds.
        let bound = leased + ALLOWANCE;
        let warned = world.warnings.iter().filter(|text| text.contains("fail_open")).count();
        assert_eq!(warned, 1, "{:?}", world.warnings);
        // Long after the node's leases have ended: nothing more.
        world.pass(70_000);
        assert_eq!(served(&mut world, workers, "open", 5), 0, "{mode}: what was spent is spent");
        world.ledger = Ledger::Up;
        world.pass(6_000);
        assert_eq!(world.charges("open") - before.1, open, "{mode}: all that was served is charged");
        let used = world.charged("open") - before.0;
        assert!(used > leased - 100_000 && used <= bound, "{mode}: {used} of {bound}, {leased} leased");
        world.check_at_rest();
    }
}

#[test]
fn the_next_outage_has_an_allowance_of_its_own_and_none_is_spent_while_the_ledger_answers() {
    let mut world = world(1, "hold", "2");
    let mut beyond: Vec<usize> = Vec::new();
    for _ in 0..2 {
        world.ledger = Ledger::Down;
        let (mut count, mut refused) = (0, 0);
        while refused < 3 {
            match serve(&mut world, 0, "open") {
                true => count += 1,
                false => refused += 1,
            }
        }
        beyond.push(count);
        world.ledger = Ledger::Up;
        world.pass(5_000);
        assert!(serve(&mut world, 0, "open"), "the ledger answers: {:?}", world.warnings);
        world.pass(3_000);
    }
    assert!(beyond.iter().all(|count| *count > 10), "{beyond:?}");
    let outages = world.warnings.iter().filter(|text| text.contains("fail_open")).count();
    assert_eq!(outages, 2, "{:?}", world.warnings);
    world.check_at_rest();
}

#[test]
fn nothing_is_the_same_as_not_to_say_it() {
    for credits in ["0", "0.000001"] {
        let mut world = world(1, "hold", credits);
        let charges = world.charges("open");
        world.ledger = Ledger::Down;
        let open = served(&mut world, 1, "open", 60);
        assert!(open < 60);
        assert!(!world.warnings.iter().any(|text| text.contains("fail_open")), "{:?}", world.warnings);
        world.ledger = Ledger::Up;
        world.pass(5_000);
        assert_eq!(world.charges("open") - charges, open);
        world.check_at_rest();
    }
}

#[test]
fn who_is_known_to_have_nothing_is_refused_in_an_outage_too() {
    let mut world = World::with(
        1,
        &config("hold", ""),
        &catalog("2").replace("    grants: { included: 1500 }\n    fail", "    fail"),
    );
    world.account("open", "opens");
    let stream = world.chat(0, "open", &ask(SONNET, 1_000));
    world.pass(2_500);
    assert!(
        matches!(world.streams[stream].seen, Some(Seen::Reply(402, _))),
        "{:?}",
        world.streams[stream].seen
    );
    world.ledger = Ledger::Down;
    world.pass(5_000);
    let stream = world.chat(0, "open", &ask(SONNET, 1_000));
    world.pass(2_500);
    assert!(
        matches!(world.streams[stream].seen, Some(Seen::Reply(402, _))),
        "{:?}",
        world.streams[stream].seen
    );
    assert_eq!(world.charges("open"), 0);
}

/// A request waits for the ledger as long as any other before it goes beyond the lease.
#[test]
fn a_ledger_that_answers_in_time_is_waited_for() {
    let mut world = world(1, "hold", "2");
    // It has rested: the ledger was last heard longer ago than an outage takes to be one.
    world.pass(20_000);
    world.ledger = Ledger::Down;
    // More than is leased.
    let stream = world.chat(0, "open", &ask(SONNET, 10_000));
    world.pass(750);
    assert_eq!(world.streams[stream].seen, None, "it waits");
    world.ledger = Ledger::Up;
    world.pass(1_000);
    assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{:?}", world.warnings);
    assert!(!world.warnings.iter().any(|text| text.contains("fail_open")), "{:?}", world.warnings);
    world.answer(stream, 200, &usage(10, 10));
    world.pass(1_500);
    world.check_at_rest();
}

/// What is leased is not touched once the ledger may have closed the node; the allowance is.
#[test]
fn the_allowance_is_there_when_the_node_admits_nothing_else() {
    for workers in [1, 2] {
        let mut world = world(workers, "hold", "2");
        let charges = world.charges("open");
        world.ledger = Ledger::Down;
        world.pass(60_000);
        let open = served(&mut world, workers, "open", 5);
        assert_eq!((open, served(&mut world, workers, "closed", 5)), (5, 0), "{:?}", world.warnings);
        world.ledger = Ledger::Up;
        world.pass(6_000);
        assert_eq!(world.charges("open") - charges, open);
        world.check_at_rest();
    }
}

/// A call that nobody has heard of yet is no failure: the ledger may be slow.
#[test]
fn silence_alone_is_no_outage() {
    let mut world = world(1, "hold", "2");
    world.pass(3_000);
    world.ledger = Ledger::Silent;
    let stream = world.chat(0, "open", &ask(SONNET, 10_000));
    world.pass(1_300);
    let seen = &world.streams[stream].seen;
    assert!(matches!(seen, Some(Seen::Reply(503, _))), "{seen:?} {:?}", world.warnings);
    assert!(!world.warnings.iter().any(|text| text.contains("fail_open")), "{:?}", world.warnings);
}

//! Charging from the access log what the ring did not deliver: once, whoever tells of it first.
#![expect(clippy::panic, clippy::expect_used, reason = "tests may fail loudly")]

use book::sync::recover::{Outcome, Scope, recover};
use book::{EntryKind, Tx as _};
use edge::Origin;
use sim::{Ledger, World, ask, config, usage};
use wire::{EventBody, Report, Reported};

const SONNET: &str = "claude-sonnet-4.5";

fn report(line: &str) -> Reported {
    let report: Report = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    report.settlement().expect("whole").expect("charged")
}

/// What the log says of one served request.
fn serve(world: &mut World, account: &str) -> Reported {
    let stream = world.chat(0, account, &ask(SONNET, 1_000));
    report(&world.answer(stream, 200, &usage(10, 100)))
}

/// Brings the node to where it can serve the account for a while alone; how many requests that took.
fn lease(world: &mut World, account: &str) -> usize {
    for _ in 0..5 {
        serve(world, account);
        world.pass(1_000);
    }
    5
}

fn tell(world: &mut World, reported: &Reported, scope: Scope) -> Outcome {
    let now = world.book_now();
    recover(&mut world.book, now, reported, scope).expect("a store in memory does not fail")
}

fn charged(world: &mut World, reported: &Reported) -> bool {
    matches!(tell(world, reported, Scope::default()), Outcome::Charged { entry: Some(_), .. })
}

#[test]
fn a_line_says_all_that_its_event_says() {
    let further = r#","enforce":false"#;
    for config in [config("hold", ""), config("stream", ""), config("hold", further)] {
        let mut world = World::with(1, &config, sim::CATALOG);
        world.account("a", "starter");
        world.ledger = Ledger::Up;
        let chat = world.chat(0, "a", &ask(SONNET, 10));
        let chat = world.answer(chat, 200, &usage(10, 10).replace("claude-sonnet-4.5", "another"));
        let silent = world.chat(0, "a", &ask(SONNET, 10));
        world.answer_headers(silent, 200, "application/json");
        world.answer_piece(silent, b"{\"choices\":[{\"message\":{\"content\":\"much\"}}]}", true);
        let silent = world.log(silent, Origin::Cut);
        let flat = world.get(0, "a", "/v1/search");
        let flat = world.answer(flat, 200, "found");
        world.pass(2_000);
        let events = world.syncs.iter().filter_map(|sync| sync.batch.as_ref());
        let events: Vec<_> =
            events.flat_map(|batch| batch.events.iter().map(|raw| (batch.lane, raw))).collect();
        for line in [chat, silent, flat] {
            let own = report(&line);
            let found = events.iter().find_map(|(lane, raw)| {
                let event: wire::Event = serde_json::from_str(raw.get()).expect("an event");
                let EventBody::Settle(settle) = event.body else { return None };
                (settle.request == own.settle.request).then_some((*lane, event.seq, *settle))
            });
            let (lane, seq, settle) = found.expect("its event was sent");
            assert_eq!(own, Reported { node: lane.node, place: Some((lane, seq)), settle });
        }
    }
}

#[test]
fn requests_that_are_refused_or_not_charged_have_nothing_to_tell() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let failed = world.chat(0, "a", &ask(SONNET, 10));
    let failed = world.answer(failed, 500, "no");
    let gone = world.chat(0, "a", &ask(SONNET, 10));
    let gone = world.log(gone, Origin::Host);
    for line in [failed, gone] {
        let report: Report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(!report.is_charged(), "{line}");
    }
}

#[test]
fn what_a_killed_process_took_with_it_is_charged_once() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let warm = lease(&mut world, "a");
    let delivered = serve(&mut world, "a");
    world.pass(2_000);
    world.ledger = Ledger::Down;
    let lost: Vec<Reported> = (0..3).map(|_| serve(&mut world, "a")).collect();
    let before = warm + 1;
    assert_eq!(world.charges("a"), before);
    // The process is gone: nothing of it is ever heard of again.
    assert_eq!(tell(&mut world, &delivered, Scope::default()), Outcome::Known);
    let each = world.charge_entries("a").next().expect("a charge").amount.get();
    let sum = |count: usize| each * i64::try_from(count).expect("few");
    for reported in &lost {
        let preview = tell(&mut world, reported, Scope { preview: true, ..Scope::default() });
        let Outcome::Charged { entry: None, amount, .. } = preview else { panic!("{preview:?}") };
        assert_eq!(amount.get(), each);
        assert!(charged(&mut world, reported));
        assert_eq!(tell(&mut world, reported, Scope::default()), Outcome::Known);
    }
    assert_eq!((world.charges("a"), world.charged("a")), (before + 3, sum(before + 3)));
    let all = world.charge_entries("a").filter(|charge| charge.recovered).count();
    assert_eq!(all, 3);
    world.check();
    // Its node is closed and its leases come home: nothing is missing of what was granted.
    world.ledger = Ledger::Silent;
    let mut now = world.book_now();
    now.up += 70_000;
    for node in book::command::node::close_silent(&mut world.book, now).expect("nodes") {
        book::command::node::take_home(&mut world.book, now, node, usize::MAX).expect("leases");
    }
    let account = world.book.account("a").expect("a store").expect("an account").clone();
    assert_eq!(account.outstanding("credits").get(), 0);
    assert_eq!(account.totals.charged.get(), sum(before + 3));
    assert!(lost.iter().all(|reported| tell(&mut world, reported, Scope::default()) == Outcome::Known));
    world.check();
}

#[test]
fn an_event_that_comes_after_all_is_a_duplicate_and_settles_its_lease() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    lease(&mut world, "a");
    world.ledger = Ledger::Down;
    let before = world.charges("a");
    let late: Vec<Reported> = (0..5).map(|_| serve(&mut world, "a")).collect();
    let settled = |world: &mut World| {
        let account = world.book.account("a").expect("a store").expect("an account");
        account.leases.iter().map(|lease| lease.settled.get()).sum::<i64>()
    };
    let leased = settled(&mut world);
    assert!(late.iter().all(|reported| charged(&mut world, reported)));
    assert_eq!(settled(&mut world), leased, "the event may still come: the lease waits for it");
    world.ledger = Ledger::Up;
    world.pass(5_000);
    assert_eq!(world.charges("a"), before + 5);
    let duplicates = world
        .book
        .journal
        .iter()
        .filter(|entry| matches!(&entry.kind, EntryKind::Release(release) if release.duplicate));
    assert_eq!(duplicates.count(), 5);
    let used: i64 = late.iter().map(|reported| reported.settle.takes[0].used.get()).sum();
    assert_eq!(settled(&mut world), leased + used);
    world.check_at_rest();
}

#[test]
fn what_was_declared_lost_is_charged_from_the_log_with_its_lease() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    lease(&mut world, "a");
    world.ledger = Ledger::Down;
    let lost = serve(&mut world, "a");
    let (lane, seq) = lost.place.expect("a place");
    let now = world.book_now();
    let gap = wire::Batch {
        lane,
        first: seq + 1,
        events: Vec::new(),
        gap: Some(wire::Gap { from: seq, to: seq }),
        close: false,
    };
    let mut request = world.syncs.last().expect("a sync").clone();
    (request.batch, request.now) = (Some(gap), now.wall);
    (request.wants, request.returns) = (Vec::new(), Vec::new());
    let ack = book::sync::sync(&mut world.book, now, &request).expect("an answer").ack.expect("an ack");
    assert_eq!(ack.last, seq);
    let account = |world: &mut World| world.book.account("a").expect("a store").expect("an account").clone();
    let before = account(&mut world);
    assert!(charged(&mut world, &lost));
    let after = account(&mut world);
    let used = lost.settle.takes[0].used.get();
    assert_eq!(after.outstanding("credits").get(), before.outstanding("credits").get() - used);
    assert_eq!(after.capacity(), before.capacity(), "what was leased was used: nothing else is touched");
    world.check();
}

#[test]
fn what_names_nobody_is_refused_and_changes_nothing() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    world.ledger = Ledger::Up;
    let known = serve(&mut world, "a");
    let entries = world.book.journal.len();
    let with = |change: &dyn Fn(&mut Reported)| {
        let mut reported = known.clone();
        reported.settle.request = "another".to_owned();
        change(&mut reported);
        reported
    };
    let lane = known.place.expect("a place").0;
    let stranger = wire::Lane { node: wire::NodeId([9; 16]), ..lane };
    for (reported, reason) in [
        (with(&|r| r.settle.account = "nobody".to_owned()), "unknown_account"),
        (with(&|r| (r.node, r.place) = (stranger.node, Some((stranger, 1)))), "unknown_node"),
        (with(&|r| (r.node, r.place) = (stranger.node, None)), "unknown_node"),
        (with(&|r| r.settle.key = "another".to_owned()), "unknown_key"),
        (with(&|r| r.settle.request = String::new()), "invalid"),
        (with(&|r| r.settle.takes[0].held = tariff::Micros(-1)), "invalid"),
        (with(&|r| r.settle.takes[0].used = tariff::Micros(i64::MAX)), "invalid"),
    ] {
        for preview in [true, false] {
            let scope = Scope { preview, ..Scope::default() };
            assert_eq!(tell(&mut world, &reported, scope), Outcome::Refused(reason));
        }
    }
    assert_eq!(world.book.journal.len(), entries);
    let unknown = with(&|r| (r.node, r.place) = (stranger.node, Some((stranger, 1))));
    let scope = Scope { unknown_nodes: true, ..Scope::default() };
    assert!(matches!(tell(&mut world, &unknown, scope), Outcome::Charged { .. }));
    let unplaced = with(&|r| (r.place, r.settle.request) = (None, "unplaced".to_owned()));
    assert!(charged(&mut world, &unplaced));
    world.check();
}

#[test]
fn an_estimate_is_never_charged_above_its_hold() {
    let mut world = World::new(1, "hold");
    world.account("a", "starter");
    let mut reported = serve(&mut world, "a");
    reported.settle.request = "estimated".to_owned();
    reported.settle.source = Some(wire::UsageSource::Estimated);
    reported.settle.takes[0].held = tariff::Micros(7);
    let Outcome::Charged { amount, .. } = tell(&mut world, &reported, Scope::default()) else { panic!() };
    assert_eq!(amount, tariff::Micros(7));
    world.check();
}

/// The books as they were earlier, under another generation.
fn restore(world: &mut World, copy: book::memory::Memory) {
    world.book = copy;
    world.generation = Some("restored".to_owned());
}

#[test]
fn restored_books_get_what_rings_hold_and_the_log_has_the_rest() {
    for workers in [1, 2] {
        let mut world = World::new(workers, "hold");
        world.account("a", "max");
        let mut all: Vec<Reported> = Vec::new();
        let mut serve_on = |world: &mut World, worker: usize| {
            let stream = world.chat(worker, "a", &ask(SONNET, 1_000));
            all.push(report(&world.answer(stream, 200, &usage(10, 100))));
        };
        for worker in (0..workers).cycle().take(6) {
            serve_on(&mut world, worker);
            world.pass(1_000);
        }
        let copy = world.book.clone();
        for worker in (0..workers).cycle().take(6) {
            serve_on(&mut world, worker);
            world.pass(1_000);
        }
        world.pass(2_000);
        world.ledger = Ledger::Down;
        for worker in (0..workers).cycle().take(4) {
            serve_on(&mut world, worker);
        }
        restore(&mut world, copy);
        world.ledger = Ledger::Up;
        world.pass(6_000);
        assert_eq!(world.charges("a"), 6 + 4, "{workers} workers: {:?}", world.warnings);
        serve_on(&mut world, 0);
        world.pass(3_000);
        world.check_at_rest();
        let recovered = all.iter().filter(|reported| charged(&mut world, reported)).count();
        assert_eq!(recovered, 6, "what was acknowledged by the books that are gone");
        assert_eq!(world.charges("a"), 17);
        assert!(all.iter().all(|reported| tell(&mut world, reported, Scope::default()) == Outcome::Known));
        world.check();
    }
}

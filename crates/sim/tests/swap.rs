//! VMs that end in the midst of things, and VMs that only seem to: nothing is charged twice, nothing stays held,
//! and each request that nobody saw end is settled once by policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

use std::collections::BTreeMap;

use book::EntryKind;
use edge::shared::SharedData;
use sim::{Ledger, Seen, World, ask, config, usage};
use wire::Outcome;

const MODEL: &str = "gpt-5-mini";
/// Longer than it takes to find a lane silent, adopt it and settle it.
const HEALED_MS: u64 = 6_000;

/// A node whose account has leases enough, with so many requests under way on worker 0.
fn warm(mode: &str, catalog: &str, open: usize) -> World {
    let mut world = World::with(3, &config(mode, ""), catalog);
    world.account("a", "max");
    for worker in 0..3 {
        let stream = world.chat(worker, "a", &ask(MODEL, 10_000));
        world.answer(stream, 200, &usage(10, 10));
    }
    world.pass(2_000);
    for _ in 0..open {
        let stream = world.chat(0, "a", &ask(MODEL, 100));
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
    }
    world
}

fn catalog(lost: &str) -> String {
    sim::CATALOG.replacen("lost: estimate", &format!("lost: {lost}"), 1)
}

/// What a request is charged for, in micro-credits: 12.5 credits per million of input, 100 of output.
fn price(prompt: u64, completion: u64) -> i64 {
    i64::try_from((prompt * 125 + completion * 1_000).div_ceil(10)).unwrap()
}

/// The input estimate of a request.
fn estimate() -> i64 {
    price(ask(MODEL, 100).len().div_ceil(4) as u64, 0)
}

/// How often each request was charged or released, and by what outcome and amount.
fn ends(world: &World) -> BTreeMap<String, Vec<(Outcome, i64)>> {
    let mut ends: BTreeMap<String, Vec<(Outcome, i64)>> = BTreeMap::new();
    for entry in &world.book.journal {
        match &entry.kind {
            EntryKind::Charge(charge) => {
                ends.entry(charge.request.clone()).or_default().push((charge.outcome, charge.amount.get()));
            }
            EntryKind::Release(release) if !release.duplicate => {
                ends.entry(release.request.clone()).or_default().push((release.outcome, 0));
            }
            _ => {}
        }
    }
    ends
}

/// How many requests ended as lost; asserts that each request ended once, at its price, and that node and ledger
/// agree on what was used.
fn lost(world: &World) -> usize {
    let ends = ends(world);
    for (request, ends) in &ends {
        assert_eq!(ends.len(), 1, "{request}: {ends:?}");
    }
    assert_eq!(world.book.counters.price_mismatches, 0);
    let takes = world.charge_entries("a").flat_map(|charge| &charge.takes);
    let used: i64 = takes.filter(|take| take.bucket == "credits").map(|take| take.used.get()).sum();
    let record = world.record("a");
    assert_eq!(record.cells[0].used, used, "the node's lease and the journal");
    ends.values().flatten().filter(|(outcome, _)| *outcome == Outcome::Lost).count()
}

fn gauges(world: &World) -> [i64; 3] {
    ["ring_depth", "parked", "open_requests"]
        .map(|name| world.metrics.get(&format!("bursar.{name}")).copied().unwrap_or(0))
}

#[test]
fn each_request_that_a_vm_leaves_open_is_settled_once_by_policy() {
    let held = price(ask(MODEL, 100).len().div_ceil(4) as u64, 100);
    for (policy, each) in [("estimate", estimate()), ("hold", held), ("zero", 0)] {
        for mode in ["hold", "stream"] {
            let mut world = warm(mode, &catalog(policy), 5);
            let before = world.charged("a");
            world.pass(1_000);
            assert_eq!(gauges(&world), [0, 0, 5]);
            world.replace_vm(0);
            world.pass(HEALED_MS);
            assert_eq!(lost(&world), 5, "{:?}", world.warnings);
            assert_eq!(world.charged("a") - before, 5 * each, "{policy}");
            assert_eq!(world.metrics["bursar.lost"], 5);
            assert_eq!(gauges(&world), [0; 3], "the dead VM's gauges are gone");
            world.check_at_rest();
        }
    }
}

#[test]
fn with_the_ledger_down_the_lost_wait_in_the_ring() {
    let mut world = warm("hold", sim::CATALOG, 5);
    world.ledger = Ledger::Down;
    world.replace_vm(0);
    world.pass(20_000);
    assert_eq!(world.record("a").open, 0, "the holds do not wait for the ledger");
    assert_eq!(gauges(&world), [5, 0, 0]);
    world.ledger = Ledger::Up;
    world.pass(HEALED_MS);
    assert_eq!(lost(&world), 5);
    assert_eq!(gauges(&world), [0; 3]);
    world.check_at_rest();
}

#[test]
fn no_key_is_left_and_the_slot_serves_again() {
    let mut world = warm("hold", sim::CATALOG, 3);
    for _ in 0..20 {
        world.replace_vm(0);
        world.pass(HEALED_MS);
        let stream = world.chat(0, "a", &ask(MODEL, 100));
        assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded), "{:?}", world.warnings);
    }
    let keys = world.shared.values("t/2/open/").len();
    assert!(keys <= 3 + 4, "{keys} for three requests at once on one slot, and one each on others");
    for _ in 0..20 {
        world.replace_vm(0);
        world.pass(HEALED_MS);
        world.chat(0, "a", &ask(MODEL, 100));
    }
    assert_eq!(world.shared.values("t/2/open/").len(), keys);
    assert_eq!(lost(&world), 42);
}

/// The VM ends at each call of shared data that an admission or a settlement makes, in every combination with
/// what it did before.
#[test]
fn wherever_a_vm_ends_nothing_is_charged_twice_and_nothing_stays_held() {
    type Act = fn(&mut World, &[usize]);
    let admit: Act = |world, _| {
        world.chat(0, "a", &ask(MODEL, 100));
    };
    let settle: Act = |world, open| drop(world.answer(open[1], 200, &usage(30, 40)));
    let release: Act = |world, open| drop(world.answer(open[1], 500, "{}"));
    let one = price(ask(MODEL, 100).len().div_ceil(4) as u64, 100);
    for mode in ["hold", "stream"] {
        for before in 0..4 {
            for act in [admit, settle, release] {
                for calls in 0.. {
                    let mut world = warm(mode, sim::CATALOG, 4);
                    let open: Vec<usize> = (world.streams.len() - 4..world.streams.len()).collect();
                    // What was done last before it leaves the mark either way.
                    for stream in open.iter().skip(2).take(before) {
                        world.answer(*stream, 200, &usage(30, 40));
                    }
                    if before == 3 {
                        world.chat(0, "a", &ask(MODEL, 100));
                    }
                    world.pass(500);
                    // Its hold is nobody else's to release.
                    let other = world.chat(1, "a", &ask(MODEL, 100));
                    let held = world.record("a").cells[0].held;
                    let requests = world.streams.len();
                    if !world.trap(0, calls, |world| act(world, &open)) {
                        assert!(calls > 2, "the fuse burns");
                        break;
                    }
                    let taken = world.record("a").cells[0].held > held;
                    world.pass(HEALED_MS);
                    let record = world.record("a");
                    assert_eq!((record.open, record.cells[0].held), (1, one), "{mode} {before} {calls}");
                    world.answer(other, 200, &usage(30, 40));
                    world.pass(2_000);
                    let done = ends(&world).len();
                    let expected = requests + usize::from(taken);
                    assert_eq!(done, expected, "{mode} {before} {calls}: {:?}", world.warnings);
                    lost(&world);
                    world.check_at_rest();
                }
            }
        }
    }
}

/// The VM that settles what another one left ends in the midst of that, at each call that it makes.
#[test]
fn wherever_the_adopting_vm_ends_the_next_one_goes_on() {
    for half_settled in [false, true] {
        for calls in 0.. {
            let mut world = warm("hold", sim::CATALOG, 3);
            let last = world.streams.len() - 1;
            let settled = world.charges("a");
            if half_settled {
                // The settlement is in the ring, the hold still in the record.
                assert!(world.trap(0, 2, |world| drop(world.answer(last, 200, &usage(30, 40)))));
            } else {
                world.replace_vm(0);
            }
            // The other two have seen it silent for a while; the first of them adopts it, and ends.
            world.pass(1_500);
            let mut trapped = false;
            for _ in 0..16 {
                world.node.now_us += 250_000;
                trapped = trapped || world.trap(1, calls, |world| world.node.tick(1));
                if !trapped {
                    world.run();
                }
            }
            world.pass(2 * HEALED_MS);
            let charged: Vec<_> =
                world.charge_entries("a").skip(settled).map(|charge| charge.outcome).collect();
            assert_eq!(charged.len(), 3, "{calls} {charged:?} {:?}", world.warnings);
            lost(&world);
            assert_eq!(world.book.counters.disputed, 0);
            world.check_at_rest();
            if !trapped {
                assert!(calls > 20, "{calls}: the fuse burns");
                break;
            }
        }
    }
}

/// Six seconds in which worker 0 is held up and the others tick.
fn hold_up(world: &mut World) {
    for _ in 0..24 {
        world.node.now_us += 250_000;
        for worker in 1..3 {
            world.node.tick(worker);
            world.run();
        }
    }
}

#[test]
fn a_vm_that_only_stalled_settles_nothing_again_and_goes_on() {
    for mode in ["hold", "stream"] {
        let mut world = warm(mode, sim::CATALOG, 3);
        let open: Vec<usize> = (world.streams.len() - 3..world.streams.len()).collect();
        world.pass(1_000);
        hold_up(&mut world);
        assert_eq!(world.record("a").open, 0, "its requests are settled: {:?}", world.warnings);
        let charged = world.charged("a");
        let line = world.answer(open[0], 200, &usage(500, 500));
        assert!(line.contains(r#""outcome":"lost""#) && !line.contains("charge"), "{line}");
        let next = world.chat(0, "a", &ask(MODEL, 100));
        assert_eq!(world.streams[next].seen, Some(Seen::Forwarded));
        world.pass(1_000);
        world.answer(open[1], 200, &usage(500, 500));
        world.answer(next, 200, &usage(30, 40));
        world.leave(open[2]);
        world.pass(HEALED_MS);
        assert_eq!(lost(&world), 3);
        assert_eq!(world.charged("a") - charged, price(30, 40));
        assert_eq!(gauges(&world), [0; 3]);
        world.check_at_rest();
    }
}

#[test]
fn a_vm_that_drains_beside_its_successor_is_not_adopted() {
    let mut world = warm("hold", sim::CATALOG, 1);
    let old = world.streams.len() - 1;
    let new = world.node.add_vm();
    for _ in 0..10 {
        world.pass(2_000);
        let stream = world.chat(new, "a", &ask(MODEL, 100));
        world.answer(stream, 200, &usage(30, 40));
    }
    world.pass(2_000);
    let before = world.charged("a");
    world.answer(old, 200, &usage(30, 40));
    world.pass(2_000);
    assert_eq!(world.charged("a") - before, price(30, 40));
    assert_eq!(lost(&world), 0);
    assert!(world.warnings.is_empty(), "{:?}", world.warnings);
}

#[test]
fn a_process_that_stood_still_adopts_nothing() {
    let mut world = warm("hold", sim::CATALOG, 2);
    let open: Vec<usize> = (world.streams.len() - 2..world.streams.len()).collect();
    world.pass(1_000);
    world.node.now_us += 30_000_000;
    world.pass(HEALED_MS);
    for stream in open {
        world.answer(stream, 200, &usage(30, 40));
    }
    world.pass(2_000);
    assert_eq!(lost(&world), 0, "{:?}", world.warnings);
    world.check_at_rest();
}

/// A node that the ledger has closed and that goes on under a new id, with a request of before under way on
/// worker 0; `prepare` comes before the ledger answers again.
fn renewed(prepare: impl FnOnce(&World)) -> (World, usize) {
    let mut world = warm("hold", sim::CATALOG, 1);
    let open = world.streams.len() - 1;
    world.ledger = Ledger::Down;
    world.pass(70_000);
    prepare(&world);
    world.ledger = Ledger::Up;
    world.pass(2_500);
    assert!(world.warnings.iter().any(|text| text.contains("had closed this node")), "{:?}", world.warnings);
    (world, open)
}

#[test]
fn where_no_slot_is_free_a_settlement_goes_where_its_hold_is() {
    let (mut world, open) = renewed(|world| {
        let (header, _) = world.shared.get("t/2/slot/0");
        let header = header.expect("worker 0's");
        for slot in 3..64 {
            world.shared.set(&format!("t/2/slot/{slot}"), &header, None).expect("set");
        }
    });
    let before = world.charged("a");
    let line = world.answer(open, 200, &usage(30, 40));
    assert!(line.contains("\"charge\""), "{line}");
    world.pass(HEALED_MS);
    assert_eq!(world.charged("a") - before, price(30, 40), "{:?}", world.warnings);
    world.check_at_rest();
}

#[test]
fn wherever_a_vm_ends_what_it_has_settled_of_an_earlier_node_stays_settled() {
    for calls in 0.. {
        let (mut world, open) = renewed(|_| {});
        // It has a lane of the next node as well.
        let next = world.chat(0, "a", &ask(MODEL, 100));
        world.answer(next, 200, &usage(1, 1));
        world.pass(1_000);
        let (settled, charged) = (world.charges("a"), world.charged("a"));
        let written = world.shared.entries("t/2/ring/");
        if !world.trap(0, calls, |world| drop(world.answer(open, 200, &usage(30, 40)))) {
            assert!(calls > 2, "the fuse burns");
            break;
        }
        let in_ring = world.shared.entries("t/2/ring/") != written;
        world.pass(2 * HEALED_MS);
        assert_eq!(world.charges("a") - settled, 1, "{calls}: {:?}", world.warnings);
        let price = if in_ring { price(30, 40) } else { estimate() };
        assert_eq!(world.charged("a") - charged, price, "{calls}");
        assert_eq!(world.book.counters.disputed, 0, "{calls}: {:?}", world.warnings);
        world.check_at_rest();
    }
}

#[test]
fn one_tick_looks_once_however_many_lanes_it_adopts() {
    // Three VMs are gone; whenever it is that the process stands still, the one that lives is not taken for dead by
    // the worker that finds the three.
    for quarter_seconds in 1..=16 {
        let mut world = World::with(5, &config("hold", ""), sim::CATALOG);
        world.account("a", "max");
        for worker in 0..5 {
            let stream = world.chat(worker, "a", &ask(MODEL, 100));
            assert_eq!(world.streams[stream].seen, Some(Seen::Forwarded));
        }
        world.pass(2_000);
        (2..5).for_each(|worker| world.replace_vm(worker));
        world.pass(quarter_seconds * 250);
        world.node.now_us += 30_000_000;
        world.pass(HEALED_MS);
        world.answer(1, 200, &usage(30, 40));
        world.pass(2_000);
        assert_eq!(lost(&world), 3, "{quarter_seconds}: {:?}", world.warnings);
    }
}

#[test]
fn whenever_vms_end_nothing_of_them_stays_in_the_gauges() {
    for ticks in 0..30 {
        let mut world = warm("hold", sim::CATALOG, 5);
        world.ledger = Ledger::Down;
        for stream in world.streams.len() - 4..world.streams.len() {
            world.answer(stream, 200, &usage(30, 40));
        }
        world.pass(1_000);
        world.replace_vm(0);
        world.pass(HEALED_MS);
        assert_eq!(gauges(&world), [5, 0, 0]);
        world.ledger = Ledger::Up;
        world.pass(ticks * 250);
        (0..3).for_each(|worker| world.replace_vm(worker));
        world.pass(2 * HEALED_MS);
        assert_eq!((lost(&world), gauges(&world)), (1, [0; 3]), "{ticks}");
    }
}

#[test]
fn events_of_a_lane_that_was_taken_are_counted_where_it_is() {
    let mut world = warm("hold", sim::CATALOG, 3);
    world.ledger = Ledger::Down;
    for stream in world.streams.len() - 3..world.streams.len() {
        world.answer(stream, 200, &usage(30, 40));
    }
    world.pass(1_000);
    hold_up(&mut world);
    world.pass(2_000);
    assert_eq!(gauges(&world), [3, 0, 0], "not in both: {:?}", world.warnings);
    world.replace_vm(0);
    world.ledger = Ledger::Up;
    world.pass(2 * HEALED_MS);
    assert_eq!((lost(&world), gauges(&world)), (0, [0; 3]));
}

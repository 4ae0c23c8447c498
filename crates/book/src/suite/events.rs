//! Lanes and settlements: what is applied, skipped, refused, and what it costs.

use tariff::{Catalog, Lost, Meter, Micros, Usage};
use wire::{EventBody, NodeId, Outcome, SEQ_AHEAD_MAX, Settle, SyncRequest, UsageSource};

use super::world::{
    ACCOUNT, BLANK, CREDIT, Stands, Subject, Worker, World, credits, lease_closed, raw, settled,
};
use crate::entry::{Charge, EntryKind};

fn charges<S: Subject>(world: &mut World<S>) -> Vec<Charge> {
    let journal = world.subject.journal();
    let charges = journal.into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Charge(charge) => Some(*charge),
        _ => None,
    });
    charges.collect()
}

fn requests<S: Subject>(world: &mut World<S>) -> Vec<String> {
    charges(world).into_iter().map(|charge| charge.request).collect()
}

fn three<S: Subject>(world: &mut World<S>) -> Vec<EventBody> {
    (1..=3).map(|number| settled(world.use_of(&format!("r{number}"), credits(3)))).collect()
}

pub fn replays_change_nothing<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let bodies = three(&mut world);
    world.deliver(&mut worker, bodies.clone());
    let once = world.account();
    for _ in 0..3 {
        let ack = world.send(worker.batch(world.now, 1, &bodies)).ack.unwrap();
        assert_eq!((ack.last, ack.expected, ack.rejected.len()), (3, None, 0));
    }
    assert_eq!(world.account(), once);
    let counters = world.subject.counters();
    assert_eq!((counters.applied, counters.replayed, counters.conflicts), (3, 9, 0));
    assert_eq!(once.totals.charged, credits(9));
}

pub fn a_batch_that_overlaps_is_applied_from_where_it_is_new<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let bodies = three(&mut world);
    world.send(worker.batch(world.now, 1, &bodies[..2]));
    let ack = world.send(worker.batch(world.now, 2, &bodies[1..])).ack.unwrap();
    assert_eq!(ack.last, 3);
    assert_eq!(requests(&mut world), ["r1", "r2", "r3"]);
}

pub fn a_hole_is_pointed_out_and_nothing_is_applied<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let bodies = three(&mut world);
    world.send(worker.batch(world.now, 1, &bodies[..1]));
    let ack = world.send(worker.batch(world.now, 3, &bodies[2..])).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (1, Some(2)));
    assert_eq!(requests(&mut world), ["r1"]);
    let ack = world.send(worker.batch(world.now, 2, &bodies[1..])).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (3, None));
    assert_eq!(requests(&mut world), ["r1", "r2", "r3"]);
}

pub fn a_gap_is_journalled_and_the_rest_goes_on<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let bodies = three(&mut world);
    world.send(worker.batch(world.now, 1, &bodies[..1]));
    let ack = world.send(worker.gap(world.now, 2, 9, &bodies[2..])).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (10, None));
    assert_eq!(requests(&mut world), ["r1", "r3"]);
    let counters = world.subject.counters();
    assert_eq!((counters.gaps, counters.applied), (8, 2));
    assert_eq!(world.subject.incidents().last().unwrap().code, "gap");
    // Repeated, it is known.
    world.send(worker.gap(world.now, 2, 9, &bodies[2..]));
    assert_eq!(world.subject.counters().gaps, 8);
    // A gap that does not begin where the lane stands is none.
    let ack = world.send(worker.gap(world.now, 15, 20, &[])).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (10, Some(11)));
}

pub fn other_content_under_a_known_number_is_a_conflict<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let bodies = three(&mut world);
    world.deliver(&mut worker, bodies.clone());
    let once = world.account();
    let mut other = bodies;
    other[1] = settled(world.use_of("r2", credits(300)));
    let ack = world.send(worker.batch(world.now, 1, &other)).ack.unwrap();
    assert_eq!((ack.last, ack.rejected.len()), (3, 0));
    assert_eq!(world.account(), once, "kept as it was");
    let counters = world.subject.counters();
    assert_eq!((counters.replayed, counters.conflicts), (2, 1));
    assert_eq!(world.subject.incidents().last().unwrap().code, "conflict");
}

pub fn a_bad_event_never_blocks_a_good_one<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let good = |world: &mut World<S>, name: &str| world.use_of(name, credits(3));
    let spoil = |settle: Settle, spoil: &dyn Fn(&mut Settle)| {
        let mut settle = settle;
        spoil(&mut settle);
        settled(settle)
    };
    let mut bodies = Vec::new();
    let spoilers: Vec<&dyn Fn(&mut Settle)> = vec![
        &|settle| settle.account = "nobody".to_owned(),
        &|settle| settle.takes[0].used = Micros(-1),
        &|settle| settle.takes[0].held = Micros(i64::MAX),
        &|settle| settle.usage.set(Meter::InputTokens, u64::MAX),
        &|settle| settle.request = String::new(),
        &|settle| settle.request = "x".repeat(129),
        &|settle| settle.key = "\u{7f}".to_owned(),
        &|settle| settle.source = None,
        &|settle| settle.takes = vec![settle.takes[0].clone(); 9],
    ];
    for (number, spoiler) in spoilers.iter().enumerate() {
        bodies.push(spoil(good(&mut world, &format!("bad{number}")), *spoiler));
        bodies.push(settled(good(&mut world, &format!("good{number}"))));
    }
    let mut request = worker.batch(world.now, 1, &bodies);
    let batch = request.batch.as_mut().unwrap();
    let next = batch.events.len() as u64 + 1;
    batch.events.push(raw(&serde_json::json!({"seq": next, "body": {"explode": {}}})));
    batch.events.push(raw(&serde_json::json!([1, 2])));
    let last = settled(good(&mut world, "last"));
    batch.events.push(raw(&serde_json::json!({"seq": 1, "body": last})));
    batch.events.push(raw(&wire::Event { seq: next + 3, body: last }));
    let ack = world.send(request.clone()).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (next + 3, None));
    let codes: Vec<&str> = ack.rejected.iter().map(|rejected| rejected.code.as_str()).collect();
    let mut expected = vec!["unknown_account"];
    expected.extend(["invalid"; 8]);
    expected.extend(["malformed", "malformed", "wrong_seq"]);
    assert_eq!(codes, expected);
    let good = spoilers.len() + 1;
    assert_eq!(charges(&mut world).len(), good);
    assert_eq!(world.account().totals.charged, credits(3 * good as i64));
    assert_eq!(world.subject.incidents().len(), codes.len());
    // Acknowledged for good: repeated, they are replays.
    let ack = world.send(request).ack.unwrap();
    assert_eq!((ack.last, ack.rejected.len()), (next + 3, 0));
}

pub fn far_numbers_are_refused<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let bodies = three(&mut world);
    let ack = world.send(worker.batch(world.now, SEQ_AHEAD_MAX + 2, &bodies)).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (0, Some(1)));
    assert_eq!(world.subject.incidents().last().unwrap().code, "seq_ahead");
    let ack = world.send(worker.gap(world.now, 1, SEQ_AHEAD_MAX + 1, &bodies)).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (0, Some(1)));
    let ack = world.send(worker.batch(world.now, 0, &bodies)).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (0, Some(1)));
    assert_eq!(charges(&mut world), []);
}

pub fn a_request_is_charged_once<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut one = Worker::new(1);
    let mut other = Worker::new(2);
    for worker in [&one, &other] {
        let request = worker.want(world.now, Stands { ask: 10 * CREDIT, ..BLANK }, &[]);
        world.send(request);
    }
    let settle = world.use_of("r1", credits(3));
    world.charge(&mut one, settle.clone());
    let ack = world.deliver(&mut other, vec![settled(settle)]);
    assert_eq!(ack.rejected[0].code, "duplicate_request");
    let account = world.account();
    assert_eq!(account.totals.charged, credits(3));
    // Both nodes took it from their leases, whatever was charged.
    assert_eq!(account.outstanding("credits"), credits(14));
    assert_eq!(world.subject.incidents().last().unwrap().code, "duplicate_request");
}

pub fn estimates_stay_within_the_hold<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let mut settle = world.use_of("r1", credits(9));
    settle.source = Some(UsageSource::Estimated);
    settle.takes[0].held = credits(6);
    settle.takes[0].used = credits(6);
    world.charge(&mut worker, settle);
    let mut lost = world.use_of("r2", credits(9));
    lost.outcome = Outcome::Lost;
    lost.takes[0].held = credits(1);
    lost.takes[0].used = credits(1);
    world.charge(&mut worker, lost);
    assert_eq!(world.account().totals.charged, credits(7));
    assert_eq!(world.subject.counters().price_mismatches, 0);
}

pub fn a_lost_request_may_be_charged_its_hold<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    assert_eq!(charged_when_lost(make, Lost::Hold, credits(6)), credits(6));
}

pub fn a_lost_request_may_be_free<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    assert_eq!(charged_when_lost(make, Lost::Zero, credits(0)), credits(0));
}

/// What a lost request with a hold of 6 and an estimate of 4 is charged, where the edge reckoned `used`.
fn charged_when_lost<S: Subject>(make: impl FnOnce(Catalog) -> S, policy: Lost, used: Micros) -> Micros {
    let mut world = World::new(|catalog| make(Catalog { lost: policy, ..catalog }), "starter");
    let mut lost = world.use_of("r1", credits(4));
    (lost.outcome, lost.source) = (Outcome::Lost, Some(UsageSource::Estimated));
    (lost.takes[0].held, lost.takes[0].used) = (credits(6), used);
    world.charge(&mut Worker::new(1), lost);
    assert_eq!(world.subject.counters().price_mismatches, 0);
    world.account().totals.charged
}

pub fn reported_usage_may_exceed_the_hold<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(6, "p1");
    let mut worker = Worker::new(1);
    for (request, source) in [("r1", UsageSource::Reported), ("r2", UsageSource::Counted)] {
        let mut settle = world.use_of(request, credits(9));
        settle.source = Some(source);
        settle.takes[0].held = credits(3);
        world.charge(&mut worker, settle);
    }
    let account = world.account();
    assert_eq!((account.totals.charged, account.debt), (credits(18), credits(12)));
    assert_eq!(world.subject.counters().overshoot, i128::from(12 * CREDIT));
}

pub fn an_unknown_price_is_never_free<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    // No such model: what was held.
    let mut settle = world.use_of("r1", credits(3));
    settle.model = "unheard-of".to_owned();
    world.charge(&mut worker, settle);
    // Input is priced, output is not: what can be priced, where that is more than what was held.
    let mut settle = world.settlement("r2", 200_000, 1_000_000);
    settle.model = "input-only".to_owned();
    settle.takes[0].held = credits(1);
    settle.takes[0].used = credits(6);
    world.charge(&mut worker, settle);
    let bases: Vec<Micros> = charges(&mut world).iter().map(|charge| charge.base).collect();
    assert_eq!(bases, [credits(3), credits(6)]);
    let codes: Vec<String> = world.subject.incidents().into_iter().map(|incident| incident.code).collect();
    assert_eq!(codes, ["unpriced", "unpriced"]);
}

pub fn beyond_the_bound_is_disputed<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(12_000));
    world.charge(&mut worker, settle);
    let charge = charges(&mut world).remove(0);
    assert_eq!((charge.base, charge.disputed), (credits(10_000), credits(2_000)));
    assert_eq!(world.account().debt, credits(9_500));
    assert_eq!(world.subject.incidents().last().unwrap().code, "disputed");
    assert_eq!(world.subject.counters().disputed, i128::from(2_000 * CREDIT));
}

pub fn a_price_mismatch_posts_the_ledgers_figure<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let request = worker.want(world.now, Stands { ask: 50 * CREDIT, ..BLANK }, &[]);
    world.send(request);
    let mut settle = world.use_of("r1", credits(9));
    settle.takes[0].used = credits(12);
    world.charge(&mut worker, settle);
    let account = world.account();
    assert_eq!(account.totals.charged, credits(9));
    assert_eq!(account.outstanding("credits"), credits(38), "leases account with the node's figure");
    assert_eq!(world.subject.counters().price_mismatches, 1);
}

pub fn a_release_charges_nothing_and_ends_its_hold<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let request = worker.want(world.now, Stands { ask: 50 * CREDIT, ..BLANK }, &[]);
    world.send(request);
    for (request, outcome) in [("r1", Outcome::Released), ("r2", Outcome::NoUpstream)] {
        let mut settle = world.use_of(request, credits(9));
        settle.outcome = outcome;
        settle.source = None;
        settle.usage = Usage::new();
        settle.takes[0].used = Micros::ZERO;
        world.charge(&mut worker, settle);
    }
    let account = world.account();
    assert_eq!((account.totals.charged, account.outstanding("credits")), (Micros::ZERO, credits(50)));
    assert!(world.subject.journal().iter().filter(|entry| entry.kind.is_line()).count() <= 2);
}

pub fn lanes_are_independent<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut workers = [Worker::slot(1, 0), Worker::slot(1, 1), Worker::slot(2, 0)];
    workers[1].lane.incarnation = 7;
    for (number, worker) in workers.iter_mut().enumerate() {
        let settle = world.use_of(&format!("r{number}"), credits(3));
        world.charge(worker, settle);
    }
    assert_eq!(world.account().totals.charged, credits(9));
    world.crash();
    for (number, worker) in workers.iter_mut().enumerate() {
        let settle = world.use_of(&format!("s{number}"), credits(3));
        world.charge(worker, settle);
    }
    assert_eq!(world.account().totals.charged, credits(18));
}

pub fn lanes_that_restored_books_have_forgotten_are_taken<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let bodies = three(&mut world);
    // A node took its second id after the copy was made, and has events of the first one left.
    let forgotten = Worker::new(1);
    let by = |caller: u8, request: SyncRequest, generation: Option<&str>| SyncRequest {
        node: NodeId([caller; 16]),
        generation: generation.map(ToOwned::to_owned),
        ..request
    };
    let refused = world.send(by(7, forgotten.batch(world.now, 1, &bodies[..1]), None)).ack.unwrap();
    assert_eq!(refused.rejected[0].code, "unknown_node", "whoever comes without a past");
    let first = forgotten.batch(world.now, 1, &bodies[..1]);
    let answer = world.send(by(2, first, Some("another")));
    let ack = answer.ack.unwrap();
    assert_eq!((answer.node_open, ack.last, ack.rejected.len()), (false, 1, 0));
    // The rest comes from the id that it takes next, which knows these books.
    let rest = forgotten.batch(world.now, 2, &bodies[1..]);
    let ack = world.send(by(3, rest, Some(&answer.generation))).ack.unwrap();
    assert_eq!((ack.last, ack.rejected.len()), (3, 0));
    assert_eq!(requests(&mut world), ["r1", "r2", "r3"]);
}

pub fn settlements_commute<S: Subject>(make: impl Fn(Catalog) -> S) {
    let amounts = [499_999_980, 30, 1_000_020, 59_970, 2_500_050];
    let run = |order: [usize; 5]| {
        let mut world = World::new(&make, "starter");
        world.top_up(10, "p1");
        let mut worker = Worker::new(1);
        for index in order {
            let settle = world.use_of(&format!("r{index}"), Micros(amounts[index]));
            world.charge(&mut worker, settle);
        }
        world.deliver(&mut worker, vec![lease_closed(1, 0)]);
        assert_eq!(world.account().id.as_str(), ACCOUNT);
        world.account().totals.charged.get()
    };
    let first = run([0, 1, 2, 3, 4]);
    for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 4, 0, 3, 2]] {
        // I12: the order changes the total by at most one micro-credit per charge line.
        assert!(first.abs_diff(run(order)) <= 5, "{order:?}");
    }
}

pub fn takes_named_by_their_tag_bound_a_charge_too<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let tagged = |mut settle: Settle| {
        settle.takes[0].bucket = wire::id::tagged(wire::id::tag("credits"));
        settle
    };
    let mut estimate = tagged(world.use_of("r1", credits(9)));
    estimate.source = Some(UsageSource::Estimated);
    estimate.takes[0].held = credits(6);
    world.charge(&mut worker, estimate);
    let mut unpriced = tagged(world.use_of("r2", credits(3)));
    unpriced.model = "unheard-of".to_owned();
    world.charge(&mut worker, unpriced);
    let bases: Vec<Micros> = charges(&mut world).iter().map(|charge| charge.base).collect();
    assert_eq!(bases, [credits(6), credits(3)]);
    let counters = world.subject.counters();
    assert_eq!((counters.price_mismatches, counters.overshoot), (1, i128::from(3 * CREDIT)));
}

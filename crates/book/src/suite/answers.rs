//! What answers carry beside grants: snapshots for those who lack them, verdicts, the change feed.

use tariff::catalog::PlanRate;
use tariff::{Admission, Catalog, Meter, Micros, Usage};
use wire::{Change, DenialCode, Digest, RateLine, RateMode, RateReport, RateState, SyncRequest, VerdictKind};

use super::world::{ACCOUNT, BLANK, CREDIT, Command, Stands, Subject, Worker, World, credits, settled};
use crate::command::key::NewKey;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::limits::AMOUNT_MAX;
use crate::tx::Now;

fn key(id: &str, digest: u8) -> NewKey {
    let (account, id) = (ACCOUNT.to_owned(), id.to_owned());
    NewKey {
        account,
        id,
        digest: Digest([digest; 32]),
        name: None,
        auth_class: None,
        models: None,
        expires_at: None,
    }
}

pub fn snapshots_go_to_those_who_lack_them<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(10, "p1");
    let worker = Worker::new(1);
    let answer = world.send(worker.want(world.now, BLANK, &[("r1", CREDIT)]));
    assert_eq!(answer.snapshots.len(), 1, "a record that begins");
    let in_use = Stands { held: CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, in_use, &[("r2", CREDIT)]));
    assert_eq!((answer.grants.len(), answer.snapshots.len()), (1, 0), "a record in use");
    let answer = world.send(worker.want(world.now, in_use, &[("r3", 100 * CREDIT)]));
    assert_eq!((answer.verdicts.len(), answer.snapshots.len()), (1, 1), "there is something to explain");
    let answer = world.send(SyncRequest { refresh: vec![ACCOUNT.to_owned()], ..worker.call(world.now) });
    assert_eq!(answer.snapshots.len(), 1, "whoever asks");
    let strangers = vec!["nobody".to_owned(), "no id".to_owned()];
    let answer = world.send(SyncRequest { refresh: strangers, ..worker.call(world.now) });
    assert_eq!(answer.snapshots.len(), 0);
}

/// Where a catalog does not clip, the whole estimate must be there.
pub fn without_clips_what_is_short_is_refused<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let full = |mut catalog: Catalog| {
        catalog.exhaustion.admission = Admission::Full;
        make(catalog)
    };
    let mut world = World::new(full, "topup_only");
    world.top_up(6, "p1");
    let worker = Worker::new(1);
    let answer = world.send(worker.want(world.now, BLANK, &[("r1", 7 * CREDIT), ("r2", 6 * CREDIT)]));
    let VerdictKind::Deny(denial) = &answer.verdicts[0].kind else { unreachable!("{answer:?}") };
    assert_eq!((denial.code, denial.available), (DenialCode::InFlight, credits(6)));
    assert_eq!((answer.verdicts.len(), answer.grants[0].granted), (1, credits(6)), "the other one fits");
    assert!(world.account().clip.is_none());
}

/// A call that was overtaken (a proxy, a ledger that stood still) says what its node held when it was sent: taken at
/// its word, what had come free since was held for good, and called back from nobody.
pub fn what_a_late_call_holds_is_held_no_more<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(10, "p1");
    let (worker, other) = (Worker::new(1), Worker::new(2));
    world.send(worker.want(world.now, BLANK, &[("r1", 10 * CREDIT)]));
    let late = worker.want(world.now, Stands { held: 10 * CREDIT, ..BLANK }, &[]);
    world.pass_up(5_000);
    world.send(worker.want(world.now, Stands { free: 10 * CREDIT, ..BLANK }, &[]));
    world.send(late.clone());
    let answer = world.send(other.want(world.now, BLANK, &[("r2", CREDIT)]));
    assert!(matches!(answer.verdicts[0].kind, VerdictKind::Wait(_)), "it is idle there: {answer:?}");
    // From further back: the node's clock was set.
    let set_back = SyncRequest { now: late.now - crate::limits::STATED_LATE_MS, ..late };
    world.send(set_back);
    let answer = world.send(other.want(world.now, BLANK, &[("r3", CREDIT)]));
    assert!(
        matches!(&answer.verdicts[0].kind, VerdictKind::Deny(denial) if denial.code == DenialCode::InFlight)
    );
}

/// The one request below its need is forgotten with its node, and with no other (I9).
pub fn a_clip_ends_with_its_node<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(2, "p1");
    let (worker, other) = (Worker::new(1), Worker::new(2));
    world.send(other.call(world.now));
    let half = wire::NODE_OPEN_MS as i64 / 2;
    world.pass_up(half);
    let answer = world.send(worker.want(world.now, BLANK, &[("r1", 5 * CREDIT)]));
    assert!(matches!(answer.verdicts[0].kind, VerdictKind::Clip(_)));
    world.pass_up(half);
    assert!(!world.send(other.call(world.now)).node_open, "the other one is closed");
    assert!(world.account().clip.is_some_and(|clip| clip.request == "r1"));
    world.pass_up(half);
    assert_eq!((world.account().clip, world.account().capacity()), (None, credits(2)));
}

/// A settlement takes from its lane's node, unless that is closed and only the caller has such a lease.
pub fn takes_are_of_the_lanes_node_or_its_heirs<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(100, "p1");
    let (old, heir) = (Worker::new(1), Worker::new(2));
    world.send(old.call(world.now));
    world.pass_up(wire::NODE_OPEN_MS as i64);
    let mut holders = Vec::new();
    for (number, lease) in [(1, 0), (2, 1)] {
        if lease > 0 {
            world.send(heir.want(world.now, BLANK, &[("r9", 10 * CREDIT)]));
        }
        let mut settle = world.use_of(&format!("r{number}"), credits(1));
        settle.lease = 1;
        let call = SyncRequest { node: heir.lane.node, ..old.batch(world.now, number, &[settled(settle)]) };
        assert_eq!(world.send(call).ack.unwrap().rejected, []);
        let charges = world.subject.journal().into_iter().filter_map(|entry| match entry.kind {
            EntryKind::Charge(charge) => Some(charge.holder),
            _ => None,
        });
        holders.extend(charges.last());
    }
    assert_eq!(holders, [old.lane.node, heir.lane.node]);
    assert_eq!(world.account().outstanding("credits"), credits(9));
}

/// Nodes that have nothing left of an account do not lower what others are leased ahead.
pub fn nodes_with_nothing_left_do_not_share<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(100, "p1");
    let (mut one, other) = (Worker::new(1), Worker::new(2));
    world.send(one.want(world.now, BLANK, &[("r1", 20 * CREDIT)]));
    let settle = world.use_of("r1", credits(20));
    world.charge(&mut one, settle);
    assert_eq!(world.account().leases.len(), 1, "its record is still open");
    let answer = world.send(other.want(world.now, Stands { ask: 90 * CREDIT, ..BLANK }, &[]));
    assert_eq!(answer.grants[0].granted, credits(40), "half of what is left");
}

/// The catalog with 60 requests per minute on the plan without credits.
fn rated(mut catalog: Catalog) -> Catalog {
    let (id, models) = ("rpm".to_owned(), vec!["*".to_owned()]);
    let (amount, per_ms, scope) = (60, 60_000, tariff::Scope::Account);
    let rate = PlanRate { id, meter: Meter::Requests, models, amount, per_ms, burst: 60, scope };
    catalog.plans[0].rates.push(rate);
    catalog
}

fn ask(worker: &Worker, now: Now, state: &RateState) -> SyncRequest {
    let mut call = worker.want(now, BLANK, &[]);
    call.wants[0].rates = Some(state.clone());
    call
}

/// Nodes of before a restart may be refilling: who knows nothing waits until they could have said so.
pub fn after_a_restart_nobody_refills_too_early<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(|catalog| make(rated(catalog)), "topup_only");
    let (one, other) = (Worker::new(1), Worker::new(2));
    world.send(one.call(world.now));
    world.crash();
    let mut modes = Vec::new();
    for up in [0, wire::RATE_SILENT_MS as i64 - 1, wire::RATE_SILENT_MS as i64] {
        world.now.up = up;
        let told = world.send(ask(&other, world.now, &RateState::default())).rates.remove(0);
        modes.push((told.mode, told.wait_ms > 0));
    }
    // From then on the one that has not called keeps half, so that the other is leased tokens.
    assert_eq!(modes, [(RateMode::Unknown, true), (RateMode::Unknown, true), (RateMode::Leased, false)]);
}

/// What a second node gets of a rate, through whole calls: the first is told to stop, says how it stands, and
/// from there on tokens come at the rate's own pace (protocol §6).
pub fn a_rate_passes_from_one_node_to_two<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(|catalog| make(rated(catalog)), "topup_only");
    let (one, other) = (Worker::new(1), Worker::new(2));
    let line =
        |need, full_in_us| RateLine { rate: "rpm".to_owned(), need, full_in_us, ..RateLine::default() };
    let blank = RateState { lines: vec![line(1, 0)], ..RateState::default() };
    let first = world.send(ask(&one, world.now, &blank)).rates.remove(0);
    assert_eq!((first.mode, first.lease, &*first.account), (RateMode::Sole, 1, ACCOUNT));
    let waiting = world.send(ask(&other, world.now, &blank)).rates.remove(0);
    assert!(waiting.wait_ms > 0);
    let told = world.send(one.call(world.now)).withdrawn;
    assert_eq!(told.len(), 1);
    // 58 of 60 are taken: two are left, and one more comes with every second.
    let turn = told[0].turn;
    let state = RateState { turn, mode: RateMode::Leased, lines: vec![line(0, 58_000_000)] };
    let report = RateReport { account: ACCOUNT.to_owned(), lease: 1, state };
    let answer = world.send(SyncRequest { rates: vec![report], ..one.call(world.now) });
    assert_eq!(answer.withdrawn, [], "it has answered");
    let leased =
        |granted: &wire::RateGrant| (granted.mode, granted.lines[0].granted, granted.lines[0].retry_in_ms);
    let eager = RateState { lines: vec![line(5, 0)], ..RateState::default() };
    let got = world.send(ask(&other, world.now, &eager)).rates.remove(0);
    assert_eq!(leased(&got), (RateMode::Leased, 2, 1_000));
    world.now.up += 1_000;
    let used = RateLine { used: 2, ..line(5, 0) };
    let state = RateState { turn, mode: RateMode::Leased, lines: vec![used] };
    let got = world.send(ask(&other, world.now, &state)).rates.remove(0);
    assert_eq!(leased(&got), (RateMode::Leased, 3, 1_000));
}

pub fn a_key_is_one_of_a_kind_by_id_and_by_digest<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.call(Command::CreateKey(key("k1", 1))).unwrap();
    for other in [key("k1", 2), key("k2", 1), key("k1", 1)] {
        let answer = world.call(Command::CreateKey(other));
        assert!(matches!(answer, Err(Error::Refused(Refusal::KeyExists))), "{answer:?}");
    }
    world.call(Command::CreateKey(key("k2", 2))).unwrap();
}

pub fn the_feed_tells_what_changed_and_no_more<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let mut worker = Worker::new(1);
    let first = world.send(worker.call(world.now));
    assert_eq!((first.changes.len(), first.feed_reset), (0, false), "whoever knows nothing misses nothing");
    worker.cursor = Some(first.cursor);
    world.top_up(5, "p1");
    let version = world.account().version;
    world.call(Command::CreateKey(key("k1", 1))).unwrap();
    let settle = world.use_of("r1", Micros(1));
    let call = worker.batch(world.now, 1, &[settled(settle)]);
    let answer = world.send(call);
    let account = ACCOUNT.to_owned();
    assert_eq!(
        answer.changes,
        [Change::Account { account, version }, Change::Key { digest: Digest([1; 32]) }]
    );
    assert_eq!((answer.feed_reset, answer.cursor), (false, first.cursor + 2));
    worker.cursor = Some(answer.cursor);
    assert_eq!(world.send(worker.call(world.now)).changes, []);
    // What another ledger said counts for nothing, unless there is nothing to forget.
    let call = worker.call(world.now);
    let of = |generation: &str, cursor| SyncRequest {
        generation: Some(generation.to_owned()),
        cursor,
        ..call.clone()
    };
    let requests = [
        (of("other", Some(answer.cursor)), true),
        (of("other", None), false),
        (of(&answer.generation, Some(answer.cursor)), false),
        (of(&answer.generation, Some(answer.cursor + 1)), true),
    ];
    for (request, is_reset) in requests {
        assert_eq!(world.send(request.clone()).feed_reset, is_reset, "{request:?}");
    }
}

/// A node that says that it used far more than it was granted, and gives back, is not granted ever more.
pub fn what_a_lease_is_granted_in_all_has_an_end<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(10, "p1");
    let mut worker = Worker::new(1);
    world.send(worker.want(world.now, BLANK, &[("r1", CREDIT)]));
    // It says that it used far more than it was granted, of requests that ended without a charge.
    for round in 0..4 {
        let bodies = (0..256).map(|number| {
            let mut settle = world.use_of(&format!("r{round}.{number}"), AMOUNT_MAX);
            (settle.outcome, settle.source, settle.usage) = (wire::Outcome::Released, None, Usage::new());
            settled(settle)
        });
        let bodies = bodies.collect();
        assert_eq!(world.deliver(&mut worker, bodies).rejected, []);
        let answer = world.send(worker.want(world.now, BLANK, &[("r1", CREDIT)]));
        assert_eq!(answer.grants[0].granted, credits(1), "nothing is leased beyond the bound");
        world.send(worker.give_back(world.now, 1, i64::MAX));
    }
    assert_eq!(world.account().capacity(), credits(10));
}

//! Leases, waiting requests, nodes, keys, the change feed.

use tariff::{Catalog, Micros};
use wire::{AccountStatus, Change, DenialCode, Digest, NODE_OPEN_MS, SyncRequest, SyncResponse, VerdictKind};

use super::world::{
    ACCOUNT, BLANK, CREDIT, Command, Stands, Subject, Worker, World, credits, lease_closed, settled,
};
use crate::command::key;
use crate::error::{Error, Refusal};
use crate::limits::{CHANGES_KEPT, LEASES_ENDED_KEPT, WAIT_AGAIN_MS, WAIT_MS, WAIT_MS_MAX};

fn granted(answer: &SyncResponse) -> i64 {
    assert_eq!(answer.grants.len(), 1);
    answer.grants[0].granted.get()
}

fn verdict(answer: &SyncResponse) -> &VerdictKind {
    assert_eq!(answer.verdicts.len(), 1, "{answer:?}");
    &answer.verdicts[0].kind
}

fn denial(answer: &SyncResponse) -> (DenialCode, i64) {
    match verdict(answer) {
        VerdictKind::Deny(denial) => (denial.code, denial.available.get()),
        other => unreachable!("{other:?} is no denial"),
    }
}

/// A world whose one account has so many credits.
fn with<S: Subject>(make: impl FnOnce(Catalog) -> S, amount: i64) -> World<S> {
    let mut world = World::new(make, "topup_only");
    if amount > 0 {
        world.top_up(amount, "p1");
    }
    world
}

pub fn a_want_is_served_and_leased_ahead<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let worker = Worker::new(1);
    let ask = worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[("r1", 3 * CREDIT)]);
    let answer = world.send(ask);
    assert_eq!((granted(&answer), answer.verdicts.len()), (20 * CREDIT, 0));
    assert!(!answer.grants[0].exact);
    assert_eq!(answer.grants[0].unleased, credits(80));
    assert_eq!(answer.snapshots.len(), 1, "a record that begins needs the snapshot");
    // No more than half of what there is goes to the only node, whatever it asks.
    let more = Stands { ask: 90 * CREDIT, free: 20 * CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, more, &[]));
    assert_eq!(granted(&answer), 60 * CREDIT);
    // A second node gets a quarter of the rest.
    let other = Worker::new(2);
    let answer = world.send(other.want(world.now, Stands { ask: 90 * CREDIT, ..BLANK }, &[]));
    assert_eq!(granted(&answer), 10 * CREDIT);
}

pub fn grants_are_cumulative_and_repeats_are_harmless<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let mut worker = Worker::new(1);
    let want = worker.want(world.now, Stands { ask: 10 * CREDIT, ..BLANK }, &[]);
    assert_eq!(granted(&world.send(want.clone())), 10 * CREDIT);
    // The answer was lost: the node asks again, and the total tells it what it has.
    assert_eq!(granted(&world.send(want)), 20 * CREDIT);
    let settle = world.use_of("r1", credits(6));
    world.charge(&mut worker, settle);
    let given = worker.give_back(world.now, 1, 4 * CREDIT);
    world.send(given.clone());
    world.send(given);
    world.send(worker.give_back(world.now, 1, 2 * CREDIT));
    let account = world.account();
    assert_eq!(account.outstanding("credits"), credits(10));
    assert_eq!(account.capacity(), credits(84));
    assert_eq!(account.worth(), credits(94));
}

pub fn near_zero_grants_are_exact<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 5);
    let worker = Worker::new(1);
    let needs = [("r1", 3 * CREDIT)];
    let answer = world.send(worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &needs));
    assert_eq!((granted(&answer), answer.grants[0].exact), (3 * CREDIT, true));
    // What is free on the node counts first.
    let stands = Stands { free: 3 * CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, stands, &[("r2", 4 * CREDIT)]));
    assert_eq!((granted(&answer), answer.verdicts.len()), (4 * CREDIT, 0));
    assert_eq!(world.account().capacity(), credits(1));
}

pub fn m9_the_last_credits_go_to_one_request<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 5);
    let mut worker = Worker::new(1);
    let stands = Stands { free: 2 * CREDIT, ..BLANK };
    world.send(worker.want(world.now, Stands { ask: 2 * CREDIT, ..BLANK }, &[]));
    let needs = [("big", 9 * CREDIT), ("other", 9 * CREDIT)];
    let answer = world.send(worker.want(world.now, stands, &needs));
    assert_eq!(granted(&answer), 5 * CREDIT);
    let kinds: Vec<&VerdictKind> = answer.verdicts.iter().map(|verdict| &verdict.kind).collect();
    assert!(matches!(kinds[0], VerdictKind::Clip(need) if need.need == credits(5)), "{kinds:?}");
    assert!(
        matches!(kinds[1], VerdictKind::Deny(denial) if denial.code == DenialCode::InFlight),
        "{kinds:?}"
    );
    assert_eq!(world.account().clip.unwrap().request, "big");
    // While it runs, another is told that the credits are in flight (I9).
    let held = Stands { held: 5 * CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, held, &[("third", CREDIT)]));
    assert_eq!(denial(&answer), (DenialCode::InFlight, 0));
    let mut settle = world.use_of("big", credits(9));
    settle.takes[0].held = credits(5);
    world.charge(&mut worker, settle);
    let account = world.account();
    assert_eq!((&account.clip, account.debt, account.capacity()), (&None, credits(4), Micros::ZERO));
}

pub fn m9_a_clip_that_was_never_admitted_does_not_stay_open<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 5);
    let worker = Worker::new(1);
    let answer = world.send(worker.want(world.now, BLANK, &[("gone", 9 * CREDIT)]));
    assert!(matches!(verdict(&answer), VerdictKind::Clip(_)));
    // Its client left while it was parked: the node has the credits free, and another request waits.
    let stands = Stands { free: 5 * CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, stands, &[("next", 9 * CREDIT)]));
    assert!(matches!(verdict(&answer), VerdictKind::Clip(need) if need.need == credits(5)));
    assert_eq!(world.account().clip.unwrap().request, "next");
}

pub fn m9_an_empty_account_is_denied_until_credits_come<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 0);
    let mut worker = Worker::new(1);
    let answer = world.send(worker.want(world.now, BLANK, &[("r1", CREDIT)]));
    assert_eq!(denial(&answer), (DenialCode::Empty, 0));
    let (version, cursor) = (answer.verdicts[0].version, answer.cursor);
    assert_eq!(answer.snapshots[0].deny.len(), 1);
    assert_eq!(answer.snapshots[0].version, version);
    world.top_up(3, "p1");
    worker.cursor = Some(cursor);
    let answer = world.send(SyncRequest { refresh: vec![ACCOUNT.to_owned()], ..worker.call(world.now) });
    let [Change::Account { account, version: raised }] = &answer.changes[..] else {
        unreachable!("{:?}", answer.changes)
    };
    assert!(account == ACCOUNT && *raised > version);
    assert_eq!((answer.snapshots[0].version, answer.snapshots[0].deny.len()), (*raised, 0));
}

pub fn credits_that_are_held_are_in_flight<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 5);
    let worker = Worker::new(1);
    world.send(worker.want(world.now, BLANK, &[("r1", 5 * CREDIT)]));
    let stands = Stands { held: 5 * CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, stands, &[("r2", CREDIT)]));
    assert_eq!(denial(&answer), (DenialCode::InFlight, 0));
    // Held by another node: the same, and nothing is recalled.
    let other = Worker { cursor: Some(answer.cursor), ..Worker::new(2) };
    let answer = world.send(other.want(world.now, BLANK, &[("r3", CREDIT)]));
    assert_eq!(denial(&answer), (DenialCode::InFlight, 0));
    assert_eq!(answer.changes, []);
}

pub fn idle_leases_elsewhere_are_recalled<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 6);
    let (one, mut other) = (Worker::new(1), Worker::new(2));
    world.send(one.want(world.now, BLANK, &[("r1", 5 * CREDIT)]));
    world.send(one.want(world.now, Stands { free: 5 * CREDIT, ..BLANK }, &[]));
    let answer = world.send(other.want(world.now, BLANK, &[("r2", 4 * CREDIT)]));
    assert_eq!(verdict(&answer), &VerdictKind::Wait(WAIT_MS));
    other.cursor = Some(answer.cursor - 1);
    let answer = world.send(other.call(world.now));
    assert_eq!(answer.changes, [Change::Recall { account: ACCOUNT.to_owned() }]);
    world.send(one.give_back(world.now, 1, 5 * CREDIT));
    let answer = world.send(other.want(world.now, BLANK, &[("r2", 4 * CREDIT)]));
    assert_eq!((granted(&answer), answer.verdicts.len()), (4 * CREDIT, 0));
}

pub fn what_a_lost_answer_granted_is_told_again<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 5);
    let (mut one, other) = (Worker::new(1), Worker::new(2));
    // The answer is lost, and the request gives up: the record knows of no bucket.
    let lost = world.send(one.want(world.now, BLANK, &[("r1", 5 * CREDIT)]));
    world.send(other.want(world.now, BLANK, &[("r2", CREDIT)]));
    one.cursor = Some(lost.cursor);
    let answer = world.send(one.call(world.now));
    assert_eq!(answer.changes, [Change::Recall { account: ACCOUNT.to_owned() }]);
    let mut silent = one.want(world.now, BLANK, &[]);
    silent.wants[0].asks.clear();
    let answer = world.send(silent.clone());
    assert_eq!((granted(&answer), answer.grants.len()), (5 * CREDIT, 1));
    world.send(one.give_back(world.now, 1, 5 * CREDIT));
    assert_eq!(world.send(silent).grants, [], "it is home");
    let answer = world.send(other.want(world.now, BLANK, &[("r2", CREDIT)]));
    assert_eq!(answer.verdicts, []);
}

pub fn askers_are_not_told_to_wait_for_ever<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 6);
    let (one, other) = (Worker::new(1), Worker::new(2));
    world.send(one.want(world.now, BLANK, &[("r1", 6 * CREDIT)]));
    world.send(one.want(world.now, Stands { free: 6 * CREDIT, ..BLANK }, &[]));
    let mut waited = 0;
    loop {
        let answer = world.send(other.want(world.now, BLANK, &[("r2", CREDIT)]));
        if verdict(&answer) != &VerdictKind::Wait(WAIT_MS) {
            assert_eq!(denial(&answer), (DenialCode::InFlight, 0));
            break;
        }
        world.now.up += WAIT_MS as i64;
        waited += WAIT_MS as i64;
    }
    assert_eq!(waited, WAIT_MS_MAX);
    // After a pause, patience begins anew.
    world.now.up += WAIT_AGAIN_MS;
    let answer = world.send(other.want(world.now, BLANK, &[("r3", CREDIT)]));
    assert_eq!(verdict(&answer), &VerdictKind::Wait(WAIT_MS));
}

pub fn reports_under_way_make_the_asker_wait<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 5);
    let mut worker = Worker::new(1);
    world.send(worker.want(world.now, BLANK, &[("r1", 5 * CREDIT)]));
    // The request has ended on the node; its report is in the ring.
    let answer = world.send(worker.want(world.now, BLANK, &[("r2", CREDIT)]));
    assert_eq!(verdict(&answer), &VerdictKind::Wait(WAIT_MS));
    let mut settle = world.use_of("r1", credits(3));
    settle.takes[0].held = credits(5);
    world.charge(&mut worker, settle);
    let stands = Stands { returned: 2 * CREDIT, ..BLANK };
    let answer = world.send(worker.want(world.now, stands, &[("r2", CREDIT)]));
    assert_eq!((granted(&answer), answer.verdicts.len()), (6 * CREDIT, 0));
}

pub fn a_closed_record_gives_its_rest_back<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let mut worker = Worker::new(1);
    world.send(worker.want(world.now, Stands { ask: 40 * CREDIT, ..BLANK }, &[]));
    // The final word overtakes a settlement that sits in another lane.
    // A worker that does not know the account names the bucket by its tag.
    let mut word = lease_closed(1, 15 * CREDIT);
    if let wire::EventBody::LeaseClosed(closed) = &mut word {
        closed.used[0].bucket = wire::id::tagged(wire::id::tag("credits"));
    }
    world.deliver(&mut worker, vec![word]);
    assert_eq!(world.account().capacity(), credits(85));
    let mut second = Worker::slot(1, 1);
    let settle = world.use_of("r1", credits(15));
    world.charge(&mut second, settle);
    let account = world.account();
    assert_eq!((account.leases.len(), account.capacity()), (0, credits(85)));
}

pub fn an_overtaken_want_does_not_revive_a_record<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let mut worker = Worker::new(1);
    world.send(worker.want(world.now, Stands { ask: 40 * CREDIT, ..BLANK }, &[]));
    world.deliver(&mut worker, vec![lease_closed(1, 0)]);
    let answer = world.send(worker.want(world.now, Stands { ask: 40 * CREDIT, ..BLANK }, &[]));
    assert_eq!(answer.grants, []);
    let next = Stands { lease: 2, ask: 40 * CREDIT, ..BLANK };
    assert_eq!(granted(&world.send(worker.want(world.now, next, &[]))), 40 * CREDIT);
    assert_eq!(world.account().outstanding("credits"), credits(40));
}

pub fn a_silent_node_is_closed_and_its_leases_come_home<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let (one, other) = (Worker::new(1), Worker::new(2));
    for worker in [&one, &other] {
        world.send(worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[]));
    }
    world.pass_up(NODE_OPEN_MS as i64 - 1);
    assert_eq!(world.account().capacity(), credits(60));
    world.send(other.call(world.now));
    world.pass_up(1);
    assert_eq!(world.account().capacity(), credits(80), "one node's lease is home");
    assert_eq!(world.subject.counters().nodes_closed, 1);
    assert_eq!(world.subject.counters().closed_leases, i128::from(20 * CREDIT));
    assert!(!world.send(one.call(world.now)).node_open);
    assert!(world.send(other.call(world.now)).node_open);
}

pub fn down_time_of_the_ledger_closes_no_node<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let worker = Worker::new(1);
    world.send(worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[]));
    world.pass(3_600_000);
    assert!(world.send(worker.call(world.now)).node_open);
    assert_eq!(world.account().capacity(), credits(80));
}

pub fn a_closed_node_settles_for_ever<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let worker = Worker::new(1);
    world.send(worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[]));
    world.pass_up(NODE_OPEN_MS as i64);
    world.crash();
    let settle = world.use_of("late", credits(15));
    let mut request = worker.batch(world.now, 1, &[settled(settle)]);
    request.wants = worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[]).wants;
    let answer = world.send(request);
    assert!(!answer.node_open);
    assert_eq!((answer.grants.len(), answer.ack.unwrap().last), (0, 1));
    let account = world.account();
    assert_eq!((account.totals.charged, account.capacity()), (credits(15), credits(85)));
    // Under its next id it goes on.
    let again = Worker::new(9);
    assert!(world.send(again.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[])).node_open);
}

pub fn returns_never_exceed_what_was_granted<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let worker = Worker::new(1);
    world.send(worker.want(world.now, Stands { ask: 20 * CREDIT, ..BLANK }, &[]));
    world.send(worker.give_back(world.now, 1, 500 * CREDIT));
    world.send(worker.give_back(world.now, 1, i64::MAX));
    world.send(worker.give_back(world.now, 7, CREDIT));
    world.send(worker.give_back(world.now, 1, -5));
    assert_eq!(world.account().capacity(), credits(100));
}

pub fn bad_amounts_are_granted_nothing<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let worker = Worker::new(1);
    for stands in [
        Stands { ask: -1, ..BLANK },
        Stands { free: -1, ..BLANK },
        Stands { held: i64::MIN, ..BLANK },
        Stands { ask: i64::MAX, ..BLANK },
    ] {
        let answer = world.send(worker.want(world.now, stands, &[("r1", CREDIT)]));
        assert_eq!((answer.grants.len(), answer.verdicts.len()), (0, 0), "{stands:?}");
    }
    let answer = world.send(worker.want(world.now, BLANK, &[("r1", 0)]));
    assert_eq!(answer.grants, []);
    assert_eq!(world.account().capacity(), credits(100));
}

pub fn a_suspended_account_is_granted_nothing<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let worker = Worker::new(1);
    world.call(Command::Status(ACCOUNT.to_owned(), AccountStatus::Suspended)).unwrap();
    let answer = world.send(worker.want(world.now, Stands { ask: CREDIT, ..BLANK }, &[("r1", CREDIT)]));
    assert_eq!(granted(&answer), 0);
    assert_eq!(verdict(&answer), &VerdictKind::Wait(WAIT_MS));
    assert_eq!(answer.snapshots[0].status, AccountStatus::Suspended);
}

pub fn keys_are_looked_up_and_revoked_by_the_feed<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let (digest, unknown) = (Digest([7; 32]), Digest([8; 32]));
    let new = key::NewKey {
        account: ACCOUNT.to_owned(),
        id: "key_1".to_owned(),
        digest,
        name: None,
        auth_class: None,
        models: Some(vec!["son*".to_owned()]),
        expires_at: Some(world.now.wall + 1_000),
    };
    world.call(Command::CreateKey(new.clone())).unwrap();
    let again = world.call(Command::CreateKey(new));
    assert!(matches!(again, Err(Error::Refused(Refusal::KeyExists))));
    let mut worker = Worker::new(1);
    let look = |world: &mut World<S>, worker: &Worker| {
        world.send(SyncRequest { lookups: vec![digest, unknown], ..worker.call(world.now) })
    };
    let answer = look(&mut world, &worker);
    assert_eq!((&*answer.keys[0].account, &*answer.keys[0].key_id), (ACCOUNT, "key_1"));
    assert_eq!(answer.unknown, [unknown]);
    assert_eq!(answer.snapshots[0].account, ACCOUNT);
    worker.cursor = Some(answer.cursor);
    world.call(Command::RevokeKey(ACCOUNT.to_owned(), "key_1".to_owned())).unwrap();
    world.crash();
    let answer = world.send(worker.call(world.now));
    assert_eq!(answer.changes, [Change::Key { digest }]);
    assert_eq!(look(&mut world, &worker).unknown, [digest, unknown]);
}

pub fn a_reader_that_is_too_late_begins_anew<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 1);
    let mut worker = Worker::new(1);
    let answer = world.send(worker.call(world.now));
    assert!(!answer.feed_reset && answer.changes.is_empty());
    worker.cursor = Some(answer.cursor + CHANGES_KEPT);
    let answer = world.send(worker.call(world.now));
    assert!(answer.feed_reset);
    worker.cursor = Some(answer.cursor);
    let mut request = worker.call(world.now);
    request.generation = Some("another".to_owned());
    assert!(world.send(request).feed_reset);
    let mut request = worker.call(world.now);
    request.generation = Some(answer.generation);
    assert!(!world.send(request).feed_reset);
}

pub fn calls_beyond_the_bounds_are_refused<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 1);
    let worker = Worker::new(1);
    let calm = worker.call(world.now);
    let want = worker.want(world.now, BLANK, &[]).wants.remove(0);
    let cases = [
        SyncRequest { v: 2, ..calm.clone() },
        SyncRequest { label: "x".repeat(254), ..calm.clone() },
        SyncRequest { label: "a\nb".to_owned(), ..calm.clone() },
        SyncRequest { lookups: vec![Digest([0; 32]); wire::LOOKUPS_MAX + 1], ..calm.clone() },
        SyncRequest { refresh: vec![ACCOUNT.to_owned(); wire::REFRESH_MAX + 1], ..calm.clone() },
        SyncRequest { wants: vec![want; wire::WANTS_MAX + 1], ..calm },
    ];
    for request in cases {
        let answer = world.call(Command::Sync(Box::new(request)));
        assert!(matches!(answer, Err(Error::Refused(Refusal::Invalid { .. }))));
    }
}

pub fn what_nodes_say_is_kept_for_leases_alone<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 0);
    let worker = Worker::new(1);
    for lease in 1..50 {
        world.send(worker.want(world.now, Stands { lease, held: 5, ..BLANK }, &[("r1", CREDIT)]));
    }
    assert_eq!(world.account().soft.stated, []);
}

pub fn what_was_used_above_the_lease_is_leased_anew<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let mut worker = Worker::new(1);
    let answer = world.send(worker.want(world.now, BLANK, &[("r1", 10 * CREDIT)]));
    assert_eq!(granted(&answer), 10 * CREDIT);
    let mut settle = world.use_of("r1", credits(15));
    settle.takes[0].held = credits(10);
    world.charge(&mut worker, settle);
    // The node is 5 behind: with 10 more only 5 would be free there, and the request would ask again.
    let answer = world.send(worker.want(world.now, BLANK, &[("r2", 10 * CREDIT)]));
    assert_eq!((granted(&answer), answer.verdicts.len()), (25 * CREDIT, 0));
    let account = world.account();
    assert_eq!((account.outstanding("credits"), account.capacity()), (credits(10), credits(75)));
}

pub fn a_closed_record_is_not_revived_however_late_a_want_comes<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let mut worker = Worker::new(1);
    let call = worker.want(world.now, BLANK, &[("r1", 10 * CREDIT)]);
    world.send(call.clone());
    // Its settlement is still in a ring, and so many records end meanwhile that it is no longer remembered.
    for lease in 1..=LEASES_ENDED_KEPT as u64 + 1 {
        let used = if lease == 1 { 10 * CREDIT } else { 0 };
        world.deliver(&mut worker, vec![lease_closed(lease, used)]);
    }
    let answer = world.send(call);
    assert_eq!((answer.grants.len(), world.account().outstanding("credits")), (0, credits(10)));
    let settle = world.use_of("r1", credits(10));
    world.charge(&mut worker, settle);
    assert_eq!(world.account().leases, []);
}

pub fn a_hold_named_by_its_tag_ends_as_any_other<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = with(make, 100);
    let mut worker = Worker::new(1);
    world.send(worker.want(world.now, BLANK, &[("r1", 10 * CREDIT)]));
    world.send(worker.want(world.now, Stands { held: 10 * CREDIT, ..BLANK }, &[]));
    assert_eq!(world.account().held("credits"), credits(10));
    let mut settle = world.use_of("r1", credits(4));
    settle.takes[0].bucket = wire::id::tagged(wire::id::tag("credits"));
    settle.takes[0].held = credits(10);
    world.charge(&mut worker, settle);
    let account = world.account();
    assert_eq!((account.held("credits"), account.outstanding("credits")), (credits(0), credits(6)));
}

//! Adjustments, reversals, lots voided and extended: what an operator puts right.

use tariff::{Catalog, Micros};
use wire::{Change, Settle};

use super::world::{ACCOUNT, BLANK, CREDIT, Command, DAY, Reply, Stands, Subject, Worker, World, credits};
use crate::command::correct::{NewAdjustment, Reversal};
use crate::command::grant::Outcome;
use crate::correction::Reversed;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};

fn adjustment(amount: i64, reference: &str) -> NewAdjustment {
    NewAdjustment {
        account: ACCOUNT.to_owned(),
        pool: "topup".to_owned(),
        amount: credits(amount),
        expires_at: None,
        allow_debt: false,
        reason: "goodwill".to_owned(),
        reference: reference.to_owned(),
    }
}

fn adjust<S: Subject>(world: &mut World<S>, new: NewAdjustment) -> Result<Outcome, Error> {
    match world.call(Command::Adjust(new))? {
        Reply::Grant(outcome) => Ok(outcome),
        other => unreachable!("{other:?}"),
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Refused(Refusal::Conflict { code, .. })) => code.to_owned(),
        Err(Error::Refused(refusal)) => refusal.to_string(),
        other => unreachable!("{other:?}"),
    }
}

/// Charges a request; gives its entry.
fn charged<S: Subject>(world: &mut World<S>, worker: &mut Worker, settle: Settle) -> u64 {
    world.charge(worker, settle);
    let journal = world.subject.journal();
    journal.iter().rfind(|entry| matches!(entry.kind, EntryKind::Charge(_))).unwrap().id
}

fn reverse<S: Subject>(world: &mut World<S>, entry: u64) -> Vec<Reversed> {
    let Reply::Reversal(Reversal::Posted(entries)) = world.call(Command::Reverse(entry)).unwrap() else {
        unreachable!("it is the first")
    };
    let reversed = entries.into_iter().map(|entry| match entry.kind {
        EntryKind::Reversed(reversed) => *reversed,
        other => unreachable!("{other:?}"),
    });
    reversed.collect()
}

/// Every entry's postings sum to zero, and the account's sums to what it has.
fn balanced<S: Subject>(world: &mut World<S>) {
    let mut posted = std::collections::BTreeMap::new();
    for entry in world.subject.journal() {
        assert_eq!(crate::posting::balance(&entry), 0, "{entry:?}");
        for posting in crate::posting::postings(&entry) {
            *posted.entry(posting.to.into_owned()).or_insert(0) += posting.amount;
        }
    }
    let account = world.account();
    assert_eq!(-posted.get("debt").unwrap_or(&0), i128::from(account.debt.get()));
    for (id, lot) in &account.lots {
        assert_eq!(posted[&format!("lot:{id}")], i128::from(lot.remaining.get()), "lot {id}");
    }
    assert_eq!(posted.get("revenue").unwrap_or(&0), &i128::from(account.totals.charged.get()));
}

pub fn an_adjustment_adds_credits_once<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(2));
    world.charge(&mut worker, settle);
    assert_eq!(world.account().debt, credits(2));
    let Outcome::Posted(entry) = adjust(&mut world, adjustment(5, "a1")).unwrap() else {
        unreachable!("it is the first")
    };
    assert_eq!((world.left("topup"), world.account().debt), (credits(3), Micros::ZERO), "debt first");
    let lot = world.account().lots[&entry.id].clone();
    assert!(!lot.of_plan && lot.expires_at.is_some(), "as the pool says");
    assert_eq!(adjust(&mut world, adjustment(5, "a1")).unwrap(), Outcome::Existing(entry));
    assert!(code(adjust(&mut world, adjustment(6, "a1"))).contains("a1"));
    // References are unique by kind: a purchase may have the same.
    world.top_up(1, "a1");
    assert_eq!(world.left("topup"), credits(4));
    let nowhere = NewAdjustment { pool: "nowhere".to_owned(), ..adjustment(1, "a2") };
    assert!(code(adjust(&mut world, nowhere)).contains("pool"));
    let silent = NewAdjustment { reason: " ".to_owned(), ..adjustment(1, "a2") };
    assert!(code(adjust(&mut world, silent)).starts_with("reason"));
    assert!(code(adjust(&mut world, adjustment(0, "a2"))).starts_with("amount"));
    let past = NewAdjustment { expires_at: Some(world.now.wall), ..adjustment(1, "a2") };
    assert!(code(adjust(&mut world, past)).starts_with("expires_at"));
    balanced(&mut world);
}

pub fn an_adjustment_takes_credits_back<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(3, "p1");
    world.pass(DAY);
    world.top_up(4, "p2");
    let mut worker = Worker::new(1);
    worker.cursor = Some(world.send(worker.call(world.now)).cursor);
    world.send(worker.want(world.now, Stands { ask: 6 * CREDIT, ..BLANK }, &[]));
    assert_eq!(code(adjust(&mut world, adjustment(-8, "a1"))), "insufficient_credits");
    assert_eq!(world.left("topup"), credits(7));
    adjust(&mut world, adjustment(-5, "a1")).unwrap();
    let account = world.account();
    assert_eq!(
        account.lots.values().map(|lot| lot.remaining).collect::<Vec<_>>(),
        [Micros::ZERO, credits(2)],
        "the oldest first"
    );
    assert_eq!((account.totals.clawed_back, account.debt), (credits(5), Micros::ZERO));
    let recall = Change::Recall { account: ACCOUNT.to_owned() };
    assert!(world.send(worker.call(world.now)).changes.contains(&recall), "nodes hold more than there is");
    let owed = NewAdjustment { allow_debt: true, ..adjustment(-3, "a2") };
    adjust(&mut world, owed).unwrap();
    assert_eq!((world.left("topup"), world.account().debt), (Micros::ZERO, credits(1)));
    world.top_up(2, "p3");
    assert_eq!((world.left("topup"), world.account().debt), (credits(1), Micros::ZERO));
    balanced(&mut world);
}

pub fn a_reversal_gives_each_slice_back_to_its_lot<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.top_up(100, "p1");
    let mut worker = Worker::new(1);
    let before = world.account();
    // 500 included, then 200 at 0.85: the top-up pays 100, the rest is owed.
    let settle = world.use_of("r1", credits(700));
    let entry = charged(&mut world, &mut worker, settle);
    let owed = world.account().debt;
    assert!(owed > Micros::ZERO);
    let [reversed] = <[Reversed; 1]>::try_from(reverse(&mut world, entry)).unwrap();
    assert_eq!((reversed.restored.len(), reversed.debt, reversed.moved), (2, owed, None));
    let after = world.account();
    assert_eq!((&after.lots, after.debt, after.totals), (&before.lots, before.debt, before.totals));
    // Once; and the request stays charged.
    let again = world.call(Command::Reverse(entry)).unwrap();
    assert!(matches!(again, Reply::Reversal(Reversal::Existing(entries)) if entries.len() == 1));
    assert_eq!(world.account().lots, before.lots);
    let replay = world.use_of("r1", credits(700));
    world.deliver(&mut worker, vec![super::world::settled(replay)]);
    assert_eq!(world.account().lots, before.lots);
    balanced(&mut world);
}

pub fn a_reversal_of_debt_is_owed_no_longer<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(5));
    let entry = charged(&mut world, &mut worker, settle);
    // Two of the five are repaid before the charge is given back.
    world.top_up(2, "p1");
    assert_eq!(world.account().debt, credits(3));
    let [reversed] = <[Reversed; 1]>::try_from(reverse(&mut world, entry)).unwrap();
    assert_eq!((reversed.debt, reversed.amount), (credits(3), credits(5)));
    assert_eq!(reversed.moved.map(|moved| moved.amount), Some(credits(2)));
    let account = world.account();
    assert_eq!(
        (account.debt, account.totals.charged, world.left("topup")),
        (Micros::ZERO, Micros::ZERO, credits(2))
    );
    assert_eq!(world.account().totals.granted, credits(2), "nothing was granted by it");
    balanced(&mut world);
}

pub fn a_reversal_of_an_ended_lot_makes_another<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(30));
    let entry = charged(&mut world, &mut worker, settle);
    world.pass(28 * DAY);
    assert_eq!(world.account().totals.expired, credits(470));
    let [reversed] = <[Reversed; 1]>::try_from(reverse(&mut world, entry)).unwrap();
    let moved = reversed.moved.unwrap();
    let cycle_end = world.account().cycle.unwrap().end;
    assert_eq!((&*moved.pool, moved.amount, moved.expires_at), ("included", credits(30), Some(cycle_end)));
    assert_eq!(world.left("included"), credits(530));
    balanced(&mut world);
    // The other lot ends with its cycle, as the pool says.
    let days = (cycle_end - world.now.wall) / DAY;
    world.pass(days * DAY);
    assert_eq!((world.left("included"), world.account().totals.expired), (credits(500), credits(1_000)));
    balanced(&mut world);
}

pub fn a_reversal_of_a_forgotten_lot_keeps_its_end<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let mut worker = Worker::new(1);
    world.top_up(1, "p0");
    let end = world.account().lots.values().next().unwrap().expires_at;
    world.pass(DAY);
    let settle = world.use_of("r0", credits(1));
    let entry = charged(&mut world, &mut worker, settle);
    // Spent lots beyond a number are in the journal alone.
    for number in 1..=(crate::limits::LOTS_SPENT_KEPT + 1) {
        world.top_up(1, &format!("p{number}"));
        let settle = world.use_of(&format!("r{number}"), credits(1));
        world.charge(&mut worker, settle);
    }
    world.top_up(1, "last");
    let [reversed] = <[Reversed; 1]>::try_from(reverse(&mut world, entry)).unwrap();
    let moved = reversed.moved.unwrap();
    assert_eq!((moved.amount, moved.expires_at), (credits(1), end), "its own end, not a day later");
    balanced(&mut world);
}

pub fn only_charges_are_reversed<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(1, "p1");
    let grant = *world.account().lots.keys().next().unwrap();
    assert_eq!(code(world.call(Command::Reverse(grant))), "not_a_charge");
    assert!(code(world.call(Command::Reverse(999))).contains("entry"));
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", Micros::ZERO);
    let entry = charged(&mut world, &mut worker, settle);
    assert_eq!(code(world.call(Command::Reverse(entry))), "nothing_charged");
    // Another account's entry is none of this one's.
    world.open("other", "starter");
    let foreign = world.subject.journal().last().unwrap().id;
    assert!(code(world.call(Command::Reverse(foreign))).contains("not found"));
}

pub fn a_voided_lot_is_gone<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(3, "p1");
    world.top_up(4, "p2");
    let (first, term) = (*world.account().lots.keys().next().unwrap(), world.term());
    world.call(Command::VoidLot(first)).unwrap();
    assert_eq!((world.left("topup"), world.account().totals.voided), (credits(4), credits(3)));
    assert_eq!(world.term(), term + 1, "requests from here on do not draw it");
    assert!(code(world.call(Command::VoidLot(first))).contains("lot"));
    balanced(&mut world);
}

pub fn a_voided_lot_serves_what_is_under_way<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(3, "p1");
    let lot = *world.account().lots.keys().next().unwrap();
    let mut worker = Worker::new(1);
    worker.cursor = Some(world.send(worker.call(world.now)).cursor);
    world.send(worker.want(world.now, Stands { ask: 3 * CREDIT, ..BLANK }, &[]));
    let under_way = world.use_of("r1", credits(1));
    world.call(Command::VoidLot(lot)).unwrap();
    assert_eq!(world.left("topup"), Micros::ZERO);
    let changes = world.send(worker.call(world.now)).changes;
    assert!(changes.contains(&Change::Recall { account: ACCOUNT.to_owned() }), "{changes:?}");
    world.charge(&mut worker, under_way);
    assert_eq!(world.account().debt, Micros::ZERO);
    world.pass(crate::limits::LOT_CLOSING_MS);
    assert_eq!(world.account().totals.voided, credits(2));
    balanced(&mut world);
}

pub fn an_extended_lot_outlives_its_cycle<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let (lot, end) = {
        let account = world.account();
        let (id, lot) = account.lots.first_key_value().unwrap();
        (*id, lot.expires_at.unwrap())
    };
    let extend = |world: &mut World<S>, to| world.call(Command::ExtendLot(lot, to));
    assert!(code(extend(&mut world, Some(end - DAY))).starts_with("expires_at"), "later only");
    extend(&mut world, Some(end + DAY)).unwrap();
    world.pass(end - world.now.wall);
    assert_eq!(world.left("included"), credits(1_000));
    world.pass(DAY);
    assert_eq!((world.left("included"), world.account().totals.expired), (credits(500), credits(500)));
    assert!(code(extend(&mut world, None)).contains("lot"), "it has ended");
    balanced(&mut world);
}

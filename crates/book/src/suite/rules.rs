//! Plans, pools, lots, terms: the price page's rules and the rules of the book.

use tariff::{Catalog, Micros};
use wire::AccountStatus;

use super::world::{
    ACCOUNT, BEGIN, BLANK, CREDIT, Command, DAY, Stands, Subject, Worker, World, catalog, credits,
};
use crate::calendar::rfc3339;
use crate::command::{grant, key, open};
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::limits::LOT_CLOSING_MS;

pub fn m1_m2_the_cycle_grants_and_what_is_unused_expires<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    assert_eq!(world.left("included"), credits(500));
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(120));
    world.charge(&mut worker, settle);
    assert_eq!(world.left("included"), credits(380));
    let before = world.account();

    world.pass(28 * DAY - 1);
    assert_eq!(world.left("included"), credits(380));
    world.pass(1);
    let account = world.account();
    assert_eq!(world.left("included"), credits(500), "nothing is carried over");
    assert_eq!(account.totals.expired, credits(380));
    assert_eq!(account.totals.granted, credits(1_000));
    assert!(account.version > before.version);
    assert_eq!(world.term(), 2);
}

pub fn m2_cycles_are_anchored_without_drift<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut ends = Vec::new();
    for _ in 0..4 {
        let end = world.account().cycle.unwrap().end;
        ends.push(rfc3339(end).unwrap());
        let ms = end - world.now.wall;
        world.pass(ms);
    }
    let expected = ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"];
    assert_eq!(ends, expected.map(|day| format!("{day}T00:00:00Z")));
    assert_eq!(world.account().totals.granted, credits(2_500));
}

pub fn m2_after_a_long_rest_the_running_cycle_is_granted<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    // Three years: more cycles than are rolled one by one.
    world.pass(3 * 365 * DAY);
    let cycle = world.account().cycle.unwrap();
    assert!(cycle.start <= world.now.wall && world.now.wall < cycle.end);
    assert_eq!(world.left("included"), credits(500));
    // 30 January to 1 August: seven cycles begin, each is on the statement.
    let granted = world.account().totals.granted;
    world.pass(183 * DAY);
    assert_eq!(world.account().totals.granted, Micros(granted.get() + 7 * 500 * CREDIT));
}

pub fn m3_included_credits_first_then_top_ups_oldest_first<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.top_up(17, "old");
    world.pass(DAY);
    world.top_up(17, "young");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(500));
    world.charge(&mut worker, settle);
    assert_eq!((world.left("included"), world.left("topup")), (Micros::ZERO, credits(34)));
    // 30 at base price cost 25.5 of the top-ups: 17 of the old one, 8.5 of the young one.
    let settle = world.use_of("r2", credits(30));
    world.charge(&mut worker, settle);
    let account = world.account();
    let lots: Vec<Micros> = account.lots.values().map(|lot| lot.remaining).collect();
    assert_eq!(lots, [Micros::ZERO, Micros::ZERO, Micros(8_500_000)]);
    assert_eq!(account.totals.charged, Micros(525_500_000));
}

pub fn m4_a_straddling_request_pays_each_pool_at_its_rate<S: Subject>(make: impl Fn(Catalog) -> S) {
    for (plan, from_top_ups) in [("starter", 3_400_000), ("pro", 3_000_000), ("max", 2_400_000)] {
        let mut world = World::new(&make, plan);
        world.top_up(6, "p1");
        let mut worker = Worker::new(1);
        let all_but_2 = Micros(world.left("included").get() - 2 * CREDIT);
        let settle = world.use_of("r1", all_but_2);
        world.charge(&mut worker, settle);
        // 100k input and 20k output tokens: 3 + 3 credits.
        let settle = world.settlement("r2", 100_000, 20_000);
        world.charge(&mut worker, settle);
        let journal = world.subject.journal();
        let Some(EntryKind::Charge(charge)) = journal.last().map(|entry| &entry.kind) else {
            unreachable!("the last entry is the charge")
        };
        let slices: Vec<(&str, i64)> =
            charge.slices.iter().map(|slice| (&*slice.pool, slice.amount.get())).collect();
        assert_eq!(slices, [("included", 2_000_000), ("topup", from_top_ups)], "{plan}");
        assert_eq!((charge.base, charge.amount), (credits(6), Micros(2_000_000 + from_top_ups)));
        assert_eq!(charge.debt, Micros::ZERO);
        assert_eq!(world.left("topup"), Micros(6_000_000 - from_top_ups));
    }
}

pub fn m4_the_rate_is_pinned_by_the_term_of_admission<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(100, "p1");
    let admitted = world.use_of("r1", credits(10));
    world.switch("max");
    let mut worker = Worker::new(1);
    world.charge(&mut worker, admitted);
    // 10 at the rate of `topup_only`: lots that the term knew go first, whatever the pool's order.
    assert_eq!((world.left("topup"), world.left("included")), (credits(90), credits(3_000)));
}

pub fn m5_a_top_up_ends_twelve_months_after_its_purchase<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(10, "p1");
    world.pass(28 * DAY);
    world.top_up(5, "p2");
    let ends: Vec<String> =
        world.account().lots.values().map(|lot| rfc3339(lot.expires_at.unwrap()).unwrap()).collect();
    assert_eq!(ends, ["2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z"]);
    let term = world.term();
    world.pass(337 * DAY);
    assert_eq!(world.left("topup"), credits(5));
    assert_eq!(world.account().totals.expired, credits(10));
    assert_eq!(world.term(), term + 1, "an expiry opens the next term");
}

pub fn m6_m7_keys_above_a_lowered_cap_stay<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "pro");
    let new = |number: u8| key::NewKey {
        account: ACCOUNT.to_owned(),
        id: format!("key_{number}"),
        digest: wire::Digest([number; 32]),
        name: None,
        auth_class: None,
        models: None,
        expires_at: None,
    };
    for number in 0..3 {
        world.call(Command::CreateKey(new(number))).unwrap();
    }
    world.switch("starter");
    let refused = world.call(Command::CreateKey(new(3)));
    let limit = Refusal::LimitReached { resource: "api_keys", max: 2 };
    assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal == limit));
    let mut request = Worker::new(1).call(world.now);
    request.lookups = (0..4).map(|number| wire::Digest([number; 32])).collect();
    let answer = world.send(request);
    assert_eq!((answer.keys.len(), answer.unknown.len()), (3, 1));
    assert_eq!(answer.snapshots.len(), 1);
}

pub fn m10_an_upgrade_voids_the_old_credits_and_begins_a_cycle<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.top_up(40, "p1");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(100));
    world.charge(&mut worker, settle);
    world.pass(10 * DAY);
    let switch = world.switch("pro");
    let voided: Vec<Micros> = switch.voided.iter().map(|(_, lot)| lot.remaining).collect();
    assert_eq!((voided, switch.granted[0].1.amount), (vec![credits(400)], credits(1_500)));
    assert!(world.account().lots.contains_key(&switch.granted[0].0));
    let account = world.account();
    assert_eq!(account.totals.voided, credits(400));
    assert_eq!((world.left("included"), world.left("topup")), (credits(1_500), credits(40)));
    assert_eq!(account.cycle.unwrap().start, BEGIN + 10 * DAY);
    // The top-up's rate is that of the plan in force.
    let settle = world.use_of("r2", credits(1_540));
    world.charge(&mut worker, settle);
    assert_eq!(world.left("topup"), credits(10));
    let again = world.call(Command::Switch(ACCOUNT.to_owned(), "pro".to_owned()));
    assert!(matches!(again, Err(Error::Refused(Refusal::SamePlan(_)))));
}

pub fn m10_a_plan_may_be_left_and_taken_again_at_once<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    for plan in ["pro", "starter", "topup_only", "starter"] {
        world.switch(plan);
    }
    let account = world.account();
    assert_eq!((world.left("included"), account.totals.voided), (credits(500), credits(2_500)));
}

pub fn m14_top_ups_alone_work<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    assert_eq!((world.account().cycle, world.account().capacity()), (None, Micros::ZERO));
    world.top_up(7, "p1");
    assert_eq!(world.account().capacity(), credits(7));
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(7));
    world.charge(&mut worker, settle);
    assert!(world.account().is_empty("credits"));
}

pub fn rounding_is_half_up_once_per_charge<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(1, "p1");
    let mut worker = Worker::new(1);
    // 1 input token at 2.8 and 1 output token at 4.2 are 7 exactly; 1 and 2 are 11.2; 3 input are 8.4.
    for (request, input, output, charged) in
        [("a", 1, 1, 7), ("b", 1, 2, 11), ("c", 3, 0, 8), ("d", 0, 5, 21)]
    {
        let before = world.account().totals.charged;
        let mut settle = world.settlement(request, input, output);
        settle.model = "deepseek".to_owned();
        settle.takes[0].used = Micros(charged);
        world.charge(&mut worker, settle);
        assert_eq!(world.account().totals.charged.get() - before.get(), charged, "{request}");
    }
    assert_eq!(world.subject.counters().price_mismatches, 0);
}

pub fn debt_is_repaid_by_the_next_grant<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(6, "p1");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(9));
    world.charge(&mut worker, settle);
    assert_eq!((world.account().debt, world.account().capacity()), (credits(3), Micros::ZERO));
    world.top_up(2, "p2");
    assert_eq!((world.account().debt, world.left("topup")), (credits(1), Micros::ZERO));
    world.top_up(5, "p3");
    assert_eq!((world.account().debt, world.left("topup")), (Micros::ZERO, credits(4)));
    assert_eq!(world.account().totals.repaid, credits(3));
    for entry in world.subject.journal() {
        assert_eq!(crate::posting::balance(&entry), 0, "{entry:?}");
    }
}

pub fn debt_is_repaid_by_the_next_cycle<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", credits(620));
    world.charge(&mut worker, settle);
    assert_eq!(world.account().debt, credits(120));
    world.pass(28 * DAY);
    assert_eq!((world.account().debt, world.left("included")), (Micros::ZERO, credits(380)));
    let settle = world.use_of("r2", credits(2_380));
    world.charge(&mut worker, settle);
    let switch = world.switch("pro");
    assert_eq!((switch.granted[0].1.repaid, world.account().debt), (credits(1_500), credits(500)));
}

pub fn a_late_settlement_draws_the_lot_of_its_term<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let request = worker.want(world.now, Stands { ask: 400 * CREDIT, ..BLANK }, &[]);
    world.send(request);
    let late = world.use_of("r1", credits(50));
    world.pass(28 * DAY);
    // The old lot has ended for spending, but a lease is out: it still serves its own term.
    assert_eq!(world.left("included"), credits(500));
    assert!(world.account().is_closing_lots());
    world.charge(&mut worker, late);
    assert_eq!(world.left("included"), credits(500));
    // The record is given up: what is left of the old lot is gone.
    world.deliver(&mut worker, vec![super::world::lease_closed(1, 50 * CREDIT)]);
    let account = world.account();
    assert!(!account.is_closing_lots());
    assert_eq!((account.totals.expired, account.totals.charged), (credits(450), credits(50)));
}

pub fn a_closed_lot_waits_no_longer_than_its_bound<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let request = worker.want(world.now, Stands { ask: 400 * CREDIT, ..BLANK }, &[]);
    world.send(request);
    let late = world.use_of("r1", credits(50));
    world.pass(28 * DAY);
    world.pass(LOT_CLOSING_MS - 1);
    assert!(world.account().is_closing_lots());
    world.pass(1);
    assert_eq!(world.account().totals.expired, credits(500));
    world.charge(&mut worker, late);
    assert_eq!(world.left("included"), credits(450), "later than that it draws what there is");
}

pub fn a_reference_grants_once<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(5, "p1");
    let again = world.grant(credits(5), "p1").unwrap();
    assert!(matches!(again, super::Reply::Grant(grant::Outcome::Existing(_))));
    let other = world.grant(credits(6), "p1");
    assert!(matches!(other, Err(Error::Refused(Refusal::ReferenceConflict(_)))));
    assert_eq!(world.left("topup"), credits(5));
    for bad in [Micros::ZERO, Micros(-1), Micros(i64::MAX)] {
        assert!(matches!(world.grant(bad, "p2"), Err(Error::Refused(Refusal::Invalid { .. }))));
    }
}

pub fn a_catalog_change_opens_the_next_term<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let admitted = world.use_of("r1", credits(30));
    let mut dearer = catalog();
    for model in &mut dearer.models {
        model.prices = catalog().models[0].prices.clone();
    }
    dearer.plans[1].factors = Vec::new();
    world.subject.publish(dearer);
    world.call(Command::Touch(ACCOUNT.to_owned())).unwrap();
    let term = world.account().term().unwrap().clone();
    assert_eq!((term.no, term.catalog), (2, 2));
    assert_eq!(term.factor("topup"), tariff::Ratio::ONE);
    world.charge(&mut worker, admitted);
    assert_eq!(world.left("included"), credits(470), "priced by the catalog of its term");
}

pub fn a_plan_that_left_the_catalog_goes_on<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut without = catalog();
    without.plans.retain(|plan| plan.name != "starter");
    world.subject.publish(without);
    world.pass(28 * DAY);
    assert_eq!(world.left("included"), credits(500));
    assert_eq!(world.account().term().unwrap().catalog, 1);
    let opened = world.call(Command::Open(open::NewAccount {
        id: "late".to_owned(),
        plan: "starter".to_owned(),
        ..open::NewAccount::default()
    }));
    assert!(matches!(opened, Err(Error::Refused(Refusal::UnknownPlan(_)))));
}

pub fn a_closed_account_stays_closed<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let version = world.account().version;
    for status in [AccountStatus::Suspended, AccountStatus::Active, AccountStatus::Closed] {
        world.call(Command::Status(ACCOUNT.to_owned(), status)).unwrap();
    }
    assert_eq!(world.account().version, version + 3);
    let back = world.call(Command::Status(ACCOUNT.to_owned(), AccountStatus::Active));
    assert!(matches!(back, Err(Error::Refused(Refusal::AccountClosed))));
    assert!(matches!(world.grant(credits(1), "p1"), Err(Error::Refused(Refusal::AccountClosed))));
}

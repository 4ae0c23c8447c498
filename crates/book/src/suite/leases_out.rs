//! With leases out: what a term promised at admission holds while two nodes have leases of the account, whatever
//! changes meanwhile (M3, M4, P5, P8, P10).

use tariff::{Catalog, Meter, Micros, Prices, Ratio, Usage};
use wire::{Change, Settle, SyncRequest};

use super::pages::{self, cap, charge_of, deliver, paid, plan, settlement, snapshot, takes, want};
use super::world::{ACCOUNT, CREDIT, Command, DAY, Subject, Worker, World, catalog, credits, settled};
use crate::command::settings::SettingsChange;

/// Two nodes that each hold so many credits of the account, for one request each.
fn holding<S: Subject>(world: &mut World<S>, each: i64) -> [Worker; 2] {
    let workers = [Worker::new(1), Worker::new(2)];
    for (worker, request) in workers.iter().zip(["one", "two"]) {
        let answer = want(world, worker, request, &[("credits", each * CREDIT)]);
        assert_eq!(answer.verdicts, Vec::new());
    }
    workers
}

/// A request of the node's, admitted now: it used what it held.
fn admitted<S: Subject>(world: &mut World<S>, request: &str, model: &str, used: &[(&str, i64)]) -> Settle {
    let tokens = match model {
        "unit" => u64::try_from(used[0].1).unwrap(),
        // Three credits are 10,000 tokens of it.
        _ => u64::try_from(used[0].1 / CREDIT * 10_000 / 3).unwrap(),
    };
    let settle = settlement(world, request, model, Usage::new().with(Meter::InputTokens, tokens));
    Settle { takes: takes(used), ..settle }
}

/// Whether a node reads in the feed that the account has changed since.
fn is_told<S: Subject>(world: &mut World<S>, cursor: u64) -> bool {
    let call = SyncRequest { cursor: Some(cursor), ..Worker::new(9).call(world.now) };
    let changes = world.send(call).changes;
    changes.iter().any(|change| matches!(change, Change::Account { account, .. } if account == ACCOUNT))
}

fn cursor<S: Subject>(world: &mut World<S>) -> u64 {
    let call = Worker::new(9).call(world.now);
    world.send(call).cursor
}

pub fn m3_included_credits_go_first_whichever_node_settles_first<S: Subject>(
    make: impl FnOnce(Catalog) -> S,
) {
    let mut world = World::new(make, "starter");
    world.top_up(1_000, "p");
    let [mut one, mut two] = holding(&mut world, 400);
    // Together they hold more than the included 500: who settles first draws them, whoever was leased first.
    let first = admitted(&mut world, "two", "unit", &[("credits", 400 * CREDIT)]);
    let second = admitted(&mut world, "one", "unit", &[("credits", 400 * CREDIT)]);
    assert_eq!(paid(&deliver(&mut world, &mut two, first)), [("included", 400 * CREDIT)]);
    let charge = deliver(&mut world, &mut one, second);
    assert_eq!(paid(&charge), [("included", 100 * CREDIT), ("topup", 255 * CREDIT)]);
    assert_eq!(world.account().debt, Micros::ZERO);
}

pub fn m4_a_switch_of_plan_changes_no_admitted_request<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.top_up(2_000, "p");
    let [mut one, mut two] = holding(&mut world, 502);
    let before = cursor(&mut world);
    let promised = admitted(&mut world, "one", "unit", &[("credits", 506 * CREDIT)]);
    world.switch("max");
    assert!(is_told(&mut world, before));
    let after = admitted(&mut world, "two", "unit", &[("credits", 502 * CREDIT)]);
    // The old plan's lot and rate: 500 included, six credits at 85 %.
    let charge = deliver(&mut world, &mut one, promised);
    assert_eq!(paid(&charge), [("included", 500 * CREDIT), ("topup", 5_100_000)]);
    // The new plan's for what was admitted under it.
    let charge = deliver(&mut world, &mut two, after);
    assert_eq!(paid(&charge), [("included", 502 * CREDIT)]);
    assert_eq!((world.left("included"), world.account().debt), (credits(3_000 - 502), Micros::ZERO));
}

pub fn m3_a_lot_that_ends_pays_what_was_admitted_before<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.top_up(1_000, "p");
    let [mut one, mut two] = holding(&mut world, 300);
    let old = admitted(&mut world, "one", "unit", &[("credits", 300 * CREDIT)]);
    world.pass(28 * DAY);
    assert_eq!(world.left("included"), credits(500), "the next cycle's");
    let new = admitted(&mut world, "two", "unit", &[("credits", 300 * CREDIT)]);
    assert_eq!(paid(&deliver(&mut world, &mut two, new)), [("included", 300 * CREDIT)]);
    deliver(&mut world, &mut one, old);
    assert_eq!(world.left("included"), credits(200), "the last cycle's paid for its own");
    assert_eq!(world.account().totals.expired, credits(200));
}

pub fn m4_a_catalog_change_is_for_requests_admitted_after_it<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(100, "p");
    let [mut one, mut two] = holding(&mut world, 20);
    let old = admitted(&mut world, "one", "unit", &[("credits", 20 * CREDIT)]);
    let mut next = catalog();
    plan(&mut next, "topup_only").factors = vec![("topup".to_owned(), Ratio::parse_decimal("0.5").unwrap())];
    let model = next.models.iter_mut().find(|model| model.name == "unit").unwrap();
    model.prices = Prices::new([(Meter::InputTokens, Ratio::whole(2))]);
    world.subject.publish(next);
    world.crash();
    world.call(Command::Touch(ACCOUNT.to_owned())).unwrap();
    let new = admitted(&mut world, "two", "unit", &[("credits", 20 * CREDIT)]);
    let charge = deliver(&mut world, &mut one, old);
    assert_eq!((charge.base, paid(&charge)), (credits(20), vec![("topup", 20 * CREDIT)]));
    let charge = deliver(&mut world, &mut two, new);
    assert_eq!((charge.base, paid(&charge)), (credits(40), vec![("topup", 20 * CREDIT)]));
}

pub fn m9_a_lifted_denial_reaches_both_nodes<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let workers = [Worker::new(1), Worker::new(2)];
    let before = cursor(&mut world);
    let denied = workers.each_ref().map(|worker| snapshot(&mut world, worker));
    assert!(denied.iter().all(|told| told.deny.len() == 1));
    world.top_up(100, "p");
    assert!(is_told(&mut world, before));
    for (worker, denied) in workers.iter().zip(denied) {
        let told = snapshot(&mut world, worker);
        assert!(told.deny.is_empty() && told.version > denied.version);
    }
    holding(&mut world, 50);
    assert_eq!(world.account().capacity(), Micros::ZERO);
}

/// The page's starter with money in the wallet.
fn starter<S: Subject>(make: impl FnOnce(Catalog) -> S, catalog: Catalog) -> World<S> {
    let mut world = World::on(make, catalog, "starter", "2026-11-02T12:00:00Z");
    let opted_in = Some(vec!["wallet".to_owned()]);
    world.set(SettingsChange { opted_in, ..SettingsChange::default() });
    world.fill("wallet", credits(300), "w");
    world
}

pub fn p5_a_day_that_ends_keeps_what_was_admitted_in_it<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = starter(make, pages::pools());
    let [mut one, mut two] = holding(&mut world, 90);
    let before = cursor(&mut world);
    let yesterday = admitted(&mut world, "one", "atlas-large", &[("credits", 90 * CREDIT)]);
    let late = admitted(&mut world, "two", "atlas-large", &[("credits", 90 * CREDIT)]);
    world.pass(DAY / 2);
    assert!(is_told(&mut world, before), "nodes with leases hear of the next day at once");
    // Both were admitted yesterday: yesterday's cap is what they share, today's is untouched.
    let charge = deliver(&mut world, &mut one, yesterday);
    assert_eq!(paid(&charge), [("main", 90 * CREDIT)]);
    assert!(charge.counts.iter().any(|count| &*count.key == "2026-11-02"), "{:?}", charge.counts);
    let charge = deliver(&mut world, &mut two, late);
    assert_eq!(paid(&charge), [("main", 10 * CREDIT), ("backup", 80 * CREDIT)]);
    let today = admitted(&mut world, "three", "atlas-large", &[("credits", 99 * CREDIT)]);
    assert_eq!(paid(&deliver(&mut world, &mut one, today)), [("main", 99 * CREDIT)]);
}

pub fn p5_leases_are_never_above_what_the_caps_leave<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = starter(make, pages::pools());
    // 100 of main today, 3,000 of backup, 300 of the wallet.
    let [one, _] = holding(&mut world, 1_700);
    assert_eq!(world.account().capacity(), Micros::ZERO);
    let answer = want(&mut world, &one, "three", &[("credits", CREDIT)]);
    assert_eq!(answer.grants[0].unleased, Micros::ZERO);
    // A class that the wallet alone pays finds nothing left of it.
    let answer = want(&mut world, &one, "four", &[("credits/wallet", CREDIT)]);
    assert_eq!((answer.grants[0].granted, answer.grants[0].unleased), (Micros::ZERO, Micros::ZERO));
}

pub fn p8_a_budget_that_ends_takes_nothing_from_admitted_requests<S: Subject>(
    make: impl FnOnce(Catalog) -> S,
) {
    let mut catalog = pages::pools();
    let limits = &mut plan(&mut catalog, "starter").limits;
    limits.retain(|limit| limit.id == "cost/cycle");
    limits[0].max = Some(Micros(4_000_000));
    let model = catalog.models.iter_mut().find(|model| model.name == "atlas-large").unwrap();
    model.cost = Some(Prices::new([(Meter::InputTokens, Ratio::whole(240))]));
    let mut world = starter(make, catalog);
    let cap = cap(&mut world, "cost/cycle");
    let (mut one, mut two) = (Worker::new(1), Worker::new(2));
    for (worker, request) in [(&one, "one"), (&two, "two")] {
        let answer = want(&mut world, worker, request, &[("credits", 3 * CREDIT), (&cap, 2_000_000)]);
        assert_eq!(answer.verdicts, Vec::new());
    }
    let used = [("credits", 3 * CREDIT), (&*cap, 2_000_000)];
    let first = admitted(&mut world, "one", "atlas-large", &used);
    let second = admitted(&mut world, "two", "atlas-large", &used);
    let before = cursor(&mut world);
    assert_eq!(paid(&deliver(&mut world, &mut one, first)), [("main", 3 * CREDIT)]);
    // Each cost 2.40 USD: the second one passes the end, and still draws what it was admitted to.
    assert_eq!(paid(&deliver(&mut world, &mut two, second)), [("main", 3 * CREDIT)]);
    assert!(is_told(&mut world, before));
    assert_eq!(world.account().term().unwrap().standing.dry, ["cost/cycle"]);
    let third = admitted(&mut world, "three", "atlas-large", &[("credits/wallet", 3 * CREDIT)]);
    assert_eq!(paid(&deliver(&mut world, &mut one, third)), [("wallet", 3 * CREDIT)]);
}

pub fn p10_the_last_of_the_wallet_withdraws_the_bypass_from_both_nodes<S: Subject>(
    make: impl FnOnce(Catalog) -> S,
) {
    let mut world = starter(make, pages::pools());
    let [mut one, mut two] = holding(&mut world, 10);
    assert!(snapshot(&mut world, &one).policy.bypass_rates);
    let dear = |world: &mut World<S>, request: &str| {
        let settle =
            settlement(world, request, "frontier-max", Usage::new().with(Meter::InputTokens, 200_000));
        Settle { takes: takes(&[("credits/wallet", 300 * CREDIT)]), ..settle }
    };
    let (last, late) = (dear(&mut world, "last"), dear(&mut world, "late"));
    let before = cursor(&mut world);
    assert_eq!(paid(&deliver(&mut world, &mut one, last)), [("wallet", 300 * CREDIT)]);
    assert!(is_told(&mut world, before));
    for worker in [&one, &two] {
        assert!(!snapshot(&mut world, worker).policy.bypass_rates);
    }
    // Admitted while there was money, delivered after it: owed, and no credit of the plan is touched for it.
    let charge = deliver(&mut world, &mut two, late);
    assert_eq!((paid(&charge).len(), charge.debt), (0, credits(300)));
    assert_eq!(world.left("main"), credits(1_200));
    // What they hold of the plan's credits is theirs still.
    let own = admitted(&mut world, "one", "atlas-large", &[("credits", 9 * CREDIT)]);
    let body = settled(own);
    assert_eq!(world.deliver(&mut one, vec![body]).rejected, Vec::new());
    assert_eq!(paid(&charge_of(&mut world, "one")), [("main", 9 * CREDIT)]);
}

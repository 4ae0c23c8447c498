//! Page P on the book: three pools, caps that skip one, a budget on cost, a wallet that lifts.

use tariff::catalog::BonusOn;
use tariff::{Catalog, Meter, Micros, OnExceed, Prices, Ratio};
use wire::DenialCode;

use super::pages::{self, cap, deliver, denial, paid, plan, settlement, snapshot, takes, use_model, want};
use super::world::{CREDIT, DAY, Subject, Worker, World, credits, instant};
use crate::command::settings::SettingsChange;

const MONDAY: &str = "2026-11-02T00:00:00Z";
/// Input tokens of `atlas-large` that three credits pay for.
const THREE: (Meter, u64) = (Meter::InputTokens, 10_000);

fn tokens(amount: i64) -> (Meter, u64) {
    (Meter::InputTokens, u64::try_from(amount * 10_000 / 3).unwrap())
}

fn starter<S: Subject>(make: impl FnOnce(Catalog) -> S, catalog: Catalog) -> (World<S>, Worker) {
    let mut world = World::on(make, catalog, "starter", MONDAY);
    opt_in(&mut world);
    (world, Worker::new(1))
}

fn opt_in<S: Subject>(world: &mut World<S>) {
    let opted_in = Some(vec!["wallet".to_owned()]);
    world.set(SettingsChange { opted_in, ..SettingsChange::default() });
}

/// The page without the caps on its pools.
fn uncapped() -> Catalog {
    let mut catalog = pages::pools();
    plan(&mut catalog, "starter").limits.clear();
    catalog
}

pub fn p1_main_then_backup_then_the_wallet<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, uncapped());
    world.fill("wallet", credits(500), "w");
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(900));
    assert_eq!(paid(&charge), [("main", 900 * CREDIT)]);
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(3_600));
    assert_eq!(paid(&charge), [("main", 300 * CREDIT), ("backup", 3_000 * CREDIT), ("wallet", 300 * CREDIT)]);
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(300));
    assert_eq!((paid(&charge), charge.debt), (vec![("wallet", 200 * CREDIT)], credits(100)));
}

pub fn p2_p3_the_bonus_comes_with_every_cycle<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, _) = starter(make, pages::pools());
    assert_eq!((world.left("main"), world.left("backup")), (credits(1_200), credits(3_000)));
    world.pass(30 * DAY);
    assert_eq!((world.left("main"), world.left("backup")), (credits(1_200), credits(3_000)));
    assert_eq!(world.account().totals.granted, credits(8_400));
}

pub fn p3_the_bonus_may_come_with_renewals_alone<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut catalog = pages::pools();
    let bonus = plan(&mut catalog, "starter").grants[0].bonus.as_mut().unwrap();
    (bonus.on, bonus.rate) = (BonusOn::RenewalOnly, Ratio::parse_decimal("0.123456789").unwrap());
    let (mut world, _) = starter(make, catalog);
    assert_eq!(world.left("main"), credits(1_000));
    world.pass(30 * DAY);
    assert_eq!(world.left("main"), Micros(1_123_456_789), "rounded down to a micro-credit");
}

pub fn p4_p5_a_daily_cap_skips_main_and_backup_pays<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, pages::pools());
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(90));
    assert_eq!(paid(&charge), [("main", 90 * CREDIT)]);
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(60));
    assert_eq!(paid(&charge), [("main", 10 * CREDIT), ("backup", 50 * CREDIT)]);
    let charge = use_model(&mut world, &mut worker, "atlas-large", THREE);
    assert_eq!(paid(&charge), [("backup", 3 * CREDIT)]);
    assert_eq!(world.account().worth(), credits(2_947), "of main nothing can be had today");
    world.pass(DAY - 1);
    let charge = use_model(&mut world, &mut worker, "atlas-large", THREE);
    assert_eq!(paid(&charge), [("backup", 3 * CREDIT)], "a day is the UTC day");
    world.pass(1);
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(102));
    assert_eq!(paid(&charge), [("main", 100 * CREDIT), ("backup", 2 * CREDIT)]);
    assert_eq!(world.account().debt, Micros::ZERO);
}

pub fn p4_p6_weeks_count_from_the_start_of_the_cycle<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::pools(), "starter", "2026-11-05T15:30:00Z");
    let mut worker = Worker::new(1);
    let mut main_paid = Vec::new();
    for _ in 0..8 {
        let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(120));
        let of_main = paid(&charge).first().filter(|(pool, _)| *pool == "main").map_or(0, |(_, paid)| *paid);
        main_paid.push(of_main / CREDIT);
        world.pass(DAY);
    }
    // Three days of a hundred are the week's three hundred; the eighth day is of the next week.
    assert_eq!(main_paid, [100, 100, 100, 0, 0, 0, 0, 100]);
    let week = |world: &mut World<S>| {
        snapshot(world, &Worker::new(1));
        let windows = world.account().term().unwrap().standing.windows.clone();
        let week = windows.into_iter().find(|window| window.limit == "credits/week").unwrap();
        (week.key, week.end)
    };
    assert_eq!(week(&mut world), ("20261112T153000Z".to_owned(), instant("2026-11-19T15:30:00Z")));
    // The last one ends with the cycle.
    world.pass(21 * DAY);
    assert_eq!(week(&mut world), ("20261203T153000Z".to_owned(), instant("2026-12-05T15:30:00Z")));
}

pub fn p4_the_free_plan_counts_requests_by_the_day<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut catalog = pages::pools();
    plan(&mut catalog, "free").limits[0].max = Some(credits(2));
    let mut world = World::on(make, catalog, "free", "2026-11-02T22:00:00Z");
    let (mut one, other) = (Worker::new(1), Worker::new(2));
    let bucket = "requests/day/2026-11-02";
    assert_eq!(cap(&mut world, "requests/day"), bucket);
    for request in ["a", "b"] {
        let answer = want(&mut world, &one, request, &[(bucket, CREDIT)]);
        assert_eq!(answer.verdicts, Vec::new());
        let settle = settlement(&mut world, request, "spark-free", tariff::Usage::new());
        let charge =
            deliver(&mut world, &mut one, wire::Settle { takes: takes(&[(bucket, CREDIT)]), ..settle });
        assert_eq!(charge.counts.iter().map(|count| count.amount).collect::<Vec<_>>(), [credits(1)]);
    }
    let refused = denial(&want(&mut world, &other, "c", &[(bucket, CREDIT)]));
    assert_eq!((refused.code, refused.available), (DenialCode::Limit, Micros::ZERO));
    assert_eq!(refused.resets_at.as_deref(), Some("2026-11-03T00:00:00Z"));
    assert!(snapshot(&mut world, &other).deny.contains(&refused));
    assert_eq!(snapshot(&mut world, &other).valid_for_ms, 60_000);
    world.pass(2 * 3_600_000);
    assert_eq!(cap(&mut world, "requests/day"), "requests/day/2026-11-03");
    let told = snapshot(&mut world, &other);
    assert!(told.deny.iter().all(|denial| denial.bucket == "credits"), "{:?}", told.deny);
}

pub fn p5_a_cap_may_bound_both_pools_and_refuse<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut catalog = pages::pools();
    let plan = plan(&mut catalog, "starter");
    plan.limits.truncate(1);
    plan.limits[0].on_exceed = OnExceed::Deny402;
    plan.limits[0].pools = vec!["main".to_owned(), "backup".to_owned()];
    let (mut world, mut worker) = starter(make, catalog);
    let cap = "credits/day/2026-11-02";
    let needs = [("credits", 102 * CREDIT), (cap, 102 * CREDIT)];
    let refused = denial(&want(&mut world, &worker, "a", &needs));
    assert_eq!((refused.code, &*refused.bucket), (DenialCode::InFlight, cap), "a smaller request may pass");
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(120));
    assert_eq!(paid(&charge), [("main", 120 * CREDIT)]);
    let refused = denial(&want(&mut world, &worker, "b", &[("credits", CREDIT), (cap, CREDIT)]));
    assert_eq!((refused.code, &*refused.bucket), (DenialCode::Limit, cap));
    assert_eq!(refused.resets_at.as_deref(), Some("2026-11-03T00:00:00Z"));
}

/// The page with a model that costs its operator a hundred times as much: three credits are 2.40 USD.
fn costly() -> Catalog {
    let mut catalog = uncapped();
    let full = pages::pools();
    let budget = full.plan("starter").unwrap().limits[2].clone();
    plan(&mut catalog, "starter").limits.push(budget);
    let model = catalog.models.iter_mut().find(|model| model.name == "atlas-large").unwrap();
    model.cost = Some(Prices::new([(Meter::InputTokens, Ratio::whole(240))]));
    catalog
}

pub fn p8_at_the_end_of_the_budget_only_the_wallet_pays<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, costly());
    world.fill("wallet", credits(50), "w");
    for _ in 0..41 {
        let charge = use_model(&mut world, &mut worker, "atlas-large", THREE);
        assert_eq!((charge.base, charge.cost), (credits(3), Micros(2_400_000)), "two amounts");
        assert_eq!(paid(&charge), [("main", 3 * CREDIT)]);
    }
    // 98.40 of 100 USD are used: the next request passes the end.
    assert_eq!(cap(&mut world, "cost/cycle"), "cost/cycle/20261102T000000Z");
    assert_eq!(world.account().worth(), credits(4_200 - 123 + 50));
    let before = world.account().version;
    use_model(&mut world, &mut worker, "atlas-large", THREE);
    assert!(world.account().version > before, "nodes are told");
    let told = snapshot(&mut world, &worker);
    let ids: Vec<&str> = told.policy.buckets.iter().map(|bucket| bucket.id.as_str()).collect();
    assert_eq!(ids, ["credits/wallet"]);
    let charge = use_model(&mut world, &mut worker, "atlas-large", THREE);
    assert_eq!(paid(&charge), [("wallet", 3 * CREDIT)]);
    assert_eq!(world.account().worth(), credits(47));
    assert_eq!(world.left("main"), credits(1_200 - 126));
    // The next month has a budget of its own.
    world.pass(30 * DAY);
    let charge = use_model(&mut world, &mut worker, "atlas-large", THREE);
    assert_eq!(paid(&charge), [("main", 3 * CREDIT)]);
}

pub fn p8_the_last_of_the_budget_goes_to_one_request<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, costly());
    for _ in 0..41 {
        use_model(&mut world, &mut worker, "atlas-large", THREE);
    }
    let cap = cap(&mut world, "cost/cycle");
    let answer = want(&mut world, &worker, "last", &[("credits", 3 * CREDIT), (&cap, 2_400_000)]);
    let wire::VerdictKind::Clip(clip) = &answer.verdicts[0].kind else { unreachable!("{answer:?}") };
    assert_eq!((&*clip.bucket, clip.need), (&*cap, Micros(1_600_000)));
    let settle = settlement(&mut world, "last", "atlas-large", tariff::Usage::new().with(THREE.0, THREE.1));
    let used = takes(&[("credits", 3 * CREDIT), (&cap, 1_600_000)]);
    let charge = deliver(&mut world, &mut worker, wire::Settle { takes: used, ..settle });
    assert_eq!(paid(&charge), [("main", 3 * CREDIT)]);
    let account = world.account();
    assert_eq!(account.term().unwrap().standing.dry, ["cost/cycle"]);
}

pub fn p9_the_wallet_pays_for_those_alone_who_opted_in<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, uncapped(), "starter", MONDAY);
    let mut worker = Worker::new(1);
    world.fill("wallet", credits(500), "w");
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(4_500));
    assert_eq!((paid(&charge).len(), charge.debt), (2, credits(300)));
    opt_in(&mut world);
    let charge = use_model(&mut world, &mut worker, "atlas-large", THREE);
    assert_eq!(paid(&charge), [("wallet", 3 * CREDIT)]);
    // It never ends, and survives the plan.
    world.switch("free");
    world.pass(900 * DAY);
    assert_eq!(world.left("wallet"), credits(497));
}

pub fn p10_any_money_in_the_wallet_lifts_rates<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, uncapped());
    assert!(!snapshot(&mut world, &worker).policy.bypass_rates);
    world.fill("wallet", Micros(1), "w");
    let told = snapshot(&mut world, &worker);
    assert!(told.policy.bypass_rates, "the smallest unit");
    // Holds are ignored: what is leased is still posted.
    want(&mut world, &worker, "a", &[("credits", 4_200 * CREDIT + 1)]);
    assert!(snapshot(&mut world, &worker).policy.bypass_rates);
    let charge = use_model(&mut world, &mut worker, "atlas-large", tokens(4_203));
    assert_eq!(paid(&charge).last(), Some(&("wallet", 1)));
    let empty = snapshot(&mut world, &worker);
    assert!(
        !empty.policy.bypass_rates && empty.version > told.version,
        "0.00 is no bypass, and nodes are told"
    );
}

pub fn p10_models_of_no_tier_are_paid_from_the_wallet_alone<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, pages::pools());
    let refused = denial(&want(&mut world, &worker, "a", &[("credits/wallet", CREDIT)]));
    assert_eq!((refused.code, refused.available), (DenialCode::Empty, Micros::ZERO));
    world.fill("wallet", credits(30), "w");
    let charge = use_model(&mut world, &mut worker, "frontier-max", (Meter::InputTokens, 10_000));
    assert_eq!(paid(&charge), [("wallet", 15 * CREDIT)]);
    assert_eq!((world.left("main"), charge.counts.len()), (credits(1_200), 0));
    // What is leased for such models is not leased again for others.
    let granted = want(&mut world, &worker, "b", &[("credits/wallet", 15 * CREDIT)]);
    assert_eq!(granted.grants[0].granted, credits(15));
    assert_eq!(world.account().capacity(), credits(3_100));
}

pub fn p11_a_renewal_refills_and_carries_nothing_over<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut worker) = starter(make, uncapped());
    use_model(&mut world, &mut worker, "atlas-large", tokens(1_500));
    assert_eq!((world.left("main"), world.left("backup")), (Micros::ZERO, credits(2_700)));
    world.pass(30 * DAY);
    assert_eq!((world.left("main"), world.left("backup")), (credits(1_200), credits(3_000)));
    assert_eq!(world.account().totals.expired, credits(2_700));
}

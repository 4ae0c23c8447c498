//! Page C on the book: bonus and commitments, overage, cohorts, programmes; and yearly plans that grant by the month.

use tariff::{Catalog, Meter, Micros};
use wire::{DenialCode, VerdictKind};

use super::pages::{self, denial, paid, snapshot, use_model, want};
use super::world::{ACCOUNT, BEGIN, CREDIT, Command, DAY, Subject, Worker, World, credits, instant};
use crate::command::open::NewAccount;
use crate::command::settings::SettingsChange;

/// A page of `document-parse` is a hundredth of a credit.
const PAGES: Meter = Meter::Pages;

fn open<S: Subject>(make: impl FnOnce(Catalog) -> S, catalog: Catalog, new: NewAccount) -> World<S> {
    let mut world = World::bare(|_| make(catalog));
    world.call(Command::Open(NewAccount { id: ACCOUNT.to_owned(), ..new })).unwrap();
    world
}

fn card<S: Subject>(world: &mut World<S>, cap: Option<Micros>) {
    let overage_cap = Some(cap);
    world.set(SettingsChange { card_on_file: Some(true), overage_cap, ..SettingsChange::default() });
}

pub fn c5_bonus_ends_with_the_commitment<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let new = NewAccount {
        plan: "build".to_owned(),
        cadence: Some("yearly".to_owned()),
        created_at: Some(instant("2025-11-15T00:00:00Z")),
        ..NewAccount::default()
    };
    let mut world = open(make, pages::upstage(), new);
    world.fill("bonus", credits(10), "first");
    world.pass(200 * DAY);
    // A recharge in the middle of the year: its bonus ends with the year, not a year after it.
    world.fill("bonus", credits(5), "second");
    let ends: Vec<Option<i64>> = world.account().lots.values().map(|lot| lot.expires_at).collect();
    assert_eq!(ends, [Some(instant("2026-11-15T00:00:00Z")); 2]);
    world.now.wall = instant("2026-11-14T23:59:59.999Z");
    world.pass(0);
    assert_eq!(world.left("bonus"), credits(15));
    world.pass(1);
    assert_eq!((world.left("bonus"), world.account().totals.expired), (Micros::ZERO, credits(15)));
}

pub fn c6_bonus_goes_before_what_was_bought<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::upstage(), "build", "2026-03-01T00:00:00Z");
    world.fill("paid", credits(10), "p");
    world.fill("bonus", credits(1), "b");
    let charge = use_model(&mut world, &mut Worker::new(1), "document-parse", (PAGES, 150));
    assert_eq!(paid(&charge), [("bonus", CREDIT), ("paid", CREDIT / 2)]);
    world.pass(3_000 * DAY);
    assert_eq!(world.left("paid"), Micros(9_500_000), "bought credits stay");
}

pub fn c8_overage_is_not_interrupted_and_becomes_a_receivable<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::upstage(), "explore", "2026-03-01T00:00:00Z");
    let mut worker = Worker::new(1);
    let refused = denial(&want(&mut world, &worker, "a", &[("credits", CREDIT)]));
    assert_eq!(refused.code, DenialCode::Empty, "without a card there is no overage");
    card(&mut world, None);
    let told = snapshot(&mut world, &worker);
    assert!(told.policy.buckets[0].unlimited && told.deny.is_empty());
    world.fill("paid", credits(1), "p");
    let answer = want(&mut world, &worker, "b", &[("credits", 500 * CREDIT)]);
    assert_eq!((answer.verdicts.len(), answer.grants[0].granted), (0, credits(500)));
    let charge = use_model(&mut world, &mut worker, "document-parse", (PAGES, 300));
    assert_eq!(
        (paid(&charge), charge.receivable, charge.debt),
        (vec![("paid", CREDIT)], credits(2), Micros::ZERO)
    );
    assert_eq!(charge.amount, credits(3));
    let account = world.account();
    assert_eq!(
        (account.receivable, account.debt, account.totals.charged),
        (credits(2), Micros::ZERO, credits(3))
    );
    // What is bought later is not taken for it: it is paid by the card.
    world.fill("paid", credits(10), "q");
    assert_eq!(world.left("paid"), credits(10));
}

pub fn c8_overage_stops_at_the_accounts_cap<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::upstage(), "explore", "2026-03-01T00:00:00Z");
    let mut worker = Worker::new(1);
    card(&mut world, Some(credits(5)));
    assert_eq!(world.account().worth(), credits(5));
    // Another bound counts at once.
    world.set(SettingsChange { overage_cap: Some(Some(credits(3))), ..SettingsChange::default() });
    assert_eq!((world.account().worth(), world.account().capacity()), (credits(3), credits(3)));
    let charge = use_model(&mut world, &mut worker, "document-parse", (PAGES, 200));
    assert_eq!((charge.receivable, charge.debt), (credits(2), Micros::ZERO));
    let answer = want(&mut world, &worker, "a", &[("credits", 2 * CREDIT)]);
    assert!(matches!(&answer.verdicts[0].kind, VerdictKind::Clip(clip) if clip.need == credits(1)));
    let charge = use_model(&mut world, &mut worker, "document-parse", (PAGES, 200));
    assert_eq!((charge.receivable, charge.debt), (credits(1), credits(1)), "beyond the cap it is owed");
    // A cycle has a cap of its own.
    world.now.up += 70_000;
    world.pass(31 * DAY);
    world.fill("paid", credits(1), "debt");
    assert_eq!(world.account().worth(), credits(3));
}

pub fn c9_legacy_rates_until_a_date<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut catalog = pages::upstage();
    // Nothing is bought here: tiers would fall with the first period.
    catalog.tiers = None;
    let mut world = World::bare(|_| make(catalog));
    world.now.wall = instant("2025-12-01T00:00:00Z");
    let rate = |world: &mut World<S>, id: &str| {
        let call = Worker::new(1).call(world.now);
        let refresh = vec![id.to_owned()];
        let told = world.send(wire::SyncRequest { refresh, ..call }).snapshots.remove(0);
        told.policy.rates.iter().find(|rate| rate.id == "solar-pro-2").unwrap().amount
    };
    for (id, created) in [(ACCOUNT, "2025-11-03T23:59:59.999Z"), ("later", "2025-11-04T00:00:00Z")] {
        let created_at = Some(instant(created));
        let new =
            NewAccount { id: id.to_owned(), plan: "scale".to_owned(), created_at, ..NewAccount::default() };
        world.call(Command::Open(new)).unwrap();
    }
    assert_eq!([rate(&mut world, ACCOUNT), rate(&mut world, "later")], [20, 80]);
    world.now.wall = instant("2026-01-05T23:59:59.999Z");
    assert_eq!([rate(&mut world, ACCOUNT), rate(&mut world, "later")], [20, 80]);
    world.now.wall += 1;
    assert_eq!([rate(&mut world, ACCOUNT), rate(&mut world, "later")], [80, 80]);
}

pub fn c11_a_programme_has_its_models_for_nothing_until_its_end<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::upstage(), "explore", "2026-03-01T00:00:00Z");
    let mut worker = Worker::new(1);
    world.fill("paid", credits(10), "p");
    world.call(Command::Enrol("education".to_owned())).unwrap();
    let told = snapshot(&mut world, &worker);
    let class = told.policy.classes.iter().find(|class| class.models.contains(&"document-parse".to_owned()));
    assert_eq!(class.unwrap().buckets, Vec::<String>::new());
    let charge = use_model(&mut world, &mut worker, "document-parse", (PAGES, 100));
    assert_eq!((charge.amount, charge.slices.len()), (Micros::ZERO, 0));
    let charge = use_model(&mut world, &mut worker, "information-extract", (PAGES, 100));
    assert_eq!(paid(&charge), [("paid", 3 * CREDIT)], "other models cost");
    // Admitted in it, delivered after it: for nothing.
    let settle =
        pages::settlement(&mut world, "late", "document-parse", tariff::Usage::new().with(PAGES, 100));
    world.pass(365 * DAY);
    let charge = pages::deliver(&mut world, &mut worker, settle);
    assert_eq!(charge.amount, Micros::ZERO);
    let charge = use_model(&mut world, &mut worker, "document-parse", (PAGES, 100));
    assert_eq!(paid(&charge), [("paid", CREDIT)]);
}

pub fn m13_a_yearly_plan_grants_by_the_month<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let new = NewAccount {
        plan: "starter".to_owned(),
        cadence: Some("yearly".to_owned()),
        ..NewAccount::default()
    };
    let mut world = open(make, pages::modelstack(), new);
    let cycle = world.account().cycle.unwrap();
    assert_eq!((cycle.start, cycle.end), (BEGIN, instant("2026-02-28T00:00:00Z")));
    assert_eq!(cycle.billing_end(), instant("2027-01-31T00:00:00Z"));
    let mut starts = Vec::new();
    for _ in 0..12 {
        assert_eq!(world.left("included"), credits(500));
        let cycle = world.account().cycle.unwrap();
        starts.push(crate::calendar::rfc3339(cycle.start).unwrap()[..10].to_owned());
        let rest = cycle.end - world.now.wall;
        world.pass(rest);
    }
    assert_eq!(starts[1..4], ["2026-02-28", "2026-03-31", "2026-04-30"]);
    assert_eq!(world.account().totals.granted, credits(13 * 500));
    assert_eq!(world.account().cycle.unwrap().billing_start(), instant("2027-01-31T00:00:00Z"));
}

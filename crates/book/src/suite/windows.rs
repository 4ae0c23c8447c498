//! Pages L and W on the book: counted requests, what they leave out, weekly and single grants, another asset.

use serde_json::Value;
use tariff::{Catalog, Counted, Meter, Micros, Overrides, Usage};
use wire::{DenialCode, Digest, Outcome, Settle};

use super::pages::{self, cap, deliver, denial, paid, plan, settlement, snapshot, takes, use_model, want};
use super::world::{ACCOUNT, CREDIT, Command, DAY, Subject, Worker, World, credits, settled};
use crate::command::key::NewKey;
use crate::command::open::NewAccount;
use crate::command::settings::SettingsChange;

const ONE: (Meter, u64) = (Meter::Requests, 1);
const LIMIT: &str = "requests/cycle";

/// The page's free plan with room for five requests.
fn small() -> Catalog {
    let mut catalog = pages::modelux();
    plan(&mut catalog, "free").limits[0].max = Some(credits(5));
    catalog
}

fn used<S: Subject>(world: &mut World<S>, limit: &str) -> i64 {
    let account = world.account();
    let key = account.term().unwrap().window_key(limit).to_owned();
    account.used(limit, &key).get() / CREDIT
}

fn told<S: Subject>(world: &mut World<S>, percent: u64) -> usize {
    let all: Vec<Value> = world.subject.notices();
    let is_it = |body: &&Value| body["type"] == "limit.threshold" && body["data"]["percent"] == percent;
    all.iter().filter(is_it).count()
}

pub fn l2_l9_l13_requests_are_capped_until_the_renewal_day<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, small(), "free", "2026-11-20T09:00:00Z");
    let mut worker = Worker::new(1);
    let bucket = cap(&mut world, LIMIT);
    assert_eq!(bucket, "requests/cycle/20261120T090000Z");
    for _ in 0..5 {
        use_model(&mut world, &mut worker, "gpt-5", ONE);
    }
    let refused = denial(&want(&mut world, &worker, "a", &[(&bucket, CREDIT)]));
    assert_eq!(refused.code, DenialCode::Limit);
    assert_eq!(refused.resets_at.as_deref(), Some("2026-12-20T09:00:00Z"), "no calendar month");
    world.pass(30 * DAY - 1);
    assert_eq!(used(&mut world, LIMIT), 5);
    world.pass(1);
    let bucket = cap(&mut world, LIMIT);
    assert_eq!((used(&mut world, LIMIT), &*bucket), (0, "requests/cycle/20261220T090000Z"));
    assert_eq!(want(&mut world, &worker, "b", &[(&bucket, CREDIT)]).verdicts, Vec::new());
}

pub fn l8_thresholds_are_told_once_for_each_value_and_window<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, small(), "free", "2026-11-20T09:00:00Z");
    let mut worker = Worker::new(1);
    let mut counts = Vec::new();
    for _ in 0..6 {
        use_model(&mut world, &mut worker, "gpt-5", ONE);
        counts.push((told(&mut world, 80), told(&mut world, 100)));
    }
    assert_eq!(counts, [(0, 0), (0, 0), (0, 0), (1, 0), (1, 1), (1, 1)]);
    // Raised to 10: 6 of it are used. It is told of anew when it is crossed again.
    let overrides =
        Overrides { limits: [(LIMIT.to_owned(), Some(credits(10)))].into(), ..Overrides::default() };
    world.set(SettingsChange { overrides: Some(overrides), ..SettingsChange::default() });
    assert_eq!((told(&mut world, 80), told(&mut world, 100)), (1, 1));
    for _ in 0..4 {
        use_model(&mut world, &mut worker, "gpt-5", ONE);
    }
    assert_eq!((told(&mut world, 80), told(&mut world, 100)), (2, 2));
    world.pass(30 * DAY);
    for _ in 0..8 {
        use_model(&mut world, &mut worker, "gpt-5", ONE);
    }
    assert_eq!((told(&mut world, 80), told(&mut world, 100)), (3, 2), "the next period is another");
}

pub fn l11_requests_of_the_products_own_pages_are_left_out<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, small(), "free", "2026-11-20T09:00:00Z");
    let mut worker = Worker::new(1);
    for (number, class) in [(1, "dashboard"), (2, "api")] {
        let new = NewKey {
            account: ACCOUNT.to_owned(),
            id: format!("key_{class}"),
            digest: Digest([number; 32]),
            name: None,
            auth_class: Some(class.to_owned()),
            models: None,
            expires_at: None,
        };
        world.call(Command::CreateKey(new)).unwrap();
    }
    for (request, class) in [("a", "dashboard"), ("b", "api"), ("c", "dashboard")] {
        let settle = settlement(&mut world, request, "gpt-5", Usage::new().with(ONE.0, ONE.1));
        let charge = deliver(&mut world, &mut worker, Settle { key: format!("key_{class}"), ..settle });
        assert_eq!(charge.counts.len(), usize::from(class == "api"), "{class}");
    }
    assert_eq!(used(&mut world, LIMIT), 1);
    let told = snapshot(&mut world, &worker);
    let bucket = told.policy.buckets.iter().find(|bucket| bucket.limit.is_some()).unwrap();
    assert!(bucket.unless_auth_class.contains(&"dashboard".to_owned()));
}

/// What a request that was charged and one that was released count.
fn counted<S: Subject>(make: impl FnOnce(Catalog) -> S, counted: Counted) -> i64 {
    let mut catalog = small();
    plan(&mut catalog, "free").limits[0].count = counted;
    let mut world = World::on(make, catalog, "free", "2026-11-20T09:00:00Z");
    let mut worker = Worker::new(1);
    use_model(&mut world, &mut worker, "gpt-5", ONE);
    let settle = settlement(&mut world, "released", "gpt-5", Usage::new());
    let settle = Settle { outcome: Outcome::Released, source: None, status: None, ..settle };
    world.deliver(&mut worker, vec![settled(settle)]);
    used(&mut world, LIMIT)
}

pub fn a_limit_counts_what_was_delivered<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    assert_eq!(counted(make, Counted::Delivered), 1);
}

pub fn a_limit_may_count_what_was_admitted<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    assert_eq!(counted(make, Counted::Admitted), 2);
}

pub fn w1_credits_that_come_once_never_come_again<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::images(), "free", "2026-11-20T00:00:00Z");
    assert_eq!(world.left("welcome"), credits(50));
    world.pass(100 * DAY);
    assert_eq!(world.account().totals.granted, credits(50));
    assert_eq!(world.account().renewal(), None, "waiting would not help");
    world.switch("starter");
    assert_eq!(world.account().renewal(), world.account().cycle.as_ref().map(|cycle| cycle.end));
    world.switch("free");
    assert_eq!(world.account().totals.granted, credits(250), "neither for leaving and coming back");
}

pub fn w2_weekly_credits_end_with_their_week<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::images(), "starter", "2026-11-20T12:00:00Z");
    let mut worker = Worker::new(1);
    use_model(&mut world, &mut worker, "flux-schnell", (Meter::Images, 3));
    assert_eq!(world.left("weekly"), credits(170));
    world.pass(7 * DAY - 1);
    assert_eq!(world.left("weekly"), credits(170));
    world.pass(1);
    assert_eq!((world.left("weekly"), world.account().totals.expired), (credits(200), credits(170)));
}

pub fn w3_what_is_delivered_is_charged_by_its_variant<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::images(), "max", "2026-11-20T12:00:00Z");
    let mut worker = Worker::new(1);
    let prices = [
        ("flux-schnell", Meter::Images, 4, 40),
        ("flux-schnell@large", Meter::Images, 4, 60),
        ("flux-schnell@xlarge", Meter::Images, 1, 25),
        ("video-standard@full_hd", Meter::Seconds, 20, 800),
    ];
    for (model, meter, count, price) in prices {
        let charge = use_model(&mut world, &mut worker, model, (meter, count));
        assert_eq!((charge.base, &*charge.model), (credits(price), model));
    }
}

pub fn w5_trainings_are_no_credits<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::images(), "pro", "2026-11-20T12:00:00Z");
    let mut worker = Worker::new(1);
    assert_eq!((world.left("weekly"), world.left("train_week")), (credits(450), credits(1)));
    assert_eq!(world.account().worth(), credits(450));
    let charge = use_model(&mut world, &mut worker, "flux-training", ONE);
    assert_eq!((paid(&charge), &*charge.asset), (vec![("train_week", CREDIT)], "training"));
    assert_eq!(world.left("weekly"), credits(450));
    let refused = denial(&want(&mut world, &worker, "a", &[("training", CREDIT)]));
    assert_eq!(
        (refused.code, refused.resets_at.as_deref()),
        (DenialCode::Empty, Some("2026-11-27T12:00:00Z"))
    );
    // Credits bought or granted pay for no training, and its debt is its own.
    let charge = use_model(&mut world, &mut worker, "flux-training", ONE);
    let account = world.account();
    assert_eq!((charge.debt, account.debt, account.owed("training")), (credits(1), Micros::ZERO, credits(1)));
    world.pass(7 * DAY);
    let account = world.account();
    assert_eq!((account.owed("training"), account.remaining()), (Micros::ZERO, credits(450)));
    assert_eq!((world.left("train_week"), account.totals("training").charged), (Micros::ZERO, credits(2)));
}

pub fn w5_what_a_year_grants_is_stated_and_not_derived<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::bare(|_| make(pages::images()));
    let new = NewAccount {
        id: ACCOUNT.to_owned(),
        plan: "pro".to_owned(),
        cadence: Some("yearly".to_owned()),
        ..NewAccount::default()
    };
    world.call(Command::Open(new)).unwrap();
    assert_eq!((world.left("yearly"), world.left("train_year")), (credits(23_400), credits(12)));
    assert_eq!((world.left("weekly"), world.left("train_week")), (Micros::ZERO, Micros::ZERO));
    world.pass(364 * DAY);
    assert_eq!(world.left("yearly"), credits(23_400));
}

pub fn w7_a_limited_model_has_a_count_of_its_own<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::on(make, pages::images(), "free", "2026-11-20T12:00:00Z");
    let mut worker = Worker::new(1);
    world.fill("welcome", credits(500), "gift");
    let bucket = cap(&mut world, "flux-dev/day");
    for request in ["a", "b", "c"] {
        let needs = [("credits", 40 * CREDIT), (&*bucket, CREDIT)];
        assert_eq!(want(&mut world, &worker, request, &needs).verdicts, Vec::new());
        let settle = settlement(&mut world, request, "flux-dev", Usage::new().with(Meter::Images, 1));
        deliver(&mut world, &mut worker, Settle { takes: takes(&needs), ..settle });
    }
    let refused = denial(&want(&mut world, &worker, "d", &[("credits", 40 * CREDIT), (&bucket, CREDIT)]));
    assert_eq!((refused.code, &*refused.bucket), (DenialCode::Limit, &*bucket));
    let charge = use_model(&mut world, &mut worker, "flux-schnell", (Meter::Images, 1));
    assert_eq!((charge.base, charge.counts.len()), (credits(10), 0), "other models are not limited");
    let told = snapshot(&mut world, &worker);
    let class = |model: &str| {
        let classes = &told.policy.classes;
        let exact = classes.iter().find(|class| class.models.iter().any(|own| own == model));
        exact.or(classes.last()).unwrap().buckets.clone()
    };
    assert_eq!(class("flux-dev"), ["credits".to_owned(), bucket]);
    assert_eq!(class("flux-schnell"), ["credits"]);
}

//! Which pools pay for which models, and which buckets the edge takes from, on catalogs built by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

use tariff::{
    Bypass, Cadence, Cap, Catalog, Cohort, Counted, Exempt, Exhaustion, ExhaustionAction, Expiry,
    FeatureGate, Funding, Grant, Limit, Measure, Meter, Micros, Model, OnExceed, Overage, Parameter,
    ParameterRead, Period, Plan, PlanRate, Policy, Pool, PoolModels, Prices, Programme, Ratio, RunningWindow,
    Scope, Standing, Unit, Variant, Window,
};

fn prices(unit: u64) -> Prices {
    Prices::new([(Meter::InputTokens, Ratio::whole(unit)), (Meter::OutputTokens, Ratio::whole(unit))])
}

fn model(name: &str) -> Model {
    Model::named(name, prices(1), 100)
}

fn limit(id: &str, measure: Measure, max: i64, on_exceed: OnExceed) -> Limit {
    Limit {
        id: id.into(),
        measure,
        window: Window::Day,
        max: Some(Micros(max * Micros::PER_CREDIT)),
        models: vec!["*".into()],
        pools: vec![],
        scope: Scope::Account,
        on_exceed,
        count: Counted::Delivered,
        notify: vec![],
    }
}

fn over(pools: &[&str], limit: Limit) -> Limit {
    Limit { pools: pools.iter().map(|pool| (*pool).to_owned()).collect(), ..limit }
}

/// Three pools with caps and a wallet that opens everything, as on the page of pools and wallet.
fn page() -> Catalog {
    let pool = |name: &str, order, models| Pool { models, ..Pool::named(name, order, Expiry::Never) };
    let starter = Plan {
        models: vec!["tier-*".into()],
        limits: vec![
            over(&["main"], limit("credits/day", Measure::Credits, 100, OnExceed::SkipPool)),
            over(&["main"], limit("credits/week", Measure::Credits, 300, OnExceed::SkipPool)),
            over(&["main", "backup"], limit("cost/cycle", Measure::Cost, 100, OnExceed::SkipPool)),
        ],
        ..Plan::named("starter")
    };
    Catalog {
        models: vec![model("tier-a"), model("tier-b"), model("beyond")],
        pools: vec![
            pool("main", 1, PoolModels::Plan),
            pool("backup", 2, PoolModels::Plan),
            Pool { opt_in: true, ..pool("wallet", 3, PoolModels::All) },
        ],
        plans: vec![starter],
        bypasses: vec![Bypass { pool: "wallet".into(), rates: true, models: true }],
        ..Catalog::named("Test")
    }
}

fn opted_in() -> Standing {
    Standing { opted_in: vec!["wallet".into()], ..Standing::default() }
}

/// Per class: models, bucket, pools, skips, caps.
fn shown(funding: &Funding) -> Vec<String> {
    let lists = |class: &tariff::FundingClass| {
        let bucket = class.bucket.clone().unwrap_or_default();
        [class.models.join(","), bucket, class.pools.join(","), class.skips.join(","), class.caps.join(",")]
            .join(" | ")
    };
    funding.classes.iter().map(lists).collect()
}

fn funding(catalog: &Catalog, standing: &Standing) -> Vec<String> {
    shown(&catalog.funding(&catalog.plans[0].name, standing).unwrap())
}

fn policy(catalog: &Catalog, standing: &Standing) -> Policy {
    catalog.policy(&catalog.plans[0].name, standing).unwrap()
}

#[test]
fn a_simple_plan_is_one_class_of_all_pools() {
    let pools = vec![Pool::named("b", 2, Expiry::Never), Pool::named("a", 1, Expiry::CycleEnd)];
    let catalog =
        Catalog { models: vec![model("m")], pools, plans: vec![Plan::named("p")], ..Catalog::named("Test") };
    assert_eq!(funding(&catalog, &Standing::default()), ["* | credits | a,b |  | "]);
    assert_eq!(catalog.funding("q", &Standing::default()), None);
}

#[test]
fn p5_caps_on_a_pool_are_part_of_the_capacity_of_the_models_it_pays() {
    assert_eq!(
        funding(&page(), &opted_in()),
        [
            "beyond | credits/wallet | wallet |  | ",
            "* | credits | main,backup,wallet | credits/day,credits/week | cost/cycle",
        ]
    );
    // Every limit is there for what its windows tell, but only the one on cost is a bucket.
    let policy = policy(&page(), &opted_in());
    let ids: Vec<&str> = policy.buckets.iter().map(|bucket| bucket.id.as_str()).collect();
    assert_eq!(ids, ["credits/wallet", "credits", "cost/cycle"]);
    assert_eq!(policy.buckets[2].unit, Unit::Cost);
    assert_eq!(policy.classes[1].buckets, ["credits", "cost/cycle"]);
}

#[test]
fn p5_the_same_caps_as_denials_are_buckets_beside_the_credits() {
    let mut catalog = page();
    for limit in &mut catalog.plans[0].limits {
        limit.on_exceed = OnExceed::Deny402;
        limit.pools = vec!["main".into(), "backup".into()];
    }
    let mut standing = opted_in();
    standing.windows =
        vec![RunningWindow { limit: "credits/day".into(), key: "2026-11-20".into(), start: 0, end: 1 }];
    let funding = catalog.funding("starter", &standing).unwrap();
    assert_eq!(
        shown(&funding),
        [
            "beyond | credits/wallet | wallet |  | ",
            "* | credits | main,backup,wallet |  | credits/day/2026-11-20,credits/week,cost/cycle",
        ]
    );
    let day = Cap {
        bucket: "credits/day/2026-11-20".into(),
        limit: "credits/day".into(),
        measure: Measure::Credits,
        scope: Scope::Account,
    };
    assert_eq!(funding.caps[0], day);
    let policy = catalog.policy("starter", &standing).unwrap();
    let bucket = policy.buckets.iter().find(|bucket| bucket.id == day.bucket).unwrap();
    let help = bucket.limit.clone().unwrap();
    assert_eq!(
        (bucket.unit, help.id.as_str(), help.max),
        (Unit::Credits, "credits/day", Micros(100_000_000))
    );
    assert!(!bucket.waits && !bucket.admitted);
}

#[test]
fn p8_a_dry_cost_budget_leaves_the_wallet_alone() {
    let standing = Standing { dry: vec!["cost/cycle".into()], ..opted_in() };
    let funding = funding(&page(), &standing);
    assert_eq!(funding, ["* | credits/wallet | wallet |  | "], "tier and other models are paid alike");
}

#[test]
fn p9_a_wallet_that_was_not_opted_in_to_pays_for_nothing() {
    assert_eq!(
        funding(&page(), &Standing::default()),
        ["beyond | credits/- |  |  | ", "* | credits | main,backup | credits/day,credits/week | cost/cycle"]
    );
}

#[test]
fn p10_a_positive_wallet_lifts_rates_and_an_empty_one_still_names_credits_as_what_is_missing() {
    let mut catalog = page();
    let positive = Standing { positive: vec!["wallet".into()], ..opted_in() };
    assert!(policy(&catalog, &positive).bypass_rates);
    let empty = policy(&catalog, &opted_in());
    assert!(!empty.bypass_rates);
    assert_eq!(empty.gates, [], "a model beyond the plan is a question of credits, not of the plan");
    // Without the bypass it is one of the plan.
    catalog.bypasses.clear();
    let closed = policy(&catalog, &positive);
    assert!(!closed.bypass_rates);
    assert_eq!(closed.gates[0].models, ["beyond"]);
    assert_eq!(closed.classes.len(), 1);
}

#[test]
fn p10_a_pool_of_named_models_pays_no_other() {
    let mut catalog = page();
    catalog.pools[0].models = PoolModels::Named(vec!["tier-a".into(), "beyond".into()]);
    assert_eq!(
        funding(&catalog, &opted_in()),
        [
            "tier-b | credits/backup+wallet | backup,wallet |  | cost/cycle",
            "beyond | credits/wallet | wallet |  | ",
            "* | credits | main,backup,wallet | credits/day,credits/week | cost/cycle",
        ]
    );
}

#[test]
fn limits_of_some_models_split_the_class_and_share_its_credits() {
    let mut catalog = page();
    catalog.plans[0].limits = vec![Limit {
        models: vec!["tier-b".into()],
        ..limit("b/day", Measure::Meter(Meter::Requests), 5, OnExceed::Deny429)
    }];
    assert_eq!(
        funding(&catalog, &opted_in()),
        [
            "tier-b | credits | main,backup,wallet |  | b/day",
            "beyond | credits/wallet | wallet |  | ",
            "* | credits | main,backup,wallet |  | ",
        ]
    );
    let policy = policy(&catalog, &opted_in());
    let cap = policy.buckets.last().unwrap();
    assert_eq!((cap.unit, cap.waits), (Unit::Count(Meter::Requests), true));
    assert_eq!(policy.buckets.iter().filter(|bucket| bucket.id == "credits").count(), 1);
}

#[test]
fn classes_of_the_same_pools_under_different_caps_have_buckets_of_their_own() {
    let mut catalog = page();
    catalog.plans[0].limits.truncate(1);
    catalog.plans[0].limits[0].models = vec!["tier-a".into()];
    catalog.plans[0].limits[0].pools.clear();
    assert_eq!(
        funding(&catalog, &opted_in()),
        [
            "tier-b | credits | main,backup,wallet |  | ",
            "beyond | credits/wallet | wallet |  | ",
            "* | credits~credits/day | main,backup,wallet | credits/day | ",
        ]
    );
}

#[test]
fn an_unlimited_limit_is_no_bucket_and_a_limit_of_nothing_is_one() {
    let mut catalog = page();
    let cap =
        |id: &str, max| Limit { max, ..limit(id, Measure::Meter(Meter::Requests), 0, OnExceed::Deny402) };
    catalog.plans[0].limits = vec![cap("none", Some(Micros::ZERO)), cap("all", None)];
    let funding = catalog.funding("starter", &opted_in()).unwrap();
    let caps: Vec<&str> = funding.caps.iter().map(|cap| cap.bucket.as_str()).collect();
    assert_eq!(caps, ["none"]);
    assert_eq!(funding.classes[1].caps, ["none"]);
}

#[test]
fn w5_each_asset_has_its_own_bucket() {
    let mut catalog = page();
    catalog.pools.push(Pool { asset: "training".into(), ..Pool::named("train", 9, Expiry::Never) });
    catalog.models.push(Model { asset: "training".into(), ..model("tier-train") });
    catalog.plans[0].limits = vec![limit("credits/day", Measure::Credits, 1, OnExceed::Deny402)];
    assert_eq!(
        funding(&catalog, &opted_in()),
        [
            "beyond | credits/wallet | wallet |  | credits/day",
            "tier-train | training | train |  | ",
            "* | credits | main,backup,wallet |  | credits/day",
        ]
    );
}

#[test]
fn c11_an_enrolled_account_has_the_programmes_models_for_nothing() {
    let mut catalog = page();
    let lasts = Period::new(12, 0, 0).unwrap();
    catalog.programmes = vec![Programme { name: "edu".into(), models: vec!["tier-a".into()], lasts }];
    let enrolled = Standing { programmes: vec!["edu".into()], ..opted_in() };
    assert_eq!(funding(&catalog, &enrolled)[0], "tier-a |  |  |  | ");
    assert_eq!(policy(&catalog, &enrolled).classes[0].buckets, [""; 0]);
    assert_eq!(funding(&catalog, &opted_in()).len(), 2);
}

#[test]
fn free_models_take_no_credits_but_count_towards_limits_on_requests() {
    let mut catalog = page();
    catalog.models[0].prices = prices(0);
    catalog.plans[0].limits.push(limit(
        "requests/day",
        Measure::Meter(Meter::Requests),
        1_000,
        OnExceed::Deny402,
    ));
    let funding = funding(&catalog, &opted_in());
    assert_eq!(funding[0], "tier-a |  |  |  | requests/day");
    // A variant with a price takes credits, and so does a price of the plan's own.
    let priced = Variant { name: "hd".into(), when: vec![], prices: prices(1) };
    let mut catalog = page();
    catalog.models[0] = Model { variants: vec![priced], ..Model::named("tier-a", prices(0), 1) };
    assert_eq!(self::funding(&catalog, &opted_in()).len(), 2);
    catalog.models[0].variants.clear();
    catalog.plans[0].prices.insert("tier-a".into(), prices(1));
    assert_eq!(self::funding(&catalog, &opted_in()).len(), 2);
    catalog.plans[0].prices.insert("tier-b".into(), prices(0));
    assert!(self::funding(&catalog, &opted_in()).contains(&"tier-b |  |  |  | ".to_owned()));
    assert_eq!(policy(&catalog, &opted_in()).card.as_deref(), Some("starter"));
}

#[test]
fn a_catalog_of_free_models_without_pools_has_no_credits() {
    let mut catalog = page();
    catalog.pools.clear();
    catalog.bypasses.clear();
    catalog.models = vec![Model::named("tier-free", prices(0), 1)];
    catalog.plans[0].limits =
        vec![limit("requests/cycle", Measure::Meter(Meter::Requests), 9, OnExceed::Deny402)];
    assert_eq!(funding(&catalog, &Standing::default()), ["* |  |  |  | requests/cycle"]);
}

#[test]
fn a_model_whose_asset_no_pool_holds_is_never_free() {
    let mut catalog = page();
    catalog.models[0].asset = "gold".into();
    let funding = catalog.funding("starter", &opted_in()).unwrap();
    let class = funding.classes.iter().find(|class| class.asset == "gold").unwrap();
    assert_eq!((class.bucket.as_deref(), class.pools.len()), (Some("gold/-"), 0));
}

#[test]
fn c8_overage_is_on_where_plan_and_account_have_it() {
    let mut catalog = page();
    let unlimited = Standing { overage: Overage::Unlimited, ..opted_in() };
    let overages = |catalog: &Catalog, standing: &Standing| {
        let funding = catalog.funding("starter", standing).unwrap();
        funding.classes.iter().map(|class| class.overage).collect::<Vec<_>>()
    };
    assert_eq!(overages(&catalog, &unlimited), [Overage::None, Overage::None]);
    let exhaustion = Exhaustion { action: ExhaustionAction::Overage, ..Exhaustion::default() };
    catalog.plans[0].exhaustion = Some(exhaustion);
    assert_eq!(overages(&catalog, &unlimited), [Overage::Unlimited, Overage::Unlimited]);
    assert!(policy(&catalog, &unlimited).buckets[0].unlimited);
    let capped = Standing { overage: Overage::Capped, ..opted_in() };
    assert_eq!(overages(&catalog, &capped), [Overage::Capped, Overage::Capped]);
    assert!(!policy(&catalog, &capped).buckets[0].unlimited);
    catalog.plans[0].exhaustion = None;
    catalog.exhaustion = exhaustion;
    assert_eq!(overages(&catalog, &unlimited), [Overage::Unlimited, Overage::Unlimited]);
}

#[test]
fn c9_a_cohort_has_its_own_rates() {
    let rate = |id: &str, amount| PlanRate {
        id: id.into(),
        meter: Meter::Requests,
        models: vec!["*".into()],
        amount,
        per_ms: 1_000,
        burst: amount,
        scope: Scope::Account,
    };
    let mut catalog = page();
    catalog.plans[0].rates = vec![rate("rps", 30)];
    catalog.cohorts =
        vec![Cohort { name: "legacy".into(), created_before: 9, until: None, rates: vec![rate("old", 5)] }];
    let ids = |standing: &Standing| {
        let rates = policy(&catalog, standing).rates;
        rates.iter().map(|rate| (rate.id.clone(), rate.amount)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&opted_in()), [("rps".to_owned(), 30)]);
    let legacy = Standing { cohort: Some("legacy".into()), ..opted_in() };
    assert_eq!(ids(&legacy), [("old".to_owned(), 5)]);
    // A cohort that the catalog no longer has is the plan's.
    let gone = Standing { cohort: Some("gone".into()), ..opted_in() };
    assert_eq!(ids(&gone), [("rps".to_owned(), 30)]);
}

#[test]
fn l11_classes_of_keys_leave_the_named_measures_out() {
    let mut catalog = page();
    let requests = Measure::Meter(Meter::Requests);
    catalog.plans[0].limits = vec![limit("requests/cycle", requests, 9, OnExceed::Deny402)];
    catalog.exempt = vec![
        Exempt { auth_classes: vec!["mcp".into(), "dashboard".into()], measures: vec![requests] },
        Exempt { auth_classes: vec!["dashboard".into()], measures: vec![requests, Measure::Cost] },
    ];
    let policy = policy(&catalog, &opted_in());
    let of =
        |id: &str| policy.buckets.iter().find(|bucket| bucket.id == id).unwrap().unless_auth_class.clone();
    assert_eq!(of("requests/cycle"), ["dashboard", "mcp"]);
    assert_eq!(of("credits"), [""; 0]);
}

#[test]
fn w4_bounds_on_parameters_name_the_plans_with_more() {
    let mut catalog = page();
    let read = ParameterRead::Value;
    catalog.parameters = vec![Parameter { name: "batch".into(), member: "n".into(), read }];
    let with = |name: &str, max: Option<u64>, usd: i64| Plan {
        request_limits: [("batch".to_owned(), max), ("unread".to_owned(), Some(1))].into(),
        price_usd: Some(Micros(usd)),
        ..Plan::named(name)
    };
    let absent = Plan { price_usd: Some(Micros(9)), ..Plan::named("absent") };
    catalog.plans = vec![
        with("one", Some(1), 0),
        with("all", None, 5),
        with("none", Some(0), 1),
        with("four", Some(4), 3),
        absent,
    ];
    let [batch] = policy(&catalog, &opted_in()).request_limits.try_into().unwrap();
    let unlocks: Vec<&str> = batch.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
    assert_eq!((batch.parameter.as_str(), batch.max, unlocks), ("batch", 1, vec!["four", "all", "absent"]));
    assert!(catalog.policy("all", &opted_in()).unwrap().request_limits.is_empty());
}

#[test]
fn w7_levels_open_models_and_go_upstream_as_headers() {
    let mut catalog = page();
    let gate = |feature: &str, header: Option<&str>| FeatureGate {
        feature: feature.into(),
        title: feature.into(),
        levels: vec!["limited".into(), "full".into()],
        header: header.map(str::to_owned),
    };
    catalog.gates = vec![gate("video", None), gate("speed", Some("x-speed"))];
    catalog.models[0].feature = Some("video".into());
    let plan = &mut catalog.plans[0];
    plan.forward = vec![("x-pool".into(), "b".into())];
    let closed = policy(&catalog, &opted_in());
    assert_eq!(closed.gates, [], "the wallet pays for it");
    let said = [("x-pool".to_owned(), "b".to_owned()), ("x-speed".to_owned(), String::new())];
    assert_eq!(closed.forward, said, "what a client says of a level that its plan has not goes no further");
    assert!(!catalog.plans[0].opens(&catalog.models[0]));
    catalog.plans[0].levels =
        [("video", "limited"), ("speed", "full")].map(|(a, b)| (a.into(), b.into())).into();
    assert!(catalog.plans[0].opens(&catalog.models[0]));
    let policy = policy(&catalog, &opted_in());
    let expected = [("x-speed", "full"), ("x-pool", "b")];
    assert_eq!(policy.forward, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn a_limit_names_the_plans_that_allow_more_and_what_it_counts() {
    let mut catalog = page();
    let requests = |max| Limit {
        count: Counted::Admitted,
        ..limit("requests/day", Measure::Meter(Meter::Requests), max, OnExceed::Deny402)
    };
    let with = |name: &str, usd, limits| Plan { price_usd: Some(Micros(usd)), limits, ..Plan::named(name) };
    let unlimited = Limit { max: None, ..requests(0) };
    catalog.plans = vec![
        with("free", 0, vec![requests(10)]),
        with("same", 1, vec![requests(10)]),
        with("unlimited", 3, vec![unlimited]),
        with("more", 2, vec![requests(11)]),
    ];
    let policy = policy(&catalog, &opted_in());
    let bucket = policy.buckets.last().unwrap();
    assert!(bucket.admitted);
    let unlocks = &bucket.limit.as_ref().unwrap().unlocks;
    let unlocks: Vec<&str> = unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
    assert_eq!(unlocks, ["more", "unlimited"]);
}

#[test]
fn m13_w5_cadences_are_found_by_name_and_never_derived() {
    let cycle = |text: &str| Period::parse(text).unwrap();
    let yearly = Cadence {
        name: "yearly".into(),
        price_usd: Some(Micros(192)),
        billing: cycle("P1Y"),
        cycle: cycle("P1M"),
        grants: vec![Grant::every_cycle("main".into(), Micros(7))],
        renews: true,
    };
    let plan = Plan {
        price_usd: Some(Micros(20)),
        grants: vec![Grant::every_cycle("main".into(), Micros(5))],
        cadences: vec![yearly.clone()],
        ..Plan::named("p")
    };
    let monthly = plan.cadence("monthly").unwrap();
    assert_eq!(
        (monthly.price_usd, monthly.billing, monthly.cycle, monthly.grants[0].amount, monthly.renews),
        (Some(Micros(20)), Period::MONTH, Period::MONTH, Micros(5), true)
    );
    assert_eq!(plan.cadence("yearly"), Some(yearly));
    assert_eq!(plan.cadence("weekly"), None);
    assert_eq!(plan.cadence_names().collect::<Vec<_>>(), ["monthly", "yearly"]);
    for (text, name) in [
        ("P7D", "weekly"),
        ("P1W", "weekly"),
        ("P12M", "yearly"),
        ("P1D", "daily"),
        ("P30D", "P30D"),
        ("P3M", "P3M"),
    ] {
        assert_eq!(Plan { cycle: cycle(text), ..Plan::named("p") }.default_cadence().name, name);
    }
}

//! The five price pages, out of `envoy/catalogs`: every plan of each compiles, and the pages' numbers are there.
//!
//! The expected values are written out from the pages, not computed from the files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use tariff::catalog::{BonusOn, CycleOnSwitch, LotsOnSwitch, Measure, OnExceed, SwitchAt, Window};
use tariff::policy::{BUCKETS_MAX, RATES_MAX};
use tariff::{
    Catalog, ExhaustionAction, Expiry, Meter, Micros, Period, Plan, Ratio, Standing, Usage, source,
};

const PAGES: [(&str, &str); 5] = [
    ("modelstack", include_str!("../../../envoy/catalogs/modelstack.yaml")),
    ("upstage", include_str!("../../../envoy/catalogs/upstage.yaml")),
    ("pools-and-wallet", include_str!("../../../envoy/catalogs/pools-and-wallet.yaml")),
    ("modelux", include_str!("../../../envoy/catalogs/modelux.yaml")),
    ("image-credits", include_str!("../../../envoy/catalogs/image-credits.yaml")),
];

fn page(name: &str) -> Catalog {
    let (_, file) = PAGES.iter().find(|(own, _)| *own == name).unwrap();
    let (catalog, warnings) = source::read(file).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
    assert!(warnings.is_empty(), "{name}: {warnings:#?}");
    catalog
}

fn decimal(text: &str) -> Ratio {
    Ratio::parse_decimal(text).unwrap()
}

fn whole(credits: i64) -> Micros {
    Micros(credits * Micros::PER_CREDIT)
}

/// What a cadence of a plan grants, by pool, without bonus.
fn grants(plan: &Plan, cadence: &str) -> Vec<(String, i64)> {
    let cadence = plan.cadence(cadence).unwrap_or_else(|| panic!("{} has no {cadence}", plan.name));
    cadence.grants.into_iter().map(|grant| (grant.pool, grant.amount.get() / Micros::PER_CREDIT)).collect()
}

fn price(plan: &Plan, cadence: &str) -> Option<i64> {
    plan.cadence(cadence).unwrap().price_usd.map(|price| price.get() / Micros::PER_CREDIT)
}

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

#[test]
fn every_plan_of_every_page_compiles_within_the_gateways_bounds() {
    let mut plans = 0;
    for (name, _) in PAGES {
        let catalog = page(name);
        assert!(serde_json::to_string(&catalog.edge(1)).is_ok(), "{name}");
        let pools: Vec<String> = catalog.pools.iter().map(|pool| pool.name.clone()).collect();
        let open = Standing { opted_in: pools.clone(), positive: pools, ..Standing::default() };
        for plan in &catalog.plans {
            for standing in [&Standing::default(), &open] {
                let policy = catalog.policy(&plan.name, standing).unwrap();
                assert!(policy.rates.len() <= RATES_MAX && policy.buckets.len() <= BUCKETS_MAX, "{name}");
                for class in &policy.classes {
                    let known = |id: &String| policy.buckets.iter().any(|bucket| bucket.id == *id);
                    assert!(class.buckets.iter().all(known), "{name} {}: {class:?}", plan.name);
                }
            }
            plans += 1;
        }
        // What is stored in a ledger is read back as it was.
        let stored = serde_json::to_string(&catalog).unwrap();
        assert_eq!(serde_json::from_str::<Catalog>(&stored).unwrap(), catalog, "{name}");
    }
    assert_eq!(plans, 4 + 5 + 6 + 4 + 5);
}

// The first page, beside what `modelstack.rs` has of it.

#[test]
fn m10_an_upgrade_restarts_the_cycle_and_voids_what_was_left() {
    let up = page("modelstack").transitions.up;
    assert_eq!((up.at, up.cycle, up.lots), (SwitchAt::Now, CycleOnSwitch::Restart, LotsOnSwitch::Void));
    assert!(up.proration.is_none(), "the page states none");
}

#[test]
fn m11_a_downgrade_waits_for_the_period_to_end() {
    assert_eq!(page("modelstack").transitions.down.at, SwitchAt::PeriodEnd);
}

#[test]
fn m12_the_coupon_halves_a_first_payment() {
    let catalog = page("modelstack");
    let coupon = catalog.coupons.iter().find(|coupon| coupon.code == "NEW50").unwrap();
    assert_eq!((coupon.off, coupon.first_payment), (decimal("0.5"), true));
    assert!(coupon.until.is_some(), "limited time");
}

#[test]
fn m13_a_yearly_plan_costs_a_fifth_less_and_grants_by_the_month() {
    let catalog = page("modelstack");
    for (name, yearly, monthly) in [("starter", 192, 500), ("pro", 480, 1_500), ("max", 960, 3_000)] {
        let plan = catalog.plan(name).unwrap();
        let cadence = plan.cadence("yearly").unwrap();
        assert_eq!(price(plan, "yearly"), Some(yearly), "{name}: 12 months less 20 %");
        assert_eq!((cadence.billing, cadence.cycle), (period("P1Y"), Period::MONTH));
        assert_eq!(grants(plan, "yearly"), [("included".to_owned(), monthly)]);
    }
}

// Commitment tiers.

#[test]
fn c1_the_tier_follows_the_prepaid_sum() {
    let tiers = page("upstage").tiers.unwrap();
    let steps = |cadence: &str| -> Vec<(i64, String)> {
        let rule = tiers.by.iter().find(|rule| rule.cadence == cadence).unwrap();
        rule.steps.iter().map(|(from, plan)| (from.get() / Micros::PER_CREDIT, plan.clone())).collect()
    };
    let named = |sums: [i64; 3]| -> Vec<(i64, String)> {
        sums.into_iter().zip(["explore", "build", "scale"].map(String::from)).collect()
    };
    assert_eq!(steps("monthly"), named([100, 500, 5_000]));
    assert_eq!(steps("yearly"), named([1_200, 6_000, 60_000]));
    assert_eq!(tiers.none, "no_tier");
}

#[test]
fn c2_tiers_go_up_at_once_and_down_with_the_period() {
    let transitions = page("upstage").transitions;
    assert_eq!((transitions.up.at, transitions.down.at), (SwitchAt::Now, SwitchAt::PeriodEnd));
}

#[test]
fn c3_rates_are_per_model_and_tier() {
    let catalog = page("upstage");
    for (name, solar, extract) in [("explore", 30, 10), ("build", 50, 20), ("scale", 80, 40)] {
        let policy = catalog.policy(name, &Standing::default()).unwrap();
        let rate = |model: &str| {
            let rate = policy.rates.iter().find(|rate| rate.models == [model]).unwrap();
            (rate.amount, rate.per_ms, rate.meter)
        };
        assert_eq!(rate("solar-pro-2"), (solar, 1_000, Meter::Requests), "{name}");
        assert_eq!(rate("information-extract"), (extract, 1_000, Meter::Requests), "{name}");
    }
    // Higher tiers process more pages, which is an amount of each request.
    let pages = |name: &str| {
        let policy = catalog.policy(name, &Standing::default()).unwrap();
        policy.rates.iter().find(|rate| rate.meter == Meter::Pages).unwrap().amount
    };
    assert!(["explore", "build", "scale"].map(pages).is_sorted_by(|lower, higher| lower < higher));
}

#[test]
fn c4_larger_purchases_earn_a_bonus_of_up_to_a_tenth() {
    let purchases = page("upstage").purchases;
    let rates: Vec<Ratio> = purchases.bonus.iter().map(|(_, rate)| *rate).collect();
    assert!(rates.is_sorted() && rates.last() == Some(&decimal("0.1")), "{rates:?}");
    assert_eq!(purchases.bonus_pool.as_deref(), Some("bonus"));
}

#[test]
fn c5_bonus_ends_with_the_commitment() {
    assert_eq!(page("upstage").pool("bonus").unwrap().expiry, Expiry::CommitmentEnd);
}

#[test]
fn c6_bought_credits_never_end_and_go_after_the_bonus() {
    let catalog = page("upstage");
    assert_eq!(catalog.pool("paid").unwrap().expiry, Expiry::Never);
    let order: Vec<&str> = catalog.pools_in_draw_order().iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(order, ["bonus", "paid"]);
}

#[test]
fn c7_a_recharge_is_monthly_or_yearly() {
    assert_eq!(page("upstage").purchases.recharge, [period("P1M"), period("P1Y")]);
}

#[test]
fn c8_overage_has_no_cap_of_its_own() {
    let exhaustion = page("upstage").exhaustion;
    assert_eq!((exhaustion.action, exhaustion.overage_cap), (ExhaustionAction::Overage, None));
}

#[test]
fn c9_accounts_from_before_the_tiers_keep_their_rates_for_a_time() {
    let catalog = page("upstage");
    // 2025-11-04 and 2026-01-06, 00:00 UTC.
    let (before, until) = (1_762_214_400_000, 1_767_657_600_000);
    let cohort = &catalog.cohorts[0];
    assert_eq!((cohort.created_before, cohort.until), (before, Some(until)));
    assert_eq!(catalog.boundaries(), [until]);
    // Half-open: the legacy rates hold up to the last millisecond before, and not at the instant itself.
    assert_eq!(catalog.at(until - 1).cohorts.len(), 1);
    assert_eq!(catalog.at(until).cohorts.len(), 0);
    let standing = Standing { cohort: Some("legacy".into()), ..Standing::default() };
    let rate = |catalog: &Catalog| catalog.policy("scale", &standing).unwrap().rates[0].amount;
    assert_eq!((rate(&catalog.at(until - 1)), rate(&catalog.at(until))), (20, 80));
}

#[test]
fn c10_refunds_need_an_account_without_usage_and_consent() {
    let refund = page("upstage").purchases.refund;
    assert!(refund.allowed && refund.unless_used && refund.consent);
}

#[test]
fn c11_enrolled_accounts_pay_nothing_for_named_models() {
    let catalog = page("upstage");
    assert_eq!(catalog.programmes[0].lasts, period("P1Y"));
    let standing = Standing { programmes: vec!["education".into()], ..Standing::default() };
    let bucket = |model: &str, standing: &Standing| {
        let funding = catalog.funding("explore", standing).unwrap();
        let named = funding.classes.iter().find(|class| class.models.iter().any(|own| own == model));
        named.or(funding.classes.last()).unwrap().bucket.clone()
    };
    for model in ["solar-pro", "document-parse"] {
        assert_eq!(bucket(model, &standing), None, "{model}");
        assert!(bucket(model, &Standing::default()).is_some(), "{model}");
    }
    assert!(bucket("solar-pro-2", &standing).is_some());
}

// Pools and wallet.

/// Plan, base, cap of a day and of a week, requests a minute; the price is a hundredth of the base.
const PAID: [(&str, i64, i64, i64, u64); 5] = [
    ("starter", 1_000, 100, 300, 20),
    ("premium", 2_500, 250, 750, 40),
    ("pro", 5_000, 500, 1_500, 60),
    ("master", 10_000, 1_000, 3_000, 80),
    ("ultra", 20_000, 2_000, 6_000, 120),
];

#[test]
fn p1_a_dollar_is_a_hundred_credits_drawn_main_backup_wallet() {
    let catalog = page("pools-and-wallet");
    assert_eq!(catalog.purchases.credits_per_usd, Some(Ratio::whole(100)));
    let order: Vec<&str> = catalog.pools_in_draw_order().iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(order, ["main", "backup", "wallet"]);
}

#[test]
fn p2_the_headline_includes_the_bonus_and_backup_is_three_times_the_base() {
    let catalog = page("pools-and-wallet");
    let headlines = [1_200, 3_000, 6_000, 12_000, 24_000];
    for ((name, base, ..), headline) in PAID.into_iter().zip(headlines) {
        let plan = catalog.plan(name).unwrap();
        assert_eq!(price(plan, "monthly"), Some(base / 100), "{name}");
        let expected = [("main".to_owned(), base), ("backup".to_owned(), 3 * base)];
        assert_eq!(grants(plan, "monthly"), expected, "{name}");
        let rate = plan.grants[0].bonus.unwrap().rate;
        let bonus = rate.checked_mul(Ratio::whole(base.unsigned_abs())).and_then(Ratio::floor);
        assert_eq!(bonus, Some(headline - base), "{name}");
    }
}

#[test]
fn p3_the_bonus_is_a_fifth_from_the_first_month_on() {
    for plan in page("pools-and-wallet").plans.iter().filter(|plan| plan.name != "free") {
        let bonus = plan.grants[0].bonus.unwrap();
        assert_eq!((bonus.rate, bonus.on), (decimal("0.2"), BonusOn::EveryCycle), "{}", plan.name);
    }
}

#[test]
fn p4_caps_by_day_and_week_are_a_tenth_and_three_tenths_of_the_base() {
    let catalog = page("pools-and-wallet");
    for (name, base, day, week, _) in PAID {
        let limits = &catalog.plan(name).unwrap().limits;
        assert_eq!((day * 10, week * 10), (base, 3 * base), "{name}");
        let maxima: Vec<Option<Micros>> = limits.iter().map(|limit| limit.max).collect();
        assert_eq!(maxima[..2], [Some(whole(day)), Some(whole(week))], "{name}");
        assert!(limits[..2].iter().all(|limit| limit.measure == Measure::Credits), "{name}");
    }
    let free = &catalog.plan("free").unwrap().limits;
    assert_eq!((free.len(), free[0].measure), (1, Measure::Meter(Meter::Requests)));
    assert_eq!((free[0].window, free[0].max), (Window::Day, Some(whole(1_000))));
}

#[test]
fn p5_caps_bound_the_main_pool_and_skip_it() {
    for plan in page("pools-and-wallet").plans.iter().filter(|plan| plan.name != "free") {
        for limit in &plan.limits[..2] {
            assert_eq!((limit.on_exceed, limit.pools.as_slice()), (OnExceed::SkipPool, &["main".into()][..]));
        }
    }
}

#[test]
fn p6_days_are_the_calendars_and_weeks_the_cycles() {
    let catalog = page("pools-and-wallet");
    let windows: Vec<Window> = catalog.plan("pro").unwrap().limits.iter().map(|limit| limit.window).collect();
    assert_eq!(windows, [Window::Day, Window::Anchored(period("P7D")), Window::Cycle]);
}

#[test]
fn p7_free_has_one_request_a_minute_and_free_models_only() {
    let catalog = page("pools-and-wallet");
    let rpm = |name: &str| {
        let rate = &catalog.plan(name).unwrap().rates[0];
        assert_eq!(rate.per_ms, 60_000);
        rate.amount
    };
    assert_eq!(rpm("free"), 1);
    for (name, .., per_minute) in PAID {
        assert_eq!(rpm(name), per_minute, "{name}");
        assert!(catalog.plan(name).unwrap().opens(catalog.model("atlas-large").unwrap()));
    }
    let free = catalog.plan("free").unwrap();
    let opened: Vec<&tariff::Model> = catalog.models.iter().filter(|model| free.opens(model)).collect();
    assert!(!opened.is_empty() && opened.iter().all(|model| model.is_free()));
}

#[test]
fn p8_the_budget_is_ten_times_the_price_by_the_providers_cost() {
    let catalog = page("pools-and-wallet");
    for (name, base, ..) in PAID {
        let budget = &catalog.plan(name).unwrap().limits[2];
        assert_eq!((budget.measure, budget.window), (Measure::Cost, Window::Cycle), "{name}");
        assert_eq!(budget.max, Some(whole(base / 100 * 10)), "{name}");
        assert_eq!((budget.on_exceed, budget.pools.len()), (OnExceed::SkipPool, 2), "{name}");
    }
    assert!(catalog.plan("free").unwrap().limits.iter().all(|limit| limit.measure != Measure::Cost));
    let usage = Usage::new().with(Meter::InputTokens, 100_000).with(Meter::OutputTokens, 20_000);
    let cost = catalog.model("atlas-large").unwrap().cost.as_ref().unwrap().charge(&usage).unwrap();
    assert_eq!(cost.rounded, Micros(480_000), "0.24 USD of input and 0.24 USD of output");
}

#[test]
fn p9_the_wallet_is_opted_into_has_minimums_and_never_ends() {
    let catalog = page("pools-and-wallet");
    let wallet = catalog.pool("wallet").unwrap();
    assert_eq!((wallet.opt_in, wallet.expiry), (true, Expiry::Never));
    assert!(catalog.purchases.minimum_usd.iter().any(|(provider, _)| provider == "nowpayments"));
    assert_eq!(catalog.purchases.pool.as_deref(), Some("wallet"));
}

#[test]
fn p10_a_positive_wallet_lifts_rates_and_opens_models_that_it_alone_pays_for() {
    let catalog = page("pools-and-wallet");
    let wallet = || vec!["wallet".to_owned()];
    let rich = Standing { opted_in: wallet(), positive: wallet(), ..Standing::default() };
    let poor = Standing { positive: Vec::new(), ..rich.clone() };
    assert!(catalog.policy("starter", &rich).unwrap().bypass_rates);
    assert!(!catalog.policy("starter", &poor).unwrap().bypass_rates);
    let pools = |model: &str| {
        let funding = catalog.funding("starter", &rich).unwrap();
        let named = funding.classes.iter().find(|class| class.models.iter().any(|own| own == model));
        named.or(funding.classes.last()).unwrap().pools.join("+")
    };
    assert_eq!(
        (pools("atlas-large").as_str(), pools("frontier-max").as_str()),
        ("main+backup+wallet", "wallet")
    );
}

#[test]
fn p11_a_pass_lasts_thirty_days_and_does_not_renew() {
    let catalog = page("pools-and-wallet");
    for (name, base, ..) in PAID {
        let plan = catalog.plan(name).unwrap();
        let pass = plan.cadence("pass").unwrap();
        assert_eq!((pass.billing, pass.renews), (period("P30D"), false), "{name}");
        assert_eq!(grants(plan, "pass"), [("main".to_owned(), base), ("backup".to_owned(), 3 * base)]);
        assert!(plan.cadence("monthly").unwrap().renews);
    }
    for pool in ["main", "backup"] {
        let pool = catalog.pool(pool).unwrap();
        assert_eq!((pool.expiry, pool.rollover), (Expiry::CycleEnd, None));
    }
}

#[test]
fn p12_a_switch_waits_for_the_payment_and_voids_the_old_pools() {
    let transitions = page("pools-and-wallet").transitions;
    assert_eq!(transitions.up, transitions.down);
    assert_eq!((transitions.up.at, transitions.up.lots), (SwitchAt::PaymentConfirmed, LotsOnSwitch::Void));
}

#[test]
fn p13_the_switch_formula_has_the_pages_parameters() {
    let proration = page("pools-and-wallet").transitions.up.proration.unwrap();
    assert_eq!((proration.to.as_str(), proration.days, proration.step_days), ("wallet", 28, None));
    assert_eq!((proration.floor, proration.capped), (decimal("0.1"), true));
    let weights = [("main".to_owned(), decimal("0.75")), ("backup".to_owned(), decimal("0.25"))];
    assert_eq!(proration.usage, weights);
}

// Limits and features.

#[test]
fn l1_four_plans_combine_limits_and_features() {
    let catalog = page("modelux");
    let plans: Vec<(&str, bool)> =
        catalog.plans.iter().map(|plan| (plan.name.as_str(), plan.public)).collect();
    assert_eq!(plans, [("free", true), ("pro", true), ("team", true), ("enterprise", false)]);
    for plan in &catalog.plans {
        assert_eq!((plan.limits.len(), plan.resources.len()), (1, 3), "{}", plan.name);
    }
}

#[test]
fn l3_a_closed_operation_names_the_cheapest_public_plan_or_whom_to_ask() {
    let policy = page("modelux").policy("free", &Standing::default()).unwrap();
    let unlocks = |model: &str| -> Vec<String> {
        let gate = policy.gates.iter().find(|gate| gate.models.iter().any(|own| own == model)).unwrap();
        gate.unlocks.iter().map(|unlock| unlock.plan.clone()).collect()
    };
    assert_eq!(unlocks("routed/fallback"), ["pro", "team"]);
    assert_eq!(unlocks("ensemble/best-of-3"), ["team"]);
    assert!(unlocks("scim").is_empty(), "no public plan has it");
    assert_eq!(policy.help.contact_url.as_deref(), Some("https://modelux.example/contact-sales"));
}

#[test]
fn l6_a_year_costs_ten_months() {
    let catalog = page("modelux");
    for name in ["pro", "team"] {
        let plan = catalog.plan(name).unwrap();
        assert_eq!(price(plan, "yearly"), price(plan, "monthly").map(|month| 10 * month), "{name}");
    }
}

#[test]
fn l8_limits_tell_of_four_fifths_and_of_the_end() {
    let catalog = page("modelux");
    for name in ["free", "pro", "team"] {
        assert_eq!(catalog.plan(name).unwrap().limits[0].notify, [80, 100], "{name}");
    }
}

#[test]
fn l9_requests_are_counted_from_renewal_day_to_renewal_day() {
    let catalog = page("modelux");
    assert!(catalog.plans.iter().all(|plan| plan.limits[0].window == Window::Cycle));
    // Of a yearly plan too: its price is by the year, its counters by the month.
    assert_eq!(catalog.plan("pro").unwrap().cadence("yearly").unwrap().cycle, Period::MONTH);
}

#[test]
fn l11_traffic_of_the_product_itself_takes_nothing_of_the_counter() {
    let policy = page("modelux").policy("free", &Standing::default()).unwrap();
    let requests = policy.buckets.iter().find(|bucket| bucket.id == "requests/cycle").unwrap();
    assert_eq!(requests.unless_auth_class, ["dashboard", "management", "mcp"]);
}

#[test]
fn l13_free_costs_nothing_and_is_capped() {
    let catalog = page("modelux");
    let free = catalog.plan("free").unwrap();
    assert_eq!((free.price_usd, free.limits[0].on_exceed), (Some(Micros::ZERO), OnExceed::Deny402));
    assert!(free.limits[0].max.is_some());
}

#[test]
fn l14_enterprise_is_unlimited_and_that_is_not_zero() {
    let catalog = page("modelux");
    let plan = catalog.plan("enterprise").unwrap();
    assert_eq!((plan.limits[0].max, plan.price_usd), (None, None));
    let policy = catalog.policy("enterprise", &Standing::default()).unwrap();
    assert!(policy.buckets.iter().all(|bucket| bucket.limit.is_none()), "{:?}", policy.buckets);
}

// Image credits.

#[test]
fn w1_credits_come_once_weekly_or_upfront_for_a_year() {
    let catalog = page("image-credits");
    let free = catalog.plan("free").unwrap();
    assert!(free.grants[0].once && free.grants[0].amount == whole(50));
    for (name, weekly, yearly) in
        [("starter", 200, 10_400), ("pro", 450, 23_400), ("ultra", 1_000, 52_000), ("max", 2_000, 104_000)]
    {
        let plan = catalog.plan(name).unwrap();
        assert_eq!(grants(plan, "weekly")[0], ("weekly".to_owned(), weekly), "{name}");
        assert_eq!(grants(plan, "yearly")[0], ("yearly".to_owned(), yearly), "{name}");
        assert_eq!(yearly, 52 * weekly);
        assert_eq!(plan.cadence("yearly").unwrap().cycle, period("P1Y"), "upfront");
    }
}

#[test]
fn w2_weeks_are_seven_days_and_nothing_is_carried_over() {
    let catalog = page("image-credits");
    for pool in ["weekly", "yearly", "train_week", "train_year"] {
        let pool = catalog.pool(pool).unwrap();
        assert_eq!((pool.expiry, pool.rollover), (Expiry::CycleEnd, None));
    }
    assert_eq!(catalog.plan("pro").unwrap().cycle, period("P7D"));
    assert_eq!(catalog.pool("welcome").unwrap().expiry, Expiry::Never);
}

#[test]
fn w3_prices_of_images_and_videos_stay_in_the_pages_ranges() {
    let catalog = page("image-credits");
    let (mut images, mut videos) = (Vec::new(), Vec::new());
    for model in catalog.models.iter().filter(|model| model.asset == "credits") {
        let all = [&model.prices].into_iter().chain(model.variants.iter().map(|variant| &variant.prices));
        for prices in all {
            let one = |meter, count| prices.charge(&Usage::new().with(meter, count)).unwrap().rounded;
            match prices.unit(Meter::Images) {
                Some(_) => images.push(one(Meter::Images, 1)),
                None => videos.extend([one(Meter::Seconds, 5), one(Meter::Seconds, 20)]),
            }
        }
        assert!(!model.stated.is_empty(), "{}: what a request asks for is known before it runs", model.name);
    }
    let range = |prices: &[Micros]| (*prices.iter().min().unwrap(), *prices.iter().max().unwrap());
    assert_eq!(range(&images), (whole(10), whole(200)));
    assert_eq!(range(&videos), (whole(20), whole(800)));
}

#[test]
fn w4_batches_are_bounded_by_plan() {
    let catalog = page("image-credits");
    let batch = |name: &str| catalog.plan(name).unwrap().request_limits["batch"];
    assert_eq!(
        ["free", "starter", "pro", "ultra", "max"].map(batch),
        [Some(1), Some(4), Some(8), Some(16), None]
    );
    let policy = catalog.policy("starter", &Standing::default()).unwrap();
    let limit = policy.request_limits.iter().find(|limit| limit.parameter == "batch").unwrap();
    let unlocks: Vec<&str> = limit.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
    assert_eq!(unlocks, ["pro", "ultra", "max"]);
    let unbounded = catalog.policy("max", &Standing::default()).unwrap();
    assert!(unbounded.request_limits.iter().all(|limit| limit.parameter != "batch"));
}

#[test]
fn w5_trainings_are_an_asset_of_their_own_stated_for_each_cadence() {
    let catalog = page("image-credits");
    let trainings = |name: &str, cadence: &str| -> i64 {
        let grants = grants(catalog.plan(name).unwrap(), cadence);
        let of = |pool: &str| catalog.pool(pool).unwrap().asset == "training";
        grants.iter().filter(|(pool, _)| of(pool)).map(|(_, amount)| amount).sum()
    };
    let all = ["starter", "pro", "ultra", "max"];
    assert_eq!(all.map(|name| trainings(name, "weekly")), [0, 1, 5, 10]);
    assert_eq!(all.map(|name| trainings(name, "yearly")), [2, 12, 50, 100]);
    assert!(!catalog.plan("free").unwrap().opens(catalog.model("flux-training").unwrap()));
    let policy = catalog.policy("pro", &Standing::default()).unwrap();
    let class = policy.classes.iter().find(|class| class.models == ["flux-training"]).unwrap();
    assert_eq!(class.buckets, ["training"]);
}

#[test]
fn w6_thirty_images_a_training_and_the_other_names_of_plans() {
    let catalog = page("image-credits");
    for (name, alias) in [("starter", "hobbyist"), ("pro", "creator"), ("ultra", "professional")] {
        let plan = catalog.plan(name).unwrap();
        // No plan has more of it, and none of fewer models is offered for having no bound.
        let policy = catalog.policy(name, &Standing::default()).unwrap();
        let limit = policy.request_limits.iter().find(|limit| limit.parameter == "training_images").unwrap();
        assert_eq!((limit.max, limit.unlocks.as_slice()), (30, &[][..]));
        assert_eq!(
            (plan.aliases.as_slice(), plan.request_limits["training_images"]),
            (&[alias.into()][..], Some(30))
        );
    }
}

#[test]
fn w7_gates_levels_and_headers_are_the_pages() {
    let catalog = page("image-credits");
    let opens = |plan: &str, model: &str| catalog.plan(plan).unwrap().opens(catalog.model(model).unwrap());
    for (model, from) in
        [("flux-schnell", 0), ("flux-dev", 0), ("video-standard", 0), ("uncensored-xl", 2), ("beta-image", 3)]
    {
        for (at, plan) in ["free", "starter", "pro", "ultra", "max"].into_iter().enumerate() {
            assert_eq!(opens(plan, model), at >= from, "{plan} {model}");
        }
    }
    let free = catalog.plan("free").unwrap();
    assert_eq!((free.levels["flux_dev"].as_str(), free.levels["video"].as_str()), ("limited", "limited"));
    let limited: Vec<&str> = free.limits.iter().map(|limit| limit.models[0].as_str()).collect();
    assert_eq!(limited, ["flux-dev", "video-*"]);
    let policy = catalog.policy("max", &Standing::default()).unwrap();
    let header =
        |name: &str| policy.forward.iter().find(|(own, _)| own == name).map(|(_, level)| level.as_str());
    assert_eq!(header("x-generation-speed"), Some("instant"));
    assert_eq!(header("x-advanced-parameters"), Some("full"));
}

#[test]
fn w8_whoever_is_out_of_credits_is_offered_the_plans_with_more() {
    let catalog = page("image-credits");
    let unlocks = |name: &str| -> Vec<String> {
        let policy = catalog.policy(name, &Standing::default()).unwrap();
        policy.help.unlocks.into_iter().map(|unlock| unlock.plan).collect()
    };
    assert_eq!(unlocks("free"), ["starter", "pro", "ultra", "max"]);
    assert_eq!(unlocks("ultra"), ["max"]);
    assert!(unlocks("max").is_empty(), "it waits for the next cycle");
}

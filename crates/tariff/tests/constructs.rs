//! Reading what catalogs can say beside prices, pools and plans: one file with all of it, and the warnings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use tariff::catalog::{
    BonusOn, Bypass, Counted, CycleOnSwitch, Exempt, LotsOnSwitch, Measure, OnExceed, Parameter,
    ParameterRead, PoolModels, Rollover, Stated, SwitchAt, Window,
};
use tariff::{Catalog, ExhaustionAction, Expiry, Meter, Micros, Period, Ratio, Scope, source};

const EVERYTHING: &str = include_str!("constructs/everything.yaml");

fn load(file: &str) -> Catalog {
    source::load(file).unwrap_or_else(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", problems.join("\n"))
    })
}

fn decimal(text: &str) -> Ratio {
    Ratio::parse_decimal(text).unwrap()
}

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

/// 2026-01-06, 00:00 UTC.
const EPIPHANY: i64 = 1_767_657_600_000;

#[test]
fn pools_say_what_they_hold_what_they_pay_for_and_what_stays() {
    let catalog = load(EVERYTHING);
    let pool = |name: &str| catalog.pool(name).unwrap().clone();
    assert_eq!(pool("main").models, PoolModels::Plan);
    assert_eq!(pool("main").rollover, Some(Rollover { cycles: 2, max: Some(Micros(100_000_000)) }));
    assert_eq!(pool("images").models, PoolModels::Named(vec!["paint*".into()]));
    assert_eq!(pool("images").rollover, None);
    assert_eq!((pool("bonus").expiry, pool("bonus").opt_in), (Expiry::CommitmentEnd, false));
    assert_eq!((pool("wallet").opt_in, pool("wallet").models), (true, PoolModels::All));
    assert_eq!(pool("jobs").asset, "training");
}

#[test]
fn models_say_variants_quantities_costs_and_later_prices() {
    let catalog = load(EVERYTHING);
    let paint = catalog.model("paint-1").unwrap();
    assert_eq!(paint.variants[0].when, [("size".to_owned(), vec!["1024".to_owned(), "big".to_owned()])]);
    assert_eq!(paint.variants[1].when.len(), 2);
    assert_eq!(paint.variants[1].prices.unit(Meter::Images), Some(Ratio::whole(7_000_000)));
    let stated = |meter, parameter: Option<&str>, default, max| Stated {
        meter,
        parameter: parameter.map(str::to_owned),
        default,
        max,
    };
    assert_eq!(
        paint.stated,
        [
            stated(Meter::Images, Some("batch"), 1, 1_000),
            stated(Meter::Pages, None, 3, 3),
            stated(Meter::Seconds, Some("seconds"), 5, 20),
        ]
    );
    let chat = catalog.model("chat").unwrap();
    assert_eq!(chat.cost.as_ref().unwrap().unit(Meter::InputTokens), Some(decimal("0.5")));
    assert_eq!(
        (chat.dated.len(), chat.dated[0].from, chat.dated[1].from),
        (2, EPIPHANY, EPIPHANY + 32_400_000)
    );
    let input = |at: i64| catalog.at(at).model("chat").unwrap().prices.unit(Meter::InputTokens).unwrap();
    assert_eq!(input(EPIPHANY - 1), Ratio::whole(3));
    assert_eq!(input(EPIPHANY), Ratio::whole(2));
    assert_eq!(input(EPIPHANY + 32_400_000), Ratio::whole(1));
    assert_eq!(catalog.model("train").unwrap().asset, "training");
    let parameter =
        |name: &str, member: &str, read| Parameter { name: name.into(), member: member.into(), read };
    assert_eq!(
        catalog.parameters,
        [
            parameter("batch", "n", ParameterRead::Value),
            parameter("size", "input.size", ParameterRead::Value),
            parameter("seconds", "seconds", ParameterRead::Value),
            parameter("pictures", "images", ParameterRead::Items),
        ]
    );
}

#[test]
fn plans_say_grants_cadences_limits_levels_and_own_terms() {
    let catalog = load(EVERYTHING);
    let plan = catalog.plan("basic").unwrap();
    let grant = |pool: &str| plan.grants.iter().find(|grant| grant.pool == pool).unwrap();
    assert_eq!(
        grant("main").bonus.map(|bonus| (bonus.rate, bonus.on)),
        Some((decimal("0.2"), BonusOn::RenewalOnly))
    );
    assert_eq!(grant("images").bonus.unwrap().on, BonusOn::EveryCycle);
    assert_eq!((grant("jobs").once, grant("main").once), (true, false));
    let yearly = plan.cadence("yearly").unwrap();
    assert_eq!(
        (yearly.billing, yearly.cycle, yearly.grants.len(), yearly.renews),
        (period("P1Y"), Period::MONTH, 3, true)
    );
    let pass = plan.cadence("pass").unwrap();
    assert_eq!((pass.cycle, pass.renews, pass.grants.len()), (period("P30D"), false, 1));
    let limits: Vec<(&str, Measure, Window)> =
        plan.limits.iter().map(|limit| (limit.id.as_str(), limit.measure, limit.window)).collect();
    assert_eq!(
        limits,
        [
            ("requests/day", Measure::Meter(Meter::Requests), Window::Day),
            ("fast/week", Measure::Credits, Window::Anchored(period("P7D"))),
            ("cost_usd/cycle", Measure::Cost, Window::Cycle),
            ("images/month", Measure::Meter(Meter::Images), Window::Month),
        ]
    );
    let first = &plan.limits[0];
    assert_eq!(
        (first.max, first.count, first.on_exceed),
        (Some(Micros(5_000_000)), Counted::Admitted, OnExceed::Deny429)
    );
    assert_eq!(
        (first.notify.as_slice(), first.scope, first.models.as_slice()),
        (&[80, 100][..], Scope::Account, &["*".into()][..])
    );
    assert_eq!(
        (plan.limits[1].on_exceed, plan.limits[1].pools.as_slice()),
        (OnExceed::SkipPool, &["main".into()][..])
    );
    assert_eq!((plan.limits[3].max, plan.limits[3].models[0].as_str()), (None, "paint*"));
    assert_eq!((plan.levels["speed"].as_str(), plan.features.as_slice()), ("fast", &["sso".into()][..]));
    assert_eq!(plan.forward, [("x-plan".to_owned(), "basic".to_owned())]);
    assert_eq!(plan.prices["chat"].unit(Meter::InputTokens), Some(Ratio::ZERO));
    assert_eq!(plan.exhaustion.unwrap().action, ExhaustionAction::Overage);
    assert_eq!(plan.exhaustion.unwrap().overage_cap, Some(Micros(12_500_000)));
    assert_eq!(plan.aliases, ["starter"]);
}

#[test]
fn a_plan_takes_limits_levels_and_cadences_from_the_one_it_extends() {
    let catalog = load(EVERYTHING);
    let (basic, plus) = (catalog.plan("basic").unwrap(), catalog.plan("plus").unwrap());
    assert_eq!(
        (&plus.limits, &plus.forward, &plus.exhaustion),
        (&basic.limits, &basic.forward, &basic.exhaustion)
    );
    // By name: one cadence is its own, the other one is taken, with its own grants.
    assert_eq!(plus.cadence("pass").unwrap(), basic.cadence("pass").unwrap());
    assert_eq!(plus.cadence("yearly").unwrap().price_usd, Some(Micros(999_000_000)));
    assert_eq!(plus.cadence("yearly").unwrap().grants, plus.grants);
    assert_eq!((plus.levels["speed"].as_str(), plus.aliases.len()), ("slow", 0));
}

#[test]
fn rules_beside_plans_are_read() {
    let catalog = load(EVERYTHING);
    assert_eq!(
        catalog.bypasses,
        [
            Bypass { pool: "wallet".into(), rates: true, models: true },
            Bypass { pool: "bonus".into(), rates: true, models: false }
        ]
    );
    let measures = vec![Measure::Meter(Meter::Requests), Measure::Credits];
    assert_eq!(catalog.exempt, [Exempt { auth_classes: vec!["mcp".into(), "dashboard".into()], measures }]);
    let (up, down) = (&catalog.transitions.up, &catalog.transitions.down);
    assert_eq!(
        (up.at, up.cycle, up.lots),
        (SwitchAt::PaymentConfirmed, CycleOnSwitch::Keep, LotsOnSwitch::Keep)
    );
    let proration = up.proration.as_ref().unwrap();
    assert_eq!((proration.days, proration.step_days, proration.capped), (28, Some(7), false));
    assert_eq!((proration.floor, proration.usage.len()), (Ratio::ZERO, 1));
    assert_eq!(
        (down.at, down.cycle, down.lots),
        (SwitchAt::PeriodEnd, CycleOnSwitch::Restart, LotsOnSwitch::Void)
    );
    let purchases = &catalog.purchases;
    assert_eq!(
        purchases.minimum_usd,
        [("card".to_owned(), Micros(5_000_000)), ("*".to_owned(), Micros(10_500_000))]
    );
    assert_eq!(purchases.bonus[1], (Micros(500_000_000), decimal("0.1")));
    assert_eq!((purchases.bonus_pool.as_deref(), purchases.recharge.len()), (Some("bonus"), 2));
    assert!(purchases.refund.allowed && purchases.refund.unless_used && !purchases.refund.consent);
    let tiers = catalog.tiers.as_ref().unwrap();
    assert_eq!((tiers.none.as_str(), tiers.by[0].window), ("basic", Period::MONTH));
    assert_eq!(tiers.by[0].steps, [(Micros(100_000_000), "plus".to_owned())]);
    assert_eq!((catalog.coupons[0].code.as_str(), catalog.coupons[0].until), ("Half-Off", Some(EPIPHANY)));
    assert_eq!((catalog.cohorts[0].created_before, catalog.cohorts[0].rates[0].amount), (EPIPHANY, 9));
    assert_eq!(catalog.programmes[0].models, ["chat"]);
    assert_eq!(catalog.gates[0].levels, ["slow", "fast"]);
    assert_eq!(catalog.gates[0].header.as_deref(), Some("x-speed"));
}

#[test]
fn everything_is_stored_and_read_back_as_it_was() {
    let catalog = load(EVERYTHING);
    let stored = serde_json::to_string(&catalog).unwrap();
    assert_eq!(serde_json::from_str::<Catalog>(&stored).unwrap(), catalog);
    assert!(source::read(EVERYTHING).unwrap().1.is_empty(), "nothing to warn of");
}

/// What is warned of in a catalog with these parts.
fn warned(top: &str, main: &str, small: &str, plan: &str) -> Vec<String> {
    let file = format!(
        "name: Test\n{top}pools:\n  main: {{order: 2, expiry: cycle_end{main}}}\n  wallet: {{order: 1, expiry: never}}\n\
         models:\n  small: {{price: {{per_request: 1}}{small}}}\n  large: {{price: {{per_request: 1}}}}\n\
         plans:\n  starter: {{{plan}}}\n"
    );
    let (_, warnings) = source::read(file).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_shared_pool_before_an_exclusive_one_is_warned_of() {
    // The wallet pays for both models, `main` for one: what is drawn of the wallet for that one is missing for the other.
    assert_eq!(
        warned("", ", models: [small]", "", ""),
        [
            "4:19: pools.wallet.order: `wallet` pays for more models than `main` and is drawn before it (plan `starter`) \
             (credits that fewer models can use are best drawn first: give them the lower `order`)"
        ]
    );
    assert!(warned("", "", "", "").is_empty(), "both pay for all");
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let only = |warnings: Vec<String>, said: &str| {
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(said), "{warnings:?}");
    };
    only(warned("", "", "", "models: [small]"), "models.large: no plan offers this model");
    only(
        warned("", "", "", "limits: [{meter: pages, window: day, max: 5}]"),
        "limit `pages/day`: no model counts `pages`",
    );
    only(
        warned("", "", "", "request_limits: {batch: 4}"),
        "request_limits.batch: no parameter has this name: it is shown, and not enforced in requests",
    );
    only(
        warned("features: {sso: }\n", "", ", feature: sso", "public: false, features: [sso]"),
        "models.small.feature: only plans that are not public have this feature, and there is no one to ask",
    );
    only(warned("", ", asset: jobs", "", ""), "pools.main.asset: nothing is paid in `jobs`");
}

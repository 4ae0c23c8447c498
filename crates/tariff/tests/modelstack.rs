//! The ModelStack page's numbers, out of `envoy/catalogs/modelstack.yaml`, by rule id.
//!
//! The expected values are written out from the page, not computed from the file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use tariff::{
    Admission, Catalog, ExhaustionAction, Expiry, Meter, Micros, Period, Ratio, Scope, Standing, Unit, Usage,
    source,
};

const FILE: &str = include_str!("../../../envoy/catalogs/modelstack.yaml");

fn catalog() -> Catalog {
    match source::load(FILE) {
        Ok(catalog) => catalog,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", problems.join("\n"))
        }
    }
}

fn decimal(text: &str) -> Ratio {
    Ratio::parse_decimal(text).unwrap()
}

fn price(catalog: &Catalog, model: &str, usage: &Usage) -> Ratio {
    catalog.model(model).unwrap().prices.charge(usage).unwrap().exact
}

#[test]
fn m1_a_subscription_costs_and_grants_per_month() {
    let catalog = catalog();
    let of = |name: &str| {
        let plan = catalog.plan(name).unwrap();
        assert_eq!(plan.cycle, Period::MONTH);
        let pools: Vec<&str> = plan.grants.iter().map(|grant| grant.pool.as_str()).collect();
        (plan.price_usd.unwrap().to_string(), plan.granted().to_string(), pools)
    };
    assert_eq!(of("starter"), ("20.000000".into(), "500.000000".into(), vec!["included"]));
    assert_eq!(of("pro"), ("50.000000".into(), "1500.000000".into(), vec!["included"]));
    assert_eq!(of("max"), ("100.000000".into(), "3000.000000".into(), vec!["included"]));
    assert_eq!(of("topup_only"), ("0.000000".into(), "0.000000".into(), vec![]));
    assert_eq!(catalog.plans.len(), 4);
}

#[test]
fn m2_included_credits_end_with_their_cycle() {
    assert_eq!(catalog().pool("included").unwrap().expiry, Expiry::CycleEnd);
}

#[test]
fn m3_included_credits_go_first_and_top_ups_at_the_plans_rate() {
    let catalog = catalog();
    let order: Vec<&str> = catalog.pools_in_draw_order().iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(order, ["included", "topup"]);
    let factors = [("starter", "0.85"), ("pro", "0.75"), ("max", "0.60"), ("topup_only", "1")];
    for (plan, factor) in factors {
        assert_eq!(catalog.factor(plan, "topup"), decimal(factor), "{plan}");
        assert_eq!(catalog.factor(plan, "included"), Ratio::ONE, "{plan}");
    }
}

#[test]
fn m4_a_straddling_request_pays_the_rest_at_the_plans_rate() {
    let catalog = catalog();
    let usage = Usage::new().with(Meter::InputTokens, 100_000).with(Meter::OutputTokens, 20_000);
    let price = price(&catalog, "claude-sonnet-4.5", &usage);
    assert_eq!(price, Ratio::whole(6_000_000));
    let rest = price.checked_sub(Ratio::whole(2_000_000)).unwrap();
    for (plan, top_up) in
        [("starter", 3_400_000), ("pro", 3_000_000), ("max", 2_400_000), ("topup_only", 4_000_000)]
    {
        let taken = rest.checked_mul(catalog.factor(plan, "topup")).unwrap();
        assert_eq!(taken, Ratio::whole(top_up), "{plan}");
    }
}

#[test]
fn m5_each_top_up_lasts_twelve_calendar_months() {
    let expiry = catalog().pool("topup").unwrap().expiry;
    assert_eq!(expiry, Expiry::After(Period::new(12, 0, 0).unwrap()));
}

#[test]
fn m6_limits_are_those_of_the_pages_table() {
    let catalog = catalog();
    let of = |name: &str| {
        let plan = catalog.plan(name).unwrap();
        let [rate] = plan.rates.as_slice() else { panic!("{name} has one rate") };
        assert_eq!((rate.id.as_str(), rate.meter, rate.scope), ("rpm", Meter::Requests, Scope::Account));
        assert_eq!(
            (rate.per_ms, rate.burst, rate.models.as_slice()),
            (60_000, rate.amount, ["*".to_owned()].as_slice())
        );
        let per_stack = plan.request_limits.get("models_per_stack").copied().flatten();
        let early = plan.features.contains(&"early_access".to_owned());
        (rate.amount, plan.resource("api_keys"), plan.resource("stacks"), per_stack, early)
    };
    assert_eq!(of("starter"), (15, Some(5), Some(3), Some(2), false));
    assert_eq!(of("pro"), (40, Some(20), Some(10), Some(5), false));
    assert_eq!(of("max"), (60, None, None, Some(10), true));
    assert_eq!(of("topup_only"), (40, None, Some(10), Some(3), false));
}

#[test]
fn m6_early_access_opens_on_max_alone() {
    let catalog = catalog();
    for plan in ["starter", "pro", "topup_only"] {
        let gates = catalog.policy(plan, &Standing::default()).unwrap().gates;
        let [gate] = gates.as_slice() else { panic!("{plan} has one gate") };
        assert_eq!(
            (gate.models.as_slice(), gate.feature.as_deref()),
            (["early-preview".to_owned()].as_slice(), Some("early_access"))
        );
        let unlocks: Vec<&str> = gate.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
        assert_eq!(unlocks, ["max"], "{plan}");
        assert_eq!(gate.unlocks[0].url.as_deref(), Some("https://modelstack.example/billing/plans"));
    }
    assert!(catalog.policy("max", &Standing::default()).unwrap().gates.is_empty());
}

#[test]
fn m7_subscribing_lowers_what_the_table_lowers() {
    let catalog = catalog();
    let (base, starter) = (catalog.plan("topup_only").unwrap(), catalog.plan("starter").unwrap());
    assert!(starter.rates[0].amount < base.rates[0].amount);
    assert_eq!((base.resource("api_keys"), starter.resource("api_keys")), (None, Some(5)));
    assert!(starter.resource("stacks") < base.resource("stacks"));
    assert!(starter.request_limits["models_per_stack"] < base.request_limits["models_per_stack"]);
    assert_eq!(catalog.plan("pro").unwrap().resource("api_keys"), Some(20));
}

#[test]
fn m8_prices_are_those_of_the_page() {
    let page = [
        ("claude-opus-4.6", "50", "250"),
        ("claude-sonnet-4.5", "30", "150"),
        ("claude-haiku-4.5", "10", "50"),
        ("gpt-5.2", "17.5", "140"),
        ("gpt-5.1", "15", "120"),
        ("gpt-5-mini", "12.5", "100"),
        ("gemini-2.5-pro", "18.75", "150"),
        ("gemini-2.5-flash", "6", "50"),
        ("gpt-5", "12.5", "100"),
        ("deepseek-v3.2", "2.8", "4.2"),
        ("kimi-k2.5", "10", "30"),
        ("qwen-3.5", "10", "30"),
        ("grok-4.1", "45", "225"),
    ];
    let catalog = catalog();
    for (name, input, output) in page {
        // Credits per million tokens are micro-credits per token.
        let model = catalog.models.iter().find(|model| model.name == name).unwrap();
        let prices: Vec<(Meter, Ratio)> = model.prices.iter().collect();
        assert_eq!(
            prices,
            [(Meter::InputTokens, decimal(input)), (Meter::OutputTokens, decimal(output))],
            "{name}"
        );
        assert_eq!(model.feature, None, "{name}");
    }
    let beyond: Vec<&str> = catalog.models.iter().skip(page.len()).map(|model| model.name.as_str()).collect();
    assert_eq!(beyond, ["early-preview", "search"], "what the page does not have");
}

#[test]
fn m8_a_charge_is_rounded_once_on_token_totals() {
    let catalog = catalog();
    let charge = |input, output| {
        let usage = Usage::new().with(Meter::InputTokens, input).with(Meter::OutputTokens, output);
        catalog.model("deepseek-v3.2").unwrap().prices.charge(&usage).unwrap().rounded
    };
    // 2.8 + 4.2 = 7 exactly, where rounding each line would give 3 + 4; 2.8 alone is 3.
    assert_eq!((charge(1, 1), charge(1, 0), charge(0, 1)), (Micros(7), Micros(3), Micros(4)));
    // 3 x 2.8 = 8.4 and 2 x 4.2 = 8.4: 16.8, where rounding each line would give 16.
    assert_eq!(charge(3, 2), Micros(17));
    assert_eq!(charge(1_000_000, 1_000_000), Micros::parse("7").unwrap());
}

#[test]
fn m8_models_go_by_the_names_that_providers_use() {
    let catalog = catalog();
    let edge = catalog.edge(7);
    let names = [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5"),
        ("claude-opus-4-6", "claude-opus-4.6"),
        ("anthropic/claude-haiku-4.5", "claude-haiku-4.5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-5.1", "gpt-5.1"),
        ("gpt-5.2-2025-12-11", "gpt-5.2"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
    ];
    for (asked, name) in names {
        assert_eq!(catalog.model(asked).unwrap().name, name, "{asked}");
        assert_eq!(edge.model(asked).unwrap().name, name, "{asked}");
    }
    // Neighbours that the page does not price must not slip in at another model's price.
    for unpriced in
        ["gpt-5-nano", "gpt-5-pro", "gpt-5.1-codex", "gemini-2.5-flash-lite", "claude-sonnet-4", "gpt-4o", ""]
    {
        assert_eq!(catalog.model(unpriced), None, "{unpriced}");
    }
}

#[test]
fn m9_at_zero_the_answer_is_402_and_the_last_credits_can_be_spent() {
    let exhaustion = catalog().exhaustion;
    assert_eq!((exhaustion.action, exhaustion.admission), (ExhaustionAction::Deny402, Admission::Clip));
    let help = catalog().policy("starter", &Standing::default()).unwrap().help;
    assert_eq!(help.top_up_url.as_deref(), Some("https://modelstack.example/billing/top-up"));
    let unlocks: Vec<&str> = help.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
    assert_eq!(unlocks, ["pro", "max"]);
    assert!(catalog().policy("max", &Standing::default()).unwrap().help.unlocks.is_empty());
}

#[test]
fn m14_top_ups_alone_are_a_public_plan() {
    let catalog = catalog();
    let plan = catalog.plan("topup_only").unwrap();
    assert!(plan.public && plan.grants.is_empty());
    let policy = catalog.policy("topup_only", &Standing::default()).unwrap();
    let [bucket] = policy.buckets.as_slice() else { panic!("one bucket") };
    assert_eq!((bucket.id.as_str(), bucket.unit, bucket.scope), ("credits", Unit::Credits, Scope::Account));
    let unlocks: Vec<&str> = policy.help.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
    assert_eq!(unlocks, ["starter", "pro", "max"]);
}

#[test]
fn a_flat_price_is_all_that_a_request_costs_whatever_it_uses() {
    let catalog = catalog();
    assert_eq!(price(&catalog, "search", &Usage::new().with(Meter::Requests, 1)), Ratio::whole(500_000));
    let with_tokens = Usage::new().with(Meter::Requests, 1).with(Meter::InputTokens, 1_000_000);
    assert_eq!(price(&catalog, "search", &with_tokens), Ratio::whole(500_000));
}

#[test]
fn the_catalog_survives_its_serialized_form() {
    let catalog = catalog();
    let text = serde_json::to_string(&catalog).unwrap();
    assert_eq!(serde_json::from_str::<Catalog>(&text).unwrap(), catalog);
    let edge = catalog.edge(7);
    assert_eq!(
        serde_json::from_str::<tariff::EdgeCatalog>(&serde_json::to_string(&edge).unwrap()).unwrap(),
        edge
    );
}

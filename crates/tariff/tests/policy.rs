//! What a plan compiles to, on catalogs built by hand.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tariff::{
    Bucket, Catalog, Class, Expiry, FeatureGate, Grant, Links, Meter, Micros, Model, Plan, PlanRate, Policy,
    Pool, Prices, Rate, Ratio, Scope, Standing, Unit,
};

fn model(name: &str, unit: u64) -> Model {
    let prices =
        Prices::new([(Meter::InputTokens, Ratio::whole(unit)), (Meter::OutputTokens, Ratio::whole(unit))]);
    Model { aliases: vec![format!("{name}-20*")], ..Model::named(name, prices, 100) }
}

fn plan(name: &str, price_usd: Option<i64>, granted: i64) -> Plan {
    Plan {
        price_usd: price_usd.map(|usd| Micros(usd * 1_000_000)),
        grants: vec![Grant::every_cycle("main".into(), Micros(granted))],
        factors: vec![("wallet".into(), Ratio::new(17, 20).unwrap())],
        ..Plan::named(name)
    }
}

fn catalog(models: Vec<Model>, plans: Vec<Plan>) -> Catalog {
    Catalog {
        models,
        pools: vec![Pool::named("wallet", 20, Expiry::Never), Pool::named("main", 3, Expiry::CycleEnd)],
        plans,
        gates: vec![FeatureGate {
            feature: "beta".into(),
            title: "Beta".into(),
            levels: vec![],
            header: None,
        }],
        links: Links { top_up: Some("https://t".into()), upgrade: Some("https://u".into()), contact: None },
        ..Catalog::named("Test")
    }
}

fn names(unlocks: &[tariff::Unlock]) -> Vec<&str> {
    unlocks.iter().map(|unlock| unlock.plan.as_str()).collect()
}

#[test]
fn a_plan_without_anything_special_compiles_to_one_bucket_for_all() {
    let policy =
        catalog(vec![model("m", 1)], vec![plan("p", Some(1), 5)]).policy("p", &Standing::default()).unwrap();
    let credits = Bucket {
        id: "credits".into(),
        unit: Unit::Credits,
        scope: Scope::Account,
        unlimited: false,
        unless_auth_class: vec![],
        admitted: false,
        waits: false,
        limit: None,
    };
    let expected = Policy {
        plan: "p".into(),
        enforce: true,
        buckets: vec![credits],
        classes: vec![Class { models: vec!["*".into()], buckets: vec!["credits".into()] }],
        help: tariff::Help {
            top_up_url: Some("https://t".into()),
            resets_at: None,
            unlocks: vec![],
            contact_url: None,
        },
        ..Policy::default()
    };
    assert_eq!(policy, expected);
}

#[test]
fn an_unknown_plan_compiles_to_nothing() {
    let catalog = catalog(vec![model("m", 1)], vec![plan("p", Some(1), 5)]);
    assert_eq!(catalog.policy("P", &Standing::default()), None);
    assert_eq!(catalog.factor("P", "wallet"), Ratio::ONE);
}

#[test]
fn rates_bounds_and_shadow_mode_are_the_plans() {
    let mut shadow = plan("p", None, 0);
    shadow.enforce = false;
    shadow.max_tokens = Some(9);
    shadow.rates = vec![PlanRate {
        id: "rpm".into(),
        meter: Meter::Requests,
        models: vec!["m".into()],
        amount: 15,
        per_ms: 60_000,
        burst: 4,
        scope: Scope::Key,
    }];
    let policy = catalog(vec![model("m", 1)], vec![shadow]).policy("p", &Standing::default()).unwrap();
    assert_eq!((policy.enforce, policy.max_tokens), (false, Some(9)));
    let expected = Rate {
        id: "rpm".into(),
        meter: Meter::Requests,
        models: vec!["m".into()],
        amount: 15,
        per_ms: 60_000,
        burst: 4,
        scope: Scope::Key,
        sole: false,
    };
    assert_eq!(policy.rates, [expected]);
}

#[test]
fn free_models_take_no_credits_and_go_first() {
    let mut half = model("half-free", 0);
    half.prices = Prices::new([(Meter::InputTokens, Ratio::ZERO), (Meter::OutputTokens, Ratio::ONE)]);
    let models = vec![model("paid", 1), model("free-a", 0), half, model("free-b", 0)];
    let classes =
        catalog(models, vec![plan("p", None, 0)]).policy("p", &Standing::default()).unwrap().classes;
    let expected = [
        Class { models: vec!["free-a".into(), "free-b".into()], buckets: vec![] },
        Class { models: vec!["*".into()], buckets: vec!["credits".into()] },
    ];
    assert_eq!(classes, expected);
}

#[test]
fn l3_a_closed_model_names_the_public_plans_that_open_it_cheapest_first() {
    let mut beta = model("beta-model", 1);
    beta.feature = Some("beta".into());
    let with_beta = |name: &str, price| Plan { features: vec!["beta".into()], ..plan(name, price, 0) };
    let plans = vec![
        plan("free", Some(0), 0),
        with_beta("enterprise", None),
        with_beta("gold", Some(100)),
        with_beta("silver", Some(50)),
        with_beta("also-silver", Some(50)),
        Plan { public: false, ..with_beta("legacy", Some(1)) },
        // It has the feature, and its list leaves the model out.
        Plan { models: vec!["other*".into()], ..with_beta("narrow", Some(2)) },
    ];
    let catalog = catalog(vec![beta, model("other", 1)], plans);
    let gates = catalog.policy("free", &Standing::default()).unwrap().gates;
    assert_eq!(gates.len(), 1);
    assert_eq!(
        (gates[0].models.as_slice(), gates[0].feature.as_deref()),
        (["beta-model".to_owned()].as_slice(), Some("beta"))
    );
    assert_eq!(names(&gates[0].unlocks), ["silver", "also-silver", "gold", "enterprise"]);
    assert_eq!(gates[0].unlocks[0].url.as_deref(), Some("https://u"));
    // Closed by the list, not by the feature, which the plan has.
    let narrow = catalog.policy("narrow", &Standing::default()).unwrap().gates;
    assert_eq!(
        (narrow.len(), narrow[0].feature.as_deref(), names(&narrow[0].unlocks)[0]),
        (1, None, "silver")
    );
    assert!(catalog.policy("legacy", &Standing::default()).unwrap().gates.is_empty());
}

#[test]
fn models_with_the_same_way_out_share_a_gate_and_others_do_not() {
    let beta = |name: &str| Model { feature: Some("beta".into()), ..model(name, 1) };
    let models = vec![beta("b1"), model("open", 1), beta("b2"), model("big", 1)];
    let small = Plan { models: vec!["b1".into(), "b2".into(), "open".into()], ..plan("small", Some(0), 0) };
    let plans = vec![
        small,
        Plan { features: vec!["beta".into()], ..plan("all", Some(9), 0) },
        plan("plain", Some(5), 0),
    ];
    let gates = catalog(models, plans).policy("small", &Standing::default()).unwrap().gates;
    let shown: Vec<(Vec<&str>, Option<&str>, Vec<&str>)> = gates
        .iter()
        .map(|gate| {
            (gate.models.iter().map(String::as_str).collect(), gate.feature.as_deref(), names(&gate.unlocks))
        })
        .collect();
    assert_eq!(
        shown,
        [(vec!["b1", "b2"], Some("beta"), vec!["all"]), (vec!["big"], None, vec!["plain", "all"])]
    );
}

#[test]
fn an_empty_balance_names_the_public_plans_that_grant_more() {
    let plans = vec![
        plan("mid", Some(20), 500),
        plan("top", Some(100), 3_000),
        plan("same", Some(1), 500),
        Plan { public: false, ..plan("hidden", Some(2), 9_000) },
        plan("on-request", None, 9_000),
        plan("upper", Some(50), 1_500),
    ];
    let catalog = catalog(vec![model("m", 1)], plans);
    assert_eq!(
        names(&catalog.policy("mid", &Standing::default()).unwrap().help.unlocks),
        ["upper", "top", "on-request"]
    );
    assert!(catalog.policy("on-request", &Standing::default()).unwrap().help.unlocks.is_empty());
}

#[test]
fn pools_are_drawn_by_order_and_not_by_place() {
    let catalog = catalog(vec![], vec![plan("p", None, 0)]);
    let order: Vec<&str> = catalog.pools_in_draw_order().iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(order, ["main", "wallet"]);
}

#[test]
fn a_name_goes_before_an_alias_and_an_earlier_alias_before_a_later_one() {
    let with = |name: &str, alias: &str| Model { aliases: vec![alias.into()], ..model(name, 1) };
    let catalog = catalog(vec![with("a", "x*"), with("b", "xy*"), with("xyz", "q")], vec![]);
    let edge = catalog.edge(3);
    assert_eq!(edge.version, 3);
    for (asked, found) in [("xyz", "xyz"), ("xy", "a"), ("b", "b"), ("q", "xyz")] {
        assert_eq!(catalog.model(asked).unwrap().name, found, "{asked}");
        assert_eq!(edge.model(asked).unwrap().name, found, "{asked}");
    }
    assert_eq!((catalog.model("y"), edge.model("y")), (None, None));
}

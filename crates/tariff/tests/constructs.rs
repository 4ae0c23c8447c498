//! Reading what catalogs can say beside prices, pools and plans: one file with all of it, and the warnings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use tariff::catalog::{
    BonusOn, Bypass, Counted, CycleOnSwitch, Exempt, LotsOnSwitch, Measure, OnExceed, Parameter,
    ParameterRead, PoolModels, Rollover, Stated, SwitchAt, Window,
};
use tariff::{Catalog, ExhaustionAction, Expiry, Meter, Micros, Period, Ratio, Scope, Usage, source};

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
            parameter("text", "input", ParameterRead::Characters),
        ]
    );
    // A text is as long as bodies may be.
    let speech = catalog.model("speech").unwrap();
    assert_eq!(speech.stated, [stated(Meter::Characters, Some("text"), 1, 1_000_000_000)]);
    assert_eq!(speech.prices.unit(Meter::Characters), Some(Ratio::whole(300)));
    let embed = &catalog.model("embed").unwrap().prices;
    assert_eq!(
        (embed.unit(Meter::CachedTokens), embed.unit(Meter::OutputTokens)),
        (Some(decimal("0.5")), Some(decimal("0.5")))
    );
}

#[test]
fn a_date_changes_the_prices_that_it_states_and_no_others() {
    let catalog = load(EVERYTHING);
    let february = EPIPHANY + 26 * 86_400_000;
    let images = |at: i64| {
        let paint = catalog.at(at).model("paint-1").unwrap().clone();
        assert!(paint.dated.is_empty());
        let lists = [&paint.prices, &paint.variants[0].prices, &paint.variants[1].prices];
        lists.map(|prices| prices.unit(Meter::Images).unwrap().floor().unwrap() / 1_000_000)
    };
    assert_eq!(images(EPIPHANY - 1), [5, 10, 7]);
    assert_eq!(images(EPIPHANY), [5, 9, 7]);
    assert_eq!(images(february - 1), [5, 9, 7]);
    assert_eq!(images(february), [4, 9, 6], "what an earlier date changed stays");
}

#[test]
fn c12_own_prices_of_a_variant_go_before_those_of_its_model() {
    let mut catalog = load(EVERYTHING);
    let images = |catalog: &Catalog, variant| {
        let (plan, model) = (catalog.plan("basic").unwrap(), catalog.model("paint-1").unwrap());
        catalog.prices(plan, model, variant).unwrap().unit(Meter::Images).unwrap()
    };
    let all = |catalog: &Catalog| [None, Some("big"), Some("both")].map(|own| images(catalog, own));
    assert_eq!(all(&catalog), [5, 8, 7].map(|credits| Ratio::whole(credits * 1_000_000)));
    let own = catalog.model("chat").unwrap().prices.clone();
    catalog.plans[0].prices.insert("paint-1".to_owned(), own);
    let basic = catalog.plan("basic").unwrap();
    let price = |variant| basic.own_prices("paint-1", variant).unwrap().unit(Meter::Images);
    assert_eq!(
        [price(None), price(Some("big")), price(Some("both"))],
        [None, Some(Ratio::whole(8_000_000)), None]
    );
    let quote = catalog.quote(basic, "paint-1@big", &Usage::new().with(Meter::Images, 2)).unwrap();
    assert_eq!(quote.base, Micros(16_000_000));
}

#[test]
fn a_model_is_free_on_a_plan_only_if_each_of_its_variants_is() {
    let file = |own: &str| {
        load(&format!(
            "name: T\npools: {{main: {{order: 1, expiry: never}}}}\nparameters: {{size: size}}\n\
             models:\n  m:\n    price: {{per_unit: {{images: 1}}}}\n    variants:\n      \
             large: {{when: {{size: big}}, price: {{per_unit: {{images: 2}}}}}}\n\
             plans:\n  p: {{prices: {{{own}}}}}\n"
        ))
    };
    let bucket =
        |own: &str| file(own).funding("p", &tariff::Standing::default()).unwrap().classes[0].bucket.clone();
    assert_eq!(bucket("m: {per_unit: {images: 0}}"), None);
    for own in
        ["m@large: {per_unit: {images: 0}}", "m: {per_unit: {images: 0}}, m@large: {per_unit: {images: 1}}"]
    {
        assert_eq!(bucket(own).as_deref(), Some("credits"), "{own}");
    }
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
fn null_takes_away_what_the_extended_plan_has() {
    let catalog = load(EVERYTHING);
    let slim = catalog.plan("slim").unwrap();
    let names: Vec<String> = slim.cadence_names().collect();
    assert_eq!(names, ["monthly", "pass"]);
    assert!(slim.levels.is_empty() && slim.forward.is_empty());
    assert_eq!(slim.prices.keys().collect::<Vec<_>>(), ["paint-1@big"]);
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
    assert_eq!(source::read(EVERYTHING).unwrap().1, [], "nothing to warn of");
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
        "limit `pages/day`: no model of it counts `pages`",
    );
    only(
        warned("", "", "", "rates: [{id: tpm, max: 5, per: minute, meter: tokens}]"),
        "rate `tpm`: no model of it counts `tokens`",
    );
    only(
        warned("", "", "", "grants: {main: {amount: 5, bonus: 1.2}}"),
        "grants.main.bonus: more than the amount itself comes on top (0.2 is +20 %)",
    );
    assert!(warned("", "", "", "grants: {main: {amount: 5, bonus: 1}}").is_empty());
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

/// What is warned of in a catalog with a model of this price and further fields.
fn priced(price: &str, further: &str, plan: &str) -> Vec<String> {
    let file = format!(
        "name: Test\nparameters: {{size: size, text: {{member: input, read: characters}}}}\n\
         pools: {{main: {{order: 1, expiry: never}}}}\nmodels:\n  m:\n    price: {price}\n    {further}\n\
         plans:\n  p: {{{plan}}}\n"
    );
    source::read(&file)
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{file}"))
        .1
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn prices_that_leave_something_out_are_warned_of() {
    let one = |warnings: Vec<String>, said: &str| assert_eq!(warnings, [said]);
    one(
        priced("{per_1m: {input_tokens: 1}}", "", ""),
        "6:12: models.m.price: prices `input_tokens` but not `output_tokens`, which an answer may have \
         (`output_tokens: 0` where there are none, as with embeddings)",
    );
    one(
        priced("{per_1k: {characters: 1}}", "", ""),
        "6:12: models.m.price: nothing counts its `characters`: an answer that does not say how many is charged as one \
         (`parameters: {text: {member: input, read: characters}}`, and `quantity: {characters: text}`)",
    );
    assert!(priced("{per_1k: {characters: 1}}", "quantity: {characters: text}", "").is_empty());
    let variant = |own: &str| format!("variants: {{large: {{when: {{size: big}}, price: {own}}}}}");
    one(
        priced("{per_unit: {images: 1}}", &variant("{per_unit: {seconds: 2}}"), ""),
        "7:23: models.m.variants.large: prices `seconds` where the model's own price is by `images` \
         (the same meters in each price of a model, be it with 0)",
    );
    one(
        priced("{per_unit: {images: 1}}", &variant("{per_request: 2}"), ""),
        "7:23: models.m.variants.large: has no price for `images`, which the model's own price is by \
         (the same meters in each price of a model, be it with 0)",
    );
    one(
        priced("{per_unit: {images: 1}}", "", "prices: {m: {per_unit: {images: 1, pages: 2}}}"),
        "9:19: plans.p.prices.m: prices `pages`, which the model's own price does not \
         (the same meters in each price of a model, be it with 0)",
    );
    assert!(
        priced("{per_unit: {images: 1}}", &variant("{per_unit: {images: 2}, per_request: 1}"), "").is_empty()
    );
}

/// A catalog with two models and a plan that has prices of its own for one.
fn tiered() -> Catalog {
    load(
        "name: Test
pools: { main: { order: 1, expiry: never } }
models:
  m:
    price:
      per_1m: { input_tokens: 10, output_tokens: 20 }
      above: [{ input_tokens: 100, per_1m: { input_tokens: 20, output_tokens: 40 } }]
    cost: { per_1m: { input_tokens: 1, output_tokens: 2 } }
    service_tiers:
      priority: { factor: 1.5 }
      flex: { price: { per_1m: { input_tokens: 4, output_tokens: 8 } } }
      batch: { factor: 0.5, cost: { per_1m: { input_tokens: 0.4, output_tokens: 0.8 } } }
  router: { aliases: [any], price: { per_1m: { tokens: 100 } }, charge: answered }
plans:
  p: { grants: { main: 5 } }
",
    )
}

#[test]
fn tiers_of_service_multiply_or_replace_what_would_hold_otherwise() {
    let catalog = tiered();
    let model = catalog.model("m").unwrap();
    let usage = |input| Usage::new().with(Meter::InputTokens, input).with(Meter::OutputTokens, 1);
    let charge = |prices: &tariff::Prices, input| prices.charge(&usage(input)).unwrap().rounded.get();
    let tier = |name: &str| model.service_tier(name).unwrap();
    let price = |name: &str, input| charge(&tier(name).prices(&model.prices).unwrap(), input);
    assert_eq!((charge(&model.prices, 100), charge(&model.prices, 101)), (1_020, 2_060));
    // A factor keeps the context tiers; a price says its own.
    assert_eq!((price("priority", 100), price("priority", 101)), (1_530, 3_090));
    assert_eq!((price("batch", 100), price("batch", 101)), (510, 1_030));
    assert_eq!((price("flex", 100), price("flex", 101)), (408, 412));
    let card = model.cost.as_ref().unwrap();
    let cost = |name: &str| charge(&tier(name).cost(card).unwrap(), 1_000);
    assert_eq!((cost("priority"), cost("flex"), cost("batch")), (1_503, 1_002, 401));
    assert_eq!(model.service_tier("scale"), None);
}

/// What holds nothing is allowed where nothing can be charged: no other model of the catalog costs anything either.
#[test]
fn a_router_in_front_of_free_models_alone_may_cost_nothing() {
    let load = |price: u8, asset: &str| {
        source::load(
            format!(
                "name: t\npools:\n  main: {{ order: 1, expiry: never }}\n  jobs: {{ order: 2, expiry: never, asset: job }}\n\
                 models:\n  router: {{ price: {{ per_1m: {{ tokens: 0 }} }}, charge: answered }}\n  \
                 small: {{ price: {{ per_1m: {{ tokens: {price} }} }}{asset} }}\nplans:\n  p: {{ grants: {{ main: 5 }} }}\n"
            )
            .into_bytes(),
        )
        .map_err(|problems| problems.iter().map(|problem| problem.to_string()).collect::<String>())
    };
    assert!(load(0, "").is_ok());
    // What is paid in something else is never what it is charged by.
    assert!(load(1, ", asset: job").is_ok());
    assert!(load(1, "").unwrap_err().contains("served without credits"));
}

#[test]
fn a_router_is_charged_by_the_model_that_answered_where_it_is_listed() {
    let catalog = tiered();
    let router = catalog.model("any").unwrap();
    let by = |requested: &str, answered| {
        catalog.charged_by(catalog.model(requested).unwrap(), answered).name.clone()
    };
    assert!(router.by_answered && router.has_further_prices());
    assert_eq!(
        (by("router", Some("m")), by("router", Some("other")), by("router", None)),
        ("m".into(), "router".into(), "router".into())
    );
    assert_eq!((by("router", Some("any")), by("m", Some("router"))), ("router".into(), "m".into()));
    let edge = catalog.edge(1);
    assert_eq!(
        edge.models.iter().map(|model| (model.by_answered, model.service_tiers.len())).collect::<Vec<_>>(),
        [(false, 3), (true, 0)]
    );
    // What is not said is not sent.
    let json = serde_json::to_string(&edge.models[1]).unwrap();
    assert!(!json.contains("service_tiers") && !json.contains("asset"), "{json}");
}

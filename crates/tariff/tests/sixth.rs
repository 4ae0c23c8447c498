//! Three price pages beside the shipped five, written from the reference alone: what they charge, bound and refuse,
//! against amounts reckoned by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use tariff::catalog::Cadence;
use tariff::{
    Catalog, ExhaustionAction, Expiry, Meter, Micros, Overage, Policy, Ratio, Standing, Usage, source,
};

const SPEECH: &str = include_str!("sixth/speech.yaml");
const SEARCH: &str = include_str!("sixth/search.yaml");
const PICTURES: &str = include_str!("sixth/pictures.yaml");

fn load(file: &str) -> Catalog {
    let (catalog, warnings) = source::read(file).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(warnings, []);
    catalog
}

/// What a usage takes at base price.
fn base(catalog: &Catalog, plan: &str, model: &str, usage: &[(Meter, u64)]) -> String {
    let usage = usage.iter().fold(Usage::new(), |usage, (meter, count)| usage.with(*meter, *count));
    catalog.quote(catalog.plan(plan).unwrap(), model, &usage).unwrap().base.to_string()
}

/// What it takes of each pool that could pay all of it.
fn pools(catalog: &Catalog, plan: &str, model: &str, meter: Meter, count: u64) -> Vec<(String, String)> {
    let usage = Usage::new().with(meter, count);
    let quote = catalog.quote(catalog.plan(plan).unwrap(), model, &usage).unwrap();
    quote.pools.into_iter().map(|(pool, amount)| (pool, amount.to_string())).collect()
}

fn policy(catalog: &Catalog, plan: &str, standing: &Standing) -> Policy {
    catalog.policy(plan, standing).unwrap()
}

#[test]
fn speech_is_sold_by_the_character_with_a_hard_stop() {
    let catalog = load(SPEECH);
    let characters =
        |plan, model, count| base(&catalog, plan, model, &[(Meter::Characters, count), (Meter::Requests, 1)]);
    assert_eq!(characters("free", "voice-standard", 480), "480.000000");
    assert_eq!(characters("creator", "voice-standard@hd", 4_321), "8642.000000");
    assert_eq!(characters("creator", "voice-turbo", 4_321), "2160.500000");
    // 89 seconds at 100 a minute: 148.3333…, rounded once.
    assert_eq!(base(&catalog, "studio", "transcribe", &[(Meter::Seconds, 89)]), "148.333333");
    assert_eq!(base(&catalog, "studio", "transcribe", &[(Meter::Seconds, 60)]), "100.000000");
    let free = policy(&catalog, "free", &Standing::default());
    assert_eq!(
        (free.request_limits[0].max, free.request_limits[0].unlocks[0].plan.as_str()),
        (500, "creator")
    );
    assert_eq!(free.gates[0].models, ["voice-turbo"]);
    assert_eq!(catalog.plan("free").unwrap().exhaustion.unwrap().action, ExhaustionAction::Deny402);
    // $110 for a year of 100,000 a month; two months live on.
    let yearly = catalog.plan("creator").unwrap().cadence("yearly").unwrap();
    assert_eq!(
        (yearly.price_usd, yearly.grants[0].amount),
        (Some(Micros(110_000_000)), Micros(100_000_000_000))
    );
    assert_eq!(catalog.pool("monthly").unwrap().rollover.unwrap().cycles, 2);
    let studio = catalog.plan("studio").unwrap();
    assert_eq!(studio.cadence_names().collect::<Vec<_>>(), ["monthly"]);
    assert_eq!(studio.exhaustion.unwrap().overage_cap, Some(Micros(500_000_000_000)));
    let carded = Standing { overage: Overage::Capped, ..Standing::default() };
    assert_eq!(catalog.funding("studio", &carded).unwrap().classes[0].overage, Overage::Capped);
    assert_eq!(catalog.funding("creator", &carded).unwrap().classes[0].overage, Overage::None);
}

#[test]
fn searches_are_free_by_the_day_then_of_the_plan_then_of_packs() {
    let catalog = load(SEARCH);
    let once = |plan, model| base(&catalog, plan, model, &[(Meter::Requests, 1)]);
    assert_eq!(
        [
            once("free", "web-search"),
            once("team", "web-search"),
            once("team", "deep-search"),
            once("business", "deep-search")
        ],
        ["0.000000", "1.000000", "5.000000", "4.000000"]
    );
    let march = catalog.at(1_803_859_200_000);
    assert_eq!(base(&march, "team", "deep-search", &[(Meter::Requests, 1)]), "6.000000");
    assert_eq!(
        base(&march, "business", "deep-search", &[(Meter::Requests, 1)]),
        "4.000000",
        "own prices stay"
    );
    // Seven pages: 1 + 3.5.
    assert_eq!(base(&catalog, "team", "extract", &[(Meter::Pages, 7), (Meter::Requests, 1)]), "4.500000");
    let free = policy(&catalog, "free", &Standing::default());
    let day = free.buckets.iter().find(|bucket| bucket.id == "requests/day").unwrap();
    assert_eq!(day.unless_auth_class, ["console"]);
    let help = day.limit.as_ref().unwrap();
    assert_eq!((help.max, help.unlocks[0].plan.as_str()), (Micros(100_000_000), "team"));
    assert!(
        free.classes.iter().any(|class| class.buckets == ["requests/day"]),
        "free searches take no credits"
    );
    let team = policy(&catalog, "team", &Standing::default());
    assert_eq!(
        (team.gates[0].feature.as_deref(), team.gates[0].unlocks[0].plan.as_str()),
        (Some("news"), "business")
    );
    assert_eq!((team.classes[0].buckets.clone(), team.rates[0].amount), (vec!["credits".to_owned()], 10));
    let usd = |dollars: i64| Micros(dollars * 1_000_000);
    let bought = |dollars| {
        let credits = catalog.purchases.credits(usd(dollars)).unwrap();
        (credits.to_string(), catalog.purchases.bonus(usd(dollars), credits).unwrap().to_string())
    };
    assert_eq!(bought(50), ("10000.000000".to_owned(), "0.000000".to_owned()));
    assert_eq!(bought(400), ("80000.000000".to_owned(), "20000.000000".to_owned()));
    assert_eq!(catalog.purchases.minimum("card"), Some(usd(50)));
    assert!(matches!(catalog.pool("packs").unwrap().expiry, Expiry::After(period) if period.months() == 12));
    let seats = |plan: &str| catalog.plan(plan).unwrap().resource("seats");
    assert_eq!((seats("free"), seats("team"), seats("business")), (Some(1), Some(5), Some(25)));
}

#[test]
fn pictures_are_cheaper_with_volume_and_by_contract() {
    let catalog = load(PICTURES);
    let images =
        |plan, model, count| base(&catalog, plan, model, &[(Meter::Images, count), (Meter::Requests, 1)]);
    assert_eq!(images("payg", "fast", 1), "0.003000");
    assert_eq!(images("growth", "pro@large", 3), "0.240000");
    assert_eq!(
        (images("contract", "pro", 4), images("contract", "pro@large", 4)),
        ("0.120000".to_owned(), "0.200000".to_owned())
    );
    // $3.96 an hour is 0.0011 a second.
    assert_eq!(base(&catalog, "payg", "upscale", &[(Meter::Seconds, 37)]), "0.040700");
    let paid = |plan| pools(&catalog, plan, "pro", Meter::Images, 10);
    let balance = |amount: &str| vec![("balance".to_owned(), amount.to_owned())];
    assert_eq!(
        [paid("payg"), paid("growth"), paid("scale")],
        ["0.400000", "0.360000", "0.320000"].map(balance)
    );
    assert_eq!(paid("contract"), balance("0.300000"));
    let tiers = catalog.tiers.as_ref().unwrap();
    let tier = |dollars: i64| tiers.plan(&catalog, &[Micros(dollars * 1_000_000)]);
    assert_eq!([tier(99), tier(100), tier(999), tier(1_000)], ["payg", "growth", "growth", "scale"]);
    let scale = policy(&catalog, "scale", &Standing::default());
    let headers =
        [("x-priority".to_owned(), "high".to_owned()), ("x-concurrency".to_owned(), "50".to_owned())];
    assert_eq!(scale.forward, headers);
    assert_eq!((scale.rates[0].meter, scale.rates[0].amount), (Meter::Images, 1_200));
    let batch = |plan: &str| policy(&catalog, plan, &Standing::default()).request_limits[0].clone();
    assert_eq!(
        (batch("payg").max, batch("payg").unlocks[0].plan.as_str(), batch("scale").max),
        (1, "growth", 16)
    );
    assert_eq!(catalog.plan("contract").unwrap().factor("balance"), Ratio::ONE);
}

#[test]
fn each_of_them_fits_what_the_ledger_stores() {
    for file in [SPEECH, SEARCH, PICTURES] {
        let catalog = load(file);
        let stored = serde_json::to_string(&catalog).unwrap();
        assert_eq!(serde_json::from_str::<Catalog>(&stored).unwrap(), catalog);
        for plan in &catalog.plans {
            let ways: Vec<Cadence> = plan.cadence_names().filter_map(|name| plan.cadence(&name)).collect();
            assert!(!ways.is_empty() && catalog.policy(&plan.name, &Standing::default()).is_some());
        }
    }
}

//! A plan in words.

use tariff::catalog::{BonusOn, Cadence, Counted, Grant, Limit, Model, OnExceed, Plan, PlanRate};
use tariff::policy::Scope;
use tariff::{Catalog, Micros, Ratio};

use super::model::price;
use super::phrase::{each, every_ms, joined, length, measure, meter_name, of_models, percent, short, window};
use super::{Facts, exhaustion, fact};

/// What a plan says.
pub fn plan(catalog: &Catalog, plan: &Plan) -> Facts {
    let mut facts = vec![fact("price", cost(plan.price_usd, &each(plan.cycle)))];
    if !plan.aliases.is_empty() {
        facts.push(fact("also called", joined(&plan.aliases)));
    }
    if !plan.public {
        facts.push(fact("offered", "on request only"));
    }
    facts.extend(plan.grants.iter().map(|grant| grant_fact(catalog, grant, &each(plan.cycle))));
    facts.extend(plan.cadences.iter().map(|own| (format!("taken {}", own.name), cadence(catalog, own))));
    for (pool, factor) in plan.factors.iter().filter(|(_, factor)| *factor != Ratio::ONE) {
        facts.push((format!("discount of {pool}"), format!("use worth 1 credit takes {factor}")));
    }
    facts.extend(plan.rates.iter().map(|own| (format!("rate {}", own.id), rate(own))));
    facts.extend(plan.limits.iter().map(|own| (format!("limit {}", own.id), limit(own))));
    facts.extend(opened(catalog, plan));
    facts.extend(rights(catalog, plan));
    let own = plan.prices.iter();
    let asset = |name: &str| {
        let of_variant = || name.rsplit_once('@').and_then(|(model, _)| catalog.model(model));
        let model = catalog.model(name).or_else(of_variant);
        model.map_or("credits".to_owned(), |model| model.asset.clone())
    };
    facts.extend(own.map(|(name, own)| (format!("own price of {name}"), price(own, &asset(name)))));
    facts.extend(plan.exhaustion.into_iter().flat_map(exhaustion));
    if let Some(max) = plan.max_tokens {
        facts.push(fact("output", format!("at most {max} tokens an answer")));
    }
    let bounded =
        |credits: Micros| format!("at most {} credits on each gateway in each outage", short(credits));
    facts.extend(plan.fail_open.map(|credits| fact("while the ledger is away", bounded(credits))));
    if !plan.enforce {
        facts.push(fact("shadow mode", "everything is counted, nothing is refused"));
    }
    facts
}

/// Models that the plan opens.
fn opened(catalog: &Catalog, plan: &Plan) -> Facts {
    let opened: Vec<&str> =
        catalog.models.iter().filter(|model| plan.opens(model)).map(|model| model.name.as_str()).collect();
    let all = catalog.models.len();
    let said = match opened.len() {
        own if own == all => format!("all {all}"),
        some => format!("{some} of {all}: {}", opened.join(", ")),
    };
    vec![fact("models", said)]
}

/// Features, levels, headers and what may be had of things.
fn rights(catalog: &Catalog, plan: &Plan) -> Facts {
    let mut facts = Facts::new();
    let gate = |feature: &str| catalog.gates.iter().find(|gate| gate.feature == *feature);
    let title = |feature: &String| gate(feature).map_or_else(|| feature.clone(), |gate| gate.title.clone());
    if !plan.features.is_empty() {
        let titles: Vec<String> = plan.features.iter().map(title).collect();
        facts.push(fact("features", titles.join(", ")));
    }
    for (feature, level) in &plan.levels {
        let header = gate(feature).and_then(|gate| gate.header.as_ref());
        let told = header.map_or_else(String::new, |header| format!(" (told upstream as {header})"));
        facts.push((title(feature), format!("{level}{told}")));
    }
    facts.extend(plan.forward.iter().map(|(name, value)| (format!("header {name}"), value.clone())));
    let bound =
        |max: &Option<u64>| max.map_or_else(|| "unlimited".to_owned(), |max| format!("at most {max}"));
    facts.extend(plan.resources.iter().map(|(name, max)| (name.clone(), bound(max))));
    facts.extend(plan.request_limits.iter().map(|(name, max)| (format!("{name} (a request)"), bound(max))));
    facts
}

fn cost(price: Option<Micros>, each: &str) -> String {
    match price {
        None => "on request".to_owned(),
        Some(Micros::ZERO) => "nothing".to_owned(),
        Some(price) => format!("{} USD {each}", short(price)),
    }
}

fn cadence(catalog: &Catalog, cadence: &Cadence) -> String {
    let billed =
        if cadence.renews { each(cadence.billing) } else { format!("once, for {}", length(cadence.billing)) };
    let mut said = vec![cost(cadence.price_usd, &billed)];
    let often = if cadence.renews || cadence.cycle != cadence.billing {
        each(cadence.cycle)
    } else {
        "once".to_owned()
    };
    for granted in &cadence.grants {
        let (_, text) = grant_fact(catalog, granted, &often);
        said.push(format!("{text} in {}", granted.pool));
    }
    said.join("; ")
}

fn grant_fact(catalog: &Catalog, grant: &Grant, often: &str) -> (String, String) {
    let asset = catalog.pool(&grant.pool).map_or("credits", |pool| pool.asset.as_str());
    let often = if grant.once { "once" } else { often };
    let bonus = grant.bonus.map_or_else(String::new, |bonus| {
        let when = match bonus.on {
            BonusOn::EveryCycle => "",
            BonusOn::RenewalOnly => " with each renewal",
        };
        format!(" and {} of it on top{when}", percent(bonus.rate))
    });
    (format!("grant {}", grant.pool), format!("{} {asset} {often}{bonus}", short(grant.amount)))
}

/// A rate.
pub fn rate(rate: &PlanRate) -> String {
    let counted = meter_name(rate.meter);
    let burst = if rate.burst == rate.amount {
        String::new()
    } else {
        format!(", {} at once after a rest", rate.burst)
    };
    let models = if rate.models.iter().any(|pattern| pattern == Model::ANY) {
        String::new()
    } else {
        format!(" of {}", rate.models.join(", "))
    };
    format!("{} {counted}{models} {}{burst}{}", rate.amount, every_ms(rate.per_ms), whose(rate.scope))
}

fn limit(limit: &Limit) -> String {
    let pools =
        if limit.pools.is_empty() { String::new() } else { format!(" out of {}", joined(&limit.pools)) };
    let models = of_models(&limit.models);
    let what =
        format!("{}{pools}{models} {}{}", measure(limit.measure), window(limit.window), whose(limit.scope));
    let Some(max) = limit.max else { return format!("unlimited {what}") };
    let then = match (limit.on_exceed, limit.pools.as_slice()) {
        (OnExceed::Deny402, _) => "then 402".to_owned(),
        (OnExceed::Deny429, _) => "then 429".to_owned(),
        (OnExceed::SkipPool, []) => "then no pool pays".to_owned(),
        (OnExceed::SkipPool, pools) => {
            format!("then nothing more comes from {} until it ends", joined(pools))
        }
    };
    let counted = match limit.count {
        Counted::Delivered => "",
        Counted::Admitted => "; refused by the upstream or not, each counts",
    };
    let told: Vec<String> = limit.notify.iter().map(|percent| format!("{percent} %")).collect();
    let told = if told.is_empty() { String::new() } else { format!("; told at {}", joined(&told)) };
    format!("{} {what}, {then}{counted}{told}", short(max))
}

const fn whose(scope: Scope) -> &'static str {
    match scope {
        Scope::Account => "",
        Scope::Key => ", each key alone",
    }
}

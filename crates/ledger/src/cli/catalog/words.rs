//! A catalog in plain words: each plan, model and pool as a list of facts that people and `diff` read.

use tariff::catalog::{Admission, Expiry, Model, Plan, PlanRate, Pool};
use tariff::policy::Scope;
use tariff::{Catalog, Meter, Micros, Period, Ratio};

use crate::cli::print::printable;

/// What is said of one thing: names of properties, in a fixed order, with their text.
pub type Facts = Vec<(String, String)>;

/// A plan with all that its customer should know, prices included.
pub fn section(catalog: &Catalog, own: &Plan) -> String {
    let mut facts = plan(catalog, own);
    let lots = |pool: &&Pool| (format!("credits of {}", pool.name), lasts(pool.expiry));
    facts.extend(catalog.pools_in_draw_order().iter().map(lots));
    facts.extend(exhaustion(catalog));
    let opened = catalog.models.iter().filter(|model| own.opens(model));
    facts.extend(opened.map(|model| (model.name.clone(), price(model))));
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines =
        facts.iter().map(|(name, text)| format!("  {:<width$}  {}\n", printable(name), printable(text)));
    format!("{} ({})\n{}", printable(&own.title), printable(&own.name), lines.collect::<String>())
}

/// What a plan says.
pub fn plan(catalog: &Catalog, plan: &Plan) -> Facts {
    let mut facts = vec![fact("price", cost(plan))];
    if !plan.public {
        facts.push(fact("offered", "on request only"));
    }
    for pool in catalog.pools_in_draw_order() {
        let granted = plan.grants.iter().find(|grant| grant.pool == pool.name);
        let grant = granted.map(|grant| format!("{} credits {}", short(grant.amount), each(plan.cycle)));
        let factor = plan.factor(&pool.name);
        let discount = (factor != Ratio::ONE).then(|| format!("use worth 1 credit takes {factor}"));
        let said: Vec<String> = grant.into_iter().chain(discount).collect();
        if !said.is_empty() {
            facts.push((format!("pool {}", pool.name), said.join("; ")));
        }
    }
    facts.extend(plan.rates.iter().map(|own| (format!("rate {}", own.id), rate(own))));
    let opened: Vec<&str> =
        catalog.models.iter().filter(|model| plan.opens(model)).map(|model| model.name.as_str()).collect();
    facts.push(match opened.len() {
        all if all == catalog.models.len() => fact("models", format!("all {all}")),
        some => fact("models", format!("{some} of {}: {}", catalog.models.len(), opened.join(", "))),
    });
    let title = |feature: &String| {
        let gate = catalog.gates.iter().find(|gate| gate.feature == *feature);
        gate.map_or_else(|| feature.clone(), |gate| gate.title.clone())
    };
    if !plan.features.is_empty() {
        let titles: Vec<String> = plan.features.iter().map(title).collect();
        facts.push(fact("features", titles.join(", ")));
    }
    let bound =
        |max: &Option<u64>| max.map_or_else(|| "unlimited".to_owned(), |max| format!("at most {max}"));
    facts.extend(plan.resources.iter().map(|(name, max)| (name.clone(), bound(max))));
    facts.extend(plan.request_limits.iter().map(|(name, max)| (format!("{name} (a request)"), bound(max))));
    if let Some(max) = plan.max_tokens {
        facts.push(fact("output", format!("at most {max} tokens an answer")));
    }
    if !plan.enforce {
        facts.push(fact("shadow mode", "everything is counted, nothing is refused"));
    }
    facts
}

/// What a model or flat-price operation says.
pub fn model(model: &Model) -> Facts {
    let mut facts = vec![fact("price", price(model))];
    facts.extend(model.provider.as_ref().map(|provider| fact("provider", provider)));
    if !model.aliases.is_empty() {
        facts.push(fact("aliases", model.aliases.join(", ")));
    }
    facts.push(fact("held without a bound", format!("{} output tokens", model.max_output_default)));
    facts.extend(model.feature.as_ref().map(|feature| fact("needs", feature)));
    facts
}

/// What a pool says.
pub fn pool(pool: &Pool) -> Facts {
    vec![fact("drawn", format!("as number {}", pool.order)), fact("credits", lasts(pool.expiry))]
}

/// What holds for all plans.
pub fn exhaustion(catalog: &Catalog) -> Facts {
    let last = match catalog.exhaustion.admission {
        Admission::Clip => "the last credits can be spent, on one request at a time",
        Admission::Full => "a request needs credits for all that it may cost",
    };
    let mut facts = vec![fact("at zero", format!("402; {last}"))];
    let bound = catalog.max_charge_per_request;
    facts.extend(bound.map(|max| fact("a request", format!("is charged {} credits at most", short(max)))));
    facts
}

/// Links of refusals.
pub fn links(catalog: &Catalog) -> Facts {
    let links = &catalog.links;
    let all = [("top_up", &links.top_up), ("upgrade", &links.upgrade), ("contact", &links.contact)];
    all.into_iter().filter_map(|(name, link)| Some(fact(name, link.as_ref()?))).collect()
}

fn fact(name: &str, text: impl AsRef<str>) -> (String, String) {
    (name.to_owned(), text.as_ref().to_owned())
}

fn cost(plan: &Plan) -> String {
    match plan.price_usd {
        None => "on request".to_owned(),
        Some(Micros::ZERO) => "nothing".to_owned(),
        Some(price) => format!("{} USD {}", short(price), each(plan.cycle)),
    }
}

fn price(model: &Model) -> String {
    if model.is_free() {
        return "free".to_owned();
    }
    // Micro-credits for one token are credits for a million; other units are sold by the piece.
    let unit = |(meter, unit): (Meter, Ratio)| {
        let name = meter.as_str().replace('_', " ");
        if name.ends_with("tokens") {
            return format!("{unit} for 1M {name}");
        }
        let one = unit.checked_div(Ratio::whole(Micros::PER_CREDIT.unsigned_abs())).unwrap_or(unit);
        format!("{one} for {}", one_of(meter))
    };
    let units: Vec<String> = model.prices.iter().map(unit).collect();
    format!("{} (credits)", units.join(", "))
}

fn one_of(meter: Meter) -> String {
    let name = meter.as_str().replace('_', " ");
    format!("a {}", name.strip_suffix('s').unwrap_or(&name))
}

fn rate(rate: &PlanRate) -> String {
    let counted = rate.meter.as_str().replace('_', " ");
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
    let whose = match rate.scope {
        Scope::Account => "",
        Scope::Key => ", each key alone",
    };
    format!("{} {counted}{models} {}{burst}{whose}", rate.amount, every_ms(rate.per_ms))
}

fn every_ms(ms: u64) -> String {
    match ms {
        1_000 => "a second".to_owned(),
        60_000 => "a minute".to_owned(),
        3_600_000 => "an hour".to_owned(),
        86_400_000 => "a day".to_owned(),
        ms => format!("in {} s", Ratio::new(ms.into(), 1_000).unwrap_or(Ratio::ZERO)),
    }
}

fn lasts(expiry: Expiry) -> String {
    match expiry {
        Expiry::CycleEnd | Expiry::CommitmentEnd => "what is left ends with the billing period".to_owned(),
        Expiry::After(period) => format!("each grant lasts {}", length(period)),
        Expiry::Never => "do not end".to_owned(),
    }
}

fn each(period: Period) -> String {
    match (period.months(), period.days(), period.seconds()) {
        (1, 0, 0) => "a month".to_owned(),
        (12, 0, 0) => "a year".to_owned(),
        (0, 1, 0) => "a day".to_owned(),
        (0, 7, 0) => "a week".to_owned(),
        _ => format!("every {}", length(period)),
    }
}

fn length(period: Period) -> String {
    let part = |count: u32, unit: &str| match count {
        0 => None,
        1 => Some(format!("1 {unit}")),
        count => Some(format!("{count} {unit}s")),
    };
    let parts =
        [part(period.months(), "month"), part(period.days(), "day"), part(period.seconds(), "second")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// An amount without zeros at its end.
fn short(amount: Micros) -> String {
    let text = amount.to_string();
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

//! A catalog in plain words: each thing that it states as a list of facts that people and `diff` read.

mod account;
mod model;
mod phrase;
mod plan;
mod rules;

use tariff::Catalog;
use tariff::catalog::{Admission, Lost};
use tariff::catalog::{
    Exhaustion, ExhaustionAction, FeatureGate, Parameter, ParameterRead, Plan, Pool, PoolModels,
};

use self::phrase::{joined, lasts, short};
use crate::cli::print::printable;

pub use self::account::{cohort, coupon, programme, tiers};
pub use self::model::model;
pub use self::plan::plan;
pub use self::rules::{bypasses, exempt, purchases, transitions};

/// What is said of one thing: names of properties, in a fixed order, with their text.
pub type Facts = Vec<(String, String)>;

/// A plan with all that its customer should know, prices included.
pub fn section(catalog: &Catalog, own: &Plan) -> String {
    let mut facts = plan(catalog, own);
    for pool in catalog.pools_in_draw_order() {
        let said: Vec<String> = self::pool(pool).into_iter().skip(1).map(|(_, text)| text).collect();
        facts.push((format!("pool {}", pool.name), said.join("; ")));
    }
    if own.exhaustion.is_none() && !catalog.pools.is_empty() {
        facts.extend(exhaustion(catalog.exhaustion));
    }
    facts.extend(charge(catalog));
    facts.extend(bypasses(catalog));
    facts.extend(exempt(catalog));
    facts.extend(transitions(catalog));
    facts.extend(purchases(catalog));
    facts.extend(tiers(catalog));
    facts.extend(catalog.coupons.iter().map(|own| (format!("coupon {}", own.code), text(coupon(own)))));
    facts.extend(catalog.cohorts.iter().map(|own| (format!("cohort {}", own.name), text(cohort(own)))));
    facts.extend(
        catalog.programmes.iter().map(|own| (format!("programme {}", own.name), text(programme(own)))),
    );
    for offered in catalog.models.iter().filter(|model| own.opens(model)) {
        facts.extend(model::offer(own, offered));
    }
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines =
        facts.iter().map(|(name, text)| format!("  {:<width$}  {}\n", printable(name), printable(text)));
    format!("{} ({})\n{}", printable(&own.title), printable(&own.name), lines.collect::<String>())
}

/// Several facts as one text.
fn text(facts: Facts) -> String {
    let said: Vec<String> = facts.into_iter().map(|(name, text)| format!("{name} {text}")).collect();
    said.join("; ")
}

fn fact(name: &str, text: impl AsRef<str>) -> (String, String) {
    (name.to_owned(), text.as_ref().to_owned())
}

/// What a pool says; the first fact is its place.
pub fn pool(pool: &Pool) -> Facts {
    let mut facts =
        vec![fact("drawn", format!("as number {}", pool.order)), fact(&pool.asset, lasts(pool.expiry))];
    match &pool.models {
        PoolModels::All => {}
        PoolModels::Plan => facts.push(fact("pays", "for the plan's models alone")),
        PoolModels::Named(patterns) => facts.push(fact("pays", format!("for {} alone", joined(patterns)))),
    }
    if pool.opt_in {
        facts.push(fact("used", "only by accounts that opt in"));
    }
    if let Some(rollover) = pool.rollover {
        let most =
            rollover.max.map_or_else(|| "all of it".to_owned(), |max| format!("at most {}", short(max)));
        let cycles = if rollover.cycles == 1 {
            "one more cycle".to_owned()
        } else {
            format!("{} more cycles", rollover.cycles)
        };
        facts.push(fact("rollover", format!("carried over for {cycles}, {most}")));
    }
    facts
}

/// What a feature says.
pub fn feature(gate: &FeatureGate) -> Facts {
    let mut facts = vec![fact("title", &gate.title)];
    if !gate.levels.is_empty() {
        facts.push(fact("levels", gate.levels.join(", ")));
    }
    facts.extend(gate.header.as_ref().map(|header| fact("told upstream", format!("as {header}"))));
    facts
}

/// What a parameter says.
pub fn parameter(parameter: &Parameter) -> Facts {
    let read = match parameter.read {
        ParameterRead::Value => "the value of",
        ParameterRead::Items => "the number of items of",
        ParameterRead::Characters => "the number of characters of",
    };
    vec![fact("is", format!("{read} `{}`", parameter.member))]
}

/// What happens when the credits are gone.
pub fn exhaustion(exhaustion: Exhaustion) -> Facts {
    let last = match exhaustion.admission {
        Admission::Clip => "the last credits can be spent, on one request at a time",
        Admission::Full => "a request needs credits for all that it may cost",
    };
    let most = exhaustion.overage_cap.map_or_else(
        || "without a bound but the account's own".to_owned(),
        |cap| format!("up to {} credits a billing cycle, or the account's own bound", short(cap)),
    );
    vec![match exhaustion.action {
        ExhaustionAction::Deny402 => fact("at zero", format!("402; {last}")),
        ExhaustionAction::Overage => fact(
            "at zero",
            format!("served on and billed to the payment method, {most}; 402 without one; {last}"),
        ),
    }]
}

/// What a request is charged in odd cases.
pub fn charge(catalog: &Catalog) -> Facts {
    let bound = catalog.max_charge_per_request;
    bound
        .map(|max| fact("a request", format!("is charged {} credits at most", short(max))))
        .into_iter()
        .collect()
}

/// What a request is charged whose end nobody saw.
pub fn lost(catalog: &Catalog) -> Facts {
    let charged = match catalog.lost {
        Lost::Hold => "all that it held",
        Lost::Estimate => "its input as estimated",
        Lost::Zero => "nothing",
    };
    vec![fact("a request whose end nobody saw", format!("is charged {charged}"))]
}

/// Links of refusals.
pub fn links(catalog: &Catalog) -> Facts {
    let links = &catalog.links;
    let all = [("top_up", &links.top_up), ("upgrade", &links.upgrade), ("contact", &links.contact)];
    all.into_iter().filter_map(|(name, link)| Some(fact(name, link.as_ref()?))).collect()
}

#[cfg(test)]
mod tests;

//! What belongs to some accounts alone, in words: tiers, coupons, cohorts, programmes.

use tariff::Catalog;
use tariff::catalog::{Cohort, Coupon, Programme};

use super::phrase::{instant, joined, length, percent, short};
use super::plan::rate;
use super::{Facts, fact};

/// Plans that follow from purchases.
pub fn tiers(catalog: &Catalog) -> Facts {
    let Some(tiers) = &catalog.tiers else { return Facts::new() };
    let mut facts = vec![fact("plan by purchases", format!("{} below all steps", tiers.none))];
    for rule in &tiers.by {
        let steps: Vec<String> =
            rule.steps.iter().map(|(from, plan)| format!("{plan} from {} USD", short(*from))).collect();
        let text = format!("{} bought {} within {}", joined(&steps), rule.cadence, length(rule.window));
        facts.push((format!("plan by purchases ({})", rule.cadence), text));
    }
    facts
}

/// What a coupon says.
pub fn coupon(coupon: &Coupon) -> Facts {
    let first = if coupon.first_payment { " the first payment" } else { "" };
    let mut facts = vec![fact("takes", format!("{} off{first}", percent(coupon.off)))];
    facts.extend(coupon.until.map(|until| fact("valid", format!("before {}", instant(until)))));
    facts
}

/// What a cohort says.
pub fn cohort(cohort: &Cohort) -> Facts {
    let mut facts = vec![fact("accounts", format!("created before {}", instant(cohort.created_before)))];
    let until =
        cohort.until.map_or_else(|| "for good".to_owned(), |until| format!("before {}", instant(until)));
    facts.push(fact("hold", until));
    let rates = cohort.rates.iter().map(|own| format!("{} {}", own.id, rate(own)));
    let rates: Vec<String> = rates.collect();
    facts.push(fact("rates", if rates.is_empty() { "none".to_owned() } else { rates.join(", ") }));
    facts
}

/// What a programme says.
pub fn programme(programme: &Programme) -> Facts {
    vec![
        fact("free", joined(&programme.models)),
        fact("lasts", format!("at most {}", length(programme.lasts))),
    ]
}

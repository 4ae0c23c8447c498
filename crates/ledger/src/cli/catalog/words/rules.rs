//! The rules that hold for all plans, in words: bypasses, exempt traffic, switches, purchases.

use tariff::catalog::{CycleOnSwitch, LotsOnSwitch, Measure, Proration, SwitchAt, Transition, Transitions};
use tariff::{Catalog, Ratio};

use super::phrase::{each, joined, measure, percent, short};
use super::{Facts, fact};

/// What positive balances lift.
pub fn bypasses(catalog: &Catalog) -> Facts {
    let said = catalog.bypasses.iter().map(|bypass| {
        let rates = bypass.rates.then_some("rates are not enforced");
        let models =
            bypass.models.then_some("every model is open (paid from it alone where the plan has it not)");
        let lifted: Vec<&str> = rates.into_iter().chain(models).collect();
        (format!("with anything in {}", bypass.pool), lifted.join("; "))
    });
    said.collect()
}

/// Traffic that limits leave out.
pub fn exempt(catalog: &Catalog) -> Facts {
    let said = catalog.exempt.iter().map(|rule| {
        let measures: Vec<String> = rule.measures.iter().map(|own: &Measure| measure(*own)).collect();
        fact("not counted", format!("{} of keys of class {}", joined(&measures), joined(&rule.auth_classes)))
    });
    said.collect()
}

/// What switches do, where the catalog says anything.
pub fn transitions(catalog: &Catalog) -> Facts {
    let Transitions { up, down } = &catalog.transitions;
    if catalog.transitions == Transitions::default() {
        return Facts::new();
    }
    if up == down {
        return vec![fact("switch", switch(up))];
    }
    vec![fact("switch up", switch(up)), fact("switch down", switch(down))]
}

fn switch(transition: &Transition) -> String {
    let at = match transition.at {
        SwitchAt::Now => "at once",
        SwitchAt::PeriodEnd => {
            return "at the end of the billing period; until then it can be replaced".to_owned();
        }
        SwitchAt::PaymentConfirmed => "once it is paid",
    };
    let cycle = match transition.cycle {
        CycleOnSwitch::Restart => "a billing cycle begins",
        CycleOnSwitch::Keep => "the billing cycle goes on",
    };
    let lots = match transition.lots {
        LotsOnSwitch::Void => "what the old plan granted is void",
        LotsOnSwitch::Keep => "what the old plan granted stays",
    };
    let back = transition.proration.as_ref().map(proration);
    let said: Vec<String> = [at, cycle, lots].into_iter().map(str::to_owned).chain(back).collect();
    said.join("; ")
}

fn proration(proration: &Proration) -> String {
    let by_pool: Vec<String> = proration
        .usage
        .iter()
        .map(|(pool, weight)| format!("{} of the use of {pool}", percent(*weight)))
        .collect();
    let by_use = if by_pool.is_empty() {
        String::new()
    } else {
        format!(", or {} where that is more", joined(&by_pool))
    };
    let steps = proration.step_days.map_or_else(String::new, |days| format!(" in steps of {days} days"));
    let floor = if proration.floor == Ratio::ZERO {
        String::new()
    } else {
        format!(", {} at least", percent(proration.floor))
    };
    let capped = if proration.capped { ", never more than the new plan costs more" } else { "" };
    format!(
        "the unused part of the old price goes to {}: used is the time of {} days{steps}{by_use}{floor}{capped}",
        proration.to, proration.days
    )
}

/// How credits are bought.
pub fn purchases(catalog: &Catalog) -> Facts {
    let purchases = &catalog.purchases;
    let Some(pool) = &purchases.pool else { return Facts::new() };
    let rate =
        purchases.credits_per_usd.map_or_else(String::new, |rate| format!(", {rate} credits for 1 USD"));
    let mut facts = vec![fact("bought credits", format!("go to {pool}{rate}"))];
    for (provider, least) in &purchases.minimum_usd {
        let by = if provider == "*" { String::new() } else { format!(" by {provider}") };
        facts.push((format!("a purchase{by}"), format!("{} USD at least", short(*least))));
    }
    for (from, rate) in &purchases.bonus {
        let to = purchases.bonus_pool.as_ref().map_or_else(String::new, |pool| format!(" in {pool}"));
        facts.push((format!("bonus from {} USD", short(*from)), format!("{} on top{to}", percent(*rate))));
    }
    if purchases.refund.allowed {
        let used = if purchases.refund.unless_used { "while nothing was ever used" } else { "at any time" };
        let consent = if purchases.refund.consent { "; the customer agrees to that first" } else { "" };
        facts.push(fact("given back", format!("{used}{consent}")));
    }
    if !purchases.recharge.is_empty() {
        let often: Vec<String> = purchases.recharge.iter().map(|period| each(*period)).collect();
        facts.push(fact("recharge", format!("{} where it is set up", often.join(" or "))));
    }
    facts
}

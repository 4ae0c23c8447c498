//! What is allowed and probably not meant: warnings of `bursar catalog check`.

use std::collections::BTreeSet;

use super::check::{all_open, measured, nearest, place};
use super::problem::{Report, quoted};
use super::tree::Node;
use crate::catalog::{Catalog, Measure, Model, Plan};
use crate::funding::Funding;
use crate::meter::Meter;

/// Warns of what a sound catalog most likely has by mistake.
pub(super) fn advise(catalog: &Catalog, root: &Node, report: &mut Report) {
    shared_first(catalog, root, report);
    offered(catalog, root, report);
    counted(catalog, root, report);
    readable(catalog, root, report);
    contact(catalog, root, report);
    spent(catalog, root, report);
}

/// A pool that many models share, drawn before one that only some may use: what the first gives to those models
/// is missing for the others, while the second stays full.
fn shared_first(catalog: &Catalog, root: &Node, report: &mut Report) {
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    for plan in &catalog.plans {
        let Some(funding) = catalog.funding(&plan.name, &all_open(catalog)) else { continue };
        for (shared, exclusive) in out_of_order(&funding) {
            if !told.insert((shared.to_owned(), exclusive.to_owned())) {
                continue;
            }
            let message = format!(
                "{} pays for more models than {} and is drawn before it (plan {})",
                quoted(shared),
                quoted(exclusive),
                quoted(&plan.name)
            );
            let hint = "credits that fewer models can use are best drawn first: give them the lower `order`";
            report.warn(nearest(root, &["pools", shared, "order"]), message, hint);
        }
    }
}

/// Pairs of pools of which the first is in classes that the second is not in, and is drawn before it.
fn out_of_order(funding: &Funding) -> Vec<(&str, &str)> {
    let classes = |pool: &str| -> BTreeSet<usize> {
        let with = funding.classes.iter().enumerate();
        with.filter(|(_, class)| class.pools.iter().any(|own| own == pool)).map(|(at, _)| at).collect()
    };
    let mut pairs = Vec::new();
    for class in &funding.classes {
        for (at, first) in class.pools.iter().enumerate() {
            for second in class.pools.iter().skip(at.saturating_add(1)) {
                let (wide, narrow) = (classes(first), classes(second));
                if narrow.is_subset(&wide) && narrow != wide {
                    pairs.push((first.as_str(), second.as_str()));
                }
            }
        }
    }
    pairs
}

/// Models that nobody can use.
fn offered(catalog: &Catalog, root: &Node, report: &mut Report) {
    let offered = |model: &Model| {
        let unlocked = |plan: &Plan| crate::glob::matches_any(&plan.models, &model.name);
        catalog.plans.iter().any(unlocked) || catalog.bypassed(model)
    };
    for model in catalog.models.iter().filter(|model| !offered(model)) {
        report.warn(
            nearest(root, &["models", &model.name]),
            "no plan offers this model",
            "`models` of a plan",
        );
    }
}

/// Limits and rates on what no model of theirs counts.
fn counted(catalog: &Catalog, root: &Node, report: &mut Report) {
    let known = |meter: Meter, models: &[String]| {
        let mut counting =
            catalog.models.iter().filter(|model| crate::glob::matches_any(models, &model.name));
        counting.any(|model| counts(model, meter))
    };
    let hint = "a model counts what it has a price for, be it 0";
    for plan in &catalog.plans {
        if let Some(node) = place(root, &["plans", &plan.name, "limits"]) {
            for limit in &plan.limits {
                let Measure::Meter(meter) = limit.measure else { continue };
                if !known(meter, &limit.models) {
                    let message = format!(
                        "limit {}: no model of it counts {}",
                        quoted(&limit.id),
                        measured(limit.measure)
                    );
                    report.warn(node, message, hint);
                }
            }
        }
        if let Some(node) = place(root, &["plans", &plan.name, "rates"]) {
            for rate in plan.rates.iter().filter(|rate| !known(rate.meter, &rate.models)) {
                let meter = quoted(rate.meter.as_str());
                report.warn(node, format!("rate {}: no model of it counts {meter}", quoted(&rate.id)), hint);
            }
        }
    }
}

/// Whether a model's requests count a meter: what it has a price for, and what its requests state.
fn counts(model: &Model, meter: Meter) -> bool {
    let prices = model.prices.iter().chain(model.variants.iter().flat_map(|own| own.prices.iter()));
    let stated = model.stated.iter().map(|stated| stated.meter);
    let own: BTreeSet<Meter> =
        prices.map(|(meter, _)| meter).chain(stated).chain([Meter::Requests]).collect();
    match meter {
        Meter::Tokens => own.iter().any(|own| own.is_of_tokens()),
        one => one.stand_ins().any(|other| own.contains(&other)),
    }
}

/// Bounds on parameters that the gateway cannot read.
fn readable(catalog: &Catalog, root: &Node, report: &mut Report) {
    for plan in &catalog.plans {
        for name in plan.request_limits.keys() {
            let node = place(root, &["plans", &plan.name, "request_limits", name]);
            let known = catalog.parameters.iter().any(|parameter| parameter.name == *name);
            if let (Some(node), false) = (node, known) {
                let message = "no parameter has this name: it is shown, and not enforced in requests";
                report.warn(node, message, "`parameters` says which member of a request it is");
            }
        }
    }
}

/// Features that only plans on request have, and nobody named to ask.
fn contact(catalog: &Catalog, root: &Node, report: &mut Report) {
    if catalog.links.contact.is_some() {
        return;
    }
    for model in &catalog.models {
        let Some(feature) = &model.feature else { continue };
        let holders = || catalog.plans.iter().filter(|plan| plan.has(feature));
        if holders().next().is_some() && holders().all(|plan| !plan.public) {
            let message = "only plans that are not public have this feature, and there is no one to ask";
            report.warn(nearest(root, &["models", &model.name, "feature"]), message, "`links.contact`");
        }
    }
}

/// Pools whose credits nothing is paid from.
fn spent(catalog: &Catalog, root: &Node, report: &mut Report) {
    for pool in &catalog.pools {
        let payable = catalog.models.iter().any(|model| model.asset == pool.asset && !model.is_free());
        let other_assets = pool.asset != crate::compile::CREDITS;
        if other_assets && !payable {
            let message = format!("nothing is paid in {}", quoted(&pool.asset));
            report.warn(nearest(root, &["pools", &pool.name, "asset"]), message, "`asset` of a model");
        }
    }
}

//! What prices leave out: meters that a request states and no price names, prices of other things than the model's
//! own, counts that nobody makes, and entries that take away what is not there.

use std::collections::BTreeSet;

use super::check::{nearest, place};
use super::problem::{Report, quoted};
use super::tree::{Node, Value};
use crate::catalog::{Catalog, Model, Plan, ServiceTier};
use crate::meter::Meter;
use crate::price::Prices;

/// Reports prices that no request could be sold by, and warns of those that most likely say something else.
pub(super) fn check(catalog: &Catalog, root: &Node, report: &mut Report) {
    let costly = assets(catalog, root);
    for model in &catalog.models {
        for (prices, node) in lists(catalog, model, root) {
            // A list that could not be read has its own problem.
            if !prices.is_empty() && !model.prices.is_empty() {
                stated(model, prices, node, root, report);
                alike(model, prices, node, report);
                multiplied(model, prices, node, report);
                unheld(model, prices, &costly, node, report);
            }
        }
        characters(model, root, report);
    }
    for plan in &catalog.plans {
        taken_away(catalog, plan, root, report);
    }
}

/// The assets that anything costs some of.
fn assets<'c>(catalog: &'c Catalog, root: &'c Node) -> BTreeSet<&'c str> {
    let costs = |model: &Model| lists(catalog, model, root).iter().any(|(prices, _)| !prices.is_free());
    catalog.models.iter().filter(|model| costs(model)).map(|model| &*model.asset).collect()
}

/// Every price list that requests of a model may be sold by, with where it stands.
fn lists<'c>(catalog: &'c Catalog, model: &'c Model, root: &'c Node) -> Vec<(&'c Prices, &'c Node)> {
    let at = |path: &[&str]| nearest(root, path);
    let mut lists = vec![(&model.prices, at(&["models", &model.name, "price"]))];
    let variants = model.variants.iter();
    lists.extend(variants.map(|own| (&own.prices, at(&["models", &model.name, "variants", &own.name]))));
    let tiers = model.service_tiers.iter().filter_map(|own| Some((own.prices.as_ref()?, &own.name)));
    lists.extend(tiers.map(|(prices, name)| (prices, at(&["models", &model.name, "service_tiers", name]))));
    let later =
        model.dated.iter().flat_map(|own| own.prices.iter().chain(own.variants.iter().map(|(_, own)| own)));
    lists.extend(later.map(|prices| (prices, at(&["models", &model.name, "price_changes"]))));
    for plan in &catalog.plans {
        let own = plan.prices.iter().filter(|(name, _)| is_of(name, model));
        // What a plan has from the one that it extends is told of there.
        lists.extend(own.filter_map(|(name, prices)| {
            Some((prices, place(root, &["plans", &plan.name, "prices", name])?))
        }));
    }
    lists
}

/// Prices must be such that can be added up in every tier of service too.
fn multiplied(model: &Model, prices: &Prices, node: &Node, report: &mut Report) {
    let own = model.cost.iter().filter(|_| std::ptr::eq(prices, &raw const model.prices));
    let lists = || own.clone().map(|cost| (cost, true)).chain([(prices, false)]);
    for tier in &model.service_tiers {
        let times =
            |(list, is_cost): (&Prices, bool)| if is_cost { tier.cost(list) } else { tier.prices(list) };
        if lists().any(|list| times(list).is_none_or(|own| !own.is_portable())) {
            let message =
                format!("these prices have too many digits times the factor of {}", quoted(&tier.name));
            report.on_with(node, message, "over a common denominator they may not exceed 64 bits");
        }
    }
}

/// What may cost something has to hold something: a request that holds nothing is served without credits, and what it
/// comes to has no bound. Nobody is held to a tier's own list that costs less than the model's price.
fn unheld(model: &Model, prices: &Prices, costly: &BTreeSet<&str>, node: &Node, report: &mut Report) {
    let is_tiers = |tier: &ServiceTier| tier.prices.as_ref().is_some_and(|own| std::ptr::eq(own, prices));
    if model.service_tiers.iter().any(is_tiers) || holds(model, prices) {
        return;
    }
    let (by, hint) = if !prices.is_free() {
        let priced =
            prices.iter().filter(|(_, unit)| !unit.is_zero()).map(|(meter, _)| quoted(meter.as_str()));
        let priced: Vec<String> = priced.collect();
        let by = if priced.is_empty() { "a longer input".to_owned() } else { priced.join(", ") };
        (by, "a price for the request, or for what each is known to use, be it small")
    } else if model.by_answered && costly.contains(&*model.asset) {
        let hint =
            "the price of the dearest model behind it; where all of them are free, no `charge: answered`";
        ("the model that answers".to_owned(), hint)
    } else if model.has_dearer_tiers() {
        ("its tier of service".to_owned(), "the price of the dearest tier")
    } else {
        return;
    };
    let message =
        format!("holds nothing, and may cost something by {by}: it would be served without credits");
    report.on_with(node, message, hint);
}

/// Whether requests by these prices hold something: by what is estimated or stated of each before it is answered, where
/// no long input makes it dearer.
fn holds(model: &Model, prices: &Prices) -> bool {
    const HELD: [Meter; 7] = [
        Meter::Requests,
        Meter::InputTokens,
        Meter::OutputTokens,
        Meter::Images,
        Meter::Pages,
        Meter::Seconds,
        Meter::Characters,
    ];
    // Held as one where nothing else is sold.
    let by_search = !prices.iter().any(|(meter, _)| meter.is_of_tokens());
    let stated = model.stated.iter().map(|stated| stated.meter);
    let mut held = HELD.into_iter().chain(stated).chain(by_search.then_some(Meter::Searches));
    held.any(|meter| prices.unit(meter).is_some_and(|unit| !unit.is_zero()))
}

/// Whether a plan's price is that of a model or of its variant.
fn is_of(name: &str, model: &Model) -> bool {
    let variant = name.strip_prefix(&model.name).and_then(|rest| rest.strip_prefix('@'));
    name == model.name || variant.is_some_and(|variant| model.variants.iter().any(|own| own.name == variant))
}

/// What a request states has to have a price: without one every request would be refused.
fn stated(model: &Model, prices: &Prices, node: &Node, root: &Node, report: &mut Report) {
    for stated in model.stated.iter().filter(|stated| prices.unit(stated.meter).is_none()) {
        let meter = quoted(stated.meter.as_str());
        let own = std::ptr::eq(prices, &raw const model.prices);
        let node = if own {
            nearest(root, &["models", &model.name, "quantity", stated.meter.as_str()])
        } else {
            node
        };
        let message = match own {
            true => format!("requests state {meter}, which has no price: each would be refused"),
            false => format!("no price for {meter}, which requests state: each would be refused"),
        };
        report.on_with(node, message, "what costs nothing has the price 0");
    }
}

/// A price in another place of the model's own is expected to be for the same meters.
fn alike(model: &Model, prices: &Prices, node: &Node, report: &mut Report) {
    let (own, other) = (metered(&model.prices), metered(prices));
    let missing: Vec<String> = own.difference(&other).map(|meter| quoted(meter.as_str())).collect();
    let further: Vec<String> = other.difference(&own).map(|meter| quoted(meter.as_str())).collect();
    if missing.is_empty() && further.is_empty() {
        return;
    }
    let joined = |meters: &[String]| match meters {
        [] => "nothing but the request".to_owned(),
        meters => meters.join(", "),
    };
    let message =
        format!("prices {} where the model's own price is by {}", joined(&further), joined(&missing));
    let message = match (further.is_empty(), missing.is_empty()) {
        (true, false) => format!("has no price for {}, which the model's own price is by", joined(&missing)),
        (false, true) => format!("prices {}, which the model's own price does not", joined(&further)),
        _ => message,
    };
    report.warn(node, message, "the same meters in each price of a model, be it with 0");
}

/// What a price list counts, meters with a stand-in as that.
fn metered(prices: &Prices) -> BTreeSet<Meter> {
    let meters = prices.iter().map(|(meter, _)| meter.stand_ins().last().unwrap_or(meter));
    meters.filter(|meter| *meter != Meter::Requests).collect()
}

/// Characters are what no known answer counts: the request's text says how many they are.
fn characters(model: &Model, root: &Node, report: &mut Report) {
    let mut lists = model.variants.iter().map(|own| &own.prices).chain([&model.prices]);
    let priced = lists.any(|prices| prices.iter().any(|(meter, _)| meter == Meter::Characters));
    if priced && model.stated.iter().all(|stated| stated.meter != Meter::Characters) {
        let node = nearest(root, &["models", &model.name, "price"]);
        let message =
            "nothing counts its `characters`: an answer that does not say how many is charged as one";
        let hint =
            "`parameters: {text: {member: input, read: characters}}`, and `quantity: {characters: text}`";
        report.warn(node, message, hint);
    }
}

/// `null` takes away what a plan has by the one that it extends; elsewhere it is a misspelt name.
fn taken_away(catalog: &Catalog, plan: &Plan, root: &Node, report: &mut Report) {
    let parent = place(root, &["plans", &plan.name, "extends"]).and_then(Node::plain_text);
    let parent = parent.and_then(|parent| catalog.plan(parent));
    let had = |field: &str, name: &str| {
        parent.is_some_and(|parent| match field {
            "cadences" => parent.cadences.iter().any(|own| own.name == name),
            "levels" => parent.levels.contains_key(name),
            "forward" => parent.forward.iter().any(|(own, _)| own == name),
            _ => parent.prices.contains_key(name),
        })
    };
    for field in ["cadences", "levels", "forward", "prices"] {
        let Some(Value::Map(entries)) = place(root, &["plans", &plan.name, field]).map(|node| &node.value)
        else {
            continue;
        };
        for entry in entries.iter().filter(|entry| entry.node.is_null() && !had(field, &entry.key)) {
            let message = "there is nothing to take away";
            report.on_with(&entry.node, message, "`null` is for what a plan has by `extends`");
        }
    }
}

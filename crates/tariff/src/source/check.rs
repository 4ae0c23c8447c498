//! What contradicts itself over the whole catalog, though each part of it reads well.

use std::collections::{BTreeMap, BTreeSet};

use super::limit::measure_name;
use super::problem::{Report, quoted};
use super::tree::{Node, Value};
use crate::catalog::{Catalog, Measure, Model, OnExceed, Plan, PoolModels, Window};
use crate::funding::{Funding, FundingClass, Standing};
use crate::period::Period;
use crate::policy::BUCKETS_MAX;

/// Reports every contradiction, at its place in the document.
pub(super) fn check(catalog: &Catalog, root: &Node, report: &mut Report) {
    if place(root, &["plans"]).map_or(0, entries) == catalog.plans.len() && !catalog.plans.is_empty() {
        unlockable(catalog, root, report);
    }
    // Pools that could not be read would be missed: what is asked of all of them waits until they can.
    let whole = place(root, &["pools"]).map_or(0, entries) == catalog.pools.len();
    if whole {
        assets(catalog, root, report);
    }
    bypasses(catalog, root, report);
    windows(catalog, root, report);
    prorations(catalog, root, report);
    // A cost that is there and could not be read has its own problem.
    let unread: BTreeSet<&str> = match place(root, &["models"]).map(|node| &node.value) {
        Some(Value::Map(models)) => {
            let costed = models.iter().filter(|entry| child(&entry.node, "cost").is_some());
            costed.map(|entry| entry.key.as_str()).collect()
        }
        _ => BTreeSet::new(),
    };
    for plan in catalog.plans.iter().filter(|_| whole) {
        let Some(funding) = catalog.funding(&plan.name, &all_open(catalog)) else { continue };
        payable(catalog, plan, &Classes::of(&funding), root, report);
        costed(catalog, plan, &funding, &unread, root, report);
        bounded(catalog, plan, root, report);
    }
}

/// The deepest node on a path that the document has; the root at least.
pub(super) fn nearest<'t>(root: &'t Node, path: &[&str]) -> &'t Node {
    let mut node = root;
    for name in path {
        match child(node, name) {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

/// The node at a path.
pub(super) fn place<'t>(root: &'t Node, path: &[&str]) -> Option<&'t Node> {
    path.iter().try_fold(root, |node, name| child(node, name))
}

fn child<'t>(node: &'t Node, name: &str) -> Option<&'t Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node),
        _ => None,
    }
}

fn entries(node: &Node) -> usize {
    match &node.value {
        Value::Map(entries) => entries.len(),
        _ => 0,
    }
}

/// An account to which every pool is open.
pub(super) fn all_open(catalog: &Catalog) -> Standing {
    let pools: Vec<String> = catalog.pools.iter().map(|pool| pool.name.clone()).collect();
    Standing { opted_in: pools.clone(), positive: pools, ..Standing::default() }
}

/// The class that each model's requests are in.
struct Classes<'f> {
    named: BTreeMap<&'f str, &'f FundingClass>,
    rest: Option<&'f FundingClass>,
}

impl<'f> Classes<'f> {
    /// Of a funding, whose classes name their models one by one, but for the last.
    fn of(funding: &'f Funding) -> Self {
        let mut named = BTreeMap::new();
        for class in &funding.classes {
            named.extend(class.models.iter().map(|model| (model.as_str(), class)));
        }
        Self { named, rest: funding.classes.last() }
    }

    fn class(&self, model: &Model) -> Option<&'f FundingClass> {
        self.named.get(model.name.as_str()).copied().or(self.rest)
    }
}

/// A model that asks for a feature which no plan has could be used by nobody, and no refusal could say what helps.
fn unlockable(catalog: &Catalog, root: &Node, report: &mut Report) {
    for model in &catalog.models {
        let Some(feature) = &model.feature else { continue };
        if catalog.plans.iter().all(|plan| !plan.has(feature)) && !catalog.bypassed(model) {
            report.on_with(
                nearest(root, &["models", &model.name, "feature"]),
                format!("no plan has the feature {}, so nothing unlocks the model", quoted(feature)),
                "name it under the `features` of a plan",
            );
        }
    }
}

/// What is paid in something that no pool holds could never be paid; a limit named as an asset would share its bucket.
fn assets(catalog: &Catalog, root: &Node, report: &mut Report) {
    let held: BTreeSet<&str> = catalog.pools.iter().map(|pool| pool.asset.as_str()).collect();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for model in catalog.models.iter().filter(|model| !model.is_free()) {
        if !held.contains(model.asset.as_str()) && told.insert(&model.asset) {
            let hint = super::problem::suggestion(&model.asset, held.iter().copied());
            let hint = hint.unwrap_or_else(|| "`asset` of a pool says what it holds".to_owned());
            let message =
                format!("no pool holds {}, so nothing could pay for the model", quoted(&model.asset));
            let node = place(root, &["models", &model.name, "asset"]);
            let node = node.unwrap_or_else(|| nearest(root, &["models", &model.name, "price"]));
            report.on_with(node, message, hint);
        }
    }
    for plan in &catalog.plans {
        for limit in plan.limits.iter().filter(|limit| held.contains(limit.id.as_str())) {
            let node = nearest(root, &["plans", &plan.name, "limits"]);
            report.on_with(
                node,
                format!("a limit has the name of what pools hold, {}", quoted(&limit.id)),
                "give it another `id`",
            );
        }
    }
}

/// A bypass that opens all models needs a pool that may pay for all.
fn bypasses(catalog: &Catalog, root: &Node, report: &mut Report) {
    for bypass in catalog.bypasses.iter().filter(|bypass| bypass.models) {
        if catalog.pool(&bypass.pool).is_some_and(|pool| pool.models != PoolModels::All) {
            report.on_with(
                nearest(root, &["pools", &bypass.pool, "models"]),
                "a bypass opens all models to this pool, and it does not pay for all",
                "models: all",
            );
        }
    }
}

/// A window that is counted from the start of the cycle begins anew with each: a longer one would never end.
fn windows(catalog: &Catalog, root: &Node, report: &mut Report) {
    for plan in &catalog.plans {
        for limit in &plan.limits {
            let Window::Anchored(length) = limit.window else { continue };
            let cycles = plan.cadences.iter().map(|cadence| cadence.cycle).chain([plan.cycle]);
            let shorter = cycles.into_iter().find(|cycle| least_s(length) > most_s(*cycle));
            if let Some(cycle) = shorter {
                let message = format!(
                    "limit {}: windows of {length} are longer than a cycle of {cycle}, with which they begin anew",
                    quoted(&limit.id)
                );
                report.on_with(nearest(root, &["plans", &plan.name, "limits"]), message, "window: cycle");
            }
        }
    }
}

/// The shortest that a period can be, in seconds.
fn least_s(period: Period) -> u64 {
    seconds(period, 28, 23)
}

/// The longest that a period can be, in seconds.
fn most_s(period: Period) -> u64 {
    seconds(period, 31, 25)
}

fn seconds(period: Period, days_of_month: u64, hours_of_day: u64) -> u64 {
    let days = u64::from(period.months()).saturating_mul(days_of_month).saturating_add(period.days().into());
    days.saturating_mul(hours_of_day).saturating_mul(3_600).saturating_add(period.seconds().into())
}

/// A credit for the unused part of a plan needs an exchange rate.
fn prorations(catalog: &Catalog, root: &Node, report: &mut Report) {
    let switches = [("up", &catalog.transitions.up), ("down", &catalog.transitions.down)];
    let prorated = |direction: &str| {
        ["any", direction].into_iter().find_map(|name| place(root, &["transitions", name, "proration"]))
    };
    let without_rate = catalog.purchases.credits_per_usd.is_none();
    let nodes = switches.iter().filter(|(_, switch)| switch.proration.is_some() && without_rate);
    let mut reported: Vec<&str> = Vec::new();
    for node in nodes.filter_map(|(direction, _)| prorated(direction)) {
        if !reported.contains(&node.path.as_str()) {
            report.on_with(
                node,
                "a credit in US dollars, and nothing says how many credits a dollar is",
                "state `purchases.credits_per_usd`",
            );
            reported.push(&node.path);
        }
    }
}

/// What a plan offers and no pool pays for would be refused for ever.
fn payable(catalog: &Catalog, plan: &Plan, classes: &Classes<'_>, root: &Node, report: &mut Report) {
    let unpaid = |model: &&Model| {
        let paid = classes.class(model);
        plan.opens(model)
            && catalog.pools.iter().any(|pool| pool.asset == model.asset)
            && paid.is_some_and(|class| class.bucket.is_some() && class.pools.is_empty())
    };
    let unpaid: Vec<&str> =
        catalog.models.iter().filter(unpaid).map(|model| model.name.as_str()).take(NAMED_MAX).collect();
    if let Some(first) = unpaid.first() {
        let message = format!("no pool pays for what it offers: {}", quoted(first));
        let message = if unpaid.len() > 1 { format!("{message} and others") } else { message };
        let node = nearest(root, &["plans", &plan.name, "models"]);
        report.on_with(node, message, "`models` of the pools say what they pay for");
    }
}

/// A limit on the provider's cost cannot count a model without one: an unknown cost is never 0.
fn costed(
    catalog: &Catalog,
    plan: &Plan,
    funding: &Funding,
    unread: &BTreeSet<&str>,
    root: &Node,
    report: &mut Report,
) {
    let of_cost = |bucket: &String| {
        funding.caps.iter().any(|cap| cap.bucket == *bucket && cap.measure == Measure::Cost)
    };
    let classes = Classes::of(funding);
    let silent = |model: &&Model| {
        let counts = classes.class(model).is_some_and(|class| class.caps.iter().any(of_cost));
        model.cost.is_none() && counts && (plan.opens(model) || catalog.bypassed(model))
    };
    let silent = catalog.models.iter().filter(silent).map(|model| model.name.as_str());
    let silent: Vec<&str> = silent.filter(|name| !unread.contains(name)).collect();
    if let Some(first) = silent.first() {
        let others = match silent.len() {
            1 => String::new(),
            all => format!(" and {} more", all.saturating_sub(1)),
        };
        report.on_with(
            nearest(root, &["plans", &plan.name, "limits"]),
            format!("a limit counts `cost_usd`, and these models have no cost: {}{others}", quoted(first)),
            "state `cost` of each model that it counts; 0 where there is none",
        );
    }
}

/// An account's record in the gateway has so many buckets and no more.
fn bounded(catalog: &Catalog, plan: &Plan, root: &Node, report: &mut Report) {
    let most = standings(catalog, plan)
        .iter()
        .filter_map(|standing| catalog.policy(&plan.name, standing))
        .max_by_key(|policy| policy.buckets.len());
    let Some(policy) = most.filter(|policy| policy.buckets.len() > BUCKETS_MAX) else { return };
    let names: Vec<&str> = policy.buckets.iter().map(|bucket| bucket.id.as_str()).collect();
    report.on_with(
        nearest(root, &["plans", &plan.name, "limits"]),
        format!("needs {} buckets, {BUCKETS_MAX} are the most: {}", names.len(), names.join(", ")),
        "each limit with an end is one, and each group of pools that pays for a model",
    );
}

/// The standings that an account can come to, as far as they open and close pools.
fn standings(catalog: &Catalog, plan: &Plan) -> Vec<Standing> {
    let open = all_open(catalog);
    let mut standings = vec![open.clone()];
    if catalog.pools.iter().any(|pool| pool.opt_in) {
        standings.push(Standing::default());
    }
    if !catalog.programmes.is_empty() {
        let programmes = catalog.programmes.iter().map(|programme| programme.name.clone()).collect();
        standings.push(Standing { programmes, ..open.clone() });
    }
    let dry = |limit: &&crate::catalog::Limit| {
        limit.on_exceed == OnExceed::SkipPool && limit.measure != Measure::Credits
    };
    let drying: Vec<&str> = plan.limits.iter().filter(dry).map(|limit| limit.id.as_str()).collect();
    standings.extend(drying.iter().map(|id| Standing { dry: vec![(*id).to_owned()], ..open.clone() }));
    standings
}

/// A measure as messages name it.
pub(super) fn measured(measure: Measure) -> String {
    quoted(measure_name(measure))
}

/// How many models a message looks at.
const NAMED_MAX: usize = 2;

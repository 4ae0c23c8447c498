//! The whole document: top-level fields, and the order in which they are read so that references can
//! be checked.

use super::extends;
use super::fields::Fields;
use super::limits::{FEATURES_MAX, PLANS_MAX};
use super::problem::Report;
use super::tree::{Node, Value};
use super::{model, plan, pool};
use crate::catalog::{Admission, Catalog, Exhaustion, ExhaustionAction, FeatureGate, Links, Lost};
use crate::money::Micros;

const FIELDS: [&str; 10] = [
    "name",
    "links",
    "exhaustion",
    "max_charge_per_request",
    "lost",
    "max_output_default",
    "features",
    "pools",
    "models",
    "plans",
];

/// The catalog of a document; whether it is sound, the report says.
pub(super) fn catalog(root: &Node, report: &mut Report) -> Option<Catalog> {
    if matches!(root.value, Value::Null) {
        report.on(root, "the file is empty");
        return None;
    }
    let fields = Fields::of(root, &FIELDS, report)?;
    let name = fields.require("name", report).and_then(|node| node.text(report));
    let links = fields.get("links").and_then(|node| links(node, report));
    let exhaustion = fields.get("exhaustion").and_then(|node| exhaustion(node, report));
    let max_charge = fields.get("max_charge_per_request").and_then(|node| max_charge(node, report));
    let lost = fields.get("lost").and_then(|node| node.word("lost", &LOST, report));
    let max_output = fields.get("max_output_default").and_then(|node| model::max_output(node, report));
    let gates = fields.get("features").map(|node| features(node, report)).unwrap_or_default();

    // Names first, of all that is defined: a definition with a problem is still there to refer to.
    let [features, pools, models, plans] =
        ["features", "pools", "models", "plans"].map(|field| keys(&fields, field));
    let context =
        model::Context { features: &features, max_output_default: max_output.unwrap_or(MAX_OUTPUT_DEFAULT) };
    let required = |field: &str, report: &mut Report| fields.require(field, report);
    let read_pools = required("pools", report).map(|node| pool::pools(node, report));
    let read_models = required("models", report).map(|node| model::models(node, &context, report));
    let context = plan::Context { pools: &pools, features: &features, models: &models, plans: &plans };
    let plans_node = required("plans", report);
    let drafts: Vec<plan::Draft> = plans_node
        .and_then(|node| node.definitions(PLANS_MAX, report))
        .unwrap_or_default()
        .iter()
        .map(|entry| plan::draft(entry, &context, report))
        .collect();
    Some(Catalog {
        models: read_models?,
        pools: read_pools?,
        plans: extends::resolve(&drafts, report),
        gates,
        exhaustion: exhaustion.unwrap_or_default(),
        links: links.unwrap_or_default(),
        max_charge_per_request: max_charge,
        lost: lost.unwrap_or_default(),
        ..Catalog::named(name?)
    })
}

fn keys<'t>(fields: &Fields<'t>, field: &str) -> Vec<&'t str> {
    match fields.get(field).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn links(node: &Node, report: &mut Report) -> Option<Links> {
    let fields = Fields::of(node, &["top_up", "upgrade", "contact"], report)?;
    let mut link = |name: &str| fields.get(name).and_then(|node| node.link(report));
    Some(Links { top_up: link("top_up"), upgrade: link("upgrade"), contact: link("contact") })
}

fn exhaustion(node: &Node, report: &mut Report) -> Option<Exhaustion> {
    let fields = Fields::of(node, &["action", "admission"], report)?;
    let action = fields.get("action").and_then(|node| node.word("action", &ACTIONS, report));
    let admission = fields.get("admission").and_then(|node| node.word("admission", &ADMISSIONS, report));
    Some(Exhaustion {
        action: action.unwrap_or_default(),
        admission: admission.unwrap_or_default(),
        overage_cap: None,
    })
}

fn max_charge(node: &Node, report: &mut Report) -> Option<Micros> {
    let amount = node.amount(report)?;
    if amount == Micros::ZERO {
        report.on_with(node, "must be above 0", "leave it out for no bound");
        return None;
    }
    Some(amount)
}

/// `NAME: {title: TEXT}`, or `NAME:` alone.
fn features(node: &Node, report: &mut Report) -> Vec<FeatureGate> {
    let mut gates = Vec::new();
    for entry in node.definitions(FEATURES_MAX, report).unwrap_or_default() {
        entry.defines(report);
        let title = entry.node.or_null(|node| {
            let fields = Fields::of(node, &["title"], report)?;
            fields.get("title").and_then(|node| node.text(report))
        });
        let title = title.flatten().unwrap_or_else(|| entry.key.clone());
        gates.push(FeatureGate { feature: entry.key.clone(), title, levels: Vec::new(), header: None });
    }
    gates
}

/// Output tokens to hold for when neither request, model nor catalog says anything.
const MAX_OUTPUT_DEFAULT: u64 = 4_096;
const ACTIONS: [(&str, ExhaustionAction); 1] = [("deny402", ExhaustionAction::Deny402)];
const LOST: [(&str, Lost); 3] = [("hold", Lost::Hold), ("estimate", Lost::Estimate), ("zero", Lost::Zero)];
const ADMISSIONS: [(&str, Admission); 2] = [("clip", Admission::Clip), ("full", Admission::Full)];

//! The whole document: top-level fields, and the order in which they are read so that references can
//! be checked.

use super::exhaustion::{EXHAUSTION, exhaustion};
use super::feature::{FEATURE, PARAMETER, features, parameters};
use super::fields::Fields;
use super::limit::{BYPASS, EXEMPT, bypasses, exempt};
use super::limits::{OUTPUT_TOKENS_MAX, PLANS_MAX};
use super::names::Names;
use super::problem::Report;
use super::purchase::{COUPON, PURCHASES, TIERS, coupons, purchases, tiers};
use super::shape::{Field, Object, Shape, words};
use super::transition::{TRANSITIONS, transitions};
use super::tree::{Node, Value};
use super::{cohort, extends, model, plan, pool};
use crate::catalog::{Catalog, Links, Lost};
use crate::money::Micros;

/// The document.
pub(super) static DOCUMENT: Object = Object {
    name: "catalog",
    about: "Everything that is sold: models with their prices, sources of credits, plans.",
    fields: &[
        Field::required("name", Shape::Text, "The catalog's name, for people."),
        Field::new("links", Shape::Of(&LINKS), "Where refusals (402) point to."),
        Field::new("exhaustion", Shape::Of(&EXHAUSTION), "What happens when the credits are gone."),
        Field::new(
            "max_charge_per_request",
            Shape::Amount,
            "The most that one request is charged, in credits; the excess is recorded as disputed. No bound.",
        ),
        Field::new(
            "lost",
            Shape::Words(lost_words),
            "What a request is charged whose end nobody saw (a crash): all that it held (`hold`), its input as estimated \
             (`estimate`), or nothing (`zero`); `estimate`.",
        ),
        Field::new(
            "max_output_default",
            Shape::Whole(1, OUTPUT_TOKENS_MAX),
            "Output tokens to hold for when a request states no bound; 4096.",
        ),
        Field::new(
            "features",
            Shape::Map("feature", &Shape::OrNull(&Shape::Of(&FEATURE))),
            "What plans may have and models may ask for.",
        ),
        Field::new(
            "parameters",
            Shape::Map("parameter", &Shape::Either(&[Shape::Text, Shape::Of(&PARAMETER)])),
            "Members of request bodies that prices and limits refer to.",
        ),
        Field::new(
            "pools",
            Shape::Map("pool", &Shape::Of(&pool::POOL)),
            "Where credits come from; nothing is paid in credits.",
        ),
        Field::required(
            "models",
            Shape::Map("model", &Shape::Of(&model::MODEL)),
            "What is sold, with its prices.",
        ),
        Field::required("plans", Shape::Map("plan", &Shape::Of(&plan::PLAN)), "What accounts can be on."),
        Field::new("bypasses", Shape::List(&Shape::Of(&BYPASS)), "What a positive balance lifts."),
        Field::new("exempt", Shape::List(&Shape::Of(&EXEMPT)), "Traffic that limits leave out."),
        Field::new("transitions", Shape::Of(&TRANSITIONS), "What switching plans does."),
        Field::new("purchases", Shape::Of(&PURCHASES), "How credits are bought; not at all."),
        Field::new("tiers", Shape::Of(&TIERS), "Plans that follow from what was bought."),
        Field::new(
            "coupons",
            Shape::Map("code", &Shape::Of(&COUPON)),
            "What is off prices of plans, by code.",
        ),
        Field::new(
            "cohorts",
            Shape::Map("cohort", &Shape::Of(&cohort::COHORT)),
            "Accounts with other rates for a time.",
        ),
        Field::new(
            "programmes",
            Shape::Map("programme", &Shape::Of(&cohort::PROGRAMME)),
            "Models for nothing, for accounts that are enrolled.",
        ),
        Field::new("$schema", Shape::Text, "The JSON Schema of this file, for editors; not read."),
    ],
};

static LINKS: Object = Object {
    name: "links",
    about: "Where refusals (402) point to.",
    fields: &[
        Field::new("top_up", Shape::Link, "Where to buy credits."),
        Field::new("upgrade", Shape::Link, "Where to change the plan."),
        Field::new("contact", Shape::Link, "Whom to ask for what is on no public plan."),
    ],
};

/// The catalog of a document; whether it is sound, the report says.
pub(super) fn catalog(root: &Node, report: &mut Report) -> Option<Catalog> {
    if matches!(root.value, Value::Null) {
        report.on(root, "the file is empty");
        return None;
    }
    let fields = Fields::of(root, &DOCUMENT, report)?;
    let name = fields.get("name").and_then(|node| node.text(report));
    let gates = fields.get("features").map(|node| features(node, report)).unwrap_or_default();
    // Names first, of all that is defined: a definition with a problem is still there to refer to.
    let names = Names::of(&fields, &gates);
    let general = general(&fields, report);
    let max_output = fields.get("max_output_default").and_then(|node| model::max_output(node, report));
    let max_output = max_output.unwrap_or(MAX_OUTPUT_DEFAULT);
    let pools = fields.get("pools").map(|node| pool::pools(node, &names, report));
    let models = fields.get("models").map(|node| model::models(node, &names, max_output, report));
    let plans = fields.get("plans").and_then(|node| node.definitions(PLANS_MAX, report)).unwrap_or_default();
    let drafts: Vec<plan::Draft> = plans.iter().map(|entry| plan::draft(entry, &names, report)).collect();
    let rules = rules(&fields, &names, report);
    Some(Catalog {
        name: name?,
        models: models?,
        pools: pools.unwrap_or_default(),
        plans: extends::resolve(&drafts, report),
        exhaustion: general.exhaustion,
        links: general.links,
        max_charge_per_request: general.max_charge_per_request,
        lost: general.lost,
        gates,
        ..rules
    })
}

/// What holds for all plans and refers to nothing.
fn general(fields: &Fields<'_>, report: &mut Report) -> Catalog {
    let links = fields.get("links").and_then(|node| links(node, report));
    let exhaustion = fields.get("exhaustion").and_then(|node| exhaustion(node, report));
    let max_charge = fields.get("max_charge_per_request").and_then(|node| max_charge(node, report));
    let lost = fields.get("lost").and_then(|node| node.word("lost", &LOST, report));
    Catalog {
        exhaustion: exhaustion.unwrap_or_default(),
        links: links.unwrap_or_default(),
        max_charge_per_request: max_charge,
        lost: lost.unwrap_or_default(),
        ..Catalog::named("")
    }
}

/// The rules beside models, pools and plans.
fn rules(fields: &Fields<'_>, names: &Names<'_>, report: &mut Report) -> Catalog {
    Catalog {
        parameters: fields.get("parameters").map(|node| parameters(node, report)).unwrap_or_default(),
        bypasses: fields.get("bypasses").map(|node| bypasses(node, names, report)).unwrap_or_default(),
        exempt: fields.get("exempt").map(|node| exempt(node, report)).unwrap_or_default(),
        transitions: fields
            .get("transitions")
            .and_then(|node| transitions(node, names, report))
            .unwrap_or_default(),
        purchases: fields
            .get("purchases")
            .and_then(|node| purchases(node, names, report))
            .unwrap_or_default(),
        tiers: fields.get("tiers").and_then(|node| tiers(node, names, report)),
        coupons: fields.get("coupons").map(|node| coupons(node, report)).unwrap_or_default(),
        cohorts: fields.get("cohorts").map(|node| cohort::cohorts(node, names, report)).unwrap_or_default(),
        programmes: fields
            .get("programmes")
            .map(|node| cohort::programmes(node, names, report))
            .unwrap_or_default(),
        ..Catalog::named("")
    }
}

fn links(node: &Node, report: &mut Report) -> Option<Links> {
    let fields = Fields::of(node, &LINKS, report)?;
    let mut link = |name: &str| fields.get(name).and_then(|node| node.link(report));
    Some(Links { top_up: link("top_up"), upgrade: link("upgrade"), contact: link("contact") })
}

fn max_charge(node: &Node, report: &mut Report) -> Option<Micros> {
    let amount = node.amount(report)?;
    if amount == Micros::ZERO {
        report.on_with(node, "must be above 0", "leave it out for no bound");
        return None;
    }
    Some(amount)
}

/// Output tokens to hold for when neither request, model nor catalog says anything.
const MAX_OUTPUT_DEFAULT: u64 = 4_096;
const LOST: [(&str, Lost); 3] = [("hold", Lost::Hold), ("estimate", Lost::Estimate), ("zero", Lost::Zero)];

fn lost_words() -> Vec<&'static str> {
    words(&LOST)
}

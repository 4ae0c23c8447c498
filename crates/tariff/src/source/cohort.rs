//! Terms for a time: cohorts with rates of their own, programmes with models for nothing.

use super::fields::Fields;
use super::limits::RULES_MAX;
use super::names::Names;
use super::problem::Report;
use super::rate::{RATE, patterns, rates};
use super::shape::{Field, Object, Shape};
use super::tree::Node;
use crate::catalog::{Cohort, Programme};

/// Accounts with other rates for a time.
pub(super) static COHORT: Object = Object {
    name: "cohort",
    about: "Accounts that keep other rates for a time; the first cohort that an account belongs to counts.",
    fields: &[
        Field::required(
            "created_before",
            Shape::Instant,
            "Accounts created before this instant belong to it.",
        ),
        Field::new(
            "until",
            Shape::OrNull(&Shape::Instant),
            "The first instant at which it ends; it does not.",
        ),
        Field::required(
            "rates",
            Shape::List(&Shape::Of(&RATE)),
            "The rates in the place of the plan's; `[]`: none.",
        ),
    ],
};

/// Models for nothing, for enrolled accounts.
pub(super) static PROGRAMME: Object = Object {
    name: "programme",
    about: "Models that enrolled accounts have for nothing, for a time.",
    fields: &[
        Field::required("models", Shape::List(&Shape::Pattern), "The models."),
        Field::required("lasts", Shape::Period, "The longest enrolment (P1Y)."),
    ],
};

/// Reads the cohorts, in the file's order.
pub(super) fn cohorts(node: &Node, names: &Names<'_>, report: &mut Report) -> Vec<Cohort> {
    let mut cohorts = Vec::new();
    for entry in node.bounded(RULES_MAX, report).unwrap_or_default() {
        let sound = entry.defines(report);
        let Some(fields) = Fields::of(&entry.node, &COHORT, report) else { continue };
        let before = fields.get("created_before").and_then(|node| node.instant(report));
        let until_node = fields.get("until");
        let until = fields.or("until", None, |node| node.or_null(|node| node.instant(report)));
        let rates = fields.get("rates").and_then(|node| rates(node, names, report));
        let (Some(created_before), Some(until), Some(rates), true) = (before, until, rates, sound) else {
            continue;
        };
        if let (Some(end), Some(node)) = (until, until_node)
            && end <= created_before
        {
            report.on(node, "it ends before the last of its accounts is created");
        }
        cohorts.push(Cohort { name: entry.key.clone(), created_before, until, rates });
    }
    cohorts
}

/// Reads the programmes.
pub(super) fn programmes(node: &Node, names: &Names<'_>, report: &mut Report) -> Vec<Programme> {
    let mut programmes = Vec::new();
    for entry in node.bounded(RULES_MAX, report).unwrap_or_default() {
        let sound = entry.defines(report);
        let Some(fields) = Fields::of(&entry.node, &PROGRAMME, report) else { continue };
        let models = fields.get("models").and_then(|node| patterns(node, names, report));
        let lasts = fields.get("lasts").and_then(|node| node.period(report));
        if let (true, Some(models), Some(lasts)) = (sound, models, lasts) {
            programmes.push(Programme { name: entry.key.clone(), models, lasts });
        }
    }
    programmes
}

//! What happens when the credits are gone: of the catalog, and of plans that differ.

use super::fields::Fields;
use super::problem::Report;
use super::shape::{Field, Object, Shape, words};
use super::tree::Node;
use crate::catalog::{Admission, Exhaustion, ExhaustionAction};

/// The answer at zero.
pub(super) static EXHAUSTION: Object = Object {
    name: "exhaustion",
    about: "What happens when the credits are gone.",
    fields: &[
        Field::new(
            "action",
            Shape::Words(actions),
            "`deny402` (the answer is 402), or `overage`: served on, and billed to the payment method; `deny402`.",
        ),
        Field::new(
            "admission",
            Shape::Words(admissions),
            "A request that may cost more than is left: `clip` serves it, one at a time, so that the last credits \
             can be spent; `full` refuses it; `clip`.",
        ),
        Field::new(
            "overage_cap",
            Shape::OrNull(&Shape::Amount),
            "The most overage of an account in one billing cycle, in credits; no bound. An account may have its own.",
        ),
    ],
};

/// Reads what happens at zero; a word with a problem counts as left out.
pub(super) fn exhaustion(node: &Node, report: &mut Report) -> Option<Exhaustion> {
    let fields = Fields::of(node, &EXHAUSTION, report)?;
    let action = fields.get("action").and_then(|node| node.word("action", &ACTIONS, report));
    let admission = fields.get("admission").and_then(|node| node.word("admission", &ADMISSIONS, report));
    let cap_node = fields.get("overage_cap");
    let overage_cap = cap_node.and_then(|node| node.or_null(|node| node.amount(report))).flatten();
    let action = action.unwrap_or_default();
    if let (Some(node), Some(_), ExhaustionAction::Deny402) = (cap_node, overage_cap, action) {
        report.on_with(node, "a cap on overage where there is no overage", "action: overage");
    }
    Some(Exhaustion { action, admission: admission.unwrap_or_default(), overage_cap })
}

const ACTIONS: [(&str, ExhaustionAction); 2] =
    [("deny402", ExhaustionAction::Deny402), ("overage", ExhaustionAction::Overage)];
const ADMISSIONS: [(&str, Admission); 2] = [("clip", Admission::Clip), ("full", Admission::Full)];

fn actions() -> Vec<&'static str> {
    words(&ACTIONS)
}

fn admissions() -> Vec<&'static str> {
    words(&ADMISSIONS)
}

//! What switching plans does.

use super::fields::Fields;
use super::limits::ENTRIES_MAX;
use super::names::Names;
use super::problem::Report;
use super::shape::{Field, Object, Shape, words};
use super::tree::Node;
use crate::catalog::{CycleOnSwitch, LotsOnSwitch, Proration, SwitchAt, Transition, Transitions};
use crate::ratio::Ratio;

/// Switches by direction.
pub(super) static TRANSITIONS: Object = Object {
    name: "transitions",
    about: "What switching plans does. Up is to a plan that costs more per time; a plan on request is above all with a \
            price; equal prices are a switch up.",
    fields: &[
        Field::new("any", Shape::Of(&TRANSITION), "In both directions; in the place of `up` and `down`."),
        Field::new("up", Shape::Of(&TRANSITION), "To a dearer plan; at once, with a new cycle."),
        Field::new("down", Shape::Of(&TRANSITION), "To a cheaper plan; at once, with a new cycle."),
    ],
};

static TRANSITION: Object = Object {
    name: "transition",
    about: "What a switch in one direction does.",
    fields: &[
        Field::new(
            "at",
            Shape::Words(instants),
            "`now`; `period_end`: with the billing period, until when it can be replaced or cancelled; \
             `payment_confirmed`: once the payment is confirmed, and the old plan stays until then; `now`.",
        ),
        Field::new(
            "cycle",
            Shape::Words(cycles),
            "`restart`: a billing cycle begins with the switch, with the plan's grants in full; `keep`: the grants come \
             with the cycle's next start; `restart`.",
        ),
        Field::new(
            "lots",
            Shape::Words(lots),
            "What the old plan had granted: `void`, or `keep` until it expires; `void`. Bought credits always stay.",
        ),
        Field::new(
            "proration",
            Shape::OrNull(&Shape::Of(&PRORATION)),
            "What of the old price comes back as credits; nothing.",
        ),
    ],
};

static PRORATION: Object = Object {
    name: "proration",
    about: "Credit for the unused part of the old plan: with t = min(1, time since the cycle's start / `days`) and k = \
            the sum over `usage` of weight x used / granted, consumed = max(t, k, `floor`) and the credit is the old \
            price x (1 - consumed), rounded down to a cent; never below zero.",
    fields: &[
        Field::required("to", Shape::Name, "The pool that gets it, at `purchases.credits_per_usd`."),
        Field::required("days", Shape::Whole(1, DAYS_MAX), "After how many days all counts as used by time."),
        Field::new(
            "step_days",
            Shape::Whole(1, DAYS_MAX),
            "Time counts by whole steps of so many days; continuously.",
        ),
        Field::new(
            "usage",
            Shape::Map("pool", &Shape::Decimal),
            "Weights of pools, by name; they sum up to at most 1.",
        ),
        Field::new("floor", Shape::Decimal, "The least that counts as consumed; 0."),
        Field::new(
            "capped",
            Shape::Flag,
            "Whether it is never more than the new price less the old one; true.",
        ),
    ],
};

/// Reads what switches do.
pub(super) fn transitions(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Transitions> {
    let fields = Fields::of(node, &TRANSITIONS, report)?;
    let mut read = |name: &str| fields.get(name).and_then(|node| transition(node, names, report));
    let (any, up, down) = (read("any"), read("up"), read("down"));
    if let (Some(any), true) = (fields.get("any"), fields.get("up").or(fields.get("down")).is_some()) {
        report.on_with(any, "`any` beside `up` or `down`", "state `any` alone, or `up` and `down`");
    }
    let any = any.unwrap_or_default();
    Some(Transitions { up: up.unwrap_or_else(|| any.clone()), down: down.unwrap_or(any) })
}

fn transition(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Transition> {
    let fields = Fields::of(node, &TRANSITION, report)?;
    let at = fields.get("at").and_then(|node| node.word("time of a switch", &INSTANTS, report));
    let cycle = fields.get("cycle").and_then(|node| node.word("cycle of a switch", &CYCLES, report));
    let lots = fields.get("lots").and_then(|node| node.word("end of lots", &LOTS, report));
    let prorated =
        fields.get("proration").and_then(|node| node.or_null(|node| proration(node, names, report)));
    let at = at.unwrap_or_default();
    if let (SwitchAt::PeriodEnd, Some(node), Some(Some(_))) = (at, fields.get("proration"), &prorated) {
        report.on(node, "at the end of the billing period nothing is left to give back");
    }
    Some(Transition {
        at,
        cycle: cycle.unwrap_or_default(),
        lots: lots.unwrap_or_default(),
        proration: prorated.flatten(),
    })
}

fn proration(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Proration> {
    let fields = Fields::of(node, &PRORATION, report)?;
    let days = |node: &Node, report: &mut Report| {
        node.whole(1..=DAYS_MAX, report).and_then(|days| u32::try_from(days).ok())
    };
    let to = fields.get("to").and_then(|node| node.reference("pool", &names.pools, report));
    let all = fields.get("days").and_then(|node| days(node, report));
    let step = fields.or("step_days", None, |node| days(node, report).map(Some));
    let usage = fields.or("usage", Vec::new(), |node| weights(node, names, report));
    let floor = fields.or("floor", Ratio::ZERO, |node| node.part("0.1 is ten percent", report));
    let capped = fields.or("capped", true, |node| node.flag(report));
    Some(Proration { to: to?, days: all?, step_days: step?, usage: usage?, floor: floor?, capped: capped? })
}

fn weights(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<(String, Ratio)>> {
    let part = |node: &Node, report: &mut Report| node.part("weights of pools sum up to at most 1", report);
    let weights = node.referring("pool", &names.pools, report, part)?;
    if weights.len() > ENTRIES_MAX {
        return None;
    }
    let sum = weights.iter().try_fold(Ratio::ZERO, |sum, (_, weight)| sum.checked_add(*weight));
    if sum.is_none_or(|sum| sum > Ratio::ONE) {
        report.on(node, "the weights sum up to more than 1");
    }
    Some(weights)
}

/// The longest time after which all is used: what a period may have.
const DAYS_MAX: u64 = 36_525;
const INSTANTS: [(&str, SwitchAt); 3] = [
    ("now", SwitchAt::Now),
    ("period_end", SwitchAt::PeriodEnd),
    ("payment_confirmed", SwitchAt::PaymentConfirmed),
];
const CYCLES: [(&str, CycleOnSwitch); 2] =
    [("restart", CycleOnSwitch::Restart), ("keep", CycleOnSwitch::Keep)];
const LOTS: [(&str, LotsOnSwitch); 2] = [("void", LotsOnSwitch::Void), ("keep", LotsOnSwitch::Keep)];

fn instants() -> Vec<&'static str> {
    words(&INSTANTS)
}

fn cycles() -> Vec<&'static str> {
    words(&CYCLES)
}

fn lots() -> Vec<&'static str> {
    words(&LOTS)
}

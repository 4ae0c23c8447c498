//! Buying: credits for money, tiers by the sum, coupons.

use super::cadence::rate;
use super::fields::Fields;
use super::limits::{ENTRIES_MAX, NAME_BYTES_MAX, RULES_MAX};
use super::names::Names;
use super::problem::{Report, quoted};
use super::shape::{Field, Object, Shape};
use super::tree::{Node, Value};
use crate::catalog::{Coupon, Purchases, Refund, TierBy, Tiers};
use crate::money::Micros;

/// How credits are bought.
pub(super) static PURCHASES: Object = Object {
    name: "purchases",
    about: "How credits are bought. Cards are charged elsewhere: the ledger says what is to be paid, and is told what \
            was paid.",
    fields: &[
        Field::required("pool", Shape::Name, "The pool that bought credits go to; its `expiry` is theirs."),
        Field::new(
            "credits_per_usd",
            Shape::Decimal,
            "Credits per US dollar; each purchase says itself how many it is.",
        ),
        Field::new(
            "minimum_usd",
            Shape::Either(&[Shape::Amount, Shape::Map("payment provider", &Shape::Amount)]),
            "The least amount of one purchase; by payment provider where they differ (`*`: any other).",
        ),
        Field::new(
            "bonus",
            Shape::List(&Shape::Of(&SIZE)),
            "What comes on top by the purchase's size; ascending. Nothing.",
        ),
        Field::new(
            "bonus_pool",
            Shape::Name,
            "The pool that the bonus goes to, as a lot of its own; `pool`.",
        ),
        Field::new("refund", Shape::Of(&REFUND), "When a purchase can be given back; never."),
        Field::new(
            "recharge",
            Shape::List(&Shape::Period),
            "How often a recharge may be scheduled (P1M); not at all.",
        ),
    ],
};

static SIZE: Object = Object {
    name: "purchase_bonus",
    about: "A bonus from a size of purchase on; the highest step that a purchase reaches counts, for all of it.",
    fields: &[
        Field::required("from_usd", Shape::Amount, "From this many US dollars on."),
        Field::required(
            "rate",
            Shape::Decimal,
            "The part of the bought credits that comes on top: 0.05 is +5 %.",
        ),
    ],
};

static REFUND: Object = Object {
    name: "refund",
    about: "When a purchase can be given back.",
    fields: &[
        Field::new("allowed", Shape::Flag, "Whether at all; true."),
        Field::new("unless_used", Shape::Flag, "Only while the account has no usage whatever; false."),
        Field::new("consent", Shape::Flag, "Whether a purchase needs the customer's consent to this; false."),
    ],
};

/// Plans by the sum of purchases.
pub(super) static TIERS: Object = Object {
    name: "tiers",
    about: "Plans that follow from what was bought: of those that the rules give, the one that stands last in the \
            catalog. Upward at once, downward with the billing period.",
    fields: &[
        Field::required("none", Shape::Name, "The plan below the lowest step."),
        Field::required("by", Shape::List(&Shape::Of(&RULE)), "The rules."),
    ],
};

static RULE: Object = Object {
    name: "tier_by",
    about: "A plan by the sum of the purchases of one cadence.",
    fields: &[
        Field::required(
            "cadence",
            Shape::Name,
            "The purchases that count: those made for this cadence (`monthly`).",
        ),
        Field::required("window", Shape::Period, "How long a purchase counts (P1M)."),
        Field::required("steps", Shape::List(&Shape::Of(&STEP)), "Plans by the sum; ascending."),
    ],
};

static STEP: Object = Object {
    name: "tier_step",
    about: "From a sum on, a plan.",
    fields: &[
        Field::required("from_usd", Shape::Amount, "From this many US dollars on."),
        Field::required("plan", Shape::Name, "The plan."),
    ],
};

/// Something off a plan's price.
pub(super) static COUPON: Object = Object {
    name: "coupon",
    about: "Something off the price of a plan, for those who enter the code.",
    fields: &[
        Field::required("discount", Shape::Decimal, "The part of the price that falls away: 0.5 is half."),
        Field::new("first_payment", Shape::Flag, "Only where nothing was paid before; false."),
        Field::new(
            "until",
            Shape::OrNull(&Shape::Instant),
            "The first instant at which it is valid no more; none.",
        ),
    ],
};

/// Reads how credits are bought.
pub(super) fn purchases(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Purchases> {
    let fields = Fields::of(node, &PURCHASES, report)?;
    let pool = fields.get("pool").and_then(|node| node.reference("pool", &names.pools, report));
    let credits_per_usd = fields.get("credits_per_usd").and_then(|node| {
        let credits = node.decimal(report)?;
        if credits.is_zero() {
            report.on(node, "must be above 0");
        }
        Some(credits)
    });
    let minimum_usd = fields.get("minimum_usd").map(|node| minimum(node, report)).unwrap_or_default();
    let bonus = fields.get("bonus").and_then(|node| {
        steps(node, report, |node, report| {
            let fields = Fields::of(node, &SIZE, report)?;
            let from = fields.get("from_usd").and_then(|node| node.amount(report));
            let rate = fields.get("rate").and_then(|node| rate(node, report));
            Some((from?, rate?))
        })
    });
    let bonus_pool = fields.get("bonus_pool").and_then(|node| node.reference("pool", &names.pools, report));
    let refund = fields.get("refund").and_then(|node| refund(node, report));
    let recharge = fields.get("recharge").and_then(|node| node.list(ENTRIES_MAX, report, Node::period));
    Some(Purchases {
        pool,
        credits_per_usd,
        minimum_usd,
        bonus: bonus.unwrap_or_default(),
        bonus_pool,
        refund: refund.unwrap_or_default(),
        recharge: recharge.unwrap_or_default(),
    })
}

/// `AMOUNT`, or amounts by payment provider.
fn minimum(node: &Node, report: &mut Report) -> Vec<(String, Micros)> {
    if !matches!(node.value, Value::Map(_)) {
        return node.amount(report).map(|least| (ANY_PROVIDER.to_owned(), least)).into_iter().collect();
    }
    let mut minimum = Vec::new();
    for entry in node.bounded(ENTRIES_MAX, report).unwrap_or_default() {
        let sound = entry.key == ANY_PROVIDER || entry.defines(report);
        let least = entry.node.amount(report).filter(|_| sound);
        minimum.extend(least.map(|least| (entry.key.clone(), least)));
    }
    minimum
}

/// Steps by an amount; ascending.
fn steps<T>(
    node: &Node,
    report: &mut Report,
    mut read: impl FnMut(&Node, &mut Report) -> Option<(Micros, T)>,
) -> Option<Vec<(Micros, T)>> {
    let mut last: Option<Micros> = None;
    let steps = node.list(ENTRIES_MAX, report, |node, report| {
        let (from, value) = read(node, report)?;
        if last.is_some_and(|last| from <= last) {
            report.on_with(
                node,
                "not above the step before it",
                "steps are in the order of their amounts, each once",
            );
        }
        last = Some(from);
        Some((from, value))
    })?;
    if steps.is_empty() {
        report.on(node, "no steps");
    }
    Some(steps)
}

fn refund(node: &Node, report: &mut Report) -> Option<Refund> {
    let fields = Fields::of(node, &REFUND, report)?;
    let mut flag = |name: &str, default: bool| fields.or(name, default, |node| node.flag(report));
    let (allowed, unless_used, consent) =
        (flag("allowed", true), flag("unless_used", false), flag("consent", false));
    Some(Refund { allowed: allowed?, unless_used: unless_used?, consent: consent? })
}

/// Reads the plans that follow from purchases.
pub(super) fn tiers(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Tiers> {
    let fields = Fields::of(node, &TIERS, report)?;
    let none = fields.get("none").and_then(|node| node.reference("plan", &names.plans, report));
    let by = fields
        .get("by")
        .and_then(|node| node.list(RULES_MAX, report, |node, report| tier(node, names, report)));
    Some(Tiers { none: none?, by: by? })
}

fn tier(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<TierBy> {
    let fields = Fields::of(node, &RULE, report)?;
    let cadence = fields.get("cadence").and_then(|node| node.name(report));
    let window = fields.get("window").and_then(|node| node.period(report));
    let steps = fields.get("steps").and_then(|node| {
        steps(node, report, |node, report| {
            let fields = Fields::of(node, &STEP, report)?;
            let from = fields.get("from_usd").and_then(|node| node.amount(report));
            let plan = fields.get("plan").and_then(|node| node.reference("plan", &names.plans, report));
            Some((from?, plan?))
        })
    });
    Some(TierBy { cadence: cadence?, window: window?, steps: steps? })
}

/// Reads the coupons, by code.
pub(super) fn coupons(node: &Node, report: &mut Report) -> Vec<Coupon> {
    let mut coupons = Vec::new();
    for entry in node.bounded(RULES_MAX, report).unwrap_or_default() {
        let sound = is_code(&entry.key);
        if !sound {
            let message = format!("{} is not a code", quoted(&entry.key));
            report.add(entry.mark, &entry.node.path, message, Some(CODE_HINT.to_owned()));
        }
        let Some(fields) = Fields::of(&entry.node, &COUPON, report) else { continue };
        let off = fields.get("discount").and_then(|node| node.part("0.5 is half off", report));
        let first_payment = fields.or("first_payment", false, |node| node.flag(report));
        let until = fields.or("until", None, |node| node.or_null(|node| node.instant(report)));
        if let (true, Some(off), Some(first_payment), Some(until)) = (sound, off, first_payment, until) {
            coupons.push(Coupon { code: entry.key.clone(), off, first_payment, until });
        }
    }
    coupons
}

fn is_code(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(inner)
}

const CODE_HINT: &str = "a code is up to 64 of A-Z, a-z, 0-9, `_` and `-`";
const ANY_PROVIDER: &str = "*";

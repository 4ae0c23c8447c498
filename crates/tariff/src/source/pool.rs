//! Pools: where credits come from, and what they pay for.

use super::fields::Fields;
use super::limits::POOLS_MAX;
use super::meant;
use super::names::Names;
use super::problem::{Report, suggestion};
use super::rate::patterns;
use super::shape::{Field, Object, Shape};
use super::tree::{Entry, Node};
use crate::catalog::{Expiry, Pool, PoolModels, Rollover};
use crate::compile::CREDITS;

/// A pool.
pub(super) static POOL: Object = Object {
    name: "pool",
    about: "A source of credits. Each grant or purchase into it is a lot.",
    fields: &[
        Field::required(
            "order",
            Shape::Whole(0, u32::MAX as u64),
            "Its place in the draw order: lower first. No two pools have the same.",
        ),
        Field::required(
            "expiry",
            Shape::Either(&[Shape::Words(expiries), Shape::Period]),
            "When a lot of it ends: `cycle_end`, `commitment_end` (with the billing period), `never`, or so long \
             after its own grant (P12M).",
        ),
        Field::new(
            "asset",
            Shape::Name,
            "What it holds; `credits`. Models are paid from pools of their asset.",
        ),
        Field::new(
            "models",
            Shape::Either(&[Shape::Words(scopes), Shape::List(&Shape::Pattern)]),
            "What it pays for: `all` models, those that the `plan` opens, or a list; `all`.",
        ),
        Field::new("opt_in", Shape::Flag, "Whether an account must opt in before it is used; false."),
        Field::new("rollover", Shape::Of(&ROLLOVER), "What of a cycle's grant outlives the cycle; nothing."),
    ],
};

static ROLLOVER: Object = Object {
    name: "rollover",
    about: "What is carried over when a cycle ends.",
    fields: &[
        Field::new("cycles", Shape::Whole(1, CYCLES_MAX), "How many further cycles a lot lives; 1."),
        Field::new(
            "max",
            Shape::OrNull(&Shape::Amount),
            "The most that is carried over into a cycle; all of it.",
        ),
    ],
};

/// The pools; orders are unique.
pub(super) fn pools(node: &Node, names: &Names<'_>, report: &mut Report) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for entry in node.definitions(POOLS_MAX, report).unwrap_or_default() {
        pools.extend(pool(entry, &pools, names, report));
    }
    pools
}

fn pool(entry: &Entry, earlier: &[Pool], names: &Names<'_>, report: &mut Report) -> Option<Pool> {
    let sound = entry.defines(report);
    let fields = Fields::of(&entry.node, &POOL, report)?;
    let order_node = fields.get("order");
    let order = order_node.and_then(|node| node.whole(0..=u32::MAX.into(), report));
    let expiry = fields.get("expiry").and_then(|node| expiry(node, report));
    let asset = fields.get("asset").and_then(|node| node.name(report));
    let models = fields.or("models", PoolModels::All, |node| models(node, names, report));
    let opt_in = fields.or("opt_in", false, |node| node.flag(report));
    let rollover = fields.get("rollover").and_then(|node| rollover(node, expiry, report));
    let order = u32::try_from(order?).ok()?;
    if let (Some(same), Some(node)) = (earlier.iter().find(|pool| pool.order == order), order_node) {
        report.on_with(
            node,
            format!("pool `{}` has the same order; the draw order would be open", same.name),
            "give each pool an order of its own",
        );
    }
    Some(Pool {
        asset: asset.unwrap_or_else(|| CREDITS.to_owned()),
        models: models?,
        opt_in: opt_in?,
        rollover,
        ..Pool::named(sound.then(|| entry.key.clone())?, order, expiry?)
    })
}

fn expiry(node: &Node, report: &mut Report) -> Option<Expiry> {
    match node.plain_text() {
        Some(text) if !text.starts_with('P') => {
            let word = EXPIRIES.iter().find(|(word, _)| *word == text).map(|(_, expiry)| *expiry);
            if word.is_none() {
                let message = "expected `cycle_end`, `commitment_end`, `never` or a period such as P12M";
                let hint = meant::period(text).or_else(|| suggestion(text, expiries()));
                report.add(node.mark, &node.path, message.to_owned(), hint);
            }
            word
        }
        _ => node.period(report).map(Expiry::After),
    }
}

fn models(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<PoolModels> {
    match node.plain_text() {
        Some("all") => Some(PoolModels::All),
        Some("plan") => Some(PoolModels::Plan),
        Some(_) => {
            report.on_with(node, "expected `all`, `plan` or a list of models", "a list stands in brackets");
            None
        }
        None => patterns(node, names, report).map(PoolModels::Named),
    }
}

fn rollover(node: &Node, expiry: Option<Expiry>, report: &mut Report) -> Option<Rollover> {
    let fields = Fields::of(node, &ROLLOVER, report)?;
    let cycles = fields.or("cycles", 1, |node| node.whole(1..=CYCLES_MAX, report));
    let max = fields.or("max", None, |node| node.or_null(|node| node.amount(report)));
    if expiry.is_some_and(|expiry| expiry != Expiry::CycleEnd) {
        report.on_with(node, "what does not end with the cycle is not carried over", "use expiry: cycle_end");
    }
    Some(Rollover { cycles: u32::try_from(cycles?).ok()?, max: max? })
}

const EXPIRIES: [(&str, Expiry); 3] =
    [("cycle_end", Expiry::CycleEnd), ("commitment_end", Expiry::CommitmentEnd), ("never", Expiry::Never)];
/// The most cycles that something may be carried over.
const CYCLES_MAX: u64 = 1_200;

fn expiries() -> Vec<&'static str> {
    super::shape::words(&EXPIRIES)
}

fn scopes() -> Vec<&'static str> {
    vec!["all", "plan"]
}

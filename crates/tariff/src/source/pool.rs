//! Pools: `NAME: {order: 1, expiry: cycle_end | never | P12M}`.

use super::fields::Fields;
use super::limits::POOLS_MAX;
use super::problem::Report;
use super::tree::{Entry, Node};
use crate::catalog::{Expiry, Pool};

/// The pools; orders are unique.
pub(super) fn pools(node: &Node, report: &mut Report) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for entry in node.definitions(POOLS_MAX, report).unwrap_or_default() {
        pools.extend(pool(entry, &pools, report));
    }
    pools
}

fn pool(entry: &Entry, earlier: &[Pool], report: &mut Report) -> Option<Pool> {
    let sound = entry.defines(report);
    let fields = Fields::of(&entry.node, &["order", "expiry"], report)?;
    let order_node = fields.require("order", report);
    let order = order_node.and_then(|node| node.whole(0..=u32::MAX.into(), report));
    let expiry = fields.require("expiry", report).and_then(|node| expiry(node, report));
    let order = u32::try_from(order?).ok()?;
    if let (Some(same), Some(node)) = (earlier.iter().find(|pool| pool.order == order), order_node) {
        report.on(node, format!("pool `{}` has the same order; the draw order would be open", same.name));
    }
    Some(Pool::named(sound.then(|| entry.key.clone())?, order, expiry?))
}

fn expiry(node: &Node, report: &mut Report) -> Option<Expiry> {
    match node.plain_text() {
        Some("cycle_end") => Some(Expiry::CycleEnd),
        Some("never") => Some(Expiry::Never),
        Some(text) if !text.starts_with('P') => {
            report.on(node, "expected `cycle_end`, `never` or a period such as P12M");
            None
        }
        _ => node.period(report).map(Expiry::After),
    }
}

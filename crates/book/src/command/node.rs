//! Nodes: noticing them, closing those that went silent, and taking their leases home (protocol §5).

use tariff::compile::CREDITS;
use wire::{Health, NODE_OPEN_MS, NodeId};

use super::{post, touch};
use crate::entry::EntryKind;
use crate::error::{Error, Refusal, StoreError};
use crate::id::is_title;
use crate::limits::{HOME_AT_ONCE, LABEL_MAX, NODES_OPEN_MAX};
use crate::tx::{Node, Now, Tx};

/// The bound on open nodes, as refusals name it.
pub const RESOURCE: &str = "nodes";

/// Notes a call of a node; gives whether it is open. An id that is not known becomes a node.
///
/// # Errors
/// [`Refusal::Invalid`] for the label, [`Refusal::LimitReached`]; and where the store fails.
pub fn note_call(tx: &mut impl Tx, now: Now, id: NodeId, label: &str, health: Health) -> Result<bool, Error> {
    if !is_title(label, LABEL_MAX) {
        return Err(Refusal::invalid("label", format!("must be at most {LABEL_MAX} printable bytes")).into());
    }
    match tx.node(id)? {
        Some(node) if node.closed_at.is_some() => return Ok(false),
        Some(_) => {}
        None => {
            if tx.count_open_nodes()? >= NODES_OPEN_MAX {
                let max = u64::try_from(NODES_OPEN_MAX).unwrap_or(u64::MAX);
                return Err(Refusal::LimitReached { resource: RESOURCE, max }.into());
            }
            let label = label.to_owned();
            tx.put_node(Node { id, label, opened_at: now.wall, closed_at: None })?;
        }
    }
    tx.note_call(id, now.up, health)?;
    tx.fleet().note_call(id);
    Ok(true)
}

/// Closes the nodes that have not called for [`NODE_OPEN_MS`] of ledger uptime.
///
/// # Errors
/// Where the store fails.
pub fn close_silent(tx: &mut impl Tx, now: Now) -> Result<Vec<NodeId>, StoreError> {
    let allowed = i64::try_from(NODE_OPEN_MS).unwrap_or(i64::MAX);
    let silent = tx.silent_nodes(now.up.saturating_sub(allowed))?;
    let mut closed = Vec::new();
    for node in silent {
        closed.push(node.id);
        end(tx, now, node)?;
    }
    Ok(closed)
}

/// Closes a node, if it is open, and takes its leases home.
///
/// # Errors
/// Where the store fails.
pub fn close(tx: &mut impl Tx, now: Now, id: NodeId) -> Result<(), StoreError> {
    if let Some(node) = tx.node(id)?.filter(|node| node.closed_at.is_none()) {
        end(tx, now, node)?;
    }
    // What is beyond the bound comes home with the next tick.
    take_home(tx, now, id, HOME_AT_ONCE).map(drop)
}

fn end(tx: &mut impl Tx, now: Now, mut node: Node) -> Result<(), StoreError> {
    node.closed_at = Some(now.wall);
    tx.fleet().forget(node.id);
    tx.put_node(node)?;
    let counters = tx.counters();
    counters.nodes_closed = counters.nodes_closed.saturating_add(1);
    Ok(())
}

/// Takes the leases of a closed node home, for at most so many accounts; gives how many there were.
///
/// # Errors
/// Where the store fails.
pub fn take_home(tx: &mut impl Tx, now: Now, node: NodeId, limit: usize) -> Result<usize, StoreError> {
    let accounts = tx.accounts_of_node(node, limit)?;
    for id in &accounts {
        let Some(account) = tx.account(id.as_str())? else { continue };
        let of_node = account.leases.iter().filter(|lease| lease.node == node && &*lease.asset == CREDITS);
        let lost = crate::amount::total_stated(of_node.map(crate::lease::Lease::outstanding));
        post(tx, id, now, [EntryKind::NodeClosed { node, lost }])?;
        let counters = tx.counters();
        counters.closed_leases = counters.closed_leases.saturating_add(lost.get().into());
        touch(tx, id.as_str(), now)?;
    }
    Ok(accounts.len())
}

//! Charges that only Envoy's access log knows of: what a killed Envoy took with it, what a restore took back.
//!
//! A request is charged once (I3), whoever tells of it first: its event that comes later is a duplicate and
//! accounts with its leases alone.

use tariff::Micros;
use wire::{Lane, NodeId, Reported, SEQ_AHEAD_MAX};

use super::settle::{self, Caller};
use crate::command::touch;
use crate::entry::EntryKind;
use crate::error::StoreError;
use crate::tx::{LaneState, Now, Tx};

/// What may be recovered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Also requests of nodes that these books do not know: after a restore to before they began.
    pub unknown_nodes: bool,
    /// Change nothing, say what would be.
    pub preview: bool,
}

/// What became of a reported settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was charged, or would be.
    Charged {
        /// The entry; absent in a preview.
        entry: Option<u64>,
        /// The charge.
        amount: Micros,
        /// What of it no lot could pay.
        debt: Micros,
    },
    /// The request was charged before.
    Known,
    /// It cannot be charged.
    Refused(&'static str),
}

/// Where a settlement is booked that never had a place in a ring: no node has this id.
const NO_LANE: Lane = Lane { node: NodeId([0; 16]), slot: 0, incarnation: 0 };

/// Charges what a report tells, unless it is charged.
///
/// The leases of the request are settled with it only where its event can no longer come: else that event does
/// it, or the end of its node.
///
/// # Errors
/// Where the store fails.
pub fn recover(tx: &mut impl Tx, now: Now, reported: &Reported, scope: Scope) -> Result<Outcome, StoreError> {
    let settle = &reported.settle;
    let (lane, seq) = reported.place.unwrap_or((NO_LANE, 0));
    tx.lock(Some(lane), &[&settle.account])?;
    if !settle::is_sound(settle) {
        return Ok(Outcome::Refused("invalid"));
    }
    let Some(account) = tx.account(&settle.account)?.map(|account| account.id.clone()) else {
        return Ok(Outcome::Refused("unknown_account"));
    };
    if tx.is_charged(&settle.account, &settle.request)? {
        return Ok(Outcome::Known);
    }
    let is_known = reported.place.is_none() || tx.node(lane.node)?.is_some();
    if !is_known && !scope.unknown_nodes {
        return Ok(Outcome::Refused("unknown_node"));
    }
    let LaneState { last, .. } = tx.lane(lane)?;
    if seq > last.saturating_add(SEQ_AHEAD_MAX) {
        return Ok(Outcome::Refused("seq_ahead"));
    }
    let caller = Caller { node: lane.node, clock: now.wall };
    if scope.preview {
        return Ok(match settle::preview(tx, settle)? {
            Some((amount, debt)) => Outcome::Charged { entry: None, amount, debt },
            None => Outcome::Refused("unknown_term"),
        });
    }
    let Some(mut charge) = settle::charge(tx, now, caller, (lane, seq), lane.node, settle)? else {
        return Ok(Outcome::Refused("unknown_term"));
    };
    charge.recovered = true;
    if seq > last || reported.place.is_none() {
        charge.takes.clear();
    }
    let (amount, debt) = (charge.amount, charge.debt);
    let entry = tx.append(&account, now.wall, EntryKind::Charge(Box::new(charge)))?;
    let counters = tx.counters();
    counters.recovered = counters.recovered.saturating_add(1);
    touch(tx, account.as_str(), now)?;
    Ok(Outcome::Charged { entry: Some(entry), amount, debt })
}

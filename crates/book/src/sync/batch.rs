//! A batch of events of one lane: what is known is skipped, what is next is applied, a hole is
//! pointed out, and a bad event never blocks a good one (protocol §3, I13).

use serde_json::value::RawValue;
use wire::{Ack, Batch, Event, EventBody, Lane, Rejected, SEQ_AHEAD_MAX};

use super::settle::{self, Caller};
use crate::error::StoreError;
use crate::limits::INCIDENT_BODY_MAX;
use crate::tx::{Incident, LaneState, Node, Now, Tx};

/// A batch, its events read one by one.
pub struct ReadBatch<'r> {
    batch: &'r Batch,
    events: Vec<Result<Event, String>>,
}

/// Reads the events; one that cannot be read spoils no other.
pub fn read(batch: &Batch) -> ReadBatch<'_> {
    let read = |raw: &RawValue| serde_json::from_str(raw.get()).map_err(|error| error.to_string());
    ReadBatch { batch, events: batch.events.iter().map(|raw| read(raw)).collect() }
}

// === impl ReadBatch ===

impl ReadBatch<'_> {
    /// The lane.
    pub const fn lane(&self) -> Lane {
        self.batch.lane
    }

    /// The accounts that its events name.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.events.iter().flatten().map(|event| match &event.body {
            EventBody::Settle(settle) => settle.account.as_str(),
            EventBody::LeaseClosed(closed) => closed.account.as_str(),
        })
    }
}

/// Applies a batch and says how far its lane has come.
pub fn apply(tx: &mut impl Tx, now: Now, caller: Caller, read: &ReadBatch<'_>) -> Result<Ack, StoreError> {
    let (batch, lane) = (read.batch, read.batch.lane);
    let before = tx.lane(lane)?;
    match writer(tx, now, caller, lane)? {
        Writer::Allowed => {}
        Writer::Foreign => {
            let detail = format!("node {} sent {} events of it", caller.node, batch.events.len());
            refuse_all(tx, batch.events.len());
            report(tx, now, (lane, batch.first), "foreign_lane", detail)?;
            return Ok(Ack { lane, last: before.last, expected: None, rejected: Vec::new() });
        }
        Writer::Stranger => return stranger(tx, now, lane, batch),
    }
    let mut state = before;
    state.closed |= batch.close;
    if let Some(gap) = batch.gap {
        give_up(tx, now, lane, &mut state, gap, batch.first)?;
    }
    let next = state.last.saturating_add(1);
    if batch.first > next || batch.first == 0 {
        let far = batch.first > next.saturating_add(SEQ_AHEAD_MAX);
        if far {
            report(tx, now, (lane, batch.first), "seq_ahead", format!("expected {next}"))?;
        }
        if state != before {
            tx.put_lane(lane, state, next, &[])?;
        }
        return Ok(Ack { lane, last: state.last, expected: Some(next), rejected: Vec::new() });
    }

    let mut rejected = Vec::new();
    let mut digests = Vec::new();
    for (seq, (raw, event)) in (batch.first..).zip(batch.events.iter().zip(&read.events)) {
        if seq <= state.last {
            compare(tx, now, (lane, seq), raw.get())?;
            continue;
        }
        if let Err(code) = apply_one(tx, now, caller, (lane, seq), event)? {
            reject(tx, now, (lane, seq), code, raw.get())?;
            rejected.push(Rejected { seq, code: code.to_owned() });
        }
        digests.push(digest(raw.get()));
        state.last = seq;
    }
    if state != before {
        tx.put_lane(lane, state, next, &digests)?;
    }
    Ok(Ack { lane, last: state.last, expected: None, rejected })
}

/// Who sends a lane's events.
enum Writer {
    /// The lane's own node, or one that goes on after it was closed.
    Allowed,
    /// Another node, while the lane's own is open: nothing of it is taken, and its own node may yet send.
    Foreign,
    /// The lane's node is not known.
    Stranger,
}

fn writer(tx: &mut impl Tx, now: Now, caller: Caller, lane: Lane) -> Result<Writer, StoreError> {
    if lane.node == caller.node {
        return Ok(Writer::Allowed);
    }
    Ok(match tx.node(lane.node)? {
        Some(node) if node.closed_at.is_some() => Writer::Allowed,
        Some(_) => Writer::Foreign,
        None if caller.knew_others => {
            // An earlier id of the caller's that these books have forgotten: kept, as the rest of the lane comes from
            // the id that it takes next.
            let closed_at = Some(now.wall);
            tx.put_node(Node { id: lane.node, label: String::new(), opened_at: now.wall, closed_at })?;
            Writer::Allowed
        }
        None => Writer::Stranger,
    })
}

/// Events of a node that is not known: refused, each with its bytes kept, so that a ring is not held up by them.
fn stranger(tx: &mut impl Tx, now: Now, lane: Lane, batch: &Batch) -> Result<Ack, StoreError> {
    let mut last = batch.first.saturating_sub(1);
    let mut rejected = Vec::new();
    for (seq, raw) in (batch.first..).zip(&batch.events) {
        reject(tx, now, (lane, seq), "unknown_node", raw.get())?;
        rejected.push(Rejected { seq, code: "unknown_node".to_owned() });
        last = seq;
    }
    Ok(Ack { lane, last, expected: None, rejected })
}

fn refuse_all(tx: &mut impl Tx, events: usize) {
    let counters = tx.counters();
    counters.rejected = counters.rejected.saturating_add(u64::try_from(events).unwrap_or(u64::MAX));
}

/// Skips numbers that the node declares lost: journalled, counted, and the rest goes on.
fn give_up(
    tx: &mut impl Tx,
    now: Now,
    lane: Lane,
    state: &mut LaneState,
    gap: wire::Gap,
    first: u64,
) -> Result<(), StoreError> {
    let next = state.last.saturating_add(1);
    let joins = gap.from <= next && gap.to >= next && gap.to.checked_add(1) == Some(first);
    if !joins || gap.to > state.last.saturating_add(SEQ_AHEAD_MAX) {
        return Ok(());
    }
    report(tx, now, (lane, next), "gap", format!("{next} to {} are lost", gap.to))?;
    let lost = gap.to.saturating_sub(state.last);
    let counters = tx.counters();
    counters.gaps = counters.gaps.saturating_add(lost);
    state.last = gap.to;
    Ok(())
}

/// A number that is known: the same bytes are a replay, others a conflict; what was posted stays.
fn compare(tx: &mut impl Tx, now: Now, event: (Lane, u64), raw: &str) -> Result<(), StoreError> {
    let known = tx.event_digest(event.0, event.1)?;
    let same = known.is_none_or(|known| known == digest(raw));
    let counters = tx.counters();
    if same {
        counters.replayed = counters.replayed.saturating_add(1);
        return Ok(());
    }
    counters.conflicts = counters.conflicts.saturating_add(1);
    report(tx, now, event, "conflict", excerpt(raw))
}

fn apply_one(
    tx: &mut impl Tx,
    now: Now,
    caller: Caller,
    (lane, seq): (Lane, u64),
    event: &Result<Event, String>,
) -> Result<Result<(), &'static str>, StoreError> {
    let event = match event {
        Ok(event) if event.seq == seq => event,
        Ok(_) => return Ok(Err("wrong_seq")),
        Err(_) => return Ok(Err("malformed")),
    };
    let outcome = match &event.body {
        EventBody::Settle(settle) => settle::settle(tx, now, caller, (lane, seq), settle)?,
        EventBody::LeaseClosed(closed) => settle::close_lease(tx, now, caller, lane, closed)?,
    };
    if outcome.is_ok() {
        let counters = tx.counters();
        counters.applied = counters.applied.saturating_add(1);
    }
    Ok(outcome)
}

fn reject(tx: &mut impl Tx, now: Now, event: (Lane, u64), code: &str, raw: &str) -> Result<(), StoreError> {
    let counters = tx.counters();
    counters.rejected = counters.rejected.saturating_add(1);
    report(tx, now, event, code, excerpt(raw))
}

fn report(
    tx: &mut impl Tx,
    now: Now,
    event: (Lane, u64),
    code: &str,
    detail: String,
) -> Result<(), StoreError> {
    tx.incident(Incident { at: now.wall, account: None, event: Some(event), code: code.to_owned(), detail })
}

fn excerpt(raw: &str) -> String {
    let end = raw.floor_char_boundary(INCIDENT_BODY_MAX);
    raw.get(..end).unwrap_or_default().to_owned()
}

/// What tells two events of one number apart: FNV-1a of the frozen bytes. It guards against mistakes,
/// not against a node that means harm (such a node could as well report other usage).
#[must_use]
pub fn digest(raw: &str) -> u64 {
    raw.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

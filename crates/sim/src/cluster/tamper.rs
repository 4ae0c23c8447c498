//! Broken ledgers, one way each: what they would do to a call and its answer. The simulator is worth something if
//! it sees them all.

use book::Now;
use wire::{Ack, SyncRequest, SyncResponse, VerdictKind};

use super::ledger::{Ledger, Tamper};

/// Changes a call before the book sees it; gives the acknowledgement to state in place of the book's.
pub fn before(ledger: &mut Ledger, now: Now, request: &mut SyncRequest) -> Option<Ack> {
    match ledger.tamper {
        Tamper::AcknowledgesUnapplied => {
            let batch = request.batch.as_mut()?;
            let last = batch.first + batch.events.len() as u64 - 1;
            let lane = batch.lane;
            request.batch = None;
            return Some(Ack { lane, last, expected: None, rejected: Vec::new() });
        }
        Tamper::AppliesTwice => {
            let mut again = request.clone();
            (again.wants, again.returns) = (Vec::new(), Vec::new());
            let batch = again.batch.as_mut()?;
            batch.lane.incarnation += 1_000;
            for event in &mut batch.events {
                let text = event.get().replace("\"request\":\"req_", "\"request\":\"again_");
                *event = serde_json::value::RawValue::from_string(text).expect("an event");
            }
            let _ = book::sync::sync(&mut ledger.book, now, &again);
        }
        Tamper::ForgetsNumbers => {
            let batch = request.batch.as_mut()?;
            batch.lane.incarnation += 1_000 * (1 + (now.wall % 1_000) as u32);
            let mut lane = batch.lane;
            lane.incarnation %= 1_000;
            let last = batch.first + batch.events.len() as u64 - 1;
            batch.gap = (batch.first > 1).then(|| wire::Gap { from: 1, to: batch.first - 1 });
            return Some(Ack { lane, last, expected: None, rejected: Vec::new() });
        }
        Tamper::MiscountsUsage => {
            for event in &mut request.batch.as_mut()?.events {
                let text = event.get().replace("\"output_tokens\":", "\"output_tokens\":1");
                *event = serde_json::value::RawValue::from_string(text).expect("an event");
            }
        }
        Tamper::Nothing | Tamper::GrantsDouble | Tamper::HidesClosure | Tamper::ClipsAgain => {}
    }
    None
}

/// Changes the answer.
pub fn after(tamper: Tamper, ack: Option<Ack>, response: &mut SyncResponse) {
    response.ack = ack.or(response.ack.take());
    match tamper {
        Tamper::GrantsDouble => {
            for grant in &mut response.grants {
                grant.granted = tariff::Micros(grant.granted.get() * 2);
            }
        }
        Tamper::HidesClosure => response.node_open = true,
        Tamper::ClipsAgain => {
            for verdict in &mut response.verdicts {
                if let VerdictKind::Clip(clip) = &mut verdict.kind {
                    clip.need = tariff::Micros(clip.need.get() + 1);
                }
            }
        }
        Tamper::Nothing
        | Tamper::AcknowledgesUnapplied
        | Tamper::AppliesTwice
        | Tamper::ForgetsNumbers
        | Tamper::MiscountsUsage => {}
    }
}

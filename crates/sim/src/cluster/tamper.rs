//! Ways to be wrong, one each: what broken code would do to a call, an answer, a ring, a record. The simulator is
//! worth something if it sees them all.

use book::Now;
use edge::SharedData as _;
use edge::record::{RECORD_BYTES, Record};
use wire::{Ack, SyncRequest, SyncResponse, VerdictKind};

use super::ledger::Ledger;
use crate::Handle;
use crate::node::Node;

/// A way to be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tamper {
    /// All is right.
    #[default]
    Nothing,
    /// The ledger acknowledges batches that it has not applied.
    AcknowledgesUnapplied,
    /// The ledger applies batches twice, as though they were other requests.
    AppliesTwice,
    /// The ledger applies the requests of batches once more where they are sent again: it forgets both numbers
    /// and requests.
    ForgetsNumbers,
    /// The ledger states twice what it has granted.
    GrantsDouble,
    /// The ledger tells closed nodes that they are open.
    HidesClosure,
    /// The ledger gives every request that it refuses a clip.
    ClipsAll,
    /// Usage grows a digit on its way.
    MiscountsUsage,
    /// An event of a batch that cannot be read ends the batch.
    StopsAtBadEvents,
    /// A VM that ends takes its ring with it.
    LosesRings,
    /// A request that ends leaves a part of its hold behind.
    LeaksHolds,
    /// A settlement is forgotten before it is sent.
    ForgetsSettlements,
}

impl Tamper {
    /// All ways but the right one.
    pub const WRONG: [Self; 11] = [
        Self::AcknowledgesUnapplied,
        Self::AppliesTwice,
        Self::ForgetsNumbers,
        Self::GrantsDouble,
        Self::HidesClosure,
        Self::ClipsAll,
        Self::MiscountsUsage,
        Self::StopsAtBadEvents,
        Self::LosesRings,
        Self::LeaksHolds,
        Self::ForgetsSettlements,
    ];

    /// What becomes of the ring places of a VM that has ended.
    pub fn vm_ended(self, node: &Node) {
        if self == Self::LosesRings {
            node.shared.erase("t/2/ring/");
        }
    }

    /// What becomes of the records when a request has ended.
    pub fn request_ended(self, node: &Node) {
        if self != Self::LeaksHolds {
            return;
        }
        for (key, value) in node.shared.entries("t/2/acct/") {
            let leak = |bytes: &[u8]| {
                let mut record = Record::decode(bytes).expect("a record");
                record.cells[0].held += i64::from(record.cells[0].used > 0);
                record.encode()
            };
            let leaked: Vec<u8> = value.chunks_exact(RECORD_BYTES).flat_map(leak).collect();
            let _ = Handle(&node.shared).set(&key, &leaked, None);
        }
    }
}

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
            let mut again = request.clone();
            (again.wants, again.returns) = (Vec::new(), Vec::new());
            let lane = again.batch.as_ref()?.lane;
            let known = book::Tx::lane(&mut ledger.book, lane).map_or(0, |state| state.last);
            let batch = again.batch.as_mut()?;
            batch.lane.incarnation += 1_000;
            let sent_again = usize::try_from((known + 1).saturating_sub(batch.first)).unwrap_or(0);
            batch.events.truncate(sent_again);
            for event in &mut batch.events {
                let text = event.get().replace("\"request\":\"req_", "\"request\":\"again_");
                *event = serde_json::value::RawValue::from_string(text).expect("an event");
            }
            let _ = book::sync::sync(&mut ledger.book, now, &again);
        }
        Tamper::StopsAtBadEvents => {
            // As though the second one could not be read.
            let batch = request.batch.as_mut().filter(|batch| batch.events.len() > 1)?;
            batch.events.truncate(1);
            let last = request.batch.as_ref().map_or(0, |batch| batch.first + 1);
            let lane = request.batch.as_ref()?.lane;
            return Some(Ack { lane, last, expected: None, rejected: Vec::new() });
        }
        Tamper::ForgetsSettlements => {
            let batch = request.batch.as_mut().filter(|batch| batch.first % 4 == 1)?;
            let text = format!(
                "{{\"seq\":{},\"body\":{{\"lease_closed\":{{\"account\":\"acct0\",\"lease\":1,\"used\":[]}}}}}}",
                batch.first
            );
            if let Some(event) = batch.events.first_mut() {
                *event = serde_json::value::RawValue::from_string(text).expect("an event");
            }
        }
        Tamper::MiscountsUsage => {
            for event in &mut request.batch.as_mut()?.events {
                let text = event.get().replace("\"output_tokens\":", "\"output_tokens\":1");
                *event = serde_json::value::RawValue::from_string(text).expect("an event");
            }
        }
        Tamper::Nothing
        | Tamper::GrantsDouble
        | Tamper::HidesClosure
        | Tamper::ClipsAll
        | Tamper::LosesRings
        | Tamper::LeaksHolds => {}
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
        Tamper::ClipsAll => {
            for verdict in &mut response.verdicts {
                if let VerdictKind::Deny(denial) = &verdict.kind {
                    let bucket = denial.bucket.clone();
                    verdict.kind = VerdictKind::Clip(wire::Need { bucket, need: tariff::Micros(1) });
                }
            }
        }
        _ => {}
    }
}

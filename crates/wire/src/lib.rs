//! The protocol between edge and ledger, version 1: `POST /v1/edge/sync`.
//!
//! JSON in both directions. A node (one Envoy process) speaks through its workers, each with its own
//! lane of numbered events and its own cursor in the change feed. Amounts are `i64` micro-credits,
//! grants and returns are cumulative, so that lost, repeated and reordered messages are harmless.
//! Unknown members are ignored on reading: either side may be newer.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub mod event;
pub mod id;
pub mod rate;
pub mod report;
pub mod snapshot;
pub mod sync;

pub use event::{Event, EventBody, Gap, LeaseClosed, Outcome, Settle, Take, UsageSource, UsageStatus, Used};
pub use id::{Digest, IdError, Lane, NodeId};
pub use rate::{RateGrant, RateLine, RateMode, RateReport, RateState, RateTokens, Withdrawal};
pub use report::{Report, ReportError, Reported};
pub use snapshot::{AccountStatus, Denial, DenialCode, KeyEntry, Snapshot};
pub use sync::{
    Ack, Ask, Batch, Change, Grant, Health, Need, ParkedRequest, Rejected, Return, SyncRequest, SyncResponse,
    Verdict, VerdictKind, Want,
};

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;
/// Path of the sync call.
pub const SYNC_PATH: &str = "/v1/edge/sync";
/// Path of the catalog for the edge; `?version=N` names an older one.
pub const CATALOG_PATH: &str = "/v1/edge/catalog";
/// The header by which the ledger marks an answer as its own; its value is the ledger generation.
/// Envoy's local replies (503, 504) do not carry it.
pub const MARKER_HEADER: &str = "x-bursar-ledger";

/// The most events in one batch.
pub const BATCH_EVENTS_MAX: usize = 2_000;
/// The most digests looked up in one call.
pub const LOOKUPS_MAX: usize = 64;
/// The most wants in one call.
pub const WANTS_MAX: usize = 512;
/// The most parked requests named in one want.
pub const WANT_REQUESTS_MAX: usize = 64;
/// The most snapshots refreshed in one call.
pub const REFRESH_MAX: usize = 256;
/// The most returns stated in one call.
pub const RETURNS_MAX: usize = 256;
/// The most reports of rates in one call.
pub const RATE_REPORTS_MAX: usize = 1_024;
/// A node that refills a rate by itself takes half of it, and no more, once so long has passed since it sent the
/// last answered call, in milliseconds.
pub const RATE_ALONE_MS: u64 = 2_500;
/// The ledger leases the other half of such a rate to other nodes this long after the node's last call, in
/// milliseconds.
pub const RATE_SILENT_MS: u64 = 3_000;
/// How far ahead of the last applied number an event may be.
pub const SEQ_AHEAD_MAX: u64 = 1 << 20;
/// A node stops admitting this long after it sent the last answered call, in milliseconds.
pub const NODE_ADMITS_MS: u64 = 58_000;
/// The ledger closes a node this long after its last call, in milliseconds.
pub const NODE_OPEN_MS: u64 = 65_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_has_these_bounds() {
        assert_eq!(SEQ_AHEAD_MAX, 1_048_576);
        // A node stops admitting before the ledger may take its leases home: what makes leases safe.
        const { assert!(NODE_ADMITS_MS < NODE_OPEN_MS) };
    }
}

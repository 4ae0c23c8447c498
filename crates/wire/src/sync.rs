//! The sync call: one request and one answer, sent from a worker's tick or when a request waits.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tariff::Micros;

use crate::event::Gap;
use crate::id::{Digest, Lane, NodeId};
use crate::rate::{RateGrant, RateReport, RateState, Withdrawal};
use crate::snapshot::{Denial, KeyEntry, Snapshot};

/// What a worker sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncRequest {
    /// [`crate::VERSION`].
    pub v: u32,
    /// The node.
    pub node: NodeId,
    /// The node's label for people (a pod name).
    #[serde(default)]
    pub label: String,
    /// The node's wall clock at sending, in milliseconds since 1970.
    pub now: i64,
    /// The ledger generation that this worker last saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// How far this worker has read the change feed; absent = it holds nothing that could change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Events of one lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// Keys to look up; at most [`crate::LOOKUPS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Digest>,
    /// Accounts whose snapshot is wanted; at most [`crate::REFRESH_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refresh: Vec<String>,
    /// Spending power wanted; at most [`crate::WANTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<Want>,
    /// Spending power given back; at most [`crate::RETURNS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Return>,
    /// How records stand with their accounts' rates; at most [`crate::RATE_REPORTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateReport>,
    /// How the worker fares.
    #[serde(default)]
    pub health: Health,
}

/// Events of one lane, in order, without holes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// The lane.
    pub lane: Lane,
    /// The number of the first event (also where `events` is empty: what the node would send next).
    pub first: u64,
    /// The events' frozen bytes, each an [`crate::Event`]; at most [`crate::BATCH_EVENTS_MAX`].
    pub events: Vec<Box<RawValue>>,
    /// Numbers before `first` that are lost for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
    /// True: the lane's VM is gone and nothing follows these events.
    #[serde(default)]
    pub close: bool,
}

/// What an account's record on this node wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The account.
    pub account: String,
    /// The record's epoch: names the lease together with node, account and bucket.
    pub lease: u64,
    /// The term that the record's requests are admitted under from here on, or an earlier one; 0 = it does not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term: u64,
    /// Per bucket: how it stands and how much more would be good to have.
    pub asks: Vec<Ask>,
    /// How the record stands with the account's rates, where the ledger leases their tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<RateState>,
    /// Requests that wait for it, oldest first; at most [`crate::WANT_REQUESTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<ParkedRequest>,
}

/// How one bucket of a record stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The bucket's id.
    pub bucket: String,
    /// How much more the node would like, by its own use (the sizing rule); at least 0.
    pub ask: Micros,
    /// Free on the node now.
    pub free: Micros,
    /// Held by requests of the node now.
    pub held: Micros,
    /// Given back in all under this lease.
    pub returned: Micros,
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedRequest {
    /// The request's id.
    pub request: String,
    /// What it must hold of each bucket.
    pub needs: Vec<Need>,
}

/// What a request must hold of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The bucket's id.
    pub bucket: String,
    /// The whole hold.
    pub need: Micros,
}

/// Spending power given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The account.
    pub account: String,
    /// The record's epoch.
    pub lease: u64,
    /// The bucket's id.
    pub bucket: String,
    /// Given back in all under this lease.
    pub returned: Micros,
}

/// How a worker fares: gauges for the ledger's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Events not yet acknowledged.
    pub ring_depth: u64,
    /// Requests parked.
    pub parked: u64,
    /// Requests open.
    pub open: u64,
}

/// What the ledger answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResponse {
    /// [`crate::VERSION`].
    pub v: u32,
    /// The ledger generation: new after every restore or promotion.
    pub generation: String,
    /// False: the node was closed; it drops its leases, takes a new id and goes on.
    pub node_open: bool,
    /// About the request's batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ack>,
    /// Keys that were looked up and exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyEntry>,
    /// Keys that were looked up and do not exist, or no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Digest>,
    /// Snapshots of the accounts of `keys`, of `refresh` and of `wants` where the node's may be old.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Snapshot>,
    /// What the node has been granted in all, for each bucket of `wants`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// About requests of `wants` that the grants do not serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// About the rates of `wants`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateGrant>,
    /// Rates that the node no longer refills by itself; said again until it has answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<Withdrawal>,
    /// Since when the ledger has counted rates: turns below this one are void. 0 = it counts none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rates_since: u64,
    /// How far the change feed now goes.
    pub cursor: u64,
    /// True: the worker's cursor is unknown here; whatever it remembers of keys and accounts may be old.
    #[serde(default)]
    pub feed_reset: bool,
    /// Changes since the worker's cursor, of all accounts; the worker refreshes those it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The catalog version in force.
    pub catalog: u64,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The lane.
    pub lane: Lane,
    /// The last number applied or skipped for good: what the node may forget.
    pub last: u64,
    /// The batch began behind a hole and nothing was applied: send from this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Events that were refused, each alone; they count as acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
}

/// One refused event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its number.
    pub seq: u64,
    /// Why.
    pub code: String,
}

/// What a lease has been granted in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The account.
    pub account: String,
    /// The record's epoch.
    pub lease: u64,
    /// The bucket's id.
    pub bucket: String,
    /// Granted in all under this lease; never falls.
    pub granted: Micros,
    /// What the bucket still holds unleased, for the balance that clients see.
    pub unleased: Micros,
    /// True: near zero; what a request leaves over goes back at once.
    pub exact: bool,
}

/// About one parked request that is not simply served by the grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The account.
    pub account: String,
    /// The request's id.
    pub request: String,
    /// The account's version that the verdict is about: a node that knows a higher one asks again.
    pub version: u64,
    /// What the ledger says.
    pub kind: VerdictKind,
}

/// What the ledger says of a parked request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Refuse it.
    Deny(Denial),
    /// Admit it with this hold, below its need (M9): everything that is left.
    Clip(Need),
    /// Reports or returns are under way: ask again after this many milliseconds.
    Wait(u64),
}

/// One change of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The account has a new snapshot version.
    Account {
        /// The account.
        account: String,
        /// Its version.
        version: u64,
    },
    /// The key was created, changed or revoked: forget what is remembered of it.
    Key {
        /// The key's digest.
        digest: Digest,
    },
    /// Idle spending power of the account is wanted elsewhere.
    Recall {
        /// The account.
        account: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that the serialiser calls")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_is_not_written() {
        let answer = |rates_since| {
            let answer = SyncResponse { rates_since, ..SyncResponse::default() };
            serde_json::to_string(&answer).unwrap()
        };
        let bare = r#"{"v":0,"generation":"","node_open":false,"cursor":0,"feed_reset":false,"catalog":0}"#;
        assert_eq!(answer(0), bare);
        assert_eq!(answer(7), bare.replace(r#""cursor""#, r#""rates_since":7,"cursor""#));
    }
}

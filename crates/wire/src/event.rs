//! Events: what a lane reports, numbered 1, 2, 3 …; their bytes are frozen when they enter the ring.

use serde::{Deserialize, Serialize};
use tariff::{Micros, Usage};

/// One numbered event of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The number in its lane.
    pub seq: u64,
    /// What happened.
    pub body: EventBody,
}

/// What an event reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventBody {
    /// A request ended.
    Settle(Box<Settle>),
    /// The node gave up an account's record: what its leases used in all is now known.
    LeaseClosed(LeaseClosed),
}

/// The end of one admitted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// The request's id, unique for ever.
    pub request: String,
    /// The account.
    pub account: String,
    /// The key's id.
    pub key: String,
    /// The term under which it was admitted.
    pub term: u64,
    /// The catalog's name for the model or flat-price operation it is charged as.
    pub model: String,
    /// The model that the provider says has answered, where it differs from what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_model: Option<String>,
    /// The tier of service that it is charged by, in small letters: the one that the provider says it was served in,
    /// else the one asked for; absent where neither is told apart from the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// What the provider says that it cost, in millionths of millionths of a US dollar: evidence, never charged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_cost: Option<u64>,
    /// The operation (`chat`, `flat`).
    pub operation: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the usage comes from; absent where there is none (released).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<UsageSource>,
    /// How sure the usage is; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<UsageStatus>,
    /// Disjoint counts.
    #[serde(default, skip_serializing_if = "Usage::is_empty")]
    pub usage: Usage,
    /// The record's epoch: which leases the takes are of.
    pub lease: u64,
    /// What was held of each bucket, and what of it was used.
    pub takes: Vec<Take>,
    /// The node's wall clock when the request began, in milliseconds since 1970; the ledger uses only
    /// its distance to [`crate::SyncRequest::now`].
    pub at: i64,
}

/// How an admitted request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Delivered; charged for its usage.
    Settled,
    /// The provider refused it (status >= 400 without usage): nothing is charged.
    Released,
    /// Envoy answered, not the upstream: nothing is charged.
    NoUpstream,
    /// Cut by the end of its VM: charged by policy.
    Lost,
}

/// Where a usage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// From the provider's answer.
    Reported,
    /// Whole units counted by the edge; may exceed the hold.
    Counted,
    /// Estimated from delivered bytes or events; never above the hold.
    Estimated,
}

/// How sure a usage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageStatus {
    /// All fields read, the answer ended as it should.
    Complete,
    /// Some fields were malformed, restated to zero, or the answer was cut.
    Partial,
    /// None could be read.
    Failed,
}

/// What one request held and used of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// The bucket's id.
    pub bucket: String,
    /// Held at admission.
    pub held: Micros,
    /// Used, as the edge priced it at base price; may exceed what was held.
    pub used: Micros,
}

/// The final word on the leases of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseClosed {
    /// The account.
    pub account: String,
    /// The record's epoch.
    pub lease: u64,
    /// What was used of each bucket in all, reported or still in a ring.
    pub used: Vec<Used>,
}

/// What was used of one bucket in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The bucket's id.
    pub bucket: String,
    /// Total of the takes' `used` under this lease.
    pub used: Micros,
}

/// Numbers that a lane can no longer deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first missing number.
    pub from: u64,
    /// The last missing number.
    pub to: u64,
}

//! What a node is told of an account and of a key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::{Micros, Policy};

use crate::id::Digest;

/// What admission needs to know of an account.
///
/// A lower [`Snapshot::version`] never replaces a higher one (I11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The account.
    pub account: String,
    /// Rises with every change that a node must know of.
    pub version: u64,
    /// The term that requests are admitted under.
    pub term: u64,
    /// The catalog version that the term prices by.
    pub catalog: u64,
    /// How long it is good for, in milliseconds; past it the node refreshes but goes on admitting.
    pub valid_for_ms: u64,
    /// Milliseconds until it takes effect; 0 = now.
    #[serde(default)]
    pub starts_in_ms: u64,
    /// The account's standing.
    pub status: AccountStatus,
    /// What the plan compiles to.
    pub policy: Policy,
    /// Buckets known to be empty now: the node refuses alone until a higher version comes.
    #[serde(default)]
    pub deny: Vec<Denial>,
}

/// The account's standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Served.
    #[default]
    Active,
    /// Refused with 403 until it is lifted.
    Suspended,
    /// Refused with 403 for good.
    Closed,
}

/// Why the ledger grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The bucket that has run dry.
    pub bucket: String,
    /// Why.
    pub code: DenialCode,
    /// What can still be spent of it, at base price, now.
    pub available: Micros,
    /// When waiting would help (RFC 3339), where it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
}

/// Why a bucket gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialCode {
    /// Nothing is left: remembered until a snapshot of a higher version comes.
    Empty,
    /// What is left is held by other requests: remembered for 250 ms.
    InFlight,
    /// A window's cap is reached: remembered like `Empty`.
    Limit,
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The key's digest.
    pub digest: Digest,
    /// The account it belongs to.
    pub account: Arc<str>,
    /// Its id, as the journal shows it.
    pub key_id: Arc<str>,
    /// Its class (`api`, or what the operator set); rates and buckets may exempt a class.
    pub auth_class: Arc<str>,
    /// The models it may use (patterns); absent = whatever the plan opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Arc<[String]>>,
    /// When it ends, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

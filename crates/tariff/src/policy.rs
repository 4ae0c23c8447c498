//! What a plan compiles to for the edge: rates, buckets, classes, gates. Sent inside a snapshot.
//!
//! Patterns for models are matched against the catalog's own name of a model, so after the name that
//! the client wrote was looked up: an alias cannot slip past a gate or into another class.

use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::money::Micros;

/// The most buckets that an account's record holds.
pub const BUCKETS_MAX: usize = 8;
/// The most rates that an account's record holds.
pub const RATES_MAX: usize = 4;

/// What the edge enforces for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The plan's name, as metrics and messages show it.
    pub plan: String,
    /// False: shadow mode; everything is decided, counted and logged, nothing is refused.
    pub enforce: bool,
    /// Token buckets, all of which a request must pass; at most [`RATES_MAX`].
    pub rates: Vec<Rate>,
    /// What is rationed by leases; at most [`BUCKETS_MAX`].
    pub buckets: Vec<Bucket>,
    /// Which buckets a request takes, by model; the first that matches decides.
    pub classes: Vec<Class>,
    /// Models that the plan does not open; the first that matches refuses.
    pub gates: Vec<Gate>,
    /// Upper bound for the output tokens that a request may ask for; requests that ask for more, or
    /// for no bound, are sent upstream with this one.
    pub max_tokens: Option<u64>,
    /// What holds may come to beyond the lease while the ledger cannot be reached, on each node and in each
    /// outage; absent = nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<Micros>,
    /// Bounds on what one request may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_limits: Vec<RequestLimit>,
    /// The card of prices in the place of the models' own ([`crate::EdgeCatalog::cards`]); absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Headers to send upstream: name, value; one with an empty value is taken out of the request.
    pub forward: Vec<(String, String)>,
    /// True: rates are not enforced (P10).
    pub bypass_rates: bool,
    /// What a refusal may tell the client.
    pub help: Help,
}

/// A token bucket over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Name, as refusals and `RateLimit` headers show it (`rpm`).
    pub id: String,
    /// What it counts.
    pub meter: Meter,
    /// The models that it counts (patterns).
    pub models: Vec<String>,
    /// Units per [`Rate::per_ms`].
    pub amount: u64,
    /// The period, in milliseconds.
    pub per_ms: u64,
    /// Units that may be taken at once after a rest.
    pub burst: u64,
    /// Whose requests share it.
    pub scope: Scope,
    /// True: the ledger keeps no count of it; each node refills it by itself. False: who refills it is
    /// said with the node's grants.
    pub sole: bool,
}

/// Whose requests share a rate or a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All keys of the account.
    #[default]
    Account,
    /// Each key alone.
    Key,
}

/// What one unit of a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Micro-credits at base price.
    Credits,
    /// A count of a meter that is known at admission, in millionths (one request = 1,000,000).
    Count(Meter),
    /// Millionths of a US dollar by the model's cost card (P8).
    Cost,
}

/// One scalar that the plan rations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Name, with the window's key where it has one (`credits`, `requests/day/2026-11-20`).
    pub id: String,
    /// What a request takes of it.
    pub unit: Unit,
    /// Whose requests share it.
    pub scope: Scope,
    /// True: granted without bound (overage without a cap).
    pub unlimited: bool,
    /// Key classes that do not take of it (L11).
    pub unless_auth_class: Vec<String>,
    /// True: a request takes of it even if it is not delivered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub admitted: bool,
    /// True: 429 at its end, else 402.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waits: bool,
    /// What a refusal tells of it, where it is a limit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitHelp>,
}

/// What a refusal tells of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitHelp {
    /// The limit's id.
    pub id: String,
    /// The most in one window, in millionths.
    pub max: Micros,
    /// When the window ends (RFC 3339).
    pub resets_at: Option<String>,
    /// Public plans with more of it, cheapest first.
    pub unlocks: Vec<Unlock>,
}

/// A bound on what one request may ask for (W4, W6, M6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLimit {
    /// The parameter's name.
    pub parameter: String,
    /// The most.
    pub max: u64,
    /// Public plans with more of it, cheapest first.
    pub unlocks: Vec<Unlock>,
}

/// The models payable from the same pools, and what their requests take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Patterns of model names.
    pub models: Vec<String>,
    /// Ids of the buckets.
    pub buckets: Vec<String>,
}

/// Models that are closed to the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Patterns of model names.
    pub models: Vec<String>,
    /// The feature that opens them, where it has a name.
    pub feature: Option<String>,
    /// Plans that open them, cheapest first.
    pub unlocks: Vec<Unlock>,
}

/// A plan that would help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlock {
    /// The plan's name.
    pub plan: String,
    /// Where to get it.
    pub url: Option<String>,
}

/// What would help when credits are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Help {
    /// Where to buy credits.
    pub top_up_url: Option<String>,
    /// When the next included credits come (RFC 3339).
    pub resets_at: Option<String>,
    /// Plans with more included credits, cheapest first.
    pub unlocks: Vec<Unlock>,
    /// Whom to ask for what no public plan has (L3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_url: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

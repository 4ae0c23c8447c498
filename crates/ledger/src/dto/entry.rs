//! The journal as customers read it, and sums over it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Credits;

/// One line of an account's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its number; rises with time.
    #[schema(example = "184")]
    pub id: String,
    /// When the ledger posted it.
    pub time: Timestamp,
    /// What happened.
    pub kind: EntryKind,
    /// What it did to the account's credits: below zero where credits were used or ended.
    pub amount: Credits,
    /// Which lots it touched, in draw order.
    pub pools: Vec<EntryPool>,
    /// What of a charge no lot could pay; below zero where a grant paid debt back.
    pub debt: Credits,
    /// The request, for charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The key's id, for charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The model or flat-price operation it was charged as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model that answered, where it was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_model: Option<String>,
    /// The tier of service that it was charged by, where that was not the usual one (`priority`, `flex`, `batch`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// What it cost the operator by the model's cost card, in US dollars, rounded to a millionth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<super::Usd>,
    /// What the provider said that it cost, in US dollars: evidence, nothing is charged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.00014")]
    pub provider_cost_usd: Option<String>,
    /// How the request ended (`settled`, `released`, `no_upstream`, `lost`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What was used, by meter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"input_tokens": 1200, "output_tokens": 340}))]
    pub usage: BTreeMap<String, u64>,
    /// Where the usage comes from (`reported`, `counted`, `estimated`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_source: Option<String>,
    /// How sure the usage is (`complete`, `partial`, `failed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_status: Option<String>,
    /// What the catalog's bound for one request kept from being charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<Credits>,
    /// True where the charge was told by Envoy's access log, through a reconciliation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// The reference of a grant or an adjustment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why, for adjustments, reversals and extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The charge's entry, for reversals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
    /// When the lot ends, where the entry set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What was paid (below zero: given back), of payments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<super::Usd>,
    /// The plan, where the entry is about a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// A line with its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedEntry {
    /// The account.
    pub account: String,
    /// The line.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The account began.
    Opened,
    /// Credits came.
    Grant,
    /// A request was charged (or released: amount zero).
    Charge,
    /// A lot's time was up.
    Expiry,
    /// A lot ended with its plan.
    Void,
    /// The plan changed, at once or scheduled.
    Plan,
    /// The standing changed.
    Status,
    /// Money was paid for a plan, for credits or for usage, or was given back.
    Payment,
    /// An operator added credits or took some back.
    Adjustment,
    /// An operator gave a charge back.
    Reversal,
    /// An operator moved a lot's end.
    Extension,
}

/// What an entry did to one lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryPool {
    /// The pool.
    pub pool: String,
    /// The lot.
    pub lot: String,
    /// Below zero where it was drawn.
    pub amount: Credits,
}

/// What a usage report is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// The model or operation charged as.
    Model,
    /// The key's id.
    Key,
    /// The UTC day, `2026-11-20`.
    Day,
}

/// Sums over an account's charges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// The account.
    pub account: String,
    /// What the groups are.
    pub by: UsageBy,
    /// Charges posted from this instant on …
    pub from: Timestamp,
    /// … and before this one.
    pub to: Timestamp,
    /// The groups, in order of their names.
    pub data: Vec<UsageGroup>,
}

/// One group of a usage report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageGroup {
    /// The model, key id or day.
    pub group: String,
    /// Charges in it.
    pub requests: u64,
    /// What was used, by meter.
    pub usage: BTreeMap<String, u64>,
    /// What it cost.
    pub amount: Credits,
}

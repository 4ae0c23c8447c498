//! Charging what only the access log knows.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Credits;

/// Reports of requests, to be charged where they are not.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconciliation {
    /// The filter's reports, as they stand in Envoy's access log (filter state `wasm.bursar`); at most 500.
    #[schema(value_type = Vec<Object>, max_items = 500)]
    pub reports: Vec<Box<RawValue>>,
    /// Change nothing, say what would be: each report is reckoned by itself, as if it were the only one.
    #[serde(default)]
    pub dry_run: bool,
    /// Also charge requests of nodes and keys that these books do not know: after a restore to before they were made.
    #[serde(default)]
    pub unknown_nodes: bool,
}

/// What became of each report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reconciled {
    /// One for each report, in their order.
    pub data: Vec<ReconciledReport>,
}

/// What became of one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconciledReport {
    /// The request, where the report can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What became of it.
    pub result: ReconcileResult,
    /// Why, where it was refused (`unknown_account`, `unknown_node`, `unknown_key`, `invalid` …), or what cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The entry, where it was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// What it was charged, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<Credits>,
    /// What of it no lot could pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debt: Option<Credits>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconcileResult {
    /// It was charged; in a dry run, it would be.
    Posted,
    /// The request was charged before.
    Known,
    /// The request ended without a charge.
    Nothing,
    /// It names what these books do not know, or cannot be believed.
    Refused,
    /// It is no report.
    Unreadable,
}

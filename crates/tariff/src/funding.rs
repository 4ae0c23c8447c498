//! Funding: which models are payable from the same pools, and which buckets their requests take.
//!
//! The edge's policy and the ledger's capacities are both derived from [`Funding`], so that what a node takes from a
//! bucket is what the settlement may draw. Pure: what depends on an account comes in as [`Standing`].

use serde::{Deserialize, Serialize};

use crate::catalog::Measure;
use crate::overrides::Overrides;
use crate::policy::Scope;

/// What of an account its policy depends on, beside the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The cohort whose terms it keeps (C9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<String>,
    /// The programmes that it is enrolled in (C11).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programmes: Vec<String>,
    /// Pools that must be opted in to, and are (P9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opted_in: Vec<String>,
    /// Pools of bypasses whose posted balance is above zero (P10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positive: Vec<String>,
    /// What may be used beyond the credits (C8).
    #[serde(default)]
    pub overage: Overage,
    /// Limits with [`crate::OnExceed::SkipPool`] on other measures than credits that have run dry (P8): the pools
    /// that they bound give nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry: Vec<String>,
    /// The windows that now run, by limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<RunningWindow>,
    /// Its own terms over the plan (C12, L14).
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// True: its billing period has ended, and the next one is not paid (P11).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lapsed: bool,
}

/// What an account may use beyond its credits (C8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overage {
    /// Nothing.
    #[default]
    None,
    /// Up to a cap: part of the credit bucket's capacity.
    Capped,
    /// Without bound.
    Unlimited,
}

/// The window of a limit that now runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningWindow {
    /// The limit's id.
    pub limit: String,
    /// What tells it from other windows of the limit (`2026-11-20`); part of bucket ids.
    pub key: String,
    /// Its first instant.
    pub start: i64,
    /// The first instant after it.
    pub end: i64,
}

/// How requests of an account are paid, by model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funding {
    /// The first class whose patterns match a model is that model's.
    pub classes: Vec<FundingClass>,
    /// Limits that are buckets of their own, by their place in the classes' lists.
    pub caps: Vec<Cap>,
}

/// Models payable from the same pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingClass {
    /// Patterns over the catalog's names of models.
    pub models: Vec<String>,
    /// The credit bucket's id; absent: its requests take no credits (free models, programmes).
    pub bucket: Option<String>,
    /// What it is paid in.
    pub asset: String,
    /// The pools that pay, in draw order.
    pub pools: Vec<String>,
    /// Ids of the limits with [`crate::OnExceed::SkipPool`] on credits that bound its pools: part of its capacity.
    pub skips: Vec<String>,
    /// Bucket ids of the caps that its requests take beside credits.
    pub caps: Vec<String>,
    /// What may be used beyond the credits.
    pub overage: Overage,
}

/// A limit as a bucket of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// The bucket's id: the limit's and its window's key (`requests/day/2026-11-20`).
    pub bucket: String,
    /// The limit's id.
    pub limit: String,
    /// What it counts.
    pub measure: Measure,
    /// Whose requests share it.
    pub scope: Scope,
}

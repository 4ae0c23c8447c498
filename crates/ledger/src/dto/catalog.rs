//! The catalog's versions and what is wrong with a catalog file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of a catalog that was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogVersion {
    /// The version in force.
    #[schema(example = 7)]
    pub version: u64,
    /// False: it says the same as the one that was in force already.
    pub changed: bool,
    /// True: this only says what would happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Of a dry run: what differs, in words, one fact a line (`-` before, `+` after).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Of a dry run: accounts that are not closed on plans that the file does not have, by plan; they go on under the version
    /// that has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts_left_behind: BTreeMap<String, u64>,
}

/// A version of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogInfo {
    /// The version.
    pub version: u64,
    /// When it came into force.
    pub since: Timestamp,
    /// Whether it is in force.
    pub in_force: bool,
    /// Its name.
    pub name: String,
    /// Its plans.
    pub plans: Vec<String>,
    /// How many models it prices.
    pub models: u64,
}

/// How two versions differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogDiff {
    /// The version before.
    pub from: u64,
    /// The version after.
    pub to: u64,
    /// What differs, in words, one fact a line (`-` before, `+` after); empty: nothing.
    pub diff: String,
}

/// One problem of a catalog file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogProblem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place in the document, such as `plans.starter.rates[0].max`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<tariff::source::Problem> for CatalogProblem {
    fn from(problem: tariff::source::Problem) -> Self {
        let tariff::source::Problem { line, column, path, message, hint } = problem;
        Self { line, column, path, message, hint }
    }
}

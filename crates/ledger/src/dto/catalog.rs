//! The catalog's versions and what is wrong with a catalog file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of a catalog that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogVersion {
    /// The version in force.
    #[schema(example = 7)]
    pub version: u64,
    /// False: it says the same as the one that was in force already.
    pub changed: bool,
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

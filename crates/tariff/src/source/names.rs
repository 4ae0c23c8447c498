//! The names that a file defines: read first, so that references anywhere can be checked, and a definition with a
//! problem is still there to refer to.

use super::fields::Fields;
use super::tree::Value;
use crate::catalog::FeatureGate;

/// What a file defines, by kind.
pub(super) struct Names<'t> {
    pub(super) features: Vec<&'t str>,
    pub(super) models: Vec<&'t str>,
    pub(super) parameters: Vec<&'t str>,
    pub(super) plans: Vec<&'t str>,
    pub(super) pools: Vec<&'t str>,
    /// The features as they were read: plans refer to their levels.
    pub(super) gates: &'t [FeatureGate],
}

impl<'t> Names<'t> {
    /// The names in a document.
    pub(super) fn of(fields: &Fields<'t>, gates: &'t [FeatureGate]) -> Self {
        let keys = |field: &str| match fields.get(field).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        };
        Self {
            features: keys("features"),
            models: keys("models"),
            parameters: keys("parameters"),
            plans: keys("plans"),
            pools: keys("pools"),
            gates,
        }
    }
}

//! The names that a file defines: read first, so that references anywhere can be checked, and a definition with a
//! problem is still there to refer to.

use super::feature::CHARACTERS;
use super::fields::Fields;
use super::tree::{Entry, Node, Value};
use crate::catalog::FeatureGate;

/// What a file defines, by kind.
pub(super) struct Names<'t> {
    pub(super) features: Vec<&'t str>,
    pub(super) models: Vec<&'t str>,
    pub(super) parameters: Vec<&'t str>,
    pub(super) plans: Vec<&'t str>,
    pub(super) pools: Vec<&'t str>,
    /// The parameters that say how long a text is.
    pub(super) texts: Vec<&'t str>,
    /// What the variants of models are charged as: `MODEL@VARIANT`.
    pub(super) variants: Vec<String>,
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
            texts: fields.get("parameters").map(texts).unwrap_or_default(),
            variants: fields.get("models").map(variants).unwrap_or_default(),
            gates,
        }
    }
}

fn texts(parameters: &Node) -> Vec<&str> {
    let Value::Map(parameters) = &parameters.value else { return Vec::new() };
    let is_text = |parameter: &&Entry| {
        let Value::Map(fields) = &parameter.node.value else { return false };
        fields.iter().any(|field| field.key == "read" && field.node.plain_text() == Some(CHARACTERS))
    };
    parameters.iter().filter(is_text).map(|parameter| parameter.key.as_str()).collect()
}

fn variants(models: &Node) -> Vec<String> {
    let Value::Map(models) = &models.value else { return Vec::new() };
    let of = |model: &Entry| -> Vec<String> {
        let Value::Map(fields) = &model.node.value else { return Vec::new() };
        let own = fields.iter().find(|field| field.key == "variants").map(|field| &field.node.value);
        let Some(Value::Map(own)) = own else { return Vec::new() };
        own.iter().map(|variant| format!("{}@{}", model.key, variant.key)).collect()
    };
    models.iter().flat_map(of).collect()
}

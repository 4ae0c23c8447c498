//! The catalog as the edge reads it: prices and defaults by model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{Lost, Parameter, ServiceTier, Stated, Variant};
use crate::glob;
use crate::price::Prices;

/// One version of the catalog, as `GET /v1/edge/catalog` answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeCatalog {
    /// The version; terms name it.
    pub version: u64,
    /// Models and flat-price operations; names are unique.
    pub models: Vec<EdgeModel>,
    /// What a request is charged whose end nobody saw.
    #[serde(default)]
    pub lost: Lost,
    /// Members of request bodies that prices and limits refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Prices in the place of the models' own, by card ([`crate::Policy::card`]) and model, or `MODEL@VARIANT`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cards: BTreeMap<String, BTreeMap<String, Prices>>,
}

/// A model, or a flat-price operation, with its prices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeModel {
    /// The catalog's name for it: what the journal shows.
    pub name: String,
    /// Further names that mean it (patterns).
    pub aliases: Vec<String>,
    /// Unit prices, in micro-credits.
    pub prices: Prices,
    /// Output tokens to hold for when the request names no bound.
    pub max_output_default: u64,
    /// The provider's prices, in millionths of a US dollar per unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Prices>,
    /// Other prices, for requests with certain parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// Meters that requests state themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<Stated>,
    /// Other prices, for requests that the provider served in another tier of service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_tiers: Vec<ServiceTier>,
    /// Whether requests are charged by the model that answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_answered: bool,
    /// What it is paid in, unless it is credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
}

impl EdgeCatalog {
    /// The model of that name: by exact name first, then by the aliases in the catalog's order.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&EdgeModel> {
        let exact = self.models.iter().find(|model| model.name == name);
        exact.or_else(|| self.models.iter().find(|model| glob::matches_any(&model.aliases, name)))
    }
}

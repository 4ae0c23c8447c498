//! Tiers of service: what requests cost that the provider served faster, or later, than others.

use serde::{Deserialize, Serialize};

use crate::price::Prices;
use crate::ratio::Ratio;

/// What a model costs in one tier of service: so many times its price, or a price of the tier's own.
///
/// The tier that counts is the one that the answer names; where it names none, the one that the request asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTier {
    /// The name that providers give it, in small letters (`priority`, `flex`, `batch`); unique in its model.
    pub name: String,
    /// How many times the price that holds otherwise, be it the model's, a variant's or a plan's own, and how many
    /// times the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Ratio>,
    /// Unit prices in the place of all others, plans' own included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// The provider's prices, in millionths of a US dollar per unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Prices>,
}

impl ServiceTier {
    /// The prices in this tier where `otherwise` holds without one; nothing where one is out of range.
    #[must_use]
    pub fn prices(&self, otherwise: &Prices) -> Option<Prices> {
        self.prices.as_ref().map_or_else(|| self.times(otherwise), |prices| Some(prices.clone()))
    }

    /// The provider's prices in this tier where `otherwise` holds without one; nothing where one is out of range.
    #[must_use]
    pub fn cost(&self, otherwise: &Prices) -> Option<Prices> {
        self.cost.as_ref().map_or_else(|| self.times(otherwise), |cost| Some(cost.clone()))
    }

    fn times(&self, otherwise: &Prices) -> Option<Prices> {
        self.factor.map_or_else(|| Some(otherwise.clone()), |factor| otherwise.scaled(factor))
    }
}

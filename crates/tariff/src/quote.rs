//! What a usage would cost on a plan: for shops, support, and customers who want to know before they ask.

use crate::catalog::{Catalog, Model, Plan};
use crate::meter::{Meter, Usage};
use crate::money::Micros;
use crate::price::{PriceError, Prices};
use crate::ratio::Ratio;

/// A usage priced on a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The catalog's name of the model.
    pub model: String,
    /// What it is paid in.
    pub asset: String,
    /// The price at base price, rounded once.
    pub base: Micros,
    /// What each meter comes to, exact, at base price.
    pub lines: Vec<(Meter, u64, Ratio)>,
    /// What it takes of each pool of the asset where that pool pays all of it, in draw order (M3).
    pub pools: Vec<(String, Micros)>,
    /// Whether the plan opens the model.
    pub open: bool,
}

/// Why there is no quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The catalog has no such model.
    #[error("no model \"{0}\"")]
    UnknownModel(String),
    /// The model has no such variant.
    #[error("no variant \"{0}\"")]
    UnknownVariant(String),
    /// The usage has no price.
    #[error(transparent)]
    Price(#[from] PriceError),
}

impl Catalog {
    /// The unit prices of a model on a plan: the plan's own of the variant, else of the model, else the variant's,
    /// else the model's (C12, W3).
    #[must_use]
    pub fn prices<'c>(
        &'c self,
        plan: &'c Plan,
        model: &'c Model,
        variant: Option<&str>,
    ) -> Option<&'c Prices> {
        let listed = match variant {
            Some(name) => &model.variants.iter().find(|own| own.name == name)?.prices,
            None => &model.prices,
        };
        Some(plan.own_prices(&model.name, variant).unwrap_or(listed))
    }

    /// Prices a usage on a plan. The model may be any name that clients use; `MODEL@VARIANT` names a variant.
    ///
    /// # Errors
    /// [`QuoteError`].
    pub fn quote(&self, plan: &Plan, model: &str, usage: &Usage) -> Result<Quote, QuoteError> {
        let (name, variant) = match model.split_once('@') {
            Some((name, variant)) => (name, Some(variant)),
            None => (model, None),
        };
        let known = self.model(name).ok_or_else(|| QuoteError::UnknownModel(name.to_owned()))?;
        let unknown = || QuoteError::UnknownVariant(variant.unwrap_or_default().to_owned());
        let prices = self.prices(plan, known, variant).ok_or_else(unknown)?;
        let charge = prices.charge(usage)?;
        let tier = prices.tier_of(usage);
        let line = |(meter, count): (Meter, u64)| {
            let price = prices.unit_in(tier, meter).and_then(|unit| unit.checked_mul(Ratio::whole(count)))?;
            Some((meter, count, price))
        };
        let paid = |factor: Ratio| charge.exact.checked_mul(factor).and_then(Ratio::round_half_up);
        let pools = self.pools_in_draw_order().into_iter().filter(|pool| pool.asset == known.asset);
        Ok(Quote {
            model: known.name.clone(),
            asset: known.asset.clone(),
            base: charge.rounded,
            lines: usage.iter().filter(|(_, count)| *count > 0).filter_map(line).collect(),
            pools: pools
                .filter_map(|pool| Some((pool.name.clone(), Micros(paid(plan.factor(&pool.name))?))))
                .collect(),
            open: plan.opens(known),
        })
    }
}

//! The one price function: usage times unit prices, exact, rounded once.

use serde::{Deserialize, Serialize};

use crate::meter::{COUNT_MAX, Meter, Usage};
use crate::money::Micros;
use crate::ratio::Ratio;

/// Unit prices of one model or operation, in micro-credits per unit, at base price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(std::collections::BTreeMap<Meter, Ratio>);

/// What a usage costs at base price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The exact price in micro-credits.
    pub exact: Ratio,
    /// The exact price, rounded half up, once.
    pub rounded: Micros,
}

/// Why a usage has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// A positive count of a meter that neither has a price nor a meter that stands in for it.
    #[error("no price for {}", .0.as_str())]
    Unpriced(Meter),
    /// A count or the total is out of range.
    #[error("the price is out of range")]
    OutOfRange,
}

impl Prices {
    /// Unit prices by meter, in micro-credits per unit.
    pub fn new(prices: impl IntoIterator<Item = (Meter, Ratio)>) -> Self {
        Self(prices.into_iter().collect())
    }

    /// The unit price of a meter, its own or that of the meter that stands in for it. A request has
    /// the price 0 where the catalog names none: it is counted beside what it uses. So has everything else where
    /// the request is all that has a price: it is sold by the request, whatever it uses.
    #[must_use]
    pub fn unit(&self, meter: Meter) -> Option<Ratio> {
        let own = meter.stand_ins().find_map(|meter| self.0.get(&meter).copied());
        own.or((meter == Meter::Requests || self.is_flat()).then_some(Ratio::ZERO))
    }

    /// Whether the request is all that has a price.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.0.len() == 1 && self.0.contains_key(&Meter::Requests)
    }

    /// The price of a usage.
    ///
    /// # Errors
    /// [`PriceError::Unpriced`] for a positive count without a price (an unknown price is never
    /// free), [`PriceError::OutOfRange`] for counts above 2^53 - 1 or a total beyond 64 bits.
    pub fn charge(&self, usage: &Usage) -> Result<Charge, PriceError> {
        let mut exact = Ratio::ZERO;
        for (meter, count) in usage.iter().filter(|(_, count)| *count > 0) {
            if count > COUNT_MAX {
                return Err(PriceError::OutOfRange);
            }
            let unit = self.unit(meter).ok_or(PriceError::Unpriced(meter))?;
            let line = unit.checked_mul(Ratio::whole(count)).ok_or(PriceError::OutOfRange)?;
            exact = exact.checked_add(line).ok_or(PriceError::OutOfRange)?;
        }
        let rounded = exact.round_half_up().map(Micros).ok_or(PriceError::OutOfRange)?;
        Ok(Charge { exact, rounded })
    }

    /// Whether the prices fit 64 bits each when written over their common denominator, so that sums
    /// of them over any believable counts stay within 128.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        let common = self.0.values().try_fold(Ratio::ONE, |common, unit| {
            // The least common multiple of both denominators.
            let den = Ratio::new(unit.parts().1, 1)?;
            let (_, missing) = common.checked_div(den)?.parts();
            common.checked_mul(Ratio::new(missing, 1)?)
        });
        let scaled = |unit: &Ratio| common?.checked_mul(*unit);
        let fits = |ratio: Option<Ratio>| ratio.is_some_and(Ratio::is_portable);
        fits(common) && self.0.values().all(|unit| fits(scaled(unit)))
    }

    /// Whether there are prices, and every one is zero.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !self.is_empty() && self.iter().all(|(_, unit)| unit.is_zero())
    }

    /// Whether there is any price at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The unit prices, by meter.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, Ratio)> + '_ {
        self.0.iter().map(|(meter, unit)| (*meter, *unit))
    }
}

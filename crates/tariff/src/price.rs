//! The one price function: usage times unit prices, exact, rounded once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::meter::{COUNT_MAX, Meter, Usage};
use crate::money::Micros;
use crate::ratio::Ratio;

/// Unit prices of one model or operation, in micro-credits per unit, at base price; where long inputs cost more, one
/// list for each context tier. Every tier prices the same meters.
///
/// JSON: an object of meter name (`input_tokens`, in a tier `input_tokens>200000`) to price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<Unit, Ratio>);

/// What a unit price is of: a meter, in requests whose whole input is above so many tokens; 0 = in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Unit {
    above: u64,
    meter: Meter,
}

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
        Self::default().with_tier(0, prices)
    }

    /// The same with the prices of requests whose whole input is above so many tokens.
    #[must_use]
    pub fn with_tier(mut self, above: u64, prices: impl IntoIterator<Item = (Meter, Ratio)>) -> Self {
        self.0.extend(prices.into_iter().map(|(meter, price)| (Unit { above, meter }, price)));
        self
    }

    /// The context tiers, ascending: above how many tokens of input each holds. The first is 0, for all requests.
    pub fn tiers(&self) -> impl Iterator<Item = u64> + '_ {
        let mut last = None;
        let begins = move |unit: &Unit| last.replace(unit.above) != Some(unit.above);
        self.0.keys().copied().filter(begins).map(|unit| unit.above)
    }

    /// The context tier of a request by its whole input, cached, written, audio and image input included.
    #[must_use]
    pub fn tier_of(&self, usage: &Usage) -> u64 {
        // Nearly all prices have one tier, the lowest.
        let Some((Unit { above: 1.., .. }, _)) = self.0.last_key_value() else { return 0 };
        let input = usage.input();
        self.tiers().filter(|above| *above < input).last().unwrap_or(0)
    }

    /// The unit price of a meter, its own or that of the meter that stands in for it, where no context tier is
    /// reached. A request has the price 0 where the catalog names none: it is counted beside what it uses. So has
    /// everything else where the request is all that has a price: it is sold by the request, whatever it uses.
    #[must_use]
    pub fn unit(&self, meter: Meter) -> Option<Ratio> {
        self.unit_in(0, meter)
    }

    /// The unit price of a meter in a context tier, as [`Self::unit`].
    #[must_use]
    pub fn unit_in(&self, above: u64, meter: Meter) -> Option<Ratio> {
        let own = meter.stand_ins().find_map(|meter| self.0.get(&Unit { above, meter }).copied());
        own.or((meter == Meter::Requests || self.is_flat()).then_some(Ratio::ZERO))
    }

    /// Whether the request is all that has a price.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        !self.is_empty() && self.0.keys().all(|unit| unit.meter == Meter::Requests)
    }

    /// The price of a usage.
    ///
    /// # Errors
    /// [`PriceError::Unpriced`] for a positive count without a price (an unknown price is never
    /// free), [`PriceError::OutOfRange`] for counts above 2^53 - 1 or a total beyond 64 bits.
    pub fn charge(&self, usage: &Usage) -> Result<Charge, PriceError> {
        let mut exact = Ratio::ZERO;
        let tier = self.tier_of(usage);
        for (meter, count) in usage.iter().filter(|(_, count)| *count > 0) {
            if count > COUNT_MAX {
                return Err(PriceError::OutOfRange);
            }
            let unit = self.unit_in(tier, meter).ok_or(PriceError::Unpriced(meter))?;
            let line = unit.checked_mul(Ratio::whole(count)).ok_or(PriceError::OutOfRange)?;
            exact = exact.checked_add(line).ok_or(PriceError::OutOfRange)?;
        }
        let rounded = exact.round_half_up().map(Micros).ok_or(PriceError::OutOfRange)?;
        Ok(Charge { exact, rounded })
    }

    /// The same prices times a factor, exactly; nothing where one is out of range.
    #[must_use]
    pub fn scaled(&self, factor: Ratio) -> Option<Self> {
        let mut scaled = self.clone();
        for price in scaled.0.values_mut() {
            *price = price.checked_mul(factor)?;
        }
        Some(scaled)
    }

    /// Whether the prices of each tier fit 64 bits each when written over their common denominator, so that sums
    /// of them over any believable counts stay within 128.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.tiers().all(|above| {
            let units = || self.iter_in(above).map(|(_, unit)| unit);
            let common = units().try_fold(Ratio::ONE, |common, unit| {
                // The least common multiple of both denominators.
                let den = Ratio::new(unit.parts().1, 1)?;
                let (_, missing) = common.checked_div(den)?.parts();
                common.checked_mul(Ratio::new(missing, 1)?)
            });
            let fits = |ratio: Option<Ratio>| ratio.is_some_and(Ratio::is_portable);
            fits(common) && units().all(|unit| fits(common.and_then(|common| common.checked_mul(unit))))
        })
    }

    /// Whether there are prices, and every one is zero.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !self.is_empty() && self.0.values().all(|unit| unit.is_zero())
    }

    /// Whether there is any price at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The unit prices where no context tier is reached, by meter.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, Ratio)> + '_ {
        self.iter_in(0)
    }

    /// The unit prices of a context tier, by meter.
    pub fn iter_in(&self, above: u64) -> impl Iterator<Item = (Meter, Ratio)> + '_ {
        self.0.iter().filter(move |(unit, _)| unit.above == above).map(|(unit, price)| (unit.meter, *price))
    }
}

// === impl Unit ===

/// Between a meter's name and the input above which the price holds.
const ABOVE: char = '>';

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meter.as_str())?;
        if self.above > 0 { write!(f, "{ABOVE}{}", self.above) } else { Ok(()) }
    }
}

impl Unit {
    fn parse(text: &str) -> Option<Self> {
        let (meter, above) = match text.split_once(ABOVE) {
            Some((meter, above)) => (meter, above.parse().ok().filter(|above| *above > 0)?),
            None => (text, 0),
        };
        Some(Self { above, meter: Meter::parse(meter)? })
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Unit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a meter")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Unit, E> {
                Unit::parse(text).ok_or_else(|| E::custom("no meter of that name"))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

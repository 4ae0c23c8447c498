//! The catalog as the hot path reads it: an index by model name, and prices over a common denominator.
//!
//! [`Priced::price`] equals `tariff::Prices::charge` rounded (property-tested below); it only avoids reducing
//! fractions for every request.

use std::rc::Rc;

use hashbrown::HashMap;
use tariff::meter::COUNT_MAX;
use tariff::{EdgeCatalog, EdgeModel, Lost, Meter, Micros, Prices, Usage, glob};

use crate::narrow::product;

/// One version of the catalog.
#[derive(Debug)]
pub struct Catalog {
    /// The version.
    pub version: u64,
    /// What a request is charged whose VM ended before it.
    pub lost: Lost,
    by_name: HashMap<Box<str>, Rc<Priced>>,
    by_alias: Vec<(String, Rc<Priced>)>,
}

/// A model or flat-price operation with its prices.
#[derive(Debug)]
pub struct Priced {
    /// The catalog's name.
    pub name: Box<str>,
    /// Output tokens to hold for when the request names no bound.
    pub max_output_default: u64,
    /// True: nothing that it can use has a price above 0.
    pub free: bool,
    /// Unit prices as numerators over `den`.
    units: Vec<(Meter, u128)>,
    den: u128,
    /// Micro-credits per output token, for "how many tokens can I afford".
    prices: Prices,
}

/// The model is not in the catalog, or a meter of it has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpriced;

impl Catalog {
    /// Indexes a catalog; models whose prices do not fit are left out, and so refused as unknown.
    #[must_use]
    pub fn new(catalog: &EdgeCatalog) -> Self {
        let mut by_name = HashMap::new();
        let mut by_alias = Vec::new();
        for model in &catalog.models {
            let Some(priced) = Priced::new(model).map(Rc::new) else {
                continue;
            };
            by_alias.extend(model.aliases.iter().map(|alias| (alias.clone(), Rc::clone(&priced))));
            by_name.insert(model.name.as_str().into(), priced);
        }
        Self { version: catalog.version, lost: catalog.lost, by_name, by_alias }
    }

    /// The model of that name: by exact name first, then by the aliases in the catalog's order.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Rc<Priced>> {
        let alias =
            || self.by_alias.iter().find(|(alias, _)| glob::matches(alias, name)).map(|(_, model)| model);
        self.by_name.get(name).or_else(alias)
    }
}

impl Priced {
    fn new(model: &EdgeModel) -> Option<Self> {
        let metered: Vec<_> = Meter::ALL
            .iter()
            .filter_map(|meter| Some((*meter, model.prices.unit(*meter)?.parts())))
            .collect();
        let den = metered.iter().try_fold(1_u128, |den, (_, (_, own))| lcm(den, *own))?;
        let scaled = |(num, own): (u128, u128)| num.checked_mul(den.checked_div(own)?);
        let units = metered
            .into_iter()
            .map(|(meter, parts)| Some((meter, scaled(parts)?)))
            .collect::<Option<Vec<_>>>()?;
        // The largest count times the largest price, for every meter, must stay in range.
        let room = u128::MAX.checked_div(u128::from(COUNT_MAX))?.checked_div(64)?;
        if units.iter().any(|(_, num)| *num > room) || model.prices.is_empty() {
            return None;
        }
        Some(Self {
            name: model.name.as_str().into(),
            max_output_default: model.max_output_default,
            free: units.iter().all(|(_, num)| *num == 0),
            units,
            den,
            prices: model.prices.clone(),
        })
    }

    /// What a usage costs at base price, rounded half up once.
    ///
    /// # Errors
    /// [`Unpriced`] for a positive count without a price, or a total out of range.
    pub fn price(&self, usage: &Usage) -> Result<Micros, Unpriced> {
        self.price_narrow(usage).map_or_else(|| self.price_wide(usage), Ok)
    }

    /// The same in 64 bits, which most catalogs fit; nothing where they do not, or where a price is missing.
    fn price_narrow(&self, usage: &Usage) -> Option<Micros> {
        let den = u64::try_from(self.den).ok()?;
        let mut total = 0_u64;
        for (meter, count) in usage.iter().filter(|(_, count)| *count > 0) {
            let (_, num) = self.units.iter().find(|(own, _)| *own == meter)?;
            let line = product(u64::try_from(*num).ok()?, count.min(COUNT_MAX))?;
            total = total.checked_add(line)?;
        }
        let rounded = total.checked_mul(2)?.checked_add(den)?.checked_div(den.checked_mul(2)?)?;
        i64::try_from(rounded).ok().map(Micros)
    }

    fn price_wide(&self, usage: &Usage) -> Result<Micros, Unpriced> {
        let mut total = 0_u128;
        for (meter, count) in usage.iter().filter(|(_, count)| *count > 0) {
            let (_, num) = self.units.iter().find(|(own, _)| *own == meter).ok_or(Unpriced)?;
            let line = num.checked_mul(u128::from(count.min(COUNT_MAX))).ok_or(Unpriced)?;
            total = total.checked_add(line).ok_or(Unpriced)?;
        }
        let doubled = total.checked_mul(2).and_then(|t| t.checked_add(self.den)).ok_or(Unpriced)?;
        let divisor = self.den.checked_mul(2).ok_or(Unpriced)?;
        let rounded = doubled.checked_div(divisor).ok_or(Unpriced)?;
        i64::try_from(rounded).map(Micros).map_err(|_| Unpriced)
    }

    /// How many output tokens `available` pays for.
    #[must_use]
    pub fn affordable_tokens(&self, available: Micros) -> Option<u64> {
        let unit = self.prices.unit(Meter::OutputTokens)?;
        let available = u64::try_from(available.get()).ok()?;
        let tokens = tariff::Ratio::whole(available).checked_div(unit)?.floor()?;
        u64::try_from(tokens).ok()
    }
}

fn lcm(a: u128, b: u128) -> Option<u128> {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x.checked_rem(y)?);
    }
    a.checked_div(x)?.checked_mul(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tariff::Ratio;

    fn model(prices: &[(Meter, &str)]) -> EdgeModel {
        let unit = |text: &str| Ratio::parse_decimal(text).expect("decimal");
        EdgeModel {
            name: "m".to_owned(),
            aliases: vec!["m-*".to_owned()],
            prices: Prices::new(prices.iter().map(|(meter, text)| (*meter, unit(text)))),
            max_output_default: 100,
            cost: None,
            variants: Vec::new(),
            stated: Vec::new(),
        }
    }

    #[test]
    fn names_and_aliases() {
        let catalog = Catalog::new(&EdgeCatalog {
            version: 1,
            models: vec![model(&[(Meter::InputTokens, "2.8")])],
            ..EdgeCatalog::default()
        });
        assert!(catalog.model("m").is_some() && catalog.model("m-2026").is_some());
        assert!(catalog.model("n").is_none() && catalog.model("").is_none());
    }

    #[test]
    fn an_unpriced_meter_is_never_free() {
        let priced = Priced::new(&model(&[(Meter::InputTokens, "2.8")])).expect("fits");
        assert_eq!(priced.price(&Usage::new().with(Meter::Images, 1)), Err(Unpriced));
        assert_eq!(priced.price(&Usage::new().with(Meter::InputTokens, 1)), Ok(Micros(3)));
        assert_eq!(priced.price(&Usage::new().with(Meter::CachedTokens, 10)), Ok(Micros(28)));
    }

    proptest! {
        #[test]
        fn the_same_as_the_exact_price(
            input in 0..=COUNT_MAX, output in 0..=COUNT_MAX, cached in 0..1_000_000_u64,
            a in 0..2_000_000_u64, b in 0..2_000_000_u64, c in 1..30_u64,
        ) {
            let unit = |n: u64, d: u64| Ratio::new(n.into(), d.into()).expect("ratio");
            let prices = Prices::new([
                (Meter::InputTokens, unit(a, 1_000)), (Meter::OutputTokens, unit(b, 1_000)), (Meter::CachedTokens, unit(a, c)),
            ]);
            let own = EdgeModel { prices: prices.clone(), ..model(&[]) };
            let usage = Usage::new().with(Meter::InputTokens, input).with(Meter::OutputTokens, output).with(Meter::CachedTokens, cached);
            let exact = prices.charge(&usage).map(|charge| charge.rounded).map_err(|_| Unpriced);
            let priced = Priced::new(&own).expect("fits");
            prop_assert_eq!(priced.price(&usage), exact);
        }
    }
}

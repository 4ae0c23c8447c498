//! The catalog as the hot path reads it: an index by model name, and prices over a common denominator.
//!
//! [`Priced::price`] equals `tariff::Prices::charge` rounded (property-tested below); it only avoids reducing
//! fractions for every request.

pub(crate) mod narrow;

use std::rc::Rc;

use hashbrown::HashMap;
use tariff::catalog::{Parameter, ServiceTier, Stated};
use tariff::meter::COUNT_MAX;
use tariff::{EdgeCatalog, EdgeModel, Lost, Meter, Micros, Prices, Usage, glob};

use crate::pricing::narrow::product;

/// One version of the catalog.
#[derive(Debug)]
pub struct Catalog {
    /// The version.
    pub version: u64,
    /// What a request is charged whose VM ended before it.
    pub lost: Lost,
    /// Members of requests that prices and limits refer to.
    pub parameters: Vec<Parameter>,
    by_name: HashMap<Box<str>, Rc<Model>>,
    by_alias: Vec<(String, Rc<Model>)>,
    /// Plans' own prices, by card and model.
    cards: HashMap<Box<str>, HashMap<Box<str>, Rc<Priced>>>,
}

/// A model or flat-price operation with all its prices.
#[derive(Debug)]
pub struct Model {
    /// Its own prices.
    pub base: Rc<Priced>,
    /// Other prices, with what a request must state for them; the first that matches counts.
    pub variants: Vec<(Conditions, Rc<Priced>)>,
}

/// Parameters, and the values that each may have.
pub type Conditions = Vec<(String, Vec<String>)>;

/// What a request is priced by.
#[derive(Debug)]
pub struct Priced {
    /// What it is charged as: the model's name, with the variant's (`MODEL@VARIANT`) where that prices it.
    pub name: Box<str>,
    /// The catalog's name of the model.
    pub model: Box<str>,
    /// Output tokens to hold for when the request names no bound.
    pub max_output_default: u64,
    /// Meters that requests state themselves.
    pub stated: Rc<[Stated]>,
    /// Whether requests are charged by the model that answered.
    pub by_answered: bool,
    /// What it is paid in, unless it is credits.
    asset: Option<Rc<str>>,
    rates: Rates,
    /// In tiers of service, by name.
    tiers: Vec<(Rc<ServiceTier>, Rates)>,
}

/// What things cost, and what they cost the provider's customer.
#[derive(Debug)]
struct Rates {
    prices: Units,
    /// In millionths of a US dollar.
    cost: Option<Rc<Units>>,
}

/// Unit prices over a common denominator.
#[derive(Debug)]
struct Units {
    /// Numerators.
    units: Vec<(Meter, u128)>,
    den: u128,
    /// Those of longer inputs, ascending: above how many tokens each holds.
    above: Vec<(u64, Self)>,
    /// As in the catalog, for "how many tokens can I afford".
    exact: Prices,
}

/// The model is not in the catalog, or a meter of it has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpriced;

// === impl Catalog ===

impl Catalog {
    /// Indexes a catalog; models whose prices do not fit are left out, and so refused as unknown.
    #[must_use]
    pub fn new(catalog: &EdgeCatalog) -> Self {
        let mut by_name: HashMap<Box<str>, Rc<Model>> = HashMap::new();
        let mut by_alias = Vec::new();
        for entry in &catalog.models {
            let Some(model) = Model::new(entry).map(Rc::new) else {
                continue;
            };
            by_alias.extend(entry.aliases.iter().map(|alias| (alias.clone(), Rc::clone(&model))));
            by_name.insert(entry.name.as_str().into(), model);
        }
        let own = |(name, prices): (&String, &Prices)| {
            let priced = charged_as(&by_name, name)?.with(prices)?;
            Some((name.as_str().into(), Rc::new(priced)))
        };
        let cards = catalog.cards.iter();
        let cards = cards
            .map(|(card, own_prices)| (card.as_str().into(), own_prices.iter().filter_map(own).collect()));
        Self {
            version: catalog.version,
            lost: catalog.lost,
            parameters: catalog.parameters.clone(),
            cards: cards.collect(),
            by_name,
            by_alias,
        }
    }

    /// The model of that name: by exact name first, then by the aliases in the catalog's order.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Rc<Model>> {
        let alias =
            || self.by_alias.iter().find(|(alias, _)| glob::matches(alias, name)).map(|(_, model)| model);
        self.by_name.get(name).or_else(alias)
    }

    /// What a request is charged by that was sold as `sold`, by the model that answered where that is to count: of
    /// those that the catalog has in the same asset.
    #[must_use]
    pub fn charged_by<'c>(
        &'c self,
        sold: &Priced,
        answered: Option<&str>,
        card: Option<&str>,
    ) -> Option<&'c Rc<Priced>> {
        let model = &self.model(answered.filter(|_| sold.by_answered)?)?.base;
        // The ledger does not look for prices of a variant of the model itself.
        let other = model.asset == sold.asset && model.name != sold.model;
        other.then(|| self.own(card, &model.name).unwrap_or(model))
    }

    /// A plan's own prices of a model, or of a variant by what it is charged as.
    #[must_use]
    pub fn own(&self, card: Option<&str>, model: &str) -> Option<&Rc<Priced>> {
        self.cards.get(card?)?.get(model)
    }

    /// What a request was charged as, by that name.
    #[must_use]
    pub fn charged_as(&self, name: &str) -> Option<&Rc<Priced>> {
        charged_as(&self.by_name, name)
    }
}

fn charged_as<'m>(by_name: &'m HashMap<Box<str>, Rc<Model>>, name: &str) -> Option<&'m Rc<Priced>> {
    if let Some(model) = by_name.get(name) {
        return Some(&model.base);
    }
    let (model, _) = name.rsplit_once('@')?;
    let variants = &by_name.get(model)?.variants;
    variants.iter().map(|(_, priced)| priced).find(|priced| *priced.name == *name)
}

// === impl Model ===

impl Model {
    fn new(model: &EdgeModel) -> Option<Self> {
        let cost = match &model.cost {
            Some(cost) => Some(Rc::new(Units::new(cost)?)),
            None => None,
        };
        let mut base = Priced {
            name: model.name.as_str().into(),
            model: model.name.as_str().into(),
            max_output_default: model.max_output_default,
            stated: model.stated.as_slice().into(),
            by_answered: model.by_answered,
            asset: model.asset.as_deref().map(Rc::from),
            rates: Rates { prices: Units::new(&model.prices)?, cost },
            tiers: Vec::new(),
        };
        for tier in &model.service_tiers {
            let cost = match &model.cost {
                Some(cost) => Some(Rc::new(Units::new(&tier.cost(cost)?)?)),
                None => None,
            };
            let rates = Rates { prices: Units::new(&tier.prices(&model.prices)?)?, cost };
            base.tiers.push((Rc::new(tier.clone()), rates));
        }
        let variants = model.variants.iter().map(|variant| {
            let name = format!("{}@{}", model.name, variant.name);
            let priced = Priced { name: name.into(), ..base.with(&variant.prices)? };
            Some((variant.when.clone(), Rc::new(priced)))
        });
        // A request of a variant without a price must not be sold at another one.
        let variants = variants.collect::<Option<Vec<_>>>()?;
        Some(Self { base: Rc::new(base), variants })
    }
}

// === impl Priced ===

impl Priced {
    /// The same with other prices.
    fn with(&self, prices: &Prices) -> Option<Self> {
        let mut tiers = Vec::new();
        for (tier, rates) in &self.tiers {
            tiers.push((Rc::clone(tier), rates.with(&tier.prices(prices)?)?));
        }
        Some(Self {
            name: self.name.clone(),
            model: self.model.clone(),
            max_output_default: self.max_output_default,
            stated: Rc::clone(&self.stated),
            by_answered: self.by_answered,
            asset: self.asset.clone(),
            rates: self.rates.with(prices)?,
            tiers,
        })
    }

    /// The rates in a tier of service: those of the model where it has none for it.
    fn rates(&self, tier: Option<&str>) -> &Rates {
        let own = tier.and_then(|tier| self.tiers.iter().find(|(own, _)| own.name == tier));
        own.map_or(&self.rates, |(_, rates)| rates)
    }

    /// The tiers of service that have prices of their own.
    pub fn tiers(&self) -> impl Iterator<Item = &str> {
        self.tiers.iter().map(|(tier, _)| &*tier.name)
    }

    /// What a usage costs at base price in a tier of service, rounded half up once.
    ///
    /// # Errors
    /// [`Unpriced`] for a positive count without a price, or a total out of range.
    pub fn price(&self, tier: Option<&str>, usage: &Usage) -> Result<Micros, Unpriced> {
        self.rates(tier).prices.price(usage, false)
    }

    /// What of a usage has a price costs, at base price.
    #[must_use]
    pub fn price_known(&self, tier: Option<&str>, usage: &Usage) -> Micros {
        self.rates(tier).prices.price(usage, true).unwrap_or(Micros(i64::MAX))
    }

    /// What a usage costs the provider's customer, by the meters that its card prices; nothing without a card.
    #[must_use]
    pub fn cost(&self, tier: Option<&str>, usage: &Usage) -> Micros {
        let Some(cost) = &self.rates(tier).cost else {
            return Micros::ZERO;
        };
        cost.price(usage, true).unwrap_or(Micros(i64::MAX))
    }

    /// Whether a meter has a price.
    #[must_use]
    pub fn has(&self, meter: Meter) -> bool {
        self.rates.prices.has(meter)
    }

    /// Whether a meter has a price in a tier of service.
    #[must_use]
    pub fn has_in(&self, tier: Option<&str>, meter: Meter) -> bool {
        self.rates(tier).prices.has(meter)
    }

    /// Whether a meter has a price of its own in a tier of service, and not one that stands in for it.
    #[must_use]
    pub fn names(&self, tier: Option<&str>, meter: Meter) -> bool {
        self.rates(tier).prices.exact.iter().any(|(own, _)| own == meter)
    }

    /// Whether a meter costs anything.
    #[must_use]
    pub fn is_paid(&self, meter: Meter) -> bool {
        self.rates.prices.units.iter().any(|(own, num)| *own == meter && *num > 0)
    }

    /// Whether it has no price but that of a request.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.rates.prices.exact.is_flat()
    }

    /// The meters of items and the like that have a price of their own; searches too where no tokens are sold beside.
    pub fn items(&self) -> impl Iterator<Item = Meter> {
        let of_items = [Meter::Images, Meter::Pages, Meter::Seconds, Meter::Characters];
        let by_search = !self.rates.prices.exact.iter().any(|(meter, _)| meter.is_of_tokens());
        self.rates
            .prices
            .exact
            .iter()
            .map(|(meter, _)| meter)
            .filter(move |meter| of_items.contains(meter) || (by_search && *meter == Meter::Searches))
    }

    /// How many output tokens `available` pays for.
    #[must_use]
    pub fn affordable_tokens(&self, available: Micros) -> Option<u64> {
        let unit = self.rates.prices.exact.unit(Meter::OutputTokens)?;
        let available = u64::try_from(available.get()).ok()?;
        let tokens = tariff::Ratio::whole(available).checked_div(unit)?.floor()?;
        u64::try_from(tokens).ok()
    }
}

// === impl Rates ===

impl Rates {
    /// The same with other prices.
    fn with(&self, prices: &Prices) -> Option<Self> {
        Some(Self { prices: Units::new(prices)?, cost: self.cost.clone() })
    }
}

// === impl Units ===

impl Units {
    fn new(prices: &Prices) -> Option<Self> {
        let mut all = Self::of_tier(prices, 0)?;
        for above in prices.tiers().filter(|above| *above > 0) {
            all.above.push((above, Self::of_tier(prices, above)?));
        }
        all.exact = prices.clone();
        Some(all)
    }

    fn of_tier(prices: &Prices, above: u64) -> Option<Self> {
        let metered: Vec<_> = Meter::ALL
            .iter()
            .filter_map(|meter| Some((*meter, prices.unit_in(above, *meter)?.parts())))
            .collect();
        let den = metered.iter().try_fold(1_u128, |den, (_, (_, own))| lcm(den, *own))?;
        let scaled = |(num, own): (u128, u128)| num.checked_mul(den.checked_div(own)?);
        let units = metered
            .into_iter()
            .map(|(meter, parts)| Some((meter, scaled(parts)?)))
            .collect::<Option<Vec<_>>>()?;
        // The largest count times the largest price, for every meter, must stay in range.
        let room = u128::MAX.checked_div(u128::from(COUNT_MAX))?.checked_div(64)?;
        if units.iter().any(|(_, num)| *num > room) || prices.is_empty() {
            return None;
        }
        Some(Self { units, den, above: Vec::new(), exact: Prices::default() })
    }

    /// The prices of the context tier that a usage has reached.
    fn tier_of(&self, usage: &Usage) -> &Self {
        if self.above.is_empty() {
            return self;
        }
        let input = usage.input();
        let reached = self.above.iter().rev().find(|(above, _)| *above < input);
        reached.map_or(self, |(_, units)| units)
    }

    fn has(&self, meter: Meter) -> bool {
        self.units.iter().any(|(own, _)| *own == meter)
    }

    /// The price of a usage, leaving out meters without one or refusing them.
    fn price(&self, usage: &Usage, leave_out: bool) -> Result<Micros, Unpriced> {
        let tier = self.tier_of(usage);
        tier.price_narrow(usage, leave_out).map_or_else(|| tier.price_wide(usage, leave_out), Ok)
    }

    /// In 64 bits, which most catalogs fit; nothing where they do not, or where a price is missing.
    fn price_narrow(&self, usage: &Usage, leave_out: bool) -> Option<Micros> {
        let den = u64::try_from(self.den).ok()?;
        let mut total = 0_u64;
        for (meter, count) in usage.iter().filter(|(_, count)| *count > 0) {
            let Some((_, num)) = self.units.iter().find(|(own, _)| *own == meter) else {
                leave_out.then_some(())?;
                continue;
            };
            let line = product(u64::try_from(*num).ok()?, count.min(COUNT_MAX))?;
            total = total.checked_add(line)?;
        }
        let rounded = total.checked_mul(2)?.checked_add(den)?.checked_div(den.checked_mul(2)?)?;
        i64::try_from(rounded).ok().map(Micros)
    }

    fn price_wide(&self, usage: &Usage, leave_out: bool) -> Result<Micros, Unpriced> {
        let mut total = 0_u128;
        for (meter, count) in usage.iter().filter(|(_, count)| *count > 0) {
            let Some((_, num)) = self.units.iter().find(|(own, _)| *own == meter) else {
                leave_out.then_some(()).ok_or(Unpriced)?;
                continue;
            };
            let line = num.checked_mul(u128::from(count.min(COUNT_MAX))).ok_or(Unpriced)?;
            total = total.checked_add(line).ok_or(Unpriced)?;
        }
        let doubled = total.checked_mul(2).and_then(|t| t.checked_add(self.den)).ok_or(Unpriced)?;
        let divisor = self.den.checked_mul(2).ok_or(Unpriced)?;
        let rounded = doubled.checked_div(divisor).ok_or(Unpriced)?;
        i64::try_from(rounded).map(Micros).map_err(|_| Unpriced)
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
    use tariff::catalog::Variant;

    fn prices(prices: &[(Meter, &str)]) -> Prices {
        let unit = |text: &str| Ratio::parse_decimal(text).expect("decimal");
        Prices::new(prices.iter().map(|(meter, text)| (*meter, unit(text))))
    }

    fn model(own: &[(Meter, &str)]) -> EdgeModel {
        EdgeModel {
            name: "m".to_owned(),
            aliases: vec!["m-*".to_owned()],
            prices: prices(own),
            max_output_default: 100,
            cost: None,
            variants: Vec::new(),
            stated: Vec::new(),
            service_tiers: Vec::new(),
            by_answered: false,
            asset: None,
        }
    }

    fn priced(model: &EdgeModel) -> Rc<Priced> {
        Model::new(model).expect("fits").base
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
    fn w3_variants_are_found_by_what_they_are_charged_as_and_never_by_the_client() {
        let large = Variant {
            name: "large".to_owned(),
            when: vec![("size".to_owned(), vec!["2048".to_owned()])],
            prices: prices(&[(Meter::Images, "40")]),
        };
        let own = EdgeModel { variants: vec![large], ..model(&[(Meter::Images, "10")]) };
        let one = Usage::new().with(Meter::Images, 1);
        let catalog = EdgeCatalog {
            version: 1,
            models: vec![own],
            cards: [
                ("gold".to_owned(), [("m".to_owned(), prices(&[(Meter::Images, "5")]))].into()),
                ("tin".to_owned(), [("m@large".to_owned(), prices(&[(Meter::Images, "30")]))].into()),
            ]
            .into(),
            ..EdgeCatalog::default()
        };
        let catalog = Catalog::new(&catalog);
        let price = |name: &str| catalog.charged_as(name).map(|priced| priced.price(None, &one));
        assert_eq!(price("m"), Some(Ok(Micros(10))));
        assert_eq!(price("m@large"), Some(Ok(Micros(40))));
        assert_eq!((price("m@small"), price("m-2026"), price("")), (None, None, None));
        assert!(catalog.model("m@large").is_none(), "a variant is no name of a model");
        assert_eq!(catalog.own(Some("gold"), "m").map(|own| own.price(None, &one)), Some(Ok(Micros(5))));
        assert!(catalog.own(None, "m").is_none() && catalog.own(Some("tin"), "m").is_none());
        let large = catalog.own(Some("tin"), "m@large").expect("of the variant alone");
        assert_eq!((large.price(None, &one), &*large.name, &*large.model), (Ok(Micros(30)), "m@large", "m"));
    }

    #[test]
    fn p8_the_cost_is_of_the_meters_that_the_card_prices() {
        let cost = Some(prices(&[(Meter::InputTokens, "3"), (Meter::OutputTokens, "15")]));
        let own = EdgeModel { cost, ..model(&[(Meter::InputTokens, "2.8")]) };
        let usage =
            Usage::new().with(Meter::Requests, 1).with(Meter::InputTokens, 10).with(Meter::OutputTokens, 2);
        assert_eq!(priced(&own).cost(None, &usage), Micros(60));
        assert_eq!(priced(&own).cost(None, &usage.with(Meter::Images, 7)), Micros(60));
        assert_eq!(priced(&model(&[(Meter::InputTokens, "2.8")])).cost(None, &Usage::new()), Micros::ZERO);
    }

    #[test]
    fn an_unpriced_meter_is_never_free() {
        let priced = priced(&model(&[(Meter::InputTokens, "2.8")]));
        assert_eq!(priced.price(None, &Usage::new().with(Meter::Images, 1)), Err(Unpriced));
        assert_eq!(priced.price(None, &Usage::new().with(Meter::InputTokens, 1)), Ok(Micros(3)));
        assert_eq!(priced.price(None, &Usage::new().with(Meter::CachedTokens, 10)), Ok(Micros(28)));
    }

    proptest! {
        #[test]
        fn the_same_as_the_exact_price(
            input in 0..=COUNT_MAX, output in 0..=COUNT_MAX, cached in 0..1_000_000_u64,
            a in 0..2_000_000_u64, b in 0..2_000_000_u64, c in 1..30_u64,
            above in proptest::collection::btree_set(1..2_000_000_u64, 0..4),
        ) {
            let unit = |n: u64, d: u64| Ratio::new(n.into(), d.into()).expect("ratio");
            let list = |times: u64| [
                (Meter::InputTokens, unit(a * times, 1_000)), (Meter::OutputTokens, unit(b, 1_000 + times)),
                (Meter::CachedTokens, unit(a, c * times)),
            ];
            // In some cases the input is around where a tier begins.
            let near = above.first().map(|first| (first + c % 3).saturating_sub(cached + 1));
            let input = near.filter(|_| input % 2 == 0).unwrap_or(input);
            let prices = Prices::new(list(1));
            let prices = above.iter().zip(2..).fold(prices, |all, (above, times)| all.with_tier(*above, list(times)));
            let own = EdgeModel { prices: prices.clone(), ..model(&[]) };
            let usage = Usage::new().with(Meter::InputTokens, input).with(Meter::OutputTokens, output).with(Meter::CachedTokens, cached);
            let exact = prices.charge(&usage).map(|charge| charge.rounded).map_err(|_| Unpriced);
            prop_assert_eq!(priced(&own).price(None, &usage), exact);
        }
    }
}

//! What a settlement is charged at base price, by the ledger's own reckoning.

use std::borrow::Cow;

use tariff::catalog::ServiceTier;
use tariff::compile::CREDITS;
use tariff::{Catalog, FundingClass, Lost, Meter, Micros, Model, Prices, Ratio, Usage, glob};
use wire::id::names_bucket;
use wire::{Outcome, Settle, Take, UsageSource};

use crate::account::Term;
use crate::limits::AMOUNT_MAX;
use crate::rules::without_variant;

/// A settlement's price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// What is charged, at base price, exact.
    pub exact: Ratio,
    /// The whole price, rounded: what the edge should have reckoned.
    pub whole: Micros,
    /// What of the whole price is not charged: the catalog's bound for one request.
    pub disputed: Micros,
    /// What it costs the operator, in millionths of a US dollar (P8).
    pub cost: Micros,
    /// That beside what the provider states; absent where one of them is.
    pub compared: Option<Compared>,
    /// Why the usage could not be priced as it stands.
    pub problem: Option<String>,
}

/// A cost by the catalog's card beside the one that the provider stated, in thousand-millionths of a US dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// By the card.
    pub own: i64,
    /// As stated.
    pub stated: i64,
    /// Whether they are not about the same.
    pub mismatch: bool,
}

/// Prices a settlement under the catalog of its term.
///
/// Delivered usage is never free for want of a price: where a meter or the model has none, what can
/// be priced is charged, at least what was held. An estimate is never charged above the hold (I5), a
/// request whose end nobody saw by the catalog's policy. Beyond the catalog's bound for one request the
/// bound is charged.
#[must_use]
pub fn price(catalog: &Catalog, term: &Term, class: &FundingClass, settle: &Settle) -> Priced {
    let held = taken(class, settle).map(|take| take.held);
    let sold = Sold::of(catalog, settle);
    let cost = sold.as_ref().and_then(|sold| sold.cost(&settle.usage));
    let compared = cost.zip(settle.provider_cost).and_then(|(own, stated)| Compared::of(own, stated));
    let cost = cost.map_or(Micros::ZERO, |cost| rounded(cost).min(AMOUNT_MAX));
    if sold.as_ref().is_some_and(|sold| is_programmes(catalog, term, sold.requested)) {
        let (exact, zero) = (Ratio::ZERO, Micros::ZERO);
        return Priced { exact, whole: zero, disputed: zero, cost, compared, problem: None };
    }
    let reckoned = match sold {
        Some(sold) => reckon(&sold.prices(catalog, term), &settle.usage),
        None => Err((Ratio::ZERO, format!("no model \"{}\"", settle.model))),
    };
    let (mut exact, problem) = match reckoned {
        Ok(exact) => (exact, None),
        Err((partly, problem)) => (partly.max(whole(held.unwrap_or_default())), Some(problem)),
    };
    let estimated = settle.source == Some(UsageSource::Estimated) || settle.outcome == Outcome::Lost;
    if let Some(held) = held.filter(|_| estimated) {
        exact = exact.min(whole(held));
    }
    if settle.outcome == Outcome::Lost {
        exact = match catalog.lost {
            Lost::Estimate => exact,
            Lost::Hold => held.map_or(exact, whole),
            Lost::Zero => Ratio::ZERO,
        };
    }
    let all = rounded(exact);
    let bound = catalog.max_charge_per_request.unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX);
    if exact <= whole(bound) {
        return Priced { exact, whole: all, disputed: Micros::ZERO, cost, compared, problem };
    }
    let disputed = crate::amount::less(all, bound);
    Priced { exact: whole(bound), whole: all, disputed, cost, compared, problem }
}

/// What a settlement took of the bucket that its class is paid from; where its class takes none, of the credits.
pub fn taken<'s>(class: &FundingClass, settle: &'s Settle) -> Option<&'s Take> {
    let bucket = class.bucket.as_deref().unwrap_or(CREDITS);
    settle.takes.iter().find(|take| names_bucket(&take.bucket, bucket))
}

/// The model that a settlement names, and the variant that priced it (`MODEL@VARIANT`).
fn find<'c>(catalog: &'c Catalog, name: &str) -> Option<(&'c Model, Option<&'c str>)> {
    let named = |name: &str| catalog.models.iter().find(|model| model.name == name);
    if let Some(model) = named(name) {
        return Some((model, None));
    }
    let model = named(without_variant(name))?;
    let variant = model.variants.iter().find(|variant| name.ends_with(&format!("@{}", variant.name)))?;
    Some((model, Some(&variant.name)))
}

/// Whether the account was enrolled in a programme that has the model for nothing (C11).
fn is_programmes(catalog: &Catalog, term: &Term, model: &Model) -> bool {
    let enrolled = |name: &String| term.standing.programmes.contains(name);
    let mut programmes = catalog.programmes.iter().filter(|programme| enrolled(&programme.name));
    programmes.any(|programme| glob::matches_any(&programme.models, &model.name))
}

/// What a request is priced by.
struct Sold<'c> {
    /// The model that was asked for: what the account may use, and which pools pay.
    requested: &'c Model,
    /// The model whose prices count.
    model: &'c Model,
    /// The variant of it.
    variant: Option<&'c str>,
    /// The tier of service, where the model has a price for it; what is not listed costs as the model does.
    tier: Option<&'c ServiceTier>,
}

impl<'c> Sold<'c> {
    /// Nothing where the catalog does not have the model.
    fn of(catalog: &'c Catalog, settle: &Settle) -> Option<Self> {
        let (requested, variant) = find(catalog, &settle.model)?;
        let model = catalog.charged_by(requested, settle.answered_model.as_deref());
        let tier = settle.service_tier.as_deref().and_then(|name| model.service_tier(name));
        let variant = variant.filter(|_| std::ptr::eq(model, requested));
        Some(Self { requested, model, variant, tier })
    }

    /// The unit prices: the customer's or the plan's own of the variant, else of the model; else the variant's, else
    /// the model's (C12, W3); of a tier of service its own, or so many times these.
    fn prices(&self, catalog: &'c Catalog, term: &Term) -> Cow<'c, Prices> {
        let own = catalog.own_prices(&term.plan, &term.standing, &self.model.name, self.variant);
        let variant = || self.model.variants.iter().find(|known| Some(&*known.name) == self.variant);
        let listed = own.or_else(|| variant().map(|variant| &variant.prices)).unwrap_or(&self.model.prices);
        let tiered = self.tier.and_then(|tier| tier.prices(listed));
        tiered.map_or(Cow::Borrowed(listed), Cow::Owned)
    }

    /// What a usage costs the operator, exactly; nothing without a cost card.
    fn cost(&self, usage: &Usage) -> Option<Ratio> {
        let card = self.model.cost.as_ref()?;
        let tiered = self.tier.and_then(|tier| tier.cost(card));
        Some(reckon(tiered.as_ref().unwrap_or(card), usage).unwrap_or_else(|(partly, _)| partly))
    }
}

impl Compared {
    /// Compares a cost in millionths of a US dollar with what the provider states in millionths of these. They are
    /// the same within 1 %, or within a millionth of a dollar, since providers round too.
    fn of(own: Ratio, stated: u64) -> Option<Self> {
        let stated = Ratio::new(stated.into(), MILLION)?;
        let (low, high) = if own < stated { (own, stated) } else { (stated, own) };
        let apart = high.checked_sub(low)?;
        let mismatch = apart > high.checked_div(Ratio::whole(100))?.max(Ratio::ONE);
        let nanos = |cost: Ratio| cost.checked_mul(Ratio::whole(1_000))?.round_half_up();
        Some(Self { own: nanos(own)?, stated: nanos(stated)?, mismatch })
    }
}

const MILLION: u128 = 1_000_000;

fn rounded(price: Ratio) -> Micros {
    Micros(price.round_half_up().unwrap_or(AMOUNT_MAX.get()))
}

/// The exact price, or what of it can be reckoned and why not all.
fn reckon(prices: &Prices, usage: &Usage) -> Result<Ratio, (Ratio, String)> {
    let error = match prices.charge(usage) {
        Ok(charge) => return Ok(charge.exact),
        Err(error) => error,
    };
    let tier = prices.tier_of(usage);
    let line = |(meter, count): (Meter, u64)| {
        let unit = prices.unit_in(tier, meter)?;
        unit.checked_mul(Ratio::whole(count.min(tariff::meter::COUNT_MAX)))
    };
    let bound = whole(AMOUNT_MAX);
    let lines = usage.iter().filter_map(line);
    let partly = lines.fold(Ratio::ZERO, |sum, line| sum.checked_add(line).unwrap_or(bound).min(bound));
    Err((partly, error.to_string()))
}

fn whole(amount: Micros) -> Ratio {
    Ratio::whole(u64::try_from(amount.get()).unwrap_or(0))
}

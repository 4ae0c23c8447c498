//! What a settlement is charged at base price, by the ledger's own reckoning.

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
    /// Why the usage could not be priced as it stands.
    pub problem: Option<String>,
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
    let sold = find(catalog, &settle.model);
    let cost = sold.map_or(Micros::ZERO, |(model, _)| cost(model, &settle.usage));
    if sold.is_some_and(|(model, _)| is_programmes(catalog, term, model)) {
        let (exact, zero) = (Ratio::ZERO, Micros::ZERO);
        return Priced { exact, whole: zero, disputed: zero, cost, problem: None };
    }
    let prices = sold.map(|(model, variant)| prices(catalog, term, model, variant));
    let reckoned = match prices {
        Some(prices) => reckon(prices, &settle.usage),
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
    let rounded = |price: Ratio| Micros(price.round_half_up().unwrap_or(AMOUNT_MAX.get()));
    let all = rounded(exact);
    let bound = catalog.max_charge_per_request.unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX);
    if exact <= whole(bound) {
        return Priced { exact, whole: all, disputed: Micros::ZERO, cost, problem };
    }
    Priced { exact: whole(bound), whole: all, disputed: crate::amount::less(all, bound), cost, problem }
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

/// The unit prices: the customer's or the plan's own of the variant, else of the model; else the variant's, else the
/// model's (C12, W3).
fn prices<'c>(catalog: &'c Catalog, term: &Term, model: &'c Model, variant: Option<&str>) -> &'c Prices {
    let own = catalog.own_prices(&term.plan, &term.standing, &model.name, variant);
    let variant = || model.variants.iter().find(|known| Some(&*known.name) == variant);
    own.or_else(|| variant().map(|variant| &variant.prices)).unwrap_or(&model.prices)
}

/// Whether the account was enrolled in a programme that has the model for nothing (C11).
fn is_programmes(catalog: &Catalog, term: &Term, model: &Model) -> bool {
    let enrolled = |name: &String| term.standing.programmes.contains(name);
    let mut programmes = catalog.programmes.iter().filter(|programme| enrolled(&programme.name));
    programmes.any(|programme| glob::matches_any(&programme.models, &model.name))
}

/// What a usage costs the operator; what has no cost card costs nothing that is counted.
fn cost(model: &Model, usage: &Usage) -> Micros {
    let Some(card) = &model.cost else { return Micros::ZERO };
    let exact = reckon(card, usage).unwrap_or_else(|(partly, _)| partly);
    Micros(exact.round_half_up().unwrap_or(AMOUNT_MAX.get())).min(AMOUNT_MAX)
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

//! What a settlement is charged at base price, by the ledger's own reckoning.

use tariff::compile::CREDITS;
use tariff::{Catalog, Lost, Meter, Micros, Ratio, Usage};
use wire::id::names_bucket;
use wire::{Outcome, Settle, UsageSource};

use crate::limits::AMOUNT_MAX;

/// A settlement's price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// What is charged, at base price, exact.
    pub exact: Ratio,
    /// The whole price, rounded: what the edge should have reckoned.
    pub whole: Micros,
    /// What of the whole price is not charged: the catalog's bound for one request.
    pub disputed: Micros,
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
pub fn price(catalog: &Catalog, settle: &Settle) -> Priced {
    let held = settle.takes.iter().find(|take| names_bucket(&take.bucket, CREDITS)).map(|take| take.held);
    let (mut exact, problem) = match reckon(catalog, &settle.model, &settle.usage) {
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
        return Priced { exact, whole: all, disputed: Micros::ZERO, problem };
    }
    Priced { exact: whole(bound), whole: all, disputed: crate::amount::less(all, bound), problem }
}

/// The exact price, or what of it can be reckoned and why not all.
fn reckon(catalog: &Catalog, model: &str, usage: &Usage) -> Result<Ratio, (Ratio, String)> {
    let Some(model) = catalog.models.iter().find(|entry| entry.name == model) else {
        return Err((Ratio::ZERO, format!("no model \"{model}\"")));
    };
    let error = match model.prices.charge(usage) {
        Ok(charge) => return Ok(charge.exact),
        Err(error) => error,
    };
    let line = |(meter, count): (Meter, u64)| {
        let unit = model.prices.unit(meter)?;
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

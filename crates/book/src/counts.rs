//! What one request counts towards the limits of its term (rule 11).
//!
//! Reckoned when its end is posted and pinned by the term of its admission, so that what is used in a
//! window is a sum over the journal, and can be reckoned again from each entry.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::compile::CREDITS;
use tariff::{Counted, FundingClass, Limit, Measure, Meter, Micros, Ratio, Usage};
use wire::id::names_bucket;

use crate::account::Term;
use crate::amount::total;
use crate::entry::{Charge, Release};
use crate::limits::AMOUNT_MAX;
use crate::rules::{OVERAGE, Rules, bucket_id, names};

/// What is counted for one limit in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The limit.
    pub limit: Arc<str>,
    /// The window's key.
    pub key: Arc<str>,
    /// How much, in millionths of the limit's unit.
    pub amount: Micros,
}

/// Millionths in one.
const ONE: i64 = 1_000_000;

/// What a charged request counts, whatever its entry says it does.
#[must_use]
pub fn of_charge(term: &Term, rules: &Rules, charge: &Charge) -> Vec<Count> {
    let Some(class) = rules.class(&charge.model) else { return Vec::new() };
    let counted = counting(term, rules, class, &charge.model, charge.auth_class.as_deref()).map(|limit| {
        let amount = match limit.measure {
            Measure::Credits if limit.pools.is_empty() => charge.base,
            Measure::Credits => paid_by(term, charge, &limit.pools),
            Measure::Cost => charge.cost,
            Measure::Meter(meter) => count_of(meter, &charge.usage),
        };
        (limit.id.as_str(), amount)
    });
    let counted = counted.chain([(OVERAGE, charge.receivable)]);
    counted.filter(|(_, amount)| *amount > Micros::ZERO).map(|(id, amount)| count(term, id, amount)).collect()
}

/// What a request counts that was admitted and not delivered, by what it took.
#[must_use]
pub fn of_release(term: &Term, rules: &Rules, release: &Release) -> Vec<Count> {
    let Some(class) = rules.class(&release.model).filter(|_| !release.duplicate) else { return Vec::new() };
    let limits = counting(term, rules, class, &release.model, release.auth_class.as_deref());
    let counted = limits.filter(|limit| limit.count == Counted::Admitted).map(|limit| {
        let bucket = bucket_id(term, &limit.id);
        let taken = release.takes.iter().find(|take| names_bucket(&take.bucket, &bucket));
        let amount = match limit.measure {
            Measure::Meter(Meter::Requests) => Micros(ONE),
            Measure::Credits | Measure::Cost | Measure::Meter(_) => {
                taken.map_or(Micros::ZERO, |take| take.used.max(Micros::ZERO))
            }
        };
        (limit.id.as_str(), amount)
    });
    counted.filter(|(_, amount)| *amount > Micros::ZERO).map(|(id, amount)| count(term, id, amount)).collect()
}

fn count(term: &Term, limit: &str, amount: Micros) -> Count {
    Count { limit: Arc::from(limit), key: Arc::from(term.window_key(limit)), amount }
}

/// The limits that have a say: of the model, of the pools that may pay for it, not left out (L11).
fn counting<'r>(
    term: &'r Term,
    rules: &'r Rules,
    class: &'r FundingClass,
    model: &'r str,
    auth_class: Option<&'r str>,
) -> impl Iterator<Item = &'r Limit> {
    let pools = rules.pools(term, class);
    rules.limits.iter().filter(move |limit| {
        let bounds = limit.pools.is_empty() || limit.pools.iter().any(|pool| pools.contains(&pool.as_str()));
        let of_asset = limit.measure != Measure::Credits || class.asset == CREDITS;
        bounds && of_asset && names(&limit.models, model) && !is_exempt(rules, limit.measure, auth_class)
    })
}

fn is_exempt(rules: &Rules, measure: Measure, auth_class: Option<&str>) -> bool {
    let Some(auth_class) = auth_class else { return false };
    let mut rules = rules.exempt.iter().filter(|exempt| exempt.measures.contains(&measure));
    rules.any(|exempt| exempt.auth_classes.iter().any(|class| class == auth_class))
}

/// What some pools paid of a charge, at base price.
fn paid_by(term: &Term, charge: &Charge, pools: &[String]) -> Micros {
    let slices = charge.slices.iter().filter(|slice| pools.iter().any(|pool| **pool == *slice.pool));
    total(slices.map(|slice| base_of(slice.amount, term.factor(&slice.pool))))
}

/// The base price that an amount of a pool's credits pays, rounded half up.
pub(crate) fn base_of(amount: Micros, factor: Ratio) -> Micros {
    let whole = Ratio::whole(u64::try_from(amount.get()).unwrap_or(0));
    let base = whole.checked_div(factor).and_then(Ratio::round_half_up);
    Micros(base.unwrap_or(amount.get())).min(AMOUNT_MAX)
}

/// A meter's count, in millionths. A request is one, whether or not it is counted among what it used.
fn count_of(meter: Meter, usage: &Usage) -> Micros {
    let count = match meter {
        Meter::Requests => usage.get(meter).max(1),
        _ => usage.get(meter),
    };
    let millionths = i64::try_from(count).ok().and_then(|count| count.checked_mul(ONE));
    Micros(millionths.unwrap_or(i64::MAX)).min(AMOUNT_MAX)
}

//! Drawing lots: how one charge is split over them.
//!
//! The charge is an exact price. Every slice but the last empties its lot exactly, or what a cap leaves of
//! it, and pays `amount / factor` of the price; the last one pays the rest, rounded half up: one rounding per
//! charge (protocol §4). What no lot can pay is owed, or goes to the payment method, at base price.

use tariff::{FundingClass, Micros, Overage, Ratio};

use crate::account::{Account, Lot, Term};
use crate::amount::{less, plus, total};
use crate::counts::base_of;
use crate::entry::Slice;
use crate::limits::AMOUNT_MAX;
use crate::rules::{OVERAGE, Rules};

/// A charge, split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// What each lot pays, in draw order; no slice is zero.
    pub slices: Vec<Slice>,
    /// What no lot can pay, and is owed.
    pub debt: Micros,
    /// What no lot can pay, and goes to the payment method (C8).
    pub receivable: Micros,
}

/// What a cap leaves of the pools that it bounds, at base price (P5).
struct Skip<'r> {
    pools: &'r [String],
    left: Micros,
}

// === impl Drawn ===

impl Drawn {
    /// The charge in the lots' credits.
    #[must_use]
    pub fn amount(&self) -> Micros {
        let paid = total(self.slices.iter().map(|slice| slice.amount));
        plus(paid, plus(self.debt, self.receivable))
    }
}

/// Splits a price over the lots that a settlement of a term may draw for a class of models (M3, M4, P1).
///
/// Lots that the term has known go first, then later ones: a request of the last cycle draws the
/// next cycle's credits only where its own are gone. A pool gives no more than the caps leave that bound it in
/// the term's windows.
#[must_use]
pub fn draw(account: &Account, term: &Term, class: &FundingClass, price: Ratio) -> Drawn {
    let rules = account.rules(term);
    let mut skips: Vec<Skip<'_>> = rules
        .skips(class)
        .map(|(limit, max)| {
            let used = account.used(&limit.id, term.window_key(&limit.id));
            Skip { pools: &limit.pools, left: less(max, used) }
        })
        .collect();
    let mut drawn = Drawn::default();
    let mut rest = price;
    for (id, lot) in lots(account, term, rules, class) {
        if rest.is_zero() {
            break;
        }
        let mut bounding: Vec<&mut Skip<'_>> =
            skips.iter_mut().filter(|skip| bounds(skip.pools, &lot.pool)).collect();
        let cap = bounding.iter().map(|skip| skip.left).min();
        let factor = term.factor(&lot.pool);
        let (amount, left) = match cap.map(whole).filter(|cap| *cap < rest) {
            None => take(lot.remaining, factor, rest),
            Some(cap) => {
                let (amount, left) = take_capped(lot.remaining, factor, cap);
                (amount, plus_ratio(less_ratio(rest, cap), left))
            }
        };
        rest = left;
        if amount > Micros::ZERO {
            let base = base_of(amount, factor);
            bounding.iter_mut().for_each(|skip| skip.left = less(skip.left, base));
            drawn.slices.push(Slice { lot: id, pool: lot.pool.clone(), amount });
        }
    }
    let rest = Micros(rest.round_half_up().unwrap_or(AMOUNT_MAX.get()));
    drawn.receivable = match class.overage {
        Overage::None => Micros::ZERO,
        Overage::Unlimited => rest,
        Overage::Capped => {
            let used = account.used(OVERAGE, term.window_key(OVERAGE));
            rest.min(less(rules.overage_cap.unwrap_or_default(), used))
        }
    };
    drawn.debt = less(rest, drawn.receivable);
    drawn
}

/// The lots that may pay, first drawn first.
fn lots<'a>(account: &'a Account, term: &Term, rules: &Rules, class: &FundingClass) -> Vec<(u64, &'a Lot)> {
    let may_draw = |lot: &Lot| {
        lot.remaining > Micros::ZERO && lot.closing.is_none_or(|closing| term.no <= closing.last_term)
    };
    let pays = |lot: &Lot| rules.pays(term, class, &lot.pool, &lot.asset);
    let lots = account.lots.iter().filter(|(_, lot)| may_draw(lot) && pays(lot));
    let mut lots: Vec<(u64, &Lot)> = lots.map(|(id, lot)| (*id, lot)).collect();
    lots.sort_by_key(|(id, lot)| (lot.term > term.no, lot.draw_key(term, *id)));
    lots
}

/// Whether a cap bounds a pool; one that names none bounds all.
pub(crate) fn bounds(named: &[String], pool: &str) -> bool {
    named.is_empty() || named.iter().any(|name| name == pool)
}

/// What a lot pays of a price, and the price that is left.
fn take(remaining: Micros, factor: Ratio, price: Ratio) -> (Micros, Ratio) {
    let whole = whole(remaining);
    let asked = price.checked_mul(factor);
    if let Some(asked) = asked.filter(|asked| *asked <= whole) {
        // At most `remaining`, which is whole: rounding cannot pass it.
        return (Micros(asked.round_half_up().unwrap_or(0)), Ratio::ZERO);
    }
    (remaining, left_of(price, whole, factor))
}

/// The same of a price that is not the last part of a charge: rounded down, so that what the slice pays is exact.
fn take_capped(remaining: Micros, factor: Ratio, price: Ratio) -> (Micros, Ratio) {
    let asked = price.checked_mul(factor).and_then(Ratio::floor).map_or(remaining, Micros);
    let amount = asked.min(remaining);
    (amount, left_of(price, whole(amount), factor))
}

/// What of a price is left where so much of a lot's credits has paid.
fn left_of(price: Ratio, paid: Ratio, factor: Ratio) -> Ratio {
    let left = paid.checked_div(factor).and_then(|base| price.checked_sub(base));
    left.unwrap_or_else(|| {
        // Denominators beyond 128 bits (factors of a dozen digits in several pools): whole
        // micro-credits keep the charge right to one of them.
        let base = paid.checked_div(factor).and_then(Ratio::floor).unwrap_or(0);
        let price = price.round_half_up().unwrap_or(AMOUNT_MAX.get());
        Ratio::whole(u64::try_from(price.saturating_sub(base)).unwrap_or(0))
    })
}

fn less_ratio(a: Ratio, b: Ratio) -> Ratio {
    a.checked_sub(b).unwrap_or(Ratio::ZERO)
}

fn plus_ratio(a: Ratio, b: Ratio) -> Ratio {
    a.checked_add(b).unwrap_or(a)
}

/// An amount as a ratio; nothing below zero.
pub(crate) fn whole(amount: Micros) -> Ratio {
    Ratio::whole(u64::try_from(amount.get()).unwrap_or(0))
}

//! Drawing lots: how one charge is split over them.
//!
//! The charge is an exact price. Every slice but the last empties its lot exactly and pays
//! `amount / factor` of the price; the last one pays the rest, rounded half up: one rounding per
//! charge (protocol §4). What no lot can pay becomes debt, at base price.

use tariff::{Micros, Ratio};

use crate::account::{Account, Lot, Term};
use crate::amount::{plus, total};
use crate::entry::Slice;

/// A charge, split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// What each lot pays, in draw order; no slice is zero.
    pub slices: Vec<Slice>,
    /// What no lot can pay.
    pub debt: Micros,
}

impl Drawn {
    /// The charge in the lots' credits.
    #[must_use]
    pub fn amount(&self) -> Micros {
        plus(total(self.slices.iter().map(|slice| slice.amount)), self.debt)
    }
}

/// Splits a price over the lots that a settlement of a term may draw (M3, M4).
///
/// Lots that the term has known go first, then later ones: a request of the last cycle draws the
/// next cycle's credits only where its own are gone.
#[must_use]
pub fn draw(account: &Account, term: &Term, price: Ratio) -> Drawn {
    let may_draw = |lot: &Lot| lot.closing.is_none_or(|closing| term.no <= closing.last_term);
    let mut lots: Vec<(u64, &Lot)> = account
        .lots
        .iter()
        .filter(|(_, lot)| lot.remaining > Micros::ZERO && may_draw(lot))
        .map(|(id, lot)| (*id, lot))
        .collect();
    lots.sort_by_key(|(id, lot)| (lot.term > term.no, lot.draw_key(term, *id)));

    let mut drawn = Drawn::default();
    let mut rest = price;
    for (id, lot) in lots {
        if rest.is_zero() {
            break;
        }
        let (amount, left) = take(lot.remaining, term.factor(&lot.pool), rest);
        rest = left;
        if amount > Micros::ZERO {
            drawn.slices.push(Slice { lot: id, pool: lot.pool.clone(), amount });
        }
    }
    drawn.debt = Micros(rest.round_half_up().unwrap_or(crate::limits::AMOUNT_MAX.get()));
    drawn
}

/// What a lot pays of a price, and the price that is left.
fn take(remaining: Micros, factor: Ratio, price: Ratio) -> (Micros, Ratio) {
    let whole = Ratio::whole(u64::try_from(remaining.get()).unwrap_or(0));
    let asked = price.checked_mul(factor);
    if let Some(asked) = asked.filter(|asked| *asked <= whole) {
        // At most `remaining`, which is whole: rounding cannot pass it.
        return (Micros(asked.round_half_up().unwrap_or(0)), Ratio::ZERO);
    }
    let left = whole.checked_div(factor).and_then(|base| price.checked_sub(base));
    let left = left.unwrap_or_else(|| {
        // Denominators beyond 128 bits (factors of a dozen digits in several pools): whole
        // micro-credits keep the charge right to one of them.
        let base = whole.checked_div(factor).and_then(Ratio::floor).unwrap_or(0);
        let price = price.round_half_up().unwrap_or(crate::limits::AMOUNT_MAX.get());
        Ratio::whole(u64::try_from(price.saturating_sub(base)).unwrap_or(0))
    });
    (remaining, left)
}

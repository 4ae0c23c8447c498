//! Sums of amounts inside the book.
//!
//! Commands keep every amount below [`crate::limits::AMOUNT_MAX`] and every account's totals below
//! [`crate::limits::TOTAL_MAX`], so that these sums fit; a sum that does not is a fault of the book.

use tariff::Micros;

/// The sum.
#[must_use]
pub fn plus(a: Micros, b: Micros) -> Micros {
    debug_assert!(a.get().checked_add(b.get()).is_some(), "{a} + {b}");
    Micros(a.get().saturating_add(b.get()))
}

/// The difference.
#[must_use]
pub fn minus(a: Micros, b: Micros) -> Micros {
    debug_assert!(a.get().checked_sub(b.get()).is_some(), "{a} - {b}");
    Micros(a.get().saturating_sub(b.get()))
}

/// The difference, or zero where it is negative.
#[must_use]
pub fn less(a: Micros, b: Micros) -> Micros {
    Micros(a.get().saturating_sub(b.get()).max(0))
}

/// The sum of many.
#[must_use]
pub fn total(amounts: impl IntoIterator<Item = Micros>) -> Micros {
    amounts.into_iter().fold(Micros::ZERO, plus)
}

/// The sum of many that nodes have stated: each is an amount, their sum may be anything and stops at the
/// end of the range.
#[must_use]
pub fn total_stated(amounts: impl IntoIterator<Item = Micros>) -> Micros {
    amounts.into_iter().fold(Micros::ZERO, |sum, amount| Micros(sum.get().saturating_add(amount.get())))
}

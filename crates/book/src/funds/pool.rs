//! A pool's funds: what is left of it at base price, and how much more of it earlier terms take.

use std::sync::Arc;

use tariff::{Micros, Ratio};

use crate::draw::whole;
use crate::limits::{AMOUNT_MAX, TOTAL_MAX};

/// No account is worth more at base price: small factors could carry sums beyond 64 bits.
pub const MAX_WORTH: Micros = TOTAL_MAX;

/// What of a pool is not promised to anybody, at base price.
pub struct PoolFunds {
    pub name: Arc<str>,
    pub asset: Arc<str>,
    pub left: Micros,
    /// What use under earlier terms takes of `left`, where that is more than itself: up to which term, and how much
    /// the most since then. Later terms first.
    pub dearer: Vec<(u64, Ratio)>,
}

// === impl PoolFunds ===

impl PoolFunds {
    /// What use takes of it under a term or a later one, by the most of them; nothing where that is no more than under
    /// the term in force.
    pub fn ratio(&self, since: u64) -> Option<Ratio> {
        self.dearer.iter().rev().find(|(no, _)| since <= *no).map(|(_, ratio)| *ratio)
    }

    /// The most base price that it pays for requests of a term or later ones.
    pub fn most(&self, since: u64) -> Micros {
        self.ratio(since).map_or(self.left, |ratio| at_base_price(self.left, ratio))
    }

    /// What so much use by requests of a term or later ones takes of it, rounded up.
    pub fn weight(&self, base: Micros, since: u64) -> Micros {
        let Some(ratio) = self.ratio(since) else { return base };
        let weight = whole(base).checked_mul(ratio).and_then(Ratio::ceil);
        weight.map_or(self.left, Micros)
    }
}

/// Base price that an amount of a pool's credits pays, rounded down; a factor of zero pays anything.
pub fn at_base_price(amount: Micros, factor: Ratio) -> Micros {
    match whole(amount).checked_div(factor) {
        Some(base) => Micros(base.floor().unwrap_or(AMOUNT_MAX.get())).min(MAX_WORTH),
        None if amount <= Micros::ZERO => Micros::ZERO,
        None => MAX_WORTH,
    }
}

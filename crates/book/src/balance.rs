//! What an account has, as its owner reads it.

use std::sync::Arc;

use tariff::Micros;
use tariff::compile::CREDITS;

use crate::account::{Account, Lot};
use crate::amount::{less, plus};
use crate::funds::Funds;

/// What an account has. Sums are at base price, lots in their own credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// All that can still be spent: free, and idle on nodes.
    pub available: Micros,
    /// What of it lies idle on nodes.
    pub leased: Micros,
    /// Held for requests that have not ended, as nodes last said.
    pub in_flight: Micros,
    /// Charged beyond what lots could pay.
    pub debt: Micros,
    /// Lots that can be spent and have something left, by pool, in draw order.
    pub pools: Vec<PoolLots>,
}

/// One pool's lots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLots {
    /// The pool.
    pub pool: Arc<str>,
    /// The lots and their ids.
    pub lots: Vec<(u64, Lot)>,
}

/// The balance of an account; pools of its term without lots are listed too.
#[must_use]
pub fn balance(account: &Account) -> Balance {
    let outstanding = account.leased(CREDITS);
    let in_flight = account.in_flight(CREDITS);
    let leased = less(outstanding, in_flight);
    let mut pools: Vec<PoolLots> = Vec::new();
    if let Some(term) = account.term() {
        pools.extend(term.pools.iter().map(|pool| PoolLots { pool: pool.pool.clone(), lots: Vec::new() }));
        let lots = account.lots_in_draw_order(term);
        for (id, lot) in lots.into_iter().filter(|(_, lot)| lot.remaining > Micros::ZERO) {
            match pools.iter_mut().find(|entry| entry.pool == lot.pool) {
                Some(entry) => entry.lots.push((id, lot.clone())),
                None => pools.push(PoolLots { pool: lot.pool.clone(), lots: vec![(id, lot.clone())] }),
            }
        }
    }
    // What is leased may be more than the lots are worth (a lot expired, a charge beyond its hold).
    let leased = leased.min(less(account.worth(), in_flight));
    let unleased = Funds::at_face(account).worth(CREDITS);
    Balance { available: plus(unleased, leased), leased, in_flight, debt: account.debt, pools }
}

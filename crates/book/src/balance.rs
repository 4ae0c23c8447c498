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
    /// The same of what is counted apart from credits.
    pub assets: Vec<AssetBalance>,
    /// Lots that can be spent and have something left, by pool, in draw order.
    pub pools: Vec<PoolLots>,
}

/// What an account has of one asset, at base price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetBalance {
    /// The asset.
    pub asset: Arc<str>,
    /// All that can still be spent: free, and idle on nodes.
    pub available: Micros,
    /// What of it lies idle on nodes.
    pub leased: Micros,
    /// Held for requests that have not ended, as nodes last said.
    pub in_flight: Micros,
    /// Charged beyond what lots could pay.
    pub debt: Micros,
}

/// One pool's lots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLots {
    /// The pool.
    pub pool: Arc<str>,
    /// What it holds.
    pub asset: Arc<str>,
    /// The lots and their ids.
    pub lots: Vec<(u64, Lot)>,
}

/// The balance of an account; pools of its term without lots are listed too.
#[must_use]
pub fn balance(account: &Account) -> Balance {
    let mut pools: Vec<PoolLots> = Vec::new();
    if let Some(term) = account.term() {
        let empty = |pool: &Arc<str>, asset: &Arc<str>| PoolLots {
            pool: pool.clone(),
            asset: asset.clone(),
            lots: Vec::new(),
        };
        pools.extend(term.pools.iter().map(|pool| empty(&pool.pool, &pool.asset)));
        let lots = account.lots_in_draw_order(term);
        for (id, lot) in lots.into_iter().filter(|(_, lot)| lot.remaining > Micros::ZERO) {
            match pools.iter_mut().find(|entry| entry.pool == lot.pool) {
                Some(entry) => entry.lots.push((id, lot.clone())),
                None => {
                    pools.push(PoolLots { lots: vec![(id, lot.clone())], ..empty(&lot.pool, &lot.asset) })
                }
            }
        }
    }
    let mut others: Vec<Arc<str>> = pools.iter().map(|pool| pool.asset.clone()).collect();
    others.retain(|asset| **asset != *CREDITS);
    others.sort_unstable();
    others.dedup();
    let unleased = Funds::at_face(account);
    let AssetBalance { available, leased, in_flight, debt, .. } =
        of_asset(account, &unleased, Arc::from(CREDITS));
    let assets = others.into_iter().map(|asset| of_asset(account, &unleased, asset)).collect();
    Balance { available, leased, in_flight, debt, assets, pools }
}

fn of_asset(account: &Account, unleased: &Funds, asset: Arc<str>) -> AssetBalance {
    let in_flight = account.in_flight(&asset);
    let leased = less(account.leased(&asset), in_flight);
    // What is leased may be more than the lots are worth (a lot expired, a charge beyond its hold).
    let leased = leased.min(less(Funds::unleased(account).worth(&asset), in_flight));
    let available = plus(unleased.worth(&asset), leased);
    AssetBalance { available, leased, in_flight, debt: account.owed(&asset), asset }
}

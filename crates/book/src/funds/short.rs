//! What is short: leases that nothing covers, limits that leave nothing.

use tariff::Micros;

use super::{Funds, IN_FORCE, capped_sum};
use crate::account::Account;
use crate::lease::Lease;

impl Funds {
    /// What of a pool is promised to nobody, at base price.
    #[must_use]
    pub fn left_of_pool(&self, pool: &str) -> Micros {
        self.pools.iter().find(|own| *own.name == *pool).map_or(Micros::ZERO, |own| own.left)
    }

    /// Whether nodes may take more than there is, of any bucket: what is missing would be owed.
    #[must_use]
    pub fn is_short(account: &Account) -> bool {
        let mut funds = Self::unleased(account);
        funds.lay_all(account, IN_FORCE) > Micros::ZERO
    }

    /// Lays all leases on what there is, each at its dearest, for a node that may yet admit under a term; gives what
    /// there was too little.
    pub(super) fn lay_all(&mut self, account: &Account, since: u64) -> Micros {
        self.weigh(account, since);
        // The dearest first, which have the fewest pools to be dear in.
        let mut leases: Vec<&Lease> = account.leases.iter().collect();
        leases.sort_by_key(|lease| lease.since);
        leases.into_iter().fold(Micros::ZERO, |missing, lease| capped_sum(missing, self.lay(lease)))
    }

    /// The limits that leave a bucket nothing where its pools have something.
    pub fn binding(&self, bucket: &str) -> impl Iterator<Item = &str> {
        let bucket = self.credits.iter().find(|own| own.id == bucket);
        let skips = bucket.into_iter().flat_map(|bucket| &bucket.skips);
        let skips = skips.filter_map(|skip| self.skips.get(*skip));
        skips.filter(|skip| skip.left == Micros::ZERO).map(|skip| skip.limit.as_str())
    }
}

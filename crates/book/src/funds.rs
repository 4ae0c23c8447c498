//! Funds: what of each bucket can still be leased.
//!
//! The pools' worth at base price, bounded by caps, less the debt, less what is leased. A class draws its
//! pools in their order; what is leased of it is laid on the pools that it alone can use first, then on
//! those that it shares, so that no credit is promised twice (protocol §4).

mod pool;
mod short;

use std::sync::Arc;

use tariff::{Limit, Micros, Overage, Ratio};

use self::pool::{MAX_WORTH, PoolFunds, at_base_price};
use crate::account::{Account, Term};
use crate::amount::{less, total};
use crate::draw::bounds;
use crate::lease::Lease;
use crate::limits::AMOUNT_MAX;
use crate::rules::{OVERAGE, Rules, bucket_id, runs_dry};

/// What is left, while leases are laid on it.
pub struct Funds {
    pools: Vec<PoolFunds>,
    skips: Vec<Skip>,
    credits: Vec<CreditBucket>,
    caps: Vec<CapBucket>,
    /// What may still be used beyond the lots.
    overage: Micros,
}

/// As the term that requests are of: the one in force.
pub const IN_FORCE: u64 = u64::MAX;

/// A cap on some pools, from within the capacity.
struct Skip {
    limit: String,
    pools: Vec<String>,
    left: Micros,
}

/// A class's bucket of credits.
struct CreditBucket {
    id: String,
    asset: String,
    /// Indices of its pools: those that it alone can use first.
    pools: Vec<usize>,
    /// Indices of the caps that bound it.
    skips: Vec<usize>,
    overage: Overage,
}

/// A limit's bucket.
struct CapBucket {
    id: String,
    left: Micros,
}

// === impl Funds ===

impl Funds {
    /// What an account has, as if nothing were leased.
    #[must_use]
    pub fn unleased(account: &Account) -> Self {
        let Some(term) = account.term() else { return Self::nothing() };
        let rules = account.rules(term);
        let mut funds = Self::nothing();
        funds.add_pools(account, term);
        funds.add_limits(account, term, rules);
        funds.add_buckets(term, rules);
        let used = account.used(OVERAGE, term.window_key(OVERAGE));
        funds.overage = rules.overage_cap.map_or(Micros::ZERO, |cap| less(cap, used));
        funds.take_debt(account);
        funds
    }

    /// What of an account's funds is not leased, if all that is leased settles under the term in force: what an owner
    /// reads.
    #[must_use]
    pub fn at_face(account: &Account) -> Self {
        let mut funds = Self::unleased(account);
        account.leases.iter().for_each(|lease| {
            funds.lay(lease);
        });
        funds
    }

    /// What of an account's funds is not leased, however dear the terms that leases may yet settle under: what may be
    /// leased.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self::since(account, IN_FORCE)
    }

    /// The same, to be leased to a node that may yet admit under a term.
    #[must_use]
    pub fn since(account: &Account, since: u64) -> Self {
        let mut funds = Self::unleased(account);
        funds.lay_all(account, since);
        funds
    }

    /// What of a bucket can be leased for requests of the term in force; nothing for a bucket that is none of its.
    #[must_use]
    pub fn left(&self, bucket: &str) -> Option<Micros> {
        self.left_since(bucket, IN_FORCE)
    }

    /// What of a bucket can be leased for requests of a term or later ones.
    #[must_use]
    pub fn left_since(&self, bucket: &str, since: u64) -> Option<Micros> {
        if let Some(cap) = self.caps.iter().find(|cap| cap.id == bucket) {
            return Some(cap.left);
        }
        let bucket = self.credits.iter().find(|own| own.id == bucket)?;
        Some(match bucket.overage {
            Overage::Unlimited => AMOUNT_MAX,
            Overage::Capped => capped_sum(self.of_pools(bucket, since), self.overage),
            Overage::None => self.of_pools(bucket, since),
        })
    }

    /// The asset of a bucket, empty for a limit's; nothing for a bucket that is none of the term's.
    #[must_use]
    pub fn asset(&self, bucket: &str) -> Option<&str> {
        let credits = self.credits.iter().find(|own| own.id == bucket).map(|own| own.asset.as_str());
        credits.or_else(|| self.caps.iter().any(|cap| cap.id == bucket).then_some(""))
    }

    /// Whether a bucket is granted without bound.
    #[must_use]
    pub fn is_unlimited(&self, bucket: &str) -> bool {
        self.credits.iter().any(|own| own.id == bucket && own.overage == Overage::Unlimited)
    }

    /// Promises so much of a bucket to requests of a term or later ones; gives what there was too little of it.
    pub fn take(&mut self, bucket: &str, amount: Micros, since: u64) -> Micros {
        if let Some(cap) = self.caps.iter_mut().find(|cap| cap.id == bucket) {
            let missing = less(amount, cap.left);
            cap.left = less(cap.left, amount);
            return missing;
        }
        let Some(at) = self.credits.iter().position(|own| own.id == bucket) else { return amount };
        let Some(CreditBucket { pools, skips, overage, .. }) = self.credits.get(at) else { return amount };
        let (pools, skips, overage) = (pools.clone(), skips.clone(), *overage);
        let rest = self.take_of(&pools, &skips, amount, since);
        match overage {
            Overage::None => rest,
            Overage::Unlimited => Micros::ZERO,
            Overage::Capped => {
                let missing = less(rest, self.overage);
                self.overage = less(self.overage, rest);
                missing
            }
        }
    }

    /// Whether two buckets are paid from a common pool.
    #[must_use]
    pub fn overlap(&self, bucket: &str, lease: &Lease) -> bool {
        if &*lease.bucket == bucket {
            return true;
        }
        let Some(own) = self.credits.iter().find(|own| own.id == bucket) else { return false };
        let (others, _) = self.of_lease(lease);
        own.pools.iter().any(|pool| others.contains(pool))
    }

    /// All that there is of an asset, under the caps.
    #[must_use]
    pub fn worth(&self, asset: &str) -> Micros {
        let buckets = || self.credits.iter().filter(|bucket| bucket.asset == asset);
        let mut skips: Vec<Micros> = self.skips.iter().map(|skip| skip.left).collect();
        let mut sum = Micros::ZERO;
        for (index, pool) in self.pools.iter().enumerate() {
            let Some(bucket) = buckets().find(|bucket| bucket.pools.contains(&index)) else { continue };
            sum = capped_sum(sum, self.give(pool, &bucket.skips, &mut skips, pool.left));
        }
        if buckets().any(|bucket| bucket.overage == Overage::Capped) {
            sum = capped_sum(sum, self.overage);
        }
        sum
    }

    /// Whether a bucket is that of a limit whose end makes other pools pay (P8): its last may be taken by a request
    /// that needs more.
    #[must_use]
    pub fn is_skipped(&self, account: &Account, bucket: &str) -> bool {
        let limit = account.term().and_then(|term| account.rules(term).limit_of_bucket(term, bucket));
        limit.is_some_and(runs_dry)
    }

    /// The ids of the buckets: those of credits, then those of limits.
    pub fn buckets(&self) -> impl Iterator<Item = &str> {
        let caps = self.caps.iter().map(|cap| cap.id.as_str());
        self.credits.iter().map(|bucket| bucket.id.as_str()).chain(caps)
    }

    const fn nothing() -> Self {
        Self {
            pools: Vec::new(),
            skips: Vec::new(),
            credits: Vec::new(),
            caps: Vec::new(),
            overage: Micros::ZERO,
        }
    }

    /// The pools of the term in draw order, then those that the catalog no longer has.
    fn add_pools(&mut self, account: &Account, term: &Term) {
        let open = || account.lots.values().filter(|lot| lot.closing.is_none());
        for pool in &term.pools {
            let lots = open().filter(|lot| lot.pool == pool.pool).map(|lot| lot.remaining);
            let left = at_base_price(total(lots), pool.factor);
            let (name, asset) = (pool.pool.clone(), pool.asset.clone());
            self.pools.push(PoolFunds { name, asset, left, dearer: Vec::new() });
        }
        for lot in open().filter(|lot| !term.pools.iter().any(|pool| pool.pool == lot.pool)) {
            match self.pools.iter_mut().find(|pool| pool.name == lot.pool) {
                Some(pool) => pool.left = capped_sum(pool.left, lot.remaining),
                None => self.pools.push(PoolFunds {
                    name: lot.pool.clone(),
                    asset: lot.asset.clone(),
                    left: lot.remaining,
                    dearer: Vec::new(),
                }),
            }
        }
    }

    fn add_limits(&mut self, account: &Account, term: &Term, rules: &Rules) {
        let left =
            |limit: &Limit, max: Micros| less(max, account.used(&limit.id, term.window_key(&limit.id)));
        let skips = rules.funding.classes.iter().flat_map(|class| rules.skips(class));
        for (limit, max) in skips {
            if !self.skips.iter().any(|skip| skip.limit == limit.id) {
                let (left, pools) = (left(limit, max), limit.pools.clone());
                self.skips.push(Skip { limit: limit.id.clone(), pools, left });
            }
        }
        for cap in &rules.funding.caps {
            let Some((limit, max)) = rules.limit(&cap.limit).and_then(|limit| Some((limit, limit.max?)))
            else {
                continue;
            };
            self.caps.push(CapBucket { id: bucket_id(term, &cap.limit), left: left(limit, max) });
        }
    }

    fn add_buckets(&mut self, term: &Term, rules: &Rules) {
        for class in &rules.funding.classes {
            let Some(id) = class.bucket.as_ref() else { continue };
            if self.credits.iter().any(|own| own.id == *id) {
                continue;
            }
            let pools = self.pools.iter().enumerate();
            let pools = pools.filter(|(_, pool)| rules.pays(term, class, &pool.name, &pool.asset));
            let skips = self.skips.iter().enumerate().filter(|(_, skip)| class.skips.contains(&skip.limit));
            self.credits.push(CreditBucket {
                id: id.clone(),
                asset: class.asset.clone(),
                pools: pools.map(|(index, _)| index).collect(),
                skips: skips.map(|(index, _)| index).collect(),
                overage: class.overage,
            });
        }
        let sharers = |pool: &usize| self.credits.iter().filter(|own| own.pools.contains(pool)).count();
        let order: Vec<Vec<usize>> = self
            .credits
            .iter()
            .map(|bucket| {
                let mut pools = bucket.pools.clone();
                // Stable: within each, the draw order stays.
                pools.sort_by_key(|pool| sharers(pool) > 1);
                pools
            })
            .collect();
        for (bucket, pools) in self.credits.iter_mut().zip(order) {
            bucket.pools = pools;
        }
    }

    /// The debt is taken off first, in draw order.
    fn take_debt(&mut self, account: &Account) {
        let mut assets: Vec<Arc<str>> = self.pools.iter().map(|pool| pool.asset.clone()).collect();
        assets.sort_unstable();
        assets.dedup();
        for asset in assets {
            let mut owed = account.owed(&asset);
            // What caps let through is what the debt is taken off from.
            let buckets = self.credits.iter().filter(|bucket| *bucket.asset == *asset);
            let order: Vec<(Vec<usize>, Vec<usize>)> =
                buckets.map(|bucket| (bucket.pools.clone(), bucket.skips.clone())).collect();
            for (pools, skips) in order {
                owed = self.take_of(&pools, &skips, owed, IN_FORCE);
            }
        }
    }

    /// Notes where requests of earlier terms, which may yet settle, take more of a pool than those of the term in
    /// force.
    fn weigh(&mut self, account: &Account, since: u64) {
        let Some(term) = account.term() else { return };
        let open = account.leases.iter().filter(|lease| lease.outstanding() > Micros::ZERO);
        let since = open.map(|lease| lease.since).min().unwrap_or(IN_FORCE).min(since);
        if since >= term.no {
            return;
        }
        for pool in &mut self.pools {
            let factor = term.factor(&pool.name);
            let mut most = factor;
            for earlier in account.terms.iter().rev().filter(|own| (since..term.no).contains(&own.no)) {
                let own = earlier.factor(&pool.name);
                if own > most {
                    most = own;
                    pool.dearer.extend(own.checked_div(factor).map(|ratio| (earlier.no, ratio)));
                }
            }
        }
    }

    /// Lays a lease on what there is; gives what there was too little.
    fn lay(&mut self, lease: &Lease) -> Micros {
        let outstanding = lease.outstanding();
        if outstanding == Micros::ZERO {
            return Micros::ZERO;
        }
        if self.asset(&lease.bucket).is_some() {
            return self.take(&lease.bucket, outstanding, lease.since);
        }
        let (pools, skips) = self.of_lease(lease);
        let rest = self.take_of(&pools, &skips, outstanding, lease.since);
        // A limit's bucket of an earlier term: nothing pays for it.
        if lease.asset.is_empty() { Micros::ZERO } else { rest }
    }

    /// The pools that pay for what is leased, also of a bucket of an earlier term: its id names them.
    fn of_lease(&self, lease: &Lease) -> (Vec<usize>, Vec<usize>) {
        if let Some(bucket) = self.credits.iter().find(|own| *own.id == *lease.bucket) {
            return (bucket.pools.clone(), bucket.skips.clone());
        }
        if lease.asset.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let rest = lease.bucket.strip_prefix(&*lease.asset).unwrap_or_default();
        let named = rest.split('~').next().unwrap_or_default().strip_prefix('/');
        let pools = self.pools.iter().enumerate().filter(|(_, pool)| {
            let is_named = named.is_none_or(|named| named.split('+').any(|name| *name == *pool.name));
            pool.asset == lease.asset && is_named
        });
        (pools.map(|(index, _)| index).collect(), Vec::new())
    }

    fn of_pools(&self, bucket: &CreditBucket, since: u64) -> Micros {
        let mut skips: Vec<Micros> = self.skips.iter().map(|skip| skip.left).collect();
        // In draw order, as settlements will: where caps overlap another order may come to more.
        let mut order = bucket.pools.clone();
        order.sort_unstable();
        let pools = order.iter().filter_map(|pool| self.pools.get(*pool));
        pools.fold(Micros::ZERO, |sum, pool| {
            capped_sum(sum, self.give(pool, &bucket.skips, &mut skips, pool.most(since)))
        })
    }

    /// Takes so much of pools in their order, for requests of a term or later ones; gives what they did not have.
    fn take_of(&mut self, pools: &[usize], bounds: &[usize], amount: Micros, since: u64) -> Micros {
        let mut skips: Vec<Micros> = self.skips.iter().map(|skip| skip.left).collect();
        let mut rest = amount;
        for index in self.dearest_first(pools, since).as_deref().unwrap_or(pools) {
            let Some(pool) = self.pools.get(*index) else { continue };
            let most = pool.most(since);
            let given = self.give(pool, bounds, &mut skips, rest.min(most));
            // A pool that does not suffice is emptied, with what is left of it by rounding.
            let weight = if given == most && given < rest { pool.left } else { pool.weight(given, since) };
            rest = less(rest, given);
            if let Some(pool) = self.pools.get_mut(*index) {
                pool.left = less(pool.left, weight);
            }
        }
        for (skip, left) in self.skips.iter_mut().zip(skips) {
            skip.left = left;
        }
        rest
    }

    /// Pools in the order in which requests of a term or later ones may come to the most: an earlier term draws its own
    /// lots first, wherever they stand. Nothing where the order stays.
    fn dearest_first(&self, pools: &[usize], since: u64) -> Option<Vec<usize>> {
        let ratio = |pool: &usize| self.pools.get(*pool).and_then(|pool| pool.ratio(since));
        pools.iter().any(|pool| ratio(pool).is_some()).then(|| {
            let mut order = pools.to_vec();
            order.sort_by_key(|pool| std::cmp::Reverse(ratio(pool).unwrap_or(Ratio::ONE)));
            order
        })
    }

    /// What a pool gives of what it is asked for, under the caps that bound it; the caps shrink by it.
    fn give(&self, pool: &PoolFunds, caps: &[usize], left: &mut [Micros], asked: Micros) -> Micros {
        let bounding =
            |index: &&usize| self.skips.get(**index).is_some_and(|skip| bounds(&skip.pools, &pool.name));
        let own: Vec<usize> = caps.iter().filter(bounding).copied().collect();
        let given =
            own.iter().filter_map(|index| left.get(*index)).fold(asked, |least, left| least.min(*left));
        for index in own {
            if let Some(left) = left.get_mut(index) {
                *left = less(*left, given);
            }
        }
        given
    }
}

fn capped_sum(a: Micros, b: Micros) -> Micros {
    Micros(a.get().saturating_add(b.get())).min(MAX_WORTH)
}

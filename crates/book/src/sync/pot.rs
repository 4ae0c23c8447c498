//! A pot: what of one bucket there is to give while a want is being served.

use std::sync::Arc;

use tariff::Micros;
use wire::{Ask, Grant, NodeId, Want};

use crate::account::Account;
use crate::amount::{less, plus, total_stated};
use crate::funds::{Funds, IN_FORCE};
use crate::lease::Lease;
use crate::limits::TOTAL_MAX;

/// What of one bucket there is to give while a want is being served.
pub struct Pot {
    pub bucket: Arc<str>,
    /// Whose pools pay; empty where it is a limit's.
    pub asset: Arc<str>,
    pub ask: Micros,
    /// The oldest term that what is leased to the record may settle under.
    pub since: u64,
    /// The most that may be leased yet under this lease.
    pub room: Micros,
    /// Not leased to anybody before the want.
    pub capacity_before: Micros,
    /// Free on the node, beside what this want grants to named requests.
    pub free: Micros,
    /// Held on the node, with the requests that this want serves.
    pub held: Micros,
    /// Used there beyond what was granted: leased on top of what is granted, as it covers nothing.
    pub behind: Micros,
    /// Leased to the node before the want and neither free nor held there: reports are under way.
    pub under_way: Micros,
    /// The same for other records.
    pub elsewhere: Elsewhere,
    pub granted: Micros,
    pub need_max: Micros,
    pub exact: bool,
    /// Whether the last of it may go to a request that needs more.
    pub is_clipped: bool,
}

/// What other records than the asking one may still take, and it itself of other buckets of the same pools.
#[derive(Clone, Copy)]
pub struct Elsewhere {
    /// Held there, as their nodes last said.
    pub held: Micros,
    /// Idle on other nodes, or used there and not yet reported: a recall brings it home.
    pub idle: Micros,
    /// Of earlier records of the asking node: its reports bring it home.
    pub under_way: Micros,
}

// === impl Pot ===

impl Pot {
    /// Nothing for a bucket that is none of the term's.
    pub fn new(account: &Account, funds: &Funds, node: NodeId, want: &Want, ask: &Ask) -> Option<Self> {
        let asset = funds.asset(&ask.bucket)?;
        let needs = want.requests.iter().flat_map(|request| &request.needs);
        let needs = needs.filter(|need| need.bucket == ask.bucket).map(|need| need.need);
        let lease = account.lease(node, want.lease, &ask.bucket);
        let outstanding = lease.map_or(Micros::ZERO, Lease::outstanding);
        let since = lease
            .filter(|lease| !lease.is_even())
            .map_or_else(|| first_term(account, want), |lease| lease.since);
        // No more can be free there than the node may still take, whatever it says.
        let free = ask.free.min(outstanding);
        // What a lease has been granted in all has an end: a node that gives back and asks again for ever is granted
        // nothing beyond it.
        let granted = lease.map_or(Micros::ZERO, |lease| plus(lease.granted, lease.behind()));
        let room = less(TOTAL_MAX, granted);
        Some(Self {
            bucket: Arc::from(ask.bucket.as_str()),
            asset: Arc::from(asset),
            ask: ask.ask,
            since,
            room,
            capacity_before: funds.left_since(&ask.bucket, since).unwrap_or_default().min(room),
            free,
            held: ask.held,
            behind: lease.map_or(Micros::ZERO, Lease::behind),
            under_way: less(outstanding, plus(free, ask.held)),
            elsewhere: Elsewhere::new(account, funds, node, want.lease, &ask.bucket),
            granted: Micros::ZERO,
            need_max: needs.max().unwrap_or_default(),
            exact: false,
            is_clipped: !asset.is_empty() || funds.is_skipped(account, &ask.bucket),
        })
    }

    /// Not leased to anybody, as far as this lease can have it.
    pub fn capacity(&self, funds: &Funds) -> Micros {
        funds.left_since(&self.bucket, self.since).unwrap_or_default().min(self.room)
    }

    pub fn is_short(&self, funds: &Funds, need: Micros) -> bool {
        less(need, self.free) > self.capacity(funds)
    }

    /// Whether more could be leased to the node were it not for earlier terms that it may admit or settle under. With
    /// nothing held there that passes: it hears of the term in force, and gives back what is free.
    pub fn is_barred(&self, funds: &Funds) -> bool {
        self.held == Micros::ZERO
            && self.capacity(funds) < funds.left(&self.bucket).unwrap_or_default().min(self.room)
    }

    /// Whether there is something of it, here or wherever it must be waited for.
    pub fn comes_back(&self, funds: &Funds) -> bool {
        let Elsewhere { held, idle, under_way } = self.elsewhere;
        let all = [self.capacity(funds), self.free, self.held, self.under_way, held, idle, under_way];
        all.iter().any(|amount| *amount > Micros::ZERO)
    }

    /// One request takes its hold: what is free on the node, and so much more.
    pub fn take(&mut self, funds: &mut Funds, hold: Micros, more: Micros) {
        funds.take(&self.bucket, more, self.since);
        self.room = less(self.room, more);
        self.granted = plus(self.granted, more);
        self.free = less(plus(self.free, more), hold);
        self.held = plus(self.held, hold);
    }

    /// Leases ahead: `min(ask, available / (2 n))`, unless that is less than one need (protocol §5).
    pub fn lease_ahead(&mut self, funds: &mut Funds, sharers: i64, is_short: bool) {
        let share = self.capacity_before.get().checked_div(sharers.saturating_mul(2)).unwrap_or(0);
        let share = Micros(share);
        self.exact = share < self.need_max || share == Micros::ZERO;
        if self.exact || is_short {
            return;
        }
        let ahead = less(self.ask.min(share), self.granted).min(self.capacity(funds));
        funds.take(&self.bucket, ahead, self.since);
        self.room = less(self.room, ahead);
        self.granted = plus(self.granted, ahead);
    }

    pub fn grant(&self, account: &Account, funds: &Funds, node: NodeId, want: &Want) -> Grant {
        let lease = account.lease(node, want.lease, &self.bucket);
        Grant {
            account: want.account.clone(),
            lease: want.lease,
            bucket: self.bucket.to_string(),
            granted: lease.map_or(Micros::ZERO, |lease| lease.granted),
            unleased: self.capacity(funds),
            exact: self.exact,
        }
    }
}

// === impl Elsewhere ===

impl Elsewhere {
    pub fn new(account: &Account, funds: &Funds, node: NodeId, epoch: u64, bucket: &str) -> Self {
        // Leases of other buckets that the same pools pay give back what this one could have.
        let of_bucket = || account.leases.iter().filter(|lease| funds.overlap(bucket, lease));
        let held_of = |lease: &Lease| account.soft.held(lease).min(lease.outstanding());
        let is_own = |lease: &&Lease| lease.node == node && &*lease.bucket == bucket;
        let others = || of_bucket().filter(|lease| !is_own(lease));
        let earlier = of_bucket().filter(|lease| is_own(lease) && lease.epoch != epoch);
        let held = total_stated(others().map(held_of));
        Self {
            held,
            idle: less(total_stated(others().map(Lease::outstanding)), held),
            under_way: total_stated(earlier.map(Lease::outstanding)),
        }
    }
}

/// The earliest term that a record may yet admit under, as its want says.
pub fn first_term(account: &Account, want: &Want) -> u64 {
    let in_force = account.term().map_or(0, |term| term.no);
    if (1..in_force).contains(&want.term) { want.term } else { IN_FORCE }
}

//! The naive oracle of the ledger: its journal, folded once more over plain lists, with sums and fractions of its
//! own. It takes from an entry what somebody decided and checks whether it was right.

use std::collections::{BTreeMap, HashMap, HashSet};

use book::entry::{Charge, Granted, Release};
use book::{Entry, EntryKind, LotEnd};
use tariff::Meter;
use tariff::compile::CREDITS;
use wire::id::names_bucket;
use wire::{Lane, NodeId, Outcome, Take, UsageSource};

use super::market::{self, Model};
use super::report::{Broken, ensure};

/// Everything in the journal.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The accounts.
    pub accounts: BTreeMap<String, Account>,
    /// Entries read.
    read: usize,
    /// Numbers of events that have been posted.
    pub posted: HashMap<Lane, HashSet<u64>>,
    /// Requests that were charged, at base price.
    pub charged: HashMap<String, i64>,
    /// Requests that were released.
    pub released: HashSet<String>,
    /// What was posted since somebody last looked.
    pub fresh: Vec<Fresh>,
}

/// The end of a request as it was posted.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The account.
    pub account: String,
    /// The request.
    pub request: String,
    /// How.
    pub posted: Posted,
}

/// How the end of a request was posted.
#[derive(Clone, Copy, Debug)]
pub enum Posted {
    /// It was charged.
    Charge { outcome: Outcome, source: Option<UsageSource>, base: i64, input: i64, output: i64, term: u64 },
    /// Nothing was charged.
    Release,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub lots: Vec<Lot>,
    pub debt: i64,
    pub granted: i64,
    pub charged: i64,
    pub expired: i64,
    pub voided: i64,
    /// Number, catalog version, plan.
    pub terms: Vec<(u64, u64, String)>,
    pub leases: Vec<Lease>,
    /// Requests that were allowed to run below their need; whether one does is seen at its node.
    pub clipped: HashSet<String>,
    /// All debt there ever was, and what may have led to it (I2), in micro-credits.
    pub overspent: i64,
    /// What nodes could still have taken when they were closed.
    pub lost: i64,
    /// What was leased beyond the account's worth when lots ended or a plan with a higher factor began.
    pub carried: i64,
    /// What requests cost more that nothing is leased for, as their nodes were closed, where the account's credits buy
    /// more since they were admitted.
    pub dearer: i64,
    /// Charge lines: each is rounded once.
    pub lines: i64,
}

/// One grant.
#[derive(Clone, Debug)]
pub struct Lot {
    id: u64,
    is_top_up: bool,
    amount: i64,
    pub remaining: i64,
    created_at: i64,
    expires_at: Option<i64>,
    term: u64,
    /// The last term that may still draw it, once it has ended.
    closed: Option<u64>,
}

/// What one record of a node may take.
#[derive(Clone, Debug)]
pub struct Lease {
    pub node: NodeId,
    pub epoch: u64,
    pub granted: i64,
    pub returned: i64,
    pub settled: i64,
    pub used: Option<i64>,
    /// The oldest term that what is outstanding may settle under.
    pub since: u64,
}

impl Lease {
    pub fn outstanding(&self) -> i64 {
        let most = self.used.unwrap_or(self.granted - self.returned);
        (most - self.settled).max(0)
    }
}

impl Account {
    /// What is left of open lots.
    pub fn remaining(&self) -> i64 {
        self.lots.iter().map(|lot| lot.remaining).sum()
    }

    /// What nodes may still take.
    pub fn outstanding(&self) -> i64 {
        self.leases.iter().map(Lease::outstanding).sum()
    }

    /// What open lots are worth at base price, less the debt.
    pub fn worth(&self) -> i64 {
        let plan = self.terms.last().map_or("", |(_, _, plan)| plan.as_str());
        let of = |is_top_up| -> i64 {
            let open = self.lots.iter().filter(|lot| lot.closed.is_none() && lot.is_top_up == is_top_up);
            open.map(|lot| lot.remaining).sum()
        };
        let top_up = of(true) * 100 / market::factor(plan);
        (of(false) + top_up - self.debt).max(0)
    }

    /// What is left, at base price times the factor that runs, when all that is leased has been used as dearly as it may
    /// be: top-ups first, by the highest factor since the term that each lease goes back to. Below zero where there is
    /// not enough.
    fn unleased(&self) -> i128 {
        let now = self.terms.last().map_or(100, |(.., plan)| market::factor(plan));
        let open = |is_top_up| -> i64 {
            let lots = self.lots.iter().filter(|lot| lot.closed.is_none() && lot.is_top_up == is_top_up);
            lots.map(|lot| lot.remaining).sum()
        };
        let dearest = |lease: &Lease| {
            let seen = self.terms.iter().filter(|(no, ..)| *no >= lease.since);
            seen.map(|(.., plan)| market::factor(plan)).max().unwrap_or(now)
        };
        let mut leases: Vec<(i128, i128)> =
            self.leases.iter().map(|lease| (dearest(lease).into(), lease.outstanding().into())).collect();
        leases.sort_unstable_by_key(|(factor, _)| -factor);
        let now = i128::from(now);
        let mut dear_left = i128::from(open(true)) * 100;
        let mut left = i128::from(open(false) - self.debt) * now + dear_left;
        for (factor, outstanding) in leases {
            let dear = if factor > now { (outstanding * factor).min(dear_left) } else { 0 };
            dear_left -= dear;
            left -= dear + (outstanding * factor - dear) * now / factor;
        }
        left
    }

    /// What nodes may take beyond what the account is worth.
    fn uncovered(&self) -> i64 {
        let now = self.terms.last().map_or(100, |(.., plan)| market::factor(plan));
        let short = (-self.unleased()).max(0);
        i64::try_from(short / i128::from(now) + 1).unwrap_or(i64::MAX)
    }

    fn lease(&mut self, node: NodeId, epoch: u64) -> &mut Lease {
        let at = self.leases.iter().position(|lease| lease.node == node && lease.epoch == epoch);
        let at = at.unwrap_or_else(|| {
            self.leases.push(Lease {
                node,
                epoch,
                granted: 0,
                returned: 0,
                settled: 0,
                used: None,
                since: 0,
            });
            self.leases.len() - 1
        });
        &mut self.leases[at]
    }

    fn take(&mut self, node: NodeId, epoch: u64, takes: &[Take]) {
        let used: i64 =
            takes.iter().filter(|take| names_bucket(&take.bucket, CREDITS)).map(|t| t.used.get()).sum();
        for lease in self.leases.iter_mut().filter(|lease| lease.node == node && lease.epoch == epoch) {
            lease.settled += used;
        }
        self.drop_ended();
    }

    fn drop_ended(&mut self) {
        self.leases.retain(|lease| lease.used.is_none_or(|used| lease.settled < used));
    }

    /// What each lot must pay of a price in tenths, under a term, and what is left as debt.
    fn draw(&self, term: u64, price_tenths: i64) -> (Vec<(u64, i64)>, i64) {
        let plan = self.term(term).map_or("", |(_, _, plan)| plan.as_str());
        let mut lots: Vec<&Lot> = self
            .lots
            .iter()
            .filter(|lot| lot.remaining > 0 && lot.closed.is_none_or(|last| term <= last))
            .collect();
        lots.sort_by_key(|lot| {
            let ends = lot.expires_at.unwrap_or(i64::MAX);
            (lot.term > term, lot.is_top_up, ends, lot.created_at, lot.id)
        });
        let mut slices = Vec::new();
        let (mut top, mut bottom) = (i128::from(price_tenths), 10_i128);
        for lot in lots {
            if top == 0 {
                break;
            }
            let factor = i128::from(if lot.is_top_up { market::factor(plan) } else { 100 });
            let remaining = i128::from(lot.remaining);
            let amount = if top * factor <= remaining * bottom * 100 {
                let asked = (top * factor * 2 + bottom * 100) / (bottom * 200);
                (top, bottom) = (0, 1);
                asked
            } else {
                (top, bottom) = (top * factor - remaining * 100 * bottom, bottom * factor);
                let common = gcd(top, bottom);
                (top, bottom) = (top / common, bottom / common);
                remaining
            };
            if amount > 0 {
                slices.push((lot.id, i64::try_from(amount).unwrap_or(i64::MAX)));
            }
        }
        let debt = (top * 2 + bottom) / (bottom * 2);
        (slices, i64::try_from(debt).unwrap_or(i64::MAX))
    }

    /// The term of a settlement: its own, else the next one known.
    pub fn term(&self, no: u64) -> Option<&(u64, u64, String)> {
        self.terms.iter().find(|(own, ..)| *own >= no).or(self.terms.last())
    }
}

const fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 { 1 } else { a }
}

impl Books {
    /// Reads what has been written since; gives the accounts that changed.
    pub fn read(&mut self, journal: &[Entry]) -> Result<HashSet<String>, Broken> {
        let mut changed = HashSet::new();
        for entry in journal.iter().skip(self.read) {
            self.read += 1;
            changed.insert(entry.account.to_string());
            self.fold(entry)?;
        }
        Ok(changed)
    }

    fn fold(&mut self, entry: &Entry) -> Result<(), Broken> {
        let name = entry.account.to_string();
        let account = self.accounts.entry(name.clone()).or_default();
        match &entry.kind {
            EntryKind::Charge(charge) => {
                account.charge(&name, charge)?;
                self.note(charge.lane, charge.seq)?;
                let before = self.charged.insert(charge.request.clone(), charge.base.get());
                ensure("I3", before.is_none(), || format!("{name}: {} is charged twice", charge.request))?;
                let posted = Posted::Charge {
                    outcome: charge.outcome,
                    source: charge.source,
                    base: charge.base.get(),
                    input: count(charge, Meter::InputTokens),
                    output: count(charge, Meter::OutputTokens),
                    term: charge.term,
                };
                self.fresh.push(Fresh { account: name, request: charge.request.clone(), posted });
                Ok(())
            }
            EntryKind::Release(release) => {
                account.take(release.holder, release.epoch, &release.takes);
                let Release { lane, seq, request, .. } = &**release;
                self.note(*lane, *seq)?;
                self.released.insert(request.clone());
                self.fresh.push(Fresh { account: name, request: request.clone(), posted: Posted::Release });
                Ok(())
            }
            _ => account.fold_lots(&name, entry).and_then(|()| account.fold_leases(&name, &entry.kind)),
        }
    }

    fn note(&mut self, lane: Lane, seq: u64) -> Result<(), Broken> {
        let fresh = self.posted.entry(lane).or_default().insert(seq);
        ensure("I3", fresh, || format!("event {seq} of {lane:?} is posted twice"))
    }
}

impl Account {
    fn fold_lots(&mut self, name: &str, entry: &Entry) -> Result<(), Broken> {
        let owed = self.uncovered();
        match &entry.kind {
            EntryKind::Grant(granted) => self.grant(entry, granted),
            EntryKind::Term { term, .. } => {
                self.terms.push((term.no, term.catalog, term.plan.to_string()));
                self.carried += (self.uncovered() - owed).max(0);
            }
            EntryKind::LotClosed { lot, .. } => {
                let last = self.terms.last().map_or(0, |(no, ..)| *no);
                self.lots.iter_mut().filter(|own| own.id == *lot).for_each(|own| own.closed = Some(last));
                self.carried += (self.uncovered() - owed).max(0);
            }
            EntryKind::LotEnded { lot, end, rest, .. } => {
                let at = self.lots.iter().position(|own| own.id == *lot);
                let own = at.map(|at| self.lots.remove(at));
                let left = own.as_ref().map_or(0, |own| own.remaining);
                *(if *end == LotEnd::Void { &mut self.voided } else { &mut self.expired }) += left;
                ensure("I1", left == rest.get(), || {
                    format!("{name}: lot {lot} ends with {rest}, not {left}")
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn fold_leases(&mut self, name: &str, kind: &EntryKind) -> Result<(), Broken> {
        match kind {
            EntryKind::Leased { node, epoch, bucket, amount, term, .. } if &**bucket == CREDITS => {
                let in_force = self.terms.last().map_or(0, |(no, ..)| *no);
                let term = if *term == 0 { in_force } else { *term };
                let lease = self.lease(*node, *epoch);
                let is_even = lease.granted - lease.returned == lease.settled;
                lease.since = if is_even { term } else { lease.since };
                lease.granted += amount.get();
                ensure("I2", amount.get() > 0 && self.unleased() >= 0, || {
                    let (outstanding, worth) = (self.outstanding(), self.worth());
                    format!(
                        "{name}: {amount} leased, now {outstanding} of {worth} micro-credits: {:?}",
                        self.leases
                    )
                })
            }
            EntryKind::Returned { node, epoch, bucket, returned } if &**bucket == CREDITS => {
                let lease = self.lease(*node, *epoch);
                let sound = returned.get() >= lease.returned && returned.get() <= lease.granted;
                lease.returned = returned.get();
                ensure("I1", sound, || format!("{name}: {returned} returned of {lease:?}"))
            }
            EntryKind::LeaseClosed { node, epoch, used } => {
                let used = used.iter().find(|used| names_bucket(&used.bucket, CREDITS));
                let used = used.map_or(0, |used| used.used.get());
                let of = |lease: &&mut Lease| lease.node == *node && lease.epoch == *epoch;
                self.leases.iter_mut().filter(of).for_each(|lease| lease.used = Some(used));
                self.drop_ended();
                Ok(())
            }
            EntryKind::NodeClosed { node, lost } => {
                let of = |lease: &&Lease| lease.node == *node;
                let own: i64 = self.leases.iter().filter(of).map(Lease::outstanding).sum();
                self.leases.retain(|lease| lease.node != *node);
                self.lost += own;
                ensure("I1", own == lost.get(), || format!("{name}: {lost} come home, not {own}"))
            }
            EntryKind::Clipped(clip) => {
                self.clipped.insert(clip.request.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn grant(&mut self, entry: &Entry, granted: &Granted) {
        self.granted += granted.amount.get();
        self.debt -= granted.repaid.get();
        self.lots.push(Lot {
            id: entry.id,
            is_top_up: &*granted.pool == "topup",
            amount: granted.amount.get(),
            remaining: granted.amount.get() - granted.repaid.get(),
            created_at: entry.at,
            expires_at: granted.expires_at,
            term: self.terms.last().map_or(0, |(no, ..)| *no),
            closed: None,
        });
    }

    fn charge(&mut self, name: &str, charge: &Charge) -> Result<(), Broken> {
        let Some((term, version, plan)) = self.term(charge.term).cloned() else {
            return Err(Broken::new("I4", format!("{name}: no term {} for {}", charge.term, charge.request)));
        };
        let tenths = price_of(charge, version);
        let (slices, debt) = self.draw(term, tenths);
        let posted: Vec<(u64, i64)> =
            charge.slices.iter().map(|slice| (slice.lot, slice.amount.get())).collect();
        ensure("I1", posted == slices && charge.debt.get() == debt, || {
            format!(
                "{name}: {} costs {tenths} tenths: lots pay {posted:?} and {} is owed, not {slices:?} and {debt}",
                charge.request, charge.debt
            )
        })?;
        ensure("I5", charge.base.get() == market::round(tenths), || {
            format!("{name}: {} is charged {}, not {tenths} tenths", charge.request, charge.base)
        })?;
        let running = self.terms.last().map_or(100, |(.., plan)| market::factor(plan));
        let of = |lease: &Lease| lease.node == charge.holder && lease.epoch == charge.epoch;
        let lease = self.leases.iter().find(|lease| of(lease));
        let is_leased = lease.is_some();
        ensure("I10", lease.is_none_or(|lease| lease.since <= term), || {
            format!(
                "{name}: {} was admitted under term {term}, its lease is of later ones: {lease:?}",
                charge.request
            )
        })?;
        for (id, amount) in slices {
            if !is_leased && self.lots.iter().any(|lot| lot.id == id && lot.is_top_up) {
                let worth = |factor: i64| amount * 100 / factor;
                self.dearer += (worth(running) - worth(market::factor(&plan))).max(0);
            }
            for lot in self.lots.iter_mut().filter(|lot| lot.id == id) {
                lot.remaining -= amount;
                ensure("I1", (0..=lot.amount).contains(&lot.remaining), || format!("{name}: {lot:?}"))?;
            }
        }
        self.debt += debt;
        self.overspent += debt;
        self.lines += 1;
        self.charged += charge.amount.get();
        self.take(charge.holder, charge.epoch, &charge.takes);
        Ok(())
    }
}

/// What a charge's counts cost, in tenths; what is estimated or lost never more than was held.
fn price_of(charge: &Charge, version: u64) -> i64 {
    let model = match charge.model.as_str() {
        "small" => Model::Small,
        "large" => Model::Large,
        _ => Model::Search,
    };
    let tenths = market::price_tenths(
        version,
        model,
        count(charge, Meter::InputTokens),
        count(charge, Meter::OutputTokens),
    );
    if charge.source == Some(UsageSource::Estimated) || charge.outcome == Outcome::Lost {
        let held = charge.takes.iter().find(|take| take.bucket == CREDITS).map(|take| take.held.get());
        return tenths.min(held.unwrap_or(i64::MAX / 10) * 10);
    }
    tenths
}

fn count(charge: &Charge, meter: Meter) -> i64 {
    i64::try_from(charge.usage.get(meter)).unwrap_or(i64::MAX)
}

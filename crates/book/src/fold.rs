//! The fold: what each entry does to an account. Deterministic, total, without any decision.
//!
//! Whatever an entry says is taken as decided: replaying a journal gives the account that the
//! commands saw, whatever the code of the commands has become since.

use std::sync::Arc;

use tariff::Micros;
use tariff::compile::CREDITS;
use wire::id::names_bucket;
use wire::{NodeId, Take, Used};

use crate::account::{Account, Closing, Lot, LotEnd, Term, credits};
use crate::amount::{less, minus, plus};
use crate::counts::Count;
use crate::entry::{Charge, Entry, EntryKind, GrantSource, Granted, Release, Slice};
use crate::lease::Lease;
use crate::limits::{COUNTED_TERMS, LEASES_ENDED_KEPT, LOTS_SPENT_KEPT, TERMS_KEPT, TOTAL_MAX};
use crate::rules::Rules;

impl Account {
    /// Folds one entry in. Entries come in the order of their ids; one that is folded in already is
    /// skipped, so that a rebuild may begin anywhere before its end.
    pub fn apply(&mut self, entry: &Entry) {
        debug_assert_eq!(self.id, entry.account);
        if entry.id <= self.last_entry {
            return;
        }
        self.last_entry = entry.id;
        if entry.kind.is_line() {
            self.last_line = entry.id;
        }
        match &entry.kind {
            EntryKind::Opened { created_at, .. } => self.created_at = *created_at,
            EntryKind::Plan { .. } => {}
            EntryKind::Status { status } => {
                self.status = *status;
                self.raise_version();
            }
            EntryKind::Settings { settings } => {
                self.settings = (**settings).clone();
                self.raise_version();
            }
            EntryKind::Pending { change } => {
                self.pending = change.as_deref().cloned();
                if let Some(pending) = &mut self.pending {
                    pending.id = entry.id;
                }
            }
            EntryKind::Lapsed { lapse } => {
                self.lapsed = lapse.as_deref().cloned();
                let awaits = self.lapsed.as_mut().and_then(|lapse| lapse.awaits.as_mut());
                if let Some(awaits) = awaits.filter(|awaits| awaits.id == 0) {
                    awaits.id = entry.id;
                }
            }
            EntryKind::Payment(payment) => self.pay(entry.at, payment),
            EntryKind::Recharge { schedule } => self.dealings.recharge.clone_from(schedule),
            EntryKind::RechargeDue { request } => self.request_recharge(entry.id, request),
            EntryKind::RechargeDropped { request } => {
                self.dealings.requested.retain(|requested| requested.id != *request);
            }
            EntryKind::Consent => self.dealings.consent_at = Some(entry.at),
            EntryKind::Resource { name, count } => self.keep(name, *count),
            EntryKind::Term { term, rules } => self.begin_term(term, rules.as_ref()),
            EntryKind::Cycle { cycle } => self.cycle.clone_from(cycle),
            EntryKind::Grant(granted) => self.grant(entry.id, entry.at, granted),
            EntryKind::LotClosed { lot, end } => self.close_lot(*lot, entry.at, *end),
            EntryKind::LotEnded { lot, end, rest, .. } => self.end_lot(*lot, *end, *rest),
            EntryKind::LotTrimmed { lot, amount, .. } => self.trim_lot(*lot, *amount),
            EntryKind::Charge(charge) => {
                self.first_used_at.get_or_insert(entry.at);
                self.charge(charge);
            }
            EntryKind::Release(release) => self.release(release),
            EntryKind::Leased { node, epoch, bucket, asset, amount, term } => {
                let in_force = self.term().map_or(0, |term| term.no);
                let since = if *term == 0 { in_force } else { *term };
                let grant = |lease: &mut Lease| {
                    if lease.is_even() {
                        lease.since = since;
                    }
                    lease.granted = plus(lease.granted, *amount);
                };
                self.lease_of(*node, *epoch, (bucket, asset), grant);
            }
            EntryKind::Returned { node, epoch, bucket, returned } => {
                self.lease_of(*node, *epoch, (bucket, &credits()), |lease| lease.returned = *returned);
            }
            EntryKind::LeaseClosed { node, epoch, used } => self.close_leases(*node, *epoch, used),
            EntryKind::NodeClosed { node, .. } => self.drop_node(*node),
            EntryKind::Clipped(clip) => self.clip = Some(clip.clone()),
            EntryKind::Adjusted(adjusted) => self.adjust(entry.id, entry.at, adjusted),
            EntryKind::Reversed(reversed) => self.reverse(entry.id, entry.at, reversed),
            EntryKind::Extended(extended) => self.extend(extended),
        }
    }

    pub(crate) const fn raise_version(&mut self) {
        self.version = self.version.saturating_add(1);
    }

    fn begin_term(&mut self, term: &Term, rules: Option<&Arc<Rules>>) {
        self.terms.push(term.clone());
        self.age_leases(term);
        let surplus = self.terms.len().saturating_sub(TERMS_KEPT);
        self.terms.drain(..surplus);
        self.rules.extend(rules.map(|rules| (term.no, rules.clone())));
        let terms = &self.terms;
        self.rules.retain(|no, _| terms.iter().any(|term| term.rules == *no));
        // Windows that none of the latest terms knows are over: nothing asks what was used in them.
        let latest = terms.get(terms.len().saturating_sub(COUNTED_TERMS)..).unwrap_or_default();
        self.used.retain(|count| latest.iter().any(|term| *term.window_key(&count.limit) == *count.key));
        self.raise_version();
    }

    /// A lease goes on knowing the oldest of its terms unless credits now buy as little as under any of them: what it
    /// comes to is no more then, whatever term its requests settle under.
    fn age_leases(&mut self, term: &Term) {
        let (terms, leases) = (&self.terms, &mut self.leases);
        for lease in leases {
            let since = lease.since;
            let may_settle = terms.iter().filter(|own| own.no >= since);
            let is_dearer = |own: &Term| {
                let mut pools = own.pools.iter().chain(&term.pools).map(|pool| &*pool.pool);
                pools.any(|pool| own.factor(pool) > term.factor(pool))
            };
            if lease.is_even() || !may_settle.into_iter().any(is_dearer) {
                lease.since = term.no;
            }
        }
    }

    pub(crate) fn grant(&mut self, id: u64, at: i64, granted: &Granted) {
        let (debt, totals) = self.holding(&granted.asset);
        *debt = minus(*debt, granted.repaid);
        totals.granted = plus(totals.granted, granted.amount);
        totals.repaid = plus(totals.repaid, granted.repaid);
        if granted.once {
            self.once.push(Arc::from(granted.reference.as_str()));
        }
        let lot = Lot {
            pool: granted.pool.clone(),
            asset: granted.asset.clone(),
            amount: granted.amount,
            remaining: minus(granted.amount, granted.repaid),
            created_at: at,
            expires_at: granted.expires_at,
            term: self.term().map_or(0, |term| term.no),
            of_plan: granted.source == GrantSource::Plan,
            closing: None,
        };
        self.lots.insert(id, lot);
        self.forget_spent_lots();
        self.raise_version();
    }

    fn forget_spent_lots(&mut self) {
        // What the running cycle brought counts in a switch's credit, all of it (P13).
        let cycle = self.cycle.as_ref().map_or(i64::MAX, |cycle| cycle.start);
        let counts = |lot: &Lot| lot.of_plan && lot.created_at >= cycle;
        let is_spent = |lot: &Lot| lot.remaining == Micros::ZERO && lot.closing.is_none() && !counts(lot);
        let spent: Vec<u64> = self.lots.iter().filter(|(_, lot)| is_spent(lot)).map(|(id, _)| *id).collect();
        let surplus = spent.len().saturating_sub(LOTS_SPENT_KEPT);
        for id in spent.into_iter().take(surplus) {
            self.lots.remove(&id);
        }
    }

    fn close_lot(&mut self, id: u64, at: i64, end: LotEnd) {
        let last_term = self.term().map_or(0, |term| term.no);
        if let Some(lot) = self.lots.get_mut(&id) {
            lot.closing = Some(Closing { last_term, at, end });
        }
    }

    fn end_lot(&mut self, id: u64, end: LotEnd, rest: Micros) {
        let Some(lot) = self.lots.remove(&id) else { return };
        let (_, totals) = self.holding(&lot.asset);
        match end {
            LotEnd::Expired => totals.expired = plus(totals.expired, rest),
            LotEnd::Void => totals.voided = plus(totals.voided, rest),
        }
    }

    fn trim_lot(&mut self, id: u64, amount: Micros) {
        let Some(lot) = self.lots.get_mut(&id) else { return };
        lot.remaining = minus(lot.remaining, amount);
        let asset = lot.asset.clone();
        let (_, totals) = self.holding(&asset);
        totals.expired = plus(totals.expired, amount);
    }

    fn charge(&mut self, charge: &Charge) {
        self.draw_lots(&charge.slices);
        let (debt, totals) = self.holding(&charge.asset);
        *debt = plus(*debt, charge.debt);
        totals.charged = plus(totals.charged, charge.amount);
        self.receivable = plus(self.receivable, charge.receivable);
        self.count(&charge.counts);
        self.take(charge.holder, charge.epoch, &charge.takes);
        self.end_clip(&charge.request);
    }

    fn keep(&mut self, name: &Arc<str>, count: u64) {
        match count {
            0 => self.resources.remove(name),
            count => self.resources.insert(name.clone(), count),
        };
    }

    pub(crate) fn draw_lots(&mut self, slices: &[Slice]) {
        for slice in slices {
            if let Some(lot) = self.lots.get_mut(&slice.lot) {
                lot.remaining = minus(lot.remaining, slice.amount);
            }
        }
    }

    fn count(&mut self, counts: &[Count]) {
        for count in counts {
            let known = self.used.iter_mut().find(|own| own.limit == count.limit && own.key == count.key);
            match known {
                Some(known) => known.amount = plus(known.amount, count.amount).min(TOTAL_MAX),
                None => self.used.push(count.clone()),
            }
        }
    }

    fn release(&mut self, release: &Release) {
        self.count(&release.counts);
        self.take(release.holder, release.epoch, &release.takes);
        self.end_clip(&release.request);
    }

    fn take(&mut self, holder: NodeId, epoch: u64, takes: &[Take]) {
        for take in takes {
            let lease = self.leases.iter_mut().find(|lease| lease.is(holder, epoch, &take.bucket));
            if let Some(lease) = lease {
                lease.settled = plus(lease.settled, take.used).min(TOTAL_MAX);
                self.soft.release(holder, epoch, &lease.bucket, take.held);
            }
        }
        self.forget_leases_over();
    }

    fn end_clip(&mut self, request: &str) {
        if self.clip.as_ref().is_some_and(|clip| clip.request == request) {
            self.clip = None;
        }
    }

    fn lease_of(
        &mut self,
        node: NodeId,
        epoch: u64,
        (bucket, asset): (&Arc<str>, &Arc<str>),
        change: impl FnOnce(&mut Lease),
    ) {
        if let Some(lease) = self.leases.iter_mut().find(|lease| lease.is(node, epoch, bucket)) {
            change(lease);
            return;
        }
        let mut lease = Lease {
            node,
            epoch,
            bucket: bucket.clone(),
            asset: asset.clone(),
            granted: Micros::ZERO,
            returned: Micros::ZERO,
            settled: Micros::ZERO,
            used: None,
            since: 0,
        };
        change(&mut lease);
        self.leases.push(lease);
    }

    fn close_leases(&mut self, node: NodeId, epoch: u64, used: &[Used]) {
        for lease in self.leases.iter_mut().filter(|lease| lease.node == node && lease.epoch == epoch) {
            let stated = used.iter().find(|used| names_bucket(&used.bucket, &lease.bucket));
            lease.used = Some(stated.map_or(Micros::ZERO, |used| used.used));
        }
        self.leases_ended.push_back((node, epoch));
        let surplus = self.leases_ended.len().saturating_sub(LEASES_ENDED_KEPT);
        self.leases_ended.drain(..surplus);
        self.forget_leases_over();
    }

    fn drop_node(&mut self, node: NodeId) {
        self.leases.retain(|lease| lease.node != node);
        if self.clip.as_ref().is_some_and(|clip| clip.node == node) {
            self.clip = None;
        }
        self.soft.stated.retain(|stated| stated.node != node);
    }

    fn forget_leases_over(&mut self) {
        self.leases.retain(|lease| !lease.is_over());
        let leases = &self.leases;
        self.soft.stated.retain(|stated| leases.iter().any(|lease| stated.is_of(lease)));
    }

    /// What of the account's grants of an asset is accounted for: I1's right side.
    #[must_use]
    pub fn accounted(&self, asset: &str) -> Micros {
        let kept = self.lots.values().filter(|lot| *lot.asset == *asset).map(|lot| lot.remaining);
        let totals = self.totals(asset);
        let gone = [totals.charged, totals.expired, totals.voided, totals.clawed_back];
        let postpaid = if asset == CREDITS { plus(self.receivable, totals.settled) } else { Micros::ZERO };
        less(crate::amount::total(kept.chain(gone)), plus(self.owed(asset), postpaid))
    }
}

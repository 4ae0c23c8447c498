//! The fold: what each entry does to an account. Deterministic, total, without any decision.
//!
//! Whatever an entry says is taken as decided: replaying a journal gives the account that the
//! commands saw, whatever the code of the commands has become since.

use tariff::Micros;
use wire::id::names_bucket;
use wire::{NodeId, Take, Used};

use crate::account::{Account, Closing, Lot, LotEnd};
use crate::amount::{less, minus, plus};
use crate::entry::{Charge, Entry, EntryKind, GrantSource, Granted, Release, Slice};
use crate::lease::Lease;
use crate::limits::{LEASES_ENDED_KEPT, LOTS_SPENT_KEPT, TERMS_KEPT, TOTAL_MAX};

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
            EntryKind::Term { term } => {
                self.terms.push(term.clone());
                let surplus = self.terms.len().saturating_sub(TERMS_KEPT);
                self.terms.drain(..surplus);
                self.raise_version();
            }
            EntryKind::Cycle { cycle } => self.cycle.clone_from(cycle),
            EntryKind::Grant(granted) => self.grant(entry.id, entry.at, granted),
            EntryKind::LotClosed { lot, end } => self.close_lot(*lot, entry.at, *end),
            EntryKind::LotEnded { lot, end, rest, .. } => self.end_lot(*lot, *end, *rest),
            EntryKind::Charge(charge) => self.charge(charge),
            EntryKind::Release(release) => self.release(release),
            EntryKind::Leased { node, epoch, bucket, amount } => {
                self.lease_of(*node, *epoch, bucket, |lease| lease.granted = plus(lease.granted, *amount));
            }
            EntryKind::Returned { node, epoch, bucket, returned } => {
                self.lease_of(*node, *epoch, bucket, |lease| lease.returned = *returned);
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

    pub(crate) fn grant(&mut self, id: u64, at: i64, granted: &Granted) {
        self.debt = minus(self.debt, granted.repaid);
        self.totals.granted = plus(self.totals.granted, granted.amount);
        self.totals.repaid = plus(self.totals.repaid, granted.repaid);
        let lot = Lot {
            pool: granted.pool.clone(),
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
        let is_spent = |lot: &Lot| lot.remaining == Micros::ZERO && lot.closing.is_none();
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
        if self.lots.remove(&id).is_none() {
            return;
        }
        match end {
            LotEnd::Expired => self.totals.expired = plus(self.totals.expired, rest),
            LotEnd::Void => self.totals.voided = plus(self.totals.voided, rest),
        }
    }

    fn charge(&mut self, charge: &Charge) {
        self.draw_lots(&charge.slices);
        self.debt = plus(self.debt, charge.debt);
        self.totals.charged = plus(self.totals.charged, charge.amount);
        self.take(charge.holder, charge.epoch, &charge.takes);
        self.end_clip(&charge.request);
    }

    pub(crate) fn draw_lots(&mut self, slices: &[Slice]) {
        for slice in slices {
            if let Some(lot) = self.lots.get_mut(&slice.lot) {
                lot.remaining = minus(lot.remaining, slice.amount);
            }
        }
    }

    fn release(&mut self, release: &Release) {
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
        bucket: &std::sync::Arc<str>,
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
            granted: Micros::ZERO,
            returned: Micros::ZERO,
            settled: Micros::ZERO,
            used: None,
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

    /// What of the account's grants is accounted for: I1's right side.
    #[must_use]
    pub fn accounted(&self) -> Micros {
        let kept = self.lots.values().map(|lot| lot.remaining);
        let gone = [self.totals.charged, self.totals.expired, self.totals.voided, self.totals.clawed_back];
        less(crate::amount::total(kept.chain(gone)), self.debt)
    }
}

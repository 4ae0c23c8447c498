//! Applying the sync's answer: acknowledgements, keys, snapshots, grants, verdicts, changes.

use codec::Read;
use hashbrown::HashMap;
use tariff::EdgeCatalog;
use wire::id::tag;
use wire::{Ack, Change, Grant, NodeId, RateGrant, SyncResponse, Verdict, VerdictKind};

use crate::edge::Edge;
use crate::effect::{CallKind, Effect};
use crate::lane::queue_of;
use crate::limits::{PARK_FOR_REPORTS_US, SLOTS, SWAP_TRIES_MUST};
use crate::record::Record;
use crate::record::records::Fate;
use crate::shared::SharedData;
use crate::shared::node::Ended;
use crate::time::Now;

/// The ledger's answer to a call, as the host hands it over.
#[derive(Clone, Copy, Debug)]
pub struct CallAnswer<'a> {
    /// `:status`.
    pub status: u32,
    /// Whether the ledger's marker header is there: Envoy's own 503 and 504 do not carry it.
    pub marked: bool,
    /// The body.
    pub body: &'a [u8],
}

/// The longest pause between tries of an unreachable ledger, in microseconds.
const RETRY_US_MAX: u64 = 2_000_000;

impl Edge {
    /// A call was answered, or failed (`None`).
    pub fn call_answered(
        &mut self,
        shared: &dyn SharedData,
        kind: CallKind,
        answer: Option<CallAnswer<'_>>,
        now: Now,
    ) {
        let good = answer.filter(|answer| answer.marked && answer.status == 200);
        match kind {
            CallKind::Sync(number) => {
                // An answer to a call that was given up: all of it was asked and told again since.
                if self.flight.as_ref().is_none_or(|flight| flight.number != number) {
                    return;
                }
                let parsed = good.and_then(|answer| SyncResponse::read(answer.body));
                match parsed.filter(|response| response.v == wire::VERSION) {
                    Some(response) => self.apply(shared, response, now),
                    None => self.sync_failed(shared, answer.map(|answer| answer.status), now),
                }
            }
            CallKind::Catalog(version) => {
                // Another worker may have heard of another ledger: versions are each ledger's own.
                self.follow_node(shared);
                if self.catalog_flight.take_if(|flight| flight.version == version).is_none() {
                    return;
                }
                let parsed = good.and_then(|answer| EdgeCatalog::read(answer.body));
                let right = parsed.filter(|catalog| catalog.version == version);
                if let (Some(catalog), Some(answer)) = (right, good) {
                    // For VMs to come; losing the race to another VM's copy is fine.
                    let _ = shared.set(&self.keys_in_shared.catalog(), answer.body, None);
                    self.store_catalog(&catalog);
                } else {
                    self.clock.retry_after = now.mono_us.saturating_add(250_000);
                }
            }
        }
        self.retry_parked(shared, now);
    }

    /// The sync failed: everything that it carried is asked or told again.
    pub(super) fn sync_failed(&mut self, shared: &dyn SharedData, status: Option<u32>, now: Now) {
        self.metrics.calls_failed = self.metrics.calls_failed.saturating_add(1);
        self.ledger.failures = self.ledger.failures.saturating_add(1);
        let pause = 125_000_u64.saturating_mul(1_u64.checked_shl(self.ledger.failures.min(8)).unwrap_or(256));
        self.clock.retry_after = now.mono_us.saturating_add(pause.min(RETRY_US_MAX));
        let Some(flight) = self.flight.take() else {
            return;
        };
        if self.ledger.failures == 1 {
            let seen = status.map_or("no answer".to_owned(), |status| format!("status {status}"));
            self.effects
                .push(Effect::Warn(format!("the ledger did not answer a sync: {seen}; leases serve on")));
        }
        self.lookups.ask_again(flight.lookups);
        self.refresh.extend(flight.refresh);
        for given in flight.returns {
            let newer = |own: &wire::Return| {
                own.account == given.account && own.lease == given.lease && own.bucket == given.bucket
            };
            if !self.returns.iter().any(newer) {
                self.returns.push(given);
            }
        }
        self.rate_reports.extend(flight.rates);
        for account in flight.wants {
            self.end_refill(shared, &account, flight.refill_us, |_| ());
            let asked = if flight.recalled.contains(&account) { &mut self.recalled } else { &mut self.low };
            asked.insert(account);
        }
    }

    fn apply(&mut self, shared: &dyn SharedData, mut response: SyncResponse, now: Now) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        self.metrics.calls_ok = self.metrics.calls_ok.saturating_add(1);
        if self.ledger.failures > 0 {
            self.effects.push(Effect::Warn("the ledger answers again".to_owned()));
        }
        self.ledger.failures = 0;
        self.clock.retry_after = 0;
        (self.ledger.answered_us, self.ledger.heard_us) = (flight.sent_us, flight.sent_us);
        if let Some(ack) = response.ack.take() {
            self.acknowledge(shared, &ack, now);
        }
        self.follow_ledger(shared, &mut response, flight.node);
        if response.catalog > self.ledger.catalog {
            // Terms of a further version: what is known was told before.
            self.refresh.extend(self.accounts.ids());
            self.changed |= !self.refresh.is_empty();
            self.ledger.catalog = response.catalog;
        }
        self.ledger.rates_since = response.rates_since;
        self.hear_withdrawn(shared, &response.withdrawn, now);
        // After the node's id: who reads that the node is live reads the id next.
        self.note_answer(shared);
        self.learn(shared, &mut response, flight.sent_us, now);
        response.verdicts.into_iter().for_each(|verdict| self.hear(shared, verdict, now));
        self.grant(shared, flight.wants, flight.refill_us, (&response.grants, &response.rates), now);
        let node = self.node(shared).generation;
        for account in flight.recalled {
            self.return_free(shared, &account, node);
        }
    }

    /// Where the ledger has closed this node, or is not the one that its leases are of, they are void; `asked_as`
    /// is whom the call was from.
    fn follow_ledger(&mut self, shared: &dyn SharedData, response: &mut SyncResponse, asked_as: NodeId) {
        let ledger = std::mem::take(&mut response.generation);
        if self.ledger.generation.is_none() {
            // Another worker may have heard of it since this one began.
            self.follow_node(shared);
        }
        let known = self.ledger.generation.replace(ledger.clone());
        let leased_by = known.map_or_else(|| self.node(shared).ledger, |known| tag(&known));
        if leased_by != 0 && leased_by != tag(&ledger) {
            self.renew_node(shared, Ended::Restored, &ledger);
            self.forget_ledger(shared);
        } else if !response.node_open && self.node(shared).id == asked_as {
            self.renew_node(shared, Ended::Closed, &ledger);
        } else if self.node(shared).ledger == 0 {
            self.node = Some(self.node(shared).note_ledger(shared, &self.keys_in_shared, &ledger));
        }
    }

    /// Keys, snapshots, and changes of them, as they stood some time after the call was sent.
    fn learn(&mut self, shared: &dyn SharedData, response: &mut SyncResponse, sent_us: u64, now: Now) {
        let node = self.node(shared).generation;
        if response.feed_reset {
            self.keys.clear();
            self.refresh.extend(self.accounts.ids());
            self.changed = true;
        }
        self.ledger.cursor = Some(response.cursor);
        // Positions are consecutive and end at the cursor; where the feed has skipped some, these are later than
        // the true ones, which only makes a worker ask once too often.
        let unread = (1..=response.changes.len()).rev().filter_map(|n| u64::try_from(n).ok());
        let positions = unread.map(|n| response.cursor.saturating_add(1).saturating_sub(n));
        for (position, change) in positions.zip(std::mem::take(&mut response.changes)) {
            self.change(shared, change, position);
        }
        for digest in response.unknown.drain(..) {
            self.directory.void_known_key(shared, node, &digest, response.cursor);
            self.keys.miss(digest, now.mono_us);
        }
        for entry in response.keys.drain(..) {
            self.directory.store_key(shared, node, &entry, response.cursor);
            self.keys.store(entry, response.cursor);
        }
        for snapshot in response.snapshots.drain(..) {
            self.refresh.remove(snapshot.account.as_str());
            // Not a moment too long: an account may have more from that moment on.
            self.directory.store_snapshot(shared, node, &snapshot, response.cursor, sent_us);
            let fresh_until_us = sent_us.saturating_add(snapshot.valid_for_ms.saturating_mul(1_000));
            self.accounts.store(snapshot, fresh_until_us, true);
        }
    }

    fn acknowledge(&mut self, shared: &dyn SharedData, ack: &Ack, now: Now) {
        for rejected in &ack.rejected {
            self.metrics.rejected = self.metrics.rejected.saturating_add(1);
            let text = format!(
                "the ledger refused event {} of lane {:?}: {}",
                rejected.seq, ack.lane, rejected.code
            );
            self.effects.push(Effect::Warn(text));
        }
        let mut progressed = false;
        let own = self.lane.as_mut().filter(|lane| lane.lane == ack.lane);
        let adopted = self.adopted.iter_mut().find(|lane| lane.lane == ack.lane);
        if let Some(lane) = own.or(adopted) {
            let (before, known) = (lane.depth(), lane.gap());
            lane.acknowledge(ack.last);
            if let Some(expected) = ack.expected {
                lane.expect(expected);
                if let Some(gap) = lane.gap() {
                    self.effects.push(Effect::Warn(format!(
                        "events {} to {} of lane {:?} are lost",
                        gap.from, gap.to, ack.lane
                    )));
                }
            }
            // A hole that was not known is declared at once, a known one in its turn.
            self.hasty |= known.is_none() && lane.gap().is_some();
            // A lost lane is noticed by the next regular heartbeat.
            lane.beat_again(shared, &self.keys_in_shared, now.mono_us);
            progressed = lane.depth() < before;
        }
        self.adopted.retain(|lane| !lane.is_over());
        self.hasty |= progressed && !self.adopted.is_empty();
    }

    /// The node's leases are gone: it goes on under a new id.
    fn renew_node(&mut self, shared: &dyn SharedData, ended: Ended, ledger: &str) {
        let random = self.random();
        let Some(node) = self.node else {
            return;
        };
        let next = node.renew(shared, &self.keys_in_shared, (ended, ledger), random);
        self.node = Some(next);
        if next.id != node.id {
            self.leave_lane(ended == Ended::Restored);
        }
        let why = match ended {
            Ended::Closed => "the ledger had closed this node",
            Ended::Restored => "the ledger was restored or promoted",
        };
        self.effects.push(Effect::Warn(format!("{why}; this node goes on under a new id")));
    }

    fn change(&mut self, shared: &dyn SharedData, change: Change, position: u64) {
        match change {
            Change::Account { account, version } => {
                if self.accounts.is_older(&account, version) {
                    self.refresh.insert(account.into());
                    self.changed = true;
                }
            }
            Change::Key { digest } => {
                self.keys.forget(&digest, position);
                let node = self.node(shared).generation;
                self.directory.void_key(shared, node, &digest, position);
            }
            Change::Recall { account } => {
                let node = self.node(shared).generation;
                self.return_free(shared, &account, node);
                self.recalled.insert(account.into());
            }
        }
    }

    /// Notes what the ledger says of a parked request.
    fn hear(&mut self, shared: &dyn SharedData, verdict: Verdict, now: Now) {
        let named =
            |context: &u32| self.requests.get(context).is_some_and(|request| *request.id == *verdict.request);
        let Some(context) = self.parked.iter().find(named) else {
            return;
        };
        let wait = self.requests.get_mut(&context).and_then(|request| request.wait.as_mut());
        if let Some(wait) = wait.filter(|wait| wait.reason.is_wanted()) {
            let mut others = false;
            if let VerdictKind::Wait(ms) = &verdict.kind {
                wait.ask_after_us = now.mono_us.saturating_add(ms.saturating_mul(1_000));
                // The ledger answers, so it is worth waiting for what others have not reported yet.
                others = !matches!(wait.verdict, Some(VerdictKind::Wait(_)));
                wait.until_us = wait.until_us.saturating_add(if others { PARK_FOR_REPORTS_US } else { 0 });
            }
            (wait.verdict, wait.version) = (Some(verdict.kind), verdict.version);
            if others {
                // Their reports are what it waits for.
                self.wake(shared, u64::MAX);
            }
        }
    }

    /// Wakes the node's other workers in a set of slots.
    fn wake(&mut self, shared: &dyn SharedData, slots: u64) {
        let own = self.lane.as_ref().map(|lane| lane.lane.slot);
        let named = |slot: &u32| slots & super::build::bit(*slot) != 0 && Some(*slot) != own;
        for slot in (0..SLOTS).filter(named) {
            if let Some(queue) = queue_of(shared, &self.keys_in_shared, slot) {
                self.effects.push(Effect::Wake { queue });
            }
        }
    }

    /// Brings grants into the records and wakes the workers that waited for them.
    fn grant(
        &mut self,
        shared: &dyn SharedData,
        wanted: Vec<Box<str>>,
        refill_us: u64,
        (grants, rates): (&[Grant], &[RateGrant]),
        now: Now,
    ) {
        let mut by_account: HashMap<&str, Vec<&Grant>> = HashMap::new();
        for grant in grants {
            by_account.entry(&grant.account).or_default().push(grant);
        }
        for account in wanted {
            let grants = by_account.get(&*account).map_or(&[][..], Vec::as_slice);
            let told = rates.iter().find(|told| *told.account == *account);
            let policy = self.policy(&account);
            self.end_refill(shared, &account, refill_us, |record| {
                let epoch = record.epoch;
                // The ledger answers: the next outage has an allowance of its own.
                record.beyond = (0, 0);
                if let (Some(told), Some(policy)) = (told.filter(|told| told.lease == epoch), &policy) {
                    record.hear_rates(told, policy.leased_rates(), now.mono_us);
                }
                for grant in grants.iter().filter(|grant| grant.lease == epoch) {
                    record.exact = grant.exact;
                    let cell = record.cell_mut(tag(&grant.bucket));
                    // Cumulative: an answer that was overtaken changes nothing.
                    if let Some(cell) = cell.filter(|cell| grant.granted.get() >= cell.granted) {
                        cell.granted = grant.granted.get();
                        cell.unleased = grant.unleased.get();
                    }
                }
            });
            told.into_iter().for_each(|told| self.note_rates(told, now));
        }
    }

    /// Ends this worker's refill of an account: `bring` changes its record, and workers that wait for the refill
    /// are woken. Where it took so long that another worker's is under way, that one goes on.
    fn end_refill(
        &mut self,
        shared: &dyn SharedData,
        account: &str,
        refill_us: u64,
        bring: impl Fn(&mut Record),
    ) {
        let node = self.node(shared).generation;
        let waiting = self.records.change(shared, account, node, SWAP_TRIES_MUST, |record| {
            bring(record);
            if record.refill_us != refill_us {
                return (0, Fate::Store);
            }
            record.refill_us = 0;
            (std::mem::take(&mut record.waiting), Fate::Store)
        });
        self.wake(shared, waiting.unwrap_or(0));
    }
}

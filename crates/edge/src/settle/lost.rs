//! What a VM leaves behind that ended without a word: its lane is adopted, its events are sent, and each request
//! that it had open is settled once as lost.
//!
//! And the other side of it: a VM that was taken for dead and is not. Before it changes anything, a VM that has
//! not written its heartbeat for a while asks whether the lane is still its own; where it is not, the requests
//! it had open are settled already, and it must not do so again.

use codec::Write;
use tariff::compile::CREDITS;
use tariff::{Lost, Meter, Micros, Usage};
use wire::id::tag;
use wire::{Event, EventBody, Outcome, Settle, Take, UsageSource, UsageStatus};

use crate::edge::Edge;
use crate::effect::Effect;
use crate::lane::{Adopted, HalfSettled, Orphan, adopt};
use crate::limits::{AMOUNT_MAX, LANE_STALE_US, LOST_NAMED};
use crate::metric::Gauges;
use crate::settle::{SettledRecord, settle_record};
use crate::shared::SharedData;
use crate::shared::open::{Open, OpenTake};
use crate::sync::bucket_name;
use crate::time::Now;

impl Edge {
    /// Takes over the lanes that are silent.
    pub(crate) fn adopt_silent(&mut self, shared: &dyn SharedData, now: Now) {
        let own = self.lane.as_ref().map(|lane| lane.lane.slot);
        for slot in self.looks.silent(shared, &self.keys_in_shared, own, now.mono_us) {
            if let Some(adopted) = adopt(shared, &self.keys_in_shared, slot, now.mono_us) {
                self.take_over(shared, adopted, now);
            }
        }
    }

    fn take_over(&mut self, shared: &dyn SharedData, adopted: Adopted, now: Now) {
        let Adopted { mut lane, half_settled } = adopted;
        self.metrics.inherit(lane.told);
        let text = format!(
            "adopted lane {} with {} events and {} open requests",
            lane.name,
            lane.depth(),
            lane.orphans.len()
        );
        self.effects.push(Effect::Warn(text));
        if let Some(half) = half_settled {
            self.end_settlement(shared, lane.lane.slot, &half, now);
        }
        self.hasty |= lane.depth() > 0;
        lane.beat_left(shared, &self.keys_in_shared, now.mono_us);
        self.adopted.push_back(lane);
        self.adopted.retain(|lane| !lane.is_over());
    }

    /// Settles what the VMs of adopted lanes left open, as far as the own ring has room.
    pub(crate) fn settle_lost(&mut self, shared: &dyn SharedData, now: Now) {
        for at in 0..self.adopted.len() {
            let mut named = 0_usize;
            // The latest first, so that the marks go back through what they were.
            while let Some((slot, orphan)) = self.next_orphan(shared, at, now) {
                if let Some(text) = self.settle_orphan(shared, slot, &orphan, now) {
                    named = named.saturating_add(1);
                    if named <= LOST_NAMED {
                        self.effects.push(Effect::Warn(text));
                    }
                }
            }
            if named > LOST_NAMED {
                let rest = named.saturating_sub(LOST_NAMED);
                self.effects.push(Effect::Warn(format!("{rest} more requests of that lane are lost")));
            }
        }
    }

    fn next_orphan(&mut self, shared: &dyn SharedData, at: usize, now: Now) -> Option<(u32, Orphan)> {
        if self.adopted.get(at)?.orphans.is_empty() || !self.has_ring_room(shared, now) {
            return None;
        }
        let lane = self.adopted.get_mut(at)?;
        Some((lane.lane.slot, lane.orphans.pop()?))
    }

    /// Releases what a lost request holds, reports it, and forgets it; gives the line for the log. Each step
    /// may be the last that this VM takes: whoever adopts its lanes finds how far it came.
    fn settle_orphan(
        &mut self,
        shared: &dyn SharedData,
        slot: u32,
        orphan: &Orphan,
        now: Now,
    ) -> Option<String> {
        let key = self.keys_in_shared.open(slot, orphan.place);
        let open = orphan.entry.open()?;
        // The record of an earlier node generation is gone and its mark with it: what may have been delivered is
        // settled. Another worker may have renewed the node while this one had nothing to say.
        self.follow_node(shared);
        let is_known = open.node == self.node(shared).generation;
        let doubtful = orphan.doubtful && !orphan.is_releasing() && is_known;
        if doubtful && !self.was_taken(shared, slot, &open) {
            // Its VM ended before the hold was taken: it never went anywhere.
            let _ = shared.set(&key, &[], None);
            return None;
        }
        let held = orphan.entry.takes();
        let (usage, used) = self.lost_usage(shared, &open, &held);
        let takes: Vec<_> = held.iter().zip(&used).map(|(take, used)| (take.tag, take.held, *used)).collect();
        let settled =
            if open.epoch == 0 { None } else { self.release(shared, slot, &key, orphan, &takes, now) };
        let event = self.lost_event(shared, &open, &takes, usage);
        let text = format!(
            "request {} of account {} is lost: its VM ended before it; it is charged {}",
            open.request,
            open.account,
            Micros(held.iter().zip(&used).find(|(take, _)| take.credits).map_or(0, |(_, used)| *used)),
        );
        self.push_settlement(shared, event, now);
        let _ = shared.set(&key, &[], None);
        self.metrics.lost = self.metrics.lost.saturating_add(1);
        self.after_settlement(shared, open.account, open.node, settled, now);
        Some(text)
    }

    /// Whether the operation that was announced in the table was carried out.
    fn was_taken(&self, shared: &dyn SharedData, slot: u32, open: &Open<'_>) -> bool {
        let Some(mark) = open.stamp.mark else {
            return true;
        };
        // A record with something held is never evicted, nor do its leases begin anew.
        let record = self.records.read(shared, open.account, open.node);
        record.is_some_and(|record| record.epoch == open.epoch && record.next_mark(slot) != mark)
    }

    /// Replaces the hold of a lost request by what it is charged, once: the entry says beforehand how the
    /// record will be marked.
    fn release(
        &mut self,
        shared: &dyn SharedData,
        slot: u32,
        key: &str,
        orphan: &Orphan,
        takes: &[(u64, i64, i64)],
        now: Now,
    ) -> Option<SettledRecord> {
        let open = orphan.entry.open()?;
        let mut announced = orphan.is_releasing().then_some(open.stamp.mark).flatten();
        settle_record(&self.records, shared, (open.account, open.node, open.epoch), takes, now, |record| {
            let mark = record.next_mark(slot);
            if announced.is_some_and(|announced| announced != mark) {
                // The VM that adopted the lane before has released it.
                return false;
            }
            if announced.is_none() {
                let _ = shared.set(key, &orphan.entry.releasing(mark), None);
                announced = Some(mark);
            }
            record.set_mark(slot, mark);
            true
        })
    }

    /// A settlement that is in the ring, and whose VM ended before it was through: the hold is replaced by what
    /// was used, unless it was already.
    fn end_settlement(&mut self, shared: &dyn SharedData, slot: u32, half: &HalfSettled, now: Now) {
        let Some(open) = half.orphan.entry.open() else {
            return;
        };
        let take = |take: &Take| (tag(&take.bucket), take.held.get(), take.used.get());
        let takes: Vec<_> = half.settle.takes.iter().map(take).collect();
        let settled = half.mark.and_then(|mark| {
            settle_record(
                &self.records,
                shared,
                (open.account, open.node, open.epoch),
                &takes,
                now,
                |record| {
                    let undone = record.next_mark(slot) == mark;
                    record.set_mark(slot, mark);
                    undone
                },
            )
        });
        let _ = shared.set(&self.keys_in_shared.open(slot, half.orphan.place), &[], None);
        self.after_settlement(shared, open.account, open.node, settled, now);
    }

    /// What a lost request is charged by: its usage, and what it used of each bucket. The ledger decides by the
    /// same policy; where this VM does not have the catalog, its leases account with the hold.
    fn lost_usage(
        &mut self,
        shared: &dyn SharedData,
        open: &Open<'_>,
        held: &[OpenTake],
    ) -> (Usage, Vec<i64>) {
        let usage = Usage::new().with(Meter::Requests, 1).with(Meter::InputTokens, open.input_estimate);
        let catalog = self.catalog(shared, open.catalog);
        let policy = catalog.as_ref().map_or(Lost::Hold, |catalog| catalog.lost);
        let model = catalog.as_ref().and_then(|catalog| catalog.charged_as(open.model));
        let price = model.and_then(|model| model.price(None, &usage).ok()).map_or(AMOUNT_MAX, Micros::get);
        let used = held.iter().map(|take| match (policy, take.credits) {
            (Lost::Zero, _) => 0,
            (Lost::Estimate, true) => price.min(take.held),
            (Lost::Hold, true) | (Lost::Hold | Lost::Estimate, false) => take.held,
        });
        (usage, used.collect())
    }

    /// The event of a lost request, under its number.
    fn lost_event(
        &mut self,
        shared: &dyn SharedData,
        open: &Open<'_>,
        takes: &[(u64, i64, i64)],
        usage: Usage,
    ) -> impl FnOnce(u64, &mut Vec<u8>) + use<> {
        let account = self.known_account(shared, open.account);
        let policy = account.as_ref().map(|account| &*account.policy);
        let name = |of: u64| if of == tag(CREDITS) { CREDITS.to_owned() } else { bucket_name(policy, of) };
        let take = |(tag, held, used): &(u64, i64, i64)| Take {
            bucket: name(*tag),
            held: Micros(*held),
            used: Micros(*used),
        };
        let settle = Settle {
            request: open.request.to_owned(),
            account: open.account.to_owned(),
            key: open.key.to_owned(),
            term: open.term,
            model: open.model.to_owned(),
            answered_model: None,
            service_tier: None,
            provider_cost: None,
            operation: open.operation.to_owned(),
            outcome: Outcome::Lost,
            source: Some(UsageSource::Estimated),
            status: Some(UsageStatus::Failed),
            usage,
            lease: open.epoch,
            takes: takes.iter().map(take).collect(),
            at: open.at,
        };
        move |seq, out: &mut Vec<u8>| {
            Event { seq, body: EventBody::Settle(Box::new(settle)) }.write(out);
        }
    }

    /// Makes sure that this VM still has its lane before it changes what another VM would have settled: asked of
    /// shared data only where the last heartbeat is old, so it costs a request nothing.
    pub(crate) fn confirm_lane(&mut self, shared: &dyn SharedData, now: Now) {
        if now.mono_us.saturating_sub(self.clock.last_beat) >= LANE_STALE_US {
            self.beat(shared, now);
        }
    }

    /// Writes the heartbeats of all lanes that this VM has, with what the host's gauges will hold of each.
    pub(crate) fn beat(&mut self, shared: &dyn SharedData, now: Now) {
        self.clock.last_beat = now.mono_us;
        if !self.requests.is_empty() {
            // Who has requests is counted in gauges: somebody must be able to take them off again.
            self.lane(shared, now);
        }
        let mut lost = Vec::new();
        for lane in &mut self.adopted {
            if !lane.is_foreign() && !lane.beat_left(shared, &self.keys_in_shared, now.mono_us) {
                self.metrics.disown(lane.lose());
                lost.push(lane.lane);
            }
        }
        self.adopted.retain(|lane| !lane.is_over());
        let told = self.gauges().less(Gauges::of_depth(self.adopted_depth()));
        if let Some(lane) =
            self.lane.take_if(|lane| !lane.beat(shared, &self.keys_in_shared, told, now.mono_us))
        {
            // Another VM took the lane for silent. Both send what is left: numbers make that harmless.
            self.effects.push(Effect::Warn(
                "this worker was taken for silent; it goes on in another lane".to_owned(),
            ));
            lost.push(lane.lane);
            self.adopted.push_back(lane);
            if let Some(lane) = self.adopted.back_mut() {
                self.metrics.disown(lane.lose());
            }
        }
        for lane in lost {
            self.forget_open(lane);
        }
    }

    /// What was open under a lane that another VM took is settled by that one.
    fn forget_open(&mut self, lane: wire::Lane) {
        for hold in self.requests.values_mut().filter_map(|request| request.hold.as_mut()) {
            let of_lane = |place: &mut crate::shared::open::OpenPlace| {
                (place.slot, place.incarnation) == (lane.slot, lane.incarnation)
            };
            hold.lost |= hold.open.take_if(of_lane).is_some();
        }
    }
}

//! Settlement: once per request, when its stream is logged. What was used replaces what was held, in the
//! record, in the lane's ring, and in the access log.

pub(crate) mod bill;
pub(crate) mod freeze;
pub(crate) mod lost;
pub(crate) mod unsold;

use std::collections::VecDeque;
use std::rc::Rc;

use codec::Write;
use tariff::{Micros, Usage};
use wire::{Event, EventBody, LeaseClosed, Outcome, Used};

use crate::edge::Edge;
use crate::effect::Effect;
use crate::lane::{LaneQueue, RingError};
use crate::limits::{AMOUNT_MAX, EAGER_EVENTS, SWAP_TRIES_MUST};
use crate::metric::Ended;
use crate::record::Record;
use crate::record::records::{Fate, Records};
use crate::record::tokens::is_counted_at_once;
use crate::request::{Hold, Request, Stage};
use crate::settle::bill::used_of;
use crate::settle::freeze::{Bill, Place};
use crate::shared::SharedData;
use crate::shared::open::OpenPlace;
use crate::sync::bucket_name;
use crate::time::Now;

/// Where an answer came from, as the host knows it when the stream is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The upstream answered, whole.
    Upstream,
    /// The answer was cut.
    Cut,
    /// The host answered by itself.
    Host,
}

impl Edge {
    /// The stream is logged: the request is over. Returns the line for the access log; `origin` reads the
    /// host's properties, which costs host calls.
    pub fn log(
        &mut self,
        shared: &dyn SharedData,
        context: u32,
        origin: impl FnOnce() -> Origin,
        now: Now,
    ) -> Option<String> {
        self.confirm_lane(shared, now);
        let mut request = self.requests.remove(&context)?;
        self.leave_parked(&mut request);
        match (&request.hold, request.stage) {
            (Some(hold), _) if hold.lost => {
                self.metrics.ended(request.plan(), Ended::Lost);
                Some(freeze::line(&request, Ended::Lost, None, None))
            }
            (Some(hold), Stage::Forwarded) => Some(self.settle(shared, &request, hold, origin, now)),
            (Some(hold), _) => {
                let bill = Bill::nothing(Outcome::Released);
                Some(self.post(shared, &request, hold, bill, now))
            }
            (None, _) => Some(self.log_unmetered(&request)),
        }
    }

    fn log_unmetered(&mut self, request: &Request) -> String {
        let ended = match (request.shadow, &request.refusal, request.stage) {
            (Some(code), _, _) => Ended::Shadow(code),
            (None, Some(refusal), Stage::Refused) => Ended::Refused(refusal.code),
            (None, _, Stage::Passed) => Ended::Exempt,
            (None, _, _) => Ended::Abandoned,
        };
        // Refusals were counted when they were sent.
        if !matches!(ended, Ended::Refused(_)) {
            self.metrics.ended(request.plan(), ended);
        }
        freeze::line(request, ended, None, None)
    }

    fn settle(
        &mut self,
        shared: &dyn SharedData,
        request: &Request,
        hold: &Hold,
        origin: impl FnOnce() -> Origin,
        now: Now,
    ) -> String {
        let bill = self.bill(shared, request, hold, origin);
        self.post(shared, request, hold, bill, now)
    }

    /// Posts what a request comes to: record, ring, metrics; returns the line for the access log.
    fn post(
        &mut self,
        shared: &dyn SharedData,
        request: &Request,
        hold: &Hold,
        bill: Bill,
        now: Now,
    ) -> String {
        let takes: Vec<(u64, i64, i64)> =
            hold.takes.iter().map(|take| (take.tag, take.amount, used_of(take, &bill))).collect();
        let members = freeze::members(request, hold, &bill, &takes);
        let event = |seq, out: &mut Vec<u8>| freeze::event(out, seq, request, hold, &bill, &members);
        let (place, settled) = self.settle_held(shared, request, (hold, &bill.usage), &takes, event, now);
        let over = bill.used.get().saturating_sub(hold.credits).max(0);
        self.metrics.overshoot = self.metrics.overshoot.saturating_add(over);
        self.metrics.charged = self.metrics.charged.saturating_add(bill.used.get());
        let ended = match (request.shadow, bill.outcome) {
            (Some(code), _) => Ended::Shadow(code),
            (None, Outcome::Settled | Outcome::Lost) => Ended::Settled,
            (None, Outcome::Released) => Ended::Released,
            (None, Outcome::NoUpstream) => Ended::NoUpstream,
        };
        self.metrics.ended(request.plan(), ended);
        let account = request.account.as_ref();
        if let Some(account) = account {
            self.after_settlement(shared, &account.id, hold.node, settled, now);
        }
        let place = account.map(|_| place.ok_or_else(|| self.node(shared).id));
        freeze::line(request, ended, Some((hold, &bill, &members)), place)
    }

    /// Brings a settlement into the ring, then into the record, then takes it out of the table of open requests:
    /// wherever the VM ends between two of these, another one can tell how far it came (`lane`).
    fn settle_held(
        &mut self,
        shared: &dyn SharedData,
        request: &Request,
        (hold, usage): (&Hold, &Usage),
        takes: &[(u64, i64, i64)],
        event: impl FnOnce(u64, &mut Vec<u8>),
        now: Now,
    ) -> (Option<Place>, Option<SettledRecord>) {
        self.lane(shared, now);
        let (mut event, mut pushed) = (Some(event), None);
        let keys = &self.keys_in_shared;
        let mut lane = hold.open.and_then(|open| settling_lane(&mut self.lane, &mut self.adopted, open));
        let held = request.account.as_ref().zip(hold.epoch);
        let settled = held.and_then(|(account, epoch)| {
            let policy = &account.policy;
            settle_record(&self.records, shared, (&account.id, hold.node, epoch), takes, now, |record| {
                for rate in policy.rates(&hold.model.model).filter(|rate| !is_counted_at_once(rate)) {
                    record.take_units(rate, usage.get(rate.meter), now.mono_us);
                }
                if let Some(lane) = &mut lane {
                    let mark = record.next_mark(lane.lane.slot);
                    if let Some(event) = event.take() {
                        pushed = Some(lane.push_settlement(shared, keys, Some(mark), event));
                    }
                    record.set_mark(lane.lane.slot, mark);
                }
                true
            })
        });
        // One that has no place in the table of open requests has none in the ring (`shadow`).
        let without = if hold.open.is_some() { RingError::NoLane } else { RingError::Full };
        let kept = lane.ok_or(without).and_then(|lane| {
            let push = |event| lane.push_settlement(shared, keys, None, event);
            let seq = pushed.or_else(|| event.map(push)).unwrap_or(Err(RingError::NoLane));
            seq.map(|seq| Kept::of(lane, seq))
        });
        let place = self.note_kept(kept);
        if let Some(open) = hold.open {
            let own = self.lane.iter_mut().chain(&mut self.adopted).find(|lane| lane.has(open));
            if let Some(lane) = own {
                lane.open.clear(shared, open.place);
            }
        }
        (place, settled)
    }

    /// What a settled record asks for: in exact mode its rest goes back at once, and leases that have ended are
    /// reported.
    pub(crate) fn after_settlement(
        &mut self,
        shared: &dyn SharedData,
        account: &str,
        node: u64,
        settled: Option<SettledRecord>,
        now: Now,
    ) {
        let Some(settled) = settled else {
            return;
        };
        if settled.exact {
            self.return_exact(shared, account, node);
        }
        if settled.at_rest {
            // What it was told last may have overtaken this settlement, or been overtaken by it.
            self.low.insert(account.into());
        }
        self.close_evicted(shared, settled.ended, now);
    }

    /// Puts a settlement that changes no record into the lane's ring: lane and number, where there was room.
    pub(crate) fn push_settlement(
        &mut self,
        shared: &dyn SharedData,
        event: impl FnOnce(u64, &mut Vec<u8>),
        now: Now,
    ) -> Option<Place> {
        self.lane(shared, now);
        let keys = &self.keys_in_shared;
        let kept =
            self.lane.as_mut().ok_or(RingError::NoLane).and_then(|lane| {
                lane.push_settlement(shared, keys, None, event).map(|seq| Kept::of(lane, seq))
            });
        self.note_kept(kept)
    }

    fn note_kept(&mut self, kept: Result<Kept, RingError>) -> Option<Place> {
        match kept {
            Ok(kept) => {
                if kept.depth >= EAGER_EVENTS && self.flight.is_none() {
                    self.effects.push(Effect::Wake { queue: self.queue() });
                }
                Some(kept.place)
            }
            Err(error) => {
                self.metrics.rejected = self.metrics.rejected.saturating_add(1);
                self.effects
                    .push(Effect::Warn(format!("a settlement could not be kept in the ring: {error:?}")));
                None
            }
        }
    }

    /// A record has made room.
    pub(crate) fn made_room(&mut self, shared: &dyn SharedData, evicted: Option<Record>, now: Now) {
        if let Some(record) = &evicted {
            self.forget_rates(record);
        }
        self.close_evicted(shared, evicted, now);
    }

    /// Tells the ledger that a record's leases have ended, as it made room or was overdrawn: what they used in
    /// all.
    pub(crate) fn close_evicted(&mut self, shared: &dyn SharedData, evicted: Option<Record>, now: Now) {
        let Some(record) = evicted else {
            return;
        };
        let policy = self.accounts.fetch(&record.account).map(|account| Rc::clone(&account.policy));
        let cells = record.cells.iter().filter(|cell| cell.tag != 0 && cell.granted != 0);
        let used: Vec<_> = cells
            .map(|cell| Used {
                bucket: bucket_name(policy.as_deref(), cell.tag),
                used: Micros(cell.used.clamp(0, AMOUNT_MAX)),
            })
            .collect();
        if used.is_empty() {
            return;
        }
        let closed = LeaseClosed { account: record.account, lease: record.epoch, used };
        let event = |seq| Event { seq, body: EventBody::LeaseClosed(closed) };
        self.lane(shared, now);
        let event = |seq, out: &mut Vec<u8>| event(seq).write(out);
        let keys = &self.keys_in_shared;
        let kept = self
            .lane
            .as_mut()
            .ok_or(RingError::NoLane)
            .and_then(|lane| lane.push(shared, keys, event).map(|seq| Kept::of(lane, seq)));
        if self.note_kept(kept).is_none() {
            // The ledger takes the lease home when the node closes; until then it counts as leased.
            self.effects.push(Effect::Warn("the end of a lease could not be reported".to_owned()));
        }
    }
}

/// An event that is in a ring.
struct Kept {
    place: Place,
    /// How many events of its lane are not acknowledged.
    depth: usize,
}

impl Kept {
    fn of(lane: &LaneQueue, seq: u64) -> Self {
        Self { place: (Rc::clone(&lane.name), seq), depth: lane.depth() }
    }
}

/// The lane that a settlement goes into: that of its hold, so that whoever adopts it finds both, also after this VM
/// has left it. One of a node that the ledger may not know is taken only where there is no other.
fn settling_lane<'a>(
    own: &'a mut Option<LaneQueue>,
    left: &'a mut VecDeque<LaneQueue>,
    open: OpenPlace,
) -> Option<&'a mut LaneQueue> {
    let has_other = own.as_ref().is_some_and(|own| !own.is_full());
    let fits = |lane: &LaneQueue| {
        let is_of_hold = lane.has(open) && !lane.is_foreign();
        is_of_hold && !lane.is_full() && !(lane.strange && has_other)
    };
    match left.iter().position(fits) {
        Some(at) => left.get_mut(at),
        None => own.as_mut(),
    }
}

/// What a settled record asks for.
#[derive(Debug)]
pub(crate) struct SettledRecord {
    /// It is in exact mode: its rest goes back at once.
    exact: bool,
    /// Nothing is held any more, and the ledger was told otherwise last. In exact mode the rest that goes back
    /// says so.
    at_rest: bool,
    /// The record as it was, where its leases have ended.
    ended: Option<Record>,
}

/// Replaces a hold by what was used, in the account's record of that node and epoch, unless `begin` says that it
/// was done already; `begin` is told of the record before it is stored, once for each try.
pub(crate) fn settle_record(
    records: &Records,
    shared: &dyn SharedData,
    (account, node, epoch): (&str, u64, u64),
    takes: &[(u64, i64, i64)],
    now: Now,
    mut begin: impl FnMut(&mut Record) -> bool,
) -> Option<SettledRecord> {
    let settled = records.change(shared, account, node, SWAP_TRIES_MUST, |record| {
        if record.epoch != epoch || !begin(record) {
            return (None, Fate::Leave);
        }
        record.settle(takes, now.mono_us);
        let ended = record.end_overdrawn(now.mono_us);
        let exact = record.exact && ended.is_none();
        let at_rest = record.open == 0 && record.told_held && !record.exact;
        (Some(SettledRecord { exact, at_rest, ended }), Fate::Store)
    });
    settled.ok().flatten()
}

//! Building the sync request: events of one lane, look-ups, refreshes, wants, returns.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tariff::Micros;
use wire::{
    Ask, BATCH_EVENTS_MAX, Batch, Health, LOOKUPS_MAX, Need, ParkedRequest, REFRESH_MAX, RETURNS_MAX, Return,
    SyncRequest, WANT_REQUESTS_MAX, WANTS_MAX, Want,
};

use super::Flight;
use crate::edge::Edge;
use crate::effect::{CallKind, Effect};
use crate::lane::LaneQueue;
use crate::limits::{BATCH_BYTES_MAX, SWAP_TRIES};
use crate::record::Record;
use crate::records::Fate;
use crate::request::Reason;
use crate::shared::SharedData;
use crate::time::Now;

/// Requests that wait for spending power of one account.
type Parked = BTreeMap<Box<str>, Vec<ParkedRequest>>;

impl Edge {
    /// Sends a sync, unless one is on its way.
    pub(crate) fn send_sync(&mut self, shared: &dyn SharedData, label: &str, timeout_us: u64, now: Now) {
        if self.flight.is_some() {
            return;
        }
        let node = self.node(shared);
        let batch = self.batch();
        let lookups: Vec<_> = (0..LOOKUPS_MAX).map_while(|_| self.lookups.wanted.pop_front()).collect();
        let refresh: Vec<Box<str>> = self.refresh.iter().take(REFRESH_MAX).cloned().collect();
        refresh.iter().for_each(|id| {
            self.refresh.remove(id);
        });
        let wants = self.wants(shared, timeout_us, now);
        let rest = self.returns.split_off(self.returns.len().min(RETURNS_MAX));
        let returns = std::mem::replace(&mut self.returns, rest);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let health = Health {
            ring_depth: count(self.lane.as_ref().map_or(0, LaneQueue::depth)),
            parked: count(self.parked.len()),
            open: count(self.requests.len()),
        };
        let request = SyncRequest {
            v: wire::VERSION,
            node: node.id,
            label: label.to_owned(),
            now: now.wall_ms,
            generation: self.ledger.generation.clone(),
            cursor: self.ledger.cursor,
            batch,
            lookups: lookups.clone(),
            refresh: refresh.iter().map(|id| id.to_string()).collect(),
            returns: returns.clone(),
            health,
            wants,
        };
        let Ok(body) = serde_json::to_vec(&request) else {
            return;
        };
        let wants = request.wants.into_iter().map(|want| want.account.into()).collect();
        self.flight = Some(Flight { sent_us: now.mono_us, lookups, refresh, wants, returns });
        self.clock.last_sync = now.mono_us;
        self.effects.push(Effect::Call {
            kind: CallKind::Sync,
            method: "POST",
            path: wire::SYNC_PATH.to_owned(),
            body,
        });
    }

    /// Events of one lane: adopted lanes first, as nobody else will send them.
    fn batch(&self) -> Option<Batch> {
        let adopted = self.adopted.iter().find(|lane| lane.depth() > 0);
        let lane = adopted.or_else(|| self.lane.as_ref().filter(|lane| lane.depth() > 0))?;
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        let first = lane.pending().next()?.seq;
        for event in lane.pending().take(BATCH_EVENTS_MAX) {
            bytes = bytes.saturating_add(event.bytes.len());
            if bytes > BATCH_BYTES_MAX && !events.is_empty() {
                break;
            }
            events.push(raw(&event.bytes));
        }
        Some(Batch { lane: lane.lane, first, events, gap: lane.gap(), close: lane.adopted })
    }

    /// What parked requests and leases that run low want.
    fn wants(&mut self, shared: &dyn SharedData, timeout_us: u64, now: Now) -> Vec<Want> {
        let mut parked = self.parked_needs(now);
        for account in self.low.drain().take(WANTS_MAX) {
            parked.entry(account).or_default();
        }
        let slot = self.lane.as_ref().map(|lane| lane.lane.slot);
        let until_us = now.mono_us.saturating_add(timeout_us);
        let node = self.node(shared).generation;
        let mut wants = Vec::new();
        for (account, requests) in parked.into_iter().take(WANTS_MAX) {
            let changed = self.records.change_or_create(shared, &account, node, now.mono_us, |record| {
                let others = record.refill_us > now.mono_us;
                if others {
                    record.waiting |= slot.map_or(0, bit);
                    return None;
                }
                record.refill_us = until_us;
                Some(asks(record, now.mono_us))
            });
            let Ok(changed) = changed else {
                continue;
            };
            self.close_evicted(shared, changed.evicted, now);
            if let Some((lease, cells)) = changed.result {
                let asks = self.named(&account, cells, &requests);
                wants.push(Want { account: account.into(), lease, asks, requests });
            }
        }
        wants
    }

    /// The requests that wait for spending power, by account.
    fn parked_needs(&self, now: Now) -> Parked {
        let mut parked = Parked::new();
        for context in &self.parked {
            let Some(request) = self.requests.get(context) else {
                continue;
            };
            let (Some(wait), Some(key)) = (&request.wait, &request.key) else {
                continue;
            };
            if wait.reason != Reason::Refill || wait.ask_after_us > now.mono_us {
                continue;
            }
            let of_account = parked.entry(Box::<str>::from(&*key.account)).or_default();
            if of_account.len() < WANT_REQUESTS_MAX {
                let need = |(bucket, need): &(String, crate::record::Need)| Need {
                    bucket: bucket.clone(),
                    need: Micros(need.amount),
                };
                of_account.push(ParkedRequest {
                    request: request.id.to_string(),
                    needs: wait.needs.iter().map(need).collect(),
                });
            }
        }
        parked
    }

    /// Puts names to the cells of a record: those of the account's policy, and those that requests need.
    fn named(&mut self, account: &str, cells: Vec<(u64, CellState)>, requests: &[ParkedRequest]) -> Vec<Ask> {
        let policy = self.accounts.fetch(account).map(|account| std::rc::Rc::clone(&account.policy));
        let mut asks: Vec<Ask> = Vec::new();
        for (tag, state) in &cells {
            if let Some(id) = policy.as_ref().and_then(|policy| policy.bucket_id(*tag)) {
                asks.push(state.ask(id));
            }
        }
        for need in requests.iter().flat_map(|request| &request.needs) {
            if asks.iter().any(|ask| ask.bucket == need.bucket) {
                continue;
            }
            asks.push(CellState::default().ask(&need.bucket));
        }
        for ask in &mut asks {
            // The sizing rule knows nothing yet of a bucket that was never held of: four holds then.
            if ask.ask == Micros::ZERO {
                let needs = requests
                    .iter()
                    .flat_map(|request| &request.needs)
                    .filter(|need| need.bucket == ask.bucket);
                let largest = needs.map(|need| need.need.get()).max().unwrap_or(0);
                ask.ask = Micros(largest.saturating_mul(4));
            }
        }
        asks
    }

    /// Exact mode: what a settled request left over goes back at once.
    pub(crate) fn return_exact(&mut self, shared: &dyn SharedData, account: &str, node: u64) {
        self.return_free(shared, account, node);
        self.effects.push(Effect::Wake { queue: self.queue() });
    }

    /// Gives back what is free of an account's leases, and notes all that was given back for the next sync.
    pub(crate) fn return_free(&mut self, shared: &dyn SharedData, account: &str, node: u64) {
        let changed = self.records.change(shared, account, node, SWAP_TRIES, |record| {
            record.cells.iter_mut().filter(|cell| cell.tag != 0).for_each(|cell| {
                cell.give_back();
            });
            let given = record.cells.iter().filter(|cell| cell.returned > 0);
            let given: Vec<_> = given.map(|cell| (cell.tag, cell.returned)).collect();
            ((record.epoch, given), Fate::Store)
        });
        let Ok((lease, given)) = changed else {
            return;
        };
        let policy = self.accounts.fetch(account).map(|account| std::rc::Rc::clone(&account.policy));
        for (tag, returned) in given {
            let id = policy.as_ref().and_then(|policy| policy.bucket_id(tag));
            let bucket = id.map_or_else(|| wire::id::tagged(tag), str::to_owned);
            let own =
                |other: &Return| other.account == account && other.lease == lease && other.bucket == bucket;
            self.returns.retain(|other| !own(other));
            self.returns.push(Return {
                account: account.to_owned(),
                lease,
                bucket,
                returned: Micros(returned),
            });
        }
    }
}

/// How one bucket of a record stands.
#[derive(Clone, Copy, Debug, Default)]
struct CellState {
    ask: i64,
    free: i64,
    held: i64,
    returned: i64,
}

impl CellState {
    fn ask(&self, bucket: &str) -> Ask {
        Ask {
            bucket: bucket.to_owned(),
            ask: Micros(self.ask),
            free: Micros(self.free),
            held: Micros(self.held),
            returned: Micros(self.returned),
        }
    }
}

fn asks(record: &Record, now_us: u64) -> (u64, Vec<(u64, CellState)>) {
    let cells = record.cells.iter().filter(|cell| cell.tag != 0).map(|cell| {
        let free = cell.free();
        let ask = cell.target(now_us).saturating_sub(free).max(0);
        (cell.tag, CellState { ask, free: free.max(0), held: cell.held, returned: cell.returned })
    });
    (record.epoch, cells.collect())
}

/// The bit of a slot in a record's waiting set.
pub(super) fn bit(slot: u32) -> u64 {
    1_u64.checked_shl(slot).unwrap_or(0)
}

/// An event's frozen bytes. They were written by a serialiser; should a ring place have been damaged, the
/// ledger refuses the placeholder alone and the numbers go on.
fn raw(bytes: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8(bytes.to_vec()).unwrap_or_default();
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

//! Building the sync request: events of one lane, look-ups, refreshes, wants, returns.

use std::collections::{BTreeMap, BTreeSet};

use codec::Write;
use hashbrown::HashMap;
use tariff::Micros;
use wire::{
    Ask, BATCH_EVENTS_MAX, Batch, Health, LOOKUPS_MAX, Need, ParkedRequest, RATE_REPORTS_MAX, REFRESH_MAX,
    RETURNS_MAX, Return, SyncRequest, WANT_REQUESTS_MAX, WANTS_MAX, Want,
};

use super::Flight;
use crate::account::Compiled;
use crate::admit::hold::bring_up_to_date;
use crate::edge::Edge;
use crate::effect::{CallKind, Effect};
use crate::lane::LaneQueue;
use crate::limits::{AMOUNT_MAX, BATCH_BYTES_MAX, FLIGHT_SLACK_US, SWAP_TRIES};
use crate::record::Record;
use crate::record::records::Fate;
use crate::shared::SharedData;
use crate::shared::node::Node;
use crate::sync::rates::rate_state;
use crate::time::Now;

/// Requests that wait for spending power of one account.
type Parked = BTreeMap<Box<str>, Waiting>;

/// Requests of one account that wait.
#[derive(Default)]
struct Waiting {
    requests: Vec<ParkedRequest>,
    /// How many of them lack tokens of a rate.
    tokens: u64,
}

impl Edge {
    /// Sends a sync, unless one is on its way.
    pub(crate) fn send_sync(&mut self, shared: &dyn SharedData, label: &str, timeout_us: u64, now: Now) {
        if self.flight.is_some() {
            return;
        }
        self.syncs = self.syncs.saturating_add(1);
        let number = self.syncs;
        let refill_us = now.mono_us.saturating_add(timeout_us);
        // Another worker may have taken another id for the node while this one had nothing to say.
        self.follow_node(shared);
        let node = self.node(shared);
        // A VM that has just begun goes by what its node has leased, and says so.
        let generation = self.ledger.generation.clone();
        let generation = generation.or_else(|| Node::read_ledger(shared, &self.keys_in_shared));
        let (batch, events) = self.batch().unzip();
        let lookups: Vec<_> = (0..LOOKUPS_MAX).map_while(|_| self.lookups.wanted.pop_front()).collect();
        let refresh: Vec<Box<str>> = self.refresh.iter().take(REFRESH_MAX).cloned().collect();
        refresh.iter().for_each(|id| {
            self.refresh.remove(id);
        });
        self.hasty = false;
        if std::mem::replace(&mut self.changed, !self.refresh.is_empty()) {
            self.clock.last_refresh = now.mono_us;
        }
        let recalled: Vec<_> = self.recalled.iter().cloned().collect();
        let wants = self.wants(shared, refill_us, now);
        self.note_asked(now);
        let rest = self.returns.split_off(self.returns.len().min(RETURNS_MAX));
        let returns = std::mem::replace(&mut self.returns, rest);
        let rest = self.rate_reports.split_off(self.rate_reports.len().min(RATE_REPORTS_MAX));
        let rates = std::mem::replace(&mut self.rate_reports, rest);
        let request = SyncRequest {
            v: wire::VERSION,
            node: node.id,
            label: label.to_owned(),
            now: now.wall_ms,
            generation,
            cursor: self.ledger.cursor,
            batch,
            lookups: lookups.clone(),
            refresh: refresh.iter().map(|id| id.to_string()).collect(),
            returns: returns.clone(),
            rates: rates.clone(),
            health: self.health(),
            wants,
        };
        let body = with_events(request.bytes(), &events.unwrap_or_default());
        let wants = request.wants.into_iter().map(|want| want.account.into()).collect();
        let until_us = refill_us.saturating_add(FLIGHT_SLACK_US);
        let node = node.id;
        self.flight = Some(Flight {
            number,
            node,
            sent_us: now.mono_us,
            refill_us,
            until_us,
            lookups,
            refresh,
            wants,
            recalled,
            returns,
            rates,
        });
        self.clock.last_sync = now.mono_us;
        self.effects.push(Effect::Call {
            kind: CallKind::Sync(number),
            method: "POST",
            path: wire::SYNC_PATH.to_owned(),
            body,
        });
    }

    fn health(&self) -> Health {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Health {
            ring_depth: count(self.lane.as_ref().map_or(0, LaneQueue::depth)),
            parked: count(self.parked.len()),
            open: count(self.requests.len()),
        }
    }

    /// Events of one lane, each in its turn: one that the ledger cannot take must not hold up the others.
    /// Their bytes come apart, joined: they were serialised when they were frozen.
    fn batch(&self) -> Option<(Batch, Vec<u8>)> {
        let lanes: Vec<&LaneQueue> =
            self.adopted.iter().chain(&self.lane).filter(|lane| lane.depth() > 0).collect();
        let turn = usize::try_from(self.syncs).unwrap_or_default().checked_rem(lanes.len())?;
        let lane = lanes.get(turn)?;
        if let Some(gap) = lane.gap_ahead() {
            let first = gap.to.saturating_add(1);
            let batch = Batch { lane: lane.lane, first, events: Vec::new(), gap: Some(gap), close: false };
            return Some((batch, Vec::new()));
        }
        let all: usize =
            lane.pending().take(BATCH_EVENTS_MAX).map(|event| event.bytes().len().saturating_add(1)).sum();
        let mut events = Vec::with_capacity(all.min(BATCH_BYTES_MAX));
        let first = lane.pending().next()?.seq;
        for event in lane.pending().take(BATCH_EVENTS_MAX) {
            if events.len().saturating_add(event.bytes().len()) > BATCH_BYTES_MAX && !events.is_empty() {
                break;
            }
            if !events.is_empty() {
                events.push(b',');
            }
            events.extend_from_slice(event.bytes());
        }
        let batch =
            Batch { lane: lane.lane, first, events: Vec::new(), gap: lane.gap(), close: lane.is_ending() };
        Some((batch, events))
    }

    /// What parked requests and leases that run low want.
    fn wants(&mut self, shared: &dyn SharedData, refill_us: u64, now: Now) -> Vec<Want> {
        let mut parked = self.parked_needs(now);
        // In a fixed order: one seed of the simulator is one run.
        for _ in 0..WANTS_MAX {
            let Some(account) = self.low.pop_first() else { break };
            parked.entry(account).or_default();
        }
        let recalled = self.recalled(shared, &mut parked);
        let slot = self.lane.as_ref().map(|lane| lane.lane.slot);
        let node = self.node(shared).generation;
        let since = self.ledger.rates_since;
        let mut wants = Vec::new();
        let mut blocked = HashMap::new();
        for (account, Waiting { requests, tokens }) in parked.into_iter().take(WANTS_MAX) {
            let waiting = slot.filter(|_| !requests.is_empty()).map_or(0, bit);
            let policy = self.policy(&account);
            let known = self.accounts.fetch(&account);
            let term = known.as_ref().map_or(0, |known| known.term);
            let changed = self.records.change_or_create(shared, &account, node, now.mono_us, |record| {
                if record.refill_us > now.mono_us {
                    record.waiting |= waiting;
                    return Err((record.refill_us, record.open == 0 && record.told_held && !record.exact));
                }
                if let Some(known) = &known {
                    // What the call says of its term is true from here on.
                    bring_up_to_date(record, known, now);
                }
                record.refill_us = refill_us;
                record.told_held = record.open > 0;
                let (lease, cells) = asks(record, now.mono_us);
                Ok((lease, cells, rate_state(record, policy.as_deref(), since, tokens, now)))
            });
            let Ok(changed) = changed else {
                continue;
            };
            self.made_room(shared, changed.evicted, now);
            match changed.result {
                Ok((lease, cells, rates)) => {
                    let mut asks = self.named(&account, cells, &requests);
                    if requests.is_empty() && recalled.contains(&account) {
                        asks.iter_mut().for_each(|ask| ask.ask = Micros::ZERO);
                    }
                    wants.push(Want { account: account.into(), lease, term, asks, rates, requests });
                }
                Err((until_us, at_rest)) => {
                    if at_rest {
                        self.low.insert(account.clone());
                    }
                    blocked.insert(account, until_us);
                }
            }
        }
        self.block(&blocked);
        wants
    }

    /// Accounts that were recalled: what the ledger has granted is asked for, and no more. An answer that was lost
    /// may have granted what nobody here knows of, and could not give back.
    fn recalled(&mut self, shared: &dyn SharedData, parked: &mut Parked) -> BTreeSet<Box<str>> {
        let node = self.node(shared).generation;
        let recalled = std::mem::take(&mut self.recalled);
        for account in &recalled {
            if self.records.read(shared, account, node).is_some() {
                // Its policy names the buckets.
                let _ = self.known_account(shared, account);
                parked.entry(account.clone()).or_default();
            }
        }
        recalled
    }

    /// Another worker asks for these accounts: its answer wakes this one, at the latest its deadline does.
    fn block(&mut self, accounts: &HashMap<Box<str>, u64>) {
        for context in self.parked.iter() {
            let Some(request) = self.requests.get_mut(&context) else {
                continue;
            };
            let until_us = request.key.as_ref().and_then(|key| accounts.get(&*key.account));
            let wait = request.wait.as_mut().filter(|wait| wait.reason.is_wanted());
            if let (Some(wait), Some(until_us)) = (wait, until_us) {
                (wait.blocked, wait.ask_after_us) = (true, *until_us);
            }
        }
    }

    /// The requests that wait for spending power, by account.
    fn parked_needs(&self, now: Now) -> Parked {
        let mut parked = Parked::new();
        for context in self.parked.iter() {
            let Some(request) = self.requests.get(&context) else {
                continue;
            };
            let (Some(wait), Some(key)) = (&request.wait, &request.key) else {
                continue;
            };
            if !wait.reason.is_wanted() || !wait.asks(now) {
                continue;
            }
            let of_account = parked.entry(Box::<str>::from(&*key.account)).or_default();
            of_account.tokens = of_account.tokens.saturating_add(u64::from(wait.reason.is_tokens()));
            if of_account.requests.len() < WANT_REQUESTS_MAX {
                let need = |(bucket, need): &(String, crate::record::Need)| Need {
                    bucket: bucket.clone(),
                    need: Micros(need.amount),
                };
                of_account.requests.push(ParkedRequest {
                    request: request.id.to_string(),
                    needs: wait.needs.iter().map(need).collect(),
                });
            }
        }
        parked
    }

    /// Puts names to the cells of a record: those of the account's policy, and those that requests need.
    fn named(&mut self, account: &str, cells: Vec<(u64, CellState)>, requests: &[ParkedRequest]) -> Vec<Ask> {
        let policy = self.policy(account);
        let mut asks: Vec<Ask> = Vec::new();
        for (tag, state) in &cells {
            if let Some(id) = policy.as_ref().and_then(|policy| policy.bucket_id(*tag)) {
                asks.push(state.ask(id));
            }
        }
        // The others are asked about too: an answer may have been lost that granted something of them.
        let needed = requests.iter().flat_map(|request| &request.needs).map(|need| need.bucket.as_str());
        let known = policy.iter().flat_map(|policy| &policy.policy.buckets).map(|bucket| bucket.id.as_str());
        for bucket in needed.chain(known) {
            if !asks.iter().any(|ask| ask.bucket == bucket) {
                asks.push(CellState::default().ask(bucket));
            }
        }
        for ask in &mut asks {
            // The sizing rule knows nothing yet of a bucket that was never held of: four holds then.
            if ask.ask == Micros::ZERO {
                let needs = requests
                    .iter()
                    .flat_map(|request| &request.needs)
                    .filter(|need| need.bucket == ask.bucket);
                let largest = needs.map(|need| need.need.get()).max().unwrap_or(0);
                // What is there already counts, or a request that waits for tokens leases more with each call.
                let target = largest.saturating_mul(4).min(AMOUNT_MAX);
                ask.ask = Micros(target.saturating_sub(ask.free.get()).max(0));
            }
        }
        asks.truncate(tariff::policy::BUCKETS_MAX);
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
            let bucket = bucket_name(policy.as_deref(), tag);
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
        let amount = |amount: i64| Micros(amount.clamp(0, AMOUNT_MAX));
        Ask {
            bucket: bucket.to_owned(),
            ask: amount(self.ask),
            free: amount(self.free),
            held: amount(self.held),
            returned: Micros(self.returned),
        }
    }
}

fn asks(record: &Record, now_us: u64) -> (u64, Vec<(u64, CellState)>) {
    let cells = record.cells.iter().filter(|cell| cell.tag != 0).map(|cell| {
        let free = cell.free();
        let ask = cell.target(now_us).saturating_sub(free);
        (cell.tag, CellState { ask, free, held: cell.held, returned: cell.returned })
    });
    (record.epoch, cells.collect())
}

/// What a bucket is called on the wire: its id where the account's policy is known and has it.
pub(crate) fn bucket_name(policy: Option<&Compiled>, tag: u64) -> String {
    let id = policy.and_then(|policy| policy.bucket_id(tag));
    id.map_or_else(|| wire::id::tagged(tag), str::to_owned)
}

/// The bit of a slot in a record's waiting set.
pub(super) fn bit(slot: u32) -> u64 {
    1_u64.checked_shl(slot).unwrap_or(0)
}

/// A serialised request with events put into its empty list. The list's name cannot occur before it: inside a
/// JSON string its quotes would be escaped.
fn with_events(body: Vec<u8>, events: &[u8]) -> Vec<u8> {
    const LIST: &[u8] = br#""events":["#;
    let list = body.windows(LIST.len()).position(|window| window == LIST);
    let cut = list.map(|at| at.saturating_add(LIST.len())).and_then(|at| body.split_at_checked(at));
    let Some((head, tail)) = cut.filter(|_| !events.is_empty()) else {
        return body;
    };
    [head, events, tail].concat()
}

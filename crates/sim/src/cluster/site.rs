//! A place for a node: the process that runs there, its clocks, the VMs of its workers, its line to the ledger.

use std::collections::HashMap;
use std::rc::Rc;

use edge::record::{RECORD_BYTES, Record};
use edge::testing::Holding;
use edge::{Config, SharedData as _};
use wire::{Event, Lane, NodeId};

use super::report::Broken;
use crate::node::Node;
use crate::random::Random;
use crate::{BEGIN_MS, Handle};

/// A process.
pub struct Site {
    /// The process itself.
    pub node: Node,
    /// Unique among all processes of a run.
    pub process: u64,
    /// The VM of each worker that takes what comes.
    pub vms: Vec<usize>,
    /// VMs of an earlier module whose streams have not ended.
    pub draining: Vec<usize>,
    /// What requests held whose VM has gone.
    pub orphans: Vec<Holding>,
    /// Requests that are not decided.
    pub undecided: Vec<usize>,
    /// When it last called the ledger, in microseconds.
    pub called_us: u64,
    /// Until when no call gets through, in microseconds.
    pub cut_until_us: u64,
    /// Until when calls are slow.
    pub slow_until_us: u64,
    /// Until when the process stands still.
    pub stopped_until_us: u64,
    /// What its wall clock is off, in milliseconds.
    pub wall_offset_ms: i64,
    /// The records, as last stored.
    pub records: HashMap<String, Record>,
    /// Events put into rings, by lane and number.
    pub events: HashMap<(Lane, u64), Reported>,
    /// Node generations of this process and their ids.
    pub ids: HashMap<u64, NodeId>,
    /// The version of an account's snapshot and the term that a VM last admitted under, by VM and account.
    pub admitted: HashMap<(usize, String), (u64, u64)>,
    boot_us: u64,
    mono_base_us: u64,
    skew_ppm: i64,
}

/// What an event in a ring reports.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The account.
    pub account: String,
    /// The record's epoch.
    pub epoch: u64,
    /// The request; absent where a lease has ended.
    pub request: Option<String>,
    /// Used in all, in micro-credits.
    pub used: i64,
}

impl Site {
    /// A process that starts.
    pub fn boot(process: u64, workers: usize, config: &Rc<Config>, now_us: u64, random: &mut Random) -> Self {
        let mono_base_us = random.between(1_000_000, 1_000_000_000_000);
        let seed = 1 + process * 1_000_000;
        let mut node = Node::new(workers, Rc::clone(config), mono_base_us, BEGIN_MS, seed);
        node.shared.watch();
        node.warnings.clear();
        Self {
            node,
            process,
            vms: (0..workers).collect(),
            draining: Vec::new(),
            orphans: Vec::new(),
            undecided: Vec::new(),
            called_us: now_us,
            cut_until_us: 0,
            slow_until_us: 0,
            stopped_until_us: 0,
            wall_offset_ms: 0,
            records: HashMap::new(),
            events: HashMap::new(),
            ids: HashMap::new(),
            admitted: HashMap::new(),
            boot_us: now_us,
            mono_base_us,
            // A clock is off by at most a second in a quarter of an hour.
            skew_ppm: i64::try_from(random.below(2_001)).unwrap_or(0) - 1_000,
        }
    }

    /// Sets the process' clocks to an instant of the run.
    pub fn set_clocks(&mut self, now_us: u64) {
        let age = i64::try_from(now_us - self.boot_us).expect("a time of this age");
        let skewed = age + age / 1_000_000 * self.skew_ppm;
        let mono = self.mono_base_us + u64::try_from(skewed).unwrap_or(0);
        self.node.now_us = self.node.now_us.max(mono);
        let wall =
            BEGIN_MS + i64::try_from(now_us / 1_000).expect("a time of this age") + self.wall_offset_ms;
        self.node.wall_base_ms = wall - i64::try_from(self.node.now_us / 1_000).expect("a time of this age");
    }

    /// Reads what was stored in shared data since the last look.
    pub fn look(&mut self) -> Result<Vec<String>, Broken> {
        let mut changed = Vec::new();
        for (key, value) in self.node.shared.take_watched() {
            if let Some(place) = key.strip_prefix("t/2/ring/") {
                self.note_event(place, &value)?;
                continue;
            }
            for bytes in value.chunks_exact(RECORD_BYTES) {
                let record = Record::decode(bytes)
                    .ok_or_else(|| Broken::new("host", "a record that cannot be read".to_owned()))?;
                let known = self.records.get(&record.account);
                if known.is_none_or(|known| known.node <= record.node && *known != record) {
                    changed.push(record.account.clone());
                    self.records.insert(record.account.clone(), record);
                }
            }
        }
        Ok(changed)
    }

    /// Notes what ids the process has gone by.
    pub fn learn_ids(&mut self) {
        for vm in self.vms.iter().chain(&self.draining) {
            if let Some(node) = self.node.workers[*vm].borrow().node_known() {
                self.ids.insert(node.generation, node.id);
            }
        }
    }

    /// An event was put into a ring: its lane is what the slot's header says.
    fn note_event(&mut self, place: &str, value: &[u8]) -> Result<(), Broken> {
        let unreadable = || Broken::new("host", format!("a ring place that cannot be read: {place}"));
        let slot: u32 = place.split('/').next().and_then(|slot| slot.parse().ok()).ok_or_else(unreadable)?;
        let header = Handle(&self.node.shared).get(&format!("t/2/slot/{slot}")).0.ok_or_else(unreadable)?;
        let (node, _) = header.split_first_chunk::<16>().ok_or_else(unreadable)?;
        let (incarnation, rest) = value.split_first_chunk::<4>().ok_or_else(unreadable)?;
        let (seq, bytes) = rest.split_first_chunk::<8>().ok_or_else(unreadable)?;
        let lane = Lane { node: NodeId(*node), slot, incarnation: u32::from_le_bytes(*incarnation) };
        // What lies between the number and the event is the lane's own.
        let begin = bytes.windows(2).position(|at| at == b"{\"").ok_or_else(unreadable)?;
        let event: Event = serde_json::from_slice(&bytes[begin..])
            .map_err(|error| Broken::new("I13", format!("a bad event in a ring: {error}")))?;
        let seq = u64::from_le_bytes(*seq);
        let entry = match event.body {
            wire::EventBody::Settle(settle) => {
                // What a VM left open is held until another one reports it.
                self.orphans.retain(|orphan| orphan.request != settle.request);
                let used = settle.takes.iter().map(|take| take.used.get()).sum();
                Reported { account: settle.account, epoch: settle.lease, request: Some(settle.request), used }
            }
            wire::EventBody::LeaseClosed(closed) => {
                Reported { account: closed.account, epoch: closed.lease, request: None, used: 0 }
            }
        };
        match self.events.insert((lane, seq), entry) {
            None => Ok(()),
            Some(_) => Err(Broken::new("I3", format!("event {seq} of {lane:?} is written twice"))),
        }
    }

    /// What open requests hold, and those whose VM has gone.
    pub fn holdings(&self) -> Vec<Holding> {
        let vms = self.vms.iter().chain(&self.draining);
        let open = vms.flat_map(|vm| self.node.workers[*vm].borrow().holdings());
        open.chain(self.orphans.iter().cloned()).collect()
    }

    /// The id that the process goes by.
    pub fn last_id(&self) -> Option<NodeId> {
        self.ids.iter().max_by_key(|(generation, _)| **generation).map(|(_, id)| *id)
    }

    /// The VMs that run.
    pub fn all_vms(&self) -> Vec<usize> {
        self.vms.iter().chain(&self.draining).copied().collect()
    }
}

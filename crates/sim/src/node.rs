//! One Envoy process: its shared data, the VMs of its workers, its streams, its clocks.
//!
//! What the core wants of its host is carried out here, except calls to the ledger: they wait in the outbox for
//! whoever plays the network.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use edge::record::{RECORD_BYTES, Record};
use edge::shared::{SharedData, Stale};
use edge::{CallAnswer, CallKind, Config, Edge, Effect, Now, Waker};

use crate::host::Client;
use crate::shared::Shared;

/// Rounds of effects after which a node is taken to go round in circles.
const ROUNDS_MAX: usize = 300;

/// A call to the ledger that is to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The VM that makes it.
    pub worker: usize,
    /// Which call.
    pub kind: CallKind,
    /// The path.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
}

/// One Envoy process.
pub struct Node {
    /// The host's shared data.
    pub shared: Rc<Shared>,
    /// One VM each.
    pub workers: Vec<RefCell<Edge>>,
    /// The plugin's configuration.
    pub config: Rc<Config>,
    /// The monotonic clock, in microseconds.
    pub now_us: u64,
    /// What the wall clock shows where the monotonic clock shows 0, in milliseconds since 1970.
    pub wall_base_ms: i64,
    /// All streams, in the order of their opening.
    pub streams: Vec<Client>,
    /// What the edge logged as warnings.
    pub warnings: Vec<String>,
    /// The host's counters and gauges.
    pub metrics: BTreeMap<String, i64>,
    /// Calls to be made.
    pub outbox: Vec<Call>,
    pub(crate) next_context: u32,
    /// Tells the VMs' random bits apart, also from those of other nodes.
    next_seed: u64,
}

/// The host's shared data, as a worker sees it.
pub struct Handle<'a>(pub &'a Shared);

impl SharedData for Handle<'_> {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.0.get(key)
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        self.0.set(key, value, version)
    }
}

impl Node {
    /// A process of so many workers whose clocks show these times; `seed` is what all its random bits come from.
    pub fn new(workers: usize, config: Rc<Config>, now_us: u64, wall_base_ms: i64, seed: u64) -> Self {
        let mut node = Self {
            shared: Rc::new(Shared::default()),
            workers: Vec::new(),
            config,
            now_us,
            wall_base_ms,
            streams: Vec::new(),
            warnings: Vec::new(),
            metrics: BTreeMap::new(),
            outbox: Vec::new(),
            next_context: 1,
            next_seed: seed,
        };
        for _ in 0..workers {
            node.add_vm();
        }
        node
    }

    /// Starts another VM; gives its number.
    pub fn add_vm(&mut self) -> usize {
        let edge = self.vm();
        self.workers.push(RefCell::new(edge));
        self.workers.len() - 1
    }

    /// A VM that has just begun.
    fn vm(&mut self) -> Edge {
        let seed = self.next_seed;
        self.next_seed += 1;
        // The host numbers queues within the process.
        let queue = u32::try_from(seed % 1_000_000).expect("a small number") + 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&seed.to_be_bytes());
        random[8..].copy_from_slice(&seed.to_be_bytes());
        let tables = self.config.tables().agreed(&Handle(&self.shared), "t");
        Edge::new("t", tables, queue, random)
    }

    /// A worker's VM ends, and another one takes its place: all streams on it are gone without a trace.
    pub fn replace_vm(&mut self, worker: usize) {
        let edge = self.vm();
        self.workers[worker] = RefCell::new(edge);
        for client in self.streams.iter_mut().filter(|client| client.worker == worker) {
            client.over = true;
        }
        self.outbox.retain(|call| call.worker != worker);
    }

    /// The moment.
    pub fn now(&self) -> Now {
        Now { mono_us: self.now_us, wall_ms: self.wall() }
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> i64 {
        self.wall_base_ms + i64::try_from(self.now_us / 1_000).expect("a time of this age")
    }

    /// The root of a worker ticks.
    pub fn tick(&mut self, worker: usize) {
        let now = self.now();
        self.workers[worker].borrow_mut().tick(&Handle(&self.shared), &self.config, now);
        self.run();
        for delta in self.workers[worker].get_mut().take_metrics() {
            *self.metrics.entry(delta.name).or_default() += delta.by;
        }
    }

    /// Carries out effects until none are left; calls go into the outbox.
    pub fn run(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut busy = false;
            for worker in 0..self.workers.len() {
                let effects = self.workers[worker].borrow_mut().take_effects();
                busy |= !effects.is_empty();
                for effect in effects {
                    self.carry_out(worker, effect);
                }
            }
            if !busy {
                return;
            }
        }
        panic!("effects never end");
    }

    fn carry_out(&mut self, worker: usize, effect: Effect) {
        let now = self.now();
        match effect {
            Effect::Wake { queue } => {
                let woken = self.workers.iter().position(|edge| edge.borrow().queue() == queue);
                if let Some(woken) = woken {
                    let mut edge = self.workers[woken].borrow_mut();
                    let by = if woken == worker { Waker::Own } else { Waker::Other };
                    edge.woken(&Handle(&self.shared), &self.config, by, now);
                }
            }
            Effect::Warn(text) => self.warnings.push(text),
            Effect::Resume { context, verdict } => self.resumed(worker, context, *verdict),
            Effect::Reply { context, reply } => self.replied(worker, context, reply),
            Effect::Call { kind, path, body, .. } => self.outbox.push(Call { worker, kind, path, body }),
        }
    }

    /// A call's answer has come, or (nothing) the host says that it failed.
    pub fn hear(&mut self, worker: usize, kind: CallKind, answer: Option<CallAnswer<'_>>) {
        let now = self.now();
        let mut edge = self.workers[worker].borrow_mut();
        edge.call_answered(&Handle(&self.shared), kind, answer, now);
        edge.call_if_due(&Handle(&self.shared), &self.config, now);
        drop(edge);
        self.run();
    }

    /// Every account record in shared data.
    pub fn records(&self) -> Vec<Record> {
        let values = self.shared.values("t/2/acct/");
        let decode = |value: &Vec<u8>| {
            value.chunks_exact(RECORD_BYTES).map(|bytes| Record::decode(bytes).expect("record")).collect()
        };
        values.iter().flat_map(|value| -> Vec<Record> { decode(value) }).collect()
    }

    /// The record of an account; the latest, where nodes have followed one another.
    pub fn record(&self, account: &str) -> Record {
        let records = self.records().into_iter().filter(|record| record.account == account);
        records.max_by_key(|record| record.node).expect("a record")
    }

    /// Asserts that nothing is held anywhere and no stream is undecided (I4, I6).
    pub fn check_at_rest(&self) {
        for record in self.records() {
            assert_eq!(record.open, 0, "{record:?}");
            assert!(record.cells.iter().all(|cell| cell.held == 0), "{record:?}");
        }
        for (worker, edge) in self.workers.iter().enumerate() {
            assert_eq!(edge.borrow().open(), 0, "worker {worker}");
        }
        for client in &self.streams {
            assert!(client.over, "{client:?}");
        }
    }
}

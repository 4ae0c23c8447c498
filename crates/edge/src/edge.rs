//! One worker VM's state: everything that outlives a root context and a stream.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use codec::Read;
use hashbrown::HashMap;
use tariff::EdgeCatalog;
use wire::id::tag;
use wire::{Digest, RateReport, Return};

use crate::account::{Accounts, KeyTable};
use crate::admit::hold::Dry;
use crate::admit::park::Parked;
use crate::bounded::Bounded;
use crate::effect::Effect;
use crate::lane::{LaneQueue, Looks, claim};
use crate::limits::{CATALOGS_MAX, DENIALS_MAX, LOOKUPS_PER_SECOND, LOOKUPS_QUEUED};
use crate::metric::{Delta, Gauges, Metrics};
use crate::pricing::Catalog;
use crate::record::records::Records;
use crate::request::Request;
use crate::shared::directory::Directory;
use crate::shared::node::Node;
use crate::shared::tables::Tables;
use crate::shared::{Keys, SharedData};
use crate::sync::{CatalogFlight, Flight};
use crate::time::Now;

/// One worker VM.
#[derive(Debug)]
pub struct Edge {
    pub(crate) keys_in_shared: Keys,
    pub(crate) records: Records,
    pub(crate) directory: Directory,
    pub(crate) node: Option<Node>,
    pub(crate) lane: Option<LaneQueue>,
    pub(crate) adopted: VecDeque<LaneQueue>,
    pub(crate) looks: Looks,
    pub(crate) keys: KeyTable,
    pub(crate) accounts: Accounts,
    pub(crate) catalogs: VecDeque<Rc<Catalog>>,
    /// Dry buckets, by account and tag.
    pub(crate) dry: Bounded<(Box<str>, u64), Dry>,
    /// Boxed: every callback takes its request out and puts it back.
    pub(crate) requests: HashMap<u32, Box<Request>>,
    pub(crate) parked: Parked,
    pub(crate) lookups: LookupBudget,
    /// Snapshots to fetch with the next sync.
    pub(crate) refresh: BTreeSet<Box<str>>,
    /// The next sync does not wait for its time: withdrawals are to be answered, or adopted events are left.
    pub(crate) hasty: bool,
    /// Accounts of `refresh` have changed: they are asked for at once, or a moment after the last that were.
    pub(crate) changed: bool,
    /// Accounts whose lease runs low.
    pub(crate) low: BTreeSet<Box<str>>,
    /// Accounts whose idle leases are wanted elsewhere.
    pub(crate) recalled: BTreeSet<Box<str>>,
    /// How records stand with their rates, to be told with the next sync.
    pub(crate) rate_reports: Vec<RateReport>,
    /// Accounts that the ledger has leased tokens of rates of: given back when they have rested for so many
    /// microseconds.
    pub(crate) leased: BTreeMap<Box<str>, u64>,
    /// Leases given back, to be told with the next sync.
    pub(crate) returns: Vec<Return>,
    pub(crate) flight: Option<Flight>,
    pub(crate) catalog_flight: Option<CatalogFlight>,
    /// How many syncs have been sent: names them, and gives each lane its turn.
    pub(crate) syncs: u64,
    pub(crate) effects: Vec<Effect>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clocks,
    pub(crate) ledger: LedgerView,
    queue: u32,
    entropy: Entropy,
    /// What all request ids of this VM begin with.
    id_prefix: Box<str>,
}

/// When things last happened, in microseconds on the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clocks {
    pub last_request: u64,
    pub last_sync: u64,
    pub last_refresh: u64,
    pub last_beat: u64,
    pub last_adoption: u64,
    pub last_idle_scan: u64,
    pub retry_after: u64,
}

/// What is known of the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerView {
    /// When the last answered call was sent; 0 = never.
    pub answered_us: u64,
    /// When the last call of this worker's own was sent that was answered: it has read the change feed so far.
    pub heard_us: u64,
    /// Calls failed since.
    pub failures: u32,
    pub generation: Option<String>,
    pub cursor: Option<u64>,
    /// Since when it has counted rates.
    pub rates_since: u64,
    /// The catalog version in force, as last told.
    pub catalog: u64,
    /// Accounts still to be looked at for idle leases.
    pub idle_scan: Vec<Box<str>>,
}

/// Bounds look-ups of unknown keys per second.
#[derive(Clone, Debug, Default)]
pub(crate) struct LookupBudget {
    second: u64,
    used: u64,
    pub wanted: VecDeque<Digest>,
}

impl LookupBudget {
    /// Queues a look-up unless the second's budget is spent; true where it is under way.
    pub fn ask(&mut self, digest: Digest, now_us: u64) -> bool {
        if self.wanted.contains(&digest) {
            return true;
        }
        let second = now_us / 1_000_000;
        if self.second != second {
            (self.second, self.used) = (second, 0);
        }
        if self.used >= LOOKUPS_PER_SECOND || self.wanted.len() >= LOOKUPS_QUEUED {
            return false;
        }
        self.used = self.used.saturating_add(1);
        self.wanted.push_back(digest);
        true
    }

    /// Queues look-ups again whose call failed, ahead of the others, as far as there is room.
    pub fn ask_again(&mut self, digests: Vec<Digest>) {
        for digest in digests.into_iter().rev() {
            if self.wanted.len() < LOOKUPS_QUEUED && !self.wanted.contains(&digest) {
                self.wanted.push_front(digest);
            }
        }
    }
}

/// Random identifiers from a seed that the host gives once.
#[derive(Clone, Copy, Debug)]
struct Entropy {
    seed: [u8; 16],
    count: u64,
}

impl Edge {
    /// A VM's state: the prefix of its keys in shared data, the sizes that its process goes by, the queue that
    /// wakes it, 128 random bits.
    #[must_use]
    pub fn new(prefix: &str, tables: Tables, queue: u32, seed: [u8; 16]) -> Self {
        let keys_in_shared = Keys::new(prefix);
        Self {
            records: Records::new(keys_in_shared.clone(), tables.record_shards()),
            directory: Directory::new(keys_in_shared.clone(), tables),
            keys_in_shared,
            node: None,
            lane: None,
            adopted: VecDeque::new(),
            looks: Looks::default(),
            keys: KeyTable::new(tables.keys),
            accounts: Accounts::new(tables.accounts),
            catalogs: VecDeque::new(),
            dry: Bounded::new(DENIALS_MAX),
            requests: HashMap::new(),
            parked: Parked::default(),
            lookups: LookupBudget::default(),
            refresh: BTreeSet::new(),
            hasty: false,
            changed: false,
            low: BTreeSet::new(),
            recalled: BTreeSet::new(),
            rate_reports: Vec::new(),
            leased: BTreeMap::new(),
            returns: Vec::new(),
            flight: None,
            catalog_flight: None,
            syncs: 0,
            effects: Vec::new(),
            metrics: Metrics::default(),
            clock: Clocks::default(),
            ledger: LedgerView::default(),
            queue,
            entropy: Entropy { seed, count: 0 },
            id_prefix: format!("req_{:032x}", u128::from_be_bytes(seed)).into(),
        }
    }

    /// Takes what the core wants done.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Takes the changes for the host's metrics.
    pub fn take_metrics(&mut self) -> Vec<Delta> {
        self.metrics.flush(self.told())
    }

    /// What the host's gauges are told: what stands in the headers of its lanes, so that whoever adopts them takes
    /// off no less and no more.
    pub(crate) fn told(&self) -> Gauges {
        let lanes = self.lane.iter().chain(&self.adopted);
        lanes.map(|lane| lane.told).fold(Gauges::default(), Gauges::and)
    }

    /// How its gauges stand. Events of a lane that another VM has taken are counted there.
    pub(crate) fn gauges(&self) -> Gauges {
        let own = self.lane.as_ref().map_or(0, LaneQueue::depth);
        let depth = own.saturating_add(self.adopted_depth());
        Gauges::new([depth, self.parked.len(), self.requests.len()])
    }

    /// Unsent events of the lanes that it adopted or left.
    pub(crate) fn adopted_depth(&self) -> usize {
        let kept = self.adopted.iter().filter(|lane| !lane.is_foreign());
        kept.map(LaneQueue::depth).fold(0, usize::saturating_add)
    }

    /// The number of requests that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.requests.len()
    }

    /// The VM's random bits.
    #[must_use]
    pub fn seed(&self) -> [u8; 16] {
        self.entropy.seed
    }

    /// The queue that wakes this VM.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// A request id, unique for ever: the VM's random bits and a count.
    pub(crate) fn next_id(&mut self) -> Box<str> {
        self.entropy.count = self.entropy.count.saturating_add(1);
        let mut id = String::with_capacity(self.id_prefix.len().saturating_add(16));
        id.push_str(&self.id_prefix);
        let count = self.entropy.count;
        // Eight digits, more where the count needs them.
        let digits = (u64::BITS.saturating_sub(count.leading_zeros()).div_ceil(4)).max(8);
        for place in (0..digits).rev() {
            let digit = count >> place.saturating_mul(4) & 0xF;
            id.extend(u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 16)));
        }
        id.into()
    }

    /// 128 bits for a node id, different at every call.
    pub(crate) fn random(&mut self) -> [u8; 16] {
        self.entropy.count = self.entropy.count.saturating_add(1);
        let mut bytes = self.entropy.seed;
        for (byte, count) in bytes.iter_mut().zip(self.entropy.count.to_be_bytes()) {
            *byte ^= count;
        }
        bytes
    }

    /// The node's identity.
    pub(crate) fn node(&mut self, shared: &dyn SharedData) -> Node {
        if let Some(node) = self.node {
            return node;
        }
        let random = self.random();
        let node = Node::claim(shared, &self.keys_in_shared, random);
        self.node = Some(node);
        node
    }

    /// Goes on as the node that stands in shared data, where another worker has renewed it.
    pub(crate) fn follow_node(&mut self, shared: &dyn SharedData) {
        let (Some(own), Some(current)) = (self.node, Node::read(shared, &self.keys_in_shared)) else {
            return;
        };
        self.node = Some(current);
        if own.id == current.id {
            return;
        }
        // Whichever ledger it is that the node has been renewed for.
        let learnt_from = self.ledger.generation.take().map_or(own.ledger, |ledger| tag(&ledger));
        let is_other = learnt_from != current.ledger;
        self.leave_lane(is_other);
        if is_other {
            self.forget_ledger(shared);
        }
    }

    /// Forgets what was learnt from a ledger that is no longer the one that answers: versions begin where the
    /// other one stands, of accounts and of catalogs.
    pub(crate) fn forget_ledger(&mut self, shared: &dyn SharedData) {
        self.keys.clear();
        self.accounts.clear();
        // It counts accounts' versions from where its copy ended: the same number tells of something else.
        self.dry.clear();
        self.catalogs.clear();
        // What is on its way may be the other ledger's, under a number that this one gives again.
        self.catalog_flight = None;
        self.ledger.catalog = 0;
        self.ledger.cursor = None;
        // Whatever another worker stores meanwhile is of the ledger that answers.
        let _ = shared.set(&self.keys_in_shared.catalog(), &[], None);
    }

    /// Events already numbered keep their lane, and so do those of requests that are open; the next ones get
    /// another. `strange`: the ledger that answers may not know the lane's node.
    pub(crate) fn leave_lane(&mut self, strange: bool) {
        if let Some(mut lane) = self.lane.take() {
            (lane.adopted, lane.strange) = (true, strange);
            self.adopted.push_back(lane);
        }
    }

    /// The VM's own lane, claimed when it is first needed; `None` where all slots are taken.
    pub(crate) fn lane(&mut self, shared: &dyn SharedData, now: Now) -> Option<&mut LaneQueue> {
        if self.lane.is_none() {
            let node = self.node(shared);
            self.lane = claim(shared, &self.keys_in_shared, node, self.queue, now.mono_us);
        }
        self.lane.as_mut()
    }

    /// Stores a catalog version.
    pub(crate) fn store_catalog(&mut self, catalog: &EdgeCatalog) {
        if self.catalogs.iter().any(|own| own.version == catalog.version) {
            return;
        }
        while self.catalogs.len() >= CATALOGS_MAX {
            self.catalogs.pop_front();
        }
        self.catalogs.push_back(Rc::new(Catalog::new(catalog)));
    }

    /// A catalog version, if it is here or in shared data.
    pub(crate) fn catalog(&mut self, shared: &dyn SharedData, version: u64) -> Option<Rc<Catalog>> {
        let known =
            |catalogs: &VecDeque<Rc<Catalog>>| catalogs.iter().find(|own| own.version == version).cloned();
        if let Some(catalog) = known(&self.catalogs) {
            return Some(catalog);
        }
        let stored = shared.get(&self.keys_in_shared.catalog()).0?;
        let stored = EdgeCatalog::read(&stored).filter(|stored| stored.version == version)?;
        self.store_catalog(&stored);
        known(&self.catalogs)
    }
}

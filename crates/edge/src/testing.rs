//! A stand-in for the host's shared data, with its rules for versions; and windows into a VM for simulators.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::edge::Edge;
use crate::lane::LaneQueue;
use crate::request::Request;
use crate::shared::node::Node;
use crate::shared::{ABSENT, SharedData, Stale};

/// Shared data in memory.
#[derive(Debug, Default)]
pub struct Memory {
    values: RefCell<(u32, Values)>,
    /// Calls after which the caller traps, as a VM does: it unwinds with [`Trap`] instead of making the next one.
    pub fuse: Cell<Option<usize>>,
}

/// What a caller unwinds with whose fuse has burnt down.
#[derive(Clone, Copy, Debug)]
pub struct Trap;

/// Values and their versions, by key.
type Values = BTreeMap<String, (Vec<u8>, u32)>;

impl SharedData for Memory {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.burn();
        self.values
            .borrow()
            .1
            .get(key)
            .map_or((None, None), |(value, version)| (Some(value.clone()), Some(*version)))
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        self.burn();
        let (counter, values) = &mut *self.values.borrow_mut();
        let current = values.get(key).map(|(_, version)| *version);
        // As the host does: a version on a missing key is ignored; 0 and none mean "always".
        let wanted = version.filter(|version| *version != 0);
        if current.zip(wanted).is_some_and(|(current, wanted)| current != wanted) {
            return Err(Stale);
        }
        *counter = counter.checked_add(1).filter(|next| *next != ABSENT).unwrap_or(1);
        values.insert(key.to_owned(), (value.to_vec(), *counter));
        Ok(())
    }
}

impl Memory {
    fn burn(&self) {
        match self.fuse.get() {
            None => {}
            Some(0) => {
                self.fuse.set(None);
                std::panic::resume_unwind(Box::new(Trap));
            }
            Some(left) => self.fuse.set(left.checked_sub(1)),
        }
    }

    /// The values of the keys that begin so.
    #[must_use]
    pub fn values(&self, prefix: &str) -> Vec<Vec<u8>> {
        let values = self.values.borrow();
        let begins = values.1.iter().filter(|(key, _)| key.starts_with(prefix));
        begins.map(|(_, (value, _))| value.clone()).collect()
    }

    /// The keys that begin so, with their values.
    #[must_use]
    pub fn entries(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let values = self.values.borrow();
        let begins = values.1.iter().filter(|(key, _)| key.starts_with(prefix));
        begins.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// The number of keys ever set.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.values.borrow().1.len()
    }
}

/// What an open request holds, as its VM has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The stream.
    pub context: u32,
    /// The request.
    pub request: String,
    /// The account.
    pub account: String,
    /// The version of the snapshot that it was admitted by.
    pub version: u64,
    /// The term that it was admitted under.
    pub term: u64,
    /// The node generation of the record that it holds of.
    pub node: u64,
    /// That record's epoch; absent where it holds nothing of any.
    pub epoch: Option<u64>,
    /// What it was reckoned to cost at most, in micro-credits at base price.
    pub estimate: i64,
    /// What it has set aside: less than the estimate where it was clipped.
    pub held: i64,
}

impl Edge {
    /// What the open requests of this VM hold, in the order of their streams.
    #[must_use]
    pub fn holdings(&self) -> Vec<Holding> {
        let holding = |(context, request): (&u32, &Request)| {
            let (hold, account) = (request.hold.as_ref()?, request.account.as_ref()?);
            Some(Holding {
                context: *context,
                request: request.id.to_string(),
                account: account.id.to_string(),
                version: account.version,
                term: account.term,
                node: hold.node,
                epoch: hold.epoch,
                estimate: hold.credits,
                held: hold.held_credits(),
            })
        };
        let mut holdings: Vec<_> = {
            let requests = self.requests.iter().map(|(context, request)| (context, &**request));
            requests.filter_map(holding).collect()
        };
        holdings.sort_unstable_by_key(|holding| holding.context);
        holdings
    }

    /// The id of an open request.
    #[must_use]
    pub fn request_id(&self, context: u32) -> Option<&str> {
        self.requests.get(&context).map(|request| &*request.id)
    }

    /// Settlements of this VM, and of lanes that it adopted, which the ledger has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.lane.iter().chain(&self.adopted).map(LaneQueue::depth).sum()
    }

    /// The node that this VM belongs to, as it knows it.
    #[must_use]
    pub fn node_known(&self) -> Option<Node> {
        self.node
    }
}

//! What the writer keeps in memory: accounts as folded so far, and what lies beside them.
//!
//! Always equal to the journal's fold. Accounts are read when they are first touched; those with leases
//! are read at the start, so that a closed node's leases can be found.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use book::{Account, AccountId, Fleet, LaneState, Node};
use tariff::Catalog;
use wire::{Change, Health, Lane, NodeId};

/// The writer's memory.
pub struct Cache {
    /// Accounts, as folded so far.
    pub accounts: HashMap<AccountId, Cached>,
    /// Accounts that differ from what is written down, by the first entry that is not.
    pub dirty: BTreeMap<u64, AccountId>,
    /// Accounts by when time next changes them.
    pub due: BTreeSet<(i64, AccountId)>,
    /// Accounts that may have leases on a node.
    pub holders: HashMap<NodeId, BTreeSet<AccountId>>,
    /// Nodes, open and closed.
    pub nodes: HashMap<NodeId, KnownNode>,
    /// What nodes share beside the journal.
    pub fleet: Fleet,
    /// How many nodes are open.
    pub nodes_open: usize,
    /// Lanes that have called since the start, up to a bound.
    pub lanes: HashMap<Lane, KnownLane>,
    /// The change feed's end.
    pub feed: FeedEnd,
    /// The catalogs, by version.
    pub catalogs: BTreeMap<u64, Arc<Catalog>>,
    /// The catalog version in force.
    pub catalog: u64,
    /// The ledger generation.
    pub generation: Arc<str>,
    /// The last entry's id.
    pub last_entry: u64,
    /// The last entry's instant.
    pub last_at: i64,
    /// How many accounts there are.
    pub account_count: u64,
    /// Sums over all accounts.
    pub sums: Sums,
    /// When the running flush began, and the last entry that it writes down.
    pub flush: Option<u64>,
    /// When the last flush ended.
    pub flushed_at: i64,
}

/// An account in memory.
pub struct Cached {
    /// The account.
    pub account: Account,
    /// The first entry that is not written down; absent = all are.
    pub dirty_since: Option<u64>,
    /// Where it stands in [`Cache::due`].
    pub due: Option<i64>,
}

/// A node in memory.
pub struct KnownNode {
    /// The node.
    pub node: Node,
    /// Its last call, in ledger uptime.
    pub called_at: i64,
    /// How its worker fared at the last call.
    pub health: Health,
}

/// A lane in memory.
#[derive(Clone, Copy)]
pub struct KnownLane {
    /// Its row.
    pub row: i64,
    /// How far it has come.
    pub state: LaneState,
    /// The day of its last events, counted from 1970; nothing where no digests of it are kept.
    pub day: Option<i64>,
}

/// The end of the change feed.
#[derive(Default)]
pub struct FeedEnd {
    /// The position of the last change.
    pub last: u64,
    /// Positions up to this one are not kept.
    pub floor: u64,
    /// The changes kept, with their positions.
    pub changes: VecDeque<(u64, Change)>,
}

/// Sums over all accounts, for gauges.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    /// Leased to nodes, at base price.
    pub leased: i128,
    /// Debt.
    pub debt: i128,
}

// === impl Cache ===

impl Cache {
    /// Takes an account into memory as it was written down.
    pub fn insert(&mut self, account: Account) {
        for lease in &account.leases {
            self.holders.entry(lease.node).or_default().insert(account.id.clone());
        }
        let due = book::due::next(&account);
        if let Some(due) = due {
            self.due.insert((due, account.id.clone()));
        }
        let id = account.id.clone();
        self.accounts.insert(id, Cached { account, dirty_since: None, due });
    }

    /// Up to which entry all accounts are written down.
    pub fn folded(&self) -> u64 {
        self.dirty.first_key_value().map_or(self.last_entry, |(entry, _)| entry.saturating_sub(1))
    }

    /// Lets go of accounts that nothing needs in memory.
    pub fn evict(&mut self, kept: usize) {
        if self.accounts.len() <= kept {
            return;
        }
        let (due, nodes) = (&mut self.due, &self.nodes);
        let is_open = |node| nodes.get(&node).is_some_and(|known| known.node.closed_at.is_none());
        let up = nodes.values().map(|known| known.called_at).max().unwrap_or(0);
        self.accounts.retain(|id, cached| {
            let needed = cached.dirty_since.is_some()
                || !cached.account.leases.is_empty()
                || cached.account.soft.rates.is_needed(up.saturating_mul(1_000), is_open);
            if let Some(at) = cached.due.filter(|_| !needed) {
                // Its row says when it is due.
                due.remove(&(at, id.clone()));
            }
            needed
        });
    }
}

//! The store as the book sees it: one transaction.
//!
//! A command runs against one [`Tx`], wholly or not at all: where it fails with a store error the
//! transaction must be abandoned, and it may be run again from its start. Nothing is answered before
//! the commit. Reads see the transaction's own writes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::Catalog;
use wire::{Change, Digest, Health, Lane, NodeId};

use crate::account::{Account, Soft};
use crate::entry::{Entry, EntryKind, GrantSource};
use crate::error::StoreError;
use crate::fleet::Fleet;
use crate::id::AccountId;
use crate::key::Key;
use crate::notice::Notice;

/// The instant of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, in milliseconds since 1970; never falls.
    pub wall: i64,
    /// Time that the ledger has been up, in milliseconds: what nodes are closed by (protocol §5).
    pub up: i64,
}

/// One transaction.
///
/// # Errors
/// Each method fails where the store does; the transaction must not be committed then.
pub trait Tx {
    /// Locks what a command will touch, in an order that excludes deadlock: the lane, then the
    /// accounts by id. Stores with one writer have nothing to do.
    fn lock(&mut self, lane: Option<Lane>, accounts: &[&str]) -> Result<(), StoreError>;

    /// An account.
    fn account(&mut self, id: &str) -> Result<Option<&Account>, StoreError>;

    /// What is remembered of an account beside its fold.
    fn soft(&mut self, id: &str) -> Result<Option<&mut Soft>, StoreError>;

    /// Appends an entry and folds it in; gives its id. The first entry of an id makes the account.
    fn append(&mut self, account: &AccountId, at: i64, kind: EntryKind) -> Result<u64, StoreError>;

    /// Accounts with work due at an instant, at most so many.
    fn due(&mut self, now: i64, limit: usize) -> Result<Vec<AccountId>, StoreError>;

    /// The key of a digest, live or not.
    fn key(&mut self, digest: &Digest) -> Result<Option<Key>, StoreError>;

    /// The key of an id, live or not.
    fn key_by_id(&mut self, account: &str, id: &str) -> Result<Option<Key>, StoreError>;

    /// How many keys of an account are neither revoked nor expired, and how many there are.
    fn count_keys(&mut self, account: &str, now: i64) -> Result<(u64, u64), StoreError>;

    /// Adds or replaces a key.
    fn put_key(&mut self, key: Key) -> Result<(), StoreError>;

    /// A node, open or closed.
    fn node(&mut self, id: NodeId) -> Result<Option<Node>, StoreError>;

    /// Adds or replaces a node.
    fn put_node(&mut self, node: Node) -> Result<(), StoreError>;

    /// Notes a call of an open node; need not be durable.
    fn note_call(&mut self, id: NodeId, up: i64, health: Health) -> Result<(), StoreError>;

    /// When an open node last called, in ledger uptime; nothing of one that is not open.
    fn called_at(&mut self, id: NodeId) -> Result<Option<i64>, StoreError>;

    /// What is remembered of nodes for the rates that they share.
    fn fleet(&mut self) -> &mut Fleet;

    /// Open nodes that have not called since an instant of uptime.
    fn silent_nodes(&mut self, since: i64) -> Result<Vec<Node>, StoreError>;

    /// How many nodes are open.
    fn count_open_nodes(&mut self) -> Result<usize, StoreError>;

    /// Accounts with leases on a node, at most so many.
    fn accounts_of_node(&mut self, node: NodeId, limit: usize) -> Result<Vec<AccountId>, StoreError>;

    /// How far a lane has come; a lane that is not known has not begun.
    fn lane(&mut self, lane: Lane) -> Result<LaneState, StoreError>;

    /// Stores how far a lane has come, with the digests of the events from `first` on.
    fn put_lane(
        &mut self,
        lane: Lane,
        state: LaneState,
        first: u64,
        digests: &[u64],
    ) -> Result<(), StoreError>;

    /// The digest of an event that was applied or refused; nothing where it is not known (a gap).
    fn event_digest(&mut self, lane: Lane, seq: u64) -> Result<Option<u64>, StoreError>;

    /// Whether a request of the account was charged.
    fn is_charged(&mut self, account: &str, request: &str) -> Result<bool, StoreError>;

    /// The entry of a grant, by its reference.
    fn grant_entry(
        &mut self,
        account: &str,
        source: GrantSource,
        reference: &str,
    ) -> Result<Option<Entry>, StoreError>;

    /// An entry of an account, by its id.
    fn entry(&mut self, account: &str, id: u64) -> Result<Option<Entry>, StoreError>;

    /// A correction's entry, by what it is unique by ([`crate::correction::reference`]).
    fn correction(&mut self, account: &str, kind: &str, reference: &str)
    -> Result<Option<Entry>, StoreError>;

    /// Appends to the change feed.
    fn change(&mut self, change: Change) -> Result<(), StoreError>;

    /// Reads the change feed.
    fn feed(&mut self, cursor: Option<u64>, limit: usize) -> Result<Feed, StoreError>;

    /// Appends an incident.
    fn incident(&mut self, incident: Incident) -> Result<(), StoreError>;

    /// Tells of something, within the transaction; what is told once only ([`crate::Event::once`]) and was
    /// told before is left out.
    fn notice(&mut self, notice: Notice) -> Result<(), StoreError>;

    /// A version of the catalog.
    fn catalog(&mut self, version: u64) -> Result<Option<Arc<Catalog>>, StoreError>;

    /// The catalog version in force.
    fn catalog_version(&self) -> u64;

    /// The ledger generation.
    fn generation(&self) -> &str;

    /// What the transaction counts.
    fn counters(&mut self) -> &mut Counters;
}

/// One Envoy process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// For people.
    pub label: String,
    /// When it first called.
    pub opened_at: i64,
    /// When it was closed; closed is for ever.
    pub closed_at: Option<i64>,
}

/// How far a lane has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// The last number applied, refused or given up.
    pub last: u64,
    /// True: its VM is gone and nothing follows.
    pub closed: bool,
}

/// What the change feed has for a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// How far the reader has come with these.
    pub cursor: u64,
    /// True: the reader's cursor is unknown; changes may be missing.
    pub reset: bool,
    /// Changes after the reader's cursor.
    pub changes: Vec<Change>,
}

/// Something that people should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When.
    pub at: i64,
    /// The account, where it is about one.
    pub account: Option<String>,
    /// Lane and number of the event, where it is about one.
    pub event: Option<(Lane, u64)>,
    /// What it is (`gap`, `rejected`, `conflict`, `duplicate`, `disputed`, `unpriced`, `price_mismatch`).
    pub code: String,
    /// For people; of refused events, their bytes.
    pub detail: String,
}

/// What one transaction counts, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events posted.
    pub applied: u64,
    /// Events known already.
    pub replayed: u64,
    /// Events known already with other content.
    pub conflicts: u64,
    /// Events refused alone.
    pub rejected: u64,
    /// Events declared lost.
    pub gaps: u64,
    /// Requests charged from the access log.
    pub recovered: u64,
    /// Micro-credits charged.
    pub charged: i128,
    /// Micro-credits of the price that were not charged.
    pub disputed: i128,
    /// Micro-credits charged to debt.
    pub debt_charged: i128,
    /// Settlements whose price at the edge was not the ledger's.
    pub price_mismatches: u64,
    /// What providers stated that charges cost whose models have a cost card, in thousand-millionths of a US dollar.
    pub provider_cost: i128,
    /// What these cost by their cards, in the same.
    pub card_cost: i128,
    /// Of these, the charges whose two costs are more than 1 % and a millionth of a US dollar apart.
    pub cost_mismatches: u64,
    /// Micro-credits used above holds.
    pub overshoot: i128,
    /// Nodes closed for silence.
    pub nodes_closed: u64,
    /// Micro-credits leased to nodes that were closed before they reported.
    pub closed_leases: i128,
}

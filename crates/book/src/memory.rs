//! A store in memory: for tests and the simulator. What it holds is gone with it.
//!
//! It keeps the whole journal, so that an account can be folded anew at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tariff::Catalog;
use wire::{Change, Digest, Health, Lane, NodeId};

use crate::account::{Account, Soft};
use crate::due;
use crate::entry::{Entry, EntryKind, GrantSource};
use crate::error::StoreError;
use crate::fleet::Fleet;
use crate::id::AccountId;
use crate::key::Key;
use crate::limits::CHANGES_KEPT;
use crate::notice::Notice;
use crate::tx::{Counters, Feed, Incident, LaneState, Node, Tx};

/// The store; it is its own transaction, and nothing is ever rolled back.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The journal, in order of ids from 1.
    pub journal: Vec<Entry>,
    /// The accounts, as folded so far.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Incidents, in order.
    pub incidents: Vec<Incident>,
    /// The change feed, in order of positions from 1.
    pub changes: Vec<Change>,
    /// What was told, in order.
    pub notices: Vec<Notice>,
    /// What was counted.
    pub counters: Counters,
    keys: BTreeMap<Digest, Key>,
    nodes: BTreeMap<NodeId, (Node, i64)>,
    fleet: Fleet,
    lanes: BTreeMap<Lane, LaneState>,
    digests: BTreeMap<(Lane, u64), u64>,
    charged: BTreeSet<(String, String)>,
    granted: BTreeSet<(String, GrantSource, String)>,
    corrected: BTreeMap<(String, &'static str, String), u64>,
    noticed: BTreeSet<(AccountId, String)>,
    catalogs: Vec<Arc<Catalog>>,
}

// === impl Memory ===

impl Memory {
    /// An empty store under a catalog, as version 1.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self { catalogs: vec![Arc::new(catalog)], ..Self::default() }
    }

    /// Puts the next version of the catalog in force.
    pub fn publish(&mut self, catalog: Catalog) {
        self.catalogs.push(Arc::new(catalog));
    }

    /// Loses whatever a process loses that dies; its uptime begins at 0 again.
    pub fn restart(&mut self) {
        self.nodes.values_mut().for_each(|(_, called)| *called = 0);
        self.accounts.values_mut().for_each(|account| account.soft = Soft::default());
        let open = self.nodes.values().filter(|(node, _)| node.closed_at.is_none());
        self.fleet = Fleet::new(open.map(|(node, _)| node.id).collect());
    }

    /// An account folded anew from the journal; equal to the kept one, or the book is wrong.
    #[must_use]
    pub fn rebuilt(&self, id: &str) -> Option<Account> {
        let mut entries = self.journal.iter().filter(|entry| entry.account.as_str() == id).peekable();
        let mut account = Account::empty(entries.peek()?.account.clone());
        entries.for_each(|entry| account.apply(entry));
        Some(account)
    }
}

impl Tx for Memory {
    fn lock(&mut self, _: Option<Lane>, _: &[&str]) -> Result<(), StoreError> {
        Ok(())
    }

    fn account(&mut self, id: &str) -> Result<Option<&Account>, StoreError> {
        Ok(self.accounts.get(id))
    }

    fn soft(&mut self, id: &str) -> Result<Option<&mut Soft>, StoreError> {
        Ok(self.accounts.get_mut(id).map(|account| &mut account.soft))
    }

    fn append(&mut self, account: &AccountId, at: i64, kind: EntryKind) -> Result<u64, StoreError> {
        let id = count(self.journal.len()).saturating_add(1);
        let folded = self.accounts.entry(account.clone()).or_insert_with(|| Account::empty(account.clone()));
        let prev = if kind.is_line() { folded.last_line } else { 0 };
        let is_unique = match &kind {
            EntryKind::Charge(charge) => self.charged.insert((account.to_string(), charge.request.clone())),
            EntryKind::Grant(granted) => {
                self.granted.insert((account.to_string(), granted.source, granted.reference.clone()))
            }
            other => match crate::correction::reference(other) {
                Some((kind, reference)) => {
                    self.corrected.insert((account.to_string(), kind, reference.into_owned()), id).is_none()
                }
                None => true,
            },
        };
        if !is_unique {
            return Err(StoreError::new(format!("charged or granted before: {kind:?}")));
        }
        let entry = Entry { id, account: account.clone(), prev, at, kind };
        folded.apply(&entry);
        debug_assert_eq!(crate::invariant::broken(folded), None, "after {entry:?}");
        self.journal.push(entry);
        Ok(id)
    }

    fn due(&mut self, now: i64, limit: usize) -> Result<Vec<AccountId>, StoreError> {
        let is_due = |account: &&Account| due::next(account).is_some_and(|due| due <= now);
        Ok(self.accounts.values().filter(is_due).map(|account| account.id.clone()).take(limit).collect())
    }

    fn key(&mut self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        Ok(self.keys.get(digest).cloned())
    }

    fn key_by_id(&mut self, account: &str, id: &str) -> Result<Option<Key>, StoreError> {
        let is_it = |key: &&Key| key.account.as_str() == account && &*key.id == id;
        Ok(self.keys.values().find(is_it).cloned())
    }

    fn count_keys(&mut self, account: &str, now: i64) -> Result<(u64, u64), StoreError> {
        let of = || self.keys.values().filter(|key| key.account.as_str() == account);
        Ok((count(of().filter(|key| key.is_kept(now)).count()), count(of().count())))
    }

    fn put_key(&mut self, key: Key) -> Result<(), StoreError> {
        self.keys.insert(key.digest, key);
        Ok(())
    }

    fn node(&mut self, id: NodeId) -> Result<Option<Node>, StoreError> {
        Ok(self.nodes.get(&id).map(|(node, _)| node.clone()))
    }

    fn put_node(&mut self, node: Node) -> Result<(), StoreError> {
        let called = self.nodes.get(&node.id).map_or(0, |(_, called)| *called);
        self.nodes.insert(node.id, (node, called));
        Ok(())
    }

    fn note_call(&mut self, id: NodeId, up: i64, _: Health) -> Result<(), StoreError> {
        if let Some((_, called)) = self.nodes.get_mut(&id) {
            *called = up;
        }
        Ok(())
    }

    fn called_at(&mut self, id: NodeId) -> Result<Option<i64>, StoreError> {
        let open = self.nodes.get(&id).filter(|(node, _)| node.closed_at.is_none());
        Ok(open.map(|(_, called)| *called))
    }

    fn fleet(&mut self) -> &mut Fleet {
        &mut self.fleet
    }

    fn silent_nodes(&mut self, since: i64) -> Result<Vec<Node>, StoreError> {
        let is_silent = |(node, called): &&(Node, i64)| node.closed_at.is_none() && *called <= since;
        Ok(self.nodes.values().filter(is_silent).map(|(node, _)| node.clone()).collect())
    }

    fn count_open_nodes(&mut self) -> Result<usize, StoreError> {
        Ok(self.nodes.values().filter(|(node, _)| node.closed_at.is_none()).count())
    }

    fn accounts_of_node(&mut self, node: NodeId, limit: usize) -> Result<Vec<AccountId>, StoreError> {
        let holds = |account: &&Account| account.leases.iter().any(|lease| lease.node == node);
        Ok(self.accounts.values().filter(holds).map(|account| account.id.clone()).take(limit).collect())
    }

    fn lane(&mut self, lane: Lane) -> Result<LaneState, StoreError> {
        Ok(self.lanes.get(&lane).copied().unwrap_or_default())
    }

    fn put_lane(
        &mut self,
        lane: Lane,
        state: LaneState,
        first: u64,
        digests: &[u64],
    ) -> Result<(), StoreError> {
        self.lanes.insert(lane, state);
        self.digests.extend((first..).zip(digests).map(|(seq, digest)| ((lane, seq), *digest)));
        Ok(())
    }

    fn event_digest(&mut self, lane: Lane, seq: u64) -> Result<Option<u64>, StoreError> {
        Ok(self.digests.get(&(lane, seq)).copied())
    }

    fn is_charged(&mut self, account: &str, request: &str) -> Result<bool, StoreError> {
        Ok(self.charged.contains(&(account.to_owned(), request.to_owned())))
    }

    fn grant_entry(
        &mut self,
        account: &str,
        source: GrantSource,
        reference: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let is_it = |entry: &&Entry| {
            let of_account = entry.account.as_str() == account;
            of_account
                && matches!(&entry.kind, EntryKind::Grant(granted)
                    if granted.source == source && granted.reference == reference)
        };
        Ok(self.journal.iter().find(is_it).cloned())
    }

    fn entry(&mut self, account: &str, id: u64) -> Result<Option<Entry>, StoreError> {
        let is_it = |entry: &&Entry| entry.id == id && entry.account.as_str() == account;
        Ok(self.journal.iter().find(is_it).cloned())
    }

    fn correction(
        &mut self,
        account: &str,
        kind: &str,
        reference: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let is_it = |((of, own, name), _): &(&(String, &'static str, String), &u64)| {
            of == account && *own == kind && name == reference
        };
        let id = self.corrected.iter().find(is_it).map(|(_, id)| *id);
        Ok(id.and_then(|id| self.journal.iter().find(|entry| entry.id == id)).cloned())
    }

    fn change(&mut self, change: Change) -> Result<(), StoreError> {
        self.changes.push(change);
        Ok(())
    }

    fn feed(&mut self, cursor: Option<u64>, limit: usize) -> Result<Feed, StoreError> {
        let last = count(self.changes.len());
        let floor = last.saturating_sub(CHANGES_KEPT);
        let Some(cursor) = cursor else {
            return Ok(Feed { cursor: last, ..Feed::default() });
        };
        if cursor > last || cursor < floor {
            return Ok(Feed { cursor: last, reset: true, changes: Vec::new() });
        }
        let from = usize::try_from(cursor).unwrap_or(usize::MAX);
        let changes: Vec<Change> = self.changes.iter().skip(from).take(limit).cloned().collect();
        Ok(Feed { cursor: cursor.saturating_add(count(changes.len())), reset: false, changes })
    }

    fn incident(&mut self, incident: Incident) -> Result<(), StoreError> {
        self.incidents.push(incident);
        Ok(())
    }

    fn notice(&mut self, notice: Notice) -> Result<(), StoreError> {
        let once = notice.event.once().map(|once| (notice.account.clone(), once.into_owned()));
        if once.is_none_or(|once| self.noticed.insert(once)) {
            self.notices.push(notice);
        }
        Ok(())
    }

    fn catalog(&mut self, version: u64) -> Result<Option<Arc<Catalog>>, StoreError> {
        let index = usize::try_from(version.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(self.catalogs.get(index).filter(|_| version > 0).cloned())
    }

    fn catalog_version(&self) -> u64 {
        count(self.catalogs.len())
    }

    fn generation(&self) -> &'static str {
        "memory"
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(any(test, feature = "suite"))]
impl crate::suite::Subject for Memory {
    fn call(
        &mut self,
        now: crate::tx::Now,
        command: &crate::suite::Command,
    ) -> Result<crate::suite::Reply, crate::error::Error> {
        crate::suite::execute(self, now, command)
    }

    fn account(&mut self, id: &str) -> Option<Account> {
        self.accounts.get(id).cloned()
    }

    fn rebuilt(&mut self, id: &str) -> Option<Account> {
        Self::rebuilt(self, id)
    }

    fn journal(&mut self) -> Vec<Entry> {
        self.journal.clone()
    }

    fn incidents(&mut self) -> Vec<Incident> {
        self.incidents.clone()
    }

    fn notices(&mut self) -> Vec<serde_json::Value> {
        self.notices.iter().map(Notice::body).collect()
    }

    fn counters(&mut self) -> Counters {
        self.counters
    }

    fn publish(&mut self, catalog: Catalog) {
        Self::publish(self, catalog);
    }

    fn crash(&mut self) {
        self.restart();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::suite::bounds::settlements_in_any_order_come_to_the_same;
    use crate::suite::gusts::GUST_KINDS;
    use crate::suite::play::{STEP_KINDS, play};
    use crate::suite::storm::storm;
    use crate::suite::units::play as play_units;
    use crate::suite::world::{Worker, World};
    use crate::tx::Tx as _;

    crate::suite!(crate::memory::Memory::new);

    #[test]
    fn a_lane_that_was_closed_stays_closed() {
        let mut world = World::new(crate::memory::Memory::new, "starter");
        let worker = Worker::new(1);
        for close in [false, true, false] {
            let mut call = worker.batch(world.now, 1, &[]);
            call.batch.as_mut().unwrap().close = close;
            world.send(call);
        }
        assert!(world.subject.lane(worker.lane).unwrap().closed);
        assert!(!world.subject.lane(Worker::new(2).lane).unwrap().closed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::suite::cases(256)))]

        #[test]
        fn whatever_happens_the_book_is_right(
            steps in prop::collection::vec((0..STEP_KINDS, any::<u32>(), any::<u32>()), 1..120),
        ) {
            play(crate::memory::Memory::new, &steps);
        }

        #[test]
        fn in_any_storm_the_book_is_what_the_facts_say(
            gusts in prop::collection::vec(
                (0..GUST_KINDS, any::<u32>(), any::<u32>(), any::<u32>()), 1..100,
            ),
        ) {
            storm(crate::memory::Memory::new, &gusts);
        }

        #[test]
        fn with_any_pools_and_caps_each_micro_credit_is_where_it_must_be(
            catalog in prop::collection::vec(any::<u8>(), 0..40),
            steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..40),
        ) {
            play_units(crate::memory::Memory::new, &(catalog, steps));
        }

        #[test]
        fn i12_settlements_in_any_order_come_to_the_same(
            amounts in prop::collection::vec((0..600_u64, any::<u8>()), 1..40),
            order in prop::collection::vec(any::<u32>(), 2..40),
        ) {
            settlements_in_any_order_come_to_the_same(crate::memory::Memory::new, &amounts, &order);
        }
    }
}

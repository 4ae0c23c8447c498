//! One transaction of the SQLite store: the book's view of it, and what the engine needs beside.

use std::sync::Arc;

use book::entry::{Entry, EntryKind, GrantSource};
use book::{
    Account, AccountId, Counters, Feed, Fleet, Incident, Key, LaneState, Node, Notice, Soft, StoreError, Tx,
    due,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use tariff::Catalog;
use tariff::compile::CREDITS;
use wire::{Change, Digest, Health, Lane, NodeId};

use super::cache::{Cache, Cached, KnownNode};
use super::{failed, rows, sql, unsql};

/// A transaction. Dropping it without [`SqliteTx::commit`] leaves the memory ahead of the disk: the
/// store is broken then.
pub struct SqliteTx<'s> {
    pub(super) connection: &'s Connection,
    pub(super) cache: &'s mut Cache,
    counters: Counters,
    mismatches: usize,
}

/// The most incidents about prices that one transaction keeps.
const MISMATCHES_PER_COMMIT: usize = 100;

// === impl SqliteTx ===

impl<'s> SqliteTx<'s> {
    pub(super) fn new(connection: &'s Connection, cache: &'s mut Cache) -> Self {
        Self { connection, cache, counters: Counters::default(), mismatches: 0 }
    }

    /// Commits; gives what was counted.
    ///
    /// # Errors
    /// Where SQLite fails; the store is broken then.
    pub fn commit(self) -> Result<Counters, StoreError> {
        self.run("COMMIT", [])?;
        Ok(self.counters)
    }

    /// Puts a catalog in force while nodes are served: as the next version where it differs from the one in
    /// force. Says which version it is, and whether it is a further one. Nodes learn of it with their next call.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn publish(&mut self, catalog: Catalog, at: i64) -> Result<(u64, bool), StoreError> {
        let in_force = self.cache.catalog;
        if self.cache.catalogs.get(&in_force).is_some_and(|own| **own == catalog) {
            return Ok((in_force, false));
        }
        let latest = self.cache.catalogs.last_key_value().map_or(0, |(version, _)| *version);
        let version = latest.saturating_add(1);
        let insert = "INSERT INTO catalog (version, at, body) VALUES (?1, ?2, ?3)";
        self.run(insert, params![sql(version), at, rows::json(&catalog)?])?;
        self.cache.catalogs.insert(version, Arc::new(catalog));
        self.cache.catalog = version;
        Ok((version, true))
    }

    pub(super) fn put_meta(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.run("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", params![name, value])
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'s>, StoreError> {
        self.connection.prepare_cached(sql).map_err(failed)
    }

    pub(super) fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        self.prepare(sql)?.execute(params).map(|_| ()).map_err(failed)
    }

    /// Brings an account into memory, if there is one.
    fn load(&mut self, id: &str) -> Result<(), StoreError> {
        if self.cache.accounts.contains_key(id) {
            return Ok(());
        }
        if let Some(account) = super::flush::read_account(self.connection, id)? {
            self.cache.insert(account);
        }
        Ok(())
    }

    /// The one entry that a condition finds.
    fn one_entry(&self, condition: &str, params: impl rusqlite::Params) -> Result<Option<Entry>, StoreError> {
        let sql = format!("SELECT {} FROM {} WHERE {condition}", rows::COLUMNS, rows::FROM);
        let mut select = self.prepare(&sql)?;
        let mut found = select.query(params).map_err(failed)?;
        found.next().map_err(failed)?.map(rows::decode).transpose()
    }
}

impl Tx for SqliteTx<'_> {
    fn lock(&mut self, _: Option<Lane>, _: &[&str]) -> Result<(), StoreError> {
        Ok(())
    }

    fn account(&mut self, id: &str) -> Result<Option<&Account>, StoreError> {
        self.load(id)?;
        Ok(self.cache.accounts.get(id).map(|cached| &cached.account))
    }

    fn soft(&mut self, id: &str) -> Result<Option<&mut Soft>, StoreError> {
        self.load(id)?;
        Ok(self.cache.accounts.get_mut(id).map(|cached| &mut cached.account.soft))
    }

    fn append(&mut self, account: &AccountId, at: i64, kind: EntryKind) -> Result<u64, StoreError> {
        self.load(account.as_str())?;
        let lane = match &kind {
            EntryKind::Charge(charge) => Some(self.lane_row(charge.lane)?.row),
            _ => None,
        };
        let id = self.cache.last_entry.saturating_add(1);
        let cached = self.cache.accounts.get(account).map(|cached| &cached.account);
        let known = cached.map_or(0, |account| account.last_line);
        // Lists find accounts by their rows: what they look for is written down at once.
        let is_searched = match &kind {
            EntryKind::Opened { .. } | EntryKind::Status { .. } => true,
            EntryKind::Term { term, .. } => cached.is_none_or(|account| *account.plan() != *term.plan),
            _ => false,
        };
        let prev = if kind.is_line() { known } else { 0 };
        let entry = Entry { id, account: account.clone(), prev, at, kind };
        rows::insert(&mut self.prepare(rows::INSERT)?, &entry, lane)?;
        self.index(&entry)?;
        fold(self.cache, &entry);
        debug_assert_eq!(
            self.cache.accounts.get(account).and_then(|cached| book::invariant::broken(&cached.account)),
            None,
            "after {entry:?}"
        );
        if is_searched {
            super::flush::write(self, account.as_str())?;
        }
        Ok(id)
    }

    fn due(&mut self, now: i64, limit: usize) -> Result<Vec<AccountId>, StoreError> {
        let in_memory = self.cache.due.iter().take_while(|(due, _)| *due <= now).take(limit);
        let mut ids: Vec<AccountId> = in_memory.map(|(_, id)| id.clone()).collect();
        if ids.len() < limit {
            let mut select = self.prepare("SELECT id FROM account WHERE due <= ?1 ORDER BY due")?;
            let mut found = select.query(params![now]).map_err(failed)?;
            while let Some(row) = found.next().map_err(failed)?.filter(|_| ids.len() < limit) {
                let id: String = rows::get(row, 0)?;
                // Rows of accounts in memory may be old: what is due of those was found above. Only so many are not
                // yet written down.
                if !self.cache.accounts.contains_key(id.as_str()) {
                    ids.push(AccountId::parse(&id).map_err(StoreError::new)?);
                }
            }
        }
        Ok(ids)
    }

    fn key(&mut self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        rows::key(self.connection, digest)
    }

    fn key_by_id(&mut self, account: &str, id: &str) -> Result<Option<Key>, StoreError> {
        let mut select = self.prepare("SELECT body FROM api_key WHERE account = ?1 AND id = ?2")?;
        let body: Option<String> =
            select.query_row(params![account, id], |row| row.get(0)).optional().map_err(failed)?;
        body.map(|body| rows::parse(&body)).transpose()
    }

    fn count_keys(&mut self, account: &str, now: i64) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*) FILTER (WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)), \
                   count(*) FROM api_key WHERE account = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((unsql(row.get(0)?), unsql(row.get(1)?)));
        self.prepare(sql)?.query_row(params![account, now], read).map_err(failed)
    }

    fn put_key(&mut self, key: Key) -> Result<(), StoreError> {
        let sql = "INSERT INTO api_key (digest, account, id, created_at, expires_at, revoked_at, body) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (digest) DO UPDATE \
                   SET expires_at = excluded.expires_at, revoked_at = excluded.revoked_at, body = excluded.body";
        let body = rows::json(&key)?;
        let (account, id) = (key.account.as_str(), &*key.id);
        self.run(
            sql,
            params![key.digest.0, account, id, key.created_at, key.expires_at, key.revoked_at, body],
        )
    }

    fn node(&mut self, id: NodeId) -> Result<Option<Node>, StoreError> {
        Ok(self.cache.nodes.get(&id).map(|known| known.node.clone()))
    }

    fn put_node(&mut self, node: Node) -> Result<(), StoreError> {
        let sql = "INSERT INTO node (id, label, opened_at, closed_at) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (id) DO UPDATE SET label = excluded.label, closed_at = excluded.closed_at";
        self.run(sql, params![node.id.0, node.label, node.opened_at, node.closed_at])?;
        let is_open = node.closed_at.is_none();
        let known = self.cache.nodes.get_mut(&node.id);
        let was_open = known.as_ref().is_some_and(|known| known.node.closed_at.is_none());
        match known {
            Some(known) => known.node = node,
            None => {
                let known = KnownNode { called_at: 0, health: Health::default(), node };
                self.cache.nodes.insert(known.node.id, known);
            }
        }
        let open = self.cache.nodes_open.saturating_add(usize::from(is_open));
        self.cache.nodes_open = open.saturating_sub(usize::from(was_open));
        Ok(())
    }

    fn note_call(&mut self, id: NodeId, up: i64, health: Health) -> Result<(), StoreError> {
        if let Some(known) = self.cache.nodes.get_mut(&id) {
            known.called_at = up;
            known.health = health;
        }
        Ok(())
    }

    fn called_at(&mut self, id: NodeId) -> Result<Option<i64>, StoreError> {
        let known = self.cache.nodes.get(&id).filter(|known| known.node.closed_at.is_none());
        Ok(known.map(|known| known.called_at))
    }

    fn fleet(&mut self) -> &mut Fleet {
        &mut self.cache.fleet
    }

    fn silent_nodes(&mut self, since: i64) -> Result<Vec<Node>, StoreError> {
        let is_silent = |known: &&KnownNode| known.node.closed_at.is_none() && known.called_at <= since;
        Ok(self.cache.nodes.values().filter(is_silent).map(|known| known.node.clone()).collect())
    }

    fn count_open_nodes(&mut self) -> Result<usize, StoreError> {
        Ok(self.cache.nodes_open)
    }

    fn accounts_of_node(&mut self, node: NodeId, limit: usize) -> Result<Vec<AccountId>, StoreError> {
        let Some(known) = self.cache.holders.get_mut(&node) else { return Ok(Vec::new()) };
        // What is known is a superset: leases end without a look at it.
        let accounts = &self.cache.accounts;
        let has = |cached: &Cached| cached.account.leases.iter().any(|lease| lease.node == node);
        known.retain(|id| accounts.get(id).is_some_and(has));
        let found: Vec<AccountId> = known.iter().take(limit).cloned().collect();
        if known.is_empty() {
            self.cache.holders.remove(&node);
        }
        Ok(found)
    }

    fn lane(&mut self, lane: Lane) -> Result<LaneState, StoreError> {
        Ok(self.known_lane(lane)?.map_or_else(LaneState::default, |known| known.state))
    }

    fn put_lane(
        &mut self,
        lane: Lane,
        state: LaneState,
        first: u64,
        digests: &[u64],
    ) -> Result<(), StoreError> {
        self.note_lane(lane, state, (first, digests))
    }

    fn event_digest(&mut self, lane: Lane, seq: u64) -> Result<Option<u64>, StoreError> {
        self.kept_digest(lane, seq)
    }

    fn is_charged(&mut self, account: &str, request: &str) -> Result<bool, StoreError> {
        let mut select = self.prepare("SELECT 1 FROM request WHERE request = ?1 AND account = ?2")?;
        select.exists(params![request, account]).map_err(failed)
    }

    fn grant_entry(
        &mut self,
        account: &str,
        source: GrantSource,
        reference: &str,
    ) -> Result<Option<Entry>, StoreError> {
        self.correction(account, &rows::word(&source)?, reference)
    }

    fn entry(&mut self, account: &str, id: u64) -> Result<Option<Entry>, StoreError> {
        self.one_entry("entry.id = ?1 AND entry.account = ?2", params![sql(id), account])
    }

    fn correction(
        &mut self,
        account: &str,
        kind: &str,
        reference: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let by_reference =
            "entry.id = (SELECT entry FROM reference WHERE account = ?1 AND source = ?2 AND reference = ?3)";
        self.one_entry(by_reference, params![account, kind, reference])
    }

    fn change(&mut self, change: Change) -> Result<(), StoreError> {
        let position = self.cache.feed.last.saturating_add(1);
        self.run(
            "INSERT INTO change (id, body) VALUES (?1, ?2)",
            params![sql(position), rows::json(&change)?],
        )?;
        self.cache.feed.last = position;
        self.cache.feed.changes.push_back((position, change));
        Ok(())
    }

    fn feed(&mut self, cursor: Option<u64>, limit: usize) -> Result<Feed, StoreError> {
        let feed = &self.cache.feed;
        let Some(cursor) = cursor else {
            return Ok(Feed { cursor: feed.last, ..Feed::default() });
        };
        if cursor > feed.last || cursor < feed.floor {
            return Ok(Feed { cursor: feed.last, reset: true, changes: Vec::new() });
        }
        let from = feed.changes.partition_point(|(position, _)| *position <= cursor);
        let unread = feed.changes.range(from..).take(limit);
        let cursor = if feed.changes.len().saturating_sub(from) <= limit {
            feed.last
        } else {
            unread.clone().next_back().map_or(cursor, |(position, _)| *position)
        };
        Ok(Feed { cursor, reset: false, changes: unread.map(|(_, change)| change.clone()).collect() })
    }

    fn incident(&mut self, incident: Incident) -> Result<(), StoreError> {
        if incident.code == book::sync::PRICE_MISMATCH {
            // One cause makes many of them, with each settlement: the metric counts all.
            self.mismatches = self.mismatches.saturating_add(1);
            if self.mismatches > MISMATCHES_PER_COMMIT {
                return Ok(());
            }
        }
        tracing::warn!(code = incident.code, account = incident.account, event = ?incident.event, "incident");
        let (lane, seq) = match incident.event {
            Some((lane, seq)) => (Some(self.lane_row(lane)?.row), Some(sql(seq))),
            None => (None, None),
        };
        let insert =
            "INSERT INTO incident (at, code, account, lane, seq, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.run(insert, params![incident.at, incident.code, incident.account, lane, seq, incident.detail])
    }

    fn notice(&mut self, notice: Notice) -> Result<(), StoreError> {
        super::outbox::put(self, &notice)
    }

    fn catalog(&mut self, version: u64) -> Result<Option<Arc<Catalog>>, StoreError> {
        Ok(self.cache.catalogs.get(&version).cloned())
    }

    fn catalog_version(&self) -> u64 {
        self.cache.catalog
    }

    fn generation(&self) -> &str {
        &self.cache.generation
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

/// Folds an entry into the memory and what is kept beside the accounts.
pub(super) fn fold(cache: &mut Cache, entry: &Entry) {
    cache.last_entry = entry.id;
    cache.last_at = cache.last_at.max(entry.at);
    if !cache.accounts.contains_key(&entry.account) {
        cache.account_count = cache.account_count.saturating_add(1);
        cache.insert(Account::empty(entry.account.clone()));
    }
    if let EntryKind::Leased { node, .. } = &entry.kind {
        cache.holders.entry(*node).or_default().insert(entry.account.clone());
    }
    let Some(cached) = cache.accounts.get_mut(&entry.account) else { return };
    let sums =
        |account: &Account| (i128::from(account.leased(CREDITS).get()), i128::from(account.debt.get()));
    let before = sums(&cached.account);
    cached.account.apply(entry);
    let after = sums(&cached.account);
    cache.sums.leased = cache.sums.leased.saturating_add(after.0).saturating_sub(before.0);
    cache.sums.debt = cache.sums.debt.saturating_add(after.1).saturating_sub(before.1);
    if cached.dirty_since.is_none() {
        cached.dirty_since = Some(entry.id);
        cache.dirty.insert(entry.id, entry.account.clone());
    }
    let due = due::next(&cached.account);
    if due != cached.due {
        if let Some(old) = cached.due {
            cache.due.remove(&(old, entry.account.clone()));
        }
        if let Some(due) = due {
            cache.due.insert((due, entry.account.clone()));
        }
        cached.due = due;
    }
}

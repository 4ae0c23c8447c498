//! What a transaction does beside the book: answers kept for repetitions, what may be forgotten, what is
//! written down, what gauges show.

use book::StoreError;
use rusqlite::{OptionalExtension as _, params};
use wire::NodeId;

use super::tx::SqliteTx;
use super::{failed, sql};

/// An answer that was given under an idempotency key.
pub struct KeptAnswer {
    /// Of the request that it answered.
    pub fingerprint: Vec<u8>,
    /// The answer.
    pub answer: Vec<u8>,
}

/// The most incidents kept.
const INCIDENTS_KEPT: i64 = 100_000;

// === impl SqliteTx ===

impl SqliteTx<'_> {
    /// The answer that was given under an idempotency key since an instant.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn kept_answer(&mut self, key: &str, since: i64) -> Result<Option<KeptAnswer>, StoreError> {
        let mut select =
            self.prepare("SELECT fingerprint, answer FROM idempotency WHERE key = ?1 AND at > ?2")?;
        let read = |row: &rusqlite::Row<'_>| Ok(KeptAnswer { fingerprint: row.get(0)?, answer: row.get(1)? });
        select.query_row(params![key, since], read).optional().map_err(failed)
    }

    /// Keeps an answer under an idempotency key.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn keep_answer(
        &mut self,
        key: &str,
        at: i64,
        fingerprint: &[u8; 32],
        answer: &[u8],
    ) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO idempotency (key, at, fingerprint, answer) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![key, at, fingerprint, answer])
    }

    /// Forgets what is kept for a time or up to a number only: answers before an instant, old events, changes,
    /// incidents and closed nodes beyond their bounds, digests of lanes that are long quiet.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn prune(&mut self, now: i64, answers_before: i64) -> Result<(), StoreError> {
        self.prune_events(now)?;
        self.prune_access(now)?;
        self.run("DELETE FROM idempotency WHERE at <= ?1", params![answers_before])?;
        self.run(
            "DELETE FROM incident WHERE id <= (SELECT max(id) FROM incident) - ?1",
            params![INCIDENTS_KEPT],
        )?;
        self.forget_closed_nodes()?;
        self.forget_digests(now)?;
        let feed = &mut self.cache.feed;
        let floor = feed.last.saturating_sub(book::limits::CHANGES_KEPT);
        if floor > feed.floor {
            feed.floor = floor;
            while feed.changes.front().is_some_and(|(position, _)| *position <= floor) {
                feed.changes.pop_front();
            }
            self.run("DELETE FROM change WHERE id <= ?1", params![sql(floor)])?;
            self.put_meta("feed_floor", &floor.to_string())?;
        }
        Ok(())
    }

    fn forget_closed_nodes(&mut self) -> Result<(), StoreError> {
        let closed = self.cache.nodes.len().saturating_sub(self.cache.nodes_open);
        let surplus = closed.saturating_sub(book::limits::NODES_CLOSED_KEPT);
        if surplus == 0 {
            return Ok(());
        }
        let mut oldest: Vec<(i64, NodeId)> = self
            .cache
            .nodes
            .values()
            .filter_map(|known| Some((known.node.closed_at?, known.node.id)))
            .collect();
        oldest.sort_unstable();
        for (_, id) in oldest.into_iter().take(surplus) {
            self.run("DELETE FROM node WHERE id = ?1", params![id.0])?;
            self.cache.nodes.remove(&id);
        }
        Ok(())
    }

    /// Writes down accounts that have differed for long; gives whether more are waiting.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn flush(&mut self, now: i64) -> Result<bool, StoreError> {
        super::flush::flush(self, now, false)
    }

    /// Writes down accounts whatever the time; gives whether more are waiting.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn flush_now(&mut self) -> Result<bool, StoreError> {
        super::flush::flush(self, 0, true)
    }

    /// What gauges show of the memory: accounts, open nodes, entries, feed, leased, debt, catalog.
    #[must_use]
    pub fn gauges(&self) -> crate::service::Gauges {
        let open = self.cache.nodes.values().filter(|known| known.node.closed_at.is_none());
        let (mut ring_depth, mut parked, mut open_requests) = (0_u64, 0_u64, 0_u64);
        for known in open {
            ring_depth = ring_depth.saturating_add(known.health.ring_depth);
            parked = parked.saturating_add(known.health.parked);
            open_requests = open_requests.saturating_add(known.health.open);
        }
        crate::service::Gauges {
            accounts: self.cache.account_count,
            keys: 0,
            nodes_open: u64::try_from(self.cache.nodes_open).unwrap_or(u64::MAX),
            entries: self.cache.last_entry,
            feed: self.cache.feed.last,
            leased: self.cache.sums.leased,
            debt: self.cache.sums.debt,
            ring_depth,
            parked,
            open_requests,
            queue: 0,
            catalog: self.cache.catalog,
        }
    }

    /// Nodes that were closed and may still have leases.
    #[must_use]
    pub fn closed_holders(&self) -> Vec<NodeId> {
        let is_closed =
            |node: &&NodeId| self.cache.nodes.get(*node).is_none_or(|known| known.node.closed_at.is_some());
        self.cache.holders.keys().filter(is_closed).copied().collect()
    }
}

//! Lanes: how far each has come, and for a while the digests of what it brought.
//!
//! A row stays as long as the journal, whose entries name it: a replay is known however late it comes. Digests only
//! tell a replay from other events under the same numbers; they are forgotten with age, and the memory of lanes is
//! bounded (decision 34).

use book::{LaneState, StoreError};
use rusqlite::{OptionalExtension as _, params};
use wire::Lane;

use super::cache::KnownLane;
use super::tx::SqliteTx;
use super::{failed, rows, sql, unsql};

/// How many events of a lane keep their digests, so that a conflict can be told from a replay.
pub(super) const DIGESTS_KEPT: u64 = 1 << 17;
/// Days after the last event of a lane for which its digests are kept.
pub(super) const DIGESTS_KEPT_DAYS: i64 = 7;
/// Lanes whose digests are forgotten in one round; the rest is with the next ones.
pub(super) const LANES_FORGOTTEN_AT_ONCE: i64 = 100;
/// Lanes in memory; beyond it the memory begins anew, and rows are read again.
pub(super) const LANES_CACHED_MAX: usize = 16_384;
const DAY_MS: i64 = 86_400_000;

// === impl SqliteTx ===

impl SqliteTx<'_> {
    /// A lane's row, if it has one.
    pub(super) fn known_lane(&mut self, lane: Lane) -> Result<Option<KnownLane>, StoreError> {
        if let Some(known) = self.cache.lanes.get(&lane) {
            return Ok(Some(*known));
        }
        let found = self
            .prepare(
                "SELECT id, last, closed, day FROM lane WHERE node = ?1 AND slot = ?2 AND incarnation = ?3",
            )?
            .query_row(params![lane.node.0, lane.slot, lane.incarnation], |row| {
                let state = LaneState { last: unsql(row.get(1)?), closed: row.get(2)? };
                Ok(KnownLane { row: row.get(0)?, state, day: row.get(3)? })
            })
            .optional()
            .map_err(failed)?;
        if let Some(known) = found {
            self.remember_lane(lane, known);
        }
        Ok(found)
    }

    /// A lane's row, made where it has none.
    pub(super) fn lane_row(&mut self, lane: Lane) -> Result<KnownLane, StoreError> {
        if let Some(known) = self.known_lane(lane)? {
            return Ok(known);
        }
        let insert = "INSERT INTO lane (node, slot, incarnation, last, closed) VALUES (?1, ?2, ?3, 0, 0)";
        self.run(insert, params![lane.node.0, lane.slot, lane.incarnation])?;
        let row = self.connection.last_insert_rowid();
        let known = KnownLane { row, state: LaneState::default(), day: None };
        self.remember_lane(lane, known);
        Ok(known)
    }

    fn remember_lane(&mut self, lane: Lane, known: KnownLane) {
        if self.cache.lanes.len() >= LANES_CACHED_MAX {
            self.cache.lanes.clear();
        }
        self.cache.lanes.insert(lane, known);
    }

    /// Notes how far a lane has come, and the digests of its events from a number on.
    pub(super) fn note_lane(
        &mut self,
        lane: Lane,
        state: LaneState,
        (first, digests): (u64, &[u64]),
    ) -> Result<(), StoreError> {
        let KnownLane { row, day, .. } = self.lane_row(lane)?;
        self.run(
            "UPDATE lane SET last = ?2, closed = ?3 WHERE id = ?1",
            params![row, sql(state.last), state.closed],
        )?;
        if digests.is_empty() {
            self.remember_lane(lane, KnownLane { row, state, day });
            return Ok(());
        }
        let today = Some(self.cache.last_at.div_euclid(DAY_MS));
        if day != today {
            // Once a day: the index is not written with every batch.
            self.run("UPDATE lane SET day = ?2 WHERE id = ?1", params![row, today])?;
        }
        self.remember_lane(lane, KnownLane { row, state, day: today });
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.to_le_bytes()).collect();
        self.run(
            "INSERT INTO batch (lane, first, digests) VALUES (?1, ?2, ?3)",
            params![row, sql(first), bytes],
        )?;
        let kept_from = state.last.saturating_sub(DIGESTS_KEPT);
        self.run("DELETE FROM batch WHERE lane = ?1 AND first < ?2", params![row, sql(kept_from)])
    }

    /// The digest of an event that is known; nothing where it is forgotten.
    pub(super) fn kept_digest(&mut self, lane: Lane, seq: u64) -> Result<Option<u64>, StoreError> {
        let Some(KnownLane { row, .. }) = self.known_lane(lane)? else { return Ok(None) };
        let found = self
            .prepare("SELECT first, digests FROM batch WHERE lane = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1")?
            .query_row(params![row, sql(seq)], |row| Ok((unsql(row.get(0)?), row.get::<_, Vec<u8>>(1)?)))
            .optional()
            .map_err(failed)?;
        let Some((first, digests)) = found else { return Ok(None) };
        let (digests, _) = digests.as_chunks::<8>();
        let index = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
        Ok(digests.get(index).map(|bytes| u64::from_le_bytes(*bytes)))
    }

    /// Forgets the digests of lanes that have brought nothing for [`DIGESTS_KEPT_DAYS`]; what they have brought stays
    /// known by their rows.
    pub(super) fn forget_digests(&mut self, now: i64) -> Result<(), StoreError> {
        let before = now.div_euclid(DAY_MS).saturating_sub(DIGESTS_KEPT_DAYS);
        let select = "SELECT id, node, slot, incarnation FROM lane WHERE day < ?1 ORDER BY day LIMIT ?2";
        let mut quiet: Vec<(i64, Lane)> = Vec::new();
        {
            let mut select = self.prepare(select)?;
            let mut found = select.query(params![before, LANES_FORGOTTEN_AT_ONCE]).map_err(failed)?;
            while let Some(row) = found.next().map_err(failed)? {
                quiet.push((rows::get(row, 0)?, rows::lane(row, 1)?));
            }
        }
        for (row, lane) in quiet {
            self.run("DELETE FROM batch WHERE lane = ?1", params![row])?;
            self.run("UPDATE lane SET forgotten = last, day = NULL WHERE id = ?1", params![row])?;
            self.cache.lanes.remove(&lane);
        }
        Ok(())
    }
}

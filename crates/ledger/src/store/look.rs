//! Looking things up in the committed journal: walks along an account's lines, the whole journal backwards, the
//! past of an account, incidents. In steps of bounded length, so that no other read waits for long.

use book::entry::{Entry, EntryKind};
use book::{Account, AccountId, StoreError};
use rusqlite::{OptionalExtension as _, Row, params};

use super::read::Reader;
use super::{failed, rows, sql, unsql};

/// Something that people should look at.
pub struct IncidentRow {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: i64,
    /// What it is.
    pub code: String,
    /// The account, where it is about one.
    pub account: Option<String>,
    /// The lane and number of its event, where it is about one.
    pub event: Option<(wire::Lane, u64)>,
    /// For people.
    pub detail: String,
}

/// Which incidents.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// Of this kind.
    pub code: Option<String>,
    /// About this account.
    pub account: Option<String>,
    /// In this span.
    pub span: (Option<i64>, Option<i64>),
}

/// Lines read in one go.
const STEP: usize = 500;
/// The kinds that requests make: they are many, and no balance but a lease's depends on them beside the lines.
const CONTEXT: &str =
    "kind NOT IN ('charge', 'release', 'leased', 'returned', 'lease_closed', 'node_closed')";

// === impl Reader ===

impl Reader {
    /// An account's line before one of its lines.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn line_before(&self, account: &str, line: u64) -> Result<u64, StoreError> {
        let connection = self.connection();
        let select = "SELECT prev FROM entry WHERE id = ?1 AND account = ?2";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let prev: Option<i64> =
            select.query_row(params![sql(line), account], |row| row.get(0)).optional().map_err(failed)?;
        Ok(prev.map_or(0, unsql))
    }

    /// Some of an account's lines, latest first, from `line` on and not before an instant; gives where to go
    /// on, 0 at the end.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn some_lines(&self, line: u64, since: i64) -> Result<(Vec<Entry>, u64), StoreError> {
        let connection = self.connection();
        let select = format!("SELECT {} FROM {} WHERE entry.id = ?1", rows::COLUMNS, rows::FROM);
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let (mut next, mut lines) = (line, Vec::new());
        while next > 0 && lines.len() < STEP {
            let mut found = select.query([sql(next)]).map_err(failed)?;
            let Some(row) = found.next().map_err(failed)? else { return Ok((lines, 0)) };
            if rows::get::<i64>(row, 3)? < since {
                return Ok((lines, 0));
            }
            let entry = rows::decode(row)?;
            next = entry.prev;
            lines.push(entry);
        }
        Ok((lines, next))
    }

    /// Some of all accounts' lines, latest first, before an entry and not before an instant; gives before which
    /// to go on, 0 at the end.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn some_entries(&self, before: u64, since: i64) -> Result<(Vec<Entry>, u64), StoreError> {
        let connection = self.connection();
        let select = format!(
            "SELECT {} FROM {} WHERE entry.id < ?1 ORDER BY entry.id DESC LIMIT ?2",
            rows::COLUMNS,
            rows::FROM
        );
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let mut found =
            select.query(params![sql(before), i64::try_from(STEP).unwrap_or(i64::MAX)]).map_err(failed)?;
        let (mut next, mut lines) = (0, Vec::new());
        while let Some(row) = found.next().map_err(failed)? {
            if rows::get::<i64>(row, 3)? < since {
                return Ok((lines, 0));
            }
            next = unsql(rows::get(row, 0)?);
            let entry = rows::decode(row)?;
            if entry.kind.is_line() {
                lines.push(entry);
            }
        }
        Ok((lines, next))
    }

    /// The first entry that was not posted before an instant, or the one that will come next: times rise with ids.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn first_entry_at(&self, instant: i64) -> Result<u64, StoreError> {
        let connection = self.connection();
        let last: Option<i64> =
            connection.query_row("SELECT max(id) FROM entry", [], |row| row.get(0)).map_err(failed)?;
        let mut select = connection
            .prepare_cached("SELECT id, at FROM entry WHERE id >= ?1 ORDER BY id LIMIT 1")
            .map_err(failed)?;
        let (mut low, mut high) = (1_i64, last.unwrap_or(0).saturating_add(1));
        while low < high {
            let middle = low.saturating_add(high.saturating_sub(low) / 2);
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            match select.query_row([middle], read).optional().map_err(failed)? {
                Some((id, at)) if at < instant => low = id.saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(unsql(low))
    }

    /// The charges of a request, whichever accounts have one, and what gave them back.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn entries_of_request(&self, request: &str) -> Result<Vec<Entry>, StoreError> {
        let connection = self.connection();
        let select = format!(
            "SELECT {} FROM {} WHERE entry.id IN (SELECT entry FROM request WHERE request = ?1) ORDER BY entry.id",
            rows::COLUMNS,
            rows::FROM
        );
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let mut found = select.query([request]).map_err(failed)?;
        let mut entries = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            entries.push(rows::decode(row)?);
        }
        // A reversal's parts lie in a row.
        let parts = format!(
            "SELECT {} FROM {} WHERE entry.account = ?1 AND entry.kind = 'reversed' AND entry.id >= \
             (SELECT entry FROM reference WHERE account = ?1 AND source = ?2 AND reference = ?3) \
             ORDER BY entry.id LIMIT ?4",
            rows::COLUMNS,
            rows::FROM
        );
        let mut parts = connection.prepare_cached(&parts).map_err(failed)?;
        let mut reversals = Vec::new();
        for charge in &entries {
            let of = charge.id.to_string();
            let limit = i64::try_from(book::limits::LOTS_MAX).unwrap_or(i64::MAX);
            let reversal = params![charge.account.as_str(), book::correction::REVERSAL, of, limit];
            let mut found = parts.query(reversal).map_err(failed)?;
            while let Some(row) = found.next().map_err(failed)? {
                let entry = rows::decode(row)?;
                match &entry.kind {
                    EntryKind::Reversed(reversed) if reversed.of == charge.id => reversals.push(entry),
                    _ => break,
                }
            }
        }
        entries.append(&mut reversals);
        Ok(entries)
    }

    /// The account as the journal had it after an instant, without leases; nothing where more than `lines_max`
    /// lines would have to be read. `head` is its latest line.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn account_at(
        &self,
        id: &AccountId,
        head: u64,
        at: i64,
        lines_max: usize,
    ) -> Result<Option<Account>, StoreError> {
        let end = self.first_entry_at(at.saturating_add(1))?;
        let Some(mut lines) = self.line_ids(head, lines_max)? else { return Ok(None) };
        lines.retain(|line| *line < end);
        let mut all = self.context_ids(id, end)?;
        all.append(&mut lines);
        all.sort_unstable();
        all.dedup();
        let mut account = Account::empty(id.clone());
        for step in all.chunks(STEP) {
            let connection = self.connection();
            let select = format!("SELECT {} FROM {} WHERE entry.id = ?1", rows::COLUMNS, rows::FROM);
            let mut select = connection.prepare_cached(&select).map_err(failed)?;
            for entry in step {
                let mut found = select.query([sql(*entry)]).map_err(failed)?;
                if let Some(row) = found.next().map_err(failed)? {
                    account.apply(&rows::decode(row)?);
                }
            }
        }
        Ok(Some(account))
    }

    /// Ids of an account's lines from `head` on, latest first; nothing where there are more than so many.
    fn line_ids(&self, head: u64, lines_max: usize) -> Result<Option<Vec<u64>>, StoreError> {
        let (mut next, mut ids) = (head, Vec::new());
        while next > 0 {
            let connection = self.connection();
            let mut select =
                connection.prepare_cached("SELECT prev FROM entry WHERE id = ?1").map_err(failed)?;
            for _ in 0..STEP {
                if next == 0 {
                    break;
                }
                if ids.len() == lines_max {
                    return Ok(None);
                }
                ids.push(next);
                next = select.query_row([sql(next)], |row| row.get(0)).map(unsql).map_err(failed)?;
            }
        }
        Ok(Some(ids))
    }

    /// Ids of the entries that say how an account stood, before one.
    fn context_ids(&self, id: &AccountId, before: u64) -> Result<Vec<u64>, StoreError> {
        let connection = self.connection();
        let select = format!("SELECT id FROM entry WHERE account = ?1 AND id < ?2 AND {CONTEXT} ORDER BY id");
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let found = select.query_map(params![id.as_str(), sql(before)], |row| row.get(0)).map_err(failed)?;
        found.map(|id| id.map(unsql).map_err(failed)).collect()
    }

    /// Incidents, latest first, before one.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn incidents(
        &self,
        filter: &IncidentFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        let connection = self.connection();
        let by = match (&filter.account, &filter.code) {
            (Some(_), _) => "account = ?1 AND (?2 IS NULL OR code = ?2)",
            (None, Some(_)) => "?1 IS NULL AND code = ?2",
            (None, None) => "?1 IS NULL AND ?2 IS NULL",
        };
        let select = format!(
            "SELECT incident.id, at, code, account, detail, seq, node, slot, incarnation FROM incident \
             LEFT JOIN lane ON lane.id = incident.lane WHERE {by} AND incident.id < ?3 \
             AND (?4 IS NULL OR at >= ?4) AND (?5 IS NULL OR at < ?5) ORDER BY incident.id DESC LIMIT ?6"
        );
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let (before, limit) = (before.map_or(i64::MAX, sql), i64::try_from(limit).unwrap_or(i64::MAX));
        let (from, to) = filter.span;
        let mut found =
            select.query(params![filter.account, filter.code, before, from, to, limit]).map_err(failed)?;
        let mut incidents = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            let seq: Option<i64> = rows::get(row, 5)?;
            incidents.push(IncidentRow {
                id: unsql(rows::get(row, 0)?),
                at: rows::get(row, 1)?,
                code: rows::get(row, 2)?,
                account: rows::get(row, 3)?,
                event: match seq {
                    Some(seq) => Some((rows::lane(row, 6)?, unsql(seq))),
                    None => None,
                },
                detail: rows::get(row, 4)?,
            });
        }
        Ok(incidents)
    }
}

//! Reading what is committed, beside the writer: pages of the journal, sums, lists.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use book::{Key, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tariff::{Catalog, Micros, Usage};
use wire::Digest;

use super::{BUSY_MS, failed, rows, sql, unsql};

/// A connection that only reads.
pub struct Reader {
    connection: Mutex<Connection>,
}

/// Which accounts; what is absent lets all through.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// On this plan.
    pub plan: Option<String>,
    /// With this standing.
    pub status: Option<String>,
    /// With this reference.
    pub reference: Option<String>,
    /// With this label: name and value.
    pub label: Option<(String, String)>,
    /// With an id that begins so.
    pub prefix: Option<String>,
}

/// One charge, as sums see it.
pub struct ChargeRow {
    /// When it was posted.
    pub at: i64,
    /// The key's id.
    pub key: String,
    /// The model or flat-price operation.
    pub model: String,
    /// What was used.
    pub usage: Usage,
    /// What it cost.
    pub amount: Micros,
}

// === impl Reader ===

impl Reader {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: Mutex::new(connect(path)?) })
    }

    /// Calls back with each charge posted in `[from, to)`, latest first; gives false where more than
    /// `lines_max` statement lines would have to be read.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn charges(
        &self,
        head: u64,
        span: (i64, i64),
        lines_max: u64,
        mut each: impl FnMut(ChargeRow),
    ) -> Result<bool, StoreError> {
        let connection = self.connection();
        let select = "SELECT prev, at, kind, key, model, usage, amount FROM entry WHERE id = ?1";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let mut next = head;
        for _ in 0..lines_max {
            let mut found = select.query([sql(next)]).map_err(failed)?;
            let Some(row) = found.next().map_err(failed)?.filter(|_| next > 0) else { return Ok(true) };
            let at: i64 = rows::get(row, 1)?;
            if at < span.0 {
                return Ok(true);
            }
            next = unsql(rows::get(row, 0)?);
            let is_charge = rows::get::<String>(row, 2)? == "charge";
            if is_charge && at < span.1 {
                each(ChargeRow {
                    at,
                    key: rows::get(row, 3)?,
                    model: rows::get(row, 4)?,
                    usage: rows::parse(&rows::get::<String>(row, 5)?)?,
                    amount: Micros(rows::get(row, 6)?),
                });
            }
        }
        Ok(false)
    }

    /// Ids of accounts after one that a filter lets through, ascending.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn accounts(
        &self,
        filter: &AccountFilter,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let AccountFilter { plan, status, reference, label, prefix } = filter;
        let mut select = "SELECT account.id FROM account".to_owned();
        let mut given: Vec<&str> = vec![after, prefix.as_deref().unwrap_or_default()];
        let mut conditions = "account.id > ?1 AND substr(account.id, 1, length(?2)) = ?2".to_owned();
        let mut push = |column: &str, value| {
            given.push(value);
            conditions.push_str(&format!(" AND {column} = ?{}", given.len()));
        };
        if let Some(reference) = reference {
            select.push_str(" JOIN profile ON profile.account = account.id");
            push("profile.reference", reference.as_str());
        }
        if let Some((name, value)) = label {
            select.push_str(" JOIN label ON label.account = account.id");
            push("label.name", name.as_str());
            push("label.value", value.as_str());
        }
        if let Some(plan) = plan {
            push("account.plan", plan.as_str());
        }
        if let Some(status) = status {
            push("account.status", status.as_str());
        }
        let select = format!("{select} WHERE {conditions} ORDER BY account.id LIMIT {limit}");
        let connection = self.connection();
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let found = select.query_map(rusqlite::params_from_iter(given), |row| row.get(0)).map_err(failed)?;
        found.collect::<Result<_, _>>().map_err(failed)
    }

    /// Ids of accounts after one, ascending, that owed for usage beyond their credits when they were written down.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn receivables(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let connection = self.connection();
        let select =
            "SELECT id FROM account WHERE id > ?1 AND state ->> '$.receivable' > 0 ORDER BY id LIMIT ?2";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = select.query_map(params![after, limit], |row| row.get(0)).map_err(failed)?;
        found.collect::<Result<_, _>>().map_err(failed)
    }

    /// How many accounts are on each plan.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn accounts_by_plan(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let connection = self.connection();
        let select = "SELECT plan, count(*) FROM account WHERE status <> 'closed' GROUP BY plan";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, Option<String>>(0)?.unwrap_or_default(), unsql(row.get(1)?)))
        };
        select.query_map([], read).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
    }

    /// The catalog's versions, latest first, with the instants at which they came.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn catalogs(&self) -> Result<Vec<(u64, i64, Catalog)>, StoreError> {
        let connection = self.connection();
        let mut select = connection
            .prepare_cached("SELECT version, at, body FROM catalog ORDER BY version DESC")
            .map_err(failed)?;
        let mut found = select.query([]).map_err(failed)?;
        let mut catalogs = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            let catalog: Catalog = rows::parse(&rows::get::<String>(row, 2)?)?;
            catalogs.push((unsql(rows::get(row, 0)?), rows::get(row, 1)?, catalog));
        }
        Ok(catalogs)
    }

    /// Keys of an account after one, oldest first.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn keys(&self, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<Key>, StoreError> {
        let connection = self.connection();
        let begin: (i64, String) = match after {
            Some(after) => {
                let select = "SELECT created_at FROM api_key WHERE account = ?1 AND id = ?2";
                let at: Option<i64> = connection
                    .query_row(select, params![account, after], |row| row.get(0))
                    .optional()
                    .map_err(failed)?;
                let Some(at) = at else { return Ok(Vec::new()) };
                (at, after.to_owned())
            }
            None => (i64::MIN, String::new()),
        };
        let select = "SELECT body FROM api_key WHERE account = ?1 AND (created_at, id) > (?2, ?3) \
                      ORDER BY created_at, id LIMIT ?4";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut found = select.query(params![account, begin.0, begin.1, limit]).map_err(failed)?;
        let mut keys = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            keys.push(rows::parse(&rows::get::<String>(row, 0)?)?);
        }
        Ok(keys)
    }

    /// The key of a digest.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn key(&self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        rows::key(&self.connection(), digest)
    }

    /// How many keys are live.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn count_live_keys(&self, now: i64) -> Result<u64, StoreError> {
        let select = "SELECT count(*) FROM api_key WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)";
        self.connection().query_row(select, [now], |row| row.get(0)).map(unsql).map_err(failed)
    }

    /// Does something while nobody else reads.
    #[cfg(test)]
    pub fn while_held(&self, busy: impl FnOnce()) {
        let _held = self.connection();
        busy();
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A reader that panicked left nothing behind: the connection holds no state of ours.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that cannot write.
pub fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS)).map_err(failed)?;
    Ok(connection)
}

//! The SQLite store: the journal on disk, projections in memory, one writer.
//!
//! A commit appends what happened (entries, lanes, the change feed …); accounts live in memory and are
//! written down every [`FLUSH_MS`], oldest first. A start folds the journal from the lowest point that
//! was not written down, so that nothing committed is lost whenever the process dies. Where a commit
//! fails the memory is ahead of the disk: the store is broken for good and must be opened anew.

mod access;
mod cache;
mod flush;
mod index;
mod lanes;
mod look;
mod mark;
mod outbox;
mod read;
mod rows;
mod schema;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;
mod tx;
mod upkeep;
mod verify;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use book::StoreError;
use rusqlite::{Connection, OpenFlags};
use tariff::Catalog;

pub use self::access::{AuditFilter, AuditRow, DONE, StoredToken};
pub use self::look::{IncidentFilter, IncidentRow};
pub use self::outbox::{Attempt, DeliveryRow, DueDelivery, Endpoint, EventFilter, EventRow};
pub use self::read::{AccountFilter, Reader};
pub use self::tx::SqliteTx;
pub use self::upkeep::KeptAnswer;
pub use self::verify::{Disagreement, Property, Report, verify};
use crate::store::cache::Cache;
use crate::store::mark::Mark;

/// How long an account may differ from what is written down of it, in milliseconds.
pub const FLUSH_MS: i64 = 2_000;
/// The most accounts written down in one commit: bounds how long a commit takes.
const FLUSH_ACCOUNTS_MAX: usize = 2_000;
/// The most accounts kept in memory that nothing needs there.
const CACHED_ACCOUNTS_MAX: usize = 500_000;
/// Prepared statements kept.
const STATEMENTS_MAX: usize = 64;
/// How long a statement waits for another process's lock, in milliseconds.
const BUSY_MS: u64 = 5_000;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite says no.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(#[from] StoreError),
    /// The file cannot be locked.
    #[error("{}: {error}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Another ledger runs on this store.
    #[error("another process has this store open")]
    InUse,
    /// The store was written by a later version.
    #[error("the store has schema {found}, this version knows up to {known}")]
    TooNew {
        /// The store's schema.
        found: i64,
        /// The latest that is known here.
        known: i64,
    },
}

/// The store, as its one writer holds it.
pub struct Store {
    connection: Connection,
    cache: Cache,
    /// Held for as long as the store is open: one ledger per store. Says how far the books have come.
    lock: File,
    mark: Mark,
    /// When it was last written.
    marked_at: i64,
}

/// How long the mark beside the books may be behind them, in milliseconds.
const MARK_MS: i64 = 1_000;

// === impl Store ===

impl Store {
    /// Opens or makes a store under a catalog, and folds what was not written down. A catalog that
    /// differs from the one in force becomes the next version.
    ///
    /// `fresh` is a random name for this run. It names the ledger too where the store is made, and where it turns
    /// out to be older than the one that stood here, or from elsewhere; else a store keeps its own generation.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, catalog: Catalog, fresh: &str, now: i64) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let mark = Mark::read(&lock).map_err(|error| OpenError::Lock { path: path.to_owned(), error })?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        schema::migrate(&connection)?;
        let mut cache = flush::load(&connection, catalog, fresh, now)?;
        if !flush::is_marked(&connection, &cache, mark.as_ref())? {
            flush::renew_generation(&connection, &mut cache, fresh)?;
        }
        flush::put_run(&connection, fresh)?;
        let mark = Mark { run: fresh.to_owned(), entry: cache.last_entry };
        let mut store = Self { connection, cache, lock, mark, marked_at: now };
        store.put_mark(now);
        Ok(store)
    }

    /// Notes beside the books how far they have come, from time to time.
    pub fn mark(&mut self, now: i64) {
        if now.saturating_sub(self.marked_at) >= MARK_MS && self.mark.entry < self.cache.last_entry {
            self.put_mark(now);
        }
    }

    fn put_mark(&mut self, now: i64) {
        self.mark.entry = self.cache.last_entry;
        self.marked_at = now;
        if let Err(error) = self.mark.write(&self.lock) {
            tracing::warn!(%error, "the mark beside the books cannot be written: a restore would not be noticed");
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn begin(&mut self) -> Result<SqliteTx<'_>, StoreError> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut begin| begin.execute([]))
            .map_err(failed)?;
        Ok(SqliteTx::new(&self.connection, &mut self.cache))
    }

    /// The ledger generation.
    #[must_use]
    pub fn generation(&self) -> Arc<str> {
        Arc::clone(&self.cache.generation)
    }

    /// Every version of the catalog, and the one in force.
    #[must_use]
    pub fn catalogs(&self) -> (&BTreeMap<u64, Arc<Catalog>>, u64) {
        (&self.cache.catalogs, self.cache.catalog)
    }

    /// The latest instant in the journal: the ledger's clock never falls behind it.
    #[must_use]
    pub fn last_at(&self) -> i64 {
        self.cache.last_at
    }

    /// Writes down everything and closes the file.
    ///
    /// # Errors
    /// Where SQLite fails; nothing committed is lost then.
    pub fn close(mut self) -> Result<(), StoreError> {
        loop {
            let mut tx = self.begin()?;
            let left = tx.flush_now()?;
            tx.commit()?;
            if !left {
                break;
            }
        }
        self.put_mark(self.marked_at);
        let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        checkpoint.map_err(failed)?;
        self.connection.close().map_err(|(_, error)| failed(error))
    }
}

/// Takes the store for this process. The lock ends with the process, however it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let io = |error| OpenError::Lock { path: path.clone(), error };
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Gives a store that no ledger runs on another generation; the one that it had.
///
/// # Errors
/// [`OpenError`].
pub fn renew_generation(path: &Path, fresh: &str) -> Result<Option<String>, OpenError> {
    let _lock = lock(path)?;
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    let before = flush::meta(&connection, "generation")?;
    flush::put(&connection, "generation", fresh)?;
    Ok(before)
}

/// The generation of a store, whether or not a ledger runs on it.
///
/// # Errors
/// Where it cannot be read.
pub fn generation(path: &Path) -> Result<Option<String>, StoreError> {
    flush::meta(&read::connect(path)?, "generation").map_err(failed)
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::new(error)
}

/// A number as SQLite keeps it. Ids and counts stay below 2^63: at a million a second they last 292,000 years.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as SQLite kept it; none of ours is negative.
fn unsql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

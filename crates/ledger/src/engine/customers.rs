//! Customers' keys, looked up beside the writer: whoever floods the ledger with wrong keys delays no settlement.

use std::sync::Arc;

use book::Key;
use tokio::sync::Semaphore;
use wire::Digest;

use super::report;
use crate::service::ServiceError;
use crate::store::Reader;

/// The most keys that are looked up at a time; more are put off.
pub(super) const LOOKUPS_MAX: usize = 16;

/// Looks keys up, through a connection of its own: other reads do not wait either.
pub struct Customers {
    reader: Arc<Reader>,
    room: Arc<Semaphore>,
}

// === impl Customers ===

impl Customers {
    /// Look-ups through a connection.
    pub fn new(reader: Reader) -> Self {
        Self { reader: Arc::new(reader), room: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// The key of a digest, as last committed.
    ///
    /// # Errors
    /// [`ServiceError::Overloaded`] where too many are looked up at this moment.
    pub async fn key(&self, digest: Digest) -> Result<Option<Key>, ServiceError> {
        // Held by the look-up, not by the call: one that is given up still has its thread.
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| ServiceError::Overloaded)?;
        report::read(&self.reader, move |reader| {
            let found = reader.key(&digest);
            drop(room);
            found
        })
        .await
    }

    /// Keeps the connection busy while something is done.
    #[cfg(test)]
    pub fn hold(&self, busy: impl FnOnce() + Send + 'static) -> tokio::task::JoinHandle<()> {
        let reader = Arc::clone(&self.reader);
        tokio::task::spawn_blocking(move || reader.while_held(busy))
    }
}

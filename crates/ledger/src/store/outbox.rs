//! The outbox: events as they were told, and their deliveries to endpoints.

use book::{Notice, StoreError};
use rusqlite::params;

use super::tx::SqliteTx;
use super::{failed, rows};

/// Keeps an event and queues it for the endpoints that want it; one that is told once only is left out where
/// it was told before.
pub fn put(tx: &SqliteTx<'_>, notice: &Notice) -> Result<(), StoreError> {
    let (account, name) = (notice.account.as_str(), notice.event.name());
    if let Some(once) = notice.event.once() {
        let insert = "INSERT OR IGNORE INTO noticed (account, once, at) VALUES (?1, ?2, ?3)";
        let told = tx.prepare(insert)?.execute(params![account, once, notice.at]).map_err(failed)?;
        if told == 0 {
            return Ok(());
        }
    }
    let insert = "INSERT INTO notice (at, account, type, body) VALUES (?1, ?2, ?3, ?4)";
    tx.run(insert, params![notice.at, account, name, rows::json(&notice.body())?])?;
    queue(tx, tx.connection.last_insert_rowid(), name, notice.at)
}

/// Queues an event for every endpoint that is enabled and wants it.
fn queue(tx: &SqliteTx<'_>, notice: i64, name: &str, at: i64) -> Result<(), StoreError> {
    let insert = "INSERT INTO delivery (endpoint, notice, state, attempts, due_at) \
         SELECT id, ?1, 'pending', 0, ?3 FROM endpoint WHERE enabled = 1 AND (events = '[]' OR EXISTS \
         (SELECT 1 FROM json_each(events) WHERE ?2 GLOB value))";
    tx.run(insert, params![notice, name, at])
}

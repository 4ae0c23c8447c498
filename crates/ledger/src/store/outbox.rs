//! The outbox: events as they were told, the endpoints that want them, and the deliveries between.
//!
//! Events are written with what they tell; which endpoint gets one is decided then. What becomes of a
//! delivery is the dispatcher's (`engine/deliver.rs`).

use book::{Notice, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::Reader;
use super::tx::SqliteTx;
use super::{failed, rows, sql, unsql};

/// Where events are delivered to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created_at: i64,
    /// Whether events are delivered.
    pub enabled: bool,
    /// Why it is not, where the receiver said so.
    pub disabled_reason: Option<String>,
    /// The address.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Patterns of the events' names; empty: all.
    pub events: Vec<String>,
    /// What signs (`whsec_…`).
    pub secret: String,
    /// What signs too until an instant, after a rotation.
    pub old_secret: Option<(String, i64)>,
}

/// An event as it was told.
pub struct EventRow {
    /// Its number.
    pub no: u64,
    /// What receivers read.
    pub body: String,
}

/// One event on its way to one endpoint.
pub struct DeliveryRow {
    /// Its number.
    pub id: u64,
    /// The event's id.
    pub event: String,
    /// The event's name.
    pub name: String,
    /// The event's account.
    pub account: String,
    /// `pending`, `delivered` or `dead`.
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// When the next attempt is due.
    pub due_at: i64,
    /// When the last attempt was made.
    pub tried_at: Option<i64>,
    /// What it was answered with.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A delivery that is due.
pub struct DueDelivery {
    /// Its number.
    pub id: u64,
    /// Attempts made.
    pub attempts: u32,
    /// The event's id.
    pub event: String,
    /// What is sent.
    pub body: String,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The delivery.
    pub delivery: u64,
    /// What it was answered with.
    pub status: Option<u16>,
    /// Why it failed; absent: it did not.
    pub error: Option<String>,
    /// When it is tried again; absent: never.
    pub again_at: Option<i64>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this account.
    pub account: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

/// How long events are kept, in milliseconds: 30 days.
const EVENTS_KEPT_MS: i64 = 30 * 86_400_000;
/// The most events kept.
const EVENTS_KEPT: i64 = 1_000_000;
/// How long it is remembered what is told once only, in milliseconds: above the longest window.
const ONCE_KEPT_MS: i64 = 400 * 86_400_000;
/// The most rows forgotten in one transaction: bounds how long it takes.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// Keeps an event and queues it for the endpoints that want it; one that is told once only is left out where
/// it was told before.
pub fn put(tx: &SqliteTx<'_>, notice: &Notice) -> Result<(), StoreError> {
    let account = notice.account.as_str();
    if let Some(once) = notice.event.once() {
        let insert = "INSERT OR IGNORE INTO noticed (account, once, at) VALUES (?1, ?2, ?3)";
        let told = tx.prepare(insert)?.execute(params![account, once, notice.at]).map_err(failed)?;
        if told == 0 {
            return Ok(());
        }
    }
    let name = notice.event.name();
    let (no, _) = keep(tx, notice.at, account, name, notice.body())?;
    let queue = "INSERT INTO delivery (endpoint, notice, state, attempts, due_at) \
         SELECT id, ?1, 'pending', 0, ?3 FROM endpoint WHERE enabled = 1 AND (events = '[]' OR EXISTS \
         (SELECT 1 FROM json_each(events) WHERE ?2 GLOB value))";
    tx.run(queue, params![no, name, notice.at])
}

/// Keeps an event; gives its number and what receivers read.
fn keep(
    tx: &SqliteTx<'_>,
    at: i64,
    account: &str,
    name: &str,
    mut body: Value,
) -> Result<(i64, String), StoreError> {
    // Random: no event of restored books has the id of one that was delivered before.
    let event = crate::keys::fresh_id("evt").map_err(StoreError::new)?;
    if let Some(body) = body.as_object_mut() {
        body.insert("id".to_owned(), event.as_str().into());
    }
    let body = rows::json(&body)?;
    let insert = "INSERT INTO notice (event, at, account, type, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    tx.run(insert, params![event, at, account, name, body])?;
    Ok((tx.connection.last_insert_rowid(), body))
}

fn endpoints(connection: &Connection) -> Result<Vec<Endpoint>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT body FROM endpoint ORDER BY created_at, id").map_err(failed)?;
    let mut found = select.query([]).map_err(failed)?;
    let mut endpoints = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        endpoints.push(rows::parse(&rows::get::<String>(row, 0)?)?);
    }
    Ok(endpoints)
}

// === impl SqliteTx ===

impl SqliteTx<'_> {
    /// An endpoint.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn endpoint(&self, id: &str) -> Result<Option<Endpoint>, StoreError> {
        let mut select = self.prepare("SELECT body FROM endpoint WHERE id = ?1")?;
        let body: Option<String> = select.query_row([id], |row| row.get(0)).optional().map_err(failed)?;
        body.map(|body| rows::parse(&body)).transpose()
    }

    /// All endpoints, oldest first.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        endpoints(self.connection)
    }

    /// How many endpoints there are.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn count_endpoints(&self) -> Result<u64, StoreError> {
        let mut select = self.prepare("SELECT count(*) FROM endpoint")?;
        select.query_row([], |row| row.get(0)).map(unsql).map_err(failed)
    }

    /// Adds or replaces an endpoint.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn put_endpoint(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let upsert = "INSERT INTO endpoint (id, created_at, enabled, events, body) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (id) DO UPDATE SET enabled = excluded.enabled, events = excluded.events, \
             body = excluded.body";
        let (events, body) = (rows::json(&endpoint.events)?, rows::json(endpoint)?);
        self.run(upsert, params![endpoint.id, endpoint.created_at, endpoint.enabled, events, body])
    }

    /// Removes an endpoint with its deliveries.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn remove_endpoint(&self, id: &str) -> Result<(), StoreError> {
        self.run("DELETE FROM endpoint WHERE id = ?1", params![id])
    }

    /// Queues a test for one endpoint alone; gives what it will read.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn queue_test(&self, endpoint: &str, at: i64) -> Result<String, StoreError> {
        let time = book::calendar::rfc3339(at);
        let body =
            serde_json::json!({"type": "webhook.test", "timestamp": time, "data": {"endpoint": endpoint}});
        let (no, body) = keep(self, at, "", "webhook.test", body)?;
        let insert = "INSERT INTO delivery (endpoint, notice, state, attempts, due_at) \
             VALUES (?1, ?2, 'pending', 0, ?3)";
        self.run(insert, params![endpoint, no, at])?;
        Ok(body)
    }

    /// Notes what an attempt came to.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn attempted(&self, attempt: &Attempt, at: i64) -> Result<(), StoreError> {
        let state = match (&attempt.error, attempt.again_at) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "pending",
            (Some(_), None) => "dead",
        };
        let update = "UPDATE delivery SET state = ?2, attempts = attempts + 1, due_at = ?3, tried_at = ?4, \
             status = ?5, error = ?6 WHERE id = ?1 AND state = 'pending'";
        let due = attempt.again_at.unwrap_or(at);
        self.run(update, params![sql(attempt.delivery), state, due, at, attempt.status, attempt.error])
    }

    /// Queues deliveries of an endpoint anew: one, or all dead ones of events since an instant. Gives how many.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn redeliver(
        &self,
        endpoint: &str,
        delivery: Option<u64>,
        since: i64,
        at: i64,
    ) -> Result<u64, StoreError> {
        let update = match delivery {
            Some(_) => {
                "UPDATE delivery SET state = 'pending', attempts = 0, due_at = ?4 WHERE endpoint = ?1 AND id = ?2 \
                 AND ?3 = ?3"
            }
            None => {
                "UPDATE delivery SET state = 'pending', attempts = 0, due_at = ?4 WHERE endpoint = ?1 \
                 AND ?2 IS NULL AND state = 'dead' AND (SELECT at FROM notice WHERE id = delivery.notice) >= ?3"
            }
        };
        let queued = self.prepare(update)?.execute(params![endpoint, delivery.map(sql), since, at]);
        queued.map(|count| u64::try_from(count).unwrap_or(u64::MAX)).map_err(failed)
    }

    /// Forgets old events and what was told once long ago.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn prune_events(&self, now: i64) -> Result<(), StoreError> {
        let old = "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE at < ?1 ORDER BY at LIMIT ?2)";
        self.run(old, params![now.saturating_sub(EVENTS_KEPT_MS), FORGOTTEN_AT_ONCE])?;
        let surplus = "DELETE FROM notice WHERE id IN (SELECT id FROM notice \
             WHERE id <= (SELECT max(id) FROM notice) - ?1 ORDER BY id LIMIT ?2)";
        self.run(surplus, params![EVENTS_KEPT, FORGOTTEN_AT_ONCE])?;
        self.run("DELETE FROM noticed WHERE at < ?1", params![now.saturating_sub(ONCE_KEPT_MS)])
    }
}

// === impl Reader ===

impl Reader {
    /// All endpoints, oldest first.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        endpoints(&self.connection())
    }

    /// Deliveries to an endpoint that are due, oldest first.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn due_deliveries(
        &self,
        endpoint: &str,
        now: i64,
        limit: usize,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let connection = self.connection();
        let select = "SELECT delivery.id, attempts, event, body FROM delivery \
             JOIN notice ON notice.id = delivery.notice \
             WHERE endpoint = ?1 AND state = 'pending' AND due_at <= ?2 ORDER BY due_at, delivery.id LIMIT ?3";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let read = |row: &Row<'_>| {
            let (id, attempts) = (unsql(row.get(0)?), row.get(1)?);
            Ok(DueDelivery { id, attempts, event: row.get(2)?, body: row.get(3)? })
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = select.query_map(params![endpoint, now, limit], read).map_err(failed)?;
        found.collect::<Result<_, _>>().map_err(failed)
    }

    /// Deliveries to an endpoint, latest first, before one.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn deliveries(
        &self,
        endpoint: &str,
        state: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let connection = self.connection();
        let select = "SELECT delivery.id, event, type, account, state, attempts, due_at, tried_at, status, error \
             FROM delivery JOIN notice ON notice.id = delivery.notice \
             WHERE endpoint = ?1 AND (?2 IS NULL OR state = ?2) AND delivery.id < ?3 \
             ORDER BY delivery.id DESC LIMIT ?4";
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let read = |row: &Row<'_>| {
            Ok(DeliveryRow {
                id: unsql(row.get(0)?),
                event: row.get(1)?,
                name: row.get(2)?,
                account: row.get(3)?,
                state: row.get(4)?,
                attempts: row.get(5)?,
                due_at: row.get(6)?,
                tried_at: row.get(7)?,
                status: row.get(8)?,
                error: row.get(9)?,
            })
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let before = before.map_or(i64::MAX, sql);
        let found = select.query_map(params![endpoint, state, before, limit], read).map_err(failed)?;
        found.collect::<Result<_, _>>().map_err(failed)
    }

    /// Events, latest first, before one.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn events(
        &self,
        filter: &EventFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let connection = self.connection();
        let select = match filter.account {
            Some(_) => {
                "SELECT id, body FROM notice WHERE account = ?1 AND id < ?2 AND (?3 IS NULL OR type = ?3) \
                 ORDER BY id DESC LIMIT ?4"
            }
            None => {
                "SELECT id, body FROM notice WHERE ?1 IS NULL AND id < ?2 AND (?3 IS NULL OR type = ?3) \
                 ORDER BY id DESC LIMIT ?4"
            }
        };
        let mut select = connection.prepare_cached(select).map_err(failed)?;
        let read = |row: &Row<'_>| Ok(EventRow { no: unsql(row.get(0)?), body: row.get(1)? });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let before = before.map_or(i64::MAX, sql);
        let found = select.query_map(params![filter.account, before, filter.name, limit], read);
        found.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
    }
}

//! What the ledger does, as its callers see it: the interface between the HTTP layer and the engine.
//!
//! The engine implements [`Service`]; the HTTP layer holds an `Arc<dyn Service>` and knows nothing of
//! stores, threads or SQL. Shapes of the answers are [`crate::dto`] (public API) and the crate `wire`
//! (edge). A reply is given only after its effect is durable. The service reads the clock itself: time
//! is assigned by the ledger, never by a caller.

mod access;
mod error;
mod journal;
mod life;
mod operator;
mod shop;
mod webhooks;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use tariff::{Catalog, EdgeCatalog};
use wire::{Digest, SyncRequest, SyncResponse};

pub use self::access::{Access, AuditQuery, Caller, NewToken};
pub use self::error::{Kind, ServiceError};
pub use self::journal::{Export, IncidentQuery, Journal, LineFilter};
pub use self::life::Life;
pub use self::operator::{Operator, Rotation};
pub use self::shop::Shop;
pub use self::webhooks::{EventQuery, NewEndpoint, Webhooks};
use crate::dto::{
    Account, AccountStatus, Balance, CatalogVersion, Grant, Key, Lot, Plan, Reconciled, Reconciliation,
    UsageBy, UsageReport,
};

/// How a [`Service`] answers: a boxed future, so that the service can be an object.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, ServiceError>> + Send + 'a>>;

/// The ledger.
///
/// # Errors
/// Every method answers with a [`ServiceError`] where it refuses or fails; nothing has changed then.
/// A caller that stops waiting (drops the future) does not take a write back.
pub trait Service: Operator + Life + Webhooks + Access + Journal + Shop {
    /// Opens an account on a plan, with what the plan grants at its start.
    /// `Conflict("account_exists")` where the id is taken; `NotFound(Plan)`.
    fn create_account(&self, write: Option<Idempotency>, account: NewAccount) -> Reply<'_, Written<Account>>;

    /// One account.
    fn account(&self, account: String) -> Reply<'_, Account>;

    /// Accounts that a filter lets through by id, ascending; the cursor is the last id of the page before.
    fn accounts(&self, filter: AccountQuery, page: PageRequest<String>) -> Reply<'_, Page<Account, String>>;

    /// Adds a key. `LimitReached` where the plan's number of keys (not revoked, not expired) is reached;
    /// `Conflict("key_exists")` where the digest is known already, in whichever account.
    fn create_key(&self, write: Option<Idempotency>, key: NewKey) -> Reply<'_, Written<Key>>;

    /// All keys of an account, revoked ones too, oldest first; the cursor is the last key's id.
    fn keys(&self, account: String, page: PageRequest<String>) -> Reply<'_, Page<Key, String>>;

    /// Revokes a key; a key that is revoked already stays as it is (`Written::Existing`).
    fn revoke_key(&self, write: Option<Idempotency>, account: String, key: String)
    -> Reply<'_, Written<Key>>;

    /// Grants credits. The same reference with the same content is `Written::Existing`, with other
    /// content `Conflict("reference_conflict")`. `NotFound(Pool)`, `Invalid` for a past expiry.
    fn create_grant(
        &self,
        write: Option<Idempotency>,
        account: String,
        grant: Grant,
    ) -> Reply<'_, Written<Lot>>;

    /// What an account has.
    fn balance(&self, account: String) -> Reply<'_, Balance>;

    /// Sums over an account's charges in `[from, to)`.
    fn usage(&self, account: String, query: UsageQuery) -> Reply<'_, UsageReport>;

    /// Charges reported requests that are not charged; at most [`REPORTS_MAX`] reports.
    fn reconcile(&self, reconciliation: Reconciliation) -> Reply<'_, Reconciled>;

    /// The plans of the catalog in force, in the catalog's order.
    fn plans(&self) -> Reply<'_, Vec<Plan>>;

    /// Puts a catalog in force, as the next version where it differs from the one in force. Accounts move to it
    /// by themselves; requests admitted before are charged by the version of their admission.
    fn publish(&self, catalog: Catalog) -> Reply<'_, CatalogVersion>;

    /// One call of a node's worker. Answers only after everything in it is durable.
    fn sync(&self, request: SyncRequest) -> Reply<'_, SyncResponse>;

    /// A catalog version as the edge reads it; absent = the one in force. `NotFound(Catalog)`.
    fn edge_catalog(&self, version: Option<u64>) -> Reply<'_, Arc<EdgeCatalog>>;

    /// The ledger generation: new after every restore or promotion, constant while the process lives.
    fn generation(&self) -> &str;

    /// Whether the store answers: a read through the same path that requests take.
    fn ready(&self) -> Reply<'_, ()>;

    /// What gauges show at this moment. Counters and histograms are [`crate::metrics::Metrics`], which
    /// the engine is given and counts into.
    fn gauges(&self) -> Reply<'_, Gauges>;

    /// Stops taking commands, ends those it has, flushes projections, closes the store.
    fn close(&self) -> Reply<'_, ()>;
}

/// The caller's wish that a write has its effect once.
///
/// The engine commits (key, fingerprint, answer) in the transaction of the effect and keeps it for
/// [`IDEMPOTENCY_KEPT_HOURS`]. Refusals are not kept: a repeated call is judged again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The `Idempotency-Key` header.
    pub key: String,
    /// SHA-256 of method, path with query, and body: another one under the same key is
    /// [`ServiceError::IdempotencyMismatch`].
    pub fingerprint: [u8; 32],
}

/// How long the answer to a write is kept for repetitions, in hours.
pub const IDEMPOTENCY_KEPT_HOURS: i64 = 24;

/// The most reports of one reconciliation.
pub const REPORTS_MAX: usize = 500;
/// The largest body of a reconciliation, in bytes: so many reports of up to 8 KiB.
pub const RECONCILIATION_BYTES_MAX: usize = 4 << 20;

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<T> {
    /// It was done. Under an idempotency key the engine has stored `serde_json::to_vec` of the value.
    Done(T),
    /// Nothing had to be done: this is what exists.
    Existing(T),
    /// The same write under the same idempotency key was answered before, with these bytes.
    Replayed(Vec<u8>),
}

/// An account to open; validated by the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: String,
    /// The plan's name.
    pub plan: String,
    /// When the customer joined; absent = now. In the future: `Invalid`.
    pub created_at: Option<Timestamp>,
    /// The way to take the plan; absent = the plan's own.
    pub cadence: Option<String>,
    /// From when billing periods are counted; absent = `created_at`. In the future: `Invalid`.
    pub anchor: Option<Timestamp>,
    /// The IANA zone of its days; absent = UTC.
    pub time_zone: Option<String>,
}

/// Which accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountQuery {
    /// On this plan.
    pub plan: Option<String>,
    /// With this standing.
    pub status: Option<AccountStatus>,
    /// With this reference.
    pub reference: Option<String>,
    /// With this label: name and value.
    pub label: Option<(String, String)>,
    /// With an id that begins so.
    pub prefix: Option<String>,
}

/// A key to add. The key itself stays with the HTTP layer, which shows it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The account it spends for.
    pub account: String,
    /// Its id, minted by the caller.
    pub id: String,
    /// SHA-256 of the whole key.
    pub digest: Digest,
    /// A name for people.
    pub name: Option<String>,
    /// Its class; absent = the usual one.
    pub auth_class: Option<String>,
    /// The models it may use (patterns).
    pub models: Option<Vec<String>>,
    /// When it stops working; in the past: `Invalid`.
    pub expires_at: Option<Timestamp>,
}

/// What to sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// The groups.
    pub by: UsageBy,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<C> {
    /// At most this many; 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<C>,
}

/// The most items of one page.
pub const PAGE_MAX: usize = 200;

/// What a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items.
    pub data: Vec<T>,
    /// Where the next page begins; absent = this is the last.
    pub next: Option<C>,
}

// === impl Page ===

impl<T, C> Page<T, C> {
    /// A page of what was found, where one more than its limit was looked for.
    pub fn cut(mut found: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> C) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(cursor);
        Self { data: found, next }
    }

    /// The same page of what its items become.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U, C> {
        Page { data: self.data.into_iter().map(each).collect(), next: self.next }
    }
}

/// What gauges show. Sums over accounts are `i128`: they may pass 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Accounts.
    pub accounts: u64,
    /// Keys that are neither revoked nor expired.
    pub keys: u64,
    /// Nodes that are open.
    pub nodes_open: u64,
    /// Lines of the journal.
    pub entries: u64,
    /// The last position of the change feed.
    pub feed: u64,
    /// Micro-credits leased to nodes, at base price.
    pub leased: i128,
    /// Micro-credits of debt.
    pub debt: i128,
    /// Events that nodes still hold unacknowledged, as they last said.
    pub ring_depth: u64,
    /// Requests parked on nodes, as they last said.
    pub parked: u64,
    /// Requests open on nodes, as they last said.
    pub open_requests: u64,
    /// Commands waiting for the writer.
    pub queue: u64,
    /// The catalog version in force.
    pub catalog: u64,
}

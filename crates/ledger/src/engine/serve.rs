//! The engine as a [`Service`]: each method a job for the writer, or a read beside it.

use std::sync::Arc;
use std::time::Duration;

use book::command::home::Before;
use book::command::{self, grant, home, key, open};
use book::sync::recover::Scope;
use book::{Error, Now, Refusal, StoreError, Tx as _};
use serde::Serialize;
use tariff::{Catalog, EdgeCatalog};
use wire::{SyncRequest, SyncResponse};

use super::{Engine, kept_ms, recover, report, view};
use crate::audit;
use crate::dto;
use crate::service::{
    AccountQuery, Gauges, Idempotency, Kind, NewAccount, NewKey, Page, PageRequest, Reply, Service,
    ServiceError, UsageQuery, Written,
};
use crate::store::{AccountFilter, DONE, SqliteTx};

/// How often it is looked whether leases have come home: with [`HOME_WAIT`] five seconds, a few ticks of a node.
const HOME_WAITS: u32 = 50;
/// How long between two looks.
const HOME_WAIT: Duration = Duration::from_millis(100);

impl Service for Engine {
    fn create_account(
        &self,
        write: Option<Idempotency>,
        account: NewAccount,
    ) -> Reply<'_, Written<dto::Account>> {
        let new = open::NewAccount {
            id: account.id,
            plan: account.plan,
            created_at: account.created_at.map(jiff::Timestamp::as_millisecond),
            cadence: account.cadence,
            anchor: account.anchor.map(jiff::Timestamp::as_millisecond),
            time_zone: account.time_zone,
        };
        self.write(write, move |tx, now| {
            let id = open::open(tx, now, &new)?;
            Ok(Written::Done(view::account(command::touched(tx, id.as_str(), now)?)))
        })
    }

    fn account(&self, account: String) -> Reply<'_, dto::Account> {
        self.look(move |tx, now| Ok(view::account(command::touched(tx, &account, now)?)))
    }

    fn accounts(
        &self,
        query: AccountQuery,
        page: PageRequest<String>,
    ) -> Reply<'_, Page<dto::Account, String>> {
        Box::pin(async move {
            let (after, limit) = (page.after.unwrap_or_default(), page.limit);
            let AccountQuery { plan, status, reference, label, prefix } = query;
            let status = status.map(|status| status.as_str().to_owned());
            let filter = AccountFilter { plan, status, reference, label, prefix };
            let read = report::read(&self.reader, move |reader| {
                reader.accounts(&filter, &after, limit.saturating_add(1))
            });
            let Page { data: ids, next } = Page::cut(read.await?, limit, String::clone);
            let data = self.look(move |tx, now| {
                ids.iter()
                    .map(|id| Ok(view::account(command::touched(tx, id, now)?)))
                    .collect::<Result<_, Error>>()
            });
            Ok(Page { data: data.await?, next })
        })
    }

    fn create_key(&self, write: Option<Idempotency>, key: NewKey) -> Reply<'_, Written<dto::Key>> {
        let new = key::NewKey {
            account: key.account,
            id: key.id,
            digest: key.digest,
            name: key.name,
            auth_class: key.auth_class,
            models: key.models,
            expires_at: key.expires_at.map(jiff::Timestamp::as_millisecond),
        };
        self.write(write, move |tx, now| Ok(Written::Done(view::key(&key::create(tx, now, &new)?))))
    }

    fn keys(&self, account: String, page: PageRequest<String>) -> Reply<'_, Page<dto::Key, String>> {
        Box::pin(async move {
            let known = account.clone();
            self.look(move |tx, now| command::touched(tx, &known, now).map(|_| ())).await?;
            let (after, limit) = (page.after, page.limit);
            let read = report::read(&self.reader, move |reader| {
                reader.keys(&account, after.as_deref(), limit.saturating_add(1))
            });
            Ok(Page::cut(read.await?, limit, |key| key.id.to_string()).map(|key| view::key(&key)))
        })
    }

    fn revoke_key(
        &self,
        write: Option<Idempotency>,
        account: String,
        key: String,
    ) -> Reply<'_, Written<dto::Key>> {
        self.write(write, move |tx, now| {
            let (key, changed) = key::revoke(tx, now, &account, &key)?;
            let key = view::key(&key);
            Ok(if changed { Written::Done(key) } else { Written::Existing(key) })
        })
    }

    fn create_grant(
        &self,
        write: Option<Idempotency>,
        account: String,
        grant: dto::Grant,
    ) -> Reply<'_, Written<dto::Lot>> {
        let new = grant::NewGrant {
            account,
            pool: grant.pool,
            amount: grant.amount.0,
            expires_at: grant.expires_at.map(jiff::Timestamp::as_millisecond),
            reference: grant.reference,
        };
        self.write(write, move |tx, now| {
            let (entry, posted) = match grant::grant(tx, now, &new)? {
                grant::Outcome::Posted(entry) => (entry, true),
                grant::Outcome::Existing(entry) => (entry, false),
            };
            let book::EntryKind::Grant(granted) = &entry.kind else {
                return Err(StoreError::new("a grant's entry is no grant").into());
            };
            let lot = view::lot(entry.id, entry.at, granted);
            Ok(if posted { Written::Done(lot) } else { Written::Existing(lot) })
        })
    }

    fn balance(&self, account: String) -> Reply<'_, dto::Balance> {
        self.look(move |tx, now| {
            let version = command::touched(tx, &account, now)?.term().map_or(0, |term| term.catalog);
            let catalog = tx.catalog(version)?;
            Ok(view::balance(command::touched(tx, &account, now)?, catalog.as_deref()))
        })
    }

    fn usage(&self, account: String, query: UsageQuery) -> Reply<'_, dto::UsageReport> {
        Box::pin(async move {
            let head = self.head(&account).await?;
            report::usage(&self.reader, account, head, query).await
        })
    }

    fn reconcile(&self, reconciliation: dto::Reconciliation) -> Reply<'_, dto::Reconciled> {
        let scope = Scope { unknown_nodes: reconciliation.unknown_nodes, preview: reconciliation.dry_run };
        let act = audit::current();
        self.look(move |tx, now| {
            let reports = reconciliation.reports.iter();
            let data = reports.map(|raw| recover::one(tx, now, raw, scope)).collect::<Result<_, _>>()?;
            if let Some(act) = act.filter(|_| !scope.preview) {
                tx.audit(&act, now.wall, DONE)?;
            }
            Ok(dto::Reconciled { data })
        })
    }

    fn plans(&self) -> Reply<'_, Vec<dto::Plan>> {
        let in_force = self.shelf.in_force();
        Box::pin(async move { Ok(in_force.map(|catalog| view::plans(&catalog)).unwrap_or_default()) })
    }

    fn publish(&self, catalog: Catalog) -> Reply<'_, dto::CatalogVersion> {
        let (writer, shelf, dates) = (self.writer.clone(), Arc::clone(&self.shelf), Arc::clone(&self.dates));
        let act = audit::current();
        // A task of its own: a caller that leaves must not part the commit from what readers see.
        let published = tokio::spawn(async move {
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let holds = dates.restate(catalog, now.wall);
                let kept = Arc::new(holds.clone());
                let (version, changed) = tx.publish(holds, now.wall)?;
                if let (Some(act), true) = (act, changed) {
                    tx.audit(&act, now.wall, DONE)?;
                }
                Ok(Ok((version, changed, kept)))
            };
            let (version, changed, kept) = writer.run(job).await?;
            if changed {
                tracing::info!(version, "catalog in force");
                shelf.add(version, kept);
            }
            Ok(dto::CatalogVersion { version, changed, ..dto::CatalogVersion::default() })
        });
        Box::pin(async move { published.await.unwrap_or_else(|error| Err(ServiceError::internal(error))) })
    }

    fn sync(&self, request: SyncRequest) -> Reply<'_, SyncResponse> {
        self.look(move |tx, now| book::sync::sync(tx, now, &request))
    }

    fn edge_catalog(&self, version: Option<u64>) -> Reply<'_, Arc<EdgeCatalog>> {
        Box::pin(async move {
            let found = self.shelf.edge(version);
            found.map_err(|version| ServiceError::not_found(Kind::Catalog, version.to_string()))
        })
    }

    fn generation(&self) -> &str {
        &self.generation
    }

    fn ready(&self) -> Reply<'_, ()> {
        self.look(|_, _| Ok(()))
    }

    fn gauges(&self) -> Reply<'_, Gauges> {
        Box::pin(async move {
            let queue = self.writer.waiting();
            let (gauges, now) = self.look(|tx, now| Ok((tx.gauges(), now))).await?;
            let keys = report::read(&self.reader, move |reader| reader.count_live_keys(now.wall)).await?;
            Ok(Gauges { keys, queue, ..gauges })
        })
    }

    fn close(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            self.stop_tasks();
            self.writer.close().await
        })
    }
}

// === impl Engine ===

impl Engine {
    /// Calls idle leases home and waits for them, for [`HOME_WAITS`] moments at most: what is about to happen goes by
    /// what was used.
    pub(super) async fn leases_home(&self, account: &str, before: Before) {
        for _ in 0..HOME_WAITS {
            let (account, before) = (account.to_owned(), before.clone());
            match self.look(move |tx, now| home::call(tx, now, &account, &before)).await {
                Ok(false) => tokio::time::sleep(HOME_WAIT).await,
                // What stands in the way of the call stands in the way of what follows it, and is told there.
                Ok(true) | Err(_) => return,
            }
        }
    }

    /// A job without an idempotency key.
    pub(super) fn look<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut SqliteTx<'_>, Now) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        Box::pin(self.writer.run(move |tx, now| {
            let done = job(tx, now);
            refused(tx, done)
        }))
    }

    /// A write, with its effect once for one idempotency key.
    pub(super) fn write<T: Serialize + Send + 'static>(
        &self,
        write: Option<Idempotency>,
        job: impl FnOnce(&mut SqliteTx<'_>, Now) -> Result<Written<T>, Error> + Send + 'static,
    ) -> Reply<'_, Written<T>> {
        let act = audit::current();
        Box::pin(self.writer.run(move |tx, now| {
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let done = job(tx, now)?;
                if let (Some(act), Written::Done(_)) = (act, &done) {
                    tx.audit(&act, now.wall, DONE)?;
                }
                Ok(done)
            };
            let Some(write) = write else {
                let done = job(tx, now);
                return refused(tx, done);
            };
            if let Some(kept) = tx.kept_answer(&write.key, now.wall.saturating_sub(kept_ms()))? {
                let same = kept.fingerprint == write.fingerprint;
                return Ok(if same {
                    Ok(Written::Replayed(kept.answer))
                } else {
                    Err(ServiceError::IdempotencyMismatch)
                });
            }
            let done = job(tx, now);
            let done = refused(tx, done)?;
            if let Ok(Written::Done(value) | Written::Existing(value)) = &done {
                let answer = serde_json::to_vec(value).map_err(StoreError::new)?;
                tx.keep_answer(&write.key, now.wall, &write.fingerprint, &answer)?;
            }
            Ok(done)
        }))
    }

    /// The latest line of an account's statement.
    pub(super) async fn head(&self, account: &str) -> Result<u64, ServiceError> {
        let account = account.to_owned();
        self.look(move |tx, now| Ok(command::touched(tx, &account, now)?.last_line)).await
    }
}

/// A refusal becomes the caller's answer; a failure of the store stays one.
fn refused<T>(tx: &mut SqliteTx<'_>, done: Result<T, Error>) -> Result<Result<T, ServiceError>, StoreError> {
    let refusal = match done {
        Ok(done) => return Ok(Ok(done)),
        Err(Error::Store(error)) => return Err(error),
        Err(Error::Refused(refusal)) => refusal,
    };
    let detail = refusal.to_string();
    Ok(Err(match refusal {
        Refusal::Unknown { what, id } => ServiceError::not_found(Kind::Other(what), id),
        Refusal::UnknownAccount(id) => ServiceError::not_found(Kind::Account, id),
        Refusal::UnknownKey(id) => ServiceError::not_found(Kind::Key, id),
        Refusal::UnknownEntry(id) => ServiceError::not_found(Kind::Entry, id.to_string()),
        Refusal::UnknownLot(id) => ServiceError::not_found(Kind::Lot, format!("lot_{id}")),
        Refusal::UnknownPlan(plan) => ServiceError::not_found(Kind::Plan, plan),
        Refusal::UnknownPool(pool) => ServiceError::not_found(Kind::Pool, pool),
        Refusal::AccountExists(_) => ServiceError::conflict("account_exists", detail),
        Refusal::AccountClosed => ServiceError::conflict("account_closed", detail),
        Refusal::KeyExists => ServiceError::conflict("key_exists", detail),
        Refusal::ReferenceConflict(_) => ServiceError::conflict("reference_conflict", detail),
        Refusal::SamePlan(_) => ServiceError::conflict("same_plan", detail),
        // No plan lifts that one: it is the ledger's own bound.
        Refusal::LimitReached { resource: command::node::RESOURCE, .. } => ServiceError::Overloaded,
        Refusal::LimitReached { resource, max } => {
            let version = tx.catalog_version();
            let catalog = tx.catalog(version)?;
            let unlocks = catalog.as_ref().map(|catalog| view::unlocks(catalog, resource, max));
            let contact = catalog.and_then(|catalog| catalog.links.contact.clone());
            let (resource, unlocks) = (resource.to_owned(), unlocks.unwrap_or_default());
            ServiceError::LimitReached { resource, max, unlocks, contact }
        }
        Refusal::Full { name, max } => {
            let version = tx.catalog_version();
            let catalog = tx.catalog(version)?;
            let unlocks = catalog.as_ref().map(|catalog| view::unlocks(catalog, &name, max));
            let contact = catalog.and_then(|catalog| catalog.links.contact.clone());
            ServiceError::LimitReached { resource: name, max, unlocks: unlocks.unwrap_or_default(), contact }
        }
        Refusal::Conflict { code, detail } => ServiceError::conflict(code, detail),
        Refusal::Invalid { member, detail } => ServiceError::invalid(member, detail),
    }))
}

//! The engine as an [`Operator`]: each method a job for the writer, or a read beside it.

use book::command::grant::Outcome;
use book::command::home::Before;
use book::command::{correct, key};
use book::{Error, Now, Refusal, StoreError, Tx as _};
use jiff::Timestamp;
use tariff::{Catalog, Micros};
use wire::Digest;

use super::explain::Known;
use super::{Engine, report, view};
use crate::dto;
use crate::service::{Idempotency, Kind, Operator, Reply, Rotation, ServiceError, Written};
use crate::store::SqliteTx;

impl Operator for Engine {
    fn change_key(
        &self,
        write: Option<Idempotency>,
        account: String,
        key: String,
        change: dto::KeyChange,
    ) -> Reply<'_, Written<dto::Key>> {
        let change = key::KeyChange {
            disabled: change.enabled.map(|enabled| !enabled),
            expires_at: change.expires_at.map(|end| end.map(Timestamp::as_millisecond)),
            name: change.name,
            auth_class: change.auth_class,
            models: change.models,
        };
        self.write(write, move |tx, now| {
            let (key, changed) = key::change(tx, now, (&account, &key), &change)?;
            let key = view::key(&key);
            Ok(if changed { Written::Done(key) } else { Written::Existing(key) })
        })
    }

    fn rotate_key(
        &self,
        write: Option<Idempotency>,
        rotation: Rotation,
    ) -> Reply<'_, Written<dto::KeyRotated>> {
        let overlap_ms = i64::try_from(rotation.overlap_seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
        let new = key::Rotation {
            account: rotation.account,
            replaces: rotation.replaces,
            id: rotation.id,
            digest: rotation.digest,
            overlap_ms,
            expires_at: rotation.expires_at.map(Timestamp::as_millisecond),
        };
        self.write(write, move |tx, now| {
            let (key, replaced) = key::rotate(tx, now, &new)?;
            Ok(Written::Done(dto::KeyRotated { info: view::key(&key), replaced: view::key(&replaced) }))
        })
    }

    fn find_key(&self, digest: Digest) -> Reply<'_, dto::Key> {
        self.look(move |tx, _| match tx.key(&digest)? {
            Some(key) => Ok(view::key(&key)),
            None => Err(unknown(&digest).into()),
        })
    }

    fn revoke_digest(&self, write: Option<Idempotency>, digest: Digest) -> Reply<'_, Written<dto::Key>> {
        self.write(write, move |tx, now| {
            let key = tx.key(&digest)?.ok_or_else(|| unknown(&digest))?;
            let (key, changed) = key::revoke(tx, now, key.account.as_str(), &key.id)?;
            let key = view::key(&key);
            Ok(if changed { Written::Done(key) } else { Written::Existing(key) })
        })
    }

    fn adjust(
        &self,
        write: Option<Idempotency>,
        account: String,
        adjustment: dto::Adjustment,
    ) -> Reply<'_, Written<dto::Entry>> {
        let new = correct::NewAdjustment {
            account,
            pool: adjustment.pool,
            amount: adjustment.amount.0,
            expires_at: adjustment.expires_at.map(Timestamp::as_millisecond),
            allow_debt: adjustment.allow_debt,
            reason: adjustment.reason,
            reference: adjustment.reference,
        };
        Box::pin(async move {
            if new.amount < Micros::ZERO {
                let amount = Micros(new.amount.get().saturating_neg());
                let taking = Before::Taking { pool: new.pool.clone(), amount };
                self.leases_home(&new.account, taking).await;
            }
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                Ok(match correct::adjust(tx, now, &new)? {
                    Outcome::Posted(entry) => Written::Done(line(&entry)?),
                    Outcome::Existing(entry) => Written::Existing(line(&entry)?),
                })
            };
            self.write(write, job).await
        })
    }

    fn reverse(
        &self,
        write: Option<Idempotency>,
        account: String,
        entry: u64,
        reason: String,
    ) -> Reply<'_, Written<dto::Reversal>> {
        self.write(write, move |tx, now| {
            let lines = |entries: &[book::Entry]| -> Result<dto::Reversal, Error> {
                Ok(dto::Reversal { entries: entries.iter().map(line).collect::<Result<_, _>>()? })
            };
            Ok(match correct::reverse(tx, now, (&account, entry), &reason)? {
                correct::Reversal::Posted(entries) => Written::Done(lines(&entries)?),
                correct::Reversal::Existing(entries) => Written::Existing(lines(&entries)?),
            })
        })
    }

    fn catalogs(&self) -> Reply<'_, Vec<dto::CatalogInfo>> {
        Box::pin(async move {
            let in_force = self.shelf.edge(None).map(|edge| edge.version).unwrap_or_default();
            let found = report::read(&self.reader, crate::store::Reader::catalogs).await?;
            let info = found.into_iter().map(|(version, at, catalog)| dto::CatalogInfo {
                version,
                since: view::time(at),
                in_force: version == in_force,
                name: catalog.name,
                plans: catalog.plans.into_iter().map(|plan| plan.name).collect(),
                models: u64::try_from(catalog.models.len()).unwrap_or(u64::MAX),
            });
            Ok(info.collect())
        })
    }

    fn catalog(&self, version: Option<u64>) -> Reply<'_, (u64, Catalog)> {
        let found = self.look(move |tx, _| {
            let version = version.unwrap_or_else(|| tx.catalog_version());
            Ok((version, tx.catalog(version)?.map(|catalog| Catalog::clone(&catalog))))
        });
        Box::pin(async move {
            let (version, catalog) = found.await?;
            let missing = || ServiceError::not_found(Kind::Catalog, version.to_string());
            Ok((version, catalog.ok_or_else(missing)?))
        })
    }

    fn dry_run(&self, catalog: Catalog) -> Reply<'_, dto::CatalogVersion> {
        Box::pin(async move {
            let holds = catalog.at(Timestamp::now().as_millisecond());
            let (version, in_force) = self.catalog(None).await?;
            let by_plan = report::read(&self.reader, crate::store::Reader::accounts_by_plan).await?;
            let left = by_plan
                .into_iter()
                .filter(|(plan, _)| holds.plan(plan).is_none() && in_force.plan(plan).is_some());
            Ok(dto::CatalogVersion {
                version,
                changed: holds != in_force,
                dry_run: true,
                accounts_left_behind: left.collect(),
                diff: Some(crate::cli::differences(&in_force, &holds)),
            })
        })
    }

    fn explain(&self, account: String, request: dto::ExplainRequest) -> Reply<'_, dto::Explanation> {
        Box::pin(async move {
            let key = request.key.clone();
            let known = self.look(move |tx, now| Known::read(tx, now, &account, key.as_deref())).await?;
            let version = known.catalog();
            let missing = |version: u64| ServiceError::not_found(Kind::Catalog, version.to_string());
            let catalog = self.shelf.edge(Some(version)).map_err(missing)?;
            let explained = tokio::task::spawn_blocking(move || known.explain(&catalog, &request));
            let explained = explained.await.map_err(ServiceError::internal)?;
            explained.map_err(|refusal| match refusal {
                Refusal::Invalid { member, detail } => ServiceError::invalid(member, detail),
                other => ServiceError::internal(other),
            })
        })
    }

    fn void_lot(
        &self,
        write: Option<Idempotency>,
        account: String,
        lot: u64,
    ) -> Reply<'_, Written<dto::LotState>> {
        Box::pin(async move {
            self.leases_home(&account, Before::Ending(lot)).await;
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let (found, changed) = correct::void(tx, now, &account, lot)?;
                let state = view::lot_state(lot, &found, true);
                Ok(if changed { Written::Done(state) } else { Written::Existing(state) })
            };
            self.write(write, job).await
        })
    }

    fn extend_lot(
        &self,
        write: Option<Idempotency>,
        account: String,
        lot: u64,
        change: dto::LotChange,
    ) -> Reply<'_, Written<dto::LotState>> {
        let to = change.expires_at.map(Timestamp::as_millisecond);
        self.write(write, move |tx, now| {
            let (found, changed) = correct::extend(tx, now, (&account, lot), to, &change.reason)?;
            let state = view::lot_state(lot, &found, false);
            Ok(if changed { Written::Done(state) } else { Written::Existing(state) })
        })
    }
}

/// A correction as a statement line.
fn line(entry: &book::Entry) -> Result<dto::Entry, Error> {
    view::entry(entry).ok_or_else(|| StoreError::new("a correction is no statement line").into())
}

fn unknown(digest: &Digest) -> Refusal {
    Refusal::UnknownKey(digest.to_string())
}

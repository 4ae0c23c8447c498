//! The engine as an [`Operator`]: each method a job for the writer, or a read beside it.

use book::command::key;
use book::{Refusal, Tx as _};
use jiff::Timestamp;
use wire::Digest;

use super::{Engine, view};
use crate::dto;
use crate::service::{Idempotency, Operator, Reply, Rotation, Written};

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
}

fn unknown(digest: &Digest) -> Refusal {
    Refusal::UnknownKey(digest.to_string())
}

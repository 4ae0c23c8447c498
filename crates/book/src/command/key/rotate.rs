//! Replacing a key by another, with a time in which both are good.

use std::sync::Arc;

use wire::{AccountStatus, Digest};

use super::put;
use crate::command::touched;
use crate::error::{Error, Refusal};
use crate::id::is_name;
use crate::key::Key;
use crate::limits::{KEY_ID_MAX, KEY_OVERLAP_MAX_MS, KEYS_MAX};
use crate::tx::{Now, Tx};

/// A key that takes another one's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The account.
    pub account: String,
    /// The key that is replaced.
    pub replaces: String,
    /// The other one's id.
    pub id: String,
    /// SHA-256 of the other one.
    pub digest: Digest,
    /// How long the old one is good beside it, in milliseconds; 0 = it ends at once.
    pub overlap_ms: i64,
    /// When the other one ends; absent = as the old one would have.
    pub expires_at: Option<i64>,
}

/// Replaces a key; gives the other one and the old one, whose end has come near. Name, class and models
/// go over.
///
/// A rotation is never refused by the plan's number of keys; so that it is no way around it, a key that is
/// replaced again before its own predecessor has ended ends that one at once: two at most live of one line.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownKey`], [`Refusal::AccountClosed`], [`Refusal::KeyExists`],
/// [`Refusal::Conflict`] (`key_revoked`, `key_expired`, `key_replaced`), [`Refusal::LimitReached`] for the
/// book's own bound, [`Refusal::Invalid`]; and where the store fails.
pub fn rotate(tx: &mut impl Tx, now: Now, new: &Rotation) -> Result<(Key, Key), Error> {
    check(now, new)?;
    let account = touched(tx, &new.account, now)?;
    let id = account.id.clone();
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    let unknown = || Refusal::UnknownKey(new.replaces.clone());
    let mut old = tx.key_by_id(id.as_str(), &new.replaces)?.ok_or_else(unknown)?;
    check_old(&old, now)?;
    if tx.key(&new.digest)?.is_some() || tx.key_by_id(id.as_str(), &new.id)?.is_some() {
        return Err(Refusal::KeyExists.into());
    }
    let keys_max = u64::try_from(KEYS_MAX).unwrap_or(u64::MAX);
    if tx.count_keys(id.as_str(), now.wall)?.1 >= keys_max {
        return Err(Refusal::LimitReached { resource: super::RESOURCE, max: keys_max }.into());
    }
    end_predecessor(tx, now, &old)?;

    let key = Key {
        digest: new.digest,
        id: Arc::from(new.id.as_str()),
        created_at: now.wall,
        expires_at: new.expires_at.or(old.expires_at),
        replaces: Some(old.id.clone()),
        ..old.clone()
    };
    let end = now.wall.saturating_add(new.overlap_ms);
    old.expires_at = Some(old.expires_at.map_or(end, |own| own.min(end)));
    old.replaced_by = Some(key.id.clone());
    put(tx, old.clone())?;
    put(tx, key.clone())?;
    super::made(tx, now, &key)?;
    Ok((key, old))
}

fn check(now: Now, new: &Rotation) -> Result<(), Refusal> {
    if !is_name(&new.id, KEY_ID_MAX) {
        return Err(Refusal::invalid("id", "is no key id"));
    }
    if !(0..=KEY_OVERLAP_MAX_MS).contains(&new.overlap_ms) {
        return Err(Refusal::invalid("overlap_seconds", "must be 0 to 7776000, which is 90 days"));
    }
    if new.expires_at.is_some_and(|end| end <= now.wall) {
        return Err(Refusal::invalid("expires_at", "is not in the future"));
    }
    Ok(())
}

fn check_old(old: &Key, now: Now) -> Result<(), Refusal> {
    if old.revoked_at.is_some() {
        return Err(Refusal::conflict("key_revoked", "the key is revoked: create another"));
    }
    if let Some(by) = &old.replaced_by {
        return Err(Refusal::conflict(
            "key_replaced",
            format!("the key was replaced by {by}: rotate that one"),
        ));
    }
    if !old.is_kept(now.wall) {
        return Err(Refusal::conflict("key_expired", "the key has expired: create another"));
    }
    Ok(())
}

/// Ends the key that `key` once replaced, should it still go on.
fn end_predecessor(tx: &mut impl Tx, now: Now, key: &Key) -> Result<(), Error> {
    let Some(id) = &key.replaces else { return Ok(()) };
    match tx.key_by_id(key.account.as_str(), id)? {
        Some(mut before) if before.is_kept(now.wall) => {
            before.expires_at = Some(now.wall);
            put(tx, before)
        }
        _ => Ok(()),
    }
}

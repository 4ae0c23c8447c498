//! Adding and revoking keys.

use std::sync::Arc;

use wire::{AccountStatus, Change, Digest};

use super::touched;
use crate::error::{Error, Refusal};
use crate::id::is_name;
use crate::key::{AUTH_CLASS_API, Key};
use crate::limits::{KEY_ID_MAX, KEYS_MAX};
use crate::tx::{Now, Tx};

/// The resource that plans cap.
pub const RESOURCE: &str = "api_keys";

/// A key to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The account it spends for.
    pub account: String,
    /// Its id.
    pub id: String,
    /// SHA-256 of the key.
    pub digest: Digest,
    /// A name for people.
    pub name: Option<String>,
    /// The models it may use (patterns).
    pub models: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: Option<i64>,
}

/// Adds a key. Keys above a lowered cap stay; adding more is refused (M6, M7).
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`], [`Refusal::KeyExists`],
/// [`Refusal::LimitReached`], [`Refusal::Invalid`]; and where the store fails.
pub fn create(tx: &mut impl Tx, now: Now, new: &NewKey) -> Result<Key, Error> {
    if !is_name(&new.id, KEY_ID_MAX) {
        return Err(Refusal::invalid("id", "is no key id").into());
    }
    if new.expires_at.is_some_and(|end| end <= now.wall) {
        return Err(Refusal::invalid("expires_at", "is not in the future").into());
    }
    let account = touched(tx, &new.account, now)?;
    let (id, plan, status) = (account.id.clone(), account.plan().to_owned(), account.status);
    if status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    if tx.key(&new.digest)?.is_some() || tx.key_by_id(id.as_str(), &new.id)?.is_some() {
        return Err(Refusal::KeyExists.into());
    }
    let version = tx.catalog_version();
    let cap =
        tx.catalog(version)?.and_then(|catalog| catalog.plan(&plan).and_then(|plan| plan.resource(RESOURCE)));
    let (live, all) = tx.count_keys(id.as_str(), now.wall)?;
    let keys_max = u64::try_from(KEYS_MAX).unwrap_or(u64::MAX);
    if let Some(max) = cap.filter(|max| live >= *max).or((all >= keys_max).then_some(keys_max)) {
        return Err(Refusal::LimitReached { resource: RESOURCE, max }.into());
    }
    let key = Key {
        digest: new.digest,
        id: Arc::from(new.id.as_str()),
        account: id,
        name: new.name.clone(),
        auth_class: Arc::from(AUTH_CLASS_API),
        models: new.models.clone().map(Arc::from),
        created_at: now.wall,
        expires_at: new.expires_at,
        revoked_at: None,
    };
    tx.put_key(key.clone())?;
    tx.change(Change::Key { digest: key.digest })?;
    Ok(key)
}

/// Revokes a key; gives it and whether it was live.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownKey`]; and where the store fails.
pub fn revoke(tx: &mut impl Tx, now: Now, account: &str, id: &str) -> Result<(Key, bool), Error> {
    touched(tx, account, now)?;
    let mut key = tx.key_by_id(account, id)?.ok_or_else(|| Refusal::UnknownKey(id.to_owned()))?;
    if key.revoked_at.is_some() {
        return Ok((key, false));
    }
    key.revoked_at = Some(now.wall);
    tx.put_key(key.clone())?;
    tx.change(Change::Key { digest: key.digest })?;
    Ok((key, true))
}

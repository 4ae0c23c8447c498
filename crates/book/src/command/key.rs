//! Adding and revoking keys; changing and replacing them is in the modules below.

mod change;
mod rotate;

use std::sync::Arc;

use wire::{AccountStatus, Change, Digest};

pub use self::change::{KeyChange, change};
pub use self::rotate::{Rotation, rotate};

use super::touched;
use crate::error::{Error, Refusal};
use crate::id::is_name;
use crate::key::{AUTH_CLASS_API, Key};
use crate::limits::{AUTH_CLASS_MAX, KEY_ID_MAX, KEYS_MAX};
use crate::notice::{Event, notice};
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
    /// Its class; absent = [`AUTH_CLASS_API`].
    pub auth_class: Option<String>,
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
    let auth_class = new.auth_class.as_deref().unwrap_or(AUTH_CLASS_API);
    check_class(auth_class)?;
    let account = touched(tx, &new.account, now)?;
    let (id, status) = (account.id.clone(), account.status);
    if status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    if tx.key(&new.digest)?.is_some() || tx.key_by_id(id.as_str(), &new.id)?.is_some() {
        return Err(Refusal::KeyExists.into());
    }
    check_room(tx, now, id.as_str())?;
    let key = Key {
        digest: new.digest,
        id: Arc::from(new.id.as_str()),
        account: id,
        name: new.name.clone(),
        auth_class: Arc::from(auth_class),
        models: new.models.clone().map(Arc::from),
        created_at: now.wall,
        expires_at: new.expires_at,
        revoked_at: None,
        disabled: false,
        replaces: None,
        replaced_by: None,
    };
    put(tx, key.clone())?;
    made(tx, now, &key)?;
    Ok(key)
}

/// Tells that a key was made.
fn made(tx: &mut impl Tx, now: Now, key: &Key) -> Result<(), Error> {
    let event = Event::KeyCreated {
        key: key.id.to_string(),
        name: key.name.clone(),
        replaces: key.replaces.as_deref().map(str::to_owned),
    };
    Ok(notice(tx, now, &key.account, event)?)
}

/// Stores a key and tells the nodes to forget what they remember of it.
fn put(tx: &mut impl Tx, key: Key) -> Result<(), Error> {
    let digest = key.digest;
    tx.put_key(key)?;
    Ok(tx.change(Change::Key { digest })?)
}

fn check_class(class: &str) -> Result<(), Refusal> {
    if is_name(class, AUTH_CLASS_MAX) {
        return Ok(());
    }
    let detail = format!("must be 1 to {AUTH_CLASS_MAX} visible ASCII characters");
    Err(Refusal::invalid("auth_class", detail))
}

/// Whether the account may have one more key (M6, M7).
fn check_room(tx: &mut impl Tx, now: Now, account: &str) -> Result<(), Error> {
    let cap = super::resource::cap(tx, account, RESOURCE)?;
    let (kept, all) = tx.count_keys(account, now.wall)?;
    let keys_max = u64::try_from(KEYS_MAX).unwrap_or(u64::MAX);
    if let Some(max) = cap.filter(|max| kept >= *max).or((all >= keys_max).then_some(keys_max)) {
        return Err(Refusal::LimitReached { resource: RESOURCE, max }.into());
    }
    Ok(())
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
    put(tx, key.clone())?;
    let event = Event::KeyRevoked { key: key.id.to_string(), name: key.name.clone() };
    notice(tx, now, &key.account, event)?;
    Ok((key, true))
}

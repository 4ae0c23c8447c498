//! Changing a key: disabling and enabling it, its end, its name, class and models.

use std::sync::Arc;

use super::{check_class, check_room, put};
use crate::command::touched;
use crate::error::{Error, Refusal};
use crate::key::Key;
use crate::tx::{Now, Tx};

/// What changes; absent = stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// Whether it opens nothing for the time being.
    pub disabled: Option<bool>,
    /// When it ends; `Some(None)` = never.
    pub expires_at: Option<Option<i64>>,
    /// A name for people.
    pub name: Option<String>,
    /// Its class.
    pub auth_class: Option<String>,
    /// The models it may use; `Some(None)` = whatever the plan opens.
    pub models: Option<Option<Vec<String>>>,
}

/// Changes a key; gives it and whether anything is different. A key that has ended may be given another
/// end, where the plan has room for it. One that was replaced ends no later than its rotation said.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownKey`], [`Refusal::Conflict`] (`key_revoked`),
/// [`Refusal::LimitReached`], [`Refusal::Invalid`]; and where the store fails.
pub fn change(
    tx: &mut impl Tx,
    now: Now,
    (account, id): (&str, &str),
    change: &KeyChange,
) -> Result<(Key, bool), Error> {
    touched(tx, account, now)?;
    let before = tx.key_by_id(account, id)?.ok_or_else(|| Refusal::UnknownKey(id.to_owned()))?;
    if before.revoked_at.is_some() {
        return Err(Refusal::conflict("key_revoked", "the key is revoked, for good").into());
    }
    let key = changed(&before, now, change)?;
    if key == before {
        return Ok((key, false));
    }
    if !before.is_kept(now.wall) && key.is_kept(now.wall) {
        check_room(tx, now, account)?;
    }
    put(tx, key.clone())?;
    Ok((key, true))
}

fn changed(before: &Key, now: Now, change: &KeyChange) -> Result<Key, Refusal> {
    let mut key = before.clone();
    if let Some(end) = change.expires_at.filter(|end| *end != before.expires_at) {
        if end.is_some_and(|end| end <= now.wall) {
            return Err(Refusal::invalid(
                "expires_at",
                "is not in the future; to end a key at once, revoke it",
            ));
        }
        let later = |end: Option<i64>| end.is_none_or(|end| before.expires_at.is_some_and(|old| end > old));
        if before.replaced_by.is_some() && later(end) {
            let detail = "the key was replaced: it ends no later than its rotation said";
            return Err(Refusal::invalid("expires_at", detail));
        }
        key.expires_at = end;
    }
    if let Some(class) = &change.auth_class {
        check_class(class)?;
        key.auth_class = Arc::from(class.as_str());
    }
    key.disabled = change.disabled.unwrap_or(before.disabled);
    key.name = change.name.clone().or(key.name);
    if let Some(models) = &change.models {
        key.models = models.clone().map(Arc::from);
    }
    Ok(key)
}

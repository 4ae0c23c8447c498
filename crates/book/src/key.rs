//! API keys as the book knows them: by digest alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Digest, KeyEntry};

use crate::id::AccountId;

/// The class of keys that nothing else is said of.
pub const AUTH_CLASS_API: &str = "api";

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// SHA-256 of the key.
    pub digest: Digest,
    /// Its id, unique over all accounts.
    pub id: Arc<str>,
    /// The account it spends for.
    pub account: AccountId,
    /// A name for people.
    pub name: Option<String>,
    /// Its class.
    pub auth_class: Arc<str>,
    /// The models it may use (patterns); absent = whatever the plan opens.
    pub models: Option<Arc<[String]>>,
    /// When it was made.
    pub created_at: i64,
    /// When it ends, where it does.
    pub expires_at: Option<i64>,
    /// When it was revoked, where it was.
    pub revoked_at: Option<i64>,
    /// True: it opens nothing until it is enabled again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The id of the key that it was made to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Arc<str>>,
    /// The id of the key that replaces it; it ends soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Arc<str>>,
}

impl Key {
    /// Whether it opens anything.
    #[must_use]
    pub fn is_live(&self, now: i64) -> bool {
        !self.disabled && self.is_kept(now)
    }

    /// Whether it counts towards the plan's number of keys: a disabled one does, it can be enabled again.
    #[must_use]
    pub fn is_kept(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// What a node is told of it.
    #[must_use]
    pub fn entry(&self) -> KeyEntry {
        KeyEntry {
            digest: self.digest,
            account: self.account.clone().into(),
            key_id: self.id.clone(),
            auth_class: self.auth_class.clone(),
            models: self.models.clone(),
            expires_at: self.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_until_it_ends_or_is_revoked() {
        let key = Key {
            digest: Digest([7; 32]),
            id: Arc::from("key_1"),
            account: AccountId::parse("acme").unwrap(),
            name: None,
            auth_class: Arc::from(AUTH_CLASS_API),
            models: Some(Arc::from(vec!["sonnet".to_owned()])),
            created_at: 0,
            expires_at: Some(10),
            revoked_at: None,
            disabled: false,
            replaces: None,
            replaced_by: None,
        };
        assert!(key.is_live(9) && !key.is_live(10) && !key.is_live(11));
        let endless = Key { expires_at: None, ..key.clone() };
        assert!(endless.is_live(i64::MAX));
        assert!(!Key { revoked_at: Some(5), ..endless.clone() }.is_live(4));
        let disabled = Key { disabled: true, ..endless };
        assert!(!disabled.is_live(4) && disabled.is_kept(4));
        let entry = key.entry();
        assert_eq!((entry.digest, &*entry.account, &*entry.key_id), (key.digest, "acme", "key_1"));
        assert_eq!((&*entry.auth_class, entry.models, entry.expires_at), ("api", key.models, Some(10)));
    }
}

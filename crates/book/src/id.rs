//! Identities that come from outside, validated once.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::ACCOUNT_ID_MAX;

/// An account's id: 1 to 64 letters, digits, `_`, `.`, `:` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct AccountId(Arc<str>);

/// Why a text is no account id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 letters, digits, '_', '.', ':' or '-'")]
pub struct AccountIdError;

// === impl AccountId ===

impl AccountId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`AccountIdError`] for other characters, nothing, or too many.
    pub fn parse(text: &str) -> Result<Self, AccountIdError> {
        if is_account_id(text) { Ok(Self(text.into())) } else { Err(AccountIdError) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for AccountId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for AccountId {
    type Error = AccountIdError;

    fn try_from(text: Arc<str>) -> Result<Self, Self::Error> {
        if is_account_id(&text) { Ok(Self(text)) } else { Err(AccountIdError) }
    }
}

impl From<AccountId> for Arc<str> {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

fn is_account_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    (1..=ACCOUNT_ID_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether a text may stand in the journal as a name: 1 to `max` bytes of visible ASCII.
#[must_use]
pub fn is_name(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text may stand in the journal as a title: at most `max` bytes without control characters.
#[must_use]
pub fn is_title(text: &str, max: usize) -> bool {
    text.len() <= max && !text.chars().any(char::is_control)
}

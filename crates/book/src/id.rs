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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    #[test]
    fn account_ids_are_one_to_64_of_a_few_characters() {
        for text in ["a", "Z9_.:-", &"x".repeat(64)] {
            let id = AccountId::parse(text).unwrap();
            assert_eq!((id.as_str(), id.to_string()), (text, text.to_owned()));
            assert_eq!(Borrow::<str>::borrow(&id), text);
            assert_eq!(AccountId::try_from(Arc::<str>::from(text)), Ok(id.clone()));
            assert_eq!(&*Arc::<str>::from(id), text);
        }
        for text in ["", &"x".repeat(65), "a b", "a/b", "ä", "a\0"] {
            assert_eq!(AccountId::parse(text), Err(AccountIdError), "{text:?}");
            assert_eq!(AccountId::try_from(Arc::<str>::from(text)), Err(AccountIdError), "{text:?}");
        }
        let refusal = Refusal::from(AccountIdError);
        assert!(matches!(&refusal, Refusal::Invalid { member: "account", detail } if detail.contains("64")));
    }

    #[test]
    fn names_are_visible_and_titles_printable() {
        assert!(is_name("!~", 2) && is_name("a", 1));
        assert!(
            !is_name("", 2)
                && !is_name("abc", 2)
                && !is_name(" ", 2)
                && !is_name("ä", 2)
                && !is_name("\u{7f}", 2)
        );
        assert!(is_title("", 2) && is_title("ä", 2) && is_title(" a", 2));
        assert!(!is_title("abc", 2) && !is_title("\n", 2) && !is_title("\u{7f}", 2));
    }
}

//! That no top-level member of a request stands twice.
//!
//! JSON leaves open which of two members counts (RFC 8259 §4), so the upstream might obey another one than
//! the one that was priced.

use super::RequestError;
use crate::json::Name;
use crate::limits::MEMBERS_MAX;

/// The members seen, by the hash of their decoded names.
#[derive(Clone, Debug, Default)]
pub(super) struct Unique {
    hashes: Vec<u64>,
}

impl Unique {
    /// Notes a member.
    ///
    /// # Errors
    /// Where it is there already, or one too many. Names of equal hash count as equal: to find two takes
    /// intent, and the request refused is the finder's own.
    pub(super) fn insert(&mut self, name: Name<'_>) -> Result<(), RequestError> {
        if self.hashes.contains(&name.hash) {
            let ellipsis = if name.whole { "" } else { "…" };
            let member = format!("{}{ellipsis}", String::from_utf8_lossy(name.bytes));
            return Err(RequestError::Duplicate { member: member.into() });
        }
        if self.hashes.len() >= MEMBERS_MAX {
            return Err(RequestError::TooManyMembers);
        }
        self.hashes.push(name.hash);
        Ok(())
    }
}

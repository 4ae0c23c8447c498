//! Why a command did not do what it was asked.

use crate::id::AccountIdError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The book says no; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed: the transaction must not be committed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the book says no to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such account.
    #[error("account \"{0}\" not found")]
    UnknownAccount(String),
    /// No such key in the account.
    #[error("key \"{0}\" not found")]
    UnknownKey(String),
    /// No such entry in the account's journal.
    #[error("entry \"{0}\" not found")]
    UnknownEntry(u64),
    /// No such lot in the account, or none with anything to it.
    #[error("lot \"lot_{0}\" not found")]
    UnknownLot(u64),
    /// No such plan in the catalog in force.
    #[error("plan \"{0}\" not found")]
    UnknownPlan(String),
    /// No such pool in the catalog in force.
    #[error("pool \"{0}\" not found")]
    UnknownPool(String),
    /// Something else that is not there.
    #[error("{what} \"{id}\" not found")]
    Unknown {
        /// What it would be (`webhook endpoint`).
        what: &'static str,
        /// The name that was given.
        id: String,
    },
    /// The id is taken.
    #[error("account \"{0}\" exists")]
    AccountExists(String),
    /// The account is closed for good.
    #[error("the account is closed")]
    AccountClosed,
    /// The digest or the id is known.
    #[error("the key exists")]
    KeyExists,
    /// The reference was used for another grant.
    #[error("reference \"{0}\" was used for another one")]
    ReferenceConflict(String),
    /// The account is on that plan.
    #[error("the account is on plan \"{0}\"")]
    SamePlan(String),
    /// A cap on things that are kept.
    #[error("the limit is {max} {resource}")]
    LimitReached {
        /// What is kept (`api_keys`).
        resource: &'static str,
        /// The cap.
        max: u64,
    },
    /// A cap on things that are kept and counted by others.
    #[error("the limit is {max} {name}")]
    Full {
        /// What is kept (`projects`).
        name: String,
        /// The cap.
        max: u64,
    },
    /// It contradicts what is there.
    #[error("{detail}")]
    Conflict {
        /// For programs (`key_revoked`).
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// A value cannot be taken.
    #[error("{member}: {detail}")]
    Invalid {
        /// The member's path.
        member: &'static str,
        /// For people.
        detail: String,
    },
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[error("store: {0}")]
pub struct StoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

// === impl Refusal ===

impl Refusal {
    /// Something that is not there.
    pub fn unknown(what: &'static str, id: impl Into<String>) -> Self {
        Self::Unknown { what, id: id.into() }
    }

    /// It contradicts what is there.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// A value cannot be taken.
    pub fn invalid(member: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { member, detail: detail.into() }
    }
}

impl From<AccountIdError> for Refusal {
    fn from(error: AccountIdError) -> Self {
        Self::invalid("account", error.to_string())
    }
}

// === impl StoreError ===

impl StoreError {
    /// A failure with its cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

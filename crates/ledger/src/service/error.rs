//! Why the service refused or failed. `http/respond.rs` alone turns this into status and body.
//!
//! Texts in the first group are for the client. The cause of an `Internal` is for the log alone.

use crate::dto::PlanUnlock;

/// Why a [`crate::service::Service`] did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The thing named does not exist.
    #[error("{} \"{id}\" not found", kind.as_str())]
    NotFound {
        /// What it would be.
        kind: Kind,
        /// The name that was given.
        id: String,
    },
    /// It contradicts what is there.
    #[error("{detail}")]
    Conflict {
        /// For programs (`account_exists`).
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// A value cannot be taken, though it reads well.
    #[error("{member}: {detail}")]
    Invalid {
        /// The member's path in the request (`expires_at`).
        member: &'static str,
        /// For people.
        detail: String,
    },
    /// The plan's cap on things that are kept: money lifts it.
    #[error("the plan allows {max} {resource}")]
    LimitReached {
        /// What is kept (`api_keys`).
        resource: String,
        /// The cap.
        max: u64,
        /// Plans with more, cheapest first.
        unlocks: Vec<PlanUnlock>,
        /// Whom to ask where no public plan has more (L3).
        contact: Option<String>,
    },
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    IdempotencyMismatch,
    /// The writer's queue is full: try again soon.
    #[error("too many requests wait")]
    Overloaded,
    /// The store does not answer, or the service is closing.
    #[error("the ledger is not available: {0}")]
    Unavailable(String),
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An account.
    Account,
    /// A key of the account.
    Key,
    /// A plan of the catalog.
    Plan,
    /// A pool of the catalog.
    Pool,
    /// A version of the catalog.
    Catalog,
    /// A change of plan that waits.
    Change,
    /// An entry of the account's journal.
    Entry,
    /// A lot of the account.
    Lot,
    /// Something else, by its words.
    Other(&'static str),
}

// === impl ServiceError ===

impl ServiceError {
    /// The thing named does not exist.
    pub fn not_found(kind: Kind, id: impl Into<String>) -> Self {
        Self::NotFound { kind, id: id.into() }
    }

    /// It contradicts what is there.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// A value cannot be taken.
    pub fn invalid(member: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { member, detail: detail.into() }
    }

    /// A fault of ours, with what caused it.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

// === impl Kind ===

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Key => "key",
            Self::Plan => "plan",
            Self::Pool => "pool",
            Self::Catalog => "catalog version",
            Self::Change => "change of plan",
            Self::Entry => "entry",
            Self::Lot => "lot",
            Self::Other(what) => what,
        }
    }
}

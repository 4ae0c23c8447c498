//! Who may call, and who did: the fourth part of [`super::Service`].

use std::sync::Arc;

use super::{Idempotency, Page, PageRequest, Reply, Written};
use crate::audit::Act;
use crate::dto::{self, Scope};

/// The ledger, as its keepers call it.
///
/// # Errors
/// As [`super::Service`].
pub trait Access: Send + Sync + 'static {
    /// Who presents a token of this SHA-256; nobody where it is unknown, has ended or was revoked.
    fn caller(&self, digest: &[u8; 32]) -> Option<Caller>;

    /// All tokens, latest first.
    fn tokens(&self) -> Reply<'_, Vec<dto::AdminToken>>;

    /// Adds a token. `Conflict` (`token_exists`, `too_many_tokens`); `Invalid` for an end in the past.
    fn create_token(
        &self,
        write: Option<Idempotency>,
        token: NewToken,
    ) -> Reply<'_, Written<dto::AdminToken>>;

    /// Revokes a token, for good; one that is revoked stays as it is.
    fn revoke_token(&self, write: Option<Idempotency>, token: String) -> Reply<'_, Written<dto::AdminToken>>;

    /// Notes a call that was refused.
    fn note_refusal(&self, act: Arc<Act>, code: String) -> Reply<'_, ()>;

    /// The audit log, latest first.
    fn audit(&self, query: AuditQuery, page: PageRequest<u64>) -> Reply<'_, Page<dto::AuditLine, u64>>;
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// A token to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its id, minted by the caller.
    pub id: String,
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it stops working.
    pub expires_at: Option<jiff::Timestamp>,
}

/// Which lines of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// About this account.
    pub account: Option<String>,
    /// By this token.
    pub who: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// From this instant on …
    pub from: Option<jiff::Timestamp>,
    /// … and before this one.
    pub to: Option<jiff::Timestamp>,
}

// === impl Caller ===

impl Caller {
    /// Whether the caller may do what asks for a scope.
    #[must_use]
    pub fn may(&self, asked: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.allows(asked))
    }
}

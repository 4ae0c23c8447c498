//! Tokens for the management API, and who did what with them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do. Every token may read what is not of the `admin` scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read.
    Read,
    /// Open and change accounts and their keys.
    Accounts,
    /// Move credits: grants, adjustments, reversals, lots, plans, reconciliation.
    Money,
    /// Put catalogs in force.
    Catalog,
    /// All of these, and tokens, webhooks and the audit log.
    Admin,
}

/// A token. The token itself is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminToken {
    /// Its id.
    #[schema(example = "tok_4Kd0fYz2QxT7")]
    pub id: String,
    /// Its name, by which the audit log knows it; unique among tokens that work.
    #[schema(example = "billing")]
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreation {
    /// A name: 1 to 64 letters, digits, `.`, `_`, `:` or `-`; not `root` or `process`.
    #[schema(example = "billing", pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    pub name: String,
    /// What it may do.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// When it stops working; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A management call that changed something, or that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditLine {
    /// Its number.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// The token's name; `root` is the configured one, `process` the ledger itself (a signal).
    pub who: String,
    /// Method and route.
    #[schema(example = "POST /v1/accounts/{account}/grants")]
    pub operation: String,
    /// The path as it was.
    pub path: String,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The answer's `x-request-id`.
    pub request_id: String,
    /// `done`, or the code of the refusal.
    #[schema(example = "done")]
    pub outcome: String,
    /// The body: JSON without secrets, or the first 4 KiB of another text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<serde_json::Value>,
}

// === impl Scope ===

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Read, Self::Accounts, Self::Money, Self::Catalog, Self::Admin];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Accounts => "accounts",
            Self::Money => "money",
            Self::Catalog => "catalog",
            Self::Admin => "admin",
        }
    }

    /// Whether a token of this scope may do what asks for another.
    #[must_use]
    pub fn allows(self, asked: Self) -> bool {
        self == asked || self == Self::Admin || asked == Self::Read
    }
}

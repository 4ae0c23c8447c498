//! What an operator puts right: adjustments, reversals, lots that are voided or extended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Credits, Entry};

/// `POST /v1/accounts/{account}/adjustments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// The pool in the catalog.
    #[schema(example = "topup")]
    pub pool: String,
    /// Above zero: added as a lot, debt repaid first. Below zero: taken back from the pool's lots.
    #[schema(example = "-12.500000")]
    pub amount: Credits,
    /// Why, for people: 1 to 256 bytes.
    #[schema(example = "double purchase, ticket 118", max_length = 256)]
    pub reason: String,
    /// Yours: at most 128 characters, unique among the account's adjustments for ever.
    #[schema(example = "ticket-118", max_length = 128)]
    pub reference: String,
    /// When credits that are added end; absent = as the pool says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// True: what the pool does not have is owed, and the next grant pays it. False: taking back more than the
    /// pool has is 409 `insufficient_credits`.
    #[serde(default)]
    pub allow_debt: bool,
}

/// `POST /v1/accounts/{account}/entries/{entry}/reversal`, and why a lot is voided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for people: 1 to 256 bytes.
    #[schema(example = "provider outage on 20 November", max_length = 256)]
    pub reason: String,
}

/// A charge that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reversal {
    /// The journal's lines that give it back; more than one where several lots had ended.
    pub entries: Vec<Entry>,
}

/// `PATCH /v1/accounts/{account}/lots/{lot}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LotChange {
    /// When it ends, later than it would have; null = never.
    #[schema(required = true)]
    pub expires_at: Option<Timestamp>,
    /// Why, for people: 1 to 256 bytes.
    #[schema(example = "goodwill", max_length = 256)]
    pub reason: String,
}

/// A lot as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotState {
    /// Its id.
    #[schema(example = "lot_17")]
    pub id: String,
    /// The pool.
    pub pool: String,
    /// What it holds.
    #[schema(example = "credits")]
    pub asset: String,
    /// What was granted.
    pub amount: Credits,
    /// What is left; of a lot that was voided, what it had then.
    pub available: Credits,
    /// When it ends; absent = never.
    pub expires_at: Option<Timestamp>,
    /// True: it was voided; only requests that were admitted before may still draw it.
    pub voided: bool,
}

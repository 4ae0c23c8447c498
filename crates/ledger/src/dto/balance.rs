//! Credits: grants, lots, and what an account has left.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Credits;

/// `POST /v1/accounts/{account}/grants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The pool in the catalog that the credits go to.
    #[schema(example = "topup")]
    pub pool: String,
    /// How much; above zero.
    pub amount: Credits,
    /// When the credits end; absent = as the pool says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Yours, for example the payment's id: at most 128 characters, unique within the account for ever.
    /// The same reference with the same content answers with the lot that exists.
    #[schema(example = "payment-7431", max_length = 128)]
    pub reference: String,
}

/// One grant inside a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lot {
    /// Its id.
    pub id: String,
    /// The pool.
    pub pool: String,
    /// What it holds.
    #[schema(example = "credits")]
    pub asset: String,
    /// What was granted.
    pub amount: Credits,
    /// What of it was left for spending right after the grant: less than `amount` where it paid debt.
    pub available: Credits,
    /// When it was granted.
    pub created_at: Timestamp,
    /// When it ends; absent = never.
    pub expires_at: Option<Timestamp>,
    /// The caller's reference, or the one that the plan's own grant has.
    pub reference: String,
}

/// What an account has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// The account.
    pub account: String,
    /// The instant, where a past one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// All credits that can still be spent under all caps, at base price: free, and idle on nodes.
    pub available: Credits,
    /// What of it lies idle on nodes.
    pub leased: Credits,
    /// Held for requests that have not ended.
    pub in_flight: Credits,
    /// Used beyond what was granted; the next grant pays it first.
    pub debt: Credits,
    /// The same of what is counted apart from credits, each by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<AssetBalance>,
    /// By pool, in draw order.
    pub pools: Vec<PoolBalance>,
    /// By cap.
    pub limits: Vec<LimitUse>,
}

/// What an account has of an asset that is not credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetBalance {
    /// The asset.
    #[schema(example = "training")]
    pub asset: String,
    /// All that can still be spent.
    pub available: Credits,
    /// What of it lies idle on nodes.
    pub leased: Credits,
    /// Held for requests that have not ended.
    pub in_flight: Credits,
    /// Used beyond what was granted.
    pub debt: Credits,
}

/// One pool's part of a balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolBalance {
    /// The pool.
    pub pool: String,
    /// What it holds.
    #[schema(example = "credits")]
    pub asset: String,
    /// Sum over its lots.
    pub available: Credits,
    /// Lots with something left, in draw order.
    pub lots: Vec<LotBalance>,
    /// What of it the next cycle does not take over; absent where the pool carries all over, or nothing, and for
    /// past instants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollover: Option<Rollover>,
}

/// What a pool carries into the next cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollover {
    /// When the cycle ends.
    pub at: Timestamp,
    /// The most that is carried over.
    pub max: Credits,
    /// What would be lost of what is there now, the oldest lots first.
    pub loses: Credits,
}

/// One lot's part of a balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotBalance {
    /// Its id.
    pub id: String,
    /// What was granted.
    pub amount: Credits,
    /// What is left; what nodes have leased is still counted here.
    pub available: Credits,
    /// When it ends; absent = never.
    pub expires_at: Option<Timestamp>,
}

/// How far a cap is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitUse {
    /// What it counts.
    #[schema(example = "requests")]
    pub meter: String,
    /// The window's kind (`day`, `week`, `cycle`).
    pub window: String,
    /// The cap, in the meter's unit as a decimal string; absent = unlimited.
    pub max: Option<String>,
    /// Used in the window that now runs.
    pub used: String,
    /// When the window ends.
    pub resets_at: Option<Timestamp>,
}

//! What happens when the credits are gone.

use serde::{Deserialize, Serialize};

use crate::money::Micros;

/// What happens when the credits are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhaustion {
    /// The answer to a request at zero.
    pub action: ExhaustionAction,
    /// The answer to a request that costs more than is left.
    pub admission: Admission,
    /// The most that an account may owe for overage in one billing cycle, in micro-credits at base price, where
    /// the account itself states nothing; absent: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage_cap: Option<Micros>,
}

/// The answer to a request at zero credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExhaustionAction {
    /// 402 (M9).
    #[default]
    Deny402,
    /// Served on, and charged to the account's payment method; 402 where it has none (C8).
    Overage,
}

/// The answer to a request whose estimate is above what is left, where something is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Admitted with a hold of all that is left; at most one such request per account (M9).
    #[default]
    Clip,
    /// Refused: the whole estimate must be there.
    Full,
}

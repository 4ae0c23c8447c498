//! What people should look at.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that people should look at. The books are right all the same: this is about what came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Its number.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// What it is: `gap`, `conflict`, `rejected` and its reasons, `duplicate_request`, `disputed`, `unpriced`,
    /// `price_mismatch`, `unknown_term`, `seq_ahead`.
    #[schema(example = "gap")]
    pub code: String,
    /// The account, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The node, where it is about a settlement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node's lane: slot and incarnation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// The settlement's number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// For people; of refused settlements, their bytes.
    pub detail: String,
}

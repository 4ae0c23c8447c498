//! Rates on the wire: who refills them, and tokens leased where several nodes use one account (protocol §6).
//!
//! Every state carries a turn: a number that rises whenever the ledger changes who may take tokens without
//! asking. What is said under a lower turn than the one known is old. Counts are cumulative within a turn.

use serde::{Deserialize, Serialize};

/// How a record stands with its account's rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateState {
    /// The turn that the record knows; 0 = none.
    #[serde(default)]
    pub turn: u64,
    /// Whether it refills by itself.
    #[serde(default)]
    pub mode: RateMode,
    /// Each rate of the plan that the record knows, or wants tokens of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<RateLine>,
}

/// Who refills an account's rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateMode {
    /// Not known: nothing may be taken before the ledger has said.
    #[default]
    Unknown,
    /// The node, alone: no other takes tokens.
    Sole,
    /// The ledger, which leases tokens.
    Leased,
}

/// How one rate of a record stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLine {
    /// The rate's id.
    pub rate: String,
    /// When it is full again if nothing is taken, in microseconds from the moment of sending: of a node that
    /// refills by itself, or did until this turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub full_in_us: u64,
    /// Used in all under this turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used: u64,
    /// Given back in all under this turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: u64,
    /// Tokens that requests wait for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub need: u64,
    /// True: few are left, more would be good to have.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// A record's state, said outside a want: the answer to a [`Withdrawal`], or tokens given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateReport {
    /// The account.
    pub account: String,
    /// The record's epoch; 0 = the node has no record of the account.
    pub lease: u64,
    /// The state.
    pub state: RateState,
}

/// What the ledger says of an account's rates to a record that asked in a want.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateGrant {
    /// The account.
    pub account: String,
    /// The record's epoch.
    pub lease: u64,
    /// The turn; 0 = nothing is decided yet.
    pub turn: u64,
    /// Who refills.
    pub mode: RateMode,
    /// Another node must be heard first: ask again after this many milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_ms: u64,
    /// Leased tokens that are not used for this long are given back, in milliseconds; 0 = 2,000.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keep_ms: u64,
    /// The account's rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<RateTokens>,
}

/// What the ledger says of one rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateTokens {
    /// The rate's id.
    pub rate: String,
    /// For a node that refills by itself from this turn on: when the rate is full again, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub full_in_us: u64,
    /// Granted in all under this turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub granted: u64,
    /// No more before so many milliseconds: the node refuses alone until then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_in_ms: u64,
}

/// A node no longer refills an account's rates by itself: it answers with how they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The account.
    pub account: String,
    /// The turn that begins.
    pub turn: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that the serialiser calls")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that the serialiser calls")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_is_not_written() {
        let json = |line: &RateLine| serde_json::to_string(line).unwrap();
        let bare = RateLine { rate: "rpm".to_owned(), ..RateLine::default() };
        assert_eq!(json(&bare), r#"{"rate":"rpm"}"#);
        let full = RateLine { full_in_us: 1, used: 2, returned: 3, need: 4, more: true, ..bare };
        assert_eq!(
            json(&full),
            r#"{"rate":"rpm","full_in_us":1,"used":2,"returned":3,"need":4,"more":true}"#
        );
        assert_eq!(serde_json::from_str::<RateLine>(&json(&full)).unwrap(), full);
    }
}

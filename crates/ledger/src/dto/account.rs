//! Accounts and the plans they are on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Credits;
use super::plan_change::ScheduledPlan;
use super::settings::{Overrides, Renewal, Settings};

/// `POST /v1/accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountCreation {
    /// The account's id, yours or generated (`acct_…`): 1 to 64 letters, digits, `.`, `_`, `:` or `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme", pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    pub id: Option<String>,
    /// The plan's name in the catalog.
    #[schema(example = "starter")]
    pub plan: String,
    /// When the customer joined; absent = now. Not in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The way to take the plan (`monthly`, `yearly`, or the name that the catalog gives it); absent = the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "yearly")]
    pub cadence: Option<String>,
    /// From when billing periods are counted; absent = `created_at`. Not in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Timestamp>,
    /// The IANA zone that its days, weeks and months are of; absent = UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
}

/// `PATCH /v1/accounts/{account}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// The account's standing from now on. `closed` is for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AccountStatus>,
    /// The IANA zone that its days, weeks and months are of; null = UTC.
    #[serde(default, deserialize_with = "super::key::present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "Europe/Berlin")]
    pub time_zone: Option<Option<String>>,
    /// All pools that it opts in to, of those that need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["wallet"]))]
    pub opted_in: Option<Vec<String>>,
    /// The most credits that it may owe beyond what it has in one billing cycle; null = what the catalog says.
    #[serde(default, deserialize_with = "super::key::present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Credits>)]
    pub overage_cap: Option<Option<Credits>>,
    /// Whether a payment method is registered that can be charged for overage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_on_file: Option<bool>,
    /// What begins its next billing period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// All its own terms over the plan; `{}` = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Overrides>,
    /// Shadow mode: everything is decided, counted and charged, nothing is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,
    /// Its name in your other systems; null = none.
    #[serde(default, deserialize_with = "super::key::present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "cus_9183", max_length = 128)]
    pub reference: Option<Option<String>>,
    /// All that it is found by: at most 16 labels; `{}` = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({"team": "search"}))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// The account's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Served.
    Active,
    /// Refused with 403 until it is lifted.
    Suspended,
    /// Refused with 403 for good.
    Closed,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// The plan it is on.
    pub plan: String,
    /// Its standing.
    pub status: AccountStatus,
    /// When the customer joined.
    pub created_at: Timestamp,
    /// The cycle that now runs: what is granted by it, and counted by it; absent where the plan has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// The billing period that it lies in, where that is longer: a year that grants by the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_period: Option<Period>,
    /// A change of plan that waits for its day, or for its payment; else the billing period that is to be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<ScheduledPlan>,
    /// When a billing period ended without the next one being paid: until it is, nothing is granted, what the plan counts
    /// is refused, and bought credits are used at base price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed_at: Option<Timestamp>,
    /// What is set of it.
    #[serde(flatten)]
    pub settings: Settings,
}

// === impl AccountStatus ===

impl AccountStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

/// A span of time, half open: `from` belongs to it, `to` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Period {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

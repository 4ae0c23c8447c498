//! What customers see of their own account, with their own key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountStatus, Credits, Period, Resource, ScheduledPlan, Usd};

/// `GET /manage/v1/billing`: plan, usage, limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Billing {
    /// The account.
    pub account: String,
    /// Its standing.
    pub status: AccountStatus,
    /// The plan it is on.
    pub plan: String,
    /// The way it is taken.
    pub cadence: String,
    /// What a billing period costs; absent = on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_usd: Option<Usd>,
    /// The cycle that now runs: counters by the cycle are of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// When the plan renews: the end of what is paid; absent = it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews_at: Option<Timestamp>,
    /// A change of plan that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<ScheduledPlan>,
    /// Credits that can still be spent.
    pub available: Credits,
    /// Used beyond the credits and not paid.
    pub owed: Credits,
    /// What is used of the limits by window.
    pub meters: Vec<Meter>,
    /// How many of what is kept there are.
    pub resources: Vec<Resource>,
}

/// What is used of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meter {
    /// The limit.
    #[schema(example = "requests/cycle")]
    pub name: String,
    /// Used in the window that now runs, as a decimal.
    #[schema(example = "8200")]
    pub used: String,
    /// The most, as a decimal; absent = unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "10000")]
    pub max: Option<String>,
    /// When the window ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

/// `GET /manage/v1/plans`: one plan that anyone may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicPlan {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The ways to take it, its own first.
    pub cadences: Vec<PublicCadence>,
    /// The features that it has.
    pub features: Vec<String>,
    /// How many of a thing there may be.
    pub resources: Vec<Cap>,
    /// How much may be used in a time.
    pub limits: Vec<Cap>,
}

/// A way to take a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicCadence {
    /// Its name.
    #[schema(example = "yearly")]
    pub name: String,
    /// How often it is paid.
    #[schema(example = "P1Y")]
    pub billing: String,
    /// What one billing period costs; absent = on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_usd: Option<Usd>,
}

/// A cap of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cap {
    /// Of what.
    #[schema(example = "projects")]
    pub name: String,
    /// The most, as a decimal; absent = unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

/// `POST /manage/v1/billing/change-plan` and `/checkout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnChange {
    /// The plan to go to: a public one.
    #[schema(example = "pro")]
    pub plan: String,
    /// The way to take it; absent = the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<String>,
    /// The coupon that the customer entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
}

/// Where the customer goes to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkout {
    /// The change that waits for the payment.
    pub change: String,
    /// The plan to come.
    pub plan: String,
    /// What is to be paid; absent = on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<Usd>,
    /// Where to pay: the catalog's link for upgrades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Where the customer looks after payment methods and invoices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Portal {
    /// The catalog's link for upgrades.
    pub url: String,
}

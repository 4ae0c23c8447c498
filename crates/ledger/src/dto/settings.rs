//! What is set of an account beside its plan.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Credits;

/// What is set of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// The way in which it takes its plan; absent = the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "yearly")]
    pub cadence: Option<String>,
    /// The IANA zone that its days, weeks and months are of; absent = UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
    /// The pools that it opted in to, of those that need it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opted_in: Vec<String>,
    /// The most credits that it may owe beyond what it has in one billing cycle; absent = what the catalog says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage_cap: Option<Credits>,
    /// Whether a payment method is registered that can be charged for overage.
    #[serde(default)]
    pub card_on_file: bool,
    /// The programmes that it is enrolled in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programmes: Vec<Enrolment>,
    /// What begins its next billing period.
    #[serde(default)]
    pub renewal: Renewal,
    /// Its own terms over the plan; absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Overrides>,
    /// Shadow mode: everything is decided, counted and charged, nothing is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Its name in your other systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "cus_9183")]
    pub reference: Option<String>,
    /// What it is found by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"team": "search"}))]
    pub labels: BTreeMap<String, String>,
}

/// A stay in a programme: models for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enrolment {
    /// The programme.
    pub programme: String,
    /// Since when.
    pub from: Timestamp,
    /// The first instant at which it has ended.
    pub until: Timestamp,
}

/// `PUT /v1/accounts/{account}/programmes/{programme}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolling {
    /// The first instant at which it has ended; absent = as late as the programme allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What begins the next billing period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// The end of the one before.
    #[default]
    Auto,
    /// `POST /v1/accounts/{account}/renew`, once it was paid; until then nothing is granted.
    OnPayment,
}

/// One customer's own terms over its plan; what is not named stays the plan's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Rates, by id: in the place of the plan's of that id, else beside the plan's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<OwnRate>,
    /// The most of limits of the plan, by id, in the limit's unit as a decimal; null = unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Option<String>>, example = json!({"requests/cycle": "5000000"}))]
    pub limits: BTreeMap<String, Option<Credits>>,
    /// Caps on things that are kept; null = unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"projects": null}))]
    pub resources: BTreeMap<String, Option<u64>>,
    /// Bounds on what one request may ask for; null = unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_limits: BTreeMap<String, Option<u64>>,
    /// The plan of the catalog whose own prices count: a plan with `prices` that nobody else is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_of: Option<String>,
}

/// A token bucket of one customer's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnRate {
    /// Its name; the plan's rate of that name gives way.
    #[schema(example = "rpm")]
    pub id: String,
    /// What it counts; absent = requests.
    #[serde(default = "requests")]
    #[schema(default = "requests")]
    pub meter: String,
    /// The models that it counts (patterns); absent = all.
    #[serde(default = "all_models")]
    pub models: Vec<String>,
    /// Units per `per_ms`.
    pub amount: u64,
    /// The period, in milliseconds; absent = a minute.
    #[serde(default = "minute")]
    #[schema(default = 60_000)]
    pub per_ms: u64,
    /// Units that may be taken at once after a rest; absent = `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
}

fn requests() -> String {
    tariff::Meter::Requests.as_str().to_owned()
}

fn all_models() -> Vec<String> {
    vec![tariff::Model::ANY.to_owned()]
}

const fn minute() -> u64 {
    60_000
}

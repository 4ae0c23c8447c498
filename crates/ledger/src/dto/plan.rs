//! The catalog's plans, as shops and customers read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Credits;

/// A plan of the catalog in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// What it costs per billing period, as the catalog writes it; absent where it costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "20 USD")]
    pub price: Option<String>,
    /// Where to get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// False: shadow mode; nothing is refused.
    pub enforce: bool,
    /// Pools in draw order, with what the plan grants and how the pool's credits are discounted.
    pub pools: Vec<PlanPool>,
    /// Token buckets.
    pub rates: Vec<PlanRate>,
    /// Patterns of the models it opens.
    pub models: Vec<String>,
    /// Caps on things that are kept (`api_keys`); absent = unlimited.
    pub resources: BTreeMap<String, u64>,
}

/// A pool under a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanPool {
    /// The pool.
    pub pool: String,
    /// What the plan grants per billing period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Credits>,
    /// How often (`P1M`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<String>,
    /// What one credit's worth of use at base price takes of this pool, as a decimal.
    #[schema(example = "0.85")]
    pub factor: String,
}

/// A token bucket of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanRate {
    /// Its name.
    #[schema(example = "rpm")]
    pub id: String,
    /// What it counts.
    pub meter: String,
    /// Units per `per_ms`.
    pub amount: u64,
    /// The period, in milliseconds.
    pub per_ms: u64,
    /// Units that may be taken at once after a rest.
    pub burst: u64,
}

/// A plan that would lift a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanUnlock {
    /// The plan's name.
    pub plan: String,
    /// Where to get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

//! Pools: where credits come from, what they pay for, and when they end.

use serde::{Deserialize, Serialize};

use super::Rollover;
use crate::period::Period;

/// A source of credits; each grant into it is a lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The name in catalog, journal and API.
    pub name: String,
    /// Its place in the draw order: lower first.
    pub order: u32,
    /// When a lot of it ends.
    pub expiry: Expiry,
    /// What it holds (`credits`, `training`); models are paid from pools of their asset.
    #[serde(default = "super::credits")]
    pub asset: String,
    /// What it pays for.
    #[serde(default)]
    pub models: PoolModels,
    /// True: accounts must opt in before it is drawn or bought into (P9).
    #[serde(default)]
    pub opt_in: bool,
    /// What of its grants outlives the cycle; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollover: Option<Rollover>,
}

/// What a pool pays for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolModels {
    /// Every model of its asset.
    #[default]
    All,
    /// The models that the plan opens (P10).
    Plan,
    /// The models that a pattern names.
    Named(Vec<String>),
}

/// When a lot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// At the end of the billing cycle in which it was granted (M2).
    CycleEnd,
    /// At the end of the billing period in which it was granted (C5).
    CommitmentEnd,
    /// This long after its own grant, by the calendar (M5).
    After(Period),
    /// Not at all.
    Never,
}

impl Pool {
    /// A pool of credits that pays for every model.
    #[must_use]
    pub fn named(name: impl Into<String>, order: u32, expiry: Expiry) -> Self {
        Self {
            name: name.into(),
            order,
            expiry,
            asset: super::credits(),
            models: PoolModels::All,
            opt_in: false,
            rollover: None,
        }
    }
}

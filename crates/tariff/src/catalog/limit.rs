//! Limits: caps on what an account may use in a window of time, and what they leave out.

use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::money::Micros;
use crate::period::Period;
use crate::policy::Scope;

/// A cap on one measure in one kind of window.
///
/// A window's count is a sum over the journal under the window's key; nothing is ever reset (P4, L9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Name, as refusals, balances and bucket ids show it (`requests/day`); unique in its plan.
    pub id: String,
    /// What it counts.
    pub measure: Measure,
    /// Over which time.
    pub window: Window,
    /// The most in one window, in millionths of the measure's unit; absent: unlimited, which is not 0.
    pub max: Option<Micros>,
    /// The models whose requests count: patterns over the catalog's names of models.
    pub models: Vec<String>,
    /// The pools that it bounds; empty: all of them (P5).
    pub pools: Vec<String>,
    /// Whose requests share it.
    pub scope: Scope,
    /// What happens at the cap.
    pub on_exceed: OnExceed,
    /// Which requests count.
    pub count: Counted,
    /// Percentages of `max` whose crossing is told, once each per window and value of `max` (L8).
    pub notify: Vec<u8>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Micro-credits at base price.
    Credits,
    /// The provider's cost by the models' cost cards, in millionths of a US dollar (P8).
    Cost,
    /// A meter's count, in millionths.
    Meter(Meter),
}

/// The windows of a limit. All are half-open; days, weeks and months are the account's own time zone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// The billing cycle (L9).
    Cycle,
    /// The calendar day.
    Day,
    /// The calendar week, from Monday.
    Week,
    /// The calendar month.
    Month,
    /// This long each, counted from the start of the billing cycle (P6).
    Anchored(Period),
}

/// What happens to a request that a limit does not leave room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// 402: money or a larger plan lifts it (L2).
    #[default]
    Deny402,
    /// 429: only time lifts it.
    Deny429,
    /// The pools that it bounds give nothing more in this window; others may (P5, P8).
    SkipPool,
}

/// Which requests count towards a limit on requests or items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// All that were admitted, whatever became of them.
    Admitted,
    /// Those that were delivered.
    #[default]
    Delivered,
}

/// Traffic that limits leave out (L11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exempt {
    /// Classes of keys (`dashboard`, `mcp`).
    pub auth_classes: Vec<String>,
    /// The measures that its requests do not count towards.
    pub measures: Vec<Measure>,
}

/// What an account may do beyond its plan while one of its pools has anything in it (P10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// The pool whose posted balance must be above zero; what is held counts as there.
    pub pool: String,
    /// Rates are not enforced.
    pub rates: bool,
    /// Every model is open; those that are not the plan's are paid from this pool alone.
    pub models: bool,
}

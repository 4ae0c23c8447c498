//! Switching plans: when it takes effect, and what becomes of what was paid (M10, M11, L5, P12, P13).

use serde::{Deserialize, Serialize};

use crate::ratio::Ratio;

/// What a switch does, by its direction. Up is to a plan that costs more per time, by the plans' prices;
/// a plan on request is above all with a price; equal prices are a switch up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transitions {
    /// To a dearer plan.
    pub up: Transition,
    /// To a cheaper plan.
    pub down: Transition,
}

/// What a switch in one direction does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When it takes effect.
    pub at: SwitchAt,
    /// What becomes of the billing cycle, where it takes effect before its end.
    pub cycle: CycleOnSwitch,
    /// What becomes of what the old plan had granted.
    pub lots: LotsOnSwitch,
    /// What of the old price is given back; absent: nothing.
    pub proration: Option<Proration>,
}

/// When a switch takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchAt {
    /// At once.
    #[default]
    Now,
    /// At the end of the billing period; until then it can be replaced or cancelled (M11).
    PeriodEnd,
    /// Once the payment is confirmed; the old plan stays until then (P12).
    PaymentConfirmed,
}

/// The billing cycle after a switch at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CycleOnSwitch {
    /// It begins anew, with the new plan's grants in full (M10).
    #[default]
    Restart,
    /// It goes on; the new plan's grants come with its next start.
    Keep,
}

/// What the old plan had granted, after a switch at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotsOnSwitch {
    /// It is void (M10).
    #[default]
    Void,
    /// It stays until it expires.
    Keep,
}

/// Credit for the unused part of the old plan (P13).
///
/// With t = min(1, time since the cycle's start / `days`) and k = the sum over `usage` of weight x used / granted:
/// consumed = max(t, k, `floor`), credit = max(0, min(old price x (1 - consumed), new price - old price)), rounded
/// down to a cent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proration {
    /// The pool that the credit goes to, at [`super::Purchases::credits_per_usd`].
    pub to: String,
    /// The days after which all counts as used by time.
    pub days: u32,
    /// Whether time counts continuously or by whole steps.
    pub step_days: Option<u32>,
    /// Weights of pools, by name; they sum up to at most 1.
    pub usage: Vec<(String, Ratio)>,
    /// The least that counts as consumed.
    pub floor: Ratio,
    /// True: never more than the new price less the old one.
    pub capped: bool,
}

//! A change of plan that waits: for the end of the billing period, or for its payment (M11, P12).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::Micros;

/// A change of plan that waits. An account has at most one; another one takes its place (M11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its number: the entry that made it, as callers name it.
    #[serde(default)]
    pub id: u64,
    /// The plan to come; where it is the account's own, its next billing period waits for payment.
    pub to: Arc<str>,
    /// The way to take it; absent: the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Arc<str>>,
    /// From when its billing periods are counted; absent: from when it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<i64>,
    /// What it waits for.
    pub waits: Waits,
    /// What is to be paid, in millionths of a US dollar; absent: on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Micros>,
    /// The coupon that is in the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// True: the customer ended the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancels: bool,
}

/// What a change of plan waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// An instant: the end of the billing period.
    Until(i64),
    /// A payment.
    Payment,
}

// === impl Pending ===

impl Pending {
    /// A change to a plan on its own cadence, with the end of a billing period.
    #[must_use]
    pub fn at_end(to: &str, at: i64) -> Self {
        let waits = Waits::Until(at);
        Self {
            id: 0,
            to: Arc::from(to),
            cadence: None,
            anchor: None,
            waits,
            usd: None,
            coupon: None,
            cancels: false,
        }
    }

    /// When it comes by itself; nothing where it waits for a payment.
    #[must_use]
    pub const fn at(&self) -> Option<i64> {
        match self.waits {
            Waits::Until(at) => Some(at),
            Waits::Payment => None,
        }
    }
}

//! A change of plan that waits: for the end of the billing period, or for its payment (M11, P12); and the lapse of an
//! account whose billing period has ended without the next one being paid (P11).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::Micros;

/// A change of plan that waits. An account has at most one; another one takes its place (M11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its number: the entry that made it, as callers name it.
    #[serde(default)]
    pub id: u64,
    /// The plan to come; it may be the account's own, taken another way.
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

/// A billing period has ended, and the next one is not paid: nothing is granted, and nothing of what the plan counts is
/// open, until it is.
///
/// It ends with the payment, with a change to another plan, or with the plan; a change that waits beside it does not end
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapse {
    /// When the billing period ended.
    pub since: i64,
    /// What is to be paid, for the plan or for the one that was to follow it; its number is that of the change, where
    /// one was to come, else the entry's. Absent: nothing is asked for, its payment failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Pending>,
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
    /// A change to a plan on its own cadence, for a price (absent: on request).
    #[must_use]
    pub fn of(to: &str, waits: Waits, usd: Option<Micros>) -> Self {
        Self {
            id: 0,
            to: Arc::from(to),
            cadence: None,
            anchor: None,
            waits,
            usd,
            coupon: None,
            cancels: false,
        }
    }

    /// The same change, once it is paid.
    #[must_use]
    pub fn once_paid(&self) -> Self {
        Self { waits: Waits::Payment, ..self.clone() }
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

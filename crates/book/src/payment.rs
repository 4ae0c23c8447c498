//! Money that was paid or given back outside of the ledger, as it was told, and what it was for.
//!
//! Cards are charged elsewhere. Amounts of money are millionths of a US dollar; credits that a payment brings are
//! entries of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::{Micros, Period};

use crate::account::Account;
use crate::amount::{minus, plus};
use crate::limits::PURCHASES_KEPT;

/// A payment, or one that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Who took it: the caller's name for it (P14).
    pub provider: String,
    /// The provider's name for it; unique among the account's payments through that provider, for ever.
    pub reference: String,
    /// Above zero: received. Below zero: given back. Zero: nothing had to be paid.
    pub usd: Micros,
    /// What it was for.
    pub purpose: Purpose,
    /// The coupon that was redeemed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
}

/// What a payment was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Purpose {
    /// A plan's billing period.
    Plan {
        /// The plan.
        plan: Arc<str>,
        /// The way it is taken.
        cadence: Arc<str>,
        /// The change of plan that waited for it; absent = none did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<u64>,
    },
    /// Credits.
    Purchase {
        /// How many, without bonus.
        credits: Micros,
        /// What came on top.
        bonus: Micros,
        /// The cadence of the commitment, where there is one (C1).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cadence: Option<Arc<str>>,
    },
    /// Usage beyond the credits (C8).
    Receivable {
        /// How much of it, in micro-credits at base price.
        credits: Micros,
    },
    /// A purchase given back.
    Refund {
        /// The reference of its payment, provider first.
        of: String,
    },
}

/// What an account has paid and bought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dealings {
    /// Received in all.
    #[serde(default)]
    pub received: Micros,
    /// Given back in all.
    #[serde(default)]
    pub given_back: Micros,
    /// Coupons that were redeemed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub coupons: BTreeSet<String>,
    /// Purchases that were not given back, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purchases: Vec<Bought>,
    /// When the customer agreed to the refund policy (C10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_at: Option<i64>,
    /// Credits that are bought again and again (C7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recharge: Option<Recharge>,
    /// Requests of the schedule that wait to be paid, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<Requested>,
}

/// A purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    /// The payment's reference, provider first.
    pub payment: String,
    /// When.
    pub at: i64,
    /// What was paid.
    pub usd: Micros,
    /// The cadence of the commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Arc<str>>,
}

/// Credits that are bought again and again, until ended (C7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recharge {
    /// What each is for.
    pub usd: Micros,
    /// How often.
    pub every: Period,
    /// The first one's instant: the chosen billing date.
    pub from: i64,
    /// How many were requested.
    pub number: u64,
    /// When the next one is requested.
    pub next: i64,
}

/// A recharge that is to be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The entry that requested it.
    pub id: u64,
    /// When.
    pub at: i64,
    /// What is to be paid.
    pub usd: Micros,
    /// The cadence that it counts for.
    pub cadence: Arc<str>,
}

/// The word by which payments' references are told from others'.
pub const PAYMENT: &str = "payment";

// === impl Payment ===

impl Payment {
    /// What it is unique by within the account: provider and reference.
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.provider, &self.reference)
    }
}

/// What a payment is unique by within its account. Providers' names have no slash.
#[must_use]
pub fn name(provider: &str, reference: &str) -> String {
    format!("{provider}/{reference}")
}

// === impl Dealings ===

impl Dealings {
    /// Whether nothing was ever paid or set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether anything was ever paid: a coupon for first payments does not count then (M12).
    #[must_use]
    pub fn has_paid(&self) -> bool {
        self.received > Micros::ZERO
    }
}

impl Account {
    /// The schedule has asked for a purchase, and looks ahead to the next one.
    pub(crate) fn request_recharge(&mut self, id: u64, request: &Requested) {
        self.dealings.requested.push(Requested { id, ..request.clone() });
        if let Some(recharge) = &mut self.dealings.recharge {
            recharge.number = recharge.number.saturating_add(1);
            let next = crate::calendar::after(recharge.from, recharge.every, recharge.number);
            recharge.next = next.unwrap_or(i64::MAX);
        }
    }

    pub(crate) fn pay(&mut self, at: i64, payment: &Payment) {
        if let Purpose::Receivable { credits } = &payment.purpose {
            self.settle_receivable(*credits);
            self.raise_version();
        }
        let dealings = &mut self.dealings;
        if payment.usd >= Micros::ZERO {
            dealings.received = plus(dealings.received, payment.usd);
        } else {
            dealings.given_back = minus(dealings.given_back, payment.usd);
        }
        dealings.coupons.extend(payment.coupon.clone());
        match &payment.purpose {
            Purpose::Purchase { cadence, .. } => {
                let cadence = cadence.clone();
                dealings.purchases.push(Bought { payment: payment.name(), at, usd: payment.usd, cadence });
                let surplus = dealings.purchases.len().saturating_sub(PURCHASES_KEPT);
                dealings.purchases.drain(..surplus);
            }
            Purpose::Refund { of } => dealings.purchases.retain(|bought| bought.payment != *of),
            Purpose::Plan { .. } | Purpose::Receivable { .. } => {}
        }
    }
}

//! Terms and billing cycles: the context that requests are admitted and settled under.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::{Micros, Period, Ratio, Standing};

use super::{credits, is_credits};

/// The context that requests are admitted and settled under; never changed once opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// 1, 2, 3 …
    pub no: u64,
    /// The plan.
    pub plan: Arc<str>,
    /// The catalog version that it prices by.
    pub catalog: u64,
    /// The pools, in draw order.
    pub pools: Vec<TermPool>,
    /// When it began.
    pub opened_at: i64,
    /// The way in which the plan is taken; empty: the plan's own.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub cadence: Arc<str>,
    /// What of the account its rules depend on.
    #[serde(default, skip_serializing_if = "is_plain")]
    pub standing: Standing,
    /// Which of the account's rules bind it; 0: those of a time that knew no classes.
    #[serde(default)]
    pub rules: u64,
}

/// A pool under a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermPool {
    /// Its name.
    pub pool: Arc<str>,
    /// What a credit's worth of use at base price takes of it.
    pub factor: Ratio,
    /// What it holds.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
}

/// The billing cycle that now runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Where cycle 0 began.
    pub anchor: i64,
    /// How many cycles lie between the anchor and this one.
    pub number: u64,
    /// The length of one.
    pub period: Period,
    /// Its first instant.
    pub start: i64,
    /// The first instant after it.
    pub end: i64,
    /// The billing period that it lies in; absent: itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
    /// What its billing period was paid with, as far as was told, else its price when it began, in millionths of a US
    /// dollar; absent: a price on request of which no payment was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Micros>,
}

/// A billing period of more than one cycle (M13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billing {
    /// The length of one.
    pub period: Period,
    /// Its first instant.
    pub start: i64,
    /// The first instant after it.
    pub end: i64,
}

// === impl Cycle ===

impl Cycle {
    /// The first instant after its billing period.
    #[must_use]
    pub fn billing_end(&self) -> i64 {
        self.billing.as_ref().map_or(self.end, |billing| billing.end)
    }

    /// The first instant of its billing period.
    #[must_use]
    pub fn billing_start(&self) -> i64 {
        self.billing.as_ref().map_or(self.start, |billing| billing.start)
    }

    /// The length of a billing period.
    #[must_use]
    pub fn billing_period(&self) -> Period {
        self.billing.as_ref().map_or(self.period, |billing| billing.period)
    }
}

// === impl Term ===

impl Term {
    /// The key of a limit's window; empty where none runs.
    #[must_use]
    pub fn window_key(&self, limit: &str) -> &str {
        self.standing.windows.iter().find(|window| window.limit == limit).map_or("", |window| &window.key)
    }

    /// What a credit's worth of use at base price takes of a pool.
    #[must_use]
    pub fn factor(&self, pool: &str) -> Ratio {
        self.pools.iter().find(|entry| &*entry.pool == pool).map_or(Ratio::ONE, |entry| entry.factor)
    }
}

fn is_plain(standing: &Standing) -> bool {
    *standing == Standing::default()
}

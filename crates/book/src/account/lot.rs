//! Lots: what one grant has left.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::Micros;

use super::{Term, credits, is_credits};
use crate::amount::less;

/// One grant inside a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// The pool.
    pub pool: Arc<str>,
    /// What it holds.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
    /// What was granted.
    pub amount: Micros,
    /// What is left; never below zero.
    pub remaining: Micros,
    /// When it was granted.
    pub created_at: i64,
    /// When it ends; absent = never.
    pub expires_at: Option<i64>,
    /// The term in force when it was granted.
    pub term: u64,
    /// True: it came with the plan's cycle and ends with the plan (M10).
    pub of_plan: bool,
    /// It has ended, but settlements of earlier terms may still draw it.
    pub closing: Option<Closing>,
}

/// How a lot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The last term whose settlements may draw it.
    pub last_term: u64,
    /// When it ended.
    pub at: i64,
    /// Why.
    pub end: LotEnd,
}

/// Why a lot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotEnd {
    /// Its time was up (M2, M5).
    Expired,
    /// Its plan was left (M10).
    Void,
}

// === impl Lot ===

impl Lot {
    /// The lot's place in the draw order of a term.
    #[must_use]
    pub fn draw_key(&self, term: &Term, id: u64) -> (usize, bool, Option<i64>, i64, u64) {
        let order = term.pools.iter().position(|pool| pool.pool == self.pool).unwrap_or(usize::MAX);
        (order, self.expires_at.is_none(), self.expires_at, self.created_at, id)
    }

    /// Drawn so far.
    #[must_use]
    pub fn consumed(&self) -> Micros {
        less(self.amount, self.remaining)
    }
}

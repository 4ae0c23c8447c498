//! Corrections: what an operator puts right, as entries, and how they fold.
//!
//! Nothing in the journal is ever changed: an adjustment adds or takes back credits, a reversal gives back
//! what a charge took, an extension moves a lot's end. Amounts are micro-credits of the lots.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::Micros;

use crate::account::{Account, credits, is_credits, is_zero};
use crate::amount::{minus, plus};
use crate::entry::{EntryKind, GrantSource, Granted, Slice};

/// Credits that an operator added or took back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// The pool.
    pub pool: Arc<str>,
    /// What it holds.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
    /// Above zero: added, as a lot of the entry's id. Below zero: taken back.
    pub amount: Micros,
    /// Of what was added: what repaid debt at once (rule 15).
    pub repaid: Micros,
    /// Of what was added: when the lot ends; absent = never.
    pub expires_at: Option<i64>,
    /// Of what was taken back: from which lots, in draw order.
    pub slices: Vec<Slice>,
    /// Of what was taken back: what no lot of the pool had; it is owed.
    pub debt: Micros,
    /// Why, for people.
    pub reason: String,
    /// Unique among the account's adjustments, for ever.
    pub reference: String,
}

/// A charge that was given back, or a part of it: each part beyond the first makes one more lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversed {
    /// The charge's entry.
    pub of: u64,
    /// 1, 2, 3 …; their entries follow one another.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// Its request.
    pub request: String,
    /// What it was paid in.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
    /// What went back to the lots that it was drawn from.
    pub restored: Vec<Slice>,
    /// What of the charge's debt is no longer owed.
    pub debt: Micros,
    /// What of it is no longer to be paid by the account's payment method.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub receivable: Micros,
    /// What came back as a lot of the entry's id, because its own has ended.
    pub moved: Option<Moved>,
    /// The sum of them.
    pub amount: Micros,
    /// Why, for people.
    pub reason: String,
}

/// Credits that came back as another lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The pool.
    pub pool: Arc<str>,
    /// How many.
    pub amount: Micros,
    /// When the lot ends; absent = never.
    pub expires_at: Option<i64>,
}

/// A lot whose end was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// The lot.
    pub lot: u64,
    /// Its pool.
    pub pool: Arc<str>,
    /// When it would have ended.
    pub from: Option<i64>,
    /// When it ends; absent = never.
    pub to: Option<i64>,
    /// Why, for people.
    pub reason: String,
}

/// The word by which adjustments' references are told from others'.
pub const ADJUSTMENT: &str = "adjustment";
/// How the references begin under which refunds take credits back.
pub const REFUNDED: &str = "refund:";
/// The word by which reversals are found by the charge that they reverse.
pub const REVERSAL: &str = "reversal";

/// What a correction is unique by within its account: its kind and its reference.
#[must_use]
pub fn reference(kind: &EntryKind) -> Option<(&'static str, Cow<'_, str>)> {
    match kind {
        EntryKind::Adjusted(adjusted) => Some((ADJUSTMENT, Cow::Borrowed(&adjusted.reference))),
        EntryKind::Payment(payment) => Some((crate::payment::PAYMENT, Cow::Owned(payment.name()))),
        EntryKind::Reversed(reversed) if reversed.part == 1 => {
            Some((REVERSAL, Cow::Owned(reversed.of.to_string())))
        }
        _ => None,
    }
}

impl Account {
    pub(crate) fn adjust(&mut self, id: u64, at: i64, adjusted: &Adjusted) {
        if adjusted.amount > Micros::ZERO {
            let lot = (&adjusted.pool, &adjusted.asset, adjusted.amount, adjusted.repaid);
            self.add_lot(id, at, lot, adjusted.expires_at);
            return;
        }
        self.draw_lots(&adjusted.slices);
        let (debt, totals) = self.holding(&adjusted.asset);
        *debt = plus(*debt, adjusted.debt);
        totals.clawed_back = minus(totals.clawed_back, adjusted.amount);
        self.raise_version();
    }

    pub(crate) fn reverse(&mut self, id: u64, at: i64, reversed: &Reversed) {
        for slice in &reversed.restored {
            if let Some(lot) = self.lots.get_mut(&slice.lot) {
                lot.remaining = plus(lot.remaining, slice.amount);
            }
        }
        self.receivable = minus(self.receivable, reversed.receivable);
        let (debt, totals) = self.holding(&reversed.asset);
        *debt = minus(*debt, reversed.debt);
        totals.charged = minus(totals.charged, reversed.amount);
        if let Some(moved) = &reversed.moved {
            // It was granted before, and is once in the sum of what was.
            totals.granted = minus(totals.granted, moved.amount);
            let lot = (&moved.pool, &reversed.asset, moved.amount, Micros::ZERO);
            self.add_lot(id, at, lot, moved.expires_at);
        }
        self.raise_version();
    }

    pub(crate) fn extend(&mut self, extended: &Extended) {
        if let Some(lot) = self.lots.get_mut(&extended.lot) {
            lot.expires_at = extended.to;
        }
        self.raise_version();
    }

    fn add_lot(
        &mut self,
        id: u64,
        at: i64,
        (pool, asset, amount, repaid): (&Arc<str>, &Arc<str>, Micros, Micros),
        expires_at: Option<i64>,
    ) {
        let granted = Granted {
            pool: pool.clone(),
            asset: asset.clone(),
            source: GrantSource::Api,
            amount,
            repaid,
            expires_at,
            reference: String::new(),
            once: false,
        };
        self.grant(id, at, &granted);
    }
}

//! Buying: credits for money, bonus by size, tiers by the sum, coupons, refunds (C1 to C7, C10, M12, P9).
//!
//! Cards are charged elsewhere: the ledger says what is to be paid, and is told what was paid.

use serde::{Deserialize, Serialize};

use crate::money::Micros;
use crate::period::Period;
use crate::ratio::Ratio;

/// How credits are bought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchases {
    /// The pool that bought credits go to; absent: nothing is sold by the amount.
    pub pool: Option<String>,
    /// Credits per US dollar (P1).
    pub credits_per_usd: Option<Ratio>,
    /// The least amount of one purchase, by payment provider, in millionths of a US dollar; `*` stands for any (P9).
    pub minimum_usd: Vec<(String, Micros)>,
    /// What comes on top, by the purchase's size: from this many millionths of a US dollar on, this part of the
    /// credits bought; ascending (C4).
    pub bonus: Vec<(Micros, Ratio)>,
    /// The pool that the bonus goes to, as a lot of its own; absent: that of the purchase.
    pub bonus_pool: Option<String>,
    /// When a purchase can be given back.
    pub refund: Refund,
    /// How often a recharge may be scheduled (C7); empty: not at all.
    pub recharge: Vec<Period>,
}

/// When a purchase can be given back (C10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Whether at all.
    pub allowed: bool,
    /// True: only while the account has no usage whatever.
    pub unless_used: bool,
    /// True: a purchase needs the customer's consent to this policy.
    pub consent: bool,
}

/// A plan that follows from what was bought (C1, C2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierBy {
    /// The purchases that count: those made for this cadence.
    pub cadence: String,
    /// How long a purchase counts.
    pub window: Period,
    /// From this sum on, in millionths of a US dollar, this plan; ascending.
    pub steps: Vec<(Micros, String)>,
}

/// Plans that follow from what was bought. The highest plan that any rule gives counts: upward at once, downward
/// with the billing period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiers {
    /// The plan below the lowest step.
    pub none: String,
    /// The rules.
    pub by: Vec<TierBy>,
}

/// Something off the price of a plan (M12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// The code that is entered.
    pub code: String,
    /// The part of the price that falls away.
    pub off: Ratio,
    /// True: only where nothing was paid before.
    pub first_payment: bool,
    /// The first instant at which it is valid no more, in milliseconds since 1970.
    pub until: Option<i64>,
}

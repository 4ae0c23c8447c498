//! What a purchase brings: credits, bonus, a tier, a price with a coupon (C1, C2, C4, M12, M13, P1, P9, L6).

use crate::catalog::{Cadence, Catalog, Coupon, Purchases, TierBy, Tiers};
use crate::money::Micros;
use crate::proration::CENT;
use crate::ratio::Ratio;

/// The provider that stands for all that are not named.
pub const ANY_PROVIDER: &str = "*";

/// Why a coupon takes nothing off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CouponError {
    /// Its time is up.
    #[error("the coupon is no longer valid")]
    Over,
    /// It is for first payments, and something was paid before.
    #[error("the coupon is for first payments only")]
    NotFirst,
    /// The account has used it.
    #[error("the coupon has been used")]
    Used,
}

impl Purchases {
    /// The credits that an amount of millionths of a US dollar buys, rounded down (P1); nothing where credits are not
    /// sold by the amount, or beyond 64 bits.
    #[must_use]
    pub fn credits(&self, usd: Micros) -> Option<Micros> {
        self.credits_per_usd?.checked_mul(whole(usd))?.floor().map(Micros)
    }

    /// The credits that come on top of credits bought for an amount, by its step (C4); rounded down.
    #[must_use]
    pub fn bonus(&self, usd: Micros, credits: Micros) -> Option<Micros> {
        let rate = self.bonus_rate(usd);
        rate.checked_mul(whole(credits))?.floor().map(Micros)
    }

    /// The part that comes on top of purchases of an amount (C4).
    #[must_use]
    pub fn bonus_rate(&self, usd: Micros) -> Ratio {
        let reached = self.bonus.iter().filter(|(from, _)| *from <= usd);
        reached.max_by_key(|(from, _)| *from).map_or(Ratio::ZERO, |(_, rate)| *rate)
    }

    /// The least amount of one purchase through a provider; nothing: any (P9).
    #[must_use]
    pub fn minimum(&self, provider: &str) -> Option<Micros> {
        let of = |name: &str| self.minimum_usd.iter().find(|(own, _)| own == name).map(|(_, least)| *least);
        of(provider).or_else(|| of(ANY_PROVIDER))
    }
}

impl TierBy {
    /// The plan that a sum of purchases gives; nothing below the lowest step (C1).
    #[must_use]
    pub fn plan(&self, sum: Micros) -> Option<&str> {
        let reached = self.steps.iter().filter(|(from, _)| *from <= sum);
        reached.max_by_key(|(from, _)| *from).map(|(_, plan)| plan.as_str())
    }
}

impl Tiers {
    /// The plan that sums of purchases give, one sum for each rule in [`Tiers::by`]: the highest that any rule gives,
    /// else the one below all steps (C1, C2).
    #[must_use]
    pub fn plan(&self, catalog: &Catalog, sums: &[Micros]) -> String {
        let reached = self.by.iter().zip(sums).filter_map(|(rule, sum)| rule.plan(*sum));
        let highest = reached.max_by_key(|plan| self.rank(catalog, plan));
        highest.unwrap_or(&self.none).to_owned()
    }

    /// How high a plan is among others: by its place in the catalog, the plan below all steps first.
    #[must_use]
    pub fn rank(&self, catalog: &Catalog, plan: &str) -> usize {
        if plan == self.none {
            return 0;
        }
        let place = catalog.plans.iter().position(|own| own.name == plan);
        place.map_or(0, |place| place.saturating_add(1))
    }

    /// Whether the plan is one that purchases lead to, or the one below them.
    #[must_use]
    pub fn has(&self, plan: &str) -> bool {
        self.none == plan || self.by.iter().flat_map(|rule| &rule.steps).any(|(_, own)| own == plan)
    }
}

impl Coupon {
    /// What is left of a price, in millionths of a US dollar, rounded half up to a cent (M12).
    ///
    /// # Errors
    /// [`CouponError`] where it does not count.
    pub fn price(
        &self,
        price: Micros,
        now: i64,
        paid_before: bool,
        used_before: bool,
    ) -> Result<Micros, CouponError> {
        if self.until.is_some_and(|until| until <= now) {
            return Err(CouponError::Over);
        }
        if used_before {
            return Err(CouponError::Used);
        }
        if self.first_payment && paid_before {
            return Err(CouponError::NotFirst);
        }
        let left = Ratio::ONE.checked_sub(self.off).unwrap_or(Ratio::ZERO);
        let cents = left.checked_mul(whole(price)).and_then(|left| left.checked_div(whole(Micros(CENT))));
        let cents = cents.and_then(Ratio::round_half_up).and_then(|cents| cents.checked_mul(CENT));
        // What cannot be reckoned is not given away.
        Ok(cents.map_or(price, Micros))
    }
}

impl Cadence {
    /// The part that it saves against paying another way as often as it takes (M13, L6); nothing where one of them is on
    /// request, or its billing period is no whole number of the other's.
    #[must_use]
    pub fn saving(&self, against: &Self) -> Option<Ratio> {
        let (own, other) = (self.price_usd?, against.price_usd?);
        let times = times(self, against)?;
        let full = Ratio::whole(times).checked_mul(whole(other))?;
        Ratio::ONE.checked_sub(whole(own).checked_div(full)?)
    }

    /// What a way to take a plan costs that is `times` as long as this one, for a part of the price: twelve months for
    /// 0.8 (M13) or for 10/12 (L6). Rounded half up to a cent.
    #[must_use]
    pub fn price_for(&self, times: u64, part: Ratio) -> Option<Micros> {
        let full = Ratio::whole(times).checked_mul(whole(self.price_usd?))?;
        let cents = full.checked_mul(part)?.checked_div(whole(Micros(CENT)))?.round_half_up()?;
        cents.checked_mul(CENT).map(Micros)
    }

    /// What it costs per second, roughly: months count as a twelfth of 365.2425 days. For telling dearer from cheaper.
    #[must_use]
    pub fn price_per_second(&self) -> Option<Ratio> {
        whole(self.price_usd?).checked_div(Ratio::whole(seconds(self.billing)?))
    }
}

/// How many billing periods of one are one of the other.
fn times(of: &Cadence, against: &Cadence) -> Option<u64> {
    let (a, b) = (of.billing, against.billing);
    let parts = [(a.months(), b.months()), (a.days(), b.days()), (a.seconds(), b.seconds())];
    let mut found = None;
    for (long, short) in parts.into_iter().filter(|parts| *parts != (0, 0)) {
        let times = long.checked_div(short).filter(|times| times.checked_mul(short) == Some(long))?;
        if found.is_some_and(|found| found != times) {
            return None;
        }
        found = Some(times);
    }
    found.map(u64::from)
}

/// The length of a period in seconds, months as a twelfth of a mean Gregorian year.
fn seconds(period: crate::period::Period) -> Option<u64> {
    const MONTH: u64 = 2_629_746;
    const DAY: u64 = 86_400;
    let months = u64::from(period.months()).checked_mul(MONTH)?;
    let days = u64::from(period.days()).checked_mul(DAY)?;
    months.checked_add(days)?.checked_add(period.seconds().into())
}

/// An amount as a ratio; what is below zero counts as zero.
fn whole(amount: Micros) -> Ratio {
    Ratio::whole(u64::try_from(amount.get()).unwrap_or(0))
}

//! Token buckets as a single instant each: the generic cell rate algorithm on the monotonic clock.
//!
//! A rate of `amount` units per period with a burst of `burst` units keeps the time at which it would be full
//! again; one unit moves it by period / amount. Exact in microseconds, no refill job.

use tariff::{Meter, Rate};

use crate::pricing::narrow::product;

/// What a rate says of one more request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passed: the instant to store.
    Pass {
        /// When the bucket would be full again, in microseconds.
        full_us: u64,
    },
    /// Refused.
    Wait {
        /// Until one unit is there, in microseconds.
        retry_us: u64,
    },
}

/// Takes `units` at `now_us` from a bucket that would be full at `full_us`.
#[must_use]
pub fn take(rate: &Rate, full_us: u64, units: u64, now_us: u64) -> Verdict {
    let full_us = full_us.max(now_us);
    let cost = time_of(rate, units);
    let depth = depth_us(rate);
    let taken = full_us.saturating_add(cost);
    // Full again later than a whole bucket from now means that the units were not there.
    let limit = now_us.saturating_add(depth);
    if taken > limit {
        return Verdict::Wait { retry_us: taken.saturating_sub(limit) };
    }
    Verdict::Pass { full_us: taken }
}

/// Gives `units` back.
#[must_use]
pub fn give_back(rate: &Rate, full_us: u64, units: u64) -> u64 {
    full_us.saturating_sub(time_of(rate, units))
}

/// Units that may be taken now.
#[must_use]
pub fn remaining(rate: &Rate, full_us: u64, now_us: u64) -> u64 {
    let room = depth_us(rate).saturating_sub(full_us.saturating_sub(now_us));
    if rate.meter == Meter::Requests {
        // Taken unit by unit, each rounded up.
        return room.checked_div(time_of(rate, 1)).unwrap_or(0).min(rate.burst);
    }
    let narrow = product(room, rate.amount).zip(product(rate.per_ms, 1_000));
    if let Some(units) = narrow.and_then(|(units, period_us)| units.checked_div(period_us)) {
        return units;
    }
    let units = u128::from(room).saturating_mul(rate.amount.into());
    let period_us = u128::from(rate.per_ms).saturating_mul(1_000);
    u64::try_from(units.checked_div(period_us).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// The time by which taking `units` moves the instant at which a rate is full again, in microseconds.
#[must_use]
pub fn cost(rate: &Rate, units: u64) -> u64 {
    time_of(rate, units)
}

/// The latest instant at which a bucket of requests may be full again: that of an empty one.
#[must_use]
pub fn latest_us(rate: &Rate, now_us: u64) -> u64 {
    now_us.saturating_add(depth_us(rate))
}

/// The time in which the whole bucket is refilled: of one that is taken unit by unit as many units' as it has, each
/// rounded up, or the last of thirty a second would never be there.
fn depth_us(rate: &Rate) -> u64 {
    if rate.meter == Meter::Requests {
        return product(time_of(rate, 1), rate.burst).unwrap_or(u64::MAX);
    }
    time_of(rate, rate.burst)
}

/// The time in which the rate refills `units`, rounded up: never more than the rate in the long run.
fn time_of(rate: &Rate, units: u64) -> u64 {
    let amount = rate.amount.max(1);
    if let Some(product) = product(rate.per_ms, 1_000).and_then(|period_us| product(period_us, units)) {
        // `amount` is at least 1.
        let whole = product.checked_div(amount).unwrap_or(u64::MAX);
        return whole.saturating_add(u64::from(product.checked_rem(amount).unwrap_or(0) > 0));
    }
    let period_us = u128::from(rate.per_ms).saturating_mul(1_000);
    let time = period_us.saturating_mul(units.into()).div_ceil(u128::from(amount));
    u64::try_from(time).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tariff::Scope;

    fn rate(amount: u64, per_ms: u64, burst: u64) -> Rate {
        let models = vec!["*".to_owned()];
        Rate {
            id: "rpm".to_owned(),
            meter: Meter::Requests,
            models,
            amount,
            per_ms,
            burst,
            scope: Scope::Account,
            sole: true,
        }
    }

    #[test]
    fn c3_as_many_pass_as_the_rate_says_whatever_its_period_divides_into() {
        for amount in [1, 7, 10, 20, 30, 40, 50, 80, 97, 3_000] {
            let rate = rate(amount, 1_000, amount);
            let mut full = 0;
            let passed = (0..2 * amount).take_while(|_| match take(&rate, full, 1, 1_000) {
                Verdict::Pass { full_us } => {
                    full = full_us;
                    true
                }
                Verdict::Wait { .. } => false,
            });
            assert_eq!(passed.count() as u64, amount);
            assert_eq!(remaining(&rate, full, 1_000), 0);
            assert_eq!(remaining(&rate, 0, 1_000), amount);
        }
    }

    #[test]
    fn m6_fifteen_a_minute_means_fifteen() {
        let rate = rate(15, 60_000, 15);
        let mut full = 0;
        for n in 0..15 {
            match take(&rate, full, 1, 1_000 + n) {
                Verdict::Pass { full_us } => full = full_us,
                Verdict::Wait { .. } => panic!("request {n} must pass"),
            }
        }
        assert_eq!(remaining(&rate, full, 1_014), 0);
        assert_eq!(take(&rate, full, 1, 1_014), Verdict::Wait { retry_us: 3_999_986 });
        assert!(matches!(take(&rate, full, 1, 1_014 + 3_999_986), Verdict::Pass { .. }));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_refill(
            amount in 1..200_u64, per_ms in 1..120_000_u64, burst in 1..50_u64,
            steps in proptest::collection::vec(0..500_000_u64, 1..300),
        ) {
            let rate = rate(amount, per_ms, burst);
            let (mut now, mut full, mut passed) = (10_000_000_u64, 0, 0_u64);
            let start = now;
            for step in steps {
                now += step;
                if let Verdict::Pass { full_us } = take(&rate, full, 1, now) {
                    full = full_us;
                    passed += 1;
                }
                let refill = u128::from(now - start) * u128::from(amount) / (u128::from(per_ms) * 1_000);
                prop_assert!(u128::from(passed) <= u128::from(burst) + refill + 1);
            }
        }

        #[test]
        fn what_is_given_back_can_be_taken(amount in 1..200_u64, per_ms in 1..120_000_u64, now in 1..1_000_000_000_u64) {
            let rate = rate(amount, per_ms, 1);
            let Verdict::Pass { full_us } = take(&rate, 0, 1, now) else { panic!("first must pass") };
            let refused = matches!(take(&rate, full_us, 1, now), Verdict::Wait { .. });
            prop_assert!(refused);
            let back = give_back(&rate, full_us, 1);
            prop_assert_eq!(take(&rate, back, 1, now), Verdict::Pass { full_us });
        }
    }
}

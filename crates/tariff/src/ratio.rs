//! Exact non-negative rationals: prices and factors, never floats.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A non-negative rational, always reduced, with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct Ratio {
    num: u128,
    den: u128,
}

impl Ratio {
    /// Zero.
    pub const ZERO: Self = Self { num: 0, den: 1 };
    /// One.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `num / den`, reduced; nothing for a zero denominator.
    #[must_use]
    pub fn new(num: u128, den: u128) -> Option<Self> {
        let divisor = gcd(num, den);
        Some(Self { num: num.checked_div(divisor)?, den: den.checked_div(divisor)? }).filter(|r| r.den != 0)
    }

    /// A whole number.
    #[must_use]
    pub const fn whole(value: u64) -> Self {
        Self { num: value as u128, den: 1 }
    }

    /// Reads a plain decimal such as `2.8` exactly; at most 12 digits after the point.
    #[must_use]
    pub fn parse_decimal(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 18 || fraction.len() > 12 || !digits(whole) || !digits(fraction)
        {
            return None;
        }
        let den = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let num = format!("{whole}{fraction}").parse::<u128>().ok()?;
        Self::new(num, den)
    }

    /// The product; nothing on overflow.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        // Cross-reduction first keeps the intermediates small.
        let a = Self::new(self.num, other.den)?;
        let b = Self::new(other.num, self.den)?;
        Self::new(a.num.checked_mul(b.num)?, a.den.checked_mul(b.den)?)
    }

    /// The quotient; nothing on overflow or for a zero divisor.
    #[must_use]
    pub fn checked_div(self, other: Self) -> Option<Self> {
        if other.num == 0 {
            return None;
        }
        self.checked_mul(Self { num: other.den, den: other.num })
    }

    /// The sum; nothing on overflow.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let divisor = gcd(self.den, other.den);
        let left = other.den.checked_div(divisor)?;
        let right = self.den.checked_div(divisor)?;
        let num = self.num.checked_mul(left)?.checked_add(other.num.checked_mul(right)?)?;
        Self::new(num, self.den.checked_mul(left)?)
    }

    /// The difference; nothing on overflow or where it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let divisor = gcd(self.den, other.den);
        let left = other.den.checked_div(divisor)?;
        let right = self.den.checked_div(divisor)?;
        let num = self.num.checked_mul(left)?.checked_sub(other.num.checked_mul(right)?)?;
        Self::new(num, self.den.checked_mul(left)?)
    }

    /// The largest whole number not above it; nothing where it does not fit.
    #[must_use]
    pub fn floor(self) -> Option<i64> {
        i64::try_from(self.num.checked_div(self.den)?).ok()
    }

    /// The nearest whole number, halves up; nothing where it does not fit.
    #[must_use]
    pub fn round_half_up(self) -> Option<i64> {
        let doubled = self.num.checked_mul(2)?.checked_add(self.den)?;
        i64::try_from(doubled.checked_div(self.den.checked_mul(2)?)?).ok()
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.num == 0
    }

    /// Numerator and denominator.
    #[must_use]
    pub const fn parts(self) -> (u128, u128) {
        (self.num, self.den)
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        // Whole parts first, then the same question about the reciprocals of the rests: no overflow.
        let (mut a, mut b) = (*self, *other);
        let mut flipped = false;
        loop {
            let quotients =
                (a.num.checked_div(a.den).unwrap_or(0)).cmp(&b.num.checked_div(b.den).unwrap_or(0));
            let order = if flipped { quotients.reverse() } else { quotients };
            if order != Ordering::Equal {
                return order;
            }
            let rests = (a.num.checked_rem(a.den).unwrap_or(0), b.num.checked_rem(b.den).unwrap_or(0));
            let order = match rests {
                (0, 0) => return Ordering::Equal,
                (0, _) => Ordering::Less,
                (_, 0) => Ordering::Greater,
                (rest_a, rest_b) => {
                    a = Self { num: a.den, den: rest_a };
                    b = Self { num: b.den, den: rest_b };
                    flipped = !flipped;
                    continue;
                }
            };
            return if flipped { order.reverse() } else { order };
        }
    }
}

impl TryFrom<(u64, u64)> for Ratio {
    type Error = &'static str;

    fn try_from((num, den): (u64, u64)) -> Result<Self, Self::Error> {
        Self::new(num.into(), den.into()).ok_or("a ratio's denominator is zero")
    }
}

impl From<Ratio> for (u64, u64) {
    fn from(ratio: Ratio) -> Self {
        // Catalog decimals have at most 18 + 12 digits; validation keeps them within 64 bits each.
        (u64::try_from(ratio.num).unwrap_or(u64::MAX), u64::try_from(ratio.den).unwrap_or(u64::MAX))
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).unwrap_or(0));
    }
    if a == 0 { 1 } else { a }
}

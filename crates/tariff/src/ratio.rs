//! Exact non-negative rationals: prices and factors, never floats.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A non-negative rational, always reduced, with a positive denominator.
///
/// Its serialized form is the pair of numerator and denominator, of 64 bits each. Prices and factors
/// of a valid catalog fit ([`Ratio::is_portable`]); any other ratio refuses to be serialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "(u64, u64)")]
pub struct Ratio {
    num: u128,
    den: u128,
}

/// Why a decimal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not of the form `digits[.digits]`.
    #[error("not a plain decimal number such as 2.8")]
    NotDecimal,
    /// More than [`Ratio::FRACTION_DIGITS_MAX`] digits after the point.
    #[error("more than 12 digits after the point")]
    TooFine,
    /// More than [`Ratio::WHOLE_DIGITS_MAX`] digits before the point.
    #[error("out of range")]
    OutOfRange,
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

    /// The most significant digits before the point of a decimal.
    pub const WHOLE_DIGITS_MAX: usize = 18;
    /// The most significant digits after the point of a decimal.
    pub const FRACTION_DIGITS_MAX: usize = 12;

    /// Reads a plain decimal such as `2.8` exactly.
    ///
    /// # Errors
    /// [`DecimalError`] says what is wrong with the text; nothing is rounded.
    pub fn parse_decimal(text: &str) -> Result<Self, DecimalError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(DecimalError::NotDecimal);
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if fraction.len() > Self::FRACTION_DIGITS_MAX {
            return Err(DecimalError::TooFine);
        }
        if whole.len() > Self::WHOLE_DIGITS_MAX {
            return Err(DecimalError::OutOfRange);
        }
        let num = format!("0{whole}{fraction}").parse().map_err(|_| DecimalError::OutOfRange)?;
        let den = u32::try_from(fraction.len()).ok().and_then(|digits| 10_u128.checked_pow(digits));
        den.and_then(|den| Self::new(num, den)).ok_or(DecimalError::OutOfRange)
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

    /// The smallest whole number not below it; nothing where it does not fit.
    #[must_use]
    pub fn ceil(self) -> Option<i64> {
        let (whole, rest) = (self.num.checked_div(self.den)?, self.num.checked_rem(self.den)?);
        i64::try_from(whole.checked_add(u128::from(rest > 0))?).ok()
    }

    /// The nearest whole number, halves up; nothing where it does not fit.
    #[must_use]
    pub fn round_half_up(self) -> Option<i64> {
        let (whole, rest) = (self.num.checked_div(self.den)?, self.num.checked_rem(self.den)?);
        // Asked without doubling, which could overflow: is the rest at least what is missing to one?
        let up = rest >= self.den.checked_sub(rest)?;
        i64::try_from(whole.checked_add(u128::from(up))?).ok()
    }

    /// Whether numerator and denominator fit 64 bits each, as the serialized form needs.
    #[must_use]
    pub fn is_portable(self) -> bool {
        self.pair().is_some()
    }

    fn pair(self) -> Option<(u64, u64)> {
        Some((u64::try_from(self.num).ok()?, u64::try_from(self.den).ok()?))
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

impl fmt::Display for Ratio {
    /// As a decimal, exact up to [`Ratio::FRACTION_DIGITS_MAX`] digits after the point (what a catalog can
    /// write), without zeros at its end; further digits are cut off.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.num.checked_div(self.den).unwrap_or(0);
        let mut rest = self.num.checked_rem(self.den).unwrap_or(0);
        let mut digits = String::new();
        while rest > 0 && digits.len() < Self::FRACTION_DIGITS_MAX {
            // A denominator that leaves no room for another digit ends the text early.
            let Some(scaled) = rest.checked_mul(10) else { break };
            let digit = scaled.checked_div(self.den).unwrap_or(0);
            digits.push(char::from_digit(u32::try_from(digit).unwrap_or(0), 10).unwrap_or('0'));
            rest = scaled.checked_rem(self.den).unwrap_or(0);
        }
        write!(f, "{whole}")?;
        match digits.trim_end_matches('0') {
            "" => Ok(()),
            digits => write!(f, ".{digits}"),
        }
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

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pair = self.pair().ok_or_else(|| serde::ser::Error::custom("a ratio exceeds 64 bits"))?;
        pair.serialize(serializer)
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).unwrap_or(0));
    }
    if a == 0 { 1 } else { a }
}

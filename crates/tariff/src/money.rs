//! Amounts of money: integers of micro-credits, checked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in micro-credits: 1 credit = 10^6 micro-credits.
///
/// On the edge's wire an amount is this integer; in the public API it is a decimal string in credits
/// (see [`Micros::parse`] and the `Display` form). It may be negative where a difference is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// Why a decimal amount was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not of the form `-?digits[.digits]`.
    #[error("not a decimal number")]
    NotDecimal,
    /// More than six digits after the point: below one micro-credit.
    #[error("more than 6 digits after the point")]
    TooFine,
    /// Outside of the 64-bit range of micro-credits.
    #[error("out of range")]
    OutOfRange,
}

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Micro-credits in one credit.
    pub const PER_CREDIT: i64 = 1_000_000;

    /// The amount in micro-credits.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or nothing where it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or nothing where it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Reads a decimal string in credits, such as `"3.4"` or `"-0.000001"`.
    ///
    /// # Errors
    /// [`MoneyError`] says what is wrong with the text; nothing is rounded.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(MoneyError::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 6 {
            return Err(MoneyError::TooFine);
        }
        // In 128 bits, since the most negative amount has no positive counterpart in 64.
        let whole: i128 = whole.parse().map_err(|_| MoneyError::OutOfRange)?;
        let fraction: i128 = format!("{fraction:0<6}").parse().map_err(|_| MoneyError::NotDecimal)?;
        whole
            .checked_mul(Self::PER_CREDIT.into())
            .and_then(|micros| micros.checked_add(fraction))
            .and_then(|magnitude| if negative { magnitude.checked_neg() } else { Some(magnitude) })
            .and_then(|micros| i64::try_from(micros).ok())
            .map(Self)
            .ok_or(MoneyError::OutOfRange)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / 1_000_000, magnitude % 1_000_000);
        write!(f, "{sign}{whole}.{fraction:06}")
    }
}

//! Lengths of time as contracts state them: calendar months, days and seconds, kept apart.
//!
//! Reads and writes ISO 8601 durations (`P1M`, `P7D`, `PT30S`). Adding a period to an instant, with
//! the clamping of short months, belongs to the ledger: nothing here knows a calendar.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A length of time; at least one part is positive.
///
/// Its parts are applied in the order months, days, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    months: u32,
    days: u32,
    seconds: u32,
}

/// Why a text is no period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not an ISO 8601 duration of whole numbers.
    #[error("not an ISO 8601 duration such as P1M, P7D or PT30S")]
    NotIso8601,
    /// A length of nothing.
    #[error("a period must be longer than zero")]
    Zero,
    /// Longer than [`Period::MONTHS_MAX`], [`Period::DAYS_MAX`] or [`Period::SECONDS_MAX`].
    #[error("longer than 100 years")]
    OutOfRange,
}

impl Period {
    /// The most months: 100 years.
    pub const MONTHS_MAX: u32 = 1_200;
    /// The most days: 100 years.
    pub const DAYS_MAX: u32 = 36_525;
    /// The most seconds: 100 years.
    pub const SECONDS_MAX: u32 = 3_155_760_000;
    /// One calendar month.
    pub const MONTH: Self = Self { months: 1, days: 0, seconds: 0 };

    /// A period of these parts.
    ///
    /// # Errors
    /// [`PeriodError::Zero`] where all are zero, [`PeriodError::OutOfRange`] above the limits.
    pub const fn new(months: u32, days: u32, seconds: u32) -> Result<Self, PeriodError> {
        if months > Self::MONTHS_MAX || days > Self::DAYS_MAX || seconds > Self::SECONDS_MAX {
            return Err(PeriodError::OutOfRange);
        }
        if months == 0 && days == 0 && seconds == 0 {
            return Err(PeriodError::Zero);
        }
        Ok(Self { months, days, seconds })
    }

    /// Calendar months; years count as twelve.
    #[must_use]
    pub const fn months(self) -> u32 {
        self.months
    }

    /// Days; weeks count as seven.
    #[must_use]
    pub const fn days(self) -> u32 {
        self.days
    }

    /// Seconds; hours and minutes are counted in.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds
    }

    /// Its length in milliseconds where that is fixed: nothing for months (28 to 31 days) and days
    /// (23 to 25 hours where clocks change).
    #[must_use]
    pub fn fixed_ms(self) -> Option<u64> {
        let fixed = self.months == 0 && self.days == 0;
        if fixed { u64::from(self.seconds).checked_mul(1_000) } else { None }
    }

    /// Reads an ISO 8601 duration: `P[nY][nM][nW][nD][T[nH][nM][nS]]`, whole numbers only.
    ///
    /// # Errors
    /// [`PeriodError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PeriodError> {
        let body = text.strip_prefix('P').ok_or(PeriodError::NotIso8601)?;
        let (date, time) = match body.split_once('T') {
            Some((_, "")) => return Err(PeriodError::NotIso8601),
            Some((date, time)) => (date, time),
            None if body.is_empty() => return Err(PeriodError::NotIso8601),
            None => (body, ""),
        };
        let [years, months, weeks, days] = designated(date, ['Y', 'M', 'W', 'D'])?;
        let [hours, minutes, seconds] = designated(time, ['H', 'M', 'S'])?;
        Self::new(
            weighted(&[(years, 12), (months, 1)])?,
            weighted(&[(weeks, 7), (days, 1)])?,
            weighted(&[(hours, 3_600), (minutes, 60), (seconds, 1)])?,
        )
    }
}

/// Numbers followed by their designators, each at most once and in order; absent is 0.
fn designated<const N: usize>(text: &str, designators: [char; N]) -> Result<[u32; N], PeriodError> {
    let mut rest = text;
    let mut numbers = [0; N];
    for (number, designator) in numbers.iter_mut().zip(designators) {
        let Some((digits, after)) = rest.split_once(designator) else { continue };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PeriodError::NotIso8601);
        }
        *number = digits.parse().map_err(|_| PeriodError::OutOfRange)?;
        rest = after;
    }
    if rest.is_empty() { Ok(numbers) } else { Err(PeriodError::NotIso8601) }
}

fn weighted(parts: &[(u32, u32)]) -> Result<u32, PeriodError> {
    parts
        .iter()
        .try_fold(0_u32, |sum, (number, weight)| sum.checked_add(number.checked_mul(*weight)?))
        .ok_or(PeriodError::OutOfRange)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        if self.months > 0 {
            write!(f, "{}M", self.months)?;
        }
        if self.days > 0 {
            write!(f, "{}D", self.days)?;
        }
        if self.seconds > 0 {
            write!(f, "T{}S", self.seconds)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

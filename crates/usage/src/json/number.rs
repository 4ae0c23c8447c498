//! Numbers: their grammar, byte by byte, and what is kept of their value.

/// What a number is, as far as counts and bounds care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Digits only, and they fit.
    Integer(u64),
    /// More digits before the point than fit `u64`.
    TooLarge,
    /// With a minus sign, `-0` included.
    Negative,
    /// With a fraction or an exponent, `1.0` and `1e3` included.
    Fraction(Decimal),
}

/// An exact decimal: digits times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// The digits; digits behind the point that 64 bits have no room for are cut off.
    digits: u64,
    /// The power of ten.
    power: i16,
    /// It was written without an exponent.
    plain: bool,
}

/// A number that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberReader {
    part: Part,
    value: Option<u64>,
    negative: bool,
    fraction: bool,
    /// Digits behind the point that are in the value.
    behind: i16,
    exponent: i16,
    exponent_negative: bool,
    has_exponent: bool,
}

/// What a byte does to the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberStep {
    /// The byte belongs to it.
    Taken,
    /// The number ended before the byte.
    Ended,
    /// The number cannot end or go on here.
    Broken,
}

/// The last part of the number that was read (RFC 8259 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl NumberReader {
    /// A number that begins with this byte, if one can.
    #[inline]
    pub(super) fn begin(byte: u8) -> Option<Self> {
        let (part, value) = match byte {
            b'-' => (Part::Minus, 0),
            b'0' => (Part::Zero, 0),
            b'1'..=b'9' => (Part::Digits, digit(byte)),
            _ => return None,
        };
        Some(Self {
            part,
            value: Some(value),
            negative: byte == b'-',
            fraction: false,
            behind: 0,
            exponent: 0,
            exponent_negative: false,
            has_exponent: false,
        })
    }

    /// Reads the next byte.
    #[inline]
    pub(super) fn step(&mut self, byte: u8) -> NumberStep {
        self.part = match (self.part, byte) {
            (Part::Digits, b'0'..=b'9') => {
                // A checked product of 64 bits is a function call on the filter's target.
                self.value = self
                    .value
                    .filter(|value| *value <= u64::MAX / 10)
                    .and_then(|value| value.wrapping_mul(10).checked_add(digit(byte)));
                Part::Digits
            }
            (Part::Minus, b'0') => Part::Zero,
            (Part::Minus, b'1'..=b'9') => Part::Digits,
            (Part::Zero | Part::Digits, b'.') => Part::Point,
            (Part::Point | Part::Fraction, b'0'..=b'9') => {
                self.behind(byte);
                Part::Fraction
            }
            (Part::Zero | Part::Digits | Part::Fraction, b'e' | b'E') => Part::Exponent,
            (Part::Exponent, b'+' | b'-') => {
                self.exponent_negative = byte == b'-';
                Part::ExponentSign
            }
            (Part::Exponent | Part::ExponentSign | Part::ExponentDigits, b'0'..=b'9') => {
                let next =
                    self.exponent.saturating_mul(10).saturating_add(i16::from(byte.wrapping_sub(b'0')));
                self.exponent = next.min(EXPONENT_MAX);
                Part::ExponentDigits
            }
            _ if self.may_end() => return NumberStep::Ended,
            _ => return NumberStep::Broken,
        };
        self.has_exponent |= self.part == Part::Exponent;
        self.fraction |= self.has_exponent || self.part == Part::Point;
        NumberStep::Taken
    }

    /// Takes a digit behind the point, as long as there is room.
    fn behind(&mut self, byte: u8) {
        let Some(value) = self.value.filter(|value| *value < u64::MAX / 10) else { return };
        self.value = Some(value.wrapping_mul(10).wrapping_add(digit(byte)));
        self.behind = self.behind.saturating_add(1);
    }

    /// Whether it is a whole number as it stands.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.part, Part::Zero | Part::Digits | Part::Fraction | Part::ExponentDigits)
    }

    /// What it is.
    pub(super) fn number(&self) -> Number {
        match self.value {
            _ if self.negative => Number::Negative,
            Some(digits) if self.fraction => {
                let exponent =
                    if self.exponent_negative { self.exponent.saturating_neg() } else { self.exponent };
                let power = exponent.saturating_sub(self.behind);
                Number::Fraction(Decimal { digits, power, plain: !self.has_exponent })
            }
            Some(value) => Number::Integer(value),
            None => Number::TooLarge,
        }
    }
}

// === impl Number ===

/// The largest exponent that is told apart: beyond it nothing is a number that anybody means.
const EXPONENT_MAX: i16 = 999;

impl Number {
    /// What digits alone say; too large where they are none.
    pub(crate) fn of_digits(digits: &[u8]) -> Self {
        let number = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
        number.and_then(|digits| digits.parse().ok()).map_or(Self::TooLarge, Self::Integer)
    }

    /// So many times ten to the power of `power`, rounded half up; nothing where it is negative or beyond `u64`.
    pub(crate) fn times_ten_to(self, power: i16) -> Option<u64> {
        let (whole, rest, of) = self.divided(power)?;
        whole.checked_add(u64::from(rest >= of.saturating_sub(rest)))
    }

    /// The next whole number that is not below it; itself where there is none, and where it has an exponent.
    pub(crate) fn rounded_up(self) -> Self {
        if matches!(self, Self::Fraction(Decimal { plain: false, .. })) {
            return self;
        }
        let up = self.divided(0).and_then(|(whole, rest, _)| whole.checked_add(u64::from(rest > 0)));
        up.map_or(self, Self::Integer)
    }

    /// The same as an integer where it has a point and nothing but zeros behind it; else itself.
    pub(crate) fn whole(self) -> Self {
        let divided = self.divided(0).filter(|(_, rest, _)| *rest == 0);
        match (self, divided) {
            (Self::Fraction(Decimal { plain: true, .. }), Some((whole, ..))) => Self::Integer(whole),
            _ => self,
        }
    }

    /// The whole part of so many times ten to the power of `power`, and the rest as so many parts of how many.
    fn divided(self, power: i16) -> Option<(u64, u64, u64)> {
        let (digits, own) = match self {
            Self::Integer(value) => (value, 0),
            Self::Fraction(Decimal { digits, power, .. }) => (digits, power),
            Self::TooLarge | Self::Negative => return None,
        };
        let power = power.saturating_add(own);
        match (10_u64.checked_pow(power.unsigned_abs().into()), power >= 0) {
            (Some(ten), true) => Some((digits.checked_mul(ten)?, 0, 1)),
            (None, true) => (digits == 0).then_some((0, 0, 1)),
            (Some(ten), false) => Some((digits.checked_div(ten)?, digits.checked_rem(ten)?, ten)),
            // Whatever it is, it is little of so many.
            (None, false) => Some((0, digits.min(1), u64::MAX)),
        }
    }
}

#[inline]
fn digit(byte: u8) -> u64 {
    u64::from(byte.wrapping_sub(b'0'))
}

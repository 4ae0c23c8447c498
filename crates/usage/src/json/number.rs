//! Numbers: their grammar, byte by byte, and what is kept of their value.

/// What a number is, as far as counts and bounds care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Digits only, and they fit.
    Integer(u64),
    /// Digits only, beyond `u64`.
    TooLarge,
    /// With a minus sign, `-0` included.
    Negative,
    /// With a fraction and without exponent, `1.0` included: rounded up to the next whole number.
    Decimal(u64),
    /// With an exponent, `1e3` included, or a fraction beyond `u64`.
    Fraction,
}

/// A number that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberReader {
    part: Part,
    value: Option<u64>,
    negative: bool,
    fraction: bool,
    /// A digit behind the point is not zero.
    above: bool,
    exponent: bool,
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
            above: false,
            exponent: false,
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
            (Part::Point | Part::Fraction, b'0'..=b'9') => Part::Fraction,
            (Part::Zero | Part::Digits | Part::Fraction, b'e' | b'E') => Part::Exponent,
            (Part::Exponent, b'+' | b'-') => Part::ExponentSign,
            (Part::Exponent | Part::ExponentSign | Part::ExponentDigits, b'0'..=b'9') => Part::ExponentDigits,
            _ if self.may_end() => return NumberStep::Ended,
            _ => return NumberStep::Broken,
        };
        match self.part {
            Part::Point => self.fraction = true,
            Part::Fraction => self.above |= byte != b'0',
            Part::Exponent => self.exponent = true,
            _ => {}
        }
        NumberStep::Taken
    }

    /// Whether it is a whole number as it stands.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.part, Part::Zero | Part::Digits | Part::Fraction | Part::ExponentDigits)
    }

    /// What it is.
    pub(super) fn number(&self) -> Number {
        match self.value {
            _ if self.negative => Number::Negative,
            _ if self.exponent => Number::Fraction,
            Some(value) if self.fraction => {
                value.checked_add(u64::from(self.above)).map_or(Number::Fraction, Number::Decimal)
            }
            None if self.fraction => Number::Fraction,
            Some(value) => Number::Integer(value),
            None => Number::TooLarge,
        }
    }
}

#[inline]
fn digit(byte: u8) -> u64 {
    u64::from(byte.wrapping_sub(b'0'))
}

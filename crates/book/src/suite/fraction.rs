//! Fractions for the naive book: two whole numbers, nothing more.

use std::cmp::Ordering;

/// A fraction in lowest terms that is not negative; panics where 128 bits do not hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    num: i128,
    den: i128,
}

impl Fraction {
    pub fn new(num: i128, den: i128) -> Self {
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { num: num / a, den: den / a }
    }

    pub fn plus(self, other: Self) -> Self {
        Self::new(self.num * other.den + other.num * self.den, self.den * other.den)
    }

    pub fn minus(self, other: Self) -> Self {
        Self::new(self.num * other.den - other.num * self.den, self.den * other.den)
    }

    pub fn times(self, num: i128, den: i128) -> Self {
        Self::new(self.num * num, self.den * den)
    }

    pub fn at_most(self, whole: i128) -> bool {
        self.num <= whole * self.den
    }

    /// The nearest whole number, halves up.
    pub fn rounded(self) -> i128 {
        (2 * self.num + self.den) / (2 * self.den)
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fraction {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.num * other.den).cmp(&(other.num * self.den))
    }
}

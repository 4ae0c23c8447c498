//! Amounts in the testbed's own hands: it trusts no arithmetic of the programs it tests.

/// Micro-credits in one credit.
pub const PER_CREDIT: i64 = 1_000_000;

/// Reads a decimal number of credits, in micro-credits.
#[must_use]
pub fn micros(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<6}");
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || fraction.len() != 6 || !digits(&fraction) {
        return None;
    }
    let micros = whole.parse::<i64>().ok()?.checked_mul(PER_CREDIT)?.checked_add(fraction.parse().ok()?)?;
    micros.checked_mul(sign)
}

/// Micro-credits as a decimal number of credits.
#[must_use]
pub fn credits(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let magnitude = micros.unsigned_abs();
    format!("{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, amount) in [("12.500000", 12_500_000), ("-0.000001", -1), ("0.000000", 0)] {
            assert_eq!(micros(text), Some(amount));
            assert_eq!(credits(amount), text);
        }
        assert_eq!(micros("3"), Some(3_000_000));
        assert_eq!(micros("3.4"), Some(3_400_000));
        for bad in ["", ".", "1.0000001", "1e3", "+1", "x"] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}

//! Instants as texts (RFC 3339, in UTC, as the ledger writes them), read where a header needs seconds.

/// Milliseconds since 1970; nothing for any other form than `2026-11-20T12:00:00Z`, with or without a fraction,
/// which is left out.
#[must_use]
pub fn millis(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !in_range {
        return None;
    }
    // Days of the proleptic Gregorian calendar, counted from March so that the leap day comes last.
    let years = if month > 2 { year } else { year.checked_sub(1)? };
    let months = (month.checked_add(9)?) % 12;
    let leap_days =
        years.div_euclid(4).checked_sub(years.div_euclid(100))?.checked_add(years.div_euclid(400))?;
    let of_months = months.checked_mul(153)?.checked_add(2)?.div_euclid(5);
    let days = years.checked_mul(365)?.checked_add(leap_days)?.checked_add(of_months)?.checked_add(day)?;
    let days = days.checked_sub(DAYS_TO_1970)?;
    let hours = days.checked_mul(24)?.checked_add(hour)?;
    let minutes = hours.checked_mul(60)?.checked_add(minute)?;
    minutes.checked_mul(60)?.checked_add(second)?.checked_mul(1_000)
}

/// Days from the first of March of the year 0 to 1970, and one as days of a month count from 1.
const DAYS_TO_1970: i64 = 719_469;

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok().filter(|number| *number >= 0));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn instants_are_read_as_the_calendar_has_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-02T00:00:01Z", 86_401),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2024-12-31T23:59:59.999Z", 1_735_689_599),
            ("2026-11-20T06:30:00Z", 1_795_156_200),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(millis(text), Some(seconds * 1_000), "{text}");
        }
        for text in
            ["", "2026-11-20", "2026-11-20T06:30:00+01:00", "2026-13-01T00:00:00Z", "2026-11-20T06:30Z", "x"]
        {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}

//! Calendar arithmetic on instants, in a time zone.
//!
//! Instants are milliseconds since 1970. Periods are added from one anchor, never step by step, so
//! that a short month clamps its own date and no later one (31 Jan, 28 Feb, 31 Mar; M5, L9). Months and days are
//! those of the zone's calendar; a time that its clocks skip is as much later as they skip, one that they show
//! twice is the first of them. Seconds are seconds.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use tariff::Period;

/// `times` periods after an instant, by the UTC calendar; nothing beyond the calendar's range.
#[must_use]
pub fn after(anchor: i64, period: Period, times: u64) -> Option<i64> {
    after_in(&TimeZone::UTC, anchor, period, times)
}

/// `times` periods after an instant, by a zone's calendar; nothing beyond the calendar's range.
#[must_use]
pub fn after_in(zone: &TimeZone, anchor: i64, period: Period, times: u64) -> Option<i64> {
    if times == 0 {
        // The very instant, where clocks show its time twice.
        return Timestamp::from_millisecond(anchor).ok().map(|_| anchor);
    }
    let count = |part: u32| i64::from(part).checked_mul(i64::try_from(times).ok()?);
    let start: DateTime = Timestamp::from_millisecond(anchor).ok()?.to_zoned(zone.clone()).datetime();
    let months = start.checked_add(Span::new().try_months(count(period.months())?).ok()?).ok()?;
    let days = months.checked_add(Span::new().try_days(count(period.days())?).ok()?).ok()?;
    // Only whole days are the calendar's: without any, an hour is an hour from the instant itself.
    let begun = if period.months() == 0 && period.days() == 0 {
        anchor
    } else {
        zone.to_timestamp(days).ok()?.as_millisecond()
    };
    let end = begun.checked_add(count(period.seconds())?.checked_mul(1_000)?)?;
    Timestamp::from_millisecond(end).ok().map(|_| end)
}

/// How many whole periods lie between an anchor and an instant that is not before it, by the UTC calendar.
#[must_use]
pub fn elapsed(anchor: i64, period: Period, instant: i64) -> u64 {
    elapsed_in(&TimeZone::UTC, anchor, period, instant)
}

/// The same by a zone's calendar.
#[must_use]
pub fn elapsed_in(zone: &TimeZone, anchor: i64, period: Period, instant: i64) -> u64 {
    let begun = |times: u64| after_in(zone, anchor, period, times).is_some_and(|start| start <= instant);
    let mut high = 1_u64;
    while begun(high) {
        high = high.saturating_mul(2);
    }
    let mut low = high.wrapping_shr(1);
    // `low` periods have elapsed, `high` have not.
    while high.saturating_sub(low) > 1 {
        let middle = low.saturating_add(high.saturating_sub(low).wrapping_shr(1));
        if begun(middle) { low = middle } else { high = middle }
    }
    low
}

/// The time zone of that IANA name; UTC where there is none of it.
#[must_use]
pub fn zone(name: &str) -> TimeZone {
    if name.is_empty() || name == "UTC" {
        TimeZone::UTC
    } else {
        TimeZone::get(name).unwrap_or(TimeZone::UTC)
    }
}

/// An instant as RFC 3339 in UTC; nothing beyond the calendar's range.
#[must_use]
pub fn rfc3339(instant: i64) -> Option<String> {
    Timestamp::from_millisecond(instant).ok().map(|timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn months(anchor: &str, times: u64) -> String {
        rfc3339(after(at(anchor), Period::MONTH, times).unwrap()).unwrap()
    }

    #[test]
    fn months_clamp_from_the_anchor_without_drift() {
        assert_eq!(months("2026-01-31T10:00:00Z", 1), "2026-02-28T10:00:00Z");
        assert_eq!(months("2026-01-31T10:00:00Z", 2), "2026-03-31T10:00:00Z");
        assert_eq!(months("2026-01-31T10:00:00Z", 3), "2026-04-30T10:00:00Z");
        assert_eq!(months("2026-08-31T00:00:00Z", 12), "2027-08-31T00:00:00Z");
    }

    #[test]
    fn m5_a_year_after_29_february_is_28_february() {
        assert_eq!(months("2028-02-29T12:00:00.25Z", 12), "2029-02-28T12:00:00.25Z");
        assert_eq!(months("2028-02-29T12:00:00Z", 48), "2032-02-29T12:00:00Z");
    }

    #[test]
    fn l9_in_a_zone_months_begin_at_the_same_local_time() {
        let zone = zone("Europe/Berlin");
        let anchor = at("2025-12-30T23:00:00Z");
        let months = [1, 2, 3, 4, 10].map(|times| after_in(&zone, anchor, Period::MONTH, times).unwrap());
        // Midnight of the 31st, clamped: 31 January, 28 February, 31 March (summer time), 30 April, 31 October.
        let expected = [
            "2026-01-30T23:00:00Z",
            "2026-02-27T23:00:00Z",
            "2026-03-30T22:00:00Z",
            "2026-04-29T22:00:00Z",
            "2026-10-30T23:00:00Z",
        ];
        assert_eq!(months.map(|instant| rfc3339(instant).unwrap()), expected);
        assert_eq!(elapsed_in(&zone, anchor, Period::MONTH, at("2026-03-30T21:59:59Z")), 2);
        // 2:30 does not exist on 29 March 2026: it is 3:30.
        let day = Period::new(0, 1, 0).unwrap();
        let skipped = after_in(&zone, at("2026-03-28T01:30:00Z"), day, 1).unwrap();
        assert_eq!(rfc3339(skipped).unwrap(), "2026-03-29T01:30:00Z");
        assert_eq!(super::zone("No/Where"), TimeZone::UTC);
    }

    #[test]
    fn elapsed_is_the_inverse_of_after() {
        let anchor = at("2024-01-31T06:30:00Z");
        for period in ["P1M", "P7D", "PT30S", "P1M3DT5S"].map(|text| Period::parse(text).unwrap()) {
            for times in [0, 1, 2, 11, 12, 13, 100, 777] {
                let start = after(anchor, period, times).unwrap();
                assert_eq!(elapsed(anchor, period, start), times, "{period} {times}");
                assert_eq!(elapsed(anchor, period, start.saturating_add(999)), times, "{period} {times}");
                if times > 0 {
                    assert_eq!(elapsed(anchor, period, start.saturating_sub(1)), times.saturating_sub(1));
                }
            }
        }
    }

    #[test]
    fn beyond_the_calendar_there_is_nothing() {
        assert_eq!(after(i64::MAX, Period::MONTH, 1), None);
        assert_eq!(after(0, Period::MONTH, u64::MAX), None);
    }
}

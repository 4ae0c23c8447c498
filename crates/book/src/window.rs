//! Windows of limits: which one runs at an instant (P4, P6, L9).
//!
//! A window is known by its key; nothing is ever reset. All are half-open. Days, weeks and months are those of
//! the account's time zone; cycles and what is anchored in them are counted from the billing cycle's start.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use tariff::{Period, RunningWindow, Window};

use crate::calendar;

/// What windows depend on beside the instant.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The account's time zone.
    pub zone: TimeZone,
    /// The first instant of the billing cycle, and the first one after it.
    pub cycle: (i64, i64),
}

/// A window: its key, its first instant, the first one after it.
type Found = (String, i64, i64);

/// The window of a limit that runs at an instant; nothing beyond the calendar's range.
#[must_use]
pub fn running(limit: &str, window: Window, frame: &Frame, now: i64) -> Option<RunningWindow> {
    let (key, start, end) = match window {
        Window::Cycle => (compact(frame.cycle.0)?, frame.cycle.0, frame.cycle.1),
        Window::Anchored(period) => anchored(period, frame, now)?,
        Window::Day => day(&local(frame, now)?)?,
        Window::Week => week(&local(frame, now)?)?,
        Window::Month => month(&local(frame, now)?)?,
    };
    Some(RunningWindow { limit: limit.to_owned(), key, start, end })
}

fn local(frame: &Frame, now: i64) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(now).ok()?.to_zoned(frame.zone.clone()))
}

/// Windows of so long each; the last one of a cycle ends with it.
fn anchored(period: Period, frame: &Frame, now: i64) -> Option<Found> {
    let (anchor, end_of_cycle) = frame.cycle;
    let number = calendar::elapsed_in(&frame.zone, anchor, period, now);
    let start = calendar::after_in(&frame.zone, anchor, period, number)?;
    let end = calendar::after_in(&frame.zone, anchor, period, number.checked_add(1)?)?;
    Some((compact(start)?, start, end.min(end_of_cycle)))
}

fn day(now: &Zoned) -> Option<Found> {
    let date = now.date();
    let next = date.tomorrow().ok()?;
    Some((date.to_string(), begins(now, date)?, begins(now, next)?))
}

fn week(now: &Zoned) -> Option<Found> {
    let week = now.date().iso_week_date();
    let monday = week.first_of_week().ok()?.date();
    let next = monday.checked_add(Span::new().weeks(1)).ok()?;
    let key = format!("{:04}-W{:02}", week.year(), week.week());
    Some((key, begins(now, monday)?, begins(now, next)?))
}

fn month(now: &Zoned) -> Option<Found> {
    let first = now.date().first_of_month();
    let next = first.checked_add(Span::new().months(1)).ok()?;
    let key = format!("{:04}-{:02}", first.year(), first.month());
    Some((key, begins(now, first)?, begins(now, next)?))
}

/// The first instant of a date.
fn begins(now: &Zoned, date: jiff::civil::Date) -> Option<i64> {
    let start = date.to_zoned(now.time_zone().clone()).ok()?.start_of_day().ok()?;
    Some(start.timestamp().as_millisecond())
}

/// An instant as short as it can be told, without colons (`20261120T000000Z`).
#[must_use]
pub fn compact(instant: i64) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(instant).ok()?;
    let text = timestamp.to_string();
    Some(text.chars().filter(|char| !matches!(char, '-' | ':')).collect())
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::suite::days;

    /// Zones with clocks that change by an hour, half of one, at midnight, over the date line, or not at all.
    const ZONES: [&str; 10] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/Havana",
        "Africa/Cairo",
        "Asia/Beirut",
        "Pacific/Chatham",
    ];
    const QUARTER: i64 = 900_000;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// What clocks show: the instant as if it were UTC.
    fn shown(zone: &TimeZone, instant: i64) -> i64 {
        let offset = zone.to_offset(Timestamp::from_millisecond(instant).unwrap());
        instant + i64::from(offset.seconds()) * 1_000
    }

    /// A number that days of one window share, by counting days alone: 1 January 1970 was a Thursday.
    fn group(window: Window, shown: i64) -> i64 {
        let day = shown.div_euclid(86_400_000);
        match window {
            Window::Week => (day + 3).div_euclid(7),
            Window::Month => {
                let month = |months| days::after(0, Period::MONTH, months) / 86_400_000;
                (day / 31..).find(|months| month(*months as u64 + 1) > day).unwrap()
            }
            _ => day,
        }
    }

    /// The first instant of a window and the first one after it, by steps of a quarter of an hour: clocks have changed
    /// at no other times since 1970 in these zones.
    fn stepped(zone: &TimeZone, window: Window, now: i64) -> (i64, i64) {
        let own = group(window, shown(zone, now));
        let quarter = now.div_euclid(QUARTER) * QUARTER;
        let mut start = quarter;
        while group(window, shown(zone, start - QUARTER)) == own {
            start -= QUARTER;
        }
        let mut end = quarter + QUARTER;
        while group(window, shown(zone, end)) == own {
            end += QUARTER;
        }
        (start, end)
    }

    #[test]
    fn keys_name_their_windows() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let cycle = (at("2026-11-20T09:00:00Z"), at("2026-12-20T09:00:00Z"));
        let frame = Frame { zone, cycle };
        let now = at("2026-12-18T23:30:00.5Z");
        let key = |window| running("l", window, &frame, now).unwrap().key;
        assert_eq!(key(Window::Day), "2026-12-19");
        assert_eq!(key(Window::Week), "2026-W51");
        assert_eq!(key(Window::Month), "2026-12");
        assert_eq!(key(Window::Cycle), "20261120T090000Z");
        let weeks = running("l", Window::Anchored(Period::new(0, 7, 0).unwrap()), &frame, now).unwrap();
        assert_eq!(
            (&*weeks.key, weeks.end),
            ("20261218T090000Z", cycle.1),
            "the cycle's end cuts the last week"
        );
        assert_eq!(compact(at("2026-01-02T03:04:05.006Z")).unwrap(), "20260102T030405.006Z");
    }

    #[test]
    fn days_have_23_to_25_hours_and_one_was_skipped() {
        let hours = |zone: &str, now: &str| {
            let frame = Frame { zone: TimeZone::get(zone).unwrap(), cycle: (0, 0) };
            let day = running("l", Window::Day, &frame, at(now)).unwrap();
            (day.key, (day.end - day.start) / 3_600_000)
        };
        assert_eq!(hours("Europe/Berlin", "2026-03-29T12:00:00Z"), ("2026-03-29".to_owned(), 23));
        assert_eq!(hours("Europe/Berlin", "2026-10-25T12:00:00Z"), ("2026-10-25".to_owned(), 25));
        // At midnight clocks went from 23:59 to 1:00: the day begins at one.
        assert_eq!(hours("Asia/Beirut", "2026-03-28T23:00:00Z"), ("2026-03-29".to_owned(), 23));
        // Samoa had no 30 December 2011.
        assert_eq!(hours("Pacific/Apia", "2011-12-30T09:59:59Z"), ("2011-12-29".to_owned(), 24));
        assert_eq!(hours("Pacific/Apia", "2011-12-30T10:00:00Z"), ("2011-12-31".to_owned(), 24));
        assert_eq!(hours("UTC", "2028-02-29T00:00:00Z"), ("2028-02-29".to_owned(), 24));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::suite::cases(64)))]

        #[test]
        fn calendar_windows_are_what_counting_days_comes_to(
            zone in 0..ZONES.len(),
            now in 946_684_800_000_i64..2_208_988_800_000,
            kind in 0..3_u8,
        ) {
            let window = match kind { 0 => Window::Day, 1 => Window::Week, _ => Window::Month };
            let zone = TimeZone::get(ZONES[zone]).unwrap();
            let frame = Frame { zone: zone.clone(), cycle: (0, 0) };
            let found = running("l", window, &frame, now).unwrap();
            prop_assert_eq!((found.start, found.end), stepped(&zone, window, now));
            // Half-open: its last millisecond is its own, the next one is the next window's.
            let key = |at| running("l", window, &frame, at).unwrap().key;
            prop_assert_eq!(&key(found.start), &found.key);
            prop_assert_eq!(&key(found.end - 1), &found.key);
            prop_assert_ne!(&key(found.end), &found.key);
        }

        #[test]
        fn anchored_windows_follow_one_another_from_the_cycle_on(
            zone in 0..ZONES.len(),
            start in 946_684_800_000_i64..2_208_988_800_000,
            length in 1..60_i64,
            days in 1..9_u32,
            within in any::<u32>(),
        ) {
            let zone = TimeZone::get(ZONES[zone]).unwrap();
            let cycle = (start, start + length * 86_400_000);
            let frame = Frame { zone: zone.clone(), cycle };
            let now = start + i64::from(within) % (cycle.1 - start);
            let window = Window::Anchored(Period::new(0, days, 0).unwrap());
            let found = running("l", window, &frame, now).unwrap();
            prop_assert!((found.start..found.end).contains(&now) && found.end <= cycle.1);
            // Step by step from the cycle's start: so many days later the clocks show the same time again, or as much
            // more as they skip.
            let mut step = start;
            for times in 1_i64.. {
                let wanted = shown(&zone, start) + times * i64::from(days) * 86_400_000;
                let same = |at: &i64| shown(&zone, *at) == wanted;
                let near = wanted - 50_400_000..=wanted + 46_800_000;
                let exact = near.step_by(900_000).find(same);
                let next = exact.unwrap_or_else(|| {
                    let before = shown(&zone, wanted - 86_400_000) - (wanted - 86_400_000);
                    wanted - before
                });
                if next > now {
                    prop_assert_eq!((found.start, found.end), (step, next.min(cycle.1)));
                    break;
                }
                step = next;
            }
        }
    }
}

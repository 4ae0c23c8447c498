//! The naive book's calendar: days, counted.

use tariff::Period;

/// How many whole periods lie between two instants.
pub fn elapsed(anchor: i64, period: Period, now: i64) -> u64 {
    (0..).find(|times| after(anchor, period, times + 1) > now).unwrap()
}

/// An instant so many periods later, by counting days.
pub fn after(anchor: i64, period: Period, times: u64) -> i64 {
    let times = times as i64;
    let (days, within) = (anchor.div_euclid(86_400_000), anchor.rem_euclid(86_400_000));
    let (mut year, mut month, mut day) = date(days);
    month += i64::from(period.months()) * times;
    year += (month - 1).div_euclid(12);
    month = (month - 1).rem_euclid(12) + 1;
    day = day.min(days_in(year, month));
    let days = day_number(year, month, day) + i64::from(period.days()) * times;
    days * 86_400_000 + within + i64::from(period.seconds()) * 1_000 * times
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1 January 1970 to the first day of a year.
fn year_begins(year: i64) -> i64 {
    let leaps = |year: i64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    (year - 1970) * 365 + leaps(year) - leaps(1970)
}

fn day_number(year: i64, month: i64, day: i64) -> i64 {
    year_begins(year) + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

fn date(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days / 366;
    while year_begins(year + 1) <= days {
        year += 1;
    }
    let (mut month, mut day) = (1, days - year_begins(year) + 1);
    while day > days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    (year, month, day)
}

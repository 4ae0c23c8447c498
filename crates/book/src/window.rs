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
type Span3 = (String, i64, i64);

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
fn anchored(period: Period, frame: &Frame, now: i64) -> Option<Span3> {
    let (anchor, end_of_cycle) = frame.cycle;
    let number = calendar::elapsed_in(&frame.zone, anchor, period, now);
    let start = calendar::after_in(&frame.zone, anchor, period, number)?;
    let end = calendar::after_in(&frame.zone, anchor, period, number.checked_add(1)?)?;
    Some((compact(start)?, start, end.min(end_of_cycle)))
}

fn day(now: &Zoned) -> Option<Span3> {
    let date = now.date();
    let next = date.tomorrow().ok()?;
    Some((date.to_string(), begins(now, date)?, begins(now, next)?))
}

fn week(now: &Zoned) -> Option<Span3> {
    let week = now.date().iso_week_date();
    let monday = week.first_of_week().ok()?.date();
    let next = monday.checked_add(Span::new().weeks(1)).ok()?;
    let key = format!("{:04}-W{:02}", week.year(), week.week());
    Some((key, begins(now, monday)?, begins(now, next)?))
}

fn month(now: &Zoned) -> Option<Span3> {
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

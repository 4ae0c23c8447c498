//! Nodes to single values: text, names, flags, whole numbers, exact decimals, periods, instants.
//!
//! Each reader reports what is wrong with its node and then gives nothing. Numbers may be quoted.

use std::ops::RangeInclusive;

use super::limits::{AMOUNT_MAX, MODEL_NAME_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use super::meant;
use super::problem::{Report, quoted, suggestion};
use super::tree::{Node, Value};
use crate::money::Micros;
use crate::period::Period;
use crate::ratio::Ratio;

impl Node {
    /// The scalar's text, as it stands in the file.
    fn scalar(&self, wanted: &str, report: &mut Report) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Refused => None,
            other @ (Value::Null | Value::List(_) | Value::Map(_)) => {
                report.on(self, format!("expected {wanted}, found {}", other.kind()));
                None
            }
        }
    }

    /// Text for people: not empty, one line.
    pub(super) fn text(&self, report: &mut Report) -> Option<String> {
        let text = self.scalar("text", report)?;
        if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            report.on(self, format!("expected one line of text of at most {TEXT_BYTES_MAX} bytes"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A link.
    pub(super) fn link(&self, report: &mut Report) -> Option<String> {
        let text = self.text(report)?;
        let known = ["https://", "http://", "mailto:"].iter().any(|scheme| text.starts_with(scheme));
        if !known || text.contains(char::is_whitespace) {
            report.on_with(self, "not a link", "a link starts with https://, http:// or mailto:");
            return None;
        }
        Some(text)
    }

    /// A word of a closed set.
    pub(super) fn word<T: Copy>(&self, kind: &str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        let text = self.scalar("a word", report)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let hint = meant::word(text, words.iter().map(|(word, _)| *word));
            report.add(self.mark, &self.path, format!("unknown {kind} {}", quoted(text)), hint);
        }
        found
    }

    /// A name that must be among the known ones.
    pub(super) fn reference(&self, kind: &str, known: &[&str], report: &mut Report) -> Option<String> {
        let text = self.scalar("a name", report)?;
        if !known.contains(&text) {
            let hint = suggestion(text, known.iter().copied());
            report.add(self.mark, &self.path, format!("unknown {kind} {}", quoted(text)), hint);
            return None;
        }
        Some(text.to_owned())
    }

    /// A name that is defined here.
    pub(super) fn name(&self, report: &mut Report) -> Option<String> {
        let text = self.scalar("a name", report)?;
        if !is_name(text) {
            report.on_with(self, format!("{} is not a name", quoted(text)), NAME_HINT);
            return None;
        }
        Some(text.to_owned())
    }

    /// A pattern for the names of models.
    pub(super) fn pattern(&self, report: &mut Report) -> Option<String> {
        let text = self.scalar("a pattern", report)?;
        if !is_model_name(&text.replace('*', "x")) {
            report.on_with(self, format!("{} is not a pattern", quoted(text)), PATTERN_HINT);
            return None;
        }
        Some(text.to_owned())
    }

    /// `true` or `false`, unquoted.
    pub(super) fn flag(&self, report: &mut Report) -> Option<bool> {
        match &self.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                let text = self.scalar("true or false", report)?;
                let message = format!("expected true or false, without quotes, found {}", quoted(text));
                report.on(self, message);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(&self, range: RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
        let text = self.scalar("a whole number", report)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if text.strip_prefix('-').is_some_and(digits) {
            report.add(self.mark, &self.path, "must not be negative".to_owned(), meant::whole(text));
            return None;
        }
        if !digits(text) {
            let message = format!("expected a whole number, found {}", quoted(text));
            report.add(self.mark, &self.path, message, meant::whole(text));
            return None;
        }
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            report.on(self, format!("must be from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// An amount of at most six digits after the point, from 0 to [`AMOUNT_MAX`].
    pub(super) fn amount(&self, report: &mut Report) -> Option<Micros> {
        let text = self.scalar("a decimal number", report)?;
        match Micros::parse(text) {
            Ok(amount) if amount < Micros::ZERO => {
                report.add(self.mark, &self.path, "must not be negative".to_owned(), meant::whole(text));
                None
            }
            Ok(amount) if amount.get() > AMOUNT_MAX.saturating_mul(Micros::PER_CREDIT) => {
                report.on(self, format!("must be at most {AMOUNT_MAX}"));
                None
            }
            Ok(amount) => Some(amount),
            Err(error) => {
                let hint = self.meant(text);
                report.add(self.mark, &self.path, format!("{}: {error}", quoted(text)), hint);
                None
            }
        }
    }

    /// What to write for a decimal number; money in a place for credits is told to be that.
    fn meant(&self, text: &str) -> Option<String> {
        let hint = meant::decimal(text)?;
        let of_money = self.path.contains("usd") || self.path.contains(".cost");
        let says_money = text.contains('$') || text.to_ascii_lowercase().contains("usd");
        Some(if says_money && !of_money { format!("{hint}, in credits") } else { hint })
    }

    /// An exact decimal, not negative.
    pub(super) fn decimal(&self, report: &mut Report) -> Option<Ratio> {
        let text = self.scalar("a decimal number", report)?;
        match Ratio::parse_decimal(text) {
            Ok(ratio) => Some(ratio),
            Err(_) if text.strip_prefix('-').is_some_and(|rest| Ratio::parse_decimal(rest).is_ok()) => {
                report.on(self, "must not be negative");
                None
            }
            Err(error) => {
                let hint = self.meant(text);
                report.add(self.mark, &self.path, format!("{}: {error}", quoted(text)), hint);
                None
            }
        }
    }

    /// An exact decimal from 0 to 1: a part of a whole.
    pub(super) fn part(&self, hint: &str, report: &mut Report) -> Option<Ratio> {
        let part = self.decimal(report)?;
        if part > Ratio::ONE {
            report.on_with(self, "must be at most 1", hint);
            return None;
        }
        Some(part)
    }

    /// A scalar as it stands, of any kind.
    pub(super) fn value(&self, report: &mut Report) -> Option<String> {
        let text = self.scalar("a text, a number, true or false", report)?;
        if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            report.on(self, format!("expected one line of at most {TEXT_BYTES_MAX} bytes"));
            return None;
        }
        Some(text.to_owned())
    }

    /// An instant, in milliseconds since 1970: RFC 3339, or a date, which stands for its first instant in UTC.
    pub(super) fn instant(&self, report: &mut Report) -> Option<i64> {
        let text = self.scalar("an instant", report)?;
        let instant: Option<jiff::Timestamp> = if text.contains(['T', 't', ' ']) {
            text.parse().ok()
        } else {
            let date: Option<jiff::civil::Date> = text.parse().ok();
            date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok()).map(|zoned| zoned.timestamp())
        };
        if instant.is_none() {
            report.on_with(self, format!("{} is not an instant", quoted(text)), INSTANT_HINT);
        }
        instant.map(jiff::Timestamp::as_millisecond)
    }

    /// A period in ISO 8601.
    pub(super) fn period(&self, report: &mut Report) -> Option<Period> {
        let text = self.scalar("a period", report)?;
        match Period::parse(text) {
            Ok(period) => Some(period),
            Err(error) => {
                let hint = meant::period(text);
                report.add(self.mark, &self.path, format!("{}: {error}", quoted(text)), hint);
                None
            }
        }
    }

    /// The scalar's text where it is one; reports nothing.
    pub(super) fn plain_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Refused => None,
        }
    }

    /// Whether the file says `null`, or nothing at all.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Nothing where the file says `null`, else what the reader makes of it.
    pub(super) fn or_null<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<Option<T>> {
        if self.is_null() { Some(None) } else { read(self).map(Some) }
    }
}

/// Whether a text can be a plan's, pool's, feature's, rate's or resource's name.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= NAME_BYTES_MAX && text.as_bytes().first().is_some_and(first) && text.bytes().all(inner)
}

/// Whether a text can be a model's name.
pub(super) fn is_model_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'"' | b'\\');
    !text.is_empty() && text.len() <= MODEL_NAME_BYTES_MAX && text.bytes().all(allowed)
}

/// What a name may be.
pub(super) const NAME_HINT: &str =
    "a name is up to 64 of a-z, 0-9, `_` and `-`, and starts with a letter or digit";
/// What a model's name may be.
pub(super) const MODEL_NAME_HINT: &str =
    "a model's name is up to 128 visible ASCII characters, none of them `*`, `\"` or `\\`";
const INSTANT_HINT: &str =
    "a date such as 2026-01-06 (00:00 UTC), or an instant such as 2026-01-06T09:00:00Z";
const PATTERN_HINT: &str = "a pattern is a model's name in which `*` stands for any run of characters";

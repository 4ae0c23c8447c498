//! Reading Envoy's access log, whatever its format: the filter's reports in it.
//!
//! In a JSON log the report is a member, as text or as an object; in any other it stands somewhere in the line.
//! Lines without one are other traffic. A log may begin and end in the midst of a line.

use std::io::{self, BufRead, Read as _};

use serde_json::value::RawValue;
use serde_json::{Deserializer, Map, Value};

/// The longest line that is read, in bytes; longer ones are passed over.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// How deep in a JSON line a report may lie.
const DEPTH_MAX: usize = 4;
/// What a report begins with, as the filter writes it.
const BEGIN: &str = r#"{"request":""#;

/// What a line of the log is.
#[derive(Debug)]
pub enum Line {
    /// It has a report.
    Report(Box<RawValue>),
    /// It has none.
    Other,
    /// It is too long, no text, or cut off in the midst of a report.
    Unreadable,
}

/// The lines of a log.
pub struct Lines<R> {
    log: R,
    line: Vec<u8>,
}

// === impl Lines ===

impl<R: BufRead> Lines<R> {
    pub fn new(log: R) -> Self {
        Self { log, line: Vec::new() }
    }

    /// The next line; nothing at the end.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        self.line.clear();
        let read = (&mut self.log).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        if self.line.last() != Some(&b'\n') && self.line.len() as u64 >= LINE_BYTES_MAX {
            self.pass_over()?;
            return Ok(Some(Line::Unreadable));
        }
        let Ok(text) = std::str::from_utf8(&self.line) else { return Ok(Some(Line::Unreadable)) };
        Ok(Some(read_line(text.trim())))
    }

    /// Skips what is left of a line.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            self.line.clear();
            let read = (&mut self.log).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
            if read == 0 || self.line.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}

fn read_line(text: &str) -> Line {
    if let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) {
        return match report_in(&members, DEPTH_MAX) {
            Some(report) => raw(report),
            None => Line::Other,
        };
    }
    // A text format, or a line that was cut off; in a JSON line the report's quotes are escaped.
    let Some(begin) = text.find(BEGIN) else {
        let is_cut = text.contains(r#"{\"request\":\""#) || (text.starts_with('{') && !text.ends_with('}'));
        return if is_cut { Line::Unreadable } else { Line::Other };
    };
    let mut values = Deserializer::from_str(&text[begin..]).into_iter::<Box<RawValue>>();
    match values.next() {
        Some(Ok(report)) => Line::Report(report),
        Some(Err(_)) | None => Line::Unreadable,
    }
}

/// The report among the members of a JSON line: itself, a member, or a member's text.
fn report_in(members: &Map<String, Value>, depth: usize) -> Option<String> {
    if members.contains_key("request") && members.contains_key("outcome") && members.contains_key("operation")
    {
        return serde_json::to_string(members).ok();
    }
    members.values().find_map(|value| match value {
        Value::Object(inner) if depth > 0 => report_in(inner, depth.saturating_sub(1)),
        Value::String(text) if text.starts_with('{') => {
            let inner: Map<String, Value> = serde_json::from_str(text).ok()?;
            is_report(&inner).then(|| text.clone())
        }
        _ => None,
    })
}

/// Whether an object is a report: no other has these three.
fn is_report(members: &Map<String, Value>) -> bool {
    ["request", "outcome", "operation"].iter().all(|name| members.contains_key(*name))
}

fn raw(report: String) -> Line {
    RawValue::from_string(report).map_or(Line::Unreadable, Line::Report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"request":"req_1","outcome":"settled","operation":"chat"}"#;

    fn kinds(log: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(log);
        let mut kinds = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            kinds.push(match line {
                Line::Report(report) => {
                    let same: Value = serde_json::from_str(report.get()).unwrap();
                    assert_eq!(same, serde_json::from_str::<Value>(REPORT).unwrap());
                    "report".to_owned()
                }
                Line::Other => "other".to_owned(),
                Line::Unreadable => "unreadable".to_owned(),
            });
        }
        kinds
    }

    #[test]
    fn a_report_is_found_in_every_format() {
        let escaped = serde_json::to_string(REPORT).unwrap();
        for line in [
            format!(r#"{{"status":200,"bursar":{escaped},"path":"/"}}"#),
            format!(r#"{{"status":200,"bursar":{REPORT}}}"#),
            format!(r#"{{"status":200,"meta":{{"filters":{{"x":{escaped}}}}}}}"#),
            format!(r#"[2026-11-20T00:00:00Z] "POST /v1/chat" 200 {REPORT} - "curl""#),
            REPORT.to_owned(),
        ] {
            assert_eq!(kinds(line.as_bytes()), ["report"], "{line}");
        }
    }

    #[test]
    fn other_lines_and_cut_lines_are_told_apart() {
        let escaped = serde_json::to_string(REPORT).unwrap();
        let whole = format!(r#"{{"status":200,"bursar":{escaped}}}"#);
        let other = "{\"status\":404,\"bursar\":null}\nnothing of ours\n\n{\"bursar\":\"-\"}\n";
        assert_eq!(kinds(other.as_bytes()), ["other", "other", "other", "other"]);
        for end in [20, 30, 40, whole.len() - 1] {
            let log = format!("{whole}\n{}", &whole[..end]);
            assert_eq!(kinds(log.as_bytes()), ["report", "unreadable"], "cut at {end}");
        }
        // Rotated in the midst of a line: its second half.
        let log = format!("{}\n{whole}\n", &whole[30..]);
        assert_eq!(kinds(log.as_bytes())[1], "report");
        assert_eq!(kinds(b"\xff\xfe\n"), ["unreadable"]);
        let text = format!("200 {}", &REPORT[..25]);
        assert_eq!(kinds(text.as_bytes()), ["unreadable"]);
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_spoils_no_other() {
        let mut log = vec![b'x'; 5 << 20];
        log.extend_from_slice(b"\n");
        log.extend_from_slice(REPORT.as_bytes());
        assert_eq!(kinds(&log), ["unreadable", "report"]);
        let mut lines = Lines::new(&log[..]);
        while lines.next().unwrap().is_some() {}
        assert!(lines.line.capacity() <= 2 << 20, "{}", lines.line.capacity());
    }
}

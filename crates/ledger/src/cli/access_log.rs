//! Reading Envoy's access log: the filter's reports in it.
//!
//! A log may show what clients wrote (user agents, paths), and they may write what looks like a report: only
//! what stands where the operator put the filter state is read. In a JSON log that is one member, in a text log
//! what follows the last occurrence of a mark. What containers wrap lines in is taken off first.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The longest line that is read, in bytes; longer ones are passed over.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// The longest report, in bytes: a real one has less than half.
pub const REPORT_BYTES_MAX: usize = 8 << 10;
/// What a report begins with, as the filter writes it.
const BEGIN: &str = r#"{"request":""#;

/// What a line of the log is.
#[derive(Debug)]
pub enum Line {
    /// It has a report.
    Report(Box<RawValue>),
    /// It has none.
    Other,
    /// It is too long, no text, cut off, or has a report where none is looked for.
    Unreadable,
}

/// Where a line has the report.
#[derive(Clone, Debug)]
pub enum Site {
    /// JSON lines: the member, by the names that lead to it; none = the line itself is the report.
    Member(Vec<String>),
    /// Text lines: behind the last of this mark.
    Mark(String),
}

/// The lines of a log.
pub struct Lines<R> {
    log: R,
    site: Site,
    line: Vec<u8>,
}

// === impl Lines ===

impl<R: BufRead> Lines<R> {
    pub fn new(log: R, site: Site) -> Self {
        Self { log, site, line: Vec::new() }
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
        Ok(Some(self.site.read(text.trim())))
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

// === impl Site ===

impl Site {
    /// A member by its name, of objects within objects with dots between; empty = the line itself.
    pub fn member(path: &str) -> Self {
        Self::Member(path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    fn read(&self, text: &str) -> Line {
        if let Some(inner) = unwrap_docker(text) {
            return self.read_own(inner.trim());
        }
        self.read_own(unwrap_cri(text).unwrap_or(text))
    }

    fn read_own(&self, text: &str) -> Line {
        match self {
            Self::Member(path) => in_json(text, path),
            Self::Mark(mark) => match text.rfind(mark.as_str()) {
                Some(at) => in_text(text.get(at.saturating_add(mark.len())..).unwrap_or_default()),
                None => unread(text),
            },
        }
    }
}

fn in_json(text: &str, path: &[String]) -> Line {
    let Ok(line) = serde_json::from_str::<&RawValue>(text) else { return unread(text) };
    if !text.starts_with('{') {
        return unread(text);
    }
    let mut value = line;
    for name in path {
        value = match member(value, name) {
            Ok(Some(found)) => found,
            Ok(None) => return Line::Other,
            Err(Twice) => return Line::Unreadable,
        };
    }
    // As text, the usual way, or as an object.
    if value.get().starts_with('"') {
        let Ok(inner) = serde_json::from_str::<String>(value.get()) else { return Line::Unreadable };
        return if inner.starts_with('{') { report(&inner) } else { Line::Other };
    }
    if value.get().starts_with('{') { report(value.get()) } else { Line::Other }
}

/// What stands behind the mark: a report, or what Envoy writes where there is none.
fn in_text(text: &str) -> Line {
    if !text.starts_with('{') {
        return Line::Other;
    }
    match serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().next() {
        Some(Ok(value)) => report(value.get()),
        Some(Err(_)) | None => Line::Unreadable,
    }
}

/// A line that has no report where one is looked for: other traffic, unless it seems to have one.
fn unread(text: &str) -> Line {
    let seems = text.contains(BEGIN) || text.contains(r#"{\"request\":\""#);
    let is_cut = text.starts_with('{') && !text.ends_with('}');
    if seems || is_cut { Line::Unreadable } else { Line::Other }
}

fn report(text: &str) -> Line {
    if text.len() > REPORT_BYTES_MAX {
        return Line::Unreadable;
    }
    RawValue::from_string(text.to_owned()).map_or(Line::Unreadable, Line::Report)
}

/// A member that stands more than once in its object: somebody else wrote one of them.
struct Twice;

/// A member of an object, as it stands there; nothing where the value is no object or has none.
fn member<'t>(object: &'t RawValue, name: &str) -> Result<Option<&'t RawValue>, Twice> {
    let Ok(Members(members)) = serde_json::from_str(object.get()) else { return Ok(None) };
    let mut found = members.into_iter().filter(|(own, _)| own == name);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(Twice),
        (first, _) => Ok(first.map(|(_, value)| value)),
    }
}

/// An object's members, in their order, none left out.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// What Docker's `json-file` driver writes around a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    log: String,
    #[serde(rename = "stream")]
    _stream: String,
    #[serde(rename = "time")]
    _time: String,
    #[serde(default, rename = "attrs")]
    _attrs: serde::de::IgnoredAny,
}

fn unwrap_docker(text: &str) -> Option<String> {
    serde_json::from_str::<Docker>(text).ok().map(|wrapped| wrapped.log)
}

/// What the container runtime interface writes before a line: time, stream, and whether the line is whole.
fn unwrap_cri(text: &str) -> Option<&str> {
    let mut parts = text.splitn(4, ' ');
    let (time, stream, whole) = (parts.next()?, parts.next()?, parts.next()?);
    let is_time = time.starts_with(|first: char| first.is_ascii_digit()) && time.contains('T');
    let is_wrapped = is_time && matches!(stream, "stdout" | "stderr") && matches!(whole, "F" | "P");
    if is_wrapped { parts.next() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const REPORT: &str = r#"{"request":"req_1","outcome":"settled","operation":"chat"}"#;
    const FORGED: &str = r#"{"request":"req_2","outcome":"settled","operation":"chat"}"#;

    fn kinds_at(log: &[u8], site: &Site) -> Vec<String> {
        let mut lines = Lines::new(log, site.clone());
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

    fn kinds(log: &[u8]) -> Vec<String> {
        kinds_at(log, &Site::member("bursar"))
    }

    #[test]
    fn a_report_is_found_where_the_operator_put_it() {
        let escaped = serde_json::to_string(REPORT).unwrap();
        let mark = Site::Mark(" bursar=".to_owned());
        for (line, site) in [
            (format!(r#"{{"status":200,"bursar":{escaped},"path":"/"}}"#), Site::member("bursar")),
            (format!(r#"{{"status":200,"bursar":{REPORT}}}"#), Site::member("bursar")),
            (format!(r#"{{"meta":{{"filters":{{"x":{escaped}}}}}}}"#), Site::member("meta.filters.x")),
            (REPORT.to_owned(), Site::member("")),
            (format!(r#"[2026-11-20T00:00:00Z] "POST /v1/chat" 200 "curl" bursar={REPORT} -"#), mark),
        ] {
            assert_eq!(kinds_at(line.as_bytes(), &site), ["report"], "{line}");
        }
    }

    #[test]
    fn what_a_client_wrote_is_no_report() {
        let (escaped, forged) =
            (serde_json::to_string(REPORT).unwrap(), serde_json::to_string(FORGED).unwrap());
        for (line, kind) in [
            (format!(r#"{{"agent":{forged},"bursar":{escaped}}}"#), "report"),
            (format!(r#"{{"agent":{forged},"bursar":null}}"#), "other"),
            (format!(r#"{{"a":{{"bursar":{forged}}},"bursar":"-"}}"#), "other"),
            (format!(r#"{{"agent":{forged}}}"#), "other"),
            // A text format that looks like JSON: its strings are not escaped.
            (format!(r#"{{"agent":"x","bursar":{forged},"y":"","bursar":{REPORT}}}"#), "unreadable"),
            (format!(r#""GET /" 200 "{FORGED}""#), "unreadable"),
        ] {
            assert_eq!(kinds(line.as_bytes()), [kind], "{line}");
        }
        let mark = Site::Mark(" bursar=".to_owned());
        let both = format!(r#"200 "x bursar={FORGED}" bursar={REPORT}"#);
        assert_eq!(kinds_at(both.as_bytes(), &mark), ["report"]);
        let none = format!(r#"200 "x bursar={FORGED}" bursar=-"#);
        assert_eq!(kinds_at(none.as_bytes(), &mark), ["other"]);
    }

    #[test]
    fn a_huge_report_is_none() {
        let huge = REPORT.replace("req_1", &"r".repeat(REPORT_BYTES_MAX));
        let escaped = serde_json::to_string(&huge).unwrap();
        assert_eq!(kinds(format!(r#"{{"bursar":{escaped}}}"#).as_bytes()), ["unreadable"]);
        assert_eq!(kinds(format!(r#"{{"bursar":{huge}}}"#).as_bytes()), ["unreadable"]);
    }

    #[test]
    fn containers_wrappings_are_taken_off() {
        let own = format!(r#"{{"bursar":{}}}"#, serde_json::to_string(REPORT).unwrap());
        let wrap = |line: &str| {
            let log = serde_json::to_string(line).unwrap();
            format!(r#"{{"log":{log},"stream":"stdout","time":"2026-11-20T00:00:00.1Z"}}"#)
        };
        assert_eq!(kinds(wrap(&format!("{own}\n")).as_bytes()), ["report"]);
        assert_eq!(kinds(wrap(&own[..60]).as_bytes()), ["unreadable"]);
        let cri = |whole: &str, line: &str| format!("2026-11-20T00:00:00.1+00:00 stdout {whole} {line}");
        assert_eq!(kinds(cri("F", &own).as_bytes()), ["report"]);
        assert_eq!(kinds(cri("P", &own[..60]).as_bytes()), ["unreadable"]);
        let text = format!("200 bursar={REPORT}");
        let mark = Site::Mark(" bursar=".to_owned());
        assert_eq!(kinds_at(cri("F", &text).as_bytes(), &mark), ["report"]);
        assert_eq!(kinds_at(wrap(&text).as_bytes(), &mark), ["report"]);
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
        let mark = Site::Mark("200 ".to_owned());
        assert_eq!(kinds_at(text.as_bytes(), &mark), ["unreadable"]);
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_spoils_no_other() {
        let mut log = vec![b'x'; 5 << 20];
        log.extend_from_slice(b"\n");
        log.extend_from_slice(format!(r#"{{"bursar":{REPORT}}}"#).as_bytes());
        assert_eq!(kinds(&log), ["unreadable", "report"]);
        let mut lines = Lines::new(&log[..], Site::member("bursar"));
        while lines.next().unwrap().is_some() {}
        assert!(lines.line.capacity() <= 2 << 20, "{}", lines.line.capacity());
    }
}

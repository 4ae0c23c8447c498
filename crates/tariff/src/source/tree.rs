//! From text to nodes with positions and paths.
//!
//! Works on the parser's events, not on its loaded documents: the scalars' own text stays (numbers
//! never pass through floats), each duplicate key gets a position, and nothing is expanded.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::limits::{DEPTH_MAX, FILE_BYTES_MAX};
use super::problem::{Report, quoted};

/// A position: line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value in the file.
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) path: String,
    pub(super) value: Value,
}

/// What a value is.
pub(super) enum Value {
    /// A plain, unquoted `null`, `~` or nothing at all.
    Null,
    /// Text as it stands in the file; plain means not quoted.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping in the file's order, without its duplicates.
    Map(Vec<Entry>),
    /// Something that was already reported.
    Refused,
}

/// A key and its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) node: Node,
}

/// The file's root; nothing where the text is no document, which is then in the report.
pub(super) fn parse(file: &[u8], report: &mut Report) -> Option<Node> {
    if file.len() > FILE_BYTES_MAX {
        let message = format!("the file is larger than {FILE_BYTES_MAX} bytes, which are the most");
        report.add(Mark::START, "", message, None);
        return None;
    }
    let text = match std::str::from_utf8(file) {
        Ok(text) => text,
        Err(error) => {
            report.add(mark_after(file, error.valid_up_to()), "", "not UTF-8".to_owned(), None);
            return None;
        }
    };
    let mut builder = Builder { parser: Parser::new_from_str(text), report };
    builder.document().ok()
}

impl Mark {
    /// The file's start.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl From<Marker> for Mark {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col().saturating_add(1) }
    }
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a scalar",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Refused => "something refused",
        }
    }
}

/// Nothing more can be read; the report says why.
struct Stop;

struct Builder<'t, 'r> {
    parser: Parser<'t, StrInput<'t>>,
    report: &'r mut Report,
}

impl<'t> Builder<'t, '_> {
    fn document(&mut self) -> Result<Node, Stop> {
        loop {
            match self.next()? {
                (Event::Nothing | Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, _) => return Err(self.stop(Mark::START, "", "the file is empty")),
                (event, span) => {
                    let root = self.node(event, span, String::new(), 0)?;
                    self.end()?;
                    return Ok(root);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Stop> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    return Err(self.stop(span.start.into(), "", "a second document; a catalog is one"));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, path: String, depth: usize) -> Result<Node, Stop> {
        let mark = span.start.into();
        if depth > DEPTH_MAX {
            return Err(self.stop(mark, &path, &format!("more than {DEPTH_MAX} levels deep")));
        }
        let deeper = depth.saturating_add(1);
        let value = match event {
            Event::Scalar(text, style, _, None) => scalar(text.into_owned(), style),
            Event::SequenceStart(_, None) => self.list(&path, deeper)?,
            Event::MappingStart(_, None) => self.map(&path, deeper)?,
            Event::Alias(_) => {
                self.refuse(
                    mark,
                    &path,
                    "aliases are not read",
                    Some("a plan builds on another with `extends`"),
                );
                Value::Refused
            }
            Event::Scalar(_, _, _, Some(_)) => self.tagged(mark, &path),
            Event::SequenceStart(_, Some(_)) => {
                self.list(&path, deeper)?;
                self.tagged(mark, &path)
            }
            Event::MappingStart(_, Some(_)) => {
                self.map(&path, deeper)?;
                self.tagged(mark, &path)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(self.stop(mark, &path, "a value is missing")),
        };
        Ok(Node { mark, path, value })
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Value, Stop> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes)),
                (event, span) => {
                    let path = format!("{path}[{}]", nodes.len());
                    nodes.push(self.node(event, span, path, depth)?);
                }
            }
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let (key, mark) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (Event::Scalar(key, ..), span) => (key.into_owned(), Mark::from(span.start)),
                (_, span) => return Err(self.stop(span.start.into(), path, "a key must be plain text")),
            };
            let path = member(path, &key);
            let (event, span) = self.next()?;
            let mut node = self.node(event, span, path.clone(), depth)?;
            if matches!(node.value, Value::Null) {
                // An absent value has no place of its own.
                node.mark = mark;
            }
            if key == "<<" {
                self.refuse(
                    mark,
                    &path,
                    "merge keys are not read",
                    Some("a plan builds on another with `extends`"),
                );
            } else if let Some(line) = lines.get(&key) {
                self.refuse(mark, &path, &format!("given twice; the first is on line {line}"), None);
            } else {
                lines.insert(key.clone(), mark.line);
                entries.push(Entry { key, mark, node });
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.unreadable(&error)),
            None => Err(self.stop(Mark::START, "", "the file ends too early")),
        }
    }

    fn unreadable(&mut self, error: &ScanError) -> Stop {
        self.stop((*error.marker()).into(), "", &format!("not readable as YAML or JSON: {}", error.info()))
    }

    fn tagged(&mut self, mark: Mark, path: &str) -> Value {
        self.refuse(mark, path, "tags are not read", None);
        Value::Refused
    }

    fn refuse(&mut self, mark: Mark, path: &str, message: &str, hint: Option<&str>) {
        self.report.add(mark, path, message.to_owned(), hint.map(str::to_owned));
    }

    fn stop(&mut self, mark: Mark, path: &str, message: &str) -> Stop {
        self.refuse(mark, path, message, None);
        Stop
    }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar { text, plain }
}

/// The path of a mapping's member; keys that a dotted path could not show stand in brackets.
pub(super) fn member(path: &str, key: &str) -> String {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if key.is_empty() || key.len() > super::limits::NAME_BYTES_MAX || !key.bytes().all(simple) {
        return format!("{path}[{}]", quoted(key).replace('`', "\""));
    }
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The position of a byte, where all bytes before it are UTF-8.
fn mark_after(file: &[u8], valid: usize) -> Mark {
    let text = file.get(..valid).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    Mark {
        line: text.matches('\n').count().saturating_add(1),
        column: last_line.chars().count().saturating_add(1),
    }
}

//! Nodes to lists and mappings: entries with bounds, fields by name, unknown fields refused.

use super::limits::{ENTRIES_MAX, QUOTED_CHARS_MAX};
use super::meant;
use super::problem::{Report, quoted, suggestion};
use super::scalar::{NAME_HINT, is_name};
use super::shape::Object;
use super::tree::{Entry, Node, Value, member};

/// The fields of a mapping whose field names are fixed.
pub(super) struct Fields<'t> {
    object: &'static Object,
    entries: &'t [Entry],
}

impl<'t> Fields<'t> {
    /// The fields of a node; those that are not known are reported and left out, as is what is required and absent.
    pub(super) fn of(node: &'t Node, object: &'static Object, report: &mut Report) -> Option<Self> {
        let entries = node.map(report)?;
        for entry in entries.iter().filter(|entry| object.names().all(|name| name != entry.key)) {
            let hint = meant::word(&entry.key, object.names());
            report.add(entry.mark, &entry.node.path, "unknown field".to_owned(), hint);
        }
        for field in object.fields.iter().filter(|field| field.required) {
            if entries.iter().all(|entry| entry.key != field.name) {
                let path = member(&node.path, field.name);
                report.add(
                    node.mark,
                    &path,
                    "is required".to_owned(),
                    Some(field.about.trim_end_matches('.').to_owned()),
                );
            }
        }
        Some(Self { object, entries })
    }

    /// A field that the file states.
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        debug_assert!(
            self.object.names().any(|known| known == name),
            "{}.{name} is not in its table",
            self.object.name
        );
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node)
    }

    /// What a reader makes of a field that the file states; a default where it does not.
    pub(super) fn or<T>(&self, name: &str, default: T, read: impl FnOnce(&Node) -> Option<T>) -> Option<T> {
        self.get(name).map_or(Some(default), read)
    }
}

impl Node {
    /// The entries of a mapping whose keys are fixed words or checked by the caller.
    pub(super) fn map(&self, report: &mut Report) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Refused => None,
            other @ (Value::Null | Value::Scalar { .. } | Value::List(_)) => {
                let hint = self.plain_text().and_then(meant::entry);
                report.add(
                    self.mark,
                    &self.path,
                    format!("expected a mapping, found {}", other.kind()),
                    hint,
                );
                None
            }
        }
    }

    /// The entries of a mapping that defines things: at least one, at most so many.
    pub(super) fn definitions(&self, max: usize, report: &mut Report) -> Option<&[Entry]> {
        let entries = self.map(report)?;
        if entries.is_empty() || entries.len() > max {
            report.on(self, format!("needs 1 to {max} entries, has {}", entries.len()));
            return None;
        }
        Some(entries)
    }

    /// A mapping from names to values, each of which is read by `read`; the names are defined here.
    pub(super) fn named<T>(
        &self,
        report: &mut Report,
        mut read: impl FnMut(&Self, &mut Report) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let entries = self.bounded(ENTRIES_MAX, report)?;
        let mut values = Vec::new();
        for entry in entries {
            if entry.defines(report) {
                values.extend(read(&entry.node, report).map(|value| (entry.key.clone(), value)));
            }
        }
        Some(values)
    }

    /// A mapping from names that must be known to values.
    pub(super) fn referring<T>(
        &self,
        kind: &str,
        known: &[&str],
        report: &mut Report,
        mut read: impl FnMut(&Self, &mut Report) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let entries = self.bounded(ENTRIES_MAX.max(known.len()), report)?;
        let mut values = Vec::new();
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let hint = suggestion(&entry.key, known.iter().copied());
                let message = format!("unknown {kind} {}", quoted(&entry.key));
                report.add(entry.mark, &entry.node.path, message, hint);
            }
            values.extend(read(&entry.node, report).map(|value| (entry.key.clone(), value)));
        }
        Some(values)
    }

    /// The entries of a mapping of at most so many.
    pub(super) fn bounded(&self, max: usize, report: &mut Report) -> Option<&[Entry]> {
        let entries = self.map(report)?;
        if entries.len() > max {
            report.on(self, format!("at most {max} entries, has {}", entries.len()));
            return None;
        }
        Some(entries)
    }

    /// A list of at most so many items, each of which is read by `read`.
    pub(super) fn list<T>(
        &self,
        max: usize,
        report: &mut Report,
        mut read: impl FnMut(&Self, &mut Report) -> Option<T>,
    ) -> Option<Vec<T>> {
        let nodes = match &self.value {
            Value::List(nodes) => nodes,
            Value::Refused => return None,
            other @ (Value::Null | Value::Scalar { .. } | Value::Map(_)) => {
                let hint = self.plain_text().map(|text| format!("in brackets: [{}]", text.escape_debug()));
                let hint = hint.filter(|hint| hint.len() <= QUOTED_CHARS_MAX);
                report.add(self.mark, &self.path, format!("expected a list, found {}", other.kind()), hint);
                return None;
            }
        };
        if nodes.len() > max {
            report.on(self, format!("at most {max} items, has {}", nodes.len()));
            return None;
        }
        Some(nodes.iter().filter_map(|node| read(node, report)).collect())
    }

    /// A list of texts, none of them twice.
    pub(super) fn set(
        &self,
        report: &mut Report,
        mut read: impl FnMut(&Self, &mut Report) -> Option<String>,
    ) -> Option<Vec<String>> {
        let mut seen = Vec::new();
        self.list(ENTRIES_MAX, report, |node, report| {
            let text = read(node, report)?;
            if seen.contains(&text) {
                report.on(node, format!("{} is given twice", quoted(&text)));
                return None;
            }
            seen.push(text.clone());
            Some(text)
        })
    }
}

impl Entry {
    /// Whether the key can be the name of what it defines; reported where not.
    pub(super) fn defines(&self, report: &mut Report) -> bool {
        let sound = is_name(&self.key);
        if !sound {
            let message = format!("{} is not a name", quoted(&self.key));
            report.add(self.mark, &self.node.path, message, Some(NAME_HINT.to_owned()));
        }
        sound
    }
}

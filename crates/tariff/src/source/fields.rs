//! Nodes to lists and mappings: entries with bounds, fields by name, unknown fields refused.

use super::limits::ENTRIES_MAX;
use super::problem::{Report, quoted, suggestion};
use super::scalar::{NAME_HINT, is_name};
use super::tree::{Entry, Node, Value, member};

/// The fields of a mapping whose field names are fixed.
pub(super) struct Fields<'t> {
    node: &'t Node,
    entries: &'t [Entry],
}

impl<'t> Fields<'t> {
    /// The fields of a node; those that are not known are reported and left out.
    pub(super) fn of(node: &'t Node, known: &[&str], report: &mut Report) -> Option<Self> {
        let entries = node.map(report)?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let hint = suggestion(&entry.key, known.iter().copied());
            report.add(entry.mark, &entry.node.path, "unknown field".to_owned(), hint);
        }
        Some(Self { node, entries })
    }

    /// A field that may be absent.
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node)
    }

    /// A field that must be there.
    pub(super) fn require(&self, name: &str, report: &mut Report) -> Option<&'t Node> {
        let field = self.get(name);
        if field.is_none() {
            let path = member(&self.node.path, name);
            report.add(self.node.mark, &path, "is required".to_owned(), None);
        }
        field
    }
}

impl Node {
    /// The entries of a mapping whose keys are fixed words or checked by the caller.
    pub(super) fn map(&self, report: &mut Report) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Refused => None,
            other @ (Value::Null | Value::Scalar { .. } | Value::List(_)) => {
                report.on(self, format!("expected a mapping, found {}", other.kind()));
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
        let entries = self.bounded(report)?;
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
        let entries = self.bounded(report)?;
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

    fn bounded(&self, report: &mut Report) -> Option<&[Entry]> {
        let entries = self.map(report)?;
        if entries.len() > ENTRIES_MAX {
            report.on(self, format!("at most {ENTRIES_MAX} entries, has {}", entries.len()));
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
                report.on(self, format!("expected a list, found {}", other.kind()));
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

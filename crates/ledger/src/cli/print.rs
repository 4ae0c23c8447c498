//! What commands print: tables for people, the API's JSON for programs.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::failure::{Failure, Outcome};

/// Rows under column names, aligned.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    name: &'static str,
    right: bool,
}

// === impl Table ===

impl Table {
    /// A table; columns whose name begins with `>` are aligned right.
    pub fn new(columns: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_prefix('>') {
            Some(name) => Column { name, right: true },
            None => Column { name, right: false },
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// The text; `none` where there is no row.
    pub fn text(&self, none: &str) -> String {
        if self.rows.is_empty() {
            return format!("{none}\n");
        }
        let widths: Vec<usize> = self.columns.iter().enumerate().map(|(i, c)| self.width(i, c)).collect();
        let mut text = String::new();
        let names: Vec<String> = self.columns.iter().map(|column| column.name.to_owned()).collect();
        for cells in std::iter::once(&names).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), column) in cells.iter().zip(&widths).zip(&self.columns) {
                // Writing to a string does not fail.
                let _ = match column.right {
                    true => write!(line, "{cell:>width$}  "),
                    false => write!(line, "{cell:<width$}  "),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, index: usize, column: &Column) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(column.name.len())
    }
}

/// Names and values below one another.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:<width$}  {}\n", printable(value))).collect()
}

/// An optional value, `-` where it is absent.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Writes to standard output.
pub fn out(text: &str) -> Outcome {
    bytes(text.as_bytes())
}

/// Writes bytes as they are to standard output.
pub fn bytes(bytes: &[u8]) -> Outcome {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::Refused(format!("bursar: standard output: {error}"))),
    }
}

/// Writes a value as one line of JSON to standard output.
pub fn json(value: &impl serde::Serialize) -> Outcome {
    match serde_json::to_string(value) {
        Ok(json) => out(&format!("{json}\n")),
        Err(error) => Err(Failure::Refused(format!("bursar: {error}"))),
    }
}

/// Writes a remark for people to standard error.
pub fn note(text: &str) -> Outcome {
    // A remark that nobody can read is no failure.
    let _ = writeln!(io::stderr().lock(), "{text}");
    Ok(())
}

/// Says that a list goes on.
pub fn more(has_more: bool) -> Outcome {
    if has_more { note("There are more: raise --limit.") } else { Ok(()) }
}

/// Text of others without the control characters by which it could steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_and_defuses_control_characters() {
        let mut table = Table::new(&["name", ">amount"]);
        table.row(["a\u{1b}[2J".to_owned(), "1.5".to_owned()]);
        table.row(["longer".to_owned(), "100.25".to_owned()]);
        assert_eq!(table.text("none"), "name    amount\na\u{fffd}[2J      1.5\nlonger  100.25\n");
        assert_eq!(Table::new(&["x"]).text("no x"), "no x\n");
    }
}

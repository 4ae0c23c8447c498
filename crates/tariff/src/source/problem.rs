//! What is wrong with a catalog file, and where.

use std::fmt;

use super::limits::{PROBLEMS_MAX, QUOTED_CHARS_MAX};
use super::tree::{Mark, Node};

/// One problem of a catalog file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place in the document, such as `plans.starter.rates[0].max`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// The problem as compilers print theirs: `FILE:LINE:COLUMN: PATH: message (hint)`.
    pub fn in_file(&self, file: &str) -> impl fmt::Display {
        format!("{file}:{self}")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The problems met so far.
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    dropped: usize,
}

impl Report {
    /// Notes a problem of a node.
    pub(super) fn on(&mut self, node: &Node, message: impl Into<String>) {
        self.add(node.mark, &node.path, message.into(), None);
    }

    /// Notes a problem of a node, with what would be right.
    pub(super) fn on_with(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.add(node.mark, &node.path, message.into(), Some(hint.into()));
    }

    /// Notes a problem of a place.
    pub(super) fn add(&mut self, mark: Mark, path: &str, message: String, hint: Option<String>) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let Mark { line, column } = mark;
        self.problems.push(Problem { line, column, path: path.to_owned(), message, hint });
    }

    /// Notes what is allowed and probably not meant.
    pub(super) fn warn(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_MAX {
            let Mark { line, column } = node.mark;
            let (message, hint) = (message.into(), Some(hint.into()));
            self.warnings.push(Problem { line, column, path: node.path.clone(), message, hint });
        }
    }

    /// The value with the warnings where there is no problem, else the problems; in the order of their positions.
    pub(super) fn conclude<T>(mut self, value: Option<T>) -> Result<(T, Vec<Problem>), Vec<Problem>> {
        match value {
            Some(value) if self.problems.is_empty() => {
                self.warnings.sort_by_key(|warning| (warning.line, warning.column));
                Ok((value, self.warnings))
            }
            _ => {
                self.problems.sort_by_key(|problem| (problem.line, problem.column));
                if self.dropped > 0 {
                    let message = format!("and {} more problems", self.dropped);
                    let mark = self
                        .problems
                        .last()
                        .map_or(Mark::START, |last| Mark { line: last.line, column: last.column });
                    self.problems.push(Problem {
                        line: mark.line,
                        column: mark.column,
                        path: String::new(),
                        message,
                        hint: None,
                    });
                }
                Err(self.problems)
            }
        }
    }
}

/// The file's own text as messages repeat it: in backticks, escaped and cut off.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// What a misspelt name may have meant, as a hint; else all that is known.
pub(super) fn suggestion<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let near = |candidate: &'a str| {
        let distance = strsim::osa_distance(&plain(text), &plain(candidate));
        (distance <= candidate.chars().count().div_ceil(3).min(3)).then_some((distance, candidate))
    };
    let short = text.len() <= super::limits::MODEL_NAME_BYTES_MAX;
    let best = if short {
        known.iter().copied().filter_map(near).min_by_key(|(distance, _)| *distance)
    } else {
        None
    };
    match best {
        Some((_, name)) => Some(format!("did you mean {}?", quoted(name))),
        None if known.is_empty() || known.len() > KNOWN_SHOWN_MAX => None,
        None => Some(format!("known: {}", known.join(", "))),
    }
}

/// Up to how many names a hint lists all of them.
const KNOWN_SHOWN_MAX: usize = 24;

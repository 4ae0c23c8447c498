//! Envoy's access log, one JSON object a line.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// One exchange, as Envoy logged it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The whole line.
    pub json: Value,
    /// The filter's own report, from its filter state.
    pub bursar: Option<Value>,
}

impl Line {
    /// A text member.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.json.get(name).and_then(Value::as_str)
    }

    /// The status that the client got.
    #[must_use]
    pub fn status(&self) -> u64 {
        self.json.get("status").and_then(Value::as_u64).unwrap_or(0)
    }

    /// A text member of the filter's report.
    #[must_use]
    pub fn report(&self, name: &str) -> Option<&str> {
        self.bursar.as_ref().and_then(|report| report.get(name)).and_then(Value::as_str)
    }
}

/// Reads a log; a last line that is still being written is left out.
///
/// # Errors
/// The file cannot be read, or a line is no JSON.
pub fn lines(file: &Path) -> Result<Vec<Line>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(file)?;
    let text = String::from_utf8_lossy(&text);
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    whole.lines().map(line).collect()
}

fn line(text: &str) -> Result<Line> {
    let json: Value =
        serde_json::from_str(text).with_context(|| format!("no JSON in the access log: {text}"))?;
    let bursar = match json.get("bursar").and_then(Value::as_str) {
        None | Some("-") => None,
        Some(report) => Some(
            serde_json::from_str(report).with_context(|| format!("the filter state is no JSON: {report}"))?,
        ),
    };
    Ok(Line { json, bursar })
}

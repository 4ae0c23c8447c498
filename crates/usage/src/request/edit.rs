//! Edits of a request body: a few spans replaced near its beginning, every other byte kept.
//!
//! An edit touches one member only, because a body that is parsed and written again would change numbers,
//! member order and escapes that the provider may sign, cache or log.

use super::facts::{RequestFacts, Span};

/// Bytes `start..end` of the body are replaced; an empty span inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Offset of the first byte replaced.
    pub start: u64,
    /// Offset after the last byte replaced.
    pub end: u64,
    /// What stands there instead.
    pub replacement: Vec<u8>,
}

/// The edit that makes a streamed answer carry its usage; none where the client asked for it, or does not
/// stream.
#[must_use]
pub fn include_usage(facts: &RequestFacts) -> Option<Edit> {
    if !facts.stream || facts.include_usage == Some(true) {
        return None;
    }
    if let Some(span) = facts.include_usage_span {
        return Some(replaced(span, "true".to_owned()));
    }
    if let Some(start) = facts.stream_options_start {
        return Some(insertion(start, "\"include_usage\":true", facts.stream_options_empty));
    }
    if let Some(span) = facts.stream_options_span {
        return Some(replaced(span, r#"{"include_usage":true}"#.to_owned()));
    }
    let member = r#""stream_options":{"include_usage":true}"#;
    Some(insertion(facts.object_start, member, facts.is_empty_object))
}

/// Where a dialect has the bound on the answer's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputBound {
    /// `max_tokens`: completions, Anthropic's messages, Cohere's chat.
    MaxTokens,
    /// `max_tokens`, or `max_completion_tokens` in its place: chat completions.
    Chat,
    /// `max_tokens` alone: chat completions of servers that do not know its successor.
    OldChat,
    /// `max_output_tokens`: responses.
    MaxOutputTokens,
    /// A member of an object: Gemini, Converse, Ollama.
    Within(&'static str, &'static str),
    /// Wherever the request has one: nobody knows what else its model would understand (`InvokeModel`).
    Named,
}

impl OutputBound {
    /// The same, of a server that may know no `max_completion_tokens`.
    #[must_use]
    pub fn of_server(self, is_old_chat: bool) -> Self {
        if is_old_chat && self == Self::Chat { Self::OldChat } else { self }
    }
}

/// The edits that bound the answer to `cap` output tokens: every larger bound is lowered to it; where the
/// client gave none that the dialect knows, its own is inserted.
///
/// A bound of `null` counts as none, and the insertion would then be a duplicate: it is replaced instead.
#[must_use]
pub fn max_tokens(facts: &RequestFacts, cap: u64, dialect: OutputBound) -> Vec<Edit> {
    let has_own = facts.own_bound(Some(dialect)).is_some();
    let inserted = if has_own { None } else { inserted_bound(facts, cap, dialect) };
    // Ollama's chat completions take 0 for none; others refuse it.
    let is_none = |value: u64| value == 0 && matches!(dialect, OutputBound::Chat | OutputBound::OldChat);
    let larger = facts.bounds().filter(|bound| bound.value > cap || is_none(bound.value));
    inserted.into_iter().chain(larger.map(|bound| replaced(bound.span, cap.to_string()))).collect()
}

/// The edit that bounds an answer that no bound was given for.
fn inserted_bound(facts: &RequestFacts, cap: u64, dialect: OutputBound) -> Option<Edit> {
    let null = match dialect {
        OutputBound::MaxTokens | OutputBound::Chat | OutputBound::OldChat => facts.max_tokens_null,
        OutputBound::MaxOutputTokens | OutputBound::Within(..) => facts.max_output_tokens_null,
        OutputBound::Named => return None,
    };
    if let Some(span) = null {
        return Some(replaced(span, cap.to_string()));
    }
    let at_top = |member: &str| insertion(facts.object_start, member, facts.is_empty_object);
    Some(match dialect {
        OutputBound::MaxTokens | OutputBound::Chat | OutputBound::OldChat => {
            at_top(&format!("\"max_tokens\":{cap}"))
        }
        OutputBound::MaxOutputTokens => at_top(&format!("\"max_output_tokens\":{cap}")),
        OutputBound::Within(object, name) => {
            let member = format!("\"{name}\":{cap}");
            match (facts.config_start, facts.config_null) {
                (Some(start), _) => insertion(start, &member, facts.config_empty),
                (None, Some(span)) => replaced(span, format!("{{{member}}}")),
                (None, None) => at_top(&format!("\"{object}\":{{{member}}}")),
            }
        }
        OutputBound::Named => return None,
    })
}

fn replaced(span: Span, text: String) -> Edit {
    Edit { start: span.start, end: span.end, replacement: text.into_bytes() }
}

/// How many bytes from the body's beginning [`apply`] must be given.
#[must_use]
pub fn prefix_len(edits: &[Edit]) -> u64 {
    edits.iter().map(|edit| edit.end).max().unwrap_or(0)
}

/// The body's first bytes with the edits made; whatever follows `prefix` in the body stays as it is.
///
/// Edits may come in any order; at one place insertions are made before what is replaced there, and else in the
/// order given. `prefix` must reach to [`prefix_len`]; an edit that lies outside of it or overlaps an earlier one is
/// left out.
#[must_use]
pub fn apply(prefix: &[u8], edits: &[Edit]) -> Vec<u8> {
    let added = edits.iter().fold(0_usize, |sum, edit| sum.saturating_add(edit.replacement.len()));
    let mut edited = Vec::with_capacity(prefix.len().saturating_add(added));
    let mut done = 0_usize;
    for edit in in_order(edits) {
        let (Ok(start), Ok(end)) = (usize::try_from(edit.start), usize::try_from(edit.end)) else {
            continue;
        };
        let (Some(kept), true) = (prefix.get(done..start), end >= start && end <= prefix.len()) else {
            continue;
        };
        edited.extend_from_slice(kept);
        edited.extend_from_slice(&edit.replacement);
        done = end;
    }
    edited.extend_from_slice(prefix.get(done..).unwrap_or_default());
    edited
}

/// By their place. They are a handful: the library's sort, made for thousands, is many kilobytes of the module.
fn in_order(edits: &[Edit]) -> Vec<&Edit> {
    let place = |edit: &Edit| (edit.start, edit.end);
    let mut ordered: Vec<&Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        let before = ordered.iter().rposition(|other| place(other) <= place(edit));
        ordered.insert(before.map_or(0, |before| before.saturating_add(1)), edit);
    }
    ordered
}

/// A member put at the beginning of an object.
fn insertion(at: u64, member: &str, into_empty: bool) -> Edit {
    let separator = if into_empty { "" } else { "," };
    Edit { start: at, end: at, replacement: format!("{member}{separator}").into_bytes() }
}

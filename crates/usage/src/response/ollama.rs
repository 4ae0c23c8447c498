//! Ollama's own API (usage-formats.md §4): chat and generate, a document in each line or one alone, and vectors.
//!
//! The line that is `done` has the counts. One that would be zero is left out, and so is the prompt's where older
//! servers had it in their cache: what is not stated is not known here to be nothing. Where the cached part is stated,
//! it is part of the prompt.

use super::counts::{Counts, Native};
use super::normalise::{Normalised, split};
use super::profile::{Field, Profile, Source, branch, element, leaf};
use crate::json::{Node, Step};
use tariff::{Meter, Usage};

pub(super) static CHAT: Profile = Profile { tree: &TREE, wrapper: None, end_marker: b"", normalise: of_text };
pub(super) static EMBED: Profile =
    Profile { tree: &TREE, wrapper: None, end_marker: b"", normalise: of_vectors };

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: Some(Field::Usage(Source::Answer)),
    below: &[
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        leaf("done", Field::Ended),
        leaf("response", Field::Content),
        leaf("thinking", Field::Content),
        branch(
            "message",
            None,
            &[
                leaf("content", Field::Content),
                leaf("thinking", Field::Content),
                branch("tool_calls", None, &[element(None, CALL)]),
            ],
        ),
        leaf("prompt_eval_count", Field::Count(Source::Answer, Native::Prompt)),
        leaf("prompt_eval_cached_count", Field::Count(Source::Answer, Native::Cached)),
        leaf("eval_count", Field::Count(Source::Answer, Native::Completion)),
    ],
};

const CALL: &[Node<Field>] = &[branch("function", None, &[leaf("name", Field::Content)])];

/// What was stated; nothing where that is neither prompt nor completion.
fn of_text(counts: &Counts) -> Option<Normalised> {
    let (prompt, completion) = (counts.value(Native::Prompt), counts.value(Native::Completion));
    prompt.or(completion)?;
    let mut usage = Usage::new();
    let mut fits = true;
    if let Some(prompt) = prompt {
        let (uncached, [cached], fit) = split(prompt, [counts.count(Native::Cached)]);
        usage = usage.with(Meter::InputTokens, uncached).with_some(Meter::CachedTokens, cached);
        fits = fit;
    }
    completion.into_iter().for_each(|count| usage.set(Meter::OutputTokens, count));
    let consistent = prompt.is_some() && completion.is_some() && fits;
    Some(Normalised { usage, consistent, total_mismatch: false })
}

/// What was read.
fn of_vectors(counts: &Counts) -> Option<Normalised> {
    let usage = Usage::new().with(Meter::InputTokens, counts.value(Native::Prompt)?);
    Some(Normalised { usage, consistent: true, total_mismatch: false })
}

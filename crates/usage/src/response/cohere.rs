//! Cohere's chat and embeddings, both versions of the API (usage-formats.md §4).
//!
//! What is billed stands in `billed_units`, far below the `tokens` beside it, which count the templates around the
//! prompt too and matter only where nothing is said of billing, be it readable or not. Version 1 has both in `meta` and
//! streams a document in each line; version 2 has them in `usage` and streams events. What is said of cached tokens is
//! of no price here: billed units know no cache.

use super::counts::{Counts, Native};
use super::normalise::Normalised;
use super::profile::{Field, Profile, Source, branch, element, leaf};
use crate::json::{Node, Step};
use tariff::{Meter, Usage};

pub(super) static CHAT: Profile =
    Profile { tree: &CHATTED, wrapper: None, end_marker: b"[DONE]", normalise: of_text };
pub(super) static EMBED: Profile =
    Profile { tree: &EMBEDDED, wrapper: None, end_marker: b"", normalise: of_vectors };

static CHATTED: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("type", Field::EventType(&["message-end"])),
        leaf("event_type", Field::EventType(&["stream-end"])),
        leaf("error", Field::Error),
        // Version 1.
        leaf("text", Field::Content),
        leaf("is_finished", Field::Ended),
        branch("generations", None, &[element(None, &[leaf("text", Field::Content)])]),
        branch("meta", None, UNITS),
        branch("response", None, &[branch("meta", None, UNITS)]),
        // Version 2.
        branch("message", None, MESSAGE),
        branch("usage", None, UNITS),
        branch(
            "delta",
            None,
            &[branch("message", None, MESSAGE), branch("usage", None, UNITS), leaf("error", Field::Error)],
        ),
    ],
};

/// A document has lists of what a stream's events have one by one.
const MESSAGE: &[Node<Field>] = &[
    branch(
        "content",
        None,
        &[element(None, PART), leaf("text", Field::Content), leaf("thinking", Field::Content)],
    ),
    leaf("tool_plan", Field::Content),
    branch("tool_calls", None, &[element(None, CALL), branch("function", None, FUNCTION)]),
];

const PART: &[Node<Field>] = &[leaf("text", Field::Content), leaf("thinking", Field::Content)];
const CALL: &[Node<Field>] = &[branch("function", None, FUNCTION)];
const FUNCTION: &[Node<Field>] = &[leaf("name", Field::Content), leaf("arguments", Field::Content)];

static EMBEDDED: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[leaf("error", Field::Error), branch("meta", None, UNITS)],
};

/// Counts are whole, though the API has them as numbers with a fraction.
const UNITS: &[Node<Field>] = &[
    branch(
        "billed_units",
        Some(Field::Usage(Source::Answer)),
        &[
            leaf("input_tokens", Field::Whole(Source::Answer, Native::Prompt)),
            leaf("output_tokens", Field::Whole(Source::Answer, Native::Completion)),
            leaf("search_units", Field::Whole(Source::Answer, Native::Searches)),
            leaf("image_tokens", Field::Whole(Source::Answer, Native::ImageInput)),
            leaf("images", Field::Whole(Source::Answer, Native::Images)),
        ],
    ),
    branch(
        "tokens",
        Some(Field::Usage(Source::Unbilled)),
        &[
            leaf("input_tokens", Field::Whole(Source::Unbilled, Native::Prompt)),
            leaf("output_tokens", Field::Whole(Source::Unbilled, Native::Completion)),
        ],
    ),
];

/// Billed units, each a meter of its own; none where neither input nor output was stated.
fn of_text(counts: &Counts) -> Option<Normalised> {
    let (prompt, completion) = (counts.value(Native::Prompt), counts.value(Native::Completion));
    prompt.or(completion)?;
    let mut usage = Usage::new().with_some(Meter::Searches, counts.count(Native::Searches));
    for (meter, count) in [(Meter::InputTokens, prompt), (Meter::OutputTokens, completion)] {
        count.into_iter().for_each(|count| usage.set(meter, count));
    }
    let consistent = prompt.is_some() && completion.is_some();
    Some(Normalised { usage, consistent, total_mismatch: false })
}

/// Text and images that were read. Images are billed by their tokens, or else by their number.
fn of_vectors(counts: &Counts) -> Option<Normalised> {
    let natives = [
        (Meter::InputTokens, Native::Prompt),
        (Meter::ImageInputTokens, Native::ImageInput),
        (Meter::Images, Native::Images),
    ];
    let stated = natives.map(|(meter, native)| (meter, counts.value(native)));
    let [(_, prompt), (_, image_tokens), (_, images)] = stated;
    prompt.or(image_tokens).or(images)?;
    let mut usage = Usage::new();
    for (meter, count) in stated {
        let is_counted = meter == Meter::Images && image_tokens.is_some();
        count.into_iter().filter(|_| !is_counted).for_each(|count| usage.set(meter, count));
    }
    // Of images alone, no text was read.
    usage.set(Meter::InputTokens, prompt.unwrap_or(0));
    Some(Normalised { usage, consistent: true, total_mismatch: false })
}

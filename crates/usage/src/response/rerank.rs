//! Rerankers: what was read, or the searches that were made (usage-formats.md §4).
//!
//! Jina, Voyage and vLLM state tokens in `usage`, OpenRouter and Pinecone searches too, Cohere searches in
//! `meta.billed_units`.

use super::counts::{Counts, Native};
use super::normalise::Normalised;
use super::profile::{COST, Field, Profile, Source, branch, leaf};
use crate::json::{Node, Step};
use tariff::{Meter, Usage};

pub(super) static RERANK: Profile = Profile { tree: &TREE, wrapper: None, end_marker: b"", normalise };

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
        branch("meta", None, &[branch("billed_units", Some(Field::Usage(Source::Answer)), BILLED)]),
    ],
};

const USAGE: &[Node<Field>] = &[
    COST,
    // OpenRouter and Pinecone.
    leaf("search_units", Field::Whole(Source::Answer, Native::Searches)),
    leaf("rerank_units", Field::Whole(Source::Answer, Native::Searches)),
    leaf("prompt_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("total_tokens", Field::Count(Source::Answer, Native::Total)),
];

const BILLED: &[Node<Field>] = &[
    leaf("search_units", Field::Whole(Source::Answer, Native::Searches)),
    leaf("input_tokens", Field::Whole(Source::Answer, Native::Prompt)),
];

/// Searches and input, whichever was stated; most providers state their total alone.
fn normalise(counts: &Counts) -> Option<Normalised> {
    let (prompt, total) = (counts.value(Native::Prompt), counts.value(Native::Total));
    let (input, searches) = (prompt.or(total), counts.value(Native::Searches));
    input.or(searches)?;
    let mut usage = Usage::new();
    for (meter, count) in [(Meter::InputTokens, input), (Meter::Searches, searches)] {
        if let Some(count) = count {
            usage.set(meter, count);
        }
    }
    Some(Normalised {
        usage,
        consistent: true,
        total_mismatch: total.is_some_and(|total| Some(total) != input),
    })
}

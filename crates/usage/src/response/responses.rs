//! OpenAI's responses API (usage-formats.md §2).
//!
//! A document is the response itself; a stream's events wrap it in `response`, with usage in the last of them. That
//! one repeats the whole output, so generated text is taken from the document's `output` and from the events' `delta`
//! alone.

use super::counts::Native;
use super::normalise;
use super::profile::{COST, COST_TICKS, Field, Profile, Source, branch, element, leaf};
use crate::json::{Node, Step};

pub(super) static RESPONSES: Profile =
    Profile { tree: &TREE, wrapper: None, end_marker: b"[DONE]", normalise: normalise::inclusive };

/// The events after which nothing comes, whether all was generated, some, or it failed.
const LAST: &[&str] = &["response.completed", "response.incomplete", "response.failed"];

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("type", Field::EventType(LAST)),
        leaf("model", Field::Model),
        leaf("service_tier", Field::ServiceTier),
        leaf("error", Field::Error),
        leaf("delta", Field::Content),
        branch("output", None, &[element(None, OUTPUT)]),
        branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
        branch(
            "response",
            None,
            &[
                leaf("model", Field::Model),
                leaf("service_tier", Field::ServiceTier),
                leaf("error", Field::Error),
                branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
            ],
        ),
    ],
};

/// A message in parts, a tool call, or reasoning with its summary in parts.
const OUTPUT: &[Node<Field>] = &[
    branch("content", None, PARTS),
    branch("summary", None, PARTS),
    leaf("name", Field::Content),
    leaf("arguments", Field::Content),
];

const PARTS: &[Node<Field>] =
    &[element(None, &[leaf("text", Field::Content), leaf("refusal", Field::Content)])];

const USAGE: &[Node<Field>] = &[
    COST,
    COST_TICKS,
    leaf("input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("output_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("total_tokens", Field::Count(Source::Answer, Native::Total)),
    branch(
        "input_tokens_details",
        Some(Field::Details(Source::Answer)),
        &[
            leaf("cached_tokens", Field::Count(Source::Answer, Native::Cached)),
            leaf("cache_write_tokens", Field::Count(Source::Answer, Native::CacheWrite)),
            leaf("audio_tokens", Field::Count(Source::Answer, Native::AudioInput)),
            leaf("image_tokens", Field::Count(Source::Answer, Native::ImageInput)),
        ],
    ),
    branch(
        "output_tokens_details",
        Some(Field::Details(Source::Answer)),
        &[
            leaf("reasoning_tokens", Field::Count(Source::Answer, Native::Reasoning)),
            leaf("audio_tokens", Field::Count(Source::Answer, Native::AudioOutput)),
            leaf("image_tokens", Field::Count(Source::Answer, Native::ImageOutput)),
        ],
    ),
];

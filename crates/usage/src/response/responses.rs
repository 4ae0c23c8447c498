//! OpenAI's responses API (usage-formats.md §2), and Gemini's interactions, whose requests are worded like it.
//!
//! A document is the response itself; a stream's events wrap it in `response`, with usage in the last of them. That
//! one repeats the whole output, so generated text is taken from the document's `output` and from the events' `delta`
//! alone.

use super::calls::Place;
use super::counts::Native;
use super::normalise;
use super::profile::{COST, COST_TICKS, Field, Profile, Side, Source, branch, element, leaf};
use super::tools::{alibaba_tools, xai_tools};
use crate::json::{Node, Step};

pub(super) static RESPONSES: Profile =
    Profile { tree: &TREE, wrapper: None, end_marker: b"[DONE]", normalise: normalise::inclusive };

/// The events after which nothing comes, whether all was generated, some, or it failed.
const LAST: &[&str] = &["response.completed", "response.incomplete", "response.failed"];

/// The same of Gemini's interactions.
const LAST_OF_INTERACTIONS: &[&str] =
    &["interaction.completed", "interaction.complete", "interaction.failed"];

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("type", Field::EventType(LAST)),
        leaf("event_type", Field::EventType(LAST_OF_INTERACTIONS)),
        leaf("model", Field::Model),
        leaf("service_tier", Field::ServiceTier),
        leaf("error", Field::Error),
        branch("delta", Some(Field::Content), &[leaf("text", Field::Content)]),
        branch("output", Some(Field::Calls), &[element(Some(Field::Call(Place::List)), OUTPUT)]),
        branch("item", Some(Field::Call(Place::Event)), CALL),
        branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
        TOOL_USAGE,
        branch(
            "response",
            None,
            &[
                leaf("model", Field::Model),
                leaf("service_tier", Field::ServiceTier),
                leaf("error", Field::Error),
                branch("output", Some(Field::Calls), &[element(Some(Field::Call(Place::List)), CALL)]),
                branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
                TOOL_USAGE,
            ],
        ),
        branch("interaction", None, INTERACTION),
    ],
};

/// What events of interactions wrap.
const INTERACTION: &[Node<Field>] = &[
    leaf("model", Field::Model),
    leaf("service_tier", Field::ServiceTier),
    leaf("error", Field::Error),
    branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
];

/// What an item says that may be a call of a tool that the provider runs by itself, and what else is read of it. The
/// environment is a shell's, which may be the client's own.
macro_rules! item {
    ($($further:expr),*) => {
        &[
            leaf("type", Field::CallKind),
            leaf("status", Field::CallStatus),
            leaf("result", Field::CallResult),
            branch("action", None, &[leaf("type", Field::CallAction)]),
            leaf("container_id", Field::CallContainer),
            branch("environment", None, &[leaf("container_id", Field::CallContainer)]),
            $($further,)*
        ]
    };
}

/// A message in parts, a tool call, or reasoning with its summary in parts.
const OUTPUT: &[Node<Field>] = item!(
    branch("content", None, PARTS),
    branch("summary", None, PARTS),
    leaf("name", Field::Content),
    leaf("arguments", Field::Content)
);

/// The same where its text is of no matter.
const CALL: &[Node<Field>] = item!();

/// What tools used beside the answer's own tokens.
const TOOL_USAGE: Node<Field> = branch(
    "tool_usage",
    Some(Field::Details(Source::Answer)),
    &[
        branch(
            "web_search",
            Some(Field::Details(Source::Answer)),
            &[leaf("num_requests", Field::Count(Source::Answer, Native::Searches))],
        ),
        branch(
            "image_gen",
            Some(Field::Details(Source::Answer)),
            &[
                leaf("input_tokens", Field::Count(Source::Answer, Native::ImageToolPrompt)),
                leaf("output_tokens", Field::Count(Source::Answer, Native::ImageToolOutput)),
                branch(
                    "input_tokens_details",
                    Some(Field::Details(Source::Answer)),
                    &[leaf("image_tokens", Field::Count(Source::Answer, Native::ImageToolInput))],
                ),
            ],
        ),
    ],
);

const PARTS: &[Node<Field>] =
    &[element(None, &[leaf("text", Field::Content), leaf("refusal", Field::Content)])];

const USAGE: &[Node<Field>] = &[
    COST,
    COST_TICKS,
    // Gemini's: what tools added to the input stands beside it, thoughts beside the output.
    leaf("total_input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("total_output_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("total_cached_tokens", Field::Count(Source::Answer, Native::Cached)),
    leaf("total_thought_tokens", Field::Count(Source::Answer, Native::Reasoning)),
    leaf("total_tool_use_tokens", Field::Count(Source::Answer, Native::ToolPrompt)),
    branch("input_tokens_by_modality", None, &[element(Some(Field::Part(Side::Input)), MODALITY)]),
    branch("output_tokens_by_modality", None, &[element(Some(Field::Part(Side::Output)), MODALITY)]),
    branch(
        "grounding_tool_count",
        Some(Field::Sum(Native::Searches)),
        &[element(
            Some(Field::Summand(Native::Searches)),
            &[leaf("search_query_count", Field::PartCount), leaf("count", Field::PartCountElsewhere)],
        )],
    ),
    leaf("input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("output_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("total_tokens", Field::Count(Source::Answer, Native::Total)),
    leaf("num_sources_used", Field::Count(Source::Answer, Native::Sources)),
    leaf("num_server_side_tools_used", Field::Count(Source::Answer, Native::ToolCalls)),
    xai_tools!(Source::Answer),
    alibaba_tools!(Source::Answer),
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

const MODALITY: &[Node<Field>] = &[leaf("modality", Field::PartKind), leaf("tokens", Field::PartCount)];

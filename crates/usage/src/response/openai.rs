//! OpenAI chat completions, and what the servers compatible with them do differently (usage-formats.md §2).
//!
//! One tree serves documents and stream chunks: the former have `message`, the latter `delta`; the older completions
//! have `text` in both. A usage object
//! stands in the last chunk with empty `choices` (OpenAI), in the last chunk with content (Mistral,
//! DeepSeek), in every chunk (Perplexity, vLLM), in the first choice (Moonshot) or in `x_groq` (Groq): all are
//! taken, the last value counts.

use super::calls::Place;
use super::counts::Native;
use super::normalise;
use super::profile::{COST, COST_TICKS, Field, Profile, Source, branch, element, leaf};
use super::tools::{alibaba_tools, tool_calls, tool_counts, xai_tools};
use crate::json::{Node, Step};

/// Searches that a provider made for the model, and calls of its tools in all.
macro_rules! searches {
    ($source:expr) => {
        &[
            leaf("web_search_requests", Field::Count($source, Native::Searches)),
            leaf("tool_calls_executed", Field::Count($source, Native::ToolCalls)),
        ]
    };
}

/// The members of a usage object. Cached tokens have another name with Moonshot (`cached_tokens`), Mistral
/// (`num_cached_tokens`), DeepSeek (`prompt_cache_hit_tokens`) and gateways to Anthropic; Perplexity counts
/// reasoning, what it read of the pages it cites, and searches beside the rest.
macro_rules! usage {
    ($source:expr) => {
        &[
            COST,
            COST_TICKS,
            leaf("prompt_tokens", Field::Count($source, Native::Prompt)),
            leaf("completion_tokens", Field::Count($source, Native::Completion)),
            leaf("total_tokens", Field::Count($source, Native::Total)),
            leaf("cached_tokens", Field::Count($source, Native::CachedElsewhere)),
            leaf("num_cached_tokens", Field::Count($source, Native::CachedElsewhere)),
            leaf("prompt_cache_hit_tokens", Field::Count($source, Native::CachedElsewhere)),
            leaf("cache_read_input_tokens", Field::Count($source, Native::CachedElsewhere)),
            leaf("cache_creation_input_tokens", Field::Count($source, Native::CacheWriteElsewhere)),
            leaf("reasoning_tokens", Field::Count($source, Native::ReasoningElsewhere)),
            leaf("citation_tokens", Field::Count($source, Native::Citations)),
            leaf("num_search_queries", Field::Count($source, Native::Queries)),
            // Of the sound that was read, which is in tokens too; it says what the total has more (Mistral).
            leaf("prompt_audio_seconds", Field::Measure($source, Native::Seconds)),
            // Mistral's conversations.
            leaf("connector_tokens", Field::Count($source, Native::ConnectorPrompt)),
            tool_calls!(
                $source,
                "connectors",
                "web_search" => Searches,
                "web_search_premium" => OtherSearches,
                "document_library" => FileSearches,
                "code_interpreter" => CodeRuns,
                "image_generation" => Images
            ),
            // xAI.
            leaf("num_sources_used", Field::Count($source, Native::Sources)),
            leaf("num_server_side_tools_used", Field::Count($source, Native::ToolCalls)),
            xai_tools!($source),
            // Alibaba.
            alibaba_tools!($source),
            tool_counts!($source, "plugins", "search" => SearchesElsewhere),
            // OpenRouter, in its present and its older place.
            branch("server_tool_use_details", Some(Field::Details($source)), searches!($source)),
            branch("server_tool_use", Some(Field::Details($source)), searches!($source)),
            branch(
                "prompt_tokens_details",
                Some(Field::Details($source)),
                &[
                    leaf("cached_tokens", Field::Count($source, Native::Cached)),
                    leaf("cache_write_tokens", Field::Count($source, Native::CacheWrite)),
                    // Alibaba, gateways to Anthropic.
                    leaf("cache_creation_input_tokens", Field::Count($source, Native::CacheWriteElsewhere)),
                    leaf("cache_creation_tokens", Field::Count($source, Native::CacheWriteElsewhere)),
                    leaf("audio_tokens", Field::Count($source, Native::AudioInput)),
                    leaf("image_tokens", Field::Count($source, Native::ImageInput)),
                ],
            ),
            branch(
                "completion_tokens_details",
                Some(Field::Details($source)),
                &[
                    leaf("reasoning_tokens", Field::Count($source, Native::Reasoning)),
                    leaf("audio_tokens", Field::Count($source, Native::AudioOutput)),
                    leaf("image_tokens", Field::Count($source, Native::ImageOutput)),
                ],
            ),
        ]
    };
}

pub(super) static CHAT: Profile =
    Profile { tree: &TREE, wrapper: None, end_marker: b"[DONE]", normalise: normalise::inclusive };

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("model", Field::Model),
        leaf("service_tier", Field::ServiceTier),
        leaf("error", Field::Error),
        branch("choices", None, &[CHOICE]),
        branch("usage", Some(Field::Usage(Source::Answer)), ANSWER_USAGE),
        // Mistral's conversations.
        leaf("type", Field::EventType(&["conversation.response.done"])),
        branch("content", Some(Field::Content), &[leaf("text", Field::Content)]),
        branch(
            "outputs",
            None,
            &[element(None, &[leaf("model", Field::Model), branch("content", Some(Field::Content), PARTS)])],
        ),
        branch("x_groq", None, &[branch("usage", Some(Field::Usage(Source::Aside)), ASIDE_USAGE)]),
    ],
};

const CHOICE: Node<Field> = Node {
    step: Step::Element,
    field: Some(Field::Choice),
    below: &[
        leaf("index", Field::ChoiceIndex),
        branch("delta", None, MESSAGE),
        branch("message", None, MESSAGE),
        leaf("text", Field::Content),
        leaf("finish_reason", Field::FinishReason),
        branch("usage", Some(Field::Usage(Source::FirstChoice)), CHOICE_USAGE),
    ],
};

/// What a model generates: the answer as text or in parts, a refusal, its reasoning, tool calls, speech in
/// words.
const MESSAGE: &[Node<Field>] = &[
    branch("content", Some(Field::Content), PARTS),
    leaf("refusal", Field::Content),
    leaf("reasoning_content", Field::Content),
    leaf("reasoning", Field::Content),
    branch("tool_calls", None, &[element(None, &[branch("function", None, FUNCTION)])]),
    branch("function_call", None, FUNCTION),
    branch("audio", None, &[leaf("transcript", Field::Content)]),
    // Groq.
    branch("executed_tools", Some(Field::Runs), &[element(Some(Field::Call(Place::Run)), RUN)]),
];

const RUN: &[Node<Field>] = &[leaf("index", Field::CallIndex), leaf("type", Field::CallKind)];

const FUNCTION: &[Node<Field>] = &[leaf("name", Field::Content), leaf("arguments", Field::Content)];

/// Mistral's reasoning models answer in parts of text and of thinking, the latter in parts again.
const PARTS: &[Node<Field>] = &[element(
    None,
    &[
        leaf("text", Field::Content),
        branch("thinking", None, &[element(None, &[leaf("text", Field::Content)])]),
    ],
)];

const ANSWER_USAGE: &[Node<Field>] = usage!(Source::Answer);
const CHOICE_USAGE: &[Node<Field>] = usage!(Source::FirstChoice);
const ASIDE_USAGE: &[Node<Field>] = usage!(Source::Aside);

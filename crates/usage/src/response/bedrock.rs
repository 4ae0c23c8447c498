//! Amazon Bedrock's runtime (usage-formats.md §4): `Converse` with one shape for all models, and `InvokeModel`, which
//! passes on what each model says in its own.
//!
//! Counts leave out what was read from and written to the cache, as Anthropic's do. The events of a streamed
//! conversation have no name in their data, and need none: no member means two things. A streamed invocation has the
//! model's own events encoded inside of Amazon's, and Amazon's own counts in the last of them; a plain one has those
//! in headers. What the model itself counts goes first: it tells the lifetimes of the cache, and what was billed one by
//! one.

use super::anthropic::{self, anthropic_usage};
use super::counts::{Counts, Native};
use super::normalise::Normalised;
use super::profile::{Field, Profile, Side, Source, branch, element, leaf};
use crate::json::{Node, Step};

pub(super) static CONVERSE: Profile =
    Profile { tree: &CONVERSED, wrapper: None, end_marker: b"", normalise: with_total };
pub(super) static INVOKE: Profile =
    Profile { tree: &INVOKED, wrapper: Some(&WRAPPER), end_marker: b"", normalise: anthropic::normalise };

/// The headers of a plain invocation's answer that have counts, and what they count.
pub(super) const HEADERS: [(&str, Native); 4] = [
    ("x-amzn-bedrock-input-token-count", Native::Prompt),
    ("x-amzn-bedrock-output-token-count", Native::Completion),
    ("x-amzn-bedrock-cache-read-input-token-count", Native::Cached),
    ("x-amzn-bedrock-cache-write-input-token-count", Native::CacheWrite),
];

/// The header that says how an invocation was served, streamed or not; no body does.
pub(super) const TIER_HEADER: &str = "x-amzn-bedrock-service-tier";

static CONVERSED: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("stopReason", Field::Ended),
        branch("serviceTier", None, &[leaf("type", Field::ServiceTier)]),
        branch("output", None, MESSAGE_OF_OUTPUT),
        branch("delta", None, BLOCK),
        branch("start", None, &[branch("toolUse", None, &[leaf("name", Field::Content)])]),
        branch("usage", Some(Field::Usage(Source::Answer)), CONVERSE_USAGE),
    ],
};

const MESSAGE_OF_OUTPUT: &[Node<Field>] =
    &[branch("message", None, &[branch("content", None, &[element(None, BLOCK)])])];

/// A block of a message, or what a stream adds to it.
const BLOCK: &[Node<Field>] = &[
    leaf("text", Field::Content),
    branch("citationsContent", None, &[branch("content", None, TEXTS)]),
    branch("toolUse", None, &[leaf("name", Field::Content), leaf("input", Field::Content)]),
    branch(
        "reasoningContent",
        None,
        &[leaf("text", Field::Content), branch("reasoningText", None, &[leaf("text", Field::Content)])],
    ),
];

const CONVERSE_USAGE: &[Node<Field>] = &[
    leaf("inputTokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("outputTokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("totalTokens", Field::Count(Source::Answer, Native::Total)),
    leaf("cacheReadInputTokens", Field::Count(Source::Answer, Native::Cached)),
    leaf("cacheReadInputTokenCount", Field::Count(Source::Answer, Native::Cached)),
    leaf("cacheWriteInputTokens", Field::Count(Source::Answer, Native::CacheWrite)),
    leaf("cacheWriteInputTokenCount", Field::Count(Source::Answer, Native::CacheWrite)),
    branch(
        "serverToolUsage",
        Some(Field::Details(Source::Answer)),
        &[leaf("webSearchRequests", Field::Count(Source::Answer, Native::Searches))],
    ),
    // Writes to the cache by their lifetime.
    branch(
        "cacheDetails",
        None,
        &[element(
            Some(Field::Part(Side::CacheWrite)),
            &[leaf("ttl", Field::PartKind), leaf("inputTokens", Field::PartCount)],
        )],
    ),
];

static WRAPPER: Node<Field> =
    Node { step: Step::Element, field: None, below: &[leaf("bytes", Field::Wrapped)] };

/// What models say of an invocation, all in one: no name means two things.
static INVOKED: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        branch("amazon-bedrock-invocationMetrics", Some(Field::Usage(Source::Aside)), METRICS),
        // Anthropic's.
        leaf("type", Field::EventType(anthropic::LAST)),
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        branch("content", None, &[element(None, anthropic::BLOCK)]),
        branch("delta", None, anthropic::BLOCK),
        branch("usage", Some(Field::Usage(Source::Answer)), INVOKE_USAGE),
        branch(
            "message",
            None,
            &[leaf("model", Field::Model), branch("usage", Some(Field::Usage(Source::Answer)), INVOKE_USAGE)],
        ),
        // Amazon Nova's, whose last event has the metrics.
        branch("output", None, MESSAGE_OF_OUTPUT),
        branch("contentBlockDelta", None, &[branch("delta", None, BLOCK)]),
        branch("metadata", None, &[branch("usage", Some(Field::Usage(Source::Answer)), INVOKE_USAGE)]),
        // Amazon Titan's.
        leaf("inputTextTokenCount", Field::Whole(Source::Answer, Native::Prompt)),
        leaf("totalOutputTextTokenCount", Field::Whole(Source::Answer, Native::Completion)),
        leaf("outputText", Field::Content),
        branch(
            "results",
            None,
            &[element(
                None,
                &[
                    leaf("tokenCount", Field::Whole(Source::Answer, Native::Completion)),
                    leaf("outputText", Field::Content),
                ],
            )],
        ),
        leaf("embedding", Field::Vectors),
        leaf("embeddings", Field::Vectors),
        // Llama's.
        leaf("prompt_token_count", Field::Whole(Source::Answer, Native::Prompt)),
        leaf("generation_token_count", Field::Whole(Source::Answer, Native::Completion)),
        leaf("generation", Field::Content),
        // Text alone: Cohere's, Mistral's, older ones of Anthropic's.
        leaf("text", Field::Content),
        leaf("completion", Field::Content),
        branch("outputs", None, TEXTS),
        branch("generations", None, TEXTS),
        // As OpenAI has it.
        branch("choices", None, &[element(None, CHOICE)]),
    ],
};

const TEXTS: &[Node<Field>] = &[element(None, &[leaf("text", Field::Content)])];

const CHOICE: &[Node<Field>] =
    &[leaf("text", Field::Content), branch("message", None, SAID), branch("delta", None, SAID)];

const SAID: &[Node<Field>] = &[leaf("content", Field::Content), leaf("reasoning", Field::Content)];

const INVOKE_USAGE: &[Node<Field>] = anthropic_usage!(
    Source::Answer,
    leaf("service_tier", Field::ServiceTier),
    leaf("speed", Field::Speed),
    leaf("inference_geo", Field::Region),
    branch("iterations", Some(Field::Iterations), &[element(Some(Field::Iteration), anthropic::ITERATION)]),
    leaf("inputTokens", Field::Whole(Source::Answer, Native::Prompt)),
    leaf("outputTokens", Field::Whole(Source::Answer, Native::Completion)),
    leaf("cacheReadInputTokenCount", Field::Whole(Source::Answer, Native::Cached)),
    leaf("cacheWriteInputTokenCount", Field::Whole(Source::Answer, Native::CacheWrite)),
    leaf("prompt_tokens", Field::Whole(Source::Answer, Native::Prompt)),
    leaf("completion_tokens", Field::Whole(Source::Answer, Native::Completion))
);

const METRICS: &[Node<Field>] = &[
    leaf("inputTokenCount", Field::Whole(Source::Aside, Native::Prompt)),
    leaf("outputTokenCount", Field::Whole(Source::Aside, Native::Completion)),
    leaf("cacheReadInputTokenCount", Field::Whole(Source::Aside, Native::Cached)),
    leaf("cacheWriteInputTokenCount", Field::Whole(Source::Aside, Native::CacheWrite)),
];

/// Counts with the cache beside the input, whose total has been seen with the cache in it and without.
fn with_total(counts: &Counts) -> Option<Normalised> {
    let mut normalised = anthropic::normalise(counts)?;
    let add = |sum: u64, native| sum.saturating_add(counts.count(native));
    let uncached = [Native::Prompt, Native::Completion].into_iter().fold(0, add);
    let all = [Native::Cached, Native::CacheWrite].into_iter().fold(uncached, add);
    let total = counts.value(Native::Total);
    normalised.total_mismatch = total.is_some_and(|total| total != uncached && total != all);
    Some(normalised)
}

//! Anthropic's messages (usage-formats.md §3).
//!
//! A document is the message; of a stream, `message_start` wraps it in `message` with the input's counts, and
//! `message_delta` states the output's so far and may state the input again: per count the last value stands. The
//! input's count leaves out what was read from and written to the cache. Where there are `iterations`, they are what
//! is billed: the counts beside them are the sum of those that made the message, without a compaction's or an
//! advisor's (see [`super::rounds`]).

use super::counts::{Counts, Native};
use super::normalise::{Normalised, split};
use super::profile::{Field, Profile, Source, branch, element, leaf};
use crate::json::{Node, Step};
use tariff::{Meter, Usage};

pub(super) static MESSAGES: Profile = Profile { tree: &TREE, wrapper: None, end_marker: b"", normalise };

pub(super) const LAST: &[&str] = &["message_stop"];

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("type", Field::EventType(LAST)),
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        branch("content", None, &[element(None, BLOCK)]),
        branch("delta", None, BLOCK),
        branch("usage", Some(Field::Usage(Source::Answer)), ANSWER_USAGE),
        branch(
            "message",
            None,
            &[leaf("model", Field::Model), branch("usage", Some(Field::Usage(Source::Answer)), ANSWER_USAGE)],
        ),
    ],
};

/// A block of a message, or what a stream adds to it.
pub(super) const BLOCK: &[Node<Field>] = &[
    leaf("text", Field::Content),
    leaf("thinking", Field::Content),
    leaf("partial_json", Field::Content),
    // Of the message, in the event with its last counts.
    leaf("stop_reason", Field::Ended),
];

/// The members of a usage object, and those that another dialect has beside. Bedrock writes its counts with a point
/// where a guardrail has changed the answer.
macro_rules! anthropic_usage {
    ($source:expr $(, $further:expr)*) => {
        &[
            leaf("input_tokens", Field::Whole($source, Native::Prompt)),
            leaf("output_tokens", Field::Whole($source, Native::Completion)),
            leaf("cache_read_input_tokens", Field::Whole($source, Native::Cached)),
            leaf("cache_creation_input_tokens", Field::Whole($source, Native::CacheWrite)),
            branch(
                "cache_creation",
                Some(Field::Details($source)),
                &[
                    leaf("ephemeral_5m_input_tokens", Field::Whole($source, Native::CacheWriteShort)),
                    leaf("ephemeral_1h_input_tokens", Field::Whole($source, Native::CacheWriteHour)),
                ],
            ),
            branch(
                "server_tool_use",
                Some(Field::Details($source)),
                &[leaf("web_search_requests", Field::Whole($source, Native::Searches))],
            ),
            branch(
                "output_tokens_details",
                Some(Field::Details($source)),
                &[leaf("thinking_tokens", Field::Whole($source, Native::Reasoning))],
            ),
            $($further,)*
        ]
    };
}

pub(super) use anthropic_usage;

const ANSWER_USAGE: &[Node<Field>] = anthropic_usage!(
    Source::Answer,
    leaf("service_tier", Field::ServiceTier),
    leaf("speed", Field::Speed),
    leaf("inference_geo", Field::Region),
    branch("iterations", Some(Field::Iterations), &[element(Some(Field::Iteration), ITERATION)])
);
pub(super) const ITERATION: &[Node<Field>] = anthropic_usage!(
    Source::Iteration,
    leaf("type", Field::IterationKind),
    leaf("model", Field::IterationModel)
);

/// Counts where the cached input is beside the prompt, not part of it; none where neither prompt nor completion was
/// stated, and of those only what was.
///
/// Writes to the cache that no lifetime is stated of are of the default one, five minutes: so are what a stream adds to
/// the sum of writes after it has told them by lifetime.
pub(super) fn normalise(counts: &Counts) -> Option<Normalised> {
    let (prompt, completion) = (counts.value(Native::Prompt), counts.value(Native::Completion));
    prompt.or(completion)?;
    let by_lifetime = counts.value(Native::CacheWriteShort).or(counts.value(Native::CacheWriteHour));
    let (short, hour) = (counts.count(Native::CacheWriteShort), counts.count(Native::CacheWriteHour));
    let written = counts.value(Native::CacheWrite);
    // What tools wrote while the message went on is added to the sum alone.
    let is_told = |written: u64| written == short.saturating_add(hour) || hour == 0 && written > short;
    let agree = by_lifetime.is_none() || written.is_none_or(is_told);
    let short = short.max(written.unwrap_or(0).saturating_sub(hour));
    let (text, [reasoning], fits) = split(completion.unwrap_or(0), [counts.count(Native::Reasoning)]);
    let mut usage = Usage::new()
        .with_some(Meter::CachedTokens, counts.count(Native::Cached))
        .with_some(Meter::CacheWriteTokens, short)
        .with_some(Meter::CacheWriteHourTokens, hour)
        .with_some(Meter::ReasoningTokens, reasoning)
        .with_some(Meter::Searches, counts.count(Native::Searches));
    for (meter, count) in [(Meter::InputTokens, prompt), (Meter::OutputTokens, completion.map(|_| text))] {
        count.into_iter().for_each(|count| usage.set(meter, count));
    }
    let consistent = prompt.is_some() && completion.is_some() && agree && fits;
    Some(Normalised { usage, consistent, total_mismatch: false })
}

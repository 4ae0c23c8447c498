//! Gemini's `generateContent` and `streamGenerateContent`, as Vertex AI has them too (usage-formats.md §4).
//!
//! A stream is made of events (`alt=sse`) or is one array whose elements are what the events are; each has all counts
//! so far. The candidates' count leaves out thoughts and what tools added to the prompt; what was read from the cache
//! is part of the prompt.

use super::counts::{Counts, Native};
use super::normalise::{Normalised, split};
use super::profile::{Field, Profile, Side, Source, branch, element, leaf};
use crate::json::{Node, Step};
use crate::limits::COUNT_MAX;
use tariff::{Meter, Usage};

pub(super) static GENERATE_CONTENT: Profile =
    Profile { tree: &TREE, wrapper: None, end_marker: b"", normalise };

macro_rules! members {
    ($($further:expr)?) => {
        &[
            leaf("modelVersion", Field::Model),
            leaf("error", Field::Error),
            branch("candidates", None, &[CANDIDATE]),
            // A prompt that is blocked has no candidates.
            branch("promptFeedback", None, &[leaf("blockReason", Field::Ended)]),
            branch("usageMetadata", Some(Field::Usage(Source::Answer)), USAGE),
            $($further,)?
        ]
    };
}

static TREE: Node<Field> =
    Node { step: Step::Element, field: None, below: members!(element(Some(Field::Document), members!())) };

const CANDIDATE: Node<Field> = Node {
    step: Step::Element,
    field: Some(Field::Choice),
    below: &[
        leaf("index", Field::ChoiceIndex),
        branch("content", None, &[branch("parts", None, &[element(None, &[leaf("text", Field::Content)])])]),
        leaf("finishReason", Field::FinishReason),
        branch(
            "groundingMetadata",
            None,
            &[branch("webSearchQueries", None, &[element(Some(Field::Query), &[])])],
        ),
    ],
};

const USAGE: &[Node<Field>] = &[
    leaf("trafficType", Field::ServiceTier),
    leaf("serviceTier", Field::ServiceTier),
    leaf("promptTokenCount", Field::Count(Source::Answer, Native::Prompt)),
    leaf("candidatesTokenCount", Field::Count(Source::Answer, Native::Completion)),
    leaf("totalTokenCount", Field::Count(Source::Answer, Native::Total)),
    leaf("thoughtsTokenCount", Field::Count(Source::Answer, Native::Reasoning)),
    leaf("cachedContentTokenCount", Field::Count(Source::Answer, Native::Cached)),
    leaf("toolUsePromptTokenCount", Field::Count(Source::Answer, Native::ToolPrompt)),
    // Of embeddings.
    branch("promptTokenDetails", None, &[element(Some(Field::Part(Side::Input)), PART)]),
    branch("promptTokensDetails", None, &[element(Some(Field::Part(Side::Input)), PART)]),
    branch("cacheTokensDetails", None, &[element(Some(Field::Part(Side::Cached)), PART)]),
    branch("candidatesTokensDetails", None, &[element(Some(Field::Part(Side::Output)), PART)]),
];

const PART: &[Node<Field>] = &[leaf("modality", Field::PartKind), leaf("tokenCount", Field::PartCount)];

/// How many searches are billed of so many that were made: all of them, but for the generations of models before the
/// third, which are billed by the prompt (Google's documentation of grounding).
pub(super) fn searches(made: u64, model: Option<&str>) -> u64 {
    let is_by_prompt = |model: &str| model.starts_with("gemini-1.") || model.starts_with("gemini-2.");
    if model.is_some_and(is_by_prompt) { made.min(1) } else { made }
}

/// Counts with the cached part in the prompt, and thoughts and the results of tools beside; none where neither prompt
/// nor total was stated. Without a count of candidates, what the total has beyond the rest is theirs.
fn normalise(counts: &Counts) -> Option<Normalised> {
    let total = counts.value(Native::Total);
    let prompt = counts.value(Native::Prompt);
    let tools = counts.count(Native::ToolPrompt);
    let thoughts = counts.count(Native::Reasoning);
    let candidates = counts.value(Native::Completion).unwrap_or_else(|| {
        let rest = prompt.unwrap_or(0).saturating_add(tools).saturating_add(thoughts);
        prompt.and(total).unwrap_or(0).saturating_sub(rest)
    });
    let generated = candidates.saturating_add(thoughts);
    let input = match (prompt, total) {
        (Some(prompt), _) => prompt.saturating_add(tools).min(COUNT_MAX),
        (None, Some(total)) => total.saturating_sub(generated),
        (None, None) => return None,
    };
    // What was cached of audio and images is in both counts.
    let new = |all, cached| counts.count(all).saturating_sub(counts.count(cached));
    let audio = new(Native::AudioInput, Native::CachedAudio);
    let image = new(Native::ImageInput, Native::CachedImage);
    let (uncached, [cached, audio, image], input_fits) =
        split(input, [counts.count(Native::Cached), audio, image]);
    let natives = [Native::AudioOutput, Native::ImageOutput];
    let (text, [audio_output, image_output], output_fits) =
        split(candidates, natives.map(|part| counts.count(part)));
    let usage = Usage::new()
        .with(Meter::InputTokens, uncached)
        .with(Meter::OutputTokens, text)
        .with_some(Meter::CachedTokens, cached)
        .with_some(Meter::AudioInputTokens, audio)
        .with_some(Meter::ImageInputTokens, image)
        .with_some(Meter::ReasoningTokens, thoughts)
        .with_some(Meter::AudioOutputTokens, audio_output)
        .with_some(Meter::ImageOutputTokens, image_output)
        .with_some(Meter::Searches, counts.count(Native::Searches));
    Some(Normalised {
        usage,
        consistent: prompt.is_some() && input_fits && output_fits,
        total_mismatch: total.is_some_and(|total| total != input.saturating_add(generated)),
    })
}

//! From native counts to disjoint meters.
//!
//! A provider's families differ in whether the input count contains the cached part and the output count the
//! reasoning; mixing them up bills tokens twice or not at all. One function per family.

use tariff::{Meter, Usage};

use super::counts::{Counts, Native};
use super::tools;
use crate::limits::COUNT_MAX;

/// Counts ready for the price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Normalised {
    /// Disjoint counts.
    pub(super) usage: Usage,
    /// Whether the provider's counts are all there and agree with one another.
    pub(super) consistent: bool,
    /// Whether its total is not the sum of its parts.
    pub(super) total_mismatch: bool,
}

/// Counts where cached and audio input are part of the prompt, reasoning and audio output part of the
/// completion: the OpenAI family. None where nothing was stated of prompt, completion or total.
///
/// - Where the total is more than prompt and completion, what it has more tells what stands beside them: see
///   [`Beside`].
/// - Perplexity's deep research counts reasoning, citations and searches beside completion, prompt and total: see
///   [`is_deep_research`].
/// - Parts larger than their whole are cut so that the sum is the whole: the cached part last, for what is audio or
///   an image may have been cached.
/// - A missing whole is the total less the other, and left out where there is no total; parts without a whole are
///   not believed.
pub(super) fn inclusive(counts: &Counts) -> Option<Normalised> {
    let total = counts.value(Native::Total);
    let wholes = wholes(counts, total)?;
    let [prompt, completion] = wholes.map(|whole| whole.unwrap_or(0));
    let cached = either(counts, Native::Cached, Native::CachedElsewhere).unwrap_or(0);
    let written = either(counts, Native::CacheWrite, Native::CacheWriteElsewhere).unwrap_or(0);
    let beside = Beside::told(counts, prompt, completion, cached.saturating_add(written));
    let is_deep = is_deep_research(counts, completion);
    let [citations, queries] =
        [Native::Citations, Native::Queries].map(|native| if is_deep { counts.count(native) } else { 0 });
    let input = prompt.saturating_add(beside.input).saturating_add(citations).min(COUNT_MAX);
    let output = completion.saturating_add(beside.reasoning).min(COUNT_MAX);
    let reasoning = either(counts, Native::Reasoning, Native::ReasoningElsewhere);
    let reasoning = reasoning.unwrap_or(0).max(beside.reasoning);

    let [audio, image] = [Native::AudioInput, Native::ImageInput].map(|part| counts.count(part));
    let audio = audio.max(beside.audio);
    let (uncached, [cached, cache_write, audio, image], input_fits) =
        split(input, [cached, written, audio, image]);
    let [audio_output, image_output] =
        [Native::AudioOutput, Native::ImageOutput].map(|part| counts.count(part));
    let (text, [audio_output, image_output, reasoning], output_fits) =
        split(output, [audio_output, image_output, reasoning]);

    let mut usage = Usage::new();
    for (meter, whole, count) in
        [(Meter::InputTokens, wholes[0], uncached), (Meter::OutputTokens, wholes[1], text)]
    {
        whole.iter().for_each(|_| usage.set(meter, count));
    }
    let parts = [
        (Meter::CachedTokens, cached),
        (Meter::CacheWriteTokens, cache_write),
        (Meter::AudioInputTokens, audio),
        (Meter::ImageInputTokens, image),
        (Meter::ReasoningTokens, reasoning),
        (Meter::AudioOutputTokens, audio_output),
        (Meter::ImageOutputTokens, image_output),
    ];
    for (meter, count) in parts {
        if count > 0 {
            usage.set(meter, count);
        }
    }
    // None heard is as much of a count as any: it is not guessed then.
    counts.value(Native::Seconds).into_iter().for_each(|seconds| usage.set(Meter::Seconds, seconds));
    tools::add(counts, queries, &mut usage);
    let stated = [Native::Prompt, Native::Completion].into_iter().all(|whole| counts.value(whole).is_some());
    let consistent = stated && input_fits && output_fits;
    Some(Normalised { usage, consistent, total_mismatch: beside.mismatch })
}

/// What was used beside prompt and completion.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    /// Of the input.
    input: u64,
    /// Of that, audio.
    audio: u64,
    /// Of the output.
    reasoning: u64,
    /// The total is not the sum of what was stated.
    mismatch: bool,
}

impl Beside {
    /// What the total tells, where it is more than prompt and completion.
    ///
    /// - As much as the reasoning: xAI's chat completions, Vertex AI's compatible ones.
    /// - As much as was read from the cache and written to it: gateways that leave it out of Anthropic's prompt.
    /// - As much as the results of tools added to the input: Mistral's conversations.
    /// - As much as the audio, or anything where seconds of audio were read: Mistral.
    /// - Anything else where no reasoning is stated: Gemini's compatible endpoint, which names its thoughts nowhere.
    fn told(counts: &Counts, prompt: u64, completion: u64, cache: u64) -> Self {
        let (named, elsewhere) =
            (counts.value(Native::Reasoning), counts.value(Native::ReasoningElsewhere).unwrap_or(0));
        let reasoning = named.unwrap_or(elsewhere);
        let sum = prompt.saturating_add(completion);
        let more = counts.value(Native::Total).unwrap_or(sum).checked_sub(sum);
        let audio = counts.count(Native::AudioInput);
        match more {
            None => Self { mismatch: true, ..Self::default() },
            // Not in the total either.
            Some(0) if is_deep_research(counts, completion) || elsewhere > completion => {
                Self { reasoning, ..Self::default() }
            }
            Some(0) => Self::default(),
            Some(more) if more == reasoning => Self { reasoning, ..Self::default() },
            Some(more) if more == cache => Self { input: more, ..Self::default() },
            Some(more) if more == counts.count(Native::ConnectorPrompt) => {
                Self { input: more, ..Self::default() }
            }
            Some(more) if more == audio => Self { input: more, audio, ..Self::default() },
            Some(more) if counts.count(Native::Seconds) > 0 => {
                Self { input: more, audio: audio.max(more), reasoning: 0, mismatch: true }
            }
            Some(more) if named.is_none() => Self { reasoning: more, mismatch: true, ..Self::default() },
            Some(_) => Self { mismatch: true, ..Self::default() },
        }
    }
}

/// Whether an answer is of Perplexity's deep research, the only one of its models that is billed for citations and
/// searches, though all of them may state both. It alone reasons beside its completion, of which no total tells: it cites
/// what it read, or it reasons more than it says.
fn is_deep_research(counts: &Counts, completion: u64) -> bool {
    let reasoning = counts.count(Native::ReasoningElsewhere);
    let is_cited = |citations: u64| citations > 0 && reasoning > 0 || reasoning > completion;
    counts.value(Native::Citations).is_some_and(is_cited)
}

/// A count under either of its names.
fn either(counts: &Counts, name: Native, other: Native) -> Option<u64> {
    counts.value(name).or_else(|| counts.value(other))
}

/// Prompt and completion, where they were stated or the total tells; none where nothing was stated at all.
fn wholes(counts: &Counts, total: Option<u64>) -> Option<[Option<u64>; 2]> {
    let rest = |whole: u64| total.map(|total| total.saturating_sub(whole));
    // Gemini's stand beside the prompt in any case.
    let tools = counts.count(Native::ToolPrompt);
    let prompt = counts.value(Native::Prompt).map(|prompt| prompt.saturating_add(tools));
    match (prompt, counts.value(Native::Completion)) {
        // What is input of it and what output is not known: the cheaper kind.
        (None, None) => total.map(|total| [Some(total), Some(0)]),
        (prompt, completion) => {
            Some([prompt.or_else(|| rest(completion?)), completion.or_else(|| rest(prompt?))])
        }
    }
}

/// What is left of `whole` beside its parts, the parts cut so that they fit in the order given, and whether
/// they fitted as they were.
pub(super) fn split<const N: usize>(whole: u64, parts: [u64; N]) -> (u64, [u64; N], bool) {
    let mut left = whole;
    let mut fits = true;
    let parts = parts.map(|part| {
        let kept = part.min(left);
        fits &= kept == part;
        left = left.saturating_sub(kept);
        kept
    });
    (left, parts, fits)
}

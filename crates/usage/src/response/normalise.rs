//! From native counts to disjoint meters.
//!
//! A provider's families differ in whether the input count contains the cached part and the output count the
//! reasoning; mixing them up bills tokens twice or not at all. One function per family.

use tariff::{Meter, Usage};

use super::counts::{Counts, Native};

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
/// - xAI counts reasoning beside the completion on chat completions. Where the total is the sum of the three,
///   that is what it means; else reasoning is part of the completion.
/// - Parts larger than their whole are cut down, the cheapest kind first, so that the sum is the whole.
/// - A missing whole is the total less the other; parts without a whole are not believed.
pub(super) fn inclusive(counts: &Counts) -> Option<Normalised> {
    let total = counts.value(Native::Total);
    let (prompt, completion, stated) = wholes(counts, total)?;
    let reasoning = counts.count(Native::Reasoning);
    let with_reasoning = completion.saturating_add(reasoning);
    let is_apart = total == Some(prompt.saturating_add(with_reasoning));
    let output = if is_apart { with_reasoning } else { completion };

    let cached = counts.value(Native::Cached).or_else(|| counts.value(Native::CachedElsewhere)).unwrap_or(0);
    let parts = [Native::AudioInput, Native::ImageInput, Native::CacheWrite].map(|part| counts.count(part));
    let [audio_input, image_input, cache_write] = parts;
    let (uncached, [audio_input, image_input, cache_write, cached], input_fits) =
        split(prompt, [audio_input, image_input, cache_write, cached]);
    let audio_output = counts.count(Native::AudioOutput);
    let (text, [audio_output, reasoning], output_fits) = split(output, [audio_output, reasoning]);

    let mut usage = Usage::new().with(Meter::InputTokens, uncached).with(Meter::OutputTokens, text);
    let parts = [
        (Meter::CachedTokens, cached),
        (Meter::CacheWriteTokens, cache_write),
        (Meter::AudioInputTokens, audio_input),
        (Meter::ImageInputTokens, image_input),
        (Meter::ReasoningTokens, reasoning),
        (Meter::AudioOutputTokens, audio_output),
    ];
    for (meter, count) in parts {
        if count > 0 {
            usage.set(meter, count);
        }
    }
    let sum = prompt.saturating_add(output);
    Some(Normalised {
        usage,
        consistent: stated && input_fits && output_fits,
        total_mismatch: total.is_some_and(|total| total != sum),
    })
}

/// Prompt and completion, and whether both were stated.
fn wholes(counts: &Counts, total: Option<u64>) -> Option<(u64, u64, bool)> {
    let rest = |whole: u64| total.map_or(0, |total| total.saturating_sub(whole));
    match (counts.value(Native::Prompt), counts.value(Native::Completion)) {
        (Some(prompt), Some(completion)) => Some((prompt, completion, true)),
        (Some(prompt), None) => Some((prompt, rest(prompt), false)),
        (None, Some(completion)) => Some((rest(completion), completion, false)),
        // What is input of it and what output is not known: the cheaper kind.
        (None, None) => total.map(|total| (total, 0, false)),
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

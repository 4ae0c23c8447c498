//! Native counts as they come: per field the last value wins (design.md §11).

use crate::json::Number;
use crate::limits::COUNT_MAX;

/// A count in the provider's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    /// Input, with or without the cached part as the dialect has it.
    Prompt,
    /// Output, with or without the reasoning part as the dialect has it.
    Completion,
    /// The provider's own sum.
    Total,
    /// Input read from the cache.
    Cached,
    /// The same under another name; counts where [`Self::Cached`] is absent.
    CachedElsewhere,
    /// Input written to the cache.
    CacheWrite,
    /// The same under another name; counts where [`Self::CacheWrite`] is absent.
    CacheWriteElsewhere,
    /// Of that, for five minutes (Anthropic).
    CacheWriteShort,
    /// Of that, for an hour (Anthropic).
    CacheWriteHour,
    /// What the results of tools added to the input (Gemini).
    ToolPrompt,
    /// The same where only the total tells whether it is in the input's own count (Mistral's conversations).
    ConnectorPrompt,
    /// Audio in the input.
    AudioInput,
    /// Images in the input, in tokens.
    ImageInput,
    /// Reasoning.
    Reasoning,
    /// The same in another place; counts where [`Self::Reasoning`] is absent.
    ReasoningElsewhere,
    /// What was read of the pages that an answer cites (Perplexity).
    Citations,
    /// Audio of what was read from the cache (Gemini).
    CachedAudio,
    /// Images of it.
    CachedImage,
    /// Audio in the output.
    AudioOutput,
    /// Images in the output, in tokens.
    ImageOutput,
    /// Searches of the provider's own.
    Searches,
    /// Others of them, which count beside (X's posts with xAI).
    OtherSearches,
    /// The same under another name; counts where neither of those is stated (Alibaba's chat).
    SearchesElsewhere,
    /// What searches came to, as one is billed for them where they are not counted (xAI's older ones).
    Sources,
    /// Searches of the customer's own files.
    FileSearches,
    /// Others of them, which count beside (xAI's attachments).
    OtherFileSearches,
    /// Runs of code.
    CodeRuns,
    /// Calls of whichever tools the provider runs (xAI).
    ToolCalls,
    /// What the items of the answer tell of the same: see [`super::calls`].
    FoundSearches,
    /// See [`Self::FoundSearches`].
    FoundFileSearches,
    /// See [`Self::FoundSearches`].
    FoundCodeRuns,
    /// See [`Self::FoundSearches`].
    FoundImages,
    /// Calls among them of tools that nobody bills.
    FoundOthers,
    /// Input of the model that made images for the answer, whose tokens are of no other count (OpenAI).
    ImageToolPrompt,
    /// Images of that, in tokens.
    ImageToolInput,
    /// Its output, in tokens.
    ImageToolOutput,
    /// The same as one kind of model alone is billed for them (Perplexity).
    Queries,
    /// Images.
    Images,
    /// Pages.
    Pages,
    /// Seconds of media.
    Seconds,
    /// How long the media is that was read, in seconds; counts where [`Self::Seconds`] is absent.
    Length,
    /// Characters.
    Characters,
}

/// The native counts of one answer from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    values: [u64; Native::COUNT],
    /// Which of them were stated, one bit each.
    stated: u64,
    /// A field was malformed.
    pub(super) doubtful: bool,
    /// A field went from a positive value to zero, which is not taken.
    pub(super) zeroed: bool,
}

impl Native {
    const COUNT: usize = Self::Characters as usize + 1;

    // A set of them is one u64.
    const FITS: () = assert!(Self::COUNT <= 64);

    /// Its bit in a set.
    const fn bit(self) -> u64 {
        let () = Self::FITS;
        1 << self as u64
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { values: [0; Native::COUNT], stated: 0, doubtful: false, zeroed: false }
    }
}

impl Counts {
    /// One count, if it was stated.
    pub(super) fn value(&self, native: Native) -> Option<u64> {
        self.values.get(native as usize).copied().filter(|_| self.stated & native.bit() != 0)
    }

    /// One count; 0 where it was not stated.
    pub(super) fn count(&self, native: Native) -> u64 {
        self.value(native).unwrap_or(0)
    }

    /// Whether no count was stated.
    pub(super) fn is_empty(&self) -> bool {
        self.stated == 0
    }

    /// Takes a stated count; false where it is none that can be believed, and nothing is taken.
    ///
    /// A smaller value is a restatement and is taken. Zero after a positive value is not: a stream's last
    /// chunk with empty counts would make the answer free.
    pub(super) fn state(&mut self, native: Native, number: Number) -> bool {
        let Number::Integer(count @ 0..=COUNT_MAX) = number else {
            self.doubtful = true;
            return false;
        };
        let stated = self.stated & native.bit() != 0;
        if let Some(value) = self.values.get_mut(native as usize) {
            if count == 0 && stated && *value > 0 {
                self.zeroed = true;
            } else {
                *value = count;
                self.stated |= native.bit();
            }
        }
        true
    }

    /// Takes a count that is found, not stated: none of nothing.
    pub(super) fn find(&mut self, native: Native, count: u64) {
        if let Some(value) = self.values.get_mut(native as usize).filter(|_| count > 0) {
            *value = count;
            self.stated |= native.bit();
        }
    }

    /// Takes a count over as it was stated elsewhere.
    pub(super) fn take(&mut self, native: Native, from: &Self) {
        if let (Some(value), Some(slot)) = (from.value(native), self.values.get_mut(native as usize)) {
            *slot = value;
            self.stated |= native.bit();
        }
    }

    /// Adds what counts that it has have come to since they were `then`.
    pub(super) fn follow(&mut self, then: &Self, since: &Self) {
        let stated = self.stated;
        for (bit, own) in self.values.iter_mut().enumerate().filter(|(bit, _)| stated & (1 << bit) != 0) {
            let of = |counts: &Self| counts.values.get(bit).copied().unwrap_or(0);
            *own = own.saturating_add(of(since)).saturating_sub(of(then)).min(COUNT_MAX);
        }
    }

    /// Adds what another part of the same answer was billed for.
    pub(super) fn add(&mut self, other: &Self) {
        for (own, further) in self.values.iter_mut().zip(other.values) {
            *own = own.saturating_add(further).min(COUNT_MAX);
        }
        self.stated |= other.stated;
        self.doubtful |= other.doubtful;
        self.zeroed |= other.zeroed;
    }
}

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
    /// Audio in the input.
    AudioInput,
    /// Reasoning.
    Reasoning,
    /// Audio in the output.
    AudioOutput,
    /// Images.
    Images,
    /// Pages.
    Pages,
    /// Seconds of media.
    Seconds,
    /// Characters.
    Characters,
}

/// The native counts of one answer from one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    values: [Option<u64>; Native::COUNT],
    /// A field was malformed, or went from a positive value to zero.
    pub(super) doubtful: bool,
}

impl Native {
    const COUNT: usize = Self::Characters as usize + 1;
}

impl Counts {
    /// One count, if it was stated.
    pub(super) fn value(&self, native: Native) -> Option<u64> {
        self.values.get(native as usize).copied().flatten()
    }

    /// Whether no count was stated.
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
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
        if let Some(value) = self.values.get_mut(native as usize) {
            if count == 0 && value.is_some_and(|value| value > 0) {
                self.doubtful = true;
            } else {
                *value = Some(count);
            }
        }
        true
    }
}

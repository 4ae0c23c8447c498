//! The choices of an answer: which have been seen, and which have ended.

use crate::limits::CHOICES_MAX;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choices {
    /// Those of the document that is read that came before the one at hand.
    position: u32,
    /// The one that is read: its index, where it has said so, and whether it is finished.
    index: Option<u32>,
    is_finished: bool,
    /// By index, one bit each: those seen, and those that have ended.
    seen: u128,
    finished: u128,
}

impl Choices {
    /// The next document begins.
    pub(super) fn restart(&mut self) {
        self.position = 0;
    }

    /// A choice begins.
    pub(super) fn begin(&mut self) {
        (self.index, self.is_finished) = (None, false);
    }

    /// The index of the one that is read.
    pub(super) fn index(&mut self, index: u64) {
        self.index = u32::try_from(index).ok();
    }

    /// The one that is read is finished.
    pub(super) fn finish(&mut self) {
        self.is_finished = true;
    }

    /// It ends.
    pub(super) fn end(&mut self) {
        let index = self.index.unwrap_or(self.position).min(CHOICES_MAX.saturating_sub(1));
        let bit = 1_u128.checked_shl(index).unwrap_or(0);
        self.seen |= bit;
        if self.is_finished {
            self.finished |= bit;
        }
        self.position = self.position.saturating_add(1);
    }

    /// Whether the one that is read stands first in its document.
    pub(super) fn is_first(&self) -> bool {
        self.position == 0
    }

    /// Whether there were any, and all have ended.
    pub(super) fn are_finished(&self) -> bool {
        self.seen != 0 && self.seen == self.finished
    }

    pub(super) fn count(&self) -> u32 {
        self.seen.count_ones()
    }
}

//! Words of an answer that are compared with some: the beginning of a text, however it is cut.

use crate::limits::TIER_BYTES_MAX;

/// The first bytes of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    bytes: [u8; WORD_BYTES],
    /// How long the text is, more than [`WORD_BYTES`] counting as one more.
    len: u8,
}

/// Bytes of the longest word that is known.
const WORD_BYTES: usize = 26;

impl Word {
    pub(super) fn push(&mut self, piece: &[u8]) {
        for byte in piece {
            if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
                *slot = *byte;
            }
            if usize::from(self.len) <= WORD_BYTES {
                self.len = self.len.saturating_add(1);
            }
        }
    }

    pub(super) fn text(&self) -> Option<&[u8]> {
        self.bytes.get(..usize::from(self.len))
    }

    pub(super) fn is_one(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text() == Some(word.as_bytes()))
    }

    /// Whether it names a tier that an answer was served in. What was asked for, as the first events of a stream repeat
    /// it, is not yet an answer.
    pub(super) fn is_tier(&self) -> bool {
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_name = |word: &[u8]| (1..=TIER_BYTES_MAX).contains(&word.len()) && word.iter().all(part);
        self.text().is_some_and(|text| is_name(text) && !text.eq_ignore_ascii_case(b"auto"))
    }
}

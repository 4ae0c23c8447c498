//! Words of an answer that are compared with some: the beginning of a text, however it is cut.

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
}

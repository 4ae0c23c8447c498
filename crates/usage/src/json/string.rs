//! Strings: where a run of plain bytes ends, what escapes mean, and the names of members.

use crate::limits::NAME_BYTES_MAX;

/// The name of a member, decoded. Lone surrogates are written as three bytes each (WTF-8), so that names that
/// differ stay different.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    /// The name, or its beginning where it is longer than [`NAME_BYTES_MAX`].
    pub(crate) bytes: &'a [u8],
    /// Whether `bytes` is all of it.
    pub(crate) whole: bool,
    /// A hash of all of it, where the visitor asks for one.
    pub(crate) hash: u64,
}

impl<'a> Name<'a> {
    /// A name that stands in one piece, as it is.
    #[inline]
    pub(super) fn plain(text: &'a [u8], hashes: bool) -> Self {
        let hash = if hashes { hashed(FNV_BASIS, text) } else { FNV_BASIS };
        Self { bytes: text.get(..NAME_BYTES_MAX).unwrap_or(text), whole: text.len() <= NAME_BYTES_MAX, hash }
    }
}

/// FNV-1a: chosen for being short. A client that finds a collision gets its own request refused.
#[inline]
fn hashed(hash: u64, piece: &[u8]) -> u64 {
    piece.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Collects a name that comes in several pieces.
#[derive(Clone, Debug)]
pub(super) struct NameBuffer {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
    hash: u64,
}

impl NameBuffer {
    pub(super) const EMPTY: Self = Self { bytes: [0; NAME_BYTES_MAX], len: 0, hash: FNV_BASIS };

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.hash = FNV_BASIS;
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn push(&mut self, piece: &[u8], hashes: bool) {
        for (slot, byte) in self.bytes.iter_mut().skip(self.len).zip(piece) {
            *slot = *byte;
        }
        if hashes {
            self.hash = hashed(self.hash, piece);
        }
        self.len = self.len.saturating_add(piece.len());
    }

    #[inline]
    pub(super) fn name(&self) -> Name<'_> {
        let kept = self.len.min(NAME_BYTES_MAX);
        Name {
            bytes: self.bytes.get(..kept).unwrap_or_default(),
            whole: self.len <= NAME_BYTES_MAX,
            hash: self.hash,
        }
    }
}

/// How many bytes come before the first quote or backslash.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    // Names and most values are short: below this length the call into the vector search costs more than it
    // saves.
    let (words, _) = bytes.as_chunks::<8>();
    let mut near = 0_usize;
    for word in words.iter().take(NEAR_WORDS) {
        if let Some(index) = first_end(u64::from_le_bytes(*word)) {
            return near.saturating_add(index);
        }
        near = near.saturating_add(8);
    }
    let far = bytes.get(near..).unwrap_or_default();
    let end = if far.len() < 8 {
        far.iter().position(|byte| matches!(byte, b'"' | b'\\'))
    } else {
        memchr::memchr2(b'"', b'\\', far)
    };
    near.saturating_add(end.unwrap_or(far.len()))
}

/// Which of eight bytes, the lowest first, is the first quote or backslash.
#[inline]
fn first_end(word: u64) -> Option<usize> {
    // A byte that is zero borrows from above it and has its high bit set then; the lowest such is exact.
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word;
    let ends = (zeros(word ^ EACH.wrapping_mul(0x22)) | zeros(word ^ EACH.wrapping_mul(0x5c)))
        & EACH.wrapping_mul(0x80);
    (ends != 0).then(|| usize::try_from(ends.trailing_zeros() / 8).unwrap_or_default())
}

/// Whether the run has a raw control character, and whether all of it is ASCII; one pass that vectorises.
#[inline]
pub(super) fn survey(run: &[u8]) -> (bool, bool) {
    let (lowest, bits) =
        run.iter().fold((u8::MAX, 0_u8), |(lowest, bits), byte| (lowest.min(*byte), bits | byte));
    (lowest < b' ', bits.is_ascii())
}

/// The byte that a one-letter escape stands for.
#[inline]
pub(super) fn short_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Joins the code units of `\u` escapes to characters.
#[derive(Clone, Debug)]
pub(super) struct Units {
    high: Option<u16>,
}

/// The bytes of at most two characters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Encoded {
    bytes: [u8; 8],
    len: usize,
}

impl Units {
    pub(super) const EMPTY: Self = Self { high: None };

    /// Whether a high surrogate waits for its other half.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.high.is_some()
    }

    /// The next code unit; a high surrogate waits for its other half.
    pub(super) fn push(&mut self, unit: u16) -> Encoded {
        let low = matches!(unit, 0xdc00..=0xdfff);
        if let (Some(high), true) = (self.high, low) {
            self.high = None;
            return Encoded::default().with(joined(high, unit));
        }
        let waiting = self.flush();
        if matches!(unit, 0xd800..=0xdbff) {
            self.high = Some(unit);
            return waiting;
        }
        waiting.with(u32::from(unit))
    }

    /// A high surrogate that stays alone.
    #[inline]
    pub(super) fn flush(&mut self) -> Encoded {
        match self.high.take() {
            Some(high) => Encoded::default().with(u32::from(high)),
            None => Encoded::default(),
        }
    }
}

impl Encoded {
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends the code point in UTF-8's scheme, a surrogate like any other.
    fn with(mut self, code: u32) -> Self {
        let tail = |shift: u32| 0x80 | (low_byte(code >> shift) & 0x3f);
        let (bytes, len) = match code {
            0..0x80 => ([low_byte(code), 0, 0, 0], 1),
            0x80..0x800 => ([0xc0 | low_byte(code >> 6), tail(0), 0, 0], 2),
            0x800..0x1_0000 => ([0xe0 | low_byte(code >> 12), tail(6), tail(0), 0], 3),
            _ => ([0xf0 | low_byte(code >> 18), tail(12), tail(6), tail(0)], 4),
        };
        for (slot, byte) in self.bytes.iter_mut().skip(self.len).zip(bytes.iter().take(len)) {
            *slot = *byte;
        }
        self.len = self.len.saturating_add(len);
        self
    }
}

/// The code point of a surrogate pair.
fn joined(high: u16, low: u16) -> u32 {
    let (high, low) = (u32::from(high & 0x3ff), u32::from(low & 0x3ff));
    0x1_0000_u32.saturating_add((high << 10) | low)
}

#[inline]
fn low_byte(code: u32) -> u8 {
    let [.., low] = code.to_be_bytes();
    low
}

/// Words of eight bytes searched one by one before the vector search.
const NEAR_WORDS: usize = 4;
/// 1 in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::plain_len;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_bytes_end_at_the_first_quote_or_backslash(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(0x23), Just(0xa2)], 0..90),
            plain in 0..90_usize,
        ) {
            let end = |byte: &u8| matches!(byte, b'"' | b'\\');
            let bytes: Vec<u8> = bytes.iter().enumerate().map(|(at, b)| if at < plain && end(b) { b'x' } else { *b }).collect();
            prop_assert_eq!(plain_len(&bytes), bytes.iter().position(end).unwrap_or(bytes.len()));
        }
    }
}

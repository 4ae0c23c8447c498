//! The ABI's serialised form of header maps: a count, the lengths of all names and values, then the bytes,
//! each followed by a zero.

use std::borrow::Cow;

/// Name and value pairs of a serialised header map.
#[derive(Clone)]
pub struct Pairs<'a> {
    lengths: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// Reads a serialised map; what does not hold together ends the iteration early.
    pub fn new(map: &'a [u8]) -> Self {
        let split = || {
            let (count, rest) = map.split_first_chunk::<4>()?;
            let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
            rest.split_at_checked(count.checked_mul(8)?)
        };
        let (lengths, bytes) = split().unwrap_or_default();
        Self { lengths, bytes }
    }

    fn piece(&mut self) -> Option<&'a [u8]> {
        let (length, lengths) = self.lengths.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (piece, rest) = self.bytes.split_at_checked(length)?;
        self.lengths = lengths;
        self.bytes = rest.split_first().map(|(_, rest)| rest)?;
        Some(piece)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.piece()?, self.piece()?))
    }
}

/// Serialises pairs.
pub fn serialise(pairs: &[(Cow<'static, str>, String)]) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = u32::try_from(pairs.len()).unwrap_or(0).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend(length(name));
        out.extend(length(value));
    }
    for (name, value) in pairs {
        out.extend(name.as_bytes());
        out.push(0);
        out.extend(value.as_bytes());
        out.push(0);
    }
    out
}

//! JSON written piece by piece: what every request leaves behind (its event and its line in the access log)
//! costs a fraction of what a general serialiser takes.
//!
//! Names and punctuation are literals of the caller, as they stand in the text; values are escaped here. That
//! the whole is JSON is the caller's doing, and tests read it back.

/// JSON that is being written.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Goes on after what is there.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Names and punctuation, as they stand.
    #[inline]
    pub fn raw(&mut self, text: &'static str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    /// Members that were written before, with the comma in front of them.
    pub fn members(&mut self, members: &[u8]) -> &mut Self {
        self.out.extend_from_slice(members);
        self
    }

    /// A string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        if is_plain(value.as_bytes()) {
            self.out.reserve(value.len().saturating_add(2));
            self.out.push(b'"');
            self.out.extend_from_slice(value.as_bytes());
            self.out.push(b'"');
        } else {
            // Writing to a vector cannot fail.
            let _ = serde_json::to_writer(&mut *self.out, value);
        }
        self
    }

    /// A number.
    #[inline]
    pub fn number(&mut self, value: impl itoa::Integer) -> &mut Self {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self
    }
}

/// Whether nothing needs escaping: no control character, quote or backslash. Eight bytes at a time, as ids are
/// short.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| is_plain_word(u64::from_le_bytes(*word)))
        && rest.iter().all(|byte| *byte >= 0x20 && !matches!(byte, b'"' | b'\\'))
}

fn is_plain_word(word: u64) -> bool {
    // A byte below the limit borrows, which sets its high bit unless it was set before.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH.wrapping_mul(limit)) & !word;
    let quote = word ^ EACH.wrapping_mul(0x22);
    let backslash = word ^ EACH.wrapping_mul(0x5c);
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & EACH.wrapping_mul(0x80) == 0
}

/// 1 in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_is_what_json_does_not_escape(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1e..0x24_u8, 0x5b..0x5e_u8, Just(b'a'), Just(b'a')], 0..40)) {
            let escaped = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            prop_assert_eq!(is_plain(&bytes), !bytes.iter().any(escaped));
        }

        #[test]
        fn whatever_the_values_it_is_the_same_json(text in ".*", other in ".*", number in any::<i64>()) {
            let mut bytes = Vec::new();
            let mut json = Writer::new(&mut bytes);
            json.raw("{\"a\":").text(&text).raw(",\"b\":").number(number);
            json.raw(",\"c\":[").text(&other).raw("]}");
            let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            prop_assert_eq!(value, serde_json::json!({"a": text, "b": number, "c": [other]}));
        }
    }
}

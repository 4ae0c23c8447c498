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

    /// A string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        let plain =
            value.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'));
        if plain {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
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

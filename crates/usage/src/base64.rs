//! Base64 in the standard alphabet (RFC 4648 §4), read piece by piece: what stands inside a JSON text.

/// Decodes one text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Base64 {
    /// Bits that no whole byte was made of yet, and how many.
    bits: u32,
    count: u8,
    /// Characters of padding so far.
    padding: u8,
    is_broken: bool,
}

impl Base64 {
    /// Appends what the piece says to `into`: less than it is long.
    pub(crate) fn feed(&mut self, piece: &[u8], into: &mut Vec<u8>) {
        for byte in piece {
            let Some(value) = value(*byte).filter(|_| self.padding == 0 && !self.is_broken) else {
                self.padding = self.padding.saturating_add(u8::from(*byte == b'='));
                self.is_broken |= *byte != b'=' || self.padding > 2;
                continue;
            };
            self.bits = (self.bits << 6) | u32::from(value);
            self.count = self.count.saturating_add(6);
            if self.count >= 8 {
                self.count = self.count.saturating_sub(8);
                let [.., byte] = (self.bits >> self.count).to_be_bytes();
                into.push(byte);
                self.bits &= !(u32::MAX << self.count);
            }
        }
    }

    /// Whether all of it was base64, and whole: what is left over are bits that are not set.
    pub(crate) fn is_sound(&self) -> bool {
        !self.is_broken && self.bits == 0 && self.count < 6
    }
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => byte.checked_sub(b'A'),
        b'a'..=b'z' => byte.checked_sub(b'a' - 26),
        b'0'..=b'9' => byte.checked_add(52 - b'0'),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4648() {
        for (text, expected) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9vYg", Some("foob")),
            ("Zm9vYmFy", Some("foobar")),
            ("Zm9vY", None),
            ("Zm=v", None),
            ("Zm9v!", None),
            ("Zh==", None),
            ("Zg===", None),
        ] {
            for cut in 0..=text.len() {
                let (before, after) = text.as_bytes().split_at(cut);
                let (mut decoder, mut decoded) = (Base64::default(), Vec::new());
                decoder.feed(before, &mut decoded);
                decoder.feed(after, &mut decoded);
                let sound = decoder.is_sound().then_some(&*decoded);
                assert_eq!(sound, expected.map(str::as_bytes), "{text} cut at {cut}");
            }
        }
    }
}

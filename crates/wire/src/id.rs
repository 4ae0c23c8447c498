//! Identities on the wire: node, lane, key digest.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lower-case hexadecimal digits")]
pub struct IdError {
    expected: usize,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Reads the hexadecimal form.
            ///
            /// # Errors
            /// [`IdError`] unless the text is exactly the right number of lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $bytes];
                decode_hex(text.as_bytes(), &mut bytes).ok_or(IdError { expected: $bytes * 2 })?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; $bytes * 2];
                for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
                    *pair = [hex_char(byte >> 4), hex_char(byte & 0xF)];
                }
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// One Envoy process: 128 random bits.
    NodeId, 16
}

hex_id! {
    /// SHA-256 of an API key: all that is ever stored or sent of it.
    Digest, 32
}

/// One VM's sequence of settlements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The node that the sequence began on.
    pub node: NodeId,
    /// The slot in the node's shared data.
    pub slot: u32,
    /// Raised with every VM that claims the slot.
    pub incarnation: u32,
}

impl Lane {
    /// Reads the form that logs have: `node/slot/incarnation`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let node = NodeId::parse(parts.next()?).ok()?;
        let (slot, incarnation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { node, slot, incarnation })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.node, self.slot, self.incarnation)
    }
}

fn decode_hex(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (hex_digit(*high)? << 4) | hex_digit(*low)?;
    }
    Some(())
}

fn hex_char(nibble: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'0')
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a' - 10),
        _ => None,
    }
}

/// A 64-bit tag of an identifier (FNV-1a): how a node's shared data names buckets and rates.
///
/// Never 0. Where a node no longer knows a bucket's id it writes the tag instead, as [`tagged`] does.
#[must_use]
pub fn tag(id: &str) -> u64 {
    let hash = id.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    hash.max(1)
}

/// The wire form of a bucket that is known by its tag alone: `#` and 16 hexadecimal digits.
#[must_use]
pub fn tagged(tag: u64) -> String {
    format!("#{tag:016x}")
}

/// Whether `name`, a bucket's id or the [`tagged`] form of one, means the bucket `id`.
#[must_use]
pub fn names_bucket(name: &str, id: &str) -> bool {
    name == id || name.strip_prefix('#').is_some_and(|hex| u64::from_str_radix(hex, 16) == Ok(tag(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_exactly_their_digits() {
        let text = "00112233445566778899aabbccddeeff";
        let node = NodeId::parse(text).unwrap();
        assert_eq!(
            node.0,
            [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]
        );
        assert_eq!((node.to_string(), format!("{node:?}")), (text.to_owned(), text.to_owned()));
        assert_eq!(serde_json::to_string(&node).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<NodeId>(&format!("\"{text}\"")).unwrap(), node);
        let digest = Digest::parse(&"f0".repeat(32)).unwrap();
        assert_eq!((digest.0, digest.to_string()), ([0xF0; 32], "f0".repeat(32)));
    }

    #[test]
    fn other_texts_are_no_identities() {
        let short = "0".repeat(30);
        for text in
            ["", "0", &short, &"0".repeat(31), &"0".repeat(34), &format!("{short}AF"), &format!("{short}0g")]
        {
            let error = NodeId::parse(text).unwrap_err();
            assert_eq!(error.to_string(), "expected 32 lower-case hexadecimal digits", "{text}");
        }
        assert!(NodeId::parse(&format!("{short}/0")).is_err());
        assert!(NodeId::parse(&format!("{short}:0")).is_err());
        assert!(NodeId::parse(&format!("{short}`0")).is_err());
        assert!(serde_json::from_str::<Digest>("\"00\"").unwrap_err().to_string().contains("64 lower-case"));
    }

    #[test]
    fn lanes_are_written_as_logs_have_them() {
        let lane = Lane { node: NodeId([0xAB; 16]), slot: 3, incarnation: 12 };
        let text = format!("{}/3/12", "ab".repeat(16));
        assert_eq!((lane.to_string(), Lane::parse(&text)), (text.clone(), Some(lane)));
        for other in
            [format!("{text}/"), format!("{text}/1"), text.replace("/12", ""), text.replace("/3", "/-3")]
        {
            assert_eq!(Lane::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn tags_are_fnv_1a() {
        assert_eq!(tag(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(tag("a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(tagged(tag("credits")), "#a7be82ffb2619d55");
        assert_eq!(tagged(1), "#0000000000000001");
    }

    #[test]
    fn a_bucket_goes_by_its_id_or_its_tag() {
        assert!(names_bucket("credits", "credits"));
        assert!(names_bucket("#a7be82ffb2619d55", "credits"));
        for name in ["", "#", "credit", "creditss", "a7be82ffb2619d55", "#a7be82ffb2619d54", "#credits"] {
            assert!(!names_bucket(name, "credits"), "{name}");
        }
    }
}

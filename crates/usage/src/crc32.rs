//! CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320), reckoned piece by piece.
//!
//! A table of 1 KiB: the crates that are faster carry tables of 16 KiB, which the module would have to carry too.

/// The checksum of what was read so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32(u32);

impl Crc32 {
    /// Before the first byte.
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Reads on.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            let entry = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
            self.0 = entry ^ (self.0 >> 8);
        }
    }

    /// The checksum.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

/// What each byte does to the checksum.
static TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "run by the compiler alone")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    let mut byte = 0_u32;
    while index < table.len() {
        let mut entry = byte;
        let mut bit = 0;
        while bit < 8 {
            entry = if entry & 1 == 1 { (entry >> 1) ^ POLYNOMIAL } else { entry >> 1 };
            bit += 1;
        }
        table[index] = entry;
        index += 1;
        byte += 1;
    }
    table
}

const POLYNOMIAL: u32 = 0xEDB8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_standard() {
        for (text, expected) in [("", 0), ("a", 0xE8B7_BE43), ("123456789", 0xCBF4_3926)] {
            for cut in 0..=text.len() {
                let mut crc = Crc32::new();
                let (before, after) = text.as_bytes().split_at(cut);
                crc.update(before);
                crc.update(after);
                assert_eq!(crc.value(), expected, "{text} cut at {cut}");
            }
        }
    }
}

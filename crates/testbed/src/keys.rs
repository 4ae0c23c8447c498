//! API keys that no ledger has made: well formed, or almost.

use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Crc;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-formed key that the ledger does not know; never the same one twice.
#[must_use]
pub fn unknown() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let body = format!("{:0>22}", base62(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    format!("bsr_{body}_{}", checksum(&body))
}

/// The same key with another checksum.
#[must_use]
pub fn with_bad_checksum(key: &str) -> String {
    let kept = key.get(..key.len().saturating_sub(1)).unwrap_or_default();
    let last = if key.ends_with('0') { '1' } else { '0' };
    format!("{kept}{last}")
}

fn checksum(body: &str) -> String {
    let mut crc = Crc::new();
    crc.update(body.as_bytes());
    format!("{:0>6}", base62(crc.sum().into()))
}

fn base62(mut number: u64) -> String {
    let mut digits = Vec::new();
    while number > 0 {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        digits.extend(DIGITS.get(digit));
        number /= 62;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_well_formed() {
        let (one, other) = (unknown(), unknown());
        assert_ne!(one, other);
        assert_eq!(one.len(), 4 + 22 + 1 + 6);
        assert_ne!(with_bad_checksum(&one), one);
        // The known answer of CRC-32 (IEEE) is cbf43926 for "123456789".
        assert_eq!(checksum("123456789"), format!("{:0>6}", base62(0xcbf4_3926)));
    }
}

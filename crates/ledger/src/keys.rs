//! API keys: how they are made and what is kept of them.
//!
//! `bsr_<22 base62>_<6 base62>`: 131 bits from the operating system's generator, and the CRC-32 (IEEE) of
//! the 22 characters, by which an edge refuses a mistyped key alone. The checksum is no secret and no
//! protection. Only the SHA-256 of the whole key is ever stored or logged.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wire::Digest;

/// A key that was just made. It is shown once; its `Debug` form hides it.
pub struct MintedKey(String);

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct RandomnessError(#[from] getrandom::Error);

/// What a key is checked with before anything is looked up.
const PREFIX: &str = "bsr_";
/// Random characters: 22 x log2(62) = 131 bits.
const RANDOM_CHARS: usize = 22;
/// Checksum characters: 62^6 > 2^32.
const CHECKSUM_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// === impl MintedKey ===

impl MintedKey {
    /// A key from fresh randomness.
    ///
    /// # Errors
    /// [`RandomnessError`] where the operating system gives none.
    pub fn mint() -> Result<Self, RandomnessError> {
        let random = random_base62(RANDOM_CHARS)?;
        let checksum = checksum(&random);
        Ok(Self(format!("{PREFIX}{random}_{checksum}")))
    }

    /// The key itself, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.0)
    }
}

impl fmt::Debug for MintedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MintedKey(hidden)")
    }
}

/// SHA-256 of a whole key as the client sends it.
#[must_use]
pub fn digest(key: &str) -> Digest {
    Digest(Sha256::digest(key.as_bytes()).into())
}

/// A fresh id such as `key_4Kd0fYz2QxT7`: 12 characters, 71 bits, no secret.
///
/// # Errors
/// [`RandomnessError`] where the operating system gives no randomness.
pub fn fresh_id(prefix: &str) -> Result<String, RandomnessError> {
    Ok(format!("{prefix}_{}", random_base62(12)?))
}

/// A fresh secret for a credential of the ledger itself: 43 characters, 256 bits.
///
/// # Errors
/// [`RandomnessError`] where the operating system gives no randomness.
pub fn fresh_token() -> Result<String, RandomnessError> {
    random_base62(43)
}

/// CRC-32 of the random part, in base 62, most significant digit first.
fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Uniform base-62 characters: bytes of 248 and above are thrown away, so that none is likelier.
fn random_base62(count: usize) -> Result<String, RandomnessError> {
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 32];
    while text.len() < count {
        getrandom::fill(&mut bytes)?;
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let chars = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(chars.take(count - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_has_the_documented_form() {
        let key = MintedKey::mint().unwrap();
        let (random, checksum_part) = key.reveal().strip_prefix("bsr_").unwrap().split_once('_').unwrap();
        assert_eq!((random.len(), checksum_part.len()), (22, 6));
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(checksum(random), checksum_part);
        assert_ne!(key.reveal(), MintedKey::mint().unwrap().reveal());
        assert!(!format!("{key:?}").contains(random));
    }

    #[test]
    fn the_checksum_is_crc32_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926, the check value of the standard.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum("123456789"), "3jZRME");
        assert_eq!(checksum("0123456789ABCDEFGHIJKL"), "0o29GM");
    }

    #[test]
    fn the_digest_is_sha256_of_the_whole_key() {
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest("abc").to_string(), abc);
    }
}

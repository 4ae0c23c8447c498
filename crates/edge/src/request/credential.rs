//! Credentials: finding exactly one API key in a request, and its digest.

use sha2::{Digest as _, Sha256};
use wire::Digest;

use crate::limits::KEY_BYTES_MAX;

/// Why a request has no usable credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// None was sent.
    Missing,
    /// More than one was sent.
    Several,
    /// It is empty, too long, not printable ASCII, or its checksum is wrong.
    Malformed,
}

/// The prefix of keys that the ledger mints.
const MINTED: &[u8] = b"bsr_";
/// Random characters of a minted key.
const RANDOM: usize = 22;
/// Checksum characters of a minted key.
const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Finds the one credential among the request's headers and query parameters and digests it: `headers` are those
/// of the request that are configured to hold one.
///
/// Two headers of the same name count as two credentials; so does one header whose values Envoy has joined
/// with a comma.
///
/// # Errors
/// [`CredentialError`], each answered with 401.
pub fn identify<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    parameter_names: &[String],
    path: &[u8],
) -> Result<Digest, CredentialError> {
    let mut found: Option<&[u8]> = None;
    let mut several = false;
    let mut take = |value: &'a [u8]| several |= found.replace(value).is_some();
    for (name, value) in headers {
        take(if name == "authorization" { bearer(value).ok_or(CredentialError::Malformed)? } else { value });
    }
    let mut query: Option<Vec<u8>> = None;
    for (name, value) in parameters(path) {
        if parameter_names.iter().any(|known| known.as_bytes() == name) {
            several |= query.replace(value.to_vec()).is_some();
        }
    }
    let key = match (found, query.as_deref()) {
        _ if several => return Err(CredentialError::Several),
        (Some(_), Some(_)) => return Err(CredentialError::Several),
        (None, None) => return Err(CredentialError::Missing),
        (Some(key), None) | (None, Some(key)) => key,
    };
    if key.contains(&b',') {
        return Err(CredentialError::Several);
    }
    digest(key).ok_or(CredentialError::Malformed)
}

/// The digest of a key; nothing where the key cannot be one.
#[must_use]
pub fn digest(key: &[u8]) -> Option<Digest> {
    let printable = key.iter().all(u8::is_ascii_graphic);
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
        return None;
    }
    if let Some(rest) = key.strip_prefix(MINTED) {
        checksum_holds(rest).then_some(())?;
    }
    Some(Digest(Sha256::digest(key).into()))
}

/// Whether a header's value is a key that the ledger minted.
#[must_use]
pub fn is_minted(value: &[u8]) -> bool {
    let key = bearer(value).unwrap_or(value);
    key.strip_prefix(MINTED).is_some_and(checksum_holds)
}

/// The query string's parameters, undecoded.
pub fn parameters(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let query = path.iter().position(|b| *b == b'?').and_then(|at| path.get(at.saturating_add(1)..));
    query.unwrap_or_default().split(|b| *b == b'&').filter_map(|pair| {
        let at = pair.iter().position(|b| *b == b'=')?;
        Some((pair.get(..at)?, pair.get(at.saturating_add(1)..)?))
    })
}

/// The path without the named query parameters; nothing where it has none of them.
#[must_use]
pub fn without_parameters(path: &[u8], names: &[String]) -> Option<Vec<u8>> {
    let named = |pair: &[u8]| {
        let name = pair.split(|b| *b == b'=').next().unwrap_or_default();
        names.iter().any(|known| known.as_bytes() == name)
    };
    let at = path.iter().position(|b| *b == b'?')?;
    let query = path.get(at.saturating_add(1)..)?;
    if !query.split(|b| *b == b'&').any(named) {
        return None;
    }
    let kept: Vec<&[u8]> = query.split(|b| *b == b'&').filter(|pair| !named(pair)).collect();
    let mut rest = path.get(..at)?.to_vec();
    if !kept.is_empty() {
        rest.push(b'?');
        rest.extend_from_slice(&kept.join(&b'&'));
    }
    Some(rest)
}

/// The token of a `Bearer` credential (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn checksum_holds(rest: &[u8]) -> bool {
    let Some((random, checksum)) = rest.split_at_checked(RANDOM) else {
        return false;
    };
    let Some((separator, checksum)) = checksum.split_first() else {
        return false;
    };
    *separator == b'_' && checksum.len() == CHECKSUM && checksum == base62(crc32(random))
}

fn base62(mut value: u32) -> [u8; CHECKSUM] {
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(value % 62).unwrap_or_default();
        *digit = BASE62.get(index).copied().unwrap_or(b'0');
        value /= 62;
    }
    digits
}

/// CRC-32 (IEEE 802.3), four bits at a time: 22 bytes a key.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        let low = usize::try_from(crc & 0xF).ok().and_then(|low| CRC_OF_NIBBLE.get(low));
        crc >> 4 ^ low.copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| step(step(crc ^ u32::from(*byte))))
}

/// What four bits make of an empty CRC-32.
const CRC_OF_NIBBLE: [u32; 16] = [
    0x0000_0000,
    0x1DB7_1064,
    0x3B6E_20C8,
    0x26D9_30AC,
    0x76DC_4190,
    0x6B6B_51F4,
    0x4DB2_6158,
    0x5005_713C,
    0xEDB8_8320,
    0xF00F_9344,
    0xD6D6_A3E8,
    0xCB61_B38C,
    0x9B64_C2B0,
    0x86D3_D2D4,
    0xA00A_E278,
    0xBDBD_F21C,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Credentials;

    fn find(headers: &[(&str, &str)], path: &str) -> Result<Digest, CredentialError> {
        let credentials = Credentials { query: vec!["key".to_owned()], ..Credentials::default() };
        let pairs = headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let head = crate::request::head::Head::read(pairs, &credentials.headers);
        let found = head.credentials.iter().map(|(name, value)| (&***name, *value));
        identify(found, &credentials.query, path.as_bytes())
    }

    #[test]
    fn crc_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn exactly_one_credential_is_needed() {
        let key = digest(b"foreign-key").expect("digest");
        assert_eq!(find(&[("authorization", "Bearer foreign-key")], "/"), Ok(key));
        assert_eq!(find(&[("authorization", "bearer  foreign-key")], "/"), Ok(key));
        assert_eq!(find(&[("x-api-key", "foreign-key"), ("accept", "x")], "/"), Ok(key));
        assert_eq!(find(&[], "/v1?key=foreign-key&a=1"), Ok(key));
        assert_eq!(find(&[], "/"), Err(CredentialError::Missing));
        assert_eq!(find(&[("x-api-key", "a"), ("api-key", "a")], "/"), Err(CredentialError::Several));
        assert_eq!(find(&[("x-api-key", "a"), ("x-api-key", "a")], "/"), Err(CredentialError::Several));
        assert_eq!(find(&[("authorization", "Bearer a,Bearer b")], "/"), Err(CredentialError::Several));
        assert_eq!(find(&[("x-api-key", "a")], "/?key=b"), Err(CredentialError::Several));
        assert_eq!(find(&[("authorization", "Basic abc")], "/"), Err(CredentialError::Malformed));
        assert_eq!(find(&[("x-api-key", "")], "/"), Err(CredentialError::Malformed));
        assert_eq!(find(&[("x-api-key", "a\u{ff}b")], "/"), Err(CredentialError::Malformed));
    }

    #[test]
    fn a_minted_key_with_a_bad_checksum_is_refused_here() {
        let random = b"0123456789abcdefghijkl";
        let good = [b"bsr_".as_slice(), random, b"_", &base62(crc32(random))].concat();
        assert!(digest(&good).is_some());
        for at in 4..good.len() {
            let mut bad = good.clone();
            bad[at] = if bad[at] == b'x' { b'y' } else { b'x' };
            assert!(digest(&bad).is_none(), "{}", String::from_utf8_lossy(&bad));
        }
        assert!(digest(b"bsr_").is_none() && digest(b"bsr_short_000000").is_none());
    }

    #[test]
    fn the_credential_leaves_the_query() {
        let names = ["key".to_owned()];
        let strip = |path: &str| {
            without_parameters(path.as_bytes(), &names).map(|p| String::from_utf8(p).expect("utf8"))
        };
        assert_eq!(strip("/a?key=1"), Some("/a".to_owned()));
        assert_eq!(strip("/a?x=1&key=1&y=2"), Some("/a?x=1&y=2".to_owned()));
        assert_eq!(strip("/a?x=1"), None);
        assert_eq!(strip("/a"), None);
    }
}

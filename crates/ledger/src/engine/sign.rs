//! Signatures of webhooks, as Standard Webhooks has them: `v1,` and the base64 of an HMAC-SHA256 over
//! `id.timestamp.body`, with the bytes behind `whsec_` as the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What secrets begin with.
pub const SECRET_PREFIX: &str = "whsec_";
/// The bytes of a secret that is made here.
const SECRET_BYTES: usize = 32;
/// The bytes that a secret given by others may have.
const SECRET_BYTES_RANGE: std::ops::RangeInclusive<usize> = 24..=64;

/// A fresh secret.
///
/// # Errors
/// Where the operating system gives no randomness.
pub fn fresh_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// The key in a secret; nothing where it is none.
pub fn key(secret: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    SECRET_BYTES_RANGE.contains(&bytes.len()).then_some(bytes)
}

/// The signature of a message; nothing where the secret is none.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_standard_webhooks_is_signed_as_there() {
        // The values are those of the reference libraries' tests.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn secrets_are_of_a_known_form() {
        let secret = fresh_secret().unwrap();
        assert_eq!(key(&secret).map(|key| key.len()), Some(32));
        assert_ne!(secret, fresh_secret().unwrap());
        for bad in
            ["", "whsec_", "whsec_YWJj", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 at all ....."]
        {
            assert_eq!(key(bad), None, "{bad}");
        }
    }
}

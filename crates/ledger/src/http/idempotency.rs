//! `Idempotency-Key`: reading it, and refusing a second call while the first is under way.
//!
//! What was answered is kept by the engine, in the transaction of the effect. Here is only what lives as
//! long as a call: the set of keys in flight. A call that is cut off leaves the set at once; should its
//! effect still come, the engine answers the repetition with it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use sha2::{Digest as _, Sha256};

use super::respond::{Answer, Problem};
use crate::service::Idempotency;

/// The keys of the calls under way.
#[derive(Clone, Debug, Default)]
pub struct InFlightKeys(Arc<Mutex<HashSet<String>>>);

/// One key's stay in the set.
#[derive(Debug)]
pub struct InFlight {
    keys: InFlightKeys,
    key: String,
}

/// Whose idempotency keys a call's are, where they are not the operator's: noted by whoever authorises the call.
#[derive(Clone, Debug)]
pub struct Owner(pub String);

/// The header.
pub const HEADER: &str = "idempotency-key";
/// The longest key that is taken.
pub const KEY_CHARS_MAX: usize = 255;

// === impl Owner ===

impl Owner {
    /// The wish under a key that nobody else can name: neither an account's id nor a key contains the separator.
    pub fn own(&self, wish: Idempotency) -> Idempotency {
        Idempotency { key: format!("{}\n{}", self.0, wish.key), ..wish }
    }
}

// === impl InFlightKeys ===

impl InFlightKeys {
    /// Enters a key.
    ///
    /// # Errors
    /// 409 while another call with it is under way.
    pub fn enter(&self, key: &str) -> Answer<InFlight> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.to_owned()) {
            let detail = "a call with this idempotency key is under way; repeat it for its answer";
            return Err(Problem::new(StatusCode::CONFLICT, "idempotency_in_flight", detail));
        }
        Ok(InFlight { keys: self.clone(), key: key.to_owned() })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The caller's wish, where there is one.
///
/// # Errors
/// 400 for more than one header, or one that is empty, too long or not visible ASCII.
pub fn wish(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer<Option<Idempotency>> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if values.next().is_some() || key.is_empty() || key.len() > KEY_CHARS_MAX {
        let detail = format!("one Idempotency-Key of 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(Problem::bad_request("invalid_idempotency_key", detail));
    }
    let target = uri.path_and_query().map_or(uri.path(), |target| target.as_str());
    let mut hash = Sha256::new();
    // Neither a method nor a target can contain the separator.
    for part in [method.as_str().as_bytes(), b"\n", target.as_bytes(), b"\n", body] {
        hash.update(part);
    }
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: hash.finalize().into() }))
}

//! Who does what: a management call on its way from the HTTP layer to the transaction that notes it.
//!
//! The call travels beside the arguments (a task-local value), so that every change made by a call is in the
//! audit log with it, whichever method of the service makes it, in the same transaction.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call that may change something.
#[derive(Debug, Default)]
pub struct Act {
    /// The token's name; `root` for the configured one, `process` for what the process does by itself.
    pub who: String,
    /// Method and route template.
    pub operation: String,
    /// Method and path as they were.
    pub path: String,
    /// The account in the path.
    pub account: Option<String>,
    /// The call's id.
    pub request_id: String,
    /// The body, once it is read.
    body: Mutex<Option<Value>>,
}

/// What of a call has no column of its own in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rest {
    /// Method and path as they were.
    pub path: String,
    /// The body: JSON, or the beginning of another text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

tokio::task_local! {
    static ACT: Arc<Act>;
}

/// What of a body is kept, in bytes.
const BODY_BYTES_MAX: usize = 4_096;
/// Members of bodies that the log must not show.
const SECRETS: [&str; 2] = ["secret", "key"];

/// Runs what an act does.
pub async fn within<T>(act: Arc<Act>, done: impl Future<Output = T>) -> T {
    ACT.scope(act, done).await
}

/// The act that the caller is part of; none in reads.
#[must_use]
pub fn current() -> Option<Arc<Act>> {
    ACT.try_with(Arc::clone).ok()
}

/// Notes the JSON body of the act that the caller is part of.
pub fn note_body(bytes: &[u8]) {
    note(readable(bytes));
}

/// Notes the body of the act that the caller is part of: a text in which nothing is secret, as a catalog.
pub fn note_text(bytes: &[u8]) {
    note(Some(beginning(bytes)));
}

fn note(body: Option<Value>) {
    if let Some(act) = current() {
        *act.body.lock().unwrap_or_else(PoisonError::into_inner) = body;
    }
}

// === impl Act ===

impl Act {
    /// What the process does by itself.
    #[must_use]
    pub fn of_process(operation: &str) -> Arc<Self> {
        Arc::new(Self { who: "process".to_owned(), operation: operation.to_owned(), ..Self::default() })
    }

    /// What has no column of its own.
    #[must_use]
    pub fn rest(&self) -> Rest {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Rest { path: self.path.clone(), body }
    }

    /// The account it is about: that of the path, else the one that the body names.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        let named = || {
            let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
            let id = body.as_ref()?.get("id")?.as_str()?;
            (self.operation == "POST /v1/accounts").then(|| id.to_owned())
        };
        self.account.clone().or_else(named)
    }
}

/// A JSON body as the log shows it: nothing secret, and not too long. What cannot be read is not shown, as nobody
/// can say what is secret in it.
fn readable(bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() {
        return None;
    }
    let Ok(Value::Object(mut members)) = serde_json::from_slice(bytes) else {
        return Some(Value::String(format!("(no JSON object, {} bytes)", bytes.len())));
    };
    for name in SECRETS {
        if let Some(value) = members.get_mut(name) {
            *value = "(hidden)".into();
        }
    }
    let shown = Value::Object(members);
    let text = shown.to_string();
    if text.len() <= BODY_BYTES_MAX { Some(shown) } else { Some(beginning(text.as_bytes())) }
}

/// The beginning of a long text.
fn beginning(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes.get(..BODY_BYTES_MAX).unwrap_or(bytes)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hide_secrets_and_have_an_end() {
        assert_eq!(readable(b""), None);
        let shown = readable(br#"{"url": "u", "secret": "whsec_x"}"#).unwrap();
        assert_eq!(shown, serde_json::json!({"url": "u", "secret": "(hidden)"}));
        let long = format!(r#"{{"secret": "whsec_x", "url": "{}"}}"#, "u".repeat(10_000));
        let shown = readable(long.as_bytes()).unwrap();
        assert_eq!(shown.as_str().map(str::len), Some(BODY_BYTES_MAX));
        assert!(!shown.to_string().contains("whsec_x"));
        assert_eq!(readable(br#"{"secret": "whsec_x",}"#), Some("(no JSON object, 22 bytes)".into()));
        assert_eq!(beginning(b"plans:"), "plans:");
    }

    #[tokio::test]
    async fn an_act_reaches_whoever_is_called_within_it() {
        assert!(current().is_none());
        let act = Arc::new(Act { operation: "POST /v1/accounts".to_owned(), ..Act::default() });
        within(Arc::clone(&act), async {
            note_body(br#"{"id": "acme"}"#);
            assert!(current().is_some());
        })
        .await;
        assert_eq!(act.account().as_deref(), Some("acme"));
        assert!(current().is_none());
    }
}

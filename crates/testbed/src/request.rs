//! Completion requests as tests make them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use crate::http::Request;
use crate::mock::{SCRIPT_HEADER, Script, TAG_HEADER};

/// The path of chat completions.
pub const CHAT_PATH: &str = "/v1/chat/completions";

/// A completion request.
#[derive(Clone, Debug)]
pub struct Chat {
    /// The request's own name, by which record, access log and journal are joined.
    pub tag: String,
    /// What the mock provider shall do.
    pub script: Script,
    body: Map<String, Value>,
}

impl Chat {
    /// A plain request for a model.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Say something."}]});
        let Value::Object(body) = body else { return Self::empty() };
        Self { body, ..Self::empty() }
    }

    /// A streamed request for a model.
    #[must_use]
    pub fn stream(model: &str) -> Self {
        Self::new(model).member("stream", json!(true))
    }

    /// The same with a member of the body set.
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.body.insert(name.to_owned(), value);
        self
    }

    /// The same with `max_tokens`.
    #[must_use]
    pub fn max_tokens(self, tokens: u64) -> Self {
        self.member("max_tokens", json!(tokens))
    }

    /// The same with this many prompt and completion tokens in the answer.
    #[must_use]
    pub fn takes(mut self, prompt: u64, completion: u64) -> Self {
        (self.script.prompt, self.script.completion) = (Some(prompt), Some(completion));
        self
    }

    /// The same with the script changed.
    #[must_use]
    pub fn script(mut self, change: impl FnOnce(&mut Script)) -> Self {
        change(&mut self.script);
        self
    }

    /// The body as text.
    #[must_use]
    pub fn body(&self) -> String {
        Value::Object(self.body.clone()).to_string()
    }

    /// The request.
    #[must_use]
    pub fn request(&self, key: &str) -> Request {
        self.bare(self.body()).bearer(key)
    }

    /// The request without a key and with another body.
    #[must_use]
    pub fn bare(&self, body: impl Into<bytes::Bytes>) -> Request {
        Request::new("POST", CHAT_PATH)
            .header("content-type", "application/json")
            .header(TAG_HEADER, &self.tag)
            .header(SCRIPT_HEADER, &self.script.header())
            .body(body)
    }

    fn empty() -> Self {
        Self { tag: tag(), script: Script::default(), body: Map::new() }
    }
}

/// A name that no other request of this process has.
#[must_use]
pub fn tag() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("t-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

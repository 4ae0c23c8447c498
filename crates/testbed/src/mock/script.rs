//! How one answer of the mock provider shall look: the `x-mock` request header, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The header that carries a [`Script`].
pub const SCRIPT_HEADER: &str = "x-mock";
/// The header that carries the test's own name for a request; recorded and otherwise ignored.
pub const TAG_HEADER: &str = "x-tag";

/// How one answer shall look; whatever is not said follows the real API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Prompt tokens; else the body's bytes / 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<u64>,
    /// Completion tokens; else 20, or `max_tokens` where that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<u64>,
    /// Of the prompt tokens: read from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
    /// Of the completion tokens: spent on reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
    /// Content chunks of a stream; else 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<usize>,
    /// Before the head of the answer, in milliseconds.
    pub head_delay_ms: u64,
    /// Before each content chunk of a stream, in milliseconds.
    pub chunk_delay_ms: u64,
    /// Before the chunk with the usage, in milliseconds.
    pub usage_delay_ms: u64,
    /// Before `[DONE]`, in milliseconds.
    pub done_delay_ms: u64,
    /// How many requests of the same name fail before one is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// Byte offsets at which the body is cut into pieces that are written apart.
    pub cuts: Vec<usize>,
    /// How usage is reported.
    pub usage: UsageShape,
    /// Status; else 200. From 400 the body is an error in OpenAI's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `retry-after` of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Where the answer breaks off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Answers before the request's body has come.
    pub early: bool,
    /// Trailers after the body.
    pub trailers: bool,
    /// The body is compressed, whatever the request accepts.
    pub gzip: bool,
    /// Further bytes of content.
    pub pad: usize,
    /// A stream ends without `[DONE]`.
    pub no_done: bool,
    /// A stream reports usage although it was not asked to.
    pub always_usage: bool,
    /// A plain body comes without its length.
    pub chunked: bool,
    /// The model that the answer names; else the one that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_model: Option<String>,
    /// Images of an answer; else as many as were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// The whole body, literally, instead of a made one; `text/event-stream` for a streamed request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A recorded answer instead of a made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The pieces of the body (cuts, events) wait for each other: the next is sent when [`super::Mock::turn`]
    /// says so.
    pub in_turns: bool,
}

/// A recorded answer: its bytes are sent as they are, cut where [`Script::cuts`] says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The file with its body.
    pub file: PathBuf,
    /// Its content type.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its other headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// How usage is reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageShape {
    /// As the real API does: in a plain answer, and in a stream that was asked for it in one more
    /// chunk before `[DONE]`, with `"usage": null` in the others.
    #[default]
    Api,
    /// Not at all.
    Absent,
    /// This JSON text in place of the usage object.
    Literal(String),
    /// In `choices[0].usage`.
    InChoice,
    /// In each chunk of a stream, growing.
    Cumulative,
}

/// Requests that fail before one of the same name is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// How many.
    pub times: usize,
    /// The status that they get; none = their connection or stream is reset before a head.
    pub status: Option<u16>,
}

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Before what.
    pub before: CutPoint,
    /// An orderly end of the connection instead of a reset (HTTP/1 only).
    #[serde(default)]
    pub fin: bool,
}

/// Before what an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutPoint {
    /// The head.
    Head,
    /// The first byte of the body.
    Body,
    /// This content chunk of a stream, counted from 0; a plain body: its second half.
    Chunk(usize),
    /// The end, after all of the body.
    End,
}

impl Script {
    /// The script as the header's value.
    #[must_use]
    pub fn header(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The script of the n-th request of its name, counted from 1.
    #[must_use]
    pub fn of_try(mut self, n: usize) -> Self {
        if let Some(Failing { status, .. }) = self.failing.filter(|failing| n <= failing.times) {
            self.status = status.or(self.status);
            if status.is_none() {
                self.cut = Some(Cut { before: CutPoint::Head, fin: false });
            }
        }
        self
    }

    /// The tokens of an answer to this request body.
    #[must_use]
    pub fn tokens(&self, body: &[u8], request: &Value) -> Tokens {
        let limit =
            ["max_completion_tokens", "max_tokens"].iter().find_map(|name| request.get(name)?.as_u64());
        let prompt = self.prompt.unwrap_or(body.len() as u64 / 4);
        let completion = self.completion.unwrap_or(20.min(limit.unwrap_or(u64::MAX)));
        Tokens { prompt, completion, cached: self.cached, reasoning: self.reasoning }
    }
}

/// What an answer really took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Prompt tokens, cached ones included.
    pub prompt: u64,
    /// Completion tokens, reasoning included.
    pub completion: u64,
    /// Of the prompt tokens: read from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<u64>,
    /// Of the completion tokens: spent on reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl Tokens {
    /// The usage object of the chat completions API.
    #[must_use]
    pub fn usage(&self) -> String {
        let Self { prompt, completion, .. } = self;
        let total = prompt.saturating_add(*completion);
        let cached = self.cached.map_or("null".to_owned(), |n| format!(r#"{{"cached_tokens":{n}}}"#));
        let reasoning =
            self.reasoning.map_or("null".to_owned(), |n| format!(r#"{{"reasoning_tokens":{n}}}"#));
        format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"prompt_tokens_details":{cached},"completion_tokens_details":{reasoning}}}"#
        )
    }
}

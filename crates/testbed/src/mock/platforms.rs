//! Bedrock, Cohere and Ollama as data, and Amazon's framing of streams.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::api::{Api, Framing, MESSAGES, Stream};

const AWS_ERROR: &str = r#"{"message":"$message"}"#;
const COHERE_ERROR: &str = r#"{"id":"mock-$status","message":"$message"}"#;
const OLLAMA_ERROR: &str = r#"{"error":"$message"}"#;

pub(super) const CONVERSE: Api = Api {
    plain: r#"{"metrics":{"latencyMs":1},"output":{"message":{"content":[{"text":"$text"}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":$fresh,"cacheReadInputTokens":$cached,"cacheWriteInputTokens":0,"outputTokens":$output,"totalTokens":$total}}"#,
    stream: Some(Stream {
        framing: Framing::Aws,
        first: &[("messageStart", r#"{"role":"assistant"}"#)],
        chunk: ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"$piece"}}"#),
        last: &[
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("messageStop", r#"{"stopReason":"end_turn"}"#),
            (
                "metadata",
                r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":$fresh,"cacheReadInputTokens":$cached,"cacheWriteInputTokens":0,"outputTokens":$output,"totalTokens":$total}}"#,
            ),
        ],
    }),
    error: AWS_ERROR,
};

/// As models of Anthropic's answer there.
pub(super) const INVOKE: Api = Api {
    plain: MESSAGES.plain,
    stream: match MESSAGES.stream {
        Some(stream) => Some(Stream { framing: Framing::AwsBytes, ..stream }),
        None => None,
    },
    error: AWS_ERROR,
};

pub(super) const COHERE_CHAT: Api = Api {
    plain: r#"{"id":"mock-$seq","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"$text"}]},"usage":{"billed_units":{"input_tokens":$prompt,"output_tokens":$output},"tokens":{"input_tokens":999,"output_tokens":$output}}}"#,
    stream: Some(Stream {
        framing: Framing::Events,
        first: &[
            (
                "message-start",
                r#"{"type":"message-start","id":"mock-$seq","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
            ),
            (
                "content-start",
                r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
            ),
        ],
        chunk: (
            "content-delta",
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"$piece"}}}}"#,
        ),
        last: &[
            ("content-end", r#"{"type":"content-end","index":0}"#),
            (
                "message-end",
                r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":$prompt,"output_tokens":$output},"tokens":{"input_tokens":999,"output_tokens":$output}}}}"#,
            ),
            ("", "[DONE]"),
        ],
    }),
    error: COHERE_ERROR,
};

pub(super) const COHERE_CHAT_1: Api = Api {
    plain: r#"{"response_id":"mock-$seq","generation_id":"mock-$seq","text":"$text","finish_reason":"COMPLETE","meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":$prompt,"output_tokens":$output},"tokens":{"input_tokens":999,"output_tokens":$output}}}"#,
    stream: Some(Stream {
        framing: Framing::Lines("application/stream+json"),
        first: &[("", r#"{"is_finished":false,"event_type":"stream-start","generation_id":"mock-$seq"}"#)],
        chunk: ("", r#"{"is_finished":false,"event_type":"text-generation","text":"$piece"}"#),
        last: &[(
            "",
            r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"response_id":"mock-$seq","text":"$text","finish_reason":"COMPLETE","meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":$prompt,"output_tokens":$output},"tokens":{"input_tokens":999,"output_tokens":$output}}}}"#,
        )],
    }),
    error: COHERE_ERROR,
};

pub(super) const COHERE_EMBED: Api = Api {
    plain: r#"{"id":"mock-$seq","response_type":"embeddings_by_type","texts":["Say"],"embeddings":{"float":[[1.0,0.5]]},"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":$prompt}}}"#,
    stream: None,
    error: COHERE_ERROR,
};

pub(super) const COHERE_EMBED_1: Api = Api {
    plain: r#"{"id":"mock-$seq","response_type":"embeddings_floats","texts":["Say"],"embeddings":[[1.0,0.5]],"meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":$prompt}}}"#,
    stream: None,
    error: COHERE_ERROR,
};

pub(super) const OLLAMA_CHAT: Api = Api {
    plain: r#"{"model":"$model","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"$text"},"done_reason":"stop","done":true,"total_duration":2,"load_duration":1,"prompt_eval_count":$prompt,"prompt_eval_duration":1,"eval_count":$output,"eval_duration":1}"#,
    stream: Some(Stream {
        framing: Framing::Lines("application/x-ndjson"),
        first: &[],
        chunk: (
            "",
            r#"{"model":"$model","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"$piece"},"done":false}"#,
        ),
        last: &[(
            "",
            r#"{"model":"$model","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":2,"load_duration":1,"prompt_eval_count":$prompt,"prompt_eval_duration":1,"eval_count":$output,"eval_duration":1}"#,
        )],
    }),
    error: OLLAMA_ERROR,
};

pub(super) const OLLAMA_GENERATE: Api = Api {
    plain: r#"{"model":"$model","created_at":"2026-01-01T00:00:00Z","response":"$text","done_reason":"stop","done":true,"context":[1,2],"total_duration":2,"load_duration":1,"prompt_eval_count":$prompt,"prompt_eval_duration":1,"eval_count":$output,"eval_duration":1}"#,
    stream: Some(Stream {
        framing: Framing::Lines("application/x-ndjson"),
        first: &[],
        chunk: (
            "",
            r#"{"model":"$model","created_at":"2026-01-01T00:00:00Z","response":"$piece","done":false}"#,
        ),
        last: &[(
            "",
            r#"{"model":"$model","created_at":"2026-01-01T00:00:00Z","response":"","done_reason":"stop","done":true,"context":[1,2],"total_duration":2,"load_duration":1,"prompt_eval_count":$prompt,"prompt_eval_duration":1,"eval_count":$output,"eval_duration":1}"#,
        )],
    }),
    error: OLLAMA_ERROR,
};

pub(super) const OLLAMA_EMBED: Api = Api {
    plain: r#"{"model":"$model","embeddings":[[1.0,0.5]],"total_duration":2,"load_duration":1,"prompt_eval_count":$prompt}"#,
    stream: None,
    error: OLLAMA_ERROR,
};

/// A model's own event inside Amazon's.
pub(super) fn bytes_frame(payload: &str) -> Vec<u8> {
    frame("chunk", &format!(r#"{{"bytes":"{}"}}"#, BASE64_STANDARD.encode(payload)))
}

/// A message of `application/vnd.amazon.eventstream`: two lengths and their checksum, headers, payload, and the
/// checksum of all (<https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html>).
pub(super) fn frame(event: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in
        [(":event-type", event), (":content-type", "application/json"), (":message-type", "event")]
    {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        // A string.
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = headers.len() + payload.len() + 16;
    let mut frame = Vec::with_capacity(length);
    frame.extend_from_slice(&(length as u32).to_be_bytes());
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

//! The APIs beside chat completions, as data: bodies and events with places for what a script says.
//!
//! A place is `$` and a word ([`Places::fill`]). Whether a count contains another follows each provider's
//! documentation: cached tokens are part of the prompt but at Anthropic, thoughts are no part of Gemini's candidates.

use serde_json::Value;

use super::platforms;
use super::script::Tokens;

/// What an answer is for.
pub(super) struct Api {
    /// The body of a plain answer.
    pub plain: &'static str,
    /// Its streams; none where there are none.
    pub stream: Option<Stream>,
    /// The body of an error; `$status`, `$message`.
    pub error: &'static str,
}

/// A streamed answer: events in turn, the middle ones once a chunk.
pub(super) struct Stream {
    /// How events are framed.
    pub framing: Framing,
    /// Before the content; name and payload.
    pub first: &'static [(&'static str, &'static str)],
    /// A piece of content.
    pub chunk: (&'static str, &'static str),
    /// Behind the content; the one with the total output states the usage.
    pub last: &'static [(&'static str, &'static str)],
}

/// How the events of a stream are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events, with their names where they have some.
    Events,
    /// Elements of one JSON array.
    Array,
    /// A JSON document in each line, of this content type.
    Lines(&'static str),
    /// Amazon's messages.
    Aws,
    /// Amazon's messages, with the events of a model inside.
    AwsBytes,
}

const OPENAI_ERROR: &str =
    r#"{"error":{"message":"$message","type":"invalid_request_error","param":null,"code":"mock_$status"}}"#;

const COMPLETIONS: Api = Api {
    plain: r#"{"id":"cmpl-mock-$seq","object":"text_completion","created":1700000000,"model":"$model","choices":[{"index":0,"text":"$text","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":$prompt,"completion_tokens":$output,"total_tokens":$total}}"#,
    stream: Some(Stream {
        framing: Framing::Events,
        first: &[],
        chunk: (
            "",
            r#"{"id":"cmpl-mock-$seq","object":"text_completion","created":1700000000,"model":"$model","choices":[{"index":0,"text":"$piece","logprobs":null,"finish_reason":null}]}"#,
        ),
        last: &[
            (
                "",
                r#"{"id":"cmpl-mock-$seq","object":"text_completion","created":1700000000,"model":"$model","choices":[],"usage":{"prompt_tokens":$prompt,"completion_tokens":$output,"total_tokens":$total}}"#,
            ),
            ("", "[DONE]"),
        ],
    }),
    error: OPENAI_ERROR,
};

const RESPONSES: Api = Api {
    plain: r#"{"id":"resp_mock_$seq","object":"response","created_at":1700000000,"status":"completed","error":null,"incomplete_details":null,"instructions":null,"model":"$model","output":[{"type":"message","id":"msg_mock_$seq","status":"completed","role":"assistant","content":[{"type":"output_text","text":"$text","annotations":[]}]}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":$prompt,"input_tokens_details":{"cached_tokens":$cached},"output_tokens":$output,"output_tokens_details":{"reasoning_tokens":$reasoning},"total_tokens":$total}}"#,
    stream: Some(Stream {
        framing: Framing::Events,
        first: &[
            (
                "response.created",
                r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_mock_$seq","object":"response","created_at":1700000000,"status":"in_progress","error":null,"incomplete_details":null,"instructions":null,"model":"$model","output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":null}}"#,
            ),
            (
                "response.output_item.added",
                r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_mock_$seq","status":"in_progress","role":"assistant","content":[]}}"#,
            ),
            (
                "response.content_part.added",
                r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_mock_$seq","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#,
            ),
        ],
        chunk: (
            "response.output_text.delta",
            r#"{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_mock_$seq","output_index":0,"content_index":0,"delta":"$piece","logprobs":[]}"#,
        ),
        last: &[
            (
                "response.output_text.done",
                r#"{"type":"response.output_text.done","sequence_number":4,"item_id":"msg_mock_$seq","output_index":0,"content_index":0,"text":"$text","logprobs":[]}"#,
            ),
            (
                "response.completed",
                r#"{"type":"response.completed","sequence_number":5,"response":{"id":"resp_mock_$seq","object":"response","created_at":1700000000,"status":"completed","error":null,"incomplete_details":null,"instructions":null,"model":"$model","output":[{"type":"message","id":"msg_mock_$seq","status":"completed","role":"assistant","content":[{"type":"output_text","text":"$text","annotations":[]}]}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":$prompt,"input_tokens_details":{"cached_tokens":$cached},"output_tokens":$output,"output_tokens_details":{"reasoning_tokens":$reasoning},"total_tokens":$total}}}"#,
            ),
        ],
    }),
    error: OPENAI_ERROR,
};

const EMBEDDINGS: Api = Api {
    plain: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAAA="}],"model":"$model","usage":{"prompt_tokens":$prompt,"total_tokens":$prompt}}"#,
    stream: None,
    error: OPENAI_ERROR,
};

pub(super) const MESSAGES: Api = Api {
    plain: r#"{"id":"msg_mock_$seq","type":"message","role":"assistant","model":"$model","content":[{"type":"text","text":"$text"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":$fresh,"cache_creation_input_tokens":0,"cache_read_input_tokens":$cached,"output_tokens":$output,"service_tier":"standard"}}"#,
    stream: Some(Stream {
        framing: Framing::Events,
        first: &[
            (
                "message_start",
                r#"{"type":"message_start","message":{"id":"msg_mock_$seq","type":"message","role":"assistant","model":"$model","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":$fresh,"cache_creation_input_tokens":0,"cache_read_input_tokens":$cached,"output_tokens":1,"service_tier":"standard"}}}"#,
            ),
            (
                "content_block_start",
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            ),
            ("ping", r#"{"type":"ping"}"#),
        ],
        chunk: (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"$piece"}}"#,
        ),
        last: &[
            ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
            (
                "message_delta",
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":$fresh,"cache_creation_input_tokens":0,"cache_read_input_tokens":$cached,"output_tokens":$output}}"#,
            ),
            ("message_stop", r#"{"type":"message_stop"}"#),
        ],
    }),
    error: r#"{"type":"error","error":{"type":"api_error","message":"$message"},"request_id":"req_mock_$status"}"#,
};

const COUNT_TOKENS: Api = Api { plain: r#"{"input_tokens":$prompt}"#, stream: None, error: MESSAGES.error };

const GEMINI_USAGE: &str = r#""usageMetadata":{"promptTokenCount":$prompt,"cachedContentTokenCount":$cached,"candidatesTokenCount":$answer,"thoughtsTokenCount":$reasoning,"totalTokenCount":$total}"#;

const GEMINI: Api = Api {
    plain: r#"{"candidates":[{"content":{"parts":[{"text":"$text"}],"role":"model"},"finishReason":"STOP","index":0}],$gemini_usage,"modelVersion":"$model","responseId":"mock-$seq"}"#,
    stream: Some(Stream {
        framing: Framing::Events,
        first: &[],
        chunk: (
            "",
            r#"{"candidates":[{"content":{"parts":[{"text":"$piece"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":$prompt,"totalTokenCount":$prompt},"modelVersion":"$model","responseId":"mock-$seq"}"#,
        ),
        last: &[(
            "",
            r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],$gemini_usage,"modelVersion":"$model","responseId":"mock-$seq"}"#,
        )],
    }),
    error: r#"{"error":{"code":$status,"message":"$message","status":"INTERNAL"}}"#,
};

const GEMINI_COUNT: Api = Api { plain: r#"{"totalTokens":$prompt}"#, stream: None, error: GEMINI.error };

const GEMINI_EMBED: Api = Api {
    plain: r#"{"embeddings":[{"values":[1.0,0.5]}],"usageMetadata":{"promptTokenCount":$prompt,"totalTokenCount":$prompt}}"#,
    stream: None,
    error: GEMINI.error,
};

/// The API behind a path; none where it is another, or chat completions.
pub(super) fn of_path(path: &str) -> Option<&'static Api> {
    const APIS: &[(&str, &Api)] = &[
        ("/v1/completions", &COMPLETIONS),
        ("/responses", &RESPONSES),
        ("/embeddings", &EMBEDDINGS),
        ("/v1/messages", &MESSAGES),
        ("/v1/messages/count_tokens", &COUNT_TOKENS),
        ("/count-tokens:rawPredict", &COUNT_TOKENS),
        (":rawPredict", &MESSAGES),
        (":streamRawPredict", &MESSAGES),
        (":batchEmbedContents", &GEMINI_EMBED),
        (":generateContent", &GEMINI),
        (":streamGenerateContent", &GEMINI),
        (":countTokens", &GEMINI_COUNT),
        ("/converse", &platforms::CONVERSE),
        ("/converse-stream", &platforms::CONVERSE),
        ("/invoke", &platforms::INVOKE),
        ("/invoke-with-response-stream", &platforms::INVOKE),
        ("/v1/chat", &platforms::COHERE_CHAT_1),
        ("/v2/chat", &platforms::COHERE_CHAT),
        ("/v1/embed", &platforms::COHERE_EMBED_1),
        ("/v2/embed", &platforms::COHERE_EMBED),
        ("/api/chat", &platforms::OLLAMA_CHAT),
        ("/api/generate", &platforms::OLLAMA_GENERATE),
        ("/api/embed", &platforms::OLLAMA_EMBED),
    ];
    APIS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, api)| *api)
}

/// The model that a path names.
pub(super) fn path_model(path: &str) -> Option<&str> {
    if let Some((_, last)) = path.rsplit_once("/model/") {
        return Some(last.split_once('/')?.0);
    }
    let (_, last) = path.rsplit_once("/models/")?;
    Some(last.rsplit_once(':')?.0)
}

/// Whether a path asks for a stream, whatever the body says.
pub(super) fn streams(path: &str) -> bool {
    [":streamGenerateContent", "/converse-stream", "/invoke-with-response-stream"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Whether a body or event states what the answer took in all.
pub(super) fn states_output(text: &str) -> bool {
    text.contains("$output") || text.contains("$gemini_usage")
}

/// What stands in the places.
pub(super) struct Places<'a> {
    /// The answer's number.
    pub seq: usize,
    /// The model that it names.
    pub model: &'a str,
    /// What it took.
    pub tokens: Tokens,
    /// All of its text.
    pub text: &'a str,
    /// A piece of it.
    pub piece: &'a str,
}

impl Places<'_> {
    /// The text with its places filled.
    pub(super) fn fill(&self, text: &str) -> String {
        let Tokens { prompt, completion, cached, reasoning } = self.tokens;
        let (cached, reasoning) = (cached.unwrap_or(0), reasoning.unwrap_or(0));
        let model = Value::from(self.model).to_string();
        let model = model.trim_matches('"');
        let mut filled = text.replace("$gemini_usage", GEMINI_USAGE);
        for (place, number) in [
            ("$prompt", prompt),
            ("$cached", cached),
            ("$fresh", prompt.saturating_sub(cached)),
            ("$output", completion),
            ("$reasoning", reasoning),
            ("$answer", completion.saturating_sub(reasoning)),
            ("$total", prompt.saturating_add(completion)),
            ("$seq", self.seq as u64),
        ] {
            filled = filled.replace(place, &number.to_string());
        }
        filled.replace("$model", model).replace("$piece", self.piece).replace("$text", self.text)
    }
}

/// An event as it stands on the wire; `first` and `last` in its stream.
pub(super) fn framed(framing: Framing, name: &str, payload: &str, first: bool, last: bool) -> Vec<u8> {
    match framing {
        Framing::Events if name.is_empty() => format!("data: {payload}\n\n"),
        Framing::Events => format!("event: {name}\ndata: {payload}\n\n"),
        Framing::Array => {
            format!("{}{payload}{}", if first { "[" } else { ",\r\n" }, if last { "]" } else { "" })
        }
        Framing::Lines(_) => format!("{payload}\n"),
        Framing::Aws => return platforms::frame(name, payload),
        Framing::AwsBytes => return platforms::bytes_frame(payload),
    }
    .into_bytes()
}

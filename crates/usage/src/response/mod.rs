//! What an answer says of its cost, read as it passes by.
//!
//! The reader keeps the provider's native counts while the answer streams, the last value winning per field,
//! and normalises them once, to disjoint meters. It never fails: what cannot be read shows in
//! [`Reading::status`] and [`Reading::malformed`].

mod answer;
mod anthropic;
mod audio;
mod bedrock;
mod calls;
mod choices;
mod cohere;
mod counts;
mod embeddings;
mod estimate;
mod gemini;
mod items;
mod normalise;
mod ollama;
mod openai;
mod part;
mod pointers;
mod profile;
mod reader;
mod rerank;
mod responses;
mod rounds;
mod tier;
mod tools;
mod word;

use tariff::{Meter, Usage};

pub use estimate::{estimate_output_tokens, estimate_uncounted_tokens};
pub use pointers::{PointerError, Pointers};
pub use reader::ResponseReader;

/// How a provider family words its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI chat completions, the older completions, and the servers compatible with them.
    OpenAiChat,
    /// OpenAI's responses API.
    OpenAiResponses,
    /// Embeddings: input alone.
    Embeddings,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    Gemini,
    /// Items and processed units: OpenAI's images API and the like.
    Items,
    /// Transcripts and translations of speech.
    Transcript,
    /// Text that is spoken.
    Speech,
    /// Rerankers: tokens read, or searches.
    Rerank,
    /// Amazon Bedrock's `Converse` and `ConverseStream`.
    BedrockConverse,
    /// Amazon Bedrock's `InvokeModel` and `InvokeModelWithResponseStream`, whichever model it is.
    BedrockInvoke,
    /// Cohere's chat, both versions.
    CohereChat,
    /// Cohere's embeddings, both versions: input alone.
    CohereEmbed,
    /// Ollama's own chat and generate.
    OllamaChat,
    /// Ollama's own embeddings: input alone.
    OllamaEmbed,
}

/// How an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// One JSON document.
    Json,
    /// Server-sent events, one JSON document in each (`text/event-stream`).
    EventStream,
    /// Anything else: nothing is read of it.
    Opaque,
    /// One JSON document in each line (`application/x-ndjson`, `application/stream+json`, `application/jsonl`).
    Lines,
    /// Amazon's frames, one JSON document in each (`application/vnd.amazon.eventstream`).
    AwsEventStream,
}

/// How sure a usage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All fields read, and the answer ended as it should.
    Complete,
    /// A field was malformed, missing, restated to zero or at odds with another, or the answer was cut or
    /// failed.
    Partial,
    /// No usage could be read, or there was none.
    Failed,
}

/// What a reader has seen of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Disjoint counts. Of generated text `InputTokens` and `OutputTokens` are set, of embeddings the former, the
    /// others where they are not zero, seconds where they are stated; of items those that were stated. One of the two is
    /// left out where the answer neither states it nor a total that tells it.
    pub usage: Option<Usage>,
    /// How sure `usage` is; [`Status::Failed`] where there is none.
    pub status: Status,
    /// The model that the provider says has answered.
    pub answered_model: Option<Box<str>>,
    /// The tier that the provider says it was served in, in small letters: at most
    /// [`crate::limits::TIER_BYTES_MAX`] letters, digits, `_` and `-`.
    pub service_tier: Option<Box<str>>,
    /// The tier that it was served in by where it was served, where it says that alone: what was asked for, or is sold,
    /// goes before it.
    pub region_tier: Option<Box<str>>,
    /// What the provider says that it costs, in millionths of millionths of a US dollar, at most
    /// [`crate::limits::COST_MAX`].
    pub provider_cost: Option<u64>,
    /// Whether the provider's total is not the sum of its parts.
    pub total_mismatch: bool,
    /// Counts that were none, events or documents that were not JSON, and frames with a wrong checksum.
    pub malformed: u32,
    /// Whether the answer came to its end: `[DONE]` or the dialect's last event seen, every choice finished, or the
    /// document closed.
    pub ended: bool,
    /// Whether it was read as events, or is neither events nor a document.
    pub streamed: bool,
    /// What reached the client, for the estimate where there is no usage.
    pub delivered: Delivered,
    /// Whether the answer carried an error instead of, or after, its content.
    pub error_event: bool,
    /// Whether nothing has come but white space and comments, which keep a connection open until there is an answer.
    pub is_blank: bool,
}

/// Calls of tools that a provider runs by itself for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolCalls {
    /// Searches.
    pub searches: u64,
    /// Searches of the customer's own files.
    pub file_searches: u64,
    /// Runs of code.
    pub code_runs: u64,
    /// Images made on the way.
    pub images: u64,
    /// Tokens of images that another model made, where they are stated: those are in [`Reading::usage`] with the
    /// answer's own.
    pub image_tokens: u64,
}

impl ToolCalls {
    /// The calls by their meters.
    #[must_use]
    pub const fn metered(&self) -> [(Meter, u64); 4] {
        [
            (Meter::Searches, self.searches),
            (Meter::FileSearches, self.file_searches),
            (Meter::CodeRuns, self.code_runs),
            (Meter::Images, self.images),
        ]
    }
}

/// What has been delivered of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Bytes of the answer as they came.
    pub bytes: u64,
    /// Events with data, `[DONE]` not among them; 0 for a JSON document.
    pub events: u64,
    /// Events with generated text in them; 0 for a JSON document.
    pub content_events: u64,
    /// Bytes of generated text (answer, refusal, reasoning, tool arguments), decoded from JSON.
    pub content_bytes: u64,
    /// Bytes of generated text after the last event, or element of an array, that counted output.
    pub uncounted_bytes: u64,
    /// Events with generated text after it.
    pub uncounted_events: u64,
    /// Choices seen, by their `index`.
    pub choices: u32,
    /// Items of the answer's list; none where it had no list, and for chat completions.
    pub items: Option<u64>,
    /// Calls of tools that the provider ran by itself, as its items tell them: in [`Reading::usage`] too, unless the
    /// usage states others.
    pub calls: ToolCalls,
}

//! What the edge must know of each API dialect beside its words: what requests may be edited, what answers may cost,
//! what refusals look like.

use serde::{Deserialize, Serialize};
use usage::request::RequestDialect;
use usage::request::edit::OutputBound;

use crate::route::generic::GenericRoute;

/// The API dialect of a metered route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `OpenAI`'s chat completions.
    OpenaiChat,
    /// `OpenAI`'s older completions.
    OpenaiCompletions,
    /// `OpenAI`'s responses.
    OpenaiResponses,
    /// Embeddings, as `OpenAI` has them.
    Embeddings,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    Gemini,
    /// Gemini's `embedContent` and `batchEmbedContents`.
    GeminiEmbed,
    /// Items and processed units: `OpenAI`'s images API, and JSON APIs that state pages or seconds.
    Items,
    /// Transcripts and translations of speech, as `OpenAI` has them.
    Transcription,
    /// Spoken text, as `OpenAI` has it.
    Speech,
    /// `OpenAI`'s moderations.
    Moderation,
    /// Rerankers.
    Rerank,
    /// Amazon Bedrock's `Converse` and `ConverseStream`.
    BedrockConverse,
    /// Amazon Bedrock's `InvokeModel` and `InvokeModelWithResponseStream`.
    BedrockInvoke,
    /// Cohere's chat, both versions.
    CohereChat,
    /// Cohere's embeddings, both versions.
    CohereEmbed,
    /// Ollama's own chat and generate.
    OllamaChat,
    /// Ollama's own embeddings.
    OllamaEmbed,
    /// One that the configuration describes.
    #[serde(skip)]
    Generic(GenericRoute),
}

/// Whose error object a client looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// `OpenAI`'s.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Google,
    /// Amazon's, whose type is a header's.
    Aws,
    /// Cohere's.
    Cohere,
    /// Ollama's.
    Ollama,
}

impl Dialect {
    /// The name in the journal, metrics and the access log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "chat",
            Self::OpenaiCompletions => "completions",
            Self::OpenaiResponses => "responses",
            Self::Embeddings => "embeddings",
            Self::AnthropicMessages => "messages",
            Self::Gemini => "generate_content",
            Self::GeminiEmbed => "embed_content",
            Self::Items => "items",
            Self::Transcription => "transcription",
            Self::Speech => "speech",
            Self::Moderation => "moderation",
            Self::Rerank => "rerank",
            Self::BedrockConverse => "converse",
            Self::BedrockInvoke => "invoke",
            Self::CohereChat => "cohere_chat",
            Self::CohereEmbed => "cohere_embed",
            Self::OllamaChat => "ollama_chat",
            Self::OllamaEmbed => "ollama_embed",
            Self::Generic(_) => "generic",
        }
    }

    /// Whether its requests name their model in the path alone.
    #[must_use]
    pub const fn is_named_in_path(self) -> bool {
        matches!(self, Self::Gemini | Self::GeminiEmbed | Self::BedrockConverse | Self::BedrockInvoke)
    }

    /// How its requests are worded.
    pub(crate) const fn requests(self) -> RequestDialect {
        match self {
            Self::Gemini | Self::GeminiEmbed => RequestDialect::Gemini,
            Self::BedrockConverse => RequestDialect::BedrockConverse,
            Self::BedrockInvoke => RequestDialect::BedrockInvoke,
            Self::OllamaChat => RequestDialect::Ollama,
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::Embeddings
            | Self::AnthropicMessages
            | Self::Items
            | Self::Transcription
            | Self::Speech
            | Self::Moderation
            | Self::Rerank
            | Self::CohereChat
            | Self::CohereEmbed
            | Self::OllamaEmbed
            | Self::Generic(_) => RequestDialect::OpenAi,
        }
    }

    /// How its answers are worded; nothing where the configuration says that.
    pub(crate) const fn answers(self) -> Option<usage::Dialect> {
        Some(match self {
            Self::OpenaiChat | Self::OpenaiCompletions => usage::Dialect::OpenAiChat,
            Self::OpenaiResponses => usage::Dialect::OpenAiResponses,
            Self::Embeddings => usage::Dialect::Embeddings,
            Self::AnthropicMessages => usage::Dialect::Anthropic,
            Self::Gemini | Self::GeminiEmbed => usage::Dialect::Gemini,
            Self::Items | Self::Moderation => usage::Dialect::Items,
            Self::Transcription => usage::Dialect::Transcript,
            Self::Speech => usage::Dialect::Speech,
            Self::Rerank => usage::Dialect::Rerank,
            Self::BedrockConverse => usage::Dialect::BedrockConverse,
            Self::BedrockInvoke => usage::Dialect::BedrockInvoke,
            Self::CohereChat => usage::Dialect::CohereChat,
            Self::CohereEmbed => usage::Dialect::CohereEmbed,
            Self::OllamaChat => usage::Dialect::OllamaChat,
            Self::OllamaEmbed => usage::Dialect::OllamaEmbed,
            Self::Generic(_) => return None,
        })
    }

    /// Whether a stream states its usage only where `stream_options.include_usage` asks for it.
    pub(crate) const fn asks_for_usage(self) -> bool {
        matches!(self, Self::OpenaiChat | Self::OpenaiCompletions)
    }

    /// Whether answers are text, so that what was delivered of them tells about how many tokens they are.
    pub(crate) const fn answers_text(self) -> bool {
        !self.sells_units() && !self.reads_only() && !matches!(self, Self::Generic(_))
    }

    /// Whether its answers state input and output apart, and may leave one of them out.
    pub(crate) const fn leaves_counts_out(self) -> bool {
        matches!(
            self,
            Self::OpenaiChat
                | Self::OpenaiCompletions
                | Self::OpenaiResponses
                | Self::AnthropicMessages
                | Self::BedrockConverse
                | Self::BedrockInvoke
                | Self::CohereChat
                | Self::OllamaChat
        )
    }

    /// Whether nothing is generated that could be charged.
    pub(crate) const fn reads_only(self) -> bool {
        matches!(self, Self::Embeddings | Self::GeminiEmbed | Self::CohereEmbed | Self::OllamaEmbed)
    }

    /// Whether a stream of its answers is a document in each line, unless its type says otherwise.
    pub(crate) const fn streams_lines(self) -> bool {
        matches!(self, Self::CohereChat | Self::OllamaChat)
    }

    /// Whether its requests do not say if the answer is a stream, and its headers do and may have counts.
    pub(crate) const fn counts_in_headers(self) -> bool {
        matches!(self, Self::BedrockInvoke | Self::Generic(_))
    }

    /// Where a request bounds its answer's tokens; nothing where answers are not text.
    pub(crate) const fn output_bound(self) -> Option<OutputBound> {
        match self {
            Self::OpenaiChat => Some(OutputBound::Chat),
            Self::OpenaiCompletions | Self::AnthropicMessages | Self::CohereChat => {
                Some(OutputBound::MaxTokens)
            }
            Self::OpenaiResponses => Some(OutputBound::MaxOutputTokens),
            Self::Gemini => Some(OutputBound::Within("generationConfig", "maxOutputTokens")),
            Self::BedrockConverse => Some(OutputBound::Within("inferenceConfig", "maxTokens")),
            Self::BedrockInvoke => Some(OutputBound::Named),
            Self::OllamaChat => Some(OutputBound::Within("options", "num_predict")),
            Self::Embeddings
            | Self::GeminiEmbed
            | Self::Items
            | Self::Transcription
            | Self::Speech
            | Self::Moderation
            | Self::Rerank
            | Self::CohereEmbed
            | Self::OllamaEmbed
            | Self::Generic(_) => None,
        }
    }

    /// The error object of its clients.
    pub(crate) const fn errors(self) -> ErrorShape {
        match self {
            Self::AnthropicMessages => ErrorShape::Anthropic,
            Self::Gemini | Self::GeminiEmbed => ErrorShape::Google,
            Self::BedrockConverse | Self::BedrockInvoke => ErrorShape::Aws,
            Self::CohereChat | Self::CohereEmbed => ErrorShape::Cohere,
            Self::OllamaChat | Self::OllamaEmbed => ErrorShape::Ollama,
            Self::OpenaiChat
            | Self::OpenaiCompletions
            | Self::OpenaiResponses
            | Self::Embeddings
            | Self::Items
            | Self::Transcription
            | Self::Speech
            | Self::Moderation
            | Self::Generic(_)
            | Self::Rerank => ErrorShape::OpenAi,
        }
    }

    /// Whether its models are sold by whatever the catalog prices: units, requests, tokens. What of it the answer does
    /// not state the request does.
    pub(crate) const fn sells_units(self) -> bool {
        matches!(
            self,
            Self::Items
                | Self::Transcription
                | Self::Speech
                | Self::Moderation
                | Self::Rerank
                | Self::Generic(_)
        )
    }

    /// Whether a request's body waits until it is read.
    pub(crate) const fn reads_body(self) -> bool {
        !matches!(self, Self::Generic(GenericRoute { reads_body: false, .. }))
    }

    /// Whether its requests may be forms.
    pub(crate) const fn takes_forms(self) -> bool {
        matches!(self, Self::Items | Self::Transcription | Self::Generic(_))
    }

    /// Whether an answer may be what no reader makes anything of: a sound, or a transcript in plain text.
    pub(crate) const fn answers_plainly(self) -> bool {
        matches!(self, Self::Transcription | Self::Speech)
    }

    /// The model of a request that names none.
    pub(crate) const fn usual_model(self) -> Option<&'static str> {
        // <https://platform.openai.com/docs/api-reference/moderations/create>
        if matches!(self, Self::Moderation) { Some("omni-moderation-latest") } else { None }
    }
}

/// The error object in a refusal's body, in the shape of the API that the client speaks.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ErrorObject<'a> {
    /// <https://platform.openai.com/docs/guides/error-codes>
    OpenAi { message: &'a str, r#type: &'static str, param: Option<&'static str>, code: &'static str },
    /// <https://docs.claude.com/en/api/errors>
    Anthropic { r#type: &'static str, message: &'a str },
    /// <https://cloud.google.com/apis/design/errors>
    Google { code: u32, message: &'a str, status: &'static str },
    /// <https://github.com/ollama/ollama/blob/main/docs/api.md>
    Ollama(&'a str),
}

/// The exception of Amazon's that its clients raise for a status, as `x-amzn-errortype` names it
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>). None that they would try again but
/// for what is over soon.
pub(crate) const fn aws_exception(status: u32) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        402 => "ServiceQuotaExceededException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// The `type` of Anthropic's error object for a status.
pub(crate) const fn anthropic_type(status: u32) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Google's canonical code for a status (`google.rpc.Code`).
pub(crate) const fn google_status(status: u32) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

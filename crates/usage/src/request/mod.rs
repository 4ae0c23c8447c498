//! What a request body asks for, read in one pass without holding it, and the edits made to it.
//!
//! The scan sees the whole body before anything of it is released: a second `model` after two megabytes
//! would otherwise buy at the first one's price (design.md §5.2).

mod config;
pub mod edit;
mod error;
mod facts;
mod form;
mod form_head;
mod form_members;
mod media;
mod members;
mod noted;
mod scanner;
mod unique;

pub use crate::json::FaultKind;
pub use edit::Edit;
pub use error::RequestError;
pub use facts::{Bounded, RequestFacts, Span};
pub use form::FormFault;
pub use form_head::{BadBoundary, Boundary};
pub use noted::{Member, Noted, Unclear};
pub use scanner::RequestScanner;

/// How a provider family words its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestDialect {
    /// OpenAI's, Anthropic's and Cohere's APIs, which name the model in the body.
    #[default]
    OpenAi,
    /// Gemini's, which name it in the path and have what bounds the answer in `generationConfig`.
    Gemini,
    /// Amazon Bedrock's `Converse`, which names it in the path and has what bounds the answer in `inferenceConfig`.
    BedrockConverse,
    /// Amazon Bedrock's `InvokeModel`, which names it in the path; the body is the model's own.
    BedrockInvoke,
    /// Ollama's, which has what bounds the answer in `options`, and streams where `stream` does not say otherwise.
    Ollama,
}

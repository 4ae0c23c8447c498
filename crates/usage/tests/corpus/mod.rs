//! The recorded shapes of answers in `samples/`: what each is, how it is read, and what it must come to.
//!
//! A sample is the body of an answer as it is on the wire; beside it stands what it comes to, written by hand from
//! the provider's documentation.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tariff::{Meter, Usage};
use usage::response::{Dialect, Format, Reading, ResponseReader, Status};

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its path below `samples/`.
    pub name: String,
    /// The answer's body.
    pub body: Vec<u8>,
    /// What it comes to.
    pub expected: Expected,
}

/// The file beside a sample.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The meter of its route, as the plugin configuration names it.
    pub meter: String,
    /// The answer's `content-type`.
    pub content_type: String,
    /// The request's path.
    pub path: String,
    /// Counts in the answer's headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is charged for; nothing where the answer does not say.
    pub usage: Option<BTreeMap<String, u64>>,
    /// `complete`, `partial` or `failed`.
    pub status: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Whether the provider's total is at odds with its parts.
    pub total_mismatch: bool,
}

/// The folder of recordings that is played instead of our own.
pub fn recordings() -> Option<PathBuf> {
    std::env::var_os("BURSAR_RECORDINGS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Every sample, in the order of their names.
pub fn samples() -> Vec<Sample> {
    let root = recordings().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"));
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let sample = |expectation: &PathBuf| {
        let body = expectation.with_extension("").with_extension("");
        let expected = fs::read(expectation).unwrap();
        let name = body.strip_prefix(&root).unwrap().display().to_string();
        let expected = serde_json::from_slice(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        Sample { body: fs::read(&body).unwrap(), name, expected }
    };
    files.iter().filter(|file| file.to_string_lossy().ends_with(".expect.json")).map(sample).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

impl Sample {
    /// A reader for it.
    pub fn reader(&self) -> ResponseReader {
        let format = format(&self.expected.content_type);
        let mut reader = ResponseReader::new(dialect(&self.expected.meter), format);
        for (name, value) in &self.expected.headers {
            reader.state_header(name, value.as_bytes());
        }
        reader
    }

    /// What these bytes come to, read as this sample's, cut at these places.
    pub fn read(&self, body: &[u8], cuts: &[usize]) -> Reading {
        let mut reader = self.reader();
        let mut from = 0;
        for to in cuts.iter().copied().chain([body.len()]) {
            reader.feed(&body[from..to]);
            from = to;
        }
        reader.reading()
    }

    /// Checks a reading against what the sample must come to.
    #[track_caller]
    pub fn assert_expected(&self, reading: &Reading) {
        let name = &self.name;
        let (mut said, mut status) = (reading.usage.clone(), reading.status);
        // Items that were delivered are counted, where the provider does not count them itself.
        if let Some(items) = reading.delivered.items {
            let counted = said.unwrap_or_default();
            status = if reading.usage.is_none() && reading.ended { Status::Complete } else { status };
            said = Some(counted.with(Meter::Images, items));
        }
        assert_eq!(said, self.expected.usage(), "{name}");
        let status = match status {
            Status::Complete => "complete",
            Status::Partial => "partial",
            Status::Failed => "failed",
        };
        assert_eq!(status, self.expected.status, "{name}");
        assert_eq!(reading.answered_model.as_deref(), self.expected.model.as_deref(), "{name}");
        assert_eq!(reading.total_mismatch, self.expected.total_mismatch, "{name}");
    }
}

impl Expected {
    fn usage(&self) -> Option<Usage> {
        let set = |usage: Usage, (name, count): (&String, &u64)| {
            usage.with(Meter::counted(name).unwrap_or_else(|| panic!("no meter {name}")), *count)
        };
        self.usage.as_ref().map(|counts| counts.iter().fold(Usage::new(), set))
    }
}

fn dialect(meter: &str) -> Dialect {
    match meter {
        "openai_chat" | "openai_completions" => Dialect::OpenAiChat,
        "openai_responses" => Dialect::OpenAiResponses,
        "embeddings" => Dialect::Embeddings,
        "anthropic_messages" => Dialect::Anthropic,
        "gemini" => Dialect::Gemini,
        "items" | "moderation" => Dialect::Items,
        "transcription" => Dialect::Transcript,
        "speech" => Dialect::Speech,
        "rerank" => Dialect::Rerank,
        "bedrock_converse" => Dialect::BedrockConverse,
        "bedrock_invoke" => Dialect::BedrockInvoke,
        "cohere_chat" => Dialect::CohereChat,
        "cohere_embed" => Dialect::CohereEmbed,
        "ollama_chat" => Dialect::OllamaChat,
        "gemini_embed" => Dialect::Gemini,
        "ollama_embed" => Dialect::OllamaEmbed,
        _ => panic!("no meter {meter}"),
    }
}

fn format(content_type: &str) -> Format {
    match content_type.split(';').next().unwrap_or_default() {
        "application/json" => Format::Json,
        "text/event-stream" => Format::EventStream,
        "application/x-ndjson" | "application/stream+json" => Format::Lines,
        "application/vnd.amazon.eventstream" => Format::AwsEventStream,
        other => panic!("no format {other}"),
    }
}

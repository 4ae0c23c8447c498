//! Where dialects that have the bounds of an answer in an object of their requests have them.

use super::RequestDialect;

/// What a dialect calls the object that has its bounds, and what is in it.
pub(super) struct Config {
    /// The object.
    pub(super) object: &'static [&'static [u8]],
    /// The bound on output tokens.
    pub(super) tokens: &'static [&'static [u8]],
    /// The number of answers.
    pub(super) answers: &'static [&'static [u8]],
    /// The same three for the client.
    pub(super) told: [&'static str; 3],
}

impl RequestDialect {
    /// What it calls them.
    pub(super) const fn config(self) -> &'static Config {
        match self {
            Self::OpenAi => &Config { object: &[], tokens: &[], answers: &[], told: [""; 3] },
            // Protocol Buffers' JSON takes names in either spelling.
            Self::Gemini => &Config {
                object: &[b"generationConfig", b"generation_config"],
                tokens: &[b"maxOutputTokens", b"max_output_tokens"],
                answers: &[b"candidateCount", b"candidate_count"],
                told: [
                    "generationConfig",
                    "generationConfig.maxOutputTokens",
                    "generationConfig.candidateCount",
                ],
            },
            Self::BedrockConverse => &Config {
                object: &[b"inferenceConfig"],
                tokens: &[b"maxTokens"],
                answers: &[],
                told: ["inferenceConfig", "inferenceConfig.maxTokens", ""],
            },
            // Titan's; Nova's.
            Self::BedrockInvoke => &Config {
                object: &[b"textGenerationConfig", b"inferenceConfig"],
                tokens: &[b"maxTokenCount", b"max_new_tokens", b"maxTokens"],
                answers: &[],
                told: ["textGenerationConfig", "maxTokenCount", ""],
            },
            Self::Ollama => &Config {
                object: &[b"options"],
                tokens: &[b"num_predict"],
                answers: &[],
                told: ["options", "options.num_predict", ""],
            },
        }
    }
}

pub(super) fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.contains(&name)
}

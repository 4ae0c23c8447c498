//! Why a request would be refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Credits, PlanUnlock};

/// `POST /v1/accounts/{account}/explain`: a request as one imagines it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The model, by its name or an alias; or a flat-price operation. Absent where the body names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "claude-sonnet")]
    pub model: Option<String>,
    /// The id of the key that it comes with; absent = one that may use everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How Envoy's route meters it; absent = as models with such prices usually are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<ExplainedOperation>,
    /// The tier of service that Envoy's route is sold in, where the filter's configuration says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "batch")]
    pub service_tier: Option<String>,
    /// Its body, as the client would send it: input tokens are reckoned by its length. Absent = the model and the
    /// parameters alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, example = json!({"model": "claude-sonnet", "max_tokens": 400, "n": 2}))]
    pub body: Option<serde_json::Map<String, serde_json::Value>>,
    /// Parameters by the catalog's names, put into the body where the catalog looks for them; other names are members
    /// of the body. Where the catalog counts items, a number stands for so many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object, example = json!({"batch": 4}))]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// What it would hold credits for, by meter, in the place of what Envoy would reckon.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"input_tokens": 1200, "output_tokens": 400}))]
    pub usage: BTreeMap<String, u64>,
}

/// How a route meters requests, in the words of the filter's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedOperation {
    /// Chat completions.
    OpenaiChat,
    /// The older completions.
    OpenaiCompletions,
    /// Responses.
    OpenaiResponses,
    /// Embeddings.
    Embeddings,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's `generateContent`.
    Gemini,
    /// Gemini's embeddings.
    GeminiEmbed,
    /// Items and processed units.
    Items,
    /// Transcripts and translations of speech.
    Transcription,
    /// Spoken text.
    Speech,
    /// Moderations.
    Moderation,
    /// Rerankers.
    Rerank,
    /// Amazon Bedrock's `Converse`.
    BedrockConverse,
    /// Amazon Bedrock's `InvokeModel`.
    BedrockInvoke,
    /// Cohere's chat.
    CohereChat,
    /// Cohere's embeddings.
    CohereEmbed,
    /// Ollama's chat and generate.
    OllamaChat,
    /// Ollama's embeddings.
    OllamaEmbed,
    /// A flat price; the body is not read.
    Flat,
}

/// What would become of it at this moment, seen from the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The account.
    pub account: String,
    /// Its plan.
    pub plan: String,
    /// Whether the request would be forwarded, its rates apart.
    pub allowed: bool,
    /// False: shadow mode, it would be forwarded even so.
    pub enforced: bool,
    /// The first thing that refuses it, in the words that the client would read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refused>,
    /// What it would be charged as; absent where it is refused whatever there is to pay for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_as: Option<String>,
    /// So much it would hold instead of what it needs: the last of what is there, for one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clipped_to: Option<Credits>,
    /// What it would take of each bucket, and what is there.
    pub buckets: Vec<ExplainedBucket>,
    /// The rates that it would have to pass as well: how many tokens are left is the Envoys' to know.
    pub rates: Vec<ExplainedRate>,
}

/// A refusal, as Envoy would answer it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// The status.
    #[schema(example = 402)]
    pub status: u32,
    /// For programs.
    #[schema(example = "plan_required")]
    pub code: String,
    /// For people.
    pub detail: String,
    /// What refuses: `key`, `gate`, `request`, `limit`, `pool`, `in_flight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_source: Option<String>,
    /// The limit, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What it would hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// What can be had of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<String>,
    /// Output tokens that this pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affordable_tokens: Option<u64>,
    /// When waiting would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
    /// Plans that would help, cheapest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocks: Vec<PlanUnlock>,
    /// Where to buy credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_up_url: Option<String>,
    /// Whom to ask, where no public plan helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_url: Option<String>,
}

/// What a request takes of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedBucket {
    /// The bucket.
    #[schema(example = "credits")]
    pub bucket: String,
    /// What it is counted in: an asset, a meter, or US dollars of cost.
    #[schema(example = "credits")]
    pub unit: String,
    /// What it would take.
    pub required: Credits,
    /// What can be taken, leases that lie idle included; absent = as much as is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<Credits>,
    /// Whether that is enough.
    pub enough: bool,
}

/// A rate that a request would have to pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedRate {
    /// Its id.
    pub id: String,
    /// What it counts.
    pub meter: String,
    /// So many …
    pub amount: u64,
    /// … in so many milliseconds.
    pub per_ms: u64,
    /// So many at once after a rest.
    pub burst: u64,
}

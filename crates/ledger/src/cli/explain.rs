//! `bursar explain`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::input;
use super::print::{self, Table, or_dash};
use crate::dto::{ExplainRequest, ExplainedOperation, Explanation, Refused};

/// The largest body that is read: no larger one is explained.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// Tell why a request would be refused, in the words that its client would read.
///
/// Looks at key, standing, model, plan, request limits, caps and credits, as Envoy does; changes nothing. Rates are
/// named, not counted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar explain acme --model claude-opus\n  \
    bursar explain acme --model flux-dev --param batch=8 --key key_4Kd0fYz2QxT7\n  \
    bursar explain acme --model claude-sonnet --use input_tokens=120000 --use output_tokens=4000\n  \
    bursar explain acme --body request.json")]
pub struct Explain {
    /// The account
    account: String,
    /// The model, by its name or an alias [default: the body's]
    #[arg(long, required_unless_present = "body")]
    model: Option<String>,
    /// The id of the key that the request comes with [default: one that may use everything]
    #[arg(long)]
    key: Option<String>,
    /// How Envoy's route meters it: openai_chat, openai_completions, openai_responses, embeddings, anthropic_messages,
    /// gemini, gemini_embed, items, transcription, speech, moderation, rerank, bedrock_converse, bedrock_invoke, cohere_chat,
    /// cohere_embed, ollama_chat, ollama_embed or flat [default: as models with such prices usually are]
    #[arg(long, value_parser = operation, value_name = "OPERATION")]
    operation: Option<ExplainedOperation>,
    /// The tier of service that Envoy's route is sold in [default: none, the model's own price]
    #[arg(long, value_name = "TIER")]
    service_tier: Option<String>,
    /// A file with the request's body, - = standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A parameter by the catalog's name; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, Value)>,
    /// What it uses of a meter; may be repeated
    #[arg(long = "use", value_name = "METER=COUNT", value_parser = count)]
    usage: Vec<(String, u64)>,
    #[command(flatten)]
    client: ClientArgs,
}

// === impl Explain ===

impl Explain {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let Self { account, model, key, operation, service_tier, body, parameters, usage, client } = self;
        let (parameters, usage) = (parameters.into_iter().collect(), usage.into_iter().collect());
        let body = body.map(|path| read_body(&path)).transpose()?;
        let body = ExplainRequest { model, key, operation, service_tier, body, parameters, usage };
        let path = format!("/v1/accounts/{}/explain", segment(&account));
        let answer: Answer<Explanation> = client.client()?.post(&path, &body)?;
        if client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let told = answer.value;
        let mut text = verdict(&told);
        let mut buckets = Table::new(&["bucket", "of", ">required", ">available", "enough"]);
        for bucket in told.buckets {
            let enough = if bucket.enough { "yes" } else { "no" }.to_owned();
            buckets.row([
                bucket.bucket,
                bucket.unit,
                bucket.required.to_string(),
                or_dash(bucket.available),
                enough,
            ]);
        }
        text.push_str(&buckets.text("takes of no bucket"));
        let mut rates = Table::new(&["rate", "counts", ">amount", ">per ms", ">at once"]);
        for rate in told.rates {
            rates.row([
                rate.id,
                rate.meter,
                rate.amount.to_string(),
                rate.per_ms.to_string(),
                rate.burst.to_string(),
            ]);
        }
        text.push_str(&rates.text("no rate"));
        print::out(&text)
    }
}

/// What becomes of it, in words.
fn verdict(told: &Explanation) -> String {
    let charged = told.charged_as.iter().map(|name| format!("charged as {name}\n")).collect::<String>();
    let Some(refusal) = &told.refusal else {
        let clip = told.clipped_to.map(|hold| format!(", on a hold of {hold}: the last there is"));
        return format!("forwarded{}, unless a rate refuses it\n{charged}", clip.unwrap_or_default());
    };
    let shadow = if told.enforced { "" } else { " (shadow mode: forwarded even so)" };
    let plans: Vec<&str> = refusal.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
    let plans = if plans.is_empty() { String::new() } else { format!("plans: {}\n", plans.join(", ")) };
    let contact = refusal.contact_url.iter().map(|url| format!("contact: {url}\n")).collect::<String>();
    let Refused { status, code, detail, .. } = refusal;
    format!("refused{shadow}: {status} {code}: {detail}\n{plans}{contact}{charged}")
}

fn read_body(path: &Path) -> Outcome<Map<String, Value>> {
    let text = input::text(path, BODY_BYTES_MAX)?;
    serde_json::from_str(&text).map_err(|error| input::wrong(path, &error))
}

const OPERATIONS: &str = "one of openai_chat, openai_completions, openai_responses, embeddings, anthropic_messages, gemini, gemini_embed, items, transcription, speech, moderation, rerank, bedrock_converse, bedrock_invoke, cohere_chat, cohere_embed, ollama_chat, ollama_embed, flat";

fn operation(text: &str) -> Result<ExplainedOperation, String> {
    serde_json::from_value(text.into()).map_err(|_| OPERATIONS.to_owned())
}

fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "expected NAME=VALUE".to_owned())?;
    // A number is one, anything else a text.
    let value = value.parse::<u64>().map_or_else(|_| value.into(), Into::into);
    Ok((name.to_owned(), value))
}

fn count(text: &str) -> Result<(String, u64), String> {
    let (name, count) = text.split_once('=').ok_or_else(|| "expected METER=COUNT".to_owned())?;
    Ok((name.to_owned(), count.parse().map_err(|_| format!("`{count}` is no count"))?))
}

//! `bursar explain`.

use std::collections::BTreeMap;

use clap::Args;

use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, or_dash};
use crate::dto::{ExplainRequest, Explanation};

/// Tell why a request would be refused, in the words that its client would read.
///
/// Looks at key, standing, model, plan, request limits, caps and credits, as Envoy does; changes nothing. Rates are
/// named, not counted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar explain acme --model claude-opus\n  \
    bursar explain acme --model flux-dev --param batch=8 --key key_4Kd0fYz2QxT7\n  \
    bursar explain acme --model claude-sonnet --use input_tokens=120000 --use output_tokens=4000")]
pub struct Explain {
    /// The account
    account: String,
    /// The model, by its name or an alias
    #[arg(long)]
    model: String,
    /// The id of the key that the request comes with [default: one that may use everything]
    #[arg(long)]
    key: Option<String>,
    /// A parameter that the catalog knows; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, serde_json::Value)>,
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
        let Self { account, model, key, parameters, usage, client } = self;
        let parameters: BTreeMap<_, _> = parameters.into_iter().collect();
        let body = ExplainRequest { model, key, parameters, usage: usage.into_iter().collect() };
        let path = format!("/v1/accounts/{}/explain", segment(&account));
        let answer: Answer<Explanation> = client.client()?.post(&path, &body)?;
        if client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let told = answer.value;
        let mut text = match &told.refusal {
            None => "forwarded, unless a rate refuses it\n".to_owned(),
            Some(refusal) => {
                let shadow = if told.enforced { "" } else { " (shadow mode: forwarded even so)" };
                let plans: Vec<&str> = refusal.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
                let plans =
                    if plans.is_empty() { String::new() } else { format!("plans: {}\n", plans.join(", ")) };
                format!("refused{shadow}: {} {}: {}\n{plans}", refusal.status, refusal.code, refusal.detail)
            }
        };
        let mut buckets = Table::new(&["bucket", ">required", ">available", "enough"]);
        for bucket in told.buckets {
            let enough = if bucket.enough { "yes" } else { "no" }.to_owned();
            buckets.row([bucket.bucket, bucket.required.to_string(), or_dash(bucket.available), enough]);
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

fn parameter(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "expected NAME=VALUE".to_owned())?;
    // A number is one, anything else a text.
    let value = value.parse::<u64>().map_or_else(|_| value.into(), Into::into);
    Ok((name.to_owned(), value))
}

fn count(text: &str) -> Result<(String, u64), String> {
    let (name, count) = text.split_once('=').ok_or_else(|| "expected METER=COUNT".to_owned())?;
    Ok((name.to_owned(), count.parse().map_err(|_| format!("`{count}` is no count"))?))
}

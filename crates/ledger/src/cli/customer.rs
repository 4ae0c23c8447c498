//! `bursar customer`: what a customer sees and does with its own API key, for support and for trying a gateway.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::client::{Answer, Client};
use super::failure::{Failure, Outcome};
use super::plan;
use super::print::{self, Table, facts, or_dash};
use crate::config::read_token_file;
use crate::dto::{Billing, Cap, Checkout, OwnChange, PlanChange, Portal, PublicPlan};

/// See and do what a customer can, with its own API key: through the gateway, or at the ledger.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  BURSAR_API_KEY=bsr_… bursar customer billing --gateway https://api.example\n  \
    bursar customer change-plan pro --cadence yearly --api-key-file key.txt"
)]
pub enum Customer {
    /// Show plan, usage, limits and renewal
    Billing {
        #[command(flatten)]
        own: OwnArgs,
    },
    /// List the plans that anyone may choose
    Plans {
        #[command(flatten)]
        own: OwnArgs,
    },
    /// Change the plan, where a payment method is registered or nothing is to pay
    ChangePlan {
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        own: OwnArgs,
    },
    /// Begin a change of plan that comes with its payment, and show where to pay
    Checkout {
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        own: OwnArgs,
    },
    /// Show where payment methods and invoices are looked after
    Portal {
        #[command(flatten)]
        own: OwnArgs,
    },
}

/// Where customers call, and whose key it is.
#[derive(Debug, Args)]
pub struct OwnArgs {
    /// The address that routes /manage/v1: the gateway's, or the ledger's
    #[arg(long, env = "BURSAR_GATEWAY", value_name = "URL", default_value = "http://127.0.0.1:8700")]
    gateway: String,
    /// A file whose first line is the API key [default: the variable BURSAR_API_KEY]
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,
}

/// The plan to go to.
#[derive(Debug, Args)]
pub struct Wish {
    /// The plan: a public one
    plan: String,
    /// The way to take it [default: the plan's own]
    #[arg(long)]
    cadence: Option<String>,
    /// A coupon
    #[arg(long)]
    coupon: Option<String>,
}

#[derive(Deserialize)]
struct Plans {
    data: Vec<PublicPlan>,
}

/// The variable with the API key: not a flag, which every user of the machine could read.
const KEY_VARIABLE: &str = "BURSAR_API_KEY";

// === impl OwnArgs ===

impl OwnArgs {
    fn client(&self) -> Outcome<Client> {
        let key = match &self.api_key_file {
            Some(path) => read_token_file(path)?,
            None => std::env::var(KEY_VARIABLE).map_err(|_| {
                Failure::BadInput("bursar: no API key: set BURSAR_API_KEY, or give --api-key-file".to_owned())
            })?,
        };
        Client::new("--gateway", &self.gateway, key)
    }
}

// === impl Wish ===

impl From<Wish> for OwnChange {
    fn from(Wish { plan, cadence, coupon }: Wish) -> Self {
        Self { plan, cadence, coupon }
    }
}

// === impl Customer ===

impl Customer {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Billing { own } => {
                let answer: Answer<Billing> = own.client()?.get("/manage/v1/billing")?;
                print_or(&own, &answer.json, || billing(answer.value))
            }
            Self::Plans { own } => {
                let answer: Answer<Plans> = own.client()?.get("/manage/v1/plans")?;
                print_or(&own, &answer.json, || plans(answer.value.data))
            }
            Self::ChangePlan { wish, own } => {
                let path = "/manage/v1/billing/change-plan";
                let answer: Answer<PlanChange> = own.client()?.post(path, &OwnChange::from(wish))?;
                print_or(&own, &answer.json, || plan::change_text(answer.value))
            }
            Self::Checkout { wish, own } => {
                let path = "/manage/v1/billing/checkout";
                let answer: Answer<Checkout> = own.client()?.post(path, &OwnChange::from(wish))?;
                print_or(&own, &answer.json, || checkout(answer.value))
            }
            Self::Portal { own } => {
                let path = "/manage/v1/billing/portal";
                let answer: Answer<Portal> = own.client()?.post(path, &serde_json::json!({}))?;
                print_or(&own, &answer.json, || format!("{}\n", answer.value.url))
            }
        }
    }
}

fn print_or(own: &OwnArgs, json: &str, text: impl FnOnce() -> String) -> Outcome {
    if own.json { print::out(&format!("{json}\n")) } else { print::out(&text()) }
}

fn billing(billing: Billing) -> String {
    let price = billing.price_usd.map_or_else(|| "on request".to_owned(), |usd| format!("{usd} USD"));
    let period = billing.period.map(|period| format!("{} to {}", period.from, period.to));
    let scheduled = billing.scheduled.map(|next| next.plan);
    let mut text = facts(&[
        ("account", billing.account),
        ("plan", format!("{}, {}", billing.plan, billing.cadence)),
        ("status", billing.status.as_str().to_owned()),
        ("price", price),
        ("period", or_dash(period)),
        ("renews", or_dash(billing.renews_at)),
        ("scheduled", or_dash(scheduled)),
        ("available", billing.available.to_string()),
        ("owed", billing.owed.to_string()),
    ]);
    let unlimited = || "unlimited".to_owned();
    let mut meters = Table::new(&["limit", ">used", ">max", "resets"]);
    for meter in billing.meters {
        let max = meter.max.unwrap_or_else(unlimited);
        meters.row([meter.name, meter.used, max, or_dash(meter.resets_at)]);
    }
    let mut kept = Table::new(&["kept", ">count", ">max"]);
    for resource in billing.resources {
        let max = resource.max.map_or_else(unlimited, |max| max.to_string());
        kept.row([resource.name, resource.count.to_string(), max]);
    }
    text.push_str(&format!("\n{}\n{}", meters.text("no limits"), kept.text("nothing is kept")));
    text
}

fn plans(plans: Vec<PublicPlan>) -> String {
    let mut table = Table::new(&["plan", "title", "cadences", "features", "limits", "kept"]);
    let caps = |caps: Vec<Cap>| {
        let cap = |cap: Cap| format!("{} {}", cap.name, cap.max.unwrap_or_else(|| "unlimited".to_owned()));
        dash(caps.into_iter().map(cap).collect())
    };
    for plan in plans {
        let cadences = plan.cadences.into_iter().map(|cadence| {
            let price = cadence.price_usd.map_or_else(|| "on request".to_owned(), |usd| format!("{usd} USD"));
            format!("{} {price}", cadence.name)
        });
        let cadences = dash(cadences.collect());
        let (limits, kept) = (caps(plan.limits), caps(plan.resources));
        table.row([plan.name, plan.title, cadences, dash(plan.features), limits, kept]);
    }
    table.text("no public plans")
}

fn checkout(checkout: Checkout) -> String {
    facts(&[
        ("change", checkout.change),
        ("plan", checkout.plan),
        ("to pay", checkout.amount_usd.map_or_else(|| "on request".to_owned(), |usd| format!("{usd} USD"))),
        ("where", or_dash(checkout.url)),
    ])
}

fn dash(parts: Vec<String>) -> String {
    or_dash((!parts.is_empty()).then(|| parts.join(", ")))
}

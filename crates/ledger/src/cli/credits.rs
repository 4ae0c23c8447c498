//! `bursar grant`, `bursar balance`, `bursar entries`, `bursar usage`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tariff::Micros;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::failure::{Failure, Outcome};
use super::print::{self, Table, facts, or_dash};
use crate::dto;

/// Grant credits to an account.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  bursar grant acme --pool topup --amount 50 --reference payment-7431\n\n\
    The same reference with the same content changes nothing: a repeated call is safe.")]
pub struct Grant {
    /// The account
    account: String,
    /// The pool in the catalog
    #[arg(long)]
    pool: String,
    /// How many credits, as a decimal with up to six digits after the point
    #[arg(long, value_name = "CREDITS")]
    amount: String,
    /// Yours, for example the payment's id; unique within the account for ever
    #[arg(long, value_name = "REF")]
    reference: String,
    /// When the credits end (RFC 3339) [default: as the pool says]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Show what an account has.
#[derive(Debug, Args)]
pub struct Balance {
    /// The account
    account: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Show an account's journal, latest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bursar entries acme\n  bursar entries acme --limit 1000 --json | jq '.data[] | .amount'"
)]
pub struct Entries {
    /// The account
    account: String,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

/// Sum up what an account used.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  bursar usage acme --by day --from 2026-11-01T00:00:00Z")]
pub struct Usage {
    /// The account
    account: String,
    /// What to group by
    #[arg(long, value_enum, default_value = "model")]
    by: By,
    /// The first instant (RFC 3339) [default: 30 days before the last]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// The first instant after it [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// The model or operation
    Model,
    /// The key
    Key,
    /// The UTC day
    Day,
}

// === impl Grant ===

impl Grant {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let amount = Micros::parse(&self.amount).map(dto::Credits).map_err(|error| {
            Failure::BadInput(format!("bursar: --amount `{}`: {error}", print::printable(&self.amount)))
        })?;
        let Self { account, pool, reference, expires_at, client, .. } = self;
        let body = dto::Grant { pool, amount, expires_at, reference };
        let path = format!("/v1/accounts/{}/grants", segment(&account));
        let answer: Answer<dto::Lot> = client.client()?.post(&path, &body)?;
        if client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let lot = answer.value;
        print::out(&facts(&[
            ("lot", lot.id),
            ("pool", lot.pool),
            ("amount", lot.amount.to_string()),
            ("available", lot.available.to_string()),
            ("expires", or_dash(lot.expires_at)),
            ("reference", lot.reference),
        ]))
    }
}

// === impl Balance ===

impl Balance {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = format!("/v1/accounts/{}/balance", segment(&self.account));
        let answer: Answer<dto::Balance> = self.client.client()?.get(&path)?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let balance = answer.value;
        let mut text = facts(&[
            ("available", balance.available.to_string()),
            ("leased", balance.leased.to_string()),
            ("in flight", balance.in_flight.to_string()),
            ("debt", balance.debt.to_string()),
        ]);
        let mut lots = Table::new(&["pool", "lot", ">granted", ">available", "expires"]);
        for pool in &balance.pools {
            for lot in &pool.lots {
                let (granted, available) = (lot.amount.to_string(), lot.available.to_string());
                lots.row([pool.pool.clone(), lot.id.clone(), granted, available, or_dash(lot.expires_at)]);
            }
        }
        text.push('\n');
        text.push_str(&lots.text("no credits in any pool"));
        if !balance.limits.is_empty() {
            let mut limits = Table::new(&["limit", "window", ">used", ">max", "resets"]);
            for limit in balance.limits {
                let (max, resets) = (or_dash(limit.max), or_dash(limit.resets_at));
                limits.row([limit.meter, limit.window, limit.used, max, resets]);
            }
            text.push('\n');
            text.push_str(&limits.text(""));
        }
        print::out(&text)
    }
}

// === impl Entries ===

impl Entries {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = format!("/v1/accounts/{}/entries", segment(&self.account));
        let page = pages::<dto::Entry>(&self.client.client()?, &path, self.limit)?;
        if self.client.json {
            return print::json(&page);
        }
        let mut table =
            Table::new(&[">id", "time", "kind", ">amount", "key", "model", "usage", "source", "request"]);
        for entry in &page.data {
            table.row([
                entry.id.clone(),
                entry.time.to_string(),
                kind_text(entry.kind).to_owned(),
                entry.amount.to_string(),
                or_dash(entry.key.clone()),
                or_dash(
                    entry.model.clone().or_else(|| entry.reference.clone()).or_else(|| entry.reason.clone()),
                ),
                usage_text(&entry.usage),
                or_dash(entry.usage_source.clone()),
                or_dash(entry.request_id.clone()),
            ]);
        }
        print::out(&table.text("no entries"))?;
        print::more(page.has_more)
    }
}

// === impl Usage ===

impl Usage {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let by = match self.by {
            By::Model => "model",
            By::Key => "key",
            By::Day => "day",
        };
        let mut path = format!("/v1/accounts/{}/usage?by={by}", segment(&self.account));
        for (name, time) in [("from", self.from), ("to", self.to)] {
            if let Some(time) = time {
                path.push_str(&format!("&{name}={}", segment(&time.to_string())));
            }
        }
        let answer: Answer<dto::UsageReport> = self.client.client()?.get(&path)?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let mut table = Table::new(&[by, ">requests", ">amount", "usage"]);
        for group in answer.value.data {
            let (requests, amount) = (group.requests.to_string(), group.amount.to_string());
            table.row([group.group, requests, amount, usage_text(&group.usage)]);
        }
        print::out(&table.text("nothing used"))
    }
}

fn usage_text(usage: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = usage.iter().map(|(meter, count)| format!("{meter}={count}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(" ") }
}

const fn kind_text(kind: dto::EntryKind) -> &'static str {
    match kind {
        dto::EntryKind::Opened => "opened",
        dto::EntryKind::Grant => "grant",
        dto::EntryKind::Charge => "charge",
        dto::EntryKind::Expiry => "expiry",
        dto::EntryKind::Void => "void",
        dto::EntryKind::Plan => "plan",
        dto::EntryKind::Status => "status",
        dto::EntryKind::Adjustment => "adjustment",
        dto::EntryKind::Reversal => "reversal",
        dto::EntryKind::Extension => "extension",
        dto::EntryKind::Payment => "payment",
    }
}

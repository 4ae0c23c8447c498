//! `bursar grant`, `bursar balance`, `bursar usage`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tariff::Micros;

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

/// Show what an account has, or had.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar balance acme\n  bursar balance acme --at 2026-11-01T00:00:00Z")]
pub struct Balance {
    /// The account
    account: String,
    /// What the journal says it had at this instant (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
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
        let at = self.at.map(|at| format!("?at={}", segment(&at.to_string()))).unwrap_or_default();
        let path = format!("/v1/accounts/{}/balance{at}", segment(&self.account));
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
        for own in &balance.assets {
            let dto::AssetBalance { asset, available, in_flight, debt, .. } = own;
            text.push_str(&format!("{asset}: {available} available, {in_flight} in flight, {debt} debt\n"));
        }
        let mut lots = Table::new(&["pool", "of", "lot", ">granted", ">available", "expires"]);
        let mut lost = String::new();
        for pool in &balance.pools {
            for lot in &pool.lots {
                let (granted, available) = (lot.amount.to_string(), lot.available.to_string());
                let (name, asset) = (pool.pool.clone(), pool.asset.clone());
                lots.row([name, asset, lot.id.clone(), granted, available, or_dash(lot.expires_at)]);
            }
            if let Some(dto::Rollover { at, max, loses }) = pool.rollover {
                let pool = &pool.pool;
                lost.push_str(&format!("{pool} carries {max} over on {at}: {loses} of it would be lost\n"));
            }
        }
        text.push('\n');
        text.push_str(&lots.text("no credits in any pool"));
        text.push_str(&lost);
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

pub fn usage_text(usage: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = usage.iter().map(|(meter, count)| format!("{meter}={count}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(" ") }
}

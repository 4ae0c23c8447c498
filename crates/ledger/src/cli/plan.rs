//! `bursar plan` and `bursar plans`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Deserialize;

use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{PaymentName, Plan as Shown, PlanChange, PlanChangeRequest, SwitchTime};

/// Switch an account's plan, or show what that would do.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar plan acme pro --preview\n  bursar plan acme pro\n  \
    bursar plan acme starter --when period-end")]
pub struct Plan {
    /// The account
    account: String,
    /// The plan to go to
    plan: String,
    /// The way to take it (`yearly`) [default: the plan's own]
    #[arg(long)]
    cadence: Option<String>,
    /// From when billing periods are counted (RFC 3339) [default: from the switch]
    #[arg(long, value_name = "TIME")]
    anchor: Option<Timestamp>,
    /// The IANA zone of the account's days from then on [default: as it is]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// When [default: as the catalog says for this step up or down]
    #[arg(long, value_enum)]
    when: Option<When>,
    /// The coupon that the customer entered
    #[arg(long, value_name = "CODE")]
    coupon: Option<String>,
    /// What was paid for it already, where it takes effect at once
    #[arg(long, value_name = "PROVIDER/REF", value_parser = payment_name)]
    paid: Option<PaymentName>,
    /// Change nothing, show what would happen
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// At once
    Now,
    /// When the billing period that now runs ends
    PeriodEnd,
    /// When its payment is confirmed
    PaymentConfirmed,
}

/// List the plans of the catalog in force.
#[derive(Debug, Args)]
pub struct Plans {
    #[command(flatten)]
    client: ClientArgs,
}

// === impl Plan ===

impl Plan {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let when = self.when.map(|when| match when {
            When::Now => SwitchTime::Now,
            When::PeriodEnd => SwitchTime::PeriodEnd,
            When::PaymentConfirmed => SwitchTime::PaymentConfirmed,
        });
        let query = if self.preview { "?preview=true" } else { "" };
        let path = format!("/v1/accounts/{}/plan{query}", segment(&self.account));
        let body = PlanChangeRequest {
            plan: self.plan,
            cadence: self.cadence,
            anchor: self.anchor,
            time_zone: self.time_zone,
            when,
            coupon: self.coupon,
            payment: self.paid,
        };
        let answer: Answer<PlanChange> = self.client.client()?.post(&path, &body)?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let preview = answer.value.preview;
        print::out(&change_text(answer.value))?;
        if preview { print::note("Nothing has changed: this was a preview.") } else { Ok(()) }
    }
}

/// What a change of plan does, in words.
pub fn change_text(change: PlanChange) -> String {
    let granted = change.granted.iter().map(|lot| format!("{} {} to {}", lot.amount, lot.asset, lot.pool));
    let voided = change.voided.iter().map(|lot| format!("{} {} of {}", lot.available, lot.asset, lot.pool));
    let listed = |parts: Vec<String>| or_dash((!parts.is_empty()).then(|| parts.join(", ")));
    let (granted, voided) = (listed(granted.collect()), listed(voided.collect()));
    facts(&[
        ("account", change.account),
        ("from", change.from),
        ("to", change.to),
        ("cadence", change.cadence),
        ("at", change.at.map_or_else(|| "once it is paid".to_owned(), |at| at.to_string())),
        ("change", or_dash(change.change)),
        ("to pay", change.amount_usd.map_or_else(|| "on request".to_owned(), |usd| format!("{usd} USD"))),
        ("credit", or_dash(change.credit_usd.map(|usd| format!("{usd} USD")))),
        ("voided", voided),
        ("granted", granted),
    ])
}

// === impl Plans ===

#[derive(Deserialize)]
struct PlanList {
    data: Vec<Shown>,
}

impl Plans {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let answer: Answer<PlanList> = self.client.client()?.get("/v1/plans")?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let mut table = Table::new(&["plan", "price", "grants", "rates", "models"]);
        for plan in answer.value.data {
            let grant = |pool: &crate::dto::PlanPool| Some(format!("{} {}", pool.grant?, pool.pool));
            let grants: Vec<String> = plan.pools.iter().filter_map(grant).collect();
            let rates: Vec<String> = plan.rates.iter().map(|rate| rate.id.clone()).collect();
            let dash = |list: Vec<String>| or_dash((!list.is_empty()).then(|| list.join(", ")));
            table.row([plan.name, or_dash(plan.price), dash(grants), dash(rates), dash(plan.models)]);
        }
        print::out(&table.text("no plans"))
    }
}

/// A payment as the command line names it: `PROVIDER/REF`.
pub fn payment_name(text: &str) -> Result<PaymentName, String> {
    match text.split_once('/') {
        Some((provider, reference)) if !provider.is_empty() && !reference.is_empty() => {
            Ok(PaymentName { provider: provider.to_owned(), reference: reference.to_owned() })
        }
        _ => Err("expected PROVIDER/REF, such as creem/pay_9Yh2".to_owned()),
    }
}

//! `bursar plan` and `bursar plans`.

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{Plan as Shown, PlanChange, PlanChangeRequest, SwitchTime};

/// Switch an account's plan, or show what that would do.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar plan acme pro --preview\n  bursar plan acme pro\n  \
    bursar plan acme starter --when period-end")]
pub struct Plan {
    /// The account
    account: String,
    /// The plan to go to
    plan: String,
    /// When [default: as the catalog says for this step up or down]
    #[arg(long, value_enum)]
    when: Option<When>,
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
        });
        let query = if self.preview { "?preview=true" } else { "" };
        let path = format!("/v1/accounts/{}/plan{query}", segment(&self.account));
        let body = PlanChangeRequest { plan: self.plan, when };
        let answer: Answer<PlanChange> = self.client.client()?.post(&path, &body)?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let change = answer.value;
        let granted: Vec<String> =
            change.granted.iter().map(|lot| format!("{} to {}", lot.amount, lot.pool)).collect();
        print::out(&facts(&[
            ("account", change.account),
            ("from", change.from),
            ("to", change.to),
            ("at", change.at.to_string()),
            ("voided", change.voided.to_string()),
            ("granted", if granted.is_empty() { "-".to_owned() } else { granted.join(", ") }),
        ]))?;
        if change.preview { print::note("Nothing has changed: this was a preview.") } else { Ok(()) }
    }
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

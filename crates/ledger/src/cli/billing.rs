//! `bursar change`, `bursar cancel`, `bursar renew`: what becomes of an account's plan.

use clap::{Args, Subcommand};

use super::account::show;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::plan::payment_name;
use super::print::{self, facts, or_dash};
use super::purchase::usd;
use crate::dto::{
    Account, Cancellation, ChangeConfirmation, ChangeFailure, PaymentName, RenewalPayment, ScheduledPlan, Usd,
};

/// Show, confirm, fail or take back a change of plan that waits.
#[derive(Debug, Subcommand)]
pub enum Change {
    /// Show the change that waits
    Show {
        /// The account
        account: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Bring the change: its payment was confirmed
    #[command(after_help = "Example:\n  bursar change confirm acme 184 --payment creem/pay_9Yh2")]
    Confirm {
        /// The account
        account: String,
        /// The change, as `bursar change show` names it
        change: String,
        /// The payment
        #[arg(long, value_name = "PROVIDER/REF", value_parser = payment_name)]
        payment: PaymentName,
        /// What was paid [default: what the change asks for]
        #[arg(long, value_name = "USD", value_parser = usd)]
        amount: Option<Usd>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Drop the change: its payment failed
    Fail {
        /// The account
        account: String,
        /// The change
        change: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take the change back, whichever waits
    TakeBack {
        /// The account
        account: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// End an account's plan with its billing period.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The account
    account: String,
    /// The plan to follow [default: the one below all tiers, else the first that costs nothing]
    #[arg(long, value_name = "PLAN")]
    to: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Begin the billing period that waits for its payment.
#[derive(Debug, Args)]
pub struct Renew {
    /// The account
    account: String,
    /// The payment
    #[arg(long, value_name = "PROVIDER/REF", value_parser = payment_name)]
    payment: PaymentName,
    /// What was paid [default: the plan's price]
    #[arg(long, value_name = "USD", value_parser = usd)]
    amount: Option<Usd>,
    #[command(flatten)]
    client: ClientArgs,
}

// === impl Change ===

impl Change {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Show { account, client } => show_change(&account, &client),
            Self::Confirm {
                account,
                change,
                payment: PaymentName { provider, reference },
                amount,
                client,
            } => {
                let body = ChangeConfirmation { change, provider, reference, amount_usd: amount };
                let path = format!("/v1/accounts/{}/plan/change/confirm", segment(&account));
                show(&client.client()?.post(&path, &body)?, client.json)
            }
            Self::Fail { account, change, client } => {
                let path = format!("/v1/accounts/{}/plan/change/fail", segment(&account));
                show(&client.client()?.post(&path, &ChangeFailure { change })?, client.json)
            }
            Self::TakeBack { account, client } => {
                let path = format!("/v1/accounts/{}/plan/change", segment(&account));
                let answer: Answer<Account> = client.client()?.delete(&path)?;
                show(&answer, client.json)
            }
        }
    }
}

fn show_change(account: &str, args: &ClientArgs) -> Outcome {
    let path = format!("/v1/accounts/{}/plan/change", segment(account));
    let answer: Answer<ScheduledPlan> = args.client()?.get(&path)?;
    if args.json {
        return print::out(&format!("{}\n", answer.json));
    }
    let change = answer.value;
    print::out(&facts(&[
        ("change", change.change),
        ("plan", change.plan),
        ("cadence", or_dash(change.cadence)),
        ("at", change.at.map_or_else(|| "once it is paid".to_owned(), |at| at.to_string())),
        ("to pay", or_dash(change.amount_usd.map(|usd| format!("{usd} USD")))),
        ("coupon", or_dash(change.coupon)),
    ]))
}

// === impl Cancel ===

impl Cancel {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = format!("/v1/accounts/{}/plan/cancel", segment(&self.account));
        show(&self.client.client()?.post(&path, &Cancellation { to: self.to })?, self.client.json)
    }
}

// === impl Renew ===

impl Renew {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let PaymentName { provider, reference } = self.payment;
        let body = RenewalPayment { provider, reference, amount_usd: self.amount };
        let path = format!("/v1/accounts/{}/renew", segment(&self.account));
        show(&self.client.client()?.post(&path, &body)?, self.client.json)
    }
}

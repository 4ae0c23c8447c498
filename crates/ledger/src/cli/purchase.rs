//! `bursar purchase`, `bursar recharge`, `bursar receivable`, `bursar resource`, `bursar quote`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;
use tariff::Micros;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::plan::payment_name;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{
    PaymentName, Purchase as Bought, PurchaseRequest, Quote as Priced, QuoteRequest, Receivable as Owed,
    Recharge as Schedule, RechargeRequest, Refund, RefundRequest, Resource as Kept, ResourceChange,
    Settlement, Usd,
};

/// Preview, confirm and give back purchases of credits.
#[derive(Debug, Subcommand)]
pub enum Purchase {
    /// Show what a purchase would bring: credits, bonus, plan
    Preview {
        /// The account
        account: String,
        /// What would be paid
        #[arg(long, value_name = "USD", value_parser = usd)]
        amount: Usd,
        /// The cadence of the commitment [default: the account's]
        #[arg(long)]
        cadence: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a confirmed payment for credits in
    #[command(
        after_help = "Example:\n  bursar purchase confirm acme --amount 500 --payment creem/pay_9Yh2 --consent\n\n\
        The same payment again changes nothing: a repeated call is safe."
    )]
    Confirm {
        /// The account
        account: String,
        /// What was paid
        #[arg(long, value_name = "USD", value_parser = usd)]
        amount: Usd,
        /// The payment
        #[arg(long, value_name = "PROVIDER/REF", value_parser = payment_name)]
        payment: PaymentName,
        /// The cadence of the commitment [default: the account's]
        #[arg(long)]
        cadence: Option<String>,
        /// The customer agreed to the refund policy
        #[arg(long)]
        consent: bool,
        /// The request of the schedule that it pays
        #[arg(long)]
        request: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Give a purchase back: its payment and its credits
    Refund {
        /// The account
        account: String,
        /// The payment
        #[arg(long, value_name = "PROVIDER/REF", value_parser = payment_name)]
        payment: PaymentName,
        /// The provider's name for the refund
        #[arg(long, value_name = "REF", required_unless_present = "preview")]
        reference: Option<String>,
        /// Only show what would be given back, or why it cannot be
        #[arg(long)]
        preview: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Show, set and end an account's schedule of purchases.
#[derive(Debug, Subcommand)]
pub enum Recharge {
    /// Show the schedule, and what waits to be paid
    Show {
        /// The account
        account: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Ask for a purchase again and again
    #[command(
        after_help = "Example:\n  bursar recharge set acme --amount 100 --every P1M --from 2027-01-31T00:00:00Z"
    )]
    Set {
        /// The account
        account: String,
        /// What each is for
        #[arg(long, value_name = "USD", value_parser = usd)]
        amount: Usd,
        /// How often, as an ISO 8601 duration that the catalog offers
        #[arg(long, value_name = "PERIOD", value_parser = tariff::Period::parse)]
        every: tariff::Period,
        /// The first one's instant (RFC 3339) [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// End the schedule; what was bought stays
    End {
        /// The account
        account: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// List and settle what accounts used beyond their credits.
#[derive(Debug, Subcommand)]
pub enum Receivable {
    /// List the accounts that owe
    List {
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take a payment in
    Settle {
        /// The account
        account: String,
        /// What was paid
        #[arg(long, value_name = "USD", value_parser = usd)]
        amount: Usd,
        /// The payment
        #[arg(long, value_name = "PROVIDER/REF", value_parser = payment_name)]
        payment: PaymentName,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Count what is kept: projects, credentials.
#[derive(Debug, Subcommand)]
pub enum Resource {
    /// List how many there are, and may be
    List {
        /// The account
        account: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Say how many there are, whatever the cap
    Set(ResourceArgs),
    /// Make so many; refused above the plan's cap
    Add(ResourceArgs),
    /// So many are gone
    Remove(ResourceArgs),
}

/// One kind of things, and how many.
#[derive(Debug, Args)]
pub struct ResourceArgs {
    /// The account
    account: String,
    /// What is kept, as the catalog names it
    name: String,
    /// How many
    #[arg(default_value_t = 1)]
    count: u64,
    #[command(flatten)]
    client: ClientArgs,
}

/// Show what a usage would cost.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  bursar quote --plan starter claude-sonnet-4.5 input_tokens=100000 output_tokens=20000"
)]
pub struct Quote {
    /// The plan [default: the account's]
    #[arg(long)]
    plan: Option<String>,
    /// The account, with its own terms
    #[arg(long, required_unless_present = "plan")]
    account: Option<String>,
    /// The model, by any name that clients use
    model: String,
    /// What is used, by meter
    #[arg(value_name = "METER=COUNT", required = true, value_parser = count)]
    usage: Vec<(String, u64)>,
    #[command(flatten)]
    client: ClientArgs,
}

// === impl Purchase ===

impl Purchase {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Preview { account, amount, cadence, client } => {
                let path = format!("/v1/accounts/{}/purchases?preview=true", segment(&account));
                let request = None;
                let (provider, reference) = (None, None);
                let body = PurchaseRequest {
                    amount_usd: amount,
                    provider,
                    reference,
                    cadence,
                    consent: false,
                    request,
                };
                bought(&client.client()?.post(&path, &body)?, client.json)?;
                print::note("Nothing has changed: this was a preview.")
            }
            Self::Confirm { account, amount, payment, cadence, consent, request, client } => {
                let path = format!("/v1/accounts/{}/purchases", segment(&account));
                let (provider, reference) = (Some(payment.provider), Some(payment.reference));
                let body =
                    PurchaseRequest { amount_usd: amount, provider, reference, cadence, consent, request };
                bought(&client.client()?.post(&path, &body)?, client.json)
            }
            Self::Refund {
                account,
                payment: PaymentName { provider, reference: purchase },
                reference,
                preview,
                client,
            } => {
                let query = if preview { "?preview=true" } else { "" };
                let path = format!("/v1/accounts/{}/refunds{query}", segment(&account));
                let body = RefundRequest { provider, purchase, reference };
                let answer: Answer<Refund> = client.client()?.post(&path, &body)?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                let refund = answer.value;
                print::out(&facts(&[
                    ("account", refund.account),
                    ("payment", or_dash(refund.payment)),
                    ("given back", format!("{} USD", refund.amount_usd)),
                    ("taken back", refund.credits.to_string()),
                ]))?;
                if refund.preview { print::note("Nothing has changed: this was a preview.") } else { Ok(()) }
            }
        }
    }
}

fn bought(answer: &Answer<Bought>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let bought = &answer.value;
    let consent = if bought.needs_consent { "needed" } else { "-" };
    print::out(&facts(&[
        ("account", bought.account.clone()),
        ("payment", or_dash(bought.payment.clone())),
        ("to pay", format!("{} USD", bought.amount_usd)),
        ("credits", bought.credits.to_string()),
        ("bonus", bought.bonus.to_string()),
        ("bonus ends", or_dash(bought.bonus_expires_at.map(|end| end.to_string()))),
        ("plan", or_dash(bought.plan.clone())),
        ("consent", consent.to_owned()),
    ]))
}

// === impl Recharge ===

impl Recharge {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = |account: &str| format!("/v1/accounts/{}/recharge", segment(account));
        match self {
            Self::Show { account, client } => schedule(&client.client()?.get(&path(&account))?, client.json),
            Self::Set { account, amount, every, from, client } => {
                let body = RechargeRequest { amount_usd: amount, every, from };
                schedule(&client.client()?.put(&path(&account), &body)?, client.json)
            }
            Self::End { account, client } => {
                schedule(&client.client()?.delete(&path(&account))?, client.json)
            }
        }
    }
}

fn schedule(answer: &Answer<Schedule>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let schedule = &answer.value;
    print::out(&facts(&[
        ("account", schedule.account.clone()),
        ("amount", or_dash(schedule.amount_usd.map(|usd| format!("{usd} USD")))),
        ("every", or_dash(schedule.every.clone())),
        ("next", or_dash(schedule.next.map(|next| next.to_string()))),
    ]))?;
    let mut table = Table::new(&["request", "at", ">to pay"]);
    for due in &schedule.requested {
        table.row([due.request.clone(), due.at.to_string(), format!("{} USD", due.amount_usd)]);
    }
    if schedule.requested.is_empty() { Ok(()) } else { print::out(&table.text("")) }
}

// === impl Receivable ===

impl Receivable {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::List { limit, client } => {
                let page = pages::<Owed>(&client.client()?, "/v1/receivables", limit)?;
                if client.json {
                    return print::json(&page);
                }
                owed(&page.data)?;
                print::more(page.has_more)
            }
            Self::Settle { account, amount, payment: PaymentName { provider, reference }, client } => {
                let path = format!("/v1/accounts/{}/receivable/settle", segment(&account));
                let body = Settlement { provider, reference, amount_usd: amount, credits: None };
                let answer: Answer<Owed> = client.client()?.post(&path, &body)?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                owed(&[answer.value])
            }
        }
    }
}

fn owed(rows: &[Owed]) -> Outcome {
    let mut table = Table::new(&["account", ">owed", ">in money", ">paid so far"]);
    for row in rows {
        let money = or_dash(row.owed_usd.map(|usd| format!("{usd} USD")));
        table.row([row.account.clone(), row.owed.to_string(), money, row.settled.to_string()]);
    }
    print::out(&table.text("nobody owes anything"))
}

// === impl Resource ===

#[derive(Deserialize)]
struct KeptList {
    data: Vec<Kept>,
}

impl Resource {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let (args, change) = match self {
            Self::List { account, client } => {
                let path = format!("/v1/accounts/{}/resources", segment(&account));
                let answer: Answer<KeptList> = client.client()?.get(&path)?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                return kept(&answer.value.data);
            }
            Self::Set(args) => {
                let change = ResourceChange { set: Some(args.count), ..ResourceChange::default() };
                (args, change)
            }
            Self::Add(args) => {
                let change = ResourceChange { add: Some(args.count), ..ResourceChange::default() };
                (args, change)
            }
            Self::Remove(args) => {
                let change = ResourceChange { remove: Some(args.count), ..ResourceChange::default() };
                (args, change)
            }
        };
        let path = format!("/v1/accounts/{}/resources/{}", segment(&args.account), segment(&args.name));
        let answer: Answer<Kept> = args.client.client()?.post(&path, &change)?;
        if args.client.json { print::out(&format!("{}\n", answer.json)) } else { kept(&[answer.value]) }
    }
}

fn kept(rows: &[Kept]) -> Outcome {
    let mut table = Table::new(&["what", ">there are", ">may be"]);
    for row in rows {
        let max = row.max.map_or_else(|| "unlimited".to_owned(), |max| max.to_string());
        table.row([row.name.clone(), row.count.to_string(), max]);
    }
    print::out(&table.text("nothing is kept"))
}

// === impl Quote ===

impl Quote {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let usage: BTreeMap<String, u64> = self.usage.into_iter().collect();
        let body = QuoteRequest { plan: self.plan, account: self.account, model: self.model, usage };
        let answer: Answer<Priced> = self.client.client()?.post("/v1/quote", &body)?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let quote = answer.value;
        print::out(&facts(&[
            ("plan", quote.plan),
            ("model", quote.model),
            ("open", if quote.open { "yes" } else { "no" }.to_owned()),
            ("base price", format!("{} {}", quote.base, quote.asset)),
        ]))?;
        let mut lines = Table::new(&["meter", ">count", ">comes to"]);
        for line in quote.lines {
            lines.row([line.meter, line.count.to_string(), line.amount]);
        }
        let mut pools = Table::new(&["if all is paid from", ">takes"]);
        for pool in quote.paid_by {
            pools.row([pool.pool, pool.amount.to_string()]);
        }
        print::out(&format!("\n{}\n{}", lines.text("nothing is used"), pools.text("no pool pays it")))
    }
}

/// An amount of money on the command line.
pub fn usd(text: &str) -> Result<Usd, String> {
    Micros::parse(text).map(Usd).map_err(|error| format!("{error}: expected US dollars such as 49.90"))
}

fn count(text: &str) -> Result<(String, u64), String> {
    let (meter, count) = text.split_once('=').ok_or("expected METER=COUNT, such as input_tokens=1000")?;
    let count = count.parse().map_err(|_| format!("\"{count}\" is no count"))?;
    Ok((meter.to_owned(), count))
}

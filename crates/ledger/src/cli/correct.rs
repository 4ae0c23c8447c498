//! `bursar adjust`, `bursar reverse`, `bursar lot`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use tariff::Micros;

use super::client::{Answer, ClientArgs, segment};
use super::failure::{Failure, Outcome};
use super::print::{self, Table, facts, or_dash};
use crate::dto;

/// Add credits to an account by hand, or take some back.
///
/// What is added repays debt first and makes a lot. What is taken back is drawn from the pool's lots, those that
/// end first before the others; taking more than there is is refused unless the rest may become debt.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    bursar adjust acme --pool topup --amount 5 --reason 'slow answers on Friday' --reference ticket-118\n  \
    bursar adjust acme --pool topup --amount=-12.5 --reason 'paid twice' --reference ticket-119\n\n\
    The same reference with the same content changes nothing: a repeated call is safe.")]
pub struct Adjust {
    /// The account
    account: String,
    /// The pool in the catalog
    #[arg(long)]
    pool: String,
    /// How many credits, below zero to take back, as a decimal with up to six digits after the point
    #[arg(long, value_name = "CREDITS", allow_hyphen_values = true)]
    amount: String,
    /// Why, for people; it stands in the journal
    #[arg(long)]
    reason: String,
    /// Yours; unique among the account's adjustments for ever
    #[arg(long, value_name = "REF")]
    reference: String,
    /// When credits that are added end (RFC 3339) [default: as the pool says]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// What the pool does not have is owed, and the next grant pays it
    #[arg(long)]
    allow_debt: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Give a charge back, exactly and once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  bursar entries acme --request req_7Kd0fYz2QxT7\n  \
    bursar reverse acme 184 --reason 'provider outage on 20 November'\n\n\
    A second call changes nothing and shows what the first one did.")]
pub struct Reverse {
    /// The account
    account: String,
    /// The charge's number in the journal, as `bursar entries` shows it
    entry: String,
    /// Why, for people; it stands in the journal
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Void or extend one lot.
#[derive(Debug, Subcommand)]
pub enum Lot {
    /// End a lot now: what is left of it is void
    #[command(
        after_help = "Example:\n  bursar balance acme\n  bursar lot void acme lot_17 --reason 'payment failed'"
    )]
    Void {
        /// The account
        account: String,
        /// The lot's id, as `bursar balance` shows it
        lot: String,
        /// Why, for people; it stands in the audit log
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Let a lot end later
    #[command(after_help = "Examples:\n  \
        bursar lot extend acme lot_17 --until 2027-01-01T00:00:00Z --reason goodwill\n  \
        bursar lot extend acme lot_17 --never --reason goodwill")]
    Extend {
        /// The account
        account: String,
        /// The lot's id
        lot: String,
        /// When it ends (RFC 3339)
        #[arg(long, value_name = "TIME", required_unless_present = "never")]
        until: Option<Timestamp>,
        /// It never ends
        #[arg(long, conflicts_with = "until")]
        never: bool,
        /// Why, for people; it stands in the journal
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

// === impl Adjust ===

impl Adjust {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let amount = Micros::parse(&self.amount).map(dto::Credits).map_err(|error| {
            Failure::BadInput(format!("bursar: --amount `{}`: {error}", print::printable(&self.amount)))
        })?;
        let Self { account, pool, reason, reference, expires_at, allow_debt, client, .. } = self;
        let body = dto::Adjustment { pool, amount, reason, reference, expires_at, allow_debt };
        let path = format!("/v1/accounts/{}/adjustments", segment(&account));
        let answer: Answer<dto::Entry> = client.client()?.post(&path, &body)?;
        if client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        lines(&[answer.value])
    }
}

// === impl Reverse ===

impl Reverse {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path =
            format!("/v1/accounts/{}/entries/{}/reversal", segment(&self.account), segment(&self.entry));
        let body = dto::Reason { reason: self.reason };
        let answer: Answer<dto::Reversal> = self.client.client()?.post(&path, &body)?;
        if self.client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        lines(&answer.value.entries)
    }
}

// === impl Lot ===

impl Lot {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Void { account, lot, reason, client } => {
                let path = format!("{}/void", lot_path(&account, &lot));
                show(&client.client()?.post(&path, &dto::Reason { reason })?, client.json)
            }
            Self::Extend { account, lot, until, never: _, reason, client } => {
                let change = dto::LotChange { expires_at: until, reason };
                show(&client.client()?.patch(&lot_path(&account, &lot), &change)?, client.json)
            }
        }
    }
}

fn lot_path(account: &str, lot: &str) -> String {
    format!("/v1/accounts/{}/lots/{}", segment(account), segment(lot))
}

fn show(answer: &Answer<dto::LotState>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let lot = &answer.value;
    print::out(&facts(&[
        ("lot", lot.id.clone()),
        ("pool", lot.pool.clone()),
        (if lot.voided { "had" } else { "available" }, lot.available.to_string()),
        ("expires", or_dash(lot.expires_at)),
        ("voided", if lot.voided { "yes" } else { "no" }.to_owned()),
    ]))
}

/// What a correction did to which lot.
fn lines(entries: &[dto::Entry]) -> Outcome {
    let mut table = Table::new(&[">entry", "pool", "lot", ">amount", "reason"]);
    for entry in entries {
        let reason = || or_dash(entry.reason.clone());
        for part in &entry.pools {
            let amount = part.amount.to_string();
            table.row([entry.id.clone(), part.pool.clone(), part.lot.clone(), amount, reason()]);
        }
        if entry.debt.0 != Micros::ZERO {
            let amount = entry.debt.to_string();
            table.row([entry.id.clone(), "-".to_owned(), "debt".to_owned(), amount, reason()]);
        }
    }
    print::out(&table.text("nothing moved"))
}

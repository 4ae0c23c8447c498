//! `bursar account set` and `bursar programme`: what is set of an account beside its plan.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use tariff::Micros;

use super::account::show;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::input;
use super::print::{self, facts};
use crate::dto::{Account, AccountChange, Credits, Enrolling, Enrolment, Overrides, Renewal};

/// Change what is set of an account; what is not named stays.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bursar account set acme --time-zone Europe/Berlin --card-on-file true --overage-cap 500\n  \
    bursar account set acme --opt-in wallet\n  bursar account set acme --overrides terms.json"
)]
pub struct Set {
    /// The account
    id: String,
    /// The IANA zone of its days; `UTC` takes it back
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A pool that it opts in to; all of them are named, each with the flag once
    #[arg(long, value_name = "POOL")]
    opt_in: Vec<String>,
    /// Opt out of all pools
    #[arg(long, conflicts_with = "opt_in")]
    opt_out: bool,
    /// The most credits that it may owe beyond what it has in one cycle; `none` takes it back
    #[arg(long, value_name = "CREDITS", value_parser = cap)]
    overage_cap: Option<Cap>,
    /// Whether a payment method is registered
    #[arg(long, value_name = "BOOL")]
    card_on_file: Option<bool>,
    /// What begins its next billing period
    #[arg(long, value_enum)]
    renewal: Option<When>,
    /// A JSON file with all its own terms over the plan; `{}` takes them back
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

/// The largest file of own terms that is read: the API takes no larger body.
const OVERRIDES_BYTES_MAX: u64 = 64 << 10;

/// A cap, or none.
#[derive(Clone, Copy, Debug)]
pub struct Cap(Option<Credits>);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// The end of the one before
    Auto,
    /// Its payment
    OnPayment,
}

/// Enrol accounts in programmes: models for nothing, for a time.
#[derive(Debug, Subcommand)]
pub enum Programme {
    /// Enrol an account, or set when its stay ends
    Enrol {
        /// The account
        account: String,
        /// The programme's name in the catalog
        programme: String,
        /// When it ends (RFC 3339) [default: as late as the programme allows]
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// End an account's stay at once
    Leave {
        /// The account
        account: String,
        /// The programme's name
        programme: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

// === impl Set ===

impl Set {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let overrides = self.overrides.map(|file| overrides(&file)).transpose()?;
        let named = !self.opt_in.is_empty() || self.opt_out;
        let body = AccountChange {
            time_zone: self.time_zone.map(|zone| (zone != "UTC").then_some(zone)),
            opted_in: named.then_some(self.opt_in),
            overage_cap: self.overage_cap.map(|cap| cap.0),
            card_on_file: self.card_on_file,
            renewal: self.renewal.map(|renewal| match renewal {
                When::Auto => Renewal::Auto,
                When::OnPayment => Renewal::OnPayment,
            }),
            overrides,
            ..AccountChange::default()
        };
        let path = format!("/v1/accounts/{}", segment(&self.id));
        show(&self.client.client()?.patch(&path, &body)?, self.client.json)
    }
}

fn overrides(file: &std::path::Path) -> Outcome<Overrides> {
    let text = input::text(file, OVERRIDES_BYTES_MAX)?;
    serde_json::from_str(&text).map_err(|error| input::wrong(file, &error))
}

fn cap(text: &str) -> Result<Cap, String> {
    if text == "none" {
        return Ok(Cap(None));
    }
    let cap =
        Micros::parse(text).map_err(|error| format!("{error}: expected credits such as 500, or none"))?;
    Ok(Cap(Some(Credits(cap))))
}

// === impl Programme ===

impl Programme {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = |account: &str, programme: &str| {
            format!("/v1/accounts/{}/programmes/{}", segment(account), segment(programme))
        };
        match self {
            Self::Enrol { account, programme, until, client } => {
                let answer: Answer<Enrolment> =
                    client.client()?.put(&path(&account, &programme), &Enrolling { until })?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                let stay = answer.value;
                print::out(&facts(&[
                    ("account", account),
                    ("programme", stay.programme),
                    ("from", stay.from.to_string()),
                    ("until", stay.until.to_string()),
                ]))
            }
            Self::Leave { account, programme, client } => {
                let answer: Answer<Account> = client.client()?.delete(&path(&account, &programme))?;
                show(&answer, client.json)
            }
        }
    }
}

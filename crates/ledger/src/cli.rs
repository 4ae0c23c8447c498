//! The `bursar` command line: the server itself, checks of files, and clients of the HTTP API.
//!
//! Exit status: 0 done, 1 refused or failed, 2 bad input. Answers go to standard output (a table for
//! people, the API's JSON with `--json`), everything else to standard error.

mod access;
mod access_log;
mod account;
mod billing;
mod catalog;
mod client;
mod correct;
mod credits;
mod customer;
mod explain;
mod failure;
mod generation;
mod input;
mod journal;
mod key;
mod plan;
mod print;
mod purchase;
mod reconcile;
mod serve;
mod settings;
mod verify;
mod webhook;

use std::process::ExitCode;

pub use self::catalog::differences;

use clap::{Parser, Subcommand};

/// Metering and credits for API traffic behind Envoy: the ledger and its tools.
#[derive(Debug, Parser)]
#[command(name = "bursar", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Check a catalog, then run a ledger on it:
    bursar catalog check catalog.yaml
    BURSAR_ADMIN_TOKEN=… BURSAR_EDGE_TOKEN=… bursar serve --catalog catalog.yaml

  Open an account, give it a key and credits, look at it:
    export BURSAR_ADMIN_TOKEN=…
    bursar account create acme --plan starter
    bursar key create acme --name ci
    bursar grant acme --pool topup --amount 50 --reference payment-7431
    bursar balance acme

Exit status: 0 done, 1 refused or failed, 2 bad input.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the ledger
    Serve(serve::Serve),
    /// Check, explain, compare and publish catalog files
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Open, show, list, suspend and close accounts
    #[command(subcommand)]
    Account(account::Account),
    /// Make, list, replace, import and revoke API keys
    #[command(subcommand)]
    Key(key::Key),
    /// Grant credits to an account
    Grant(credits::Grant),
    /// Add credits by hand, or take some back
    Adjust(correct::Adjust),
    /// Give a charge back, exactly and once
    Reverse(correct::Reverse),
    /// Void or extend one lot
    #[command(subcommand)]
    Lot(correct::Lot),
    /// Switch an account's plan, or show what that would do
    Plan(plan::Plan),
    /// List the plans of the catalog in force
    Plans(plan::Plans),
    /// Show, confirm, fail or take back a change of plan that waits
    #[command(subcommand)]
    Change(billing::Change),
    /// End an account's plan with its billing period
    Cancel(billing::Cancel),
    /// Begin the billing period that waits for its payment
    Renew(billing::Renew),
    /// Preview, confirm and give back purchases of credits
    #[command(subcommand)]
    Purchase(purchase::Purchase),
    /// Show, set and end an account's schedule of purchases
    #[command(subcommand)]
    Recharge(purchase::Recharge),
    /// List and settle what accounts used beyond their credits
    #[command(subcommand)]
    Receivable(purchase::Receivable),
    /// Count what is kept: projects, credentials
    #[command(subcommand)]
    Resource(purchase::Resource),
    /// Enrol accounts in programmes
    #[command(subcommand)]
    Programme(settings::Programme),
    /// See and do what a customer can, with its own API key
    #[command(subcommand)]
    Customer(customer::Customer),
    /// Show what a usage would cost
    Quote(purchase::Quote),
    /// Show what an account has
    Balance(credits::Balance),
    /// Show an account's journal, latest first, or the lines of one request
    Entries(journal::Entries),
    /// Write the journal to standard output, as NDJSON or CSV
    Export(journal::Export),
    /// Tell why a request would be refused
    Explain(explain::Explain),
    /// Show what people should look at: gaps, conflicts, disputed charges, price mismatches
    Incidents(journal::Incidents),
    /// Sum up what an account used
    Usage(credits::Usage),
    /// Make, list and revoke tokens for the management API
    #[command(subcommand)]
    Token(access::Token),
    /// Show who changed what, latest first
    Audit(access::Audit),
    /// Deliver events to your own programs, signed; see what came of it
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Show what happened: plans, keys, credits that ran low, limits that were crossed
    Events(webhook::Events),
    /// Show or renew the generation of a store: what tells restored books from those before
    #[command(subcommand)]
    Generation(generation::Generation),
    /// Charge from Envoy's access log what the ledger never heard of
    Reconcile(reconcile::Reconcile),
    /// Check a store's books: every posting, every balance, every lane
    Verify(verify::Verify),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(command) => command.run(),
        Command::Catalog(command) => command.run(),
        Command::Account(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Grant(command) => command.run(),
        Command::Adjust(command) => command.run(),
        Command::Reverse(command) => command.run(),
        Command::Lot(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Plans(command) => command.run(),
        Command::Change(command) => command.run(),
        Command::Cancel(command) => command.run(),
        Command::Renew(command) => command.run(),
        Command::Purchase(command) => command.run(),
        Command::Recharge(command) => command.run(),
        Command::Receivable(command) => command.run(),
        Command::Resource(command) => command.run(),
        Command::Programme(command) => command.run(),
        Command::Customer(command) => command.run(),
        Command::Quote(command) => command.run(),
        Command::Balance(command) => command.run(),
        Command::Entries(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Incidents(command) => command.run(),
        Command::Usage(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Webhook(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Generation(command) => command.run(),
        Command::Reconcile(command) => command.run(),
        Command::Verify(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}

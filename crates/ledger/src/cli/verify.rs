//! `bursar verify`: the books of a store, checked line by line.

use clap::Args;

use super::failure::{Failure, Outcome};
use super::print;
use crate::config::sqlite_path;
use crate::store::{self, Disagreement, Report};

/// Check a store's books: the journal against itself, and what is written down against the journal.
///
/// Reads only, in one snapshot; works beside a running ledger and on a copy. For each account granted must be
/// available + leased + consumed + expired + voided + clawed back - debt; postings must sum to zero, each
/// request be charged once, lanes have no holes. Prints a line for each disagreement.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Verify {
    /// The store
    #[arg(long, env = "BURSAR_STORE", value_name = "URL", default_value = "sqlite:bursar.db")]
    store: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  While the ledger serves:
    bursar verify --store sqlite:/var/lib/bursar/ledger.db

  Which accounts disagree:
    bursar verify --store sqlite:copy.db --json | jq -r '.problems[].account'

Exit status: 0 all agree, 1 something disagrees or cannot be read, 2 bad input.";

// === impl Verify ===

impl Verify {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = sqlite_path(&self.store)?;
        if !path.is_file() {
            return Err(Failure::BadInput(format!("bursar: {}: no such file", path.display())));
        }
        let report = store::verify(&path)
            .map_err(|error| Failure::Refused(format!("bursar: {}: {error}", path.display())))?;
        if self.json {
            print::json(&report)?;
        }
        let Report { entries, accounts, lanes, .. } = report;
        let checked = format!("entries: {entries}, accounts: {accounts}, lanes: {lanes}");
        if report.agrees() {
            return if self.json { Ok(()) } else { print::out(&format!("all agree ({checked})\n")) };
        }
        if !self.json {
            print::out(&report.problems.iter().map(line).collect::<String>())?;
        }
        let listed = u64::try_from(report.problems.len()).unwrap_or(u64::MAX);
        let disagree = listed.saturating_add(report.unlisted);
        Err(Failure::Refused(format!("bursar: {disagree} disagree, {listed} listed ({checked})")))
    }
}

fn line(problem: &Disagreement) -> String {
    let account = problem.account.as_ref().map(|id| format!("account {id}: ")).unwrap_or_default();
    let entries: Vec<String> = problem.entries.iter().map(ToString::to_string).collect();
    let entries =
        if entries.is_empty() { String::new() } else { format!(" (entries {})", entries.join(", ")) };
    let text = format!(
        "{account}{}: expected {}, found {}{entries}",
        problem.property.text(),
        problem.expected,
        problem.found
    );
    format!("{}\n", print::printable(&text))
}

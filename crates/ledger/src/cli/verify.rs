//! `bursar verify`: the journal of a store, checked line by line.

use clap::Args;

use super::failure::{Failure, Outcome};
use super::print;
use crate::config::sqlite_path;
use crate::store;

/// Check a store's journal: every posting, every balance.
///
/// Reads only; works beside a running ledger. Exit status 1 where something disagrees, with a line for
/// each.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  bursar verify --store sqlite:/var/lib/bursar/ledger.db")]
pub struct Verify {
    /// The store
    #[arg(long, env = "BURSAR_STORE", value_name = "URL", default_value = "sqlite:bursar.db")]
    store: String,
}

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
        let checked = format!("entries: {}, accounts: {}", report.entries, report.accounts);
        if report.problems.is_empty() {
            return print::out(&format!("all agree ({checked})\n"));
        }
        let list: String =
            report.problems.iter().map(|problem| format!("{}\n", print::printable(problem))).collect();
        print::out(&list)?;
        Err(Failure::Refused(format!("bursar: {} disagree ({checked})", report.problems.len())))
    }
}

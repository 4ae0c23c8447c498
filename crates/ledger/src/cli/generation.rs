//! `bursar generation`: what tells books that were restored or promoted from those before.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::{Failure, Outcome};
use super::print;
use crate::config::sqlite_path;
use crate::keys::fresh_token;
use crate::store;

/// Show or renew the generation of a store.
///
/// Envoys that see another generation drop the leases of the one before, send again what they still hold, and
/// go on. `bursar serve` renews it by itself where the store is older than the one that stood in its place, or
/// came without its .lock file; renew it by hand where a copy goes into service otherwise.
#[derive(Debug, Subcommand)]
pub enum Generation {
    /// Show it
    Show(Show),
    /// Renew it; no ledger may run on the store
    Renew(Renew),
}

/// Show the generation of a store.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    store: StoreArgs,
}

/// Renew the generation of a store that no ledger runs on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Renew {
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// The store
    #[arg(long, env = "BURSAR_STORE", value_name = "URL", default_value = "sqlite:bursar.db")]
    store: String,
}

const EXAMPLES: &str = "\
Example, a restore (the ledger is stopped):
  cp copy.db /var/lib/bursar/ledger.db
  rm -f /var/lib/bursar/ledger.db-wal /var/lib/bursar/ledger.db-shm
  bursar verify --store sqlite:/var/lib/bursar/ledger.db
  bursar generation renew --store sqlite:/var/lib/bursar/ledger.db
  # start the ledger, then:
  bursar reconcile --access-log access.log --unknown-nodes";

// === impl Generation ===

impl Generation {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Show(Show { store }) => {
                let path = store.path()?;
                let generation = store::generation(&path)
                    .map_err(|error| Failure::Refused(format!("bursar: {}: {error}", path.display())))?;
                print::out(&format!("{}\n", print::or_dash(generation)))
            }
            Self::Renew(Renew { store }) => {
                let path = store.path()?;
                let fresh = fresh_token().map_err(|error| Failure::Refused(format!("bursar: {error}")))?;
                let before = store::renew_generation(&path, &fresh)
                    .map_err(|error| Failure::Refused(format!("bursar: {}: {error}", path.display())))?;
                print::out(&print::facts(&[("before", print::or_dash(before)), ("generation", fresh)]))
            }
        }
    }
}

// === impl StoreArgs ===

impl StoreArgs {
    fn path(&self) -> Outcome<PathBuf> {
        let path = sqlite_path(&self.store)?;
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::BadInput(format!("bursar: {}: no such file", path.display())))
    }
}

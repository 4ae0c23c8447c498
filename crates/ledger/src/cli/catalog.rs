//! `bursar catalog`.

use std::path::PathBuf;

use clap::Subcommand;

use super::failure::Outcome;
use super::print;
use crate::config::load_catalog;

/// Check a catalog file.
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Print every problem of a catalog file
    ///
    /// Each on a line of its own, as editors and CI read them: FILE:LINE:COLUMN: PATH: message.
    /// Exit status 2 where there is one.
    #[command(after_help = "Example:\n  bursar catalog check catalog.yaml")]
    Check {
        /// The catalog, YAML or JSON
        file: PathBuf,
    },
}

// === impl Catalog ===

impl Catalog {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let Self::Check { file } = self;
        let catalog = load_catalog(&file)?;
        let count = |n: usize, thing: &str| format!("{n} {thing}{}", if n == 1 { "" } else { "s" });
        let summary = format!(
            "{}: no problems: {}, {}, {}\n",
            file.display(),
            count(catalog.plans.len(), "plan"),
            count(catalog.models.len(), "model"),
            count(catalog.pools.len(), "pool"),
        );
        print::out(&summary)
    }
}

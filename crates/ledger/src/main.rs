//! The `bursar` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledger::cli::run()
}

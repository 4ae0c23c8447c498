//! The developer's commands: `cargo xtask <command>`.
//!
//! Every command works from a fresh clone and asks nothing: it builds what it needs, takes programs from the machine or
//! fetches them into `target`, and says what it does on standard error.

mod check;
mod process;
mod provision;
mod stack;
mod wasm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Commands for working on bursar.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Cli {
    /// Play the main job from end to end on a real Envoy, with a transcript and a table of checks.
    Demo(stack::Demo),
    /// Check everything: format, lints, unit, property and end-to-end tests.
    Test(check::Suite),
    /// Run ledger, upstream and Envoy until interrupted; one line of JSON says where they are.
    Up(stack::Up),
    /// Measure what the filter costs.
    Bench(stack::Bench),
    /// Play seeds: the real edge and ledger cores, with random faults, every step checked.
    Sim(stack::Sim),
    /// Build the filter for release into target/bursar.wasm.
    Wasm {
        /// The toolchain to build with.
        #[arg(long, value_enum, default_value = "auto")]
        toolchain: wasm::Choice,
        /// Build the variant for end-to-end tests that requests can make trap, into target/bursar-trap.wasm.
        #[arg(long)]
        trap_for_tests: bool,
    },
    /// Check the repository itself: paths in documents, leftovers, sizes (part of `test`).
    Tidy,
    /// Write the tests of each rule into docs/price-pages.md.
    Pages,
    /// Fetch something into target and print its path.
    #[command(subcommand)]
    Get(Get),
}

#[derive(Debug, Subcommand)]
enum Get {
    /// An Envoy.
    Envoy {
        /// The version, from 1.36 to 1.40.
        version: Option<provision::envoy::Version>,
    },
    /// A Python with the clients of tests/clients/requirements.txt.
    Python,
}

fn main() -> ExitCode {
    match Workspace::find().and_then(|ws| start(&ws, Cli::parse())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            process::say(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked; false when it was done and found something wrong.
fn start(ws: &Workspace, cli: Cli) -> Result<bool> {
    match cli {
        Cli::Demo(demo) => demo.start(ws)?,
        Cli::Test(suite) => return Ok(suite.run(ws)),
        Cli::Up(up) => up.start(ws)?,
        Cli::Bench(bench) => bench.start(ws)?,
        Cli::Sim(sim) => sim.start(ws)?,
        Cli::Wasm { toolchain, trap_for_tests: false } => drop(wasm::build(ws, toolchain)?),
        Cli::Wasm { toolchain, trap_for_tests: true } => drop(wasm::build_trapping(ws, toolchain)?),
        Cli::Tidy => check::tidy(ws)?,
        Cli::Pages => check::update_pages(ws)?,
        Cli::Get(Get::Envoy { version }) => println!("{}", provision::envoy::find(ws, version)?.display()),
        Cli::Get(Get::Python) => println!("{}", provision::python::clients(ws)?.display()),
    }
    Ok(true)
}

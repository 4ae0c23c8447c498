//! `cargo xtask test`: every check in order, stopping at the first that fails.
//!
//! A step writes into its log under `target/logs`; the terminal shows its name, its progress and how long it took. The
//! last line is the count of what passed and failed, where a step without tests of its own counts as one.

mod libtest;
mod pages;
mod sizes;
mod tidy;

use std::fmt::Display;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::process::{logged, say};
use crate::provision::{envoy, python};
use crate::stack;
use crate::wasm;
use crate::workspace::{Workspace, on_path};

pub use pages::update as update_pages;
pub use tidy::tidy;

/// End-to-end tests that run at a time; each has an Envoy and a ledger of its own.
const END_TO_END_THREADS: &str = "2";

/// What the simulation plays.
const SEEDS: &str = "0..10000";

/// Flags of `test`.
#[derive(Debug, Args)]
pub struct Suite {
    /// Only what needs no Envoy: format, lints, unit and property tests.
    #[arg(long)]
    quick: bool,
    /// Only the tests whose names contain this, and no other check.
    filter: Option<String>,
    /// The toolchain that builds the filter.
    #[arg(long, value_enum, default_value = "auto")]
    toolchain: wasm::Choice,
    /// End-to-end tests that run at a time.
    #[arg(long, value_name = "N", default_value = END_TO_END_THREADS)]
    threads: u32,
}

/// What passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    const ONE: Self = Self { passed: 1, failed: 0 };
}

impl Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// One step: what it is called and what it does.
struct Step {
    name: &'static str,
    work: fn(&Suite, &Workspace) -> Result<Counts>,
}

/// Steps that look at the code without running it.
const CHECKS: [Step; 5] = [
    Step { name: "lock file", work: lock_file },
    Step { name: "format", work: format },
    Step { name: "tidy", work: |_, ws| tidy(ws).map(|()| Counts::ONE) },
    Step { name: "clippy", work: clippy },
    Step { name: "dependencies", work: dependencies },
];
const UNIT: Step = Step { name: "unit and property tests", work: unit_tests };
const SIMULATION: Step = Step { name: "simulation", work: simulation };
/// Steps after the unit tests.
const DOCUMENTS: Step = Step { name: "documentation", work: documentation };
const END_TO_END: Step = Step { name: "end-to-end tests", work: end_to_end_tests };

impl Suite {
    /// Runs the steps up to the first that fails, ends with the summary line, and says whether all is well.
    pub fn run(&self, ws: &Workspace) -> bool {
        let steps = self.steps();
        let mut counts = Counts::default();
        let started = Instant::now();
        for (index, step) in steps.iter().enumerate() {
            let label = format!("[{}/{}] {}", index + 1, steps.len(), step.name);
            say(&label);
            let began = Instant::now();
            let found = (step.work)(self, ws).unwrap_or_else(|reason| {
                say(format!("{reason:#}"));
                Counts { passed: 0, failed: 1 }
            });
            counts.passed += found.passed;
            counts.failed += found.failed;
            let verdict = if found.failed == 0 { "ok" } else { "failed" };
            say(format!("{label}: {verdict} ({} s)", began.elapsed().as_secs()));
            if found.failed > 0 {
                break;
            }
        }
        if counts == Counts::default() {
            say("no test has such a name");
        }
        say(format!("took {} s", started.elapsed().as_secs()));
        println!("{counts}");
        counts.passed > 0 && counts.failed == 0
    }

    fn steps(&self) -> Vec<&'static Step> {
        let mut steps: Vec<&Step> = Vec::new();
        if self.filter.is_none() {
            steps.extend(&CHECKS);
        }
        steps.push(&UNIT);
        if self.filter.is_none() && !self.quick {
            steps.extend([&SIMULATION, &DOCUMENTS]);
        }
        if !self.quick {
            steps.push(&END_TO_END);
        }
        steps
    }
}

/// Cargo for a step whose output goes into a log.
fn cargo(ws: &Workspace) -> Command {
    let mut command = ws.cargo();
    command.env("CARGO_TERM_COLOR", "never");
    command
}

fn lock_file(_: &Suite, ws: &Workspace) -> Result<Counts> {
    logged(cargo(ws).args(["fetch", "--locked"]), &ws.log("fetch")).map(|()| Counts::ONE)
}

fn format(_: &Suite, ws: &Workspace) -> Result<Counts> {
    logged(cargo(ws).args(["fmt", "--all", "--check", "--", "--color", "never"]), &ws.log("format"))
        .map(|()| Counts::ONE)
}

fn clippy(_: &Suite, ws: &Workspace) -> Result<Counts> {
    let mut command = cargo(ws);
    command.args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]);
    logged(&mut command, &ws.log("clippy")).map(|()| Counts::ONE)
}

/// Plays [`SEEDS`]; what fails is in the log with the command that plays it again.
fn simulation(_: &Suite, ws: &Workspace) -> Result<Counts> {
    let mut command = cargo(ws);
    command.args(["run", "--release", "--package", "sim", "--quiet", "--", "--seeds", SEEDS]);
    logged(&mut command, &ws.log("simulation")).map(|()| Counts::ONE)
}

/// Licences, sources and duplicates of the dependencies (`deny.toml`).
fn dependencies(_: &Suite, ws: &Workspace) -> Result<Counts> {
    if on_path("cargo-deny").is_none() {
        say("cargo-deny is not installed: skipping the check of licences and sources");
        return Ok(Counts::default());
    }
    // Advisories change without us and need a network: they are for people and for a scheduled run.
    let checks = ["deny", "--workspace", "--all-features", "check", "bans", "licenses", "sources"];
    logged(cargo(ws).args(checks), &ws.log("deny")).map(|()| Counts::ONE)
}

fn unit_tests(suite: &Suite, ws: &Workspace) -> Result<Counts> {
    let mut command = cargo(ws);
    command.args(["test", "--workspace", "--exclude", "e2e", "--no-fail-fast"]);
    command.args(&suite.filter);
    libtest::run(&mut command, &ws.log("unit"))
}

fn documentation(_: &Suite, ws: &Workspace) -> Result<Counts> {
    let mut command = cargo(ws);
    command.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings");
    logged(&mut command, &ws.log("documentation")).map(|()| Counts::ONE)
}

fn end_to_end_tests(suite: &Suite, ws: &Workspace) -> Result<Counts> {
    // The shipped module last: both builds leave it where the compiler puts it.
    let trapping = wasm::build_trapping(ws, suite.toolchain)?;
    let wasm = wasm::build(ws, suite.toolchain)?;
    let (current, oldest) = (envoy::find(ws, None)?, envoy::find(ws, Some(envoy::OLDEST))?);
    let python = python::clients(ws)?;
    logged(cargo(ws).args(["build", "--package", "ledger", "--bin", "bursar"]), &ws.log("bursar"))?;
    let mut command = cargo(ws);
    command.args(["test", "--package", "e2e", "--no-fail-fast"]).args(&suite.filter);
    command.args(["--", "--test-threads", &suite.threads.to_string()]);
    stack::apply(&mut command, &current, &wasm, &ws.target.join("debug").join("bursar"));
    command.env("BURSAR_TESTBED_WASM_TRAP", trapping);
    command.env("BURSAR_TESTBED_ENVOY_OLD", oldest).env("BURSAR_TESTBED_PYTHON", python);
    libtest::run(&mut command, &ws.log("end-to-end"))
}

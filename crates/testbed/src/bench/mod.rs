//! `bench`: what metering costs, against no filter and against a filter that does nothing.
//!
//! Envoy has one worker, kept on core 0; load, upstream and ledger are on core 1. Variants alternate in short
//! rounds, and ratios are taken within a round, because absolute figures drift on shared machines. It
//! asserts nothing.
//!
//! The figure of record is `capacity`: answers per second of the worker's CPU time, of its base's. Answers per second
//! stand beside it; they tell of the worker only where it was busy throughout, as without a filter the core
//! of load and upstream is the limit, which would flatter what is compared with it.

mod delay;
pub mod empty_wasm;
mod load;
mod report;
pub mod upstream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use crate::mock::Mock;
use crate::setup::{Extra, ExtraFilter, Setup};
use crate::stack::{Account, Stack};
use crate::tools::{Tools, run_folder};
use delay::Delays;
use load::{Load, Round, Worker};
use report::Row;
use upstream::Upstream;

/// Envoy's core.
const ENVOY_CORE: usize = 0;
/// The core of everything else.
const OTHER_CORE: usize = 1;

/// Streams whose bytes are timed on each listener.
const TIMED_STREAMS: usize = 100;

/// So many rows come before those of refusals and streams.
const PLAIN_ROWS: usize = 3;

/// A catalog that never refuses for rate: the load is far above any plan for people.
const CATALOG: &str = "\
name: bench
pools:
  topup: { order: 1, expiry: never }
models:
  bench:
    price: { per_1m: { input_tokens: 12.5, output_tokens: 100 } }
plans:
  bench: { title: Bench }
";

/// Flags of `bench`.
#[derive(Args, Clone, Debug)]
pub struct Bench {
    /// Fewer and shorter rounds.
    #[arg(long)]
    pub quick: bool,
    /// Writes the figures to this file too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measures this module's plain requests too, and neither refusals nor streams.
    #[arg(long, value_name = "MODULE")]
    pub beside: Vec<PathBuf>,
}

/// The running stack and what loads it.
struct Rig {
    stack: Stack,
    folder: PathBuf,
    worker: Worker,
    loads: Vec<Load>,
    rows: Vec<Row>,
    /// The provider of the streams that are timed, and the listeners to it without and with the filter.
    timed: (Mock, [std::net::SocketAddr; 2]),
    key: String,
}

impl Bench {
    /// Measures, and prints the table.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn run(&self, tools: Tools) -> Result<()> {
        let (rounds, time) = match (self.quick, self.beside.is_empty()) {
            (true, true) => (3, 1),
            (true, false) => (8, 1),
            (false, _) => (15, 2),
        };
        let time = Duration::from_secs(time);
        let folder = run_folder("bench")?;
        let plain = Upstream::plain(&folder, OTHER_CORE).await?;
        let streaming = Upstream::own(&folder, OTHER_CORE).await?;
        let mut rig = rig(tools, &folder, &plain, &streaming, &self.beside).await?;
        eprintln!("{rounds} rounds of {} s for each of {} variants …", time.as_secs(), rig.rows.len());
        // Leases grow to the load, code gets warm; none of it counts.
        rig.round(time).await?;
        rig.rows.iter_mut().for_each(|row| row.rounds.clear());
        let calls = rig.calls_per_thousand(time).await?;
        for _ in 0..rounds {
            rig.round(time).await?;
        }
        let delays = Delays::measure(&rig.timed.0, rig.timed.1, &rig.key, TIMED_STREAMS).await?;
        println!(
            "Envoy: 1 worker on core {ENVOY_CORE}; load, upstream ({}) and ledger on core {OTHER_CORE}.",
            plain.name
        );
        println!("Medians of {rounds} rounds; ratios within a round.");
        println!(
            "capacity: answers per second of the worker's CPU time, of its base's; where a variant is not"
        );
        println!("busy throughout, its answers/s are limited by load, upstream or ledger.\n");
        println!("{}", report::table(&rig.rows));
        println!("ledger calls per 1,000 requests, steady: {calls:.2}");
        println!("{}", delays.text());
        if let Some(file) = &self.json {
            let figures = json!({"rows": report::json(&rig.rows), "ledger_calls_per_1000": calls, "delays": delays.json()});
            std::fs::write(file, serde_json::to_string_pretty(&figures)?)?;
        }
        rig.stack.gateway()?.healthy().await?;
        rig.stack.discard_files();
        rig.stack.stop().await?;
        std::fs::remove_dir_all(&folder).context("failed to remove the run's files")
    }
}

async fn rig(
    tools: Tools,
    folder: &Path,
    plain: &Upstream,
    streaming: &Upstream,
    beside: &[PathBuf],
) -> Result<Rig> {
    let timed = Mock::start().await?;
    let (catalog, empty) = (folder.join("catalog.yaml"), folder.join("empty.wasm"));
    std::fs::write(&catalog, CATALOG)?;
    std::fs::write(&empty, empty_wasm::module())?;
    let mut setup = Setup::new("bench-stack").concurrency(1).catalog(&catalog);
    setup.tools = tools;
    setup.upstream = Some(plain.address);
    setup.link = false;
    setup.access_log = false;
    setup.envoy_core = Some(ENVOY_CORE);
    setup.ledger_core = Some(OTHER_CORE);
    let to = |name: &str, filter, upstream| Extra { name: name.to_owned(), filter, upstream: Some(upstream) };
    let extra = |name: &str, filter, upstream: &Upstream| to(name, filter, upstream.address);
    setup.extra = vec![
        extra("none", ExtraFilter::None, plain),
        extra("empty", ExtraFilter::Plain(empty), plain),
        extra("stream-none", ExtraFilter::None, streaming),
        extra("stream", ExtraFilter::Bursar, streaming),
        to("timed-none", ExtraFilter::None, timed.address),
        to("timed", ExtraFilter::Bursar, timed.address),
    ];
    for (number, module) in beside.iter().enumerate() {
        let module = std::fs::canonicalize(module).with_context(|| module.display().to_string())?;
        setup.extra.push(extra(&format!("beside-{number}"), ExtraFilter::Other(module), plain));
    }
    let stack = setup.start().await?;
    let rich = stack.account("bench").await?;
    stack.top_up(&rich, "1000000").await?;
    let poor = stack.account("bench").await?;
    let [own, none, empty, stream_none, stream, timed_none, timed_own, ref others @ ..] =
        stack.gateway()?.listeners[..]
    else {
        anyhow::bail!("Envoy lists other listeners than it was given");
    };
    let load = |address, account: &Account, stream| Load { address, key: account.key.clone(), stream };
    let mut loads = vec![
        load(none, &rich, false),
        load(empty, &rich, false),
        load(own, &rich, false),
        load(own, &poor, false),
        load(stream_none, &rich, true),
        load(stream, &rich, true),
    ];
    let mut rows = vec![
        Row::new("no filter", None),
        Row::new("empty wasm filter", Some("no filter")),
        Row::new("bursar, 2 KB plain", Some("no filter")),
        Row::new("bursar, refused 402", Some("no filter")),
        Row::new("no filter, 100 SSE chunks", None),
        Row::new("bursar, 100 SSE chunks", Some("no filter, 100 SSE chunks")),
    ];
    if !beside.is_empty() {
        loads.truncate(PLAIN_ROWS);
        rows.truncate(PLAIN_ROWS);
    }
    for (module, listener) in beside.iter().zip(others) {
        loads.push(load(*listener, &rich, false));
        rows.push(Row::new(&module.display().to_string(), Some("no filter")));
    }
    let (worker, folder) = (Worker::of(stack.gateway()?.pid())?, folder.to_path_buf());
    Ok(Rig { worker, stack, folder, loads, rows, timed: (timed, [timed_none, timed_own]), key: rich.key })
}

impl Rig {
    /// One round of each variant.
    async fn round(&mut self, time: Duration) -> Result<()> {
        for (load, row) in self.loads.iter().zip(&mut self.rows) {
            let round: Round = load.run(&self.folder, OTHER_CORE, time, &self.worker).await?;
            eprintln!("  {:<28} {:>8.0}/s {:>7.1} µs", row.name, round.rate, round.cpu);
            row.rounds.push(round);
        }
        Ok(())
    }

    /// Calls to the ledger per 1,000 plain requests, once leases fit the load.
    async fn calls_per_thousand(&self, time: Duration) -> Result<f64> {
        let load = self.loads.get(2).context("no plain variant")?;
        let calls = || async {
            anyhow::Ok(self.stack.gateway()?.stats().await?.sum("wasmcustom.bursar.ledger_calls"))
        };
        let before = calls().await?;
        let round = load.run(&self.folder, OTHER_CORE, time.saturating_mul(3), &self.worker).await?;
        let made = calls().await?.saturating_sub(before);
        Ok(made as f64 * 1_000.0 / round.answers.max(1) as f64)
    }
}

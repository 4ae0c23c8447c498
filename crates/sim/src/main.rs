//! `sim`: plays seeds until one fails or all have passed, and says what it went through.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use sim::cluster::{Counts, FAULTS, Schedule, Tamper, explain, seed};

/// Play the real edge and the real ledger core against random faults; every step is checked.
#[derive(Debug, Parser)]
struct Cli {
    /// The seeds to play: `A..B`, or one.
    #[arg(long, default_value = "0..10000")]
    seeds: String,
    /// Threads [default: as many as there are cores].
    #[arg(long)]
    threads: Option<usize>,
    /// Go on after a failure, up to so many.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Do not shrink what fails.
    #[arg(long)]
    whole: bool,
    /// Print the last so many lines of a failing run's trace.
    #[arg(long, default_value_t = 60)]
    lines: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let Some((first, end)) = range(&cli.seeds) else {
        eprintln!("sim: --seeds is A..B or one number");
        return ExitCode::from(2);
    };
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let (counts, failed) = play(&cli, first, end);
    report(&counts, started.elapsed());
    for seed in &failed {
        tell(&cli, *seed);
    }
    println!("{} seeds passed, {} failed", counts.seeds - failed.len() as u64, failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn range(text: &str) -> Option<(u64, u64)> {
    if let Some((first, end)) = text.split_once("..") {
        return Some((first.parse().ok()?, end.parse().ok()?));
    }
    let one = text.parse().ok()?;
    Some((one, one + 1))
}

/// Plays the seeds on all threads; gives the counts and the seeds that failed.
fn play(cli: &Cli, first: u64, end: u64) -> (Counts, Vec<u64>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let total = Mutex::new((Counts::default(), Vec::new(), Instant::now()));
    std::thread::scope(|scope| {
        for _ in 0..cli.threads.unwrap_or(cores) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    let (counts, broken) = seed(number);
                    let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    total.0.add(&counts);
                    if let Some(broken) = broken {
                        eprintln!("sim: seed {number}: {}: {}", broken.property, broken.text);
                        total.1.push(number);
                        stop.fetch_or(total.1.len() >= cli.failures, Ordering::Relaxed);
                    }
                    if total.2.elapsed() > Duration::from_secs(10) {
                        total.2 = Instant::now();
                        eprintln!("sim: {} of {} seeds", total.0.seeds, end - first);
                    }
                }
            });
        }
    });
    let (counts, mut failed, _) = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort_unstable();
    (counts, failed)
}

fn report(counts: &Counts, took: Duration) {
    println!(
        "{} seeds in {:.1} s: {} checked steps, {:.1} h simulated, {} requests ({} admitted, {} refused, {} charged), {} calls",
        counts.seeds,
        took.as_secs_f64(),
        counts.steps,
        counts.simulated_ms as f64 / 3_600_000.0,
        counts.requests,
        counts.admitted,
        counts.refused,
        counts.charged,
        counts.calls,
    );
    println!("messages lost, doubled, late or spoilt: {}", counts.mishaps);
    for (kind, count) in FAULTS.iter().zip(counts.faults) {
        println!("{kind}: {count}");
    }
}

/// Says what a failing seed comes down to, and how to play it again.
fn tell(cli: &Cli, seed: u64) {
    let schedule = Schedule::draw(seed);
    println!("\nseed {seed} fails; again: cargo run --release -p sim -- --seeds {seed}");
    if cli.whole {
        return;
    }
    let Some(failure) = explain(schedule, Tamper::Nothing) else { return };
    let from = failure.trace.len().saturating_sub(cli.lines);
    failure.trace.iter().skip(from).for_each(|line| println!("{line}"));
    let schedule = &failure.schedule;
    println!(
        "{} nodes of {} workers, {}, clip {}, {:?}, contention {}, {:?}",
        schedule.nodes,
        schedule.workers,
        schedule.headers,
        schedule.clip,
        schedule.line,
        schedule.contention,
        schedule.accounts
    );
    failure.schedule.steps.iter().for_each(|(at, step)| println!("{at:>9} ms  {step}"));
    println!("{}: {}", failure.broken.property, failure.broken.text);
}

//! One seed is one run is one trace; a run that fails is shrunk by leaving out what it does not need.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Cluster;
use super::report::{Broken, Counts, Trace};
use super::schedule::Schedule;
use super::tamper::Tamper;

/// Runs that shrinking may cost.
const SHRINK_RUNS: usize = 400;

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is left of its schedule.
    pub schedule: Schedule,
    /// What did not hold.
    pub broken: Broken,
    /// What happened.
    pub trace: Vec<String>,
}

/// Plays a seed.
pub fn seed(seed: u64) -> (Counts, Option<Broken>) {
    let (counts, broken, _) = play(Schedule::draw(seed), Tamper::Nothing, Trace::default());
    (counts, broken)
}

/// Plays a schedule with a ledger that may be broken in one way.
pub fn play(schedule: Schedule, tamper: Tamper, trace: Trace) -> (Counts, Option<Broken>, Trace) {
    let mut cluster = Cluster::new(schedule, tamper, trace);
    // What the harness asserts about the host, and what the core panics with, is a finding as any other (I7).
    let played = catch_unwind(AssertUnwindSafe(|| cluster.play()));
    let broken = match played {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Broken::new("I7", text.unwrap_or_default()))
        }
    };
    (cluster.counts, broken, cluster.trace)
}

/// Plays a schedule that fails with ever fewer steps, and once more with a trace.
pub fn explain(mut schedule: Schedule, tamper: Tamper) -> Option<Failure> {
    let fails = |schedule: &Schedule| play(schedule.clone(), tamper, Trace::default()).1;
    let property = fails(&schedule)?.property;
    let mut runs = 0;
    let mut size = schedule.steps.len().div_ceil(2);
    while size > 0 && runs < SHRINK_RUNS {
        let mut at = 0;
        while at < schedule.steps.len() && runs < SHRINK_RUNS {
            let mut fewer = schedule.clone();
            fewer.steps.drain(at..(at + size).min(fewer.steps.len()));
            runs += 1;
            if fails(&fewer).is_some_and(|broken| broken.property == property) {
                schedule = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    let (_, broken, trace) = play(schedule.clone(), tamper, Trace::kept());
    Some(Failure { schedule, broken: broken?, trace: trace.lines().to_vec() })
}

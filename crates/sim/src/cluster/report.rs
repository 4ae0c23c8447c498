//! What a run says of itself: a property that does not hold, the trace that led there, and counts.

use super::schedule::FAULTS;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The property's name (`I1` to `I13` of the protocol; `host` for what the host would not allow).
    pub property: &'static str,
    /// What was seen.
    pub text: String,
}

impl Broken {
    /// A property and what was seen.
    pub const fn new(property: &'static str, text: String) -> Self {
        Self { property, text }
    }
}

/// Says that a property does not hold unless it does.
pub fn ensure(property: &'static str, holds: bool, text: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::new(property, text())) }
}

/// What a run, or many, went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Runs.
    pub seeds: u64,
    /// Events, each followed by a check.
    pub steps: u64,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// Requests sent by clients.
    pub requests: u64,
    /// Requests forwarded upstream with a hold.
    pub admitted: u64,
    /// Requests that the filter refused.
    pub refused: u64,
    /// Requests that the ledger has charged.
    pub charged: u64,
    /// Calls to the ledger.
    pub calls: u64,
    /// Messages that were lost, sent twice, late or spoilt.
    pub mishaps: u64,
    /// Faults by kind.
    pub faults: [u64; FAULTS.len()],
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.seeds, other.seeds),
            (&mut self.steps, other.steps),
            (&mut self.simulated_ms, other.simulated_ms),
            (&mut self.requests, other.requests),
            (&mut self.admitted, other.admitted),
            (&mut self.refused, other.refused),
            (&mut self.charged, other.charged),
            (&mut self.calls, other.calls),
            (&mut self.mishaps, other.mishaps),
        ];
        for (own, more) in pairs {
            *own += more;
        }
        for (own, more) in self.faults.iter_mut().zip(other.faults) {
            *own += more;
        }
    }
}

/// What happened, line by line, where somebody wants to read it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that keeps its lines.
    pub const fn kept() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    /// Notes something at an instant of the run, in microseconds.
    pub fn note(&mut self, at_us: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6} s  {}", at_us as f64 / 1e6, text()));
        }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

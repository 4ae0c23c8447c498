//! A run's plan, drawn from its seed before anything happens: who asks for what, what the operator does, what
//! breaks. Steps can be left out one by one, which is how a failing run is shrunk.

use std::fmt;

use super::market::{CHARGE_MAX, Model, PLANS};
use crate::random::Random;

/// Accounts of a run.
pub const ACCOUNTS_MAX: u64 = 4;
/// Fault kinds, in the order of `Fault::kind`'s index.
pub const FAULTS: [&str; 12] = [
    "cut",
    "slow line",
    "trap",
    "module swap",
    "configuration swap",
    "kill -9",
    "ledger restart",
    "ledger freeze",
    "bad answers",
    "clock jump",
    "node freeze",
    "ledger restore",
];

const RESTORE: usize = 11;

/// Everything that is planned.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The seed it was drawn from.
    pub seed: u64,
    /// Envoy processes.
    pub nodes: usize,
    /// Workers of each.
    pub workers: usize,
    /// `hold` or `stream`.
    pub headers: &'static str,
    /// Whether the last credits are given to one request below its need (M9).
    pub clip: bool,
    /// How the line to the ledger is.
    pub line: Line,
    /// So many of a thousand compare-and-swaps lose their race.
    pub contention: u64,
    /// The accounts, by number.
    pub accounts: Vec<Account>,
    /// What happens when, in milliseconds; in order of time.
    pub steps: Vec<(u64, Step)>,
}

/// How the line between nodes and ledger is, as far as nothing else is planned; probabilities in a thousandth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// Requests lost.
    pub drop_request: u64,
    /// Answers lost.
    pub drop_answer: u64,
    /// Requests that arrive twice.
    pub duplicate: u64,
    /// Calls that take up to several seconds.
    pub late: u64,
    /// The usual latency of one way, at most, in microseconds.
    pub latency_us: u64,
}

/// An account.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Its plan, by number.
    pub plan: usize,
    /// Top-up credits to begin with, in micro-credits.
    pub top_up: i64,
    /// When its billing cycle ends, in milliseconds of the run.
    pub rolls_at_ms: Option<u64>,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client asks.
    Ask(Ask),
    /// The operator does something.
    Operate(Operation),
    /// Something breaks.
    Break(Fault),
}

/// What a client asks for, and what becomes of it upstream.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The node, by its place.
    pub node: usize,
    /// The worker.
    pub worker: usize,
    /// The account.
    pub account: usize,
    /// The model.
    pub model: Model,
    /// Output tokens at most; absent = not stated.
    pub max_tokens: Option<u64>,
    /// Letters of the prompt.
    pub letters: u64,
    /// How the body ends.
    pub end: End,
    /// What the upstream answers.
    pub answer: Answer,
    /// Between the parts of the request, in microseconds.
    pub gap_us: u64,
    /// Until the upstream begins to answer, in microseconds.
    pub think_us: u64,
    /// How long it answers, in microseconds.
    pub answer_us: u64,
    /// When the client leaves, in microseconds after it came.
    pub leaves_us: Option<u64>,
}

impl Ask {
    /// A small request that is answered at once.
    pub const fn probe(node: usize, worker: usize, account: usize) -> Self {
        Self {
            node,
            worker,
            account,
            model: Model::Small,
            max_tokens: Some(1),
            letters: 1,
            end: End::WithData,
            answer: Answer::Document { input: 1, output: 1 },
            gap_us: 1,
            think_us: 1_000,
            answer_us: 1_000,
            leaves_us: None,
        }
    }
}

/// What the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A document with usage.
    Document { input: i64, output: i64 },
    /// Events, the last one with usage.
    Events { input: i64, output: i64 },
    /// A document without usage.
    NoUsage,
    /// 200 with an error in place of an answer.
    Error,
    /// 503 of its own.
    Failure,
    /// No upstream: the host answers.
    Nobody,
    /// It answers the headers before it has the body, where they go ahead.
    Early,
}

/// How the host says that a body has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last piece.
    WithData,
    /// With an empty piece.
    Apart,
    /// In trailers.
    InTrailers,
}

/// What the operator does.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Grants top-up credits.
    TopUp { account: usize, amount: i64 },
    /// Switches a plan.
    Switch { account: usize, plan: usize },
    /// Puts the next version of the catalog in force.
    Publish,
    /// Suspends an account, or lifts that.
    Suspend { account: usize },
    /// Revokes the account's key and creates it anew some seconds later.
    Revoke { account: usize },
}

/// What breaks.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A node does not reach the ledger.
    Cut { node: usize, ms: u64 },
    /// A node's calls take long.
    Slow { node: usize, ms: u64 },
    /// A VM traps: its streams are gone.
    Trap { node: usize, worker: usize },
    /// Another module: VMs drain, others take their place.
    Swap { node: usize },
    /// Another configuration of the same module: the VMs stay, answers under way are lost.
    Reconfigure { node: usize },
    /// A process is killed and another one started.
    Kill { node: usize, back_ms: u64 },
    /// The ledger dies and comes back.
    Restart { ms: u64 },
    /// The ledger stands still.
    Freeze { ms: u64 },
    /// Answers come as garbage, cut short, as somebody else's.
    Garbage { ms: u64 },
    /// A wall clock jumps: a node's, or the ledger's.
    Jump { node: Option<usize>, ms: i64 },
    /// A process stands still.
    Stop { node: usize, ms: u64 },
    /// The ledger comes back from a copy made so long ago.
    Restore { age_ms: u64, ms: u64 },
}

impl Fault {
    /// Its place in [`FAULTS`].
    pub const fn index(self) -> usize {
        match self {
            Self::Cut { .. } => 0,
            Self::Slow { .. } => 1,
            Self::Trap { .. } => 2,
            Self::Swap { .. } => 3,
            Self::Reconfigure { .. } => 4,
            Self::Kill { .. } => 5,
            Self::Restart { .. } => 6,
            Self::Freeze { .. } => 7,
            Self::Garbage { .. } => 8,
            Self::Jump { .. } => 9,
            Self::Stop { .. } => 10,
            Self::Restore { .. } => RESTORE,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(ask) => write!(f, "{ask:?}"),
            Self::Operate(operation) => write!(f, "{operation:?}"),
            Self::Break(fault) => write!(f, "{}: {fault:?}", FAULTS[fault.index()]),
        }
    }
}

impl Schedule {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::of(seed, 1, 0);
        let r = &mut random;
        let nodes = [1, 2, 2, 3, 3][r.index(5)];
        let workers = r.between(1, 2) as usize;
        // Some runs are short and dense, a few are long.
        let span_ms = if r.happens(100) { r.between(60_000, 240_000) } else { r.between(2_000, 30_000) };
        let long = r.happens(20);
        let mut schedule = Self {
            seed,
            nodes,
            workers,
            headers: if r.happens(500) { "hold" } else { "stream" },
            clip: r.happens(700),
            line: line(r),
            contention: [0, 0, 20, 200][r.index(4)],
            accounts: Vec::new(),
            steps: Vec::new(),
        };
        for _ in 0..r.between(1, ACCOUNTS_MAX) {
            schedule.accounts.push(account(r, span_ms));
        }
        let asks = r.between(5, 60);
        for _ in 0..asks {
            let at = r.below(span_ms);
            let ask = schedule.ask(r, long);
            schedule.steps.push((at, Step::Ask(ask)));
        }
        for _ in 0..r.below(8) {
            let operation = schedule.operation(r);
            schedule.steps.push((r.below(span_ms), Step::Operate(operation)));
        }
        schedule.add_faults(r, span_ms);
        schedule.steps.sort_by_key(|(at, _)| *at);
        schedule
    }

    /// Every run has its own few kinds of faults, so that rare combinations come up too.
    fn add_faults(&mut self, r: &mut Random, span_ms: u64) {
        if r.happens(100) {
            return;
        }
        let kinds: Vec<usize> = (0..FAULTS.len()).filter(|_| r.happens(300)).collect();
        for _ in 0..r.below(8) {
            if kinds.is_empty() {
                return;
            }
            let kind = kinds[r.index(kinds.len())];
            let fault = self.fault(r, kind);
            // One restore in a run: after two within a minute, events of a lane whose node the second copy has
            // open wait until it is closed.
            let is_restore = |step: &Step| matches!(step, Step::Break(Fault::Restore { .. }));
            if kind == RESTORE && self.steps.iter().any(|(_, step)| is_restore(step)) {
                continue;
            }
            self.steps.push((r.below(span_ms), Step::Break(fault)));
        }
    }

    fn ask(&self, r: &mut Random, long: bool) -> Ask {
        let model = [Model::Small, Model::Small, Model::Large, Model::Large, Model::Search][r.index(5)];
        let max_tokens = match r.below(10) {
            0 => None,
            1 => Some(r.between(20_000, 900_000)),
            _ => Some(r.between(1, 2_000)),
        };
        let (input, output) = (tokens(r), tokens(r));
        let answer = match r.below(20) {
            0..=7 => Answer::Document { input, output },
            8..=14 => Answer::Events { input, output },
            15 => Answer::NoUsage,
            16 => Answer::Error,
            17 => Answer::Failure,
            18 => Answer::Nobody,
            _ => Answer::Early,
        };
        let answer_us = match r.below(40) {
            0 if long => r.between(60_000_000, 1_800_000_000),
            0..=4 => r.spread(1_000_000, 20_000_000),
            _ => r.spread(1_000, 1_500_000),
        };
        let whole = answer_us + 2_000_000;
        Ask {
            node: r.index(self.nodes),
            worker: r.index(self.workers),
            account: r.index(self.accounts.len()),
            model,
            max_tokens,
            letters: r.spread(1, 4_000),
            end: [End::WithData, End::Apart, End::InTrailers][r.index(3)],
            answer,
            gap_us: r.spread(1, 200_000),
            think_us: r.spread(1_000, 2_000_000),
            answer_us,
            leaves_us: r.happens(150).then(|| r.spread(1_000, whole)),
        }
    }

    fn operation(&self, r: &mut Random) -> Operation {
        let account = r.index(self.accounts.len());
        match r.below(12) {
            0..=5 => Operation::TopUp { account, amount: amount(r) },
            6..=8 => Operation::Switch { account, plan: r.index(PLANS.len()) },
            9 => Operation::Publish,
            10 => Operation::Suspend { account },
            _ => Operation::Revoke { account },
        }
    }

    fn fault(&self, r: &mut Random, kind: usize) -> Fault {
        let (node, worker) = (r.index(self.nodes), r.index(self.workers));
        match kind {
            0 => Fault::Cut { node, ms: [r.between(100, 5_000), 30_000, 90_000][r.index(3)] },
            1 => Fault::Slow { node, ms: r.between(500, 20_000) },
            2 => Fault::Trap { node, worker },
            3 => Fault::Swap { node },
            4 => Fault::Reconfigure { node },
            5 => Fault::Kill { node, back_ms: r.between(200, 10_000) },
            6 => Fault::Restart { ms: r.spread(10, 20_000) },
            7 => Fault::Freeze { ms: r.spread(100, 20_000) },
            8 => Fault::Garbage { ms: r.spread(100, 10_000) },
            9 => {
                let ms = i64::try_from(r.spread(1, 7_200_000)).unwrap_or(0);
                let node = r.happens(600).then_some(node);
                Fault::Jump { node, ms: if r.happens(500) { ms } else { -ms } }
            }
            10 => Fault::Stop { node, ms: [r.between(100, 5_000), 40_000, 90_000][r.index(3)] },
            _ => Fault::Restore { age_ms: r.spread(10, 30_000), ms: r.spread(10, 10_000) },
        }
    }
}

fn line(r: &mut Random) -> Line {
    let latency_us = [200, 5_000, 30_000, 300_000][r.index(4)];
    if r.happens(300) {
        return Line { latency_us, ..Line::default() };
    }
    let mut odds = |max: u64| if r.happens(500) { r.between(1, max) } else { 0 };
    Line {
        drop_request: odds(200),
        drop_answer: odds(200),
        duplicate: odds(200),
        late: odds(100),
        latency_us,
    }
}

fn account(r: &mut Random, span_ms: u64) -> Account {
    Account {
        plan: r.index(PLANS.len()),
        top_up: if r.happens(600) { amount(r) } else { 0 },
        rolls_at_ms: r.happens(300).then(|| r.below(span_ms)),
    }
}

/// From next to nothing to plenty.
fn amount(r: &mut Random) -> i64 {
    i64::try_from(r.spread(1, 60_000_000)).unwrap_or(1)
}

fn tokens(r: &mut Random) -> i64 {
    let most = if r.happens(10) { CHARGE_MAX as u64 } else { 3_000 };
    i64::try_from(r.spread(1, most)).unwrap_or(1) - 1
}

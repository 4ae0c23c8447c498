//! The simulator: N nodes of W workers, the real cores on both sides, one seed, one run.
//!
//! `schedule` draws what is to happen; `traffic` plays clients and upstreams, `line` the network, `faults` what
//! breaks and what the operator does. `books` and `check` hold every step against records that are not ours.

mod books;
mod check;
mod faults;
mod ledger;
mod line;
mod market;
mod report;
mod run;
mod schedule;
mod site;
mod tamper;
mod traffic;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use edge::Config;
use wire::NodeId;

use books::Books;
use ledger::Ledger;
use schedule::Step;
use site::Site;
use traffic::{Fate, Run};

pub use report::{Broken, Counts, Trace};
pub use run::{Failure, explain, play, seed};
pub use schedule::{FAULTS, Schedule};
pub use tamper::Tamper;

use crate::random::Random;

/// How often a root ticks, in microseconds; when nothing but long streams is left, how often.
const TICK_US: u64 = 250_000;
const SLOW_TICK_US: u64 = 1_000_000;
/// How long after the last step everything still ticks at its usual pace, in microseconds.
const LIVELY_US: u64 = 8_000_000;
/// When all faults are over: how long until rings must be empty (I6: 3 s until a lane is taken for silent, a second
/// until somebody looks, one until it is sent, and answers).
const SETTLE_US: u64 = 6_000_000;
/// Between two requests that are sent when all is over, in microseconds.
const PROBE_US: u64 = 4_000_000;
/// No run has more events: more would be a circle.
const EVENTS_MAX: u64 = 3_000_000;

/// Something that happens at an instant.
#[derive(Clone, Debug)]
enum Event {
    /// A step of the schedule.
    Step(usize),
    /// The roots of a node tick.
    Tick(usize),
    /// The ledger's own work.
    LedgerTick,
    /// A call arrives.
    Arrive(Box<line::Parcel>),
    /// An answer arrives, or the host gives a call up.
    Answer(u64, Option<(u32, Vec<u8>)>),
    /// A client or an upstream sends its next part.
    Part(usize),
    /// A client leaves.
    Leave(usize),
    /// A process starts.
    Boot(usize),
    /// A client asks when all is over.
    Probe(Box<schedule::Ask>),
    /// A copy of the book is made, for a restore to come.
    Copy,
}

/// A run.
pub struct Cluster {
    schedule: Schedule,
    config: Rc<Config>,
    now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    ledger: Ledger,
    sites: Vec<Option<Site>>,
    processes: u64,
    runs: Vec<Run>,
    by_request: HashMap<String, usize>,
    pending: HashMap<u64, line::Pending>,
    calls: u64,
    garbage_until_us: u64,
    lively_until_us: u64,
    is_healed: bool,
    /// Requests sent when all was over, to see whether everything serves again.
    probes: Option<std::ops::Range<usize>>,
    books: Books,
    restores: u64,
    /// Node ids whose leases went with a ledger that was restored.
    void: HashSet<NodeId>,
    /// Charged beyond holds, by account.
    overshoot: HashMap<String, i64>,
    /// Nodes that something was done to since the last check.
    touched: Vec<usize>,
    /// What is left to be counted.
    pub counts: Counts,
    /// What happened.
    pub trace: Trace,
}

impl Cluster {
    /// A run that has not begun.
    pub fn new(schedule: Schedule, tamper: Tamper, trace: Trace) -> Self {
        let config = crate::config(schedule.headers, "");
        let config = Rc::new(Config::parse(config.as_bytes()).expect("configuration"));
        let mut cluster = Self {
            config,
            now_us: 0,
            events: BTreeMap::new(),
            numbered: 0,
            ledger: Ledger::new(schedule.clip),
            sites: Vec::new(),
            processes: 0,
            runs: Vec::new(),
            by_request: HashMap::new(),
            pending: HashMap::new(),
            calls: 0,
            garbage_until_us: 0,
            lively_until_us: schedule.steps.last().map_or(0, |(at, _)| at * 1_000) + LIVELY_US,
            is_healed: false,
            probes: None,
            books: Books::default(),
            restores: 0,
            void: HashSet::new(),
            overshoot: HashMap::new(),
            touched: Vec::new(),
            counts: Counts { seeds: 1, ..Counts::default() },
            trace,
            schedule,
        };
        cluster.ledger.tamper = tamper;
        cluster.begin();
        cluster
    }

    fn begin(&mut self) {
        for (number, account) in self.schedule.accounts.clone().iter().enumerate() {
            let id = format!("acct{number}");
            // A cycle of 30 days ends at that moment.
            let created_at = account.rolls_at_ms.map(|at| {
                crate::BEGIN_MS + i64::try_from(at).expect("a time of this age") - 30 * 24 * 3_600_000
            });
            self.ledger.open(0, &id, market::PLANS[account.plan].0, created_at);
            if account.top_up > 0 {
                self.ledger.top_up(0, &id, account.top_up);
            }
        }
        for node in 0..self.schedule.nodes {
            self.sites.push(None);
            self.boot(node);
        }
        self.at(500_000, Event::LedgerTick);
        for (step, (at_ms, what)) in self.schedule.steps.clone().iter().enumerate() {
            self.events.insert((at_ms * 1_000, self.numbered), Event::Step(step));
            self.numbered += 1;
            if let Step::Break(schedule::Fault::Restore { age_ms, .. }) = what {
                let at_us = at_ms.saturating_sub(*age_ms) * 1_000;
                self.events.insert((at_us, self.numbered), Event::Copy);
                self.numbered += 1;
            }
        }
    }

    /// Plans something after so many microseconds.
    fn at(&mut self, after_us: u64, event: Event) {
        self.numbered += 1;
        self.events.insert((self.now_us + after_us, self.numbered), event);
    }

    /// Notes that something was done to a node.
    fn touch(&mut self, node: usize) {
        if !self.touched.contains(&node) {
            self.touched.push(node);
        }
    }

    /// Starts a process.
    fn boot(&mut self, node: usize) {
        let mut random = Random::of(self.schedule.seed, 3, self.processes);
        self.processes += 1;
        let (workers, config) = (self.schedule.workers, Rc::clone(&self.config));
        let site = Site::boot(self.processes, workers, &config, self.now_us, &mut random);
        if self.schedule.contention > 0 {
            let contention = Random::of(self.schedule.seed, 4, self.processes);
            site.node.shared.contend(contention, self.schedule.contention);
        }
        self.sites[node] = Some(site);
        let phase = random.below(TICK_US);
        self.at(phase, Event::Tick(node));
    }

    /// Plays the run to its end and checks every step; the first property that does not hold ends it.
    pub fn play(&mut self) -> Result<(), Broken> {
        while let Some(((at_us, _), event)) = self.events.pop_first() {
            self.now_us = at_us;
            self.counts.steps += 1;
            self.counts.simulated_ms = self.now_us / 1_000;
            if self.counts.steps > EVENTS_MAX {
                return Err(Broken::new("host", "the run does not end".to_owned()));
            }
            for site in self.sites.iter_mut().flatten() {
                site.set_clocks(at_us);
            }
            self.happen(event)?;
            self.follow_up()?;
            if !self.is_healed && self.is_over() {
                self.heal();
            }
            if self.is_healed && self.now_us >= self.lively_until_us && self.is_over() {
                self.check_at_rest()?;
                if self.probes.is_some() {
                    return self.check_probes();
                }
                self.probe();
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Step(step) => {
                let step = self.schedule.steps[step].1.clone();
                self.trace.note(self.now_us, || step.to_string());
                match step {
                    Step::Ask(ask) => self.open(ask),
                    Step::Operate(operation) => self.operate(operation),
                    Step::Break(fault) => self.break_down(fault)?,
                }
            }
            Event::Tick(node) => self.tick(node),
            Event::LedgerTick => {
                if self.ledger.down_until_us <= self.now_us && self.ledger.frozen_until_us <= self.now_us {
                    self.ledger.tick(self.now_us);
                }
                self.at(1_000_000, Event::LedgerTick);
            }
            Event::Arrive(parcel) => self.arrive(parcel)?,
            Event::Answer(call, answer) => self.answered(call, answer.as_ref()),
            Event::Part(run) => self.part(run)?,
            Event::Leave(run) => self.leave(run),
            Event::Boot(node) => self.boot(node),
            Event::Probe(ask) => self.open(*ask),
            Event::Copy => self.ledger.copies.push(Rc::new(self.ledger.book.clone())),
        }
        Ok(())
    }

    fn tick(&mut self, node: usize) {
        let Some(site) = self.sites[node].as_mut() else { return };
        if site.stopped_until_us <= self.now_us {
            for vm in site.all_vms() {
                site.node.tick(vm);
            }
            self.touch(node);
        }
        let lively = self.now_us < self.lively_until_us;
        self.at(if lively { TICK_US } else { SLOW_TICK_US }, Event::Tick(node));
    }

    /// What follows from a step at once: calls go out, requests are decided, VMs without streams end; then all is
    /// checked.
    fn follow_up(&mut self) -> Result<(), Broken> {
        let touched = std::mem::take(&mut self.touched);
        for node in &touched {
            self.end_drained(*node);
            self.send_calls(*node);
            if let Some(site) = self.sites[*node].as_mut() {
                site.learn_ids();
            }
            self.admissions(*node)?;
            self.decisions(*node)?;
        }
        self.touched.clear();
        self.check_step(&touched)
    }

    /// Asks once more on every node, one after the other, for an account that has credits.
    fn probe(&mut self) {
        let first = self.runs.len();
        let accounts: Vec<usize> = (0..self.schedule.accounts.len()).filter(|n| self.can_pay(*n)).collect();
        let mut after_us = 0;
        for (node, account) in (0..self.schedule.nodes).zip(accounts.iter().cycle()) {
            let ask = schedule::Ask::probe(node, self.schedule.workers - 1, *account);
            self.at(after_us, Event::Probe(Box::new(ask)));
            after_us += PROBE_US;
        }
        self.probes = Some(first..first + usize::from(after_us > 0) * self.schedule.nodes);
        self.lively_until_us = self.now_us + after_us + SETTLE_US;
    }

    /// Whether all steps are done and all streams have ended.
    fn is_over(&self) -> bool {
        let steps = self
            .events
            .values()
            .any(|event| matches!(event, Event::Step(_) | Event::Boot(_) | Event::Probe(_)));
        !steps && self.runs.iter().all(|run| run.fate != Fate::Open)
    }

    /// All faults are over: what is left must come right by itself.
    fn heal(&mut self) {
        self.trace.note(self.now_us, || {
            "all steps are done, all streams have ended, all faults are over".to_owned()
        });
        self.is_healed = true;
        self.garbage_until_us = 0;
        self.ledger.down_until_us = self.ledger.down_until_us.min(self.now_us);
        self.ledger.frozen_until_us = self.ledger.frozen_until_us.min(self.now_us);
        for site in self.sites.iter_mut().flatten() {
            (site.cut_until_us, site.slow_until_us) = (0, 0);
            site.stopped_until_us = site.stopped_until_us.min(self.now_us);
        }
        self.lively_until_us = self.now_us + SETTLE_US;
    }
}

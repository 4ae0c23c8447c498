//! A node in a box: the workers of one Envoy, its shared data, and the real book as its ledger.
//!
//! Time moves only when a test says so; everything is deterministic. Calls are answered at once unless the
//! ledger is slow, down, silent, or its answer is dropped. `host` is what Envoy does with a stream.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness may fail loudly")]

mod host;

use std::cell::RefCell;
use std::rc::Rc;

use book::command::{grant, key, open};
use book::memory::Memory as Book;
use edge::record::{RECORD_BYTES, Record};
use edge::shared::{SharedData, Stale};
use edge::testing::Memory;
use edge::{CallAnswer, CallKind, Config, Edge, Effect, Now, Waker};
use wire::SyncResponse;

pub use host::{Client, Seen};

/// A day in 2026, in milliseconds since 1970.
pub const BEGIN_MS: i64 = 1_780_000_000_000;
/// The catalog of most tests.
pub const CATALOG: &str = include_str!("../../../envoy/catalogs/modelstack.yaml");
const TICK_US: u64 = 250_000;

/// A change of the ledger's answers.
pub type Tamper = Box<dyn FnMut(&mut SyncResponse)>;

/// How the ledger behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ledger {
    /// Calls are answered.
    #[default]
    Up,
    /// Calls fail before they arrive.
    Down,
    /// Calls arrive and are carried out; the answer is lost and the host says so.
    Deaf,
    /// Calls arrive and are carried out; nobody ever hears of them again (their root has gone).
    Silent,
}

/// An answer on its way: when it is due, the worker, the call, and the body unless it failed.
struct Answer {
    due_us: u64,
    worker: usize,
    kind: CallKind,
    body: Option<Vec<u8>>,
}

/// The node and its ledger.
pub struct World {
    /// The host's shared data.
    pub shared: Rc<Memory>,
    /// One VM each.
    pub workers: Vec<RefCell<Edge>>,
    /// The plugin's configuration.
    pub config: Rc<Config>,
    /// The ledger's book.
    pub book: Book,
    /// How calls fare.
    pub ledger: Ledger,
    /// How long an answer takes; 0 = it is there at once.
    pub delay_us: u64,
    /// The ledger generation, where it is not the book's own.
    pub generation: Option<String>,
    /// Changes the ledger's answers.
    pub tamper: Option<Tamper>,
    /// Calls made so far.
    pub calls: usize,
    /// Sync requests, as sent.
    pub syncs: Vec<wire::SyncRequest>,
    /// The monotonic clock, in microseconds.
    pub now_us: u64,
    /// All streams, in the order of their opening.
    pub streams: Vec<Client>,
    /// What the edge logged as warnings.
    pub warnings: Vec<String>,
    answers: Vec<Answer>,
    next_context: u32,
    next_seed: u8,
}

/// The host's shared data, as a worker sees it.
pub struct Handle<'a>(pub &'a Memory);

impl SharedData for Handle<'_> {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.0.get(key)
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        self.0.set(key, value, version)
    }
}

/// A configuration in a header mode, with further members.
pub fn config(headers: &str, further: &str) -> String {
    format!(
        r#"{{"ledger":{{"cluster":"l"}},"headers":"{headers}","routes":[{{"path":"/v1/search","action":{{"flat":"search"}}}}]{further}}}"#
    )
}

impl World {
    /// A node of so many workers in a header mode.
    pub fn new(workers: usize, headers: &str) -> Self {
        Self::with(workers, &config(headers, ""), CATALOG)
    }

    /// A node with a configuration and a catalog of its own.
    pub fn with(workers: usize, config: &str, catalog: &str) -> Self {
        let mut world = Self {
            shared: Rc::new(Memory::default()),
            workers: Vec::new(),
            config: Rc::new(Config::parse(config.as_bytes()).expect("configuration")),
            book: Book::new(tariff::source::load(catalog).expect("catalog")),
            ledger: Ledger::Up,
            delay_us: 0,
            generation: None,
            tamper: None,
            calls: 0,
            syncs: Vec::new(),
            now_us: 1_000_000_000,
            streams: Vec::new(),
            warnings: Vec::new(),
            answers: Vec::new(),
            next_context: 1,
            next_seed: 1,
        };
        for _ in 0..workers {
            let edge = world.vm();
            world.workers.push(RefCell::new(edge));
        }
        world
    }

    /// A VM that has just begun.
    fn vm(&mut self) -> Edge {
        let seed = self.next_seed;
        self.next_seed += 1;
        Edge::new("t", 1_024, seed.into(), [seed; 16])
    }

    /// A worker's VM ends, and another one takes its place: all streams on it are gone without a trace.
    pub fn replace_vm(&mut self, worker: usize) {
        let edge = self.vm();
        self.workers[worker] = RefCell::new(edge);
        for client in self.streams.iter_mut().filter(|client| client.worker == worker) {
            client.over = true;
        }
        self.answers.retain(|answer| answer.worker != worker);
    }

    /// The moment.
    pub fn now(&self) -> Now {
        Now { mono_us: self.now_us, wall_ms: self.wall() }
    }

    fn wall(&self) -> i64 {
        BEGIN_MS + i64::try_from(self.now_us / 1_000).unwrap()
    }

    /// The moment as the ledger has it.
    pub fn book_now(&self) -> book::Now {
        book::Now { wall: self.wall(), up: i64::try_from(self.now_us / 1_000).unwrap() }
    }

    /// An account with a key of the same name.
    pub fn account(&mut self, id: &str, plan: &str) {
        let now = self.book_now();
        let new = open::NewAccount { id: id.to_owned(), plan: plan.to_owned(), created_at: None };
        open::open(&mut self.book, now, &new).expect("account");
        let digest = edge::credential::digest(format!("key-{id}").as_bytes()).expect("digest");
        let key = key::NewKey {
            account: id.to_owned(),
            id: format!("k-{id}"),
            digest,
            name: None,
            models: None,
            expires_at: None,
        };
        key::create(&mut self.book, now, &key).expect("key");
    }

    /// Grants top-up credits.
    pub fn top_up(&mut self, id: &str, credits: &str, reference: &str) {
        let amount = tariff::Micros::parse(credits).expect("amount");
        let new = grant::NewGrant {
            account: id.to_owned(),
            pool: "topup".to_owned(),
            amount,
            expires_at: None,
            reference: reference.to_owned(),
        };
        let now = self.book_now();
        grant::grant(&mut self.book, now, &new).expect("grant");
    }

    /// Lets time pass, with ticks every 250 ms.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_us + ms * 1_000;
        while self.now_us < end {
            let tick = (self.now_us / TICK_US + 1) * TICK_US;
            let due = self.answers.iter().map(|answer| answer.due_us).min().unwrap_or(u64::MAX);
            self.now_us = tick.min(end).min(due.max(self.now_us + 1));
            self.deliver();
            if self.now_us == tick {
                self.tick();
            }
        }
    }

    fn tick(&mut self) {
        let now = self.book_now();
        book::command::run_due(&mut self.book, now, 100).expect("due");
        for node in book::command::node::close_silent(&mut self.book, now).expect("nodes") {
            book::command::node::take_home(&mut self.book, now, node, usize::MAX).expect("leases");
        }
        for worker in 0..self.workers.len() {
            let now = self.now();
            self.workers[worker].borrow_mut().tick(&Handle(&self.shared), &self.config, now);
            self.run();
        }
    }

    /// Hands over the answers that are due.
    fn deliver(&mut self) {
        while let Some(at) = self.answers.iter().position(|answer| answer.due_us <= self.now_us) {
            let answer = self.answers.remove(at);
            self.hear(answer);
            self.run();
        }
    }

    /// Carries out effects until none are left.
    pub fn run(&mut self) {
        for _ in 0..300 {
            let mut busy = false;
            for worker in 0..self.workers.len() {
                let effects = self.workers[worker].borrow_mut().take_effects();
                busy |= !effects.is_empty();
                for effect in effects {
                    self.carry_out(worker, effect);
                }
            }
            if !busy {
                return;
            }
        }
        panic!("effects never end");
    }

    fn carry_out(&mut self, worker: usize, effect: Effect) {
        let now = self.now();
        match effect {
            Effect::Wake { queue } => {
                let woken = self.workers.iter().position(|edge| edge.borrow().queue() == queue);
                if let Some(woken) = woken {
                    let mut edge = self.workers[woken].borrow_mut();
                    let by = if woken == worker { Waker::Own } else { Waker::Other };
                    edge.woken(&Handle(&self.shared), &self.config, by, now);
                }
            }
            Effect::Warn(text) => self.warnings.push(text),
            Effect::Resume { context, verdict } => self.resumed(worker, context, *verdict),
            Effect::Reply { context, reply } => self.replied(worker, context, reply),
            Effect::Call { kind, path, body, .. } => self.call(worker, kind, &path, &body),
        }
    }

    fn call(&mut self, worker: usize, kind: CallKind, path: &str, body: &[u8]) {
        self.calls += 1;
        let ledger = self.ledger;
        let body = (ledger != Ledger::Down).then(|| self.ledger_answers(kind, path, body));
        let body = body.filter(|_| ledger == Ledger::Up);
        let answer = Answer { due_us: self.now_us + self.delay_us, worker, kind, body };
        match (ledger, self.delay_us) {
            (Ledger::Silent, _) => {}
            (_, 0) => self.hear(answer),
            _ => self.answers.push(answer),
        }
    }

    fn hear(&mut self, answer: Answer) {
        let now = self.now();
        let mut edge = self.workers[answer.worker].borrow_mut();
        let heard = answer.body.as_ref().map(|body| CallAnswer { status: 200, marked: true, body });
        edge.call_answered(&Handle(&self.shared), answer.kind, heard, now);
        edge.call_if_due(&Handle(&self.shared), &self.config, now);
    }

    fn ledger_answers(&mut self, kind: CallKind, path: &str, body: &[u8]) -> Vec<u8> {
        if path == wire::SYNC_PATH {
            let mut request: wire::SyncRequest = serde_json::from_slice(body).expect("a sync request");
            if self.generation.is_some() && request.generation == self.generation {
                use book::Tx as _;
                request.generation = Some(self.book.generation().to_owned());
            }
            let now = self.book_now();
            let mut response = book::sync::sync(&mut self.book, now, &request).expect("a sync answer");
            response.generation = self.generation.clone().unwrap_or(response.generation);
            self.syncs.push(request);
            if let Some(tamper) = &mut self.tamper {
                tamper(&mut response);
            }
            return serde_json::to_vec(&response).unwrap();
        }
        let version: u64 = path.rsplit('=').next().unwrap().parse().unwrap_or_else(|_| panic!("{kind:?}"));
        use book::Tx as _;
        let catalog = self.book.catalog(version).unwrap().expect("a known version");
        serde_json::to_vec(&catalog.edge(version)).unwrap()
    }

    /// What an account was charged in all, in micro-credits.
    pub fn charged(&self, id: &str) -> i64 {
        self.charge_entries(id).map(|charge| charge.amount.get()).sum()
    }

    /// The number of charges of an account.
    pub fn charges(&self, id: &str) -> usize {
        self.charge_entries(id).count()
    }

    /// The charges of an account.
    pub fn charge_entries(&self, id: &str) -> impl Iterator<Item = &book::entry::Charge> {
        self.book.journal.iter().filter(move |entry| entry.account.as_str() == id).filter_map(|entry| {
            match &entry.kind {
                book::EntryKind::Charge(charge) => Some(&**charge),
                _ => None,
            }
        })
    }

    /// Every account record in shared data.
    pub fn records(&self) -> Vec<Record> {
        let values = self.shared.values("t/1/acct/");
        let decode = |value: &Vec<u8>| {
            value.chunks_exact(RECORD_BYTES).map(|bytes| Record::decode(bytes).expect("record")).collect()
        };
        values.iter().flat_map(|value| -> Vec<Record> { decode(value) }).collect()
    }

    /// The record of an account; the latest, where nodes have followed one another.
    pub fn record(&self, account: &str) -> Record {
        let records = self.records().into_iter().filter(|record| record.account == account);
        records.max_by_key(|record| record.node).expect("a record")
    }

    /// Asserts the book's own invariants and that its fold is what it keeps.
    pub fn check(&self) {
        for (id, account) in &self.book.accounts {
            assert_eq!(book::invariant::broken(account), None, "{id}");
            assert_eq!(self.book.rebuilt(id.as_str()).as_ref(), Some(account), "{id}");
        }
    }

    /// Asserts that nothing is held anywhere and no stream is undecided (I4, I6).
    pub fn check_at_rest(&self) {
        for record in self.records() {
            assert_eq!(record.open, 0, "{record:?}");
            assert!(record.cells.iter().all(|cell| cell.held == 0), "{record:?}");
        }
        for (worker, edge) in self.workers.iter().enumerate() {
            assert_eq!(edge.borrow().open(), 0, "worker {worker}");
        }
        for client in &self.streams {
            assert!(client.over, "{client:?}");
        }
        self.check();
    }
}

/// An answer with usage.
pub fn usage(prompt: u64, completion: u64) -> String {
    let total = prompt + completion;
    format!(
        r#"{{"id":"x","object":"chat.completion","model":"claude-sonnet-4.5","choices":[],"usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}}}"#
    )
}

/// A request body.
pub fn ask(model: &str, max_tokens: u64) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

/// A request body for a streamed answer, without `include_usage`.
pub fn ask_stream(model: &str, max_tokens: u64) -> String {
    format!(
        r#"{{"model":"{model}","stream":true,"max_tokens":{max_tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

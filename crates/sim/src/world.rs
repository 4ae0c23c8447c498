//! A node in a box: the workers of one Envoy, its shared data, and the real book as its ledger.
//!
//! Time moves only when a test says so; everything is deterministic. Calls are answered at once unless the
//! ledger is slow, down, silent, or its answer is dropped.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use book::command::{grant, key, open};
use book::memory::Memory as Book;
use edge::effect::HeaderEdit;
use edge::testing::Trap;
use edge::{CallAnswer, CallKind, Config, Origin};
use wire::SyncResponse;

use crate::node::{Call, Node};
use crate::{BEGIN_MS, CATALOG, config};

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
    /// The Envoy process; what is said to the world and not found there is said to it.
    pub node: Node,
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
    answers: Vec<Answer>,
}

impl Deref for World {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

impl World {
    /// A node of so many workers in a header mode.
    pub fn new(workers: usize, headers: &str) -> Self {
        Self::with(workers, &config(headers, ""), CATALOG)
    }

    /// A node with a configuration and a catalog of its own.
    pub fn with(workers: usize, config: &str, catalog: &str) -> Self {
        let config = Rc::new(Config::parse(config.as_bytes()).expect("configuration"));
        Self {
            node: Node::new(workers, config, 1_000_000_000, BEGIN_MS, 1),
            book: Book::new(tariff::source::load(catalog).expect("catalog")),
            ledger: Ledger::Up,
            delay_us: 0,
            generation: None,
            tamper: None,
            calls: 0,
            syncs: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// A worker's VM ends, and another one takes its place: all streams on it are gone without a trace.
    pub fn replace_vm(&mut self, worker: usize) {
        self.node.replace_vm(worker);
        self.answers.retain(|answer| answer.worker != worker);
    }

    /// A worker does something and traps instead of its `calls`-th call of shared data: its VM ends and another
    /// one takes its place. False where it came through with fewer calls.
    pub fn trap(&mut self, worker: usize, calls: usize, act: impl FnOnce(&mut Self)) -> bool {
        self.shared.burn(Some(calls));
        let ended = catch_unwind(AssertUnwindSafe(|| act(self)));
        self.shared.burn(None);
        let trapped = ended.is_err_and(|cause| match cause.downcast::<Trap>() {
            Ok(_) => true,
            Err(cause) => resume_unwind(cause),
        });
        if trapped {
            self.replace_vm(worker);
        }
        trapped
    }

    /// The moment as the ledger has it.
    pub fn book_now(&self) -> book::Now {
        book::Now { wall: self.wall(), up: i64::try_from(self.now_us / 1_000).unwrap() }
    }

    /// An account with a key of the same name.
    pub fn account(&mut self, id: &str, plan: &str) {
        let now = self.book_now();
        let new =
            open::NewAccount { id: id.to_owned(), plan: plan.to_owned(), ..open::NewAccount::default() };
        open::open(&mut self.book, now, &new).expect("account");
        let digest = edge::request::credential::digest(format!("key-{id}").as_bytes()).expect("digest");
        let key = key::NewKey {
            account: id.to_owned(),
            id: format!("k-{id}"),
            digest,
            name: None,
            auth_class: None,
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
            self.node.tick(worker);
            self.run();
        }
    }

    /// Hands over the answers that are due.
    fn deliver(&mut self) {
        while let Some(at) = self.answers.iter().position(|answer| answer.due_us <= self.now_us) {
            let answer = self.answers.remove(at);
            self.hand_over(answer);
            self.run();
        }
    }

    /// Carries out what the node wants done until nothing is left.
    pub fn run(&mut self) {
        for _ in 0..300 {
            self.node.run();
            let calls = std::mem::take(&mut self.node.outbox);
            if calls.is_empty() {
                return;
            }
            calls.into_iter().for_each(|call| self.call(call));
        }
        panic!("calls never end");
    }

    fn call(&mut self, call: Call) {
        self.calls += 1;
        let (ledger, worker, kind) = (self.ledger, call.worker, call.kind);
        let body = (ledger != Ledger::Down).then(|| self.ledger_answers(kind, &call.path, &call.body));
        let body = body.filter(|_| ledger == Ledger::Up);
        let answer = Answer { due_us: self.now_us + self.delay_us, worker, kind, body };
        match (ledger, self.delay_us) {
            (Ledger::Silent, _) => {}
            (_, 0) => self.hand_over(answer),
            _ => self.answers.push(answer),
        }
    }

    fn hand_over(&mut self, answer: Answer) {
        let heard = answer.body.as_ref().map(|body| CallAnswer { status: 200, marked: true, body });
        self.node.hear(answer.worker, answer.kind, heard);
    }

    fn ledger_answers(&mut self, kind: CallKind, path: &str, body: &[u8]) -> Vec<u8> {
        if path == wire::SYNC_PATH {
            let mut request: wire::SyncRequest = serde_json::from_slice(body).expect("a sync request");
            if let Some(own) = &self.generation {
                use book::Tx as _;
                // The book has one name for itself: whoever knew it before knew another ledger.
                let name = |known: String| if known == *own { self.book.generation() } else { "another" };
                request.generation = request.generation.map(|known| name(known).to_owned());
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

    /// Asserts the book's own invariants and that its fold is what it keeps.
    pub fn check(&self) {
        for (id, account) in &self.book.accounts {
            assert_eq!(book::invariant::broken(account), None, "{id}");
            assert_eq!(self.book.rebuilt(id.as_str()).as_ref(), Some(account), "{id}");
        }
    }

    /// Asserts that nothing is held anywhere and no stream is undecided (I4, I6).
    pub fn check_at_rest(&self) {
        self.node.check_at_rest();
        self.check();
    }
}

/// What happens to a stream, with all that follows from it at the ledger.
impl World {
    /// See [`Node::chat`].
    pub fn chat(&mut self, worker: usize, account: &str, body: &str) -> usize {
        let stream = self.chat_headers(worker, account, body);
        self.body(stream);
        stream
    }

    /// See [`Node::chat_headers`].
    pub fn chat_headers(&mut self, worker: usize, account: &str, body: &str) -> usize {
        let stream = self.node.chat_headers(worker, account, body);
        self.run();
        stream
    }

    /// See [`Node::get`].
    pub fn get(&mut self, worker: usize, account: &str, path: &str) -> usize {
        let stream = self.node.get(worker, account, path);
        self.run();
        stream
    }

    /// A client of an account posts a body to the first worker, with these headers beside the usual ones.
    pub fn post(&mut self, account: &str, path: &str, further: &[(&str, &str)], body: &[u8]) -> usize {
        let (authorization, length) = (format!("Bearer key-{account}"), body.len().to_string());
        let mut headers = vec![
            (":method", "POST"),
            (":path", path),
            ("authorization", &*authorization),
            ("content-length", &*length),
        ];
        headers.extend(further);
        let stream = self.open(0, &headers, false, body.to_vec());
        self.body(stream);
        stream
    }

    /// See [`Node::open`].
    pub fn open(&mut self, worker: usize, headers: &[(&str, &str)], end: bool, body: Vec<u8>) -> usize {
        let stream = self.node.open(worker, headers, end, body);
        self.run();
        stream
    }

    /// See [`Node::body`].
    pub fn body(&mut self, stream: usize) {
        self.node.body(stream);
        self.run();
    }

    /// See [`Node::piece`].
    pub fn piece(&mut self, stream: usize, bytes: &[u8], end: bool) {
        self.node.piece(stream, bytes, end);
        self.run();
    }

    /// See [`Node::trailers`].
    pub fn trailers(&mut self, stream: usize) {
        self.node.trailers(stream);
        self.run();
    }

    /// See [`Node::answer`].
    pub fn answer(&mut self, stream: usize, status: u32, body: &str) -> String {
        let line = self.node.answer(stream, status, body);
        self.run();
        line
    }

    /// See [`Node::answer_headers`].
    pub fn answer_headers(&mut self, stream: usize, status: u32, content_type: &str) -> Vec<HeaderEdit> {
        let edits = self.node.answer_headers(stream, status, content_type);
        self.run();
        edits
    }

    /// See [`Node::answer_piece`].
    pub fn answer_piece(&mut self, stream: usize, bytes: &[u8], end: bool) {
        self.node.answer_piece(stream, bytes, end);
        self.run();
    }

    /// See [`Node::leave`].
    pub fn leave(&mut self, stream: usize) -> String {
        self.log(stream, Origin::Cut)
    }

    /// See [`Node::log`].
    pub fn log(&mut self, stream: usize, origin: Origin) -> String {
        let line = self.node.log(stream, origin);
        self.run();
        line
    }
}

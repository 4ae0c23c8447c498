//! A node in a box: the workers of one Envoy, its shared data, and the real book as its ledger.
//!
//! Time moves only when a test says so. Calls are answered at once unless the ledger is down or the answer is
//! dropped; everything is deterministic.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness may fail loudly")]
#![allow(dead_code, reason = "each test file uses its part of the harness")]

use std::cell::RefCell;
use std::rc::Rc;

use book::command::{grant, key, open};
use book::memory::Memory as Book;
use edge::config::HeaderMode;
use edge::shared::{SharedData, Stale};
use edge::testing::Memory;
use edge::{AnswerHead, BodyEdit, CallAnswer, CallKind, Config, Edge, Effect, Flow, Now, Origin, Verdict};
use usage::request::edit::{apply, prefix_len};

/// A day in 2026, in milliseconds since 1970.
pub const BEGIN_MS: i64 = 1_780_000_000_000;
const CATALOG: &str = include_str!("../../../../envoy/catalogs/modelstack.yaml");

/// What a client sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The request is on its way upstream.
    Forwarded,
    /// A local reply: status, body.
    Reply(u32, serde_json::Value),
}

/// One stream.
pub struct Client {
    pub worker: usize,
    pub context: u32,
    pub body: Vec<u8>,
    pub seen: Option<Seen>,
}

/// How the ledger behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ledger {
    #[default]
    Up,
    /// Calls fail before they arrive.
    Down,
    /// Calls arrive and are carried out; the answer is lost.
    Deaf,
}

/// The node and its ledger.
pub struct World {
    pub shared: Rc<Memory>,
    pub workers: Vec<RefCell<Edge>>,
    pub config: Rc<Config>,
    pub book: Book,
    pub ledger: Ledger,
    pub calls: usize,
    pub now_us: u64,
    pub streams: Vec<Client>,
    pub warnings: Vec<String>,
    next_context: u32,
}

struct Handle<'a>(&'a Memory);

impl SharedData for Handle<'_> {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.0.get(key)
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        self.0.set(key, value, version)
    }
}

impl World {
    /// A node of so many workers in a header mode.
    pub fn new(workers: usize, headers: &str) -> Self {
        Self::with(
            workers,
            &format!(
                r#"{{"ledger":{{"cluster":"l"}},"headers":"{headers}","routes":[{{"path":"/v1/search","action":{{"flat":"search"}}}}]}}"#
            ),
        )
    }

    /// A node with a configuration of its own.
    pub fn with(workers: usize, config: &str) -> Self {
        let seed = |worker: usize| u8::try_from(worker + 1).unwrap();
        let edge =
            |worker| RefCell::new(Edge::new("t", u32::try_from(worker + 1).unwrap(), [seed(worker); 16]));
        Self {
            shared: Rc::new(Memory::default()),
            workers: (0..workers).map(edge).collect(),
            config: Rc::new(Config::parse(config.as_bytes()).expect("configuration")),
            book: Book::new(tariff::source::load(CATALOG).expect("catalog")),
            ledger: Ledger::Up,
            calls: 0,
            now_us: 1_000_000_000,
            streams: Vec::new(),
            warnings: Vec::new(),
            next_context: 1,
        }
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

    /// A chat completion by the account's key; runs until it is decided or waits.
    pub fn chat(&mut self, worker: usize, account: &str, body: &str) -> usize {
        let authorization = format!("Bearer key-{account}");
        let length = body.len().to_string();
        let headers = [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("authorization", authorization.as_str()),
            ("content-length", length.as_str()),
        ];
        let stream = self.open(worker, &headers, false, body.as_bytes().to_vec());
        if self.streams[stream].seen.is_none() {
            self.body(stream);
        }
        stream
    }

    /// A request without a body.
    pub fn get(&mut self, worker: usize, account: &str, path: &str) -> usize {
        let authorization = format!("Bearer key-{account}");
        self.open(
            worker,
            &[(":method", "GET"), (":path", path), ("authorization", &authorization)],
            true,
            Vec::new(),
        )
    }

    /// Opens a stream with its headers.
    pub fn open(&mut self, worker: usize, headers: &[(&str, &str)], end: bool, body: Vec<u8>) -> usize {
        let context = self.next_context;
        self.next_context += 1;
        self.streams.push(Client { worker, context, body, seen: None });
        let pairs = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let now = self.now();
        let verdict = self.workers[worker].borrow_mut().request_headers(
            &Handle(&self.shared),
            context,
            &self.config,
            pairs,
            end,
            now,
        );
        let stream = self.streams.len() - 1;
        self.settle_verdict(stream, verdict);
        self.run();
        // In `stream` mode the headers have gone ahead, and the body is still to come.
        if !end
            && self.streams[stream].seen == Some(Seen::Forwarded)
            && self.config.headers == HeaderMode::Stream
        {
            self.streams[stream].seen = None;
        }
        stream
    }

    /// Sends a stream's whole body.
    pub fn body(&mut self, stream: usize) {
        let (worker, context, body) = {
            let client = &self.streams[stream];
            (client.worker, client.context, client.body.clone())
        };
        let read = |start: usize, length: usize| body[start..(start + length).min(body.len())].to_vec();
        let now = self.now();
        let verdict = self.workers[worker].borrow_mut().request_body(
            &Handle(&self.shared),
            context,
            body.len(),
            true,
            &read,
            now,
        );
        self.settle_verdict(stream, verdict);
        self.run();
    }

    fn settle_verdict(&mut self, stream: usize, verdict: Verdict) {
        if let BodyEdit::Prefix(edits) = &verdict.body {
            let length = usize::try_from(prefix_len(edits)).unwrap();
            let client = &mut self.streams[stream];
            let rest = client.body.split_off(length);
            client.body = apply(&client.body, edits);
            client.body.extend(rest);
        }
        if let Some(reply) = verdict.reply {
            self.streams[stream].seen =
                Some(Seen::Reply(reply.status, serde_json::from_slice(&reply.body).expect("JSON")));
            self.log(stream, Origin::Host);
        } else if verdict.flow == Flow::Continue {
            self.streams[stream].seen = Some(Seen::Forwarded);
        }
    }

    /// The upstream answers a forwarded stream with a plain JSON body, and the stream ends.
    pub fn answer(&mut self, stream: usize, status: u32, body: &str) -> String {
        assert_eq!(self.streams[stream].seen, Some(Seen::Forwarded), "only forwarded requests are answered");
        let (worker, context) = (self.streams[stream].worker, self.streams[stream].context);
        {
            let mut edge = self.workers[worker].borrow_mut();
            edge.response_headers(context, || AnswerHead {
                status,
                content_type: b"application/json",
                content_encoding: b"",
            });
            let read = |start: usize, length: usize| body.as_bytes()[start..start + length].to_vec();
            edge.response_body(context, body.len(), true, &read);
        }
        self.log(stream, Origin::Upstream)
    }

    /// The stream ends.
    pub fn log(&mut self, stream: usize, origin: Origin) -> String {
        let (worker, context) = (self.streams[stream].worker, self.streams[stream].context);
        let now = self.now();
        let line = self.workers[worker].borrow_mut().log(&Handle(&self.shared), context, || origin, now);
        self.run();
        line.unwrap_or_default()
    }

    /// Lets time pass, with ticks every 250 ms.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_us + ms * 1_000;
        while self.now_us < end {
            self.now_us = (self.now_us + 250_000).min(end);
            let now = self.book_now();
            book::command::run_due(&mut self.book, now, 100).expect("due");
            book::command::node::close_silent(&mut self.book, now).expect("nodes");
            for worker in 0..self.workers.len() {
                let now = self.now();
                self.workers[worker].borrow_mut().tick(&Handle(&self.shared), &self.config, now);
                self.run();
            }
        }
    }

    /// Carries out effects until none are left.
    pub fn run(&mut self) {
        for _ in 0..1_000 {
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
                let woken = self.workers.iter().find(|edge| edge.borrow().queue() == queue);
                if let Some(edge) = woken {
                    edge.borrow_mut().woken(&Handle(&self.shared), &self.config, now);
                }
            }
            Effect::Warn(text) => self.warnings.push(text),
            Effect::Resume { context, verdict } => {
                if let Some(stream) = self.stream_of(worker, context) {
                    self.settle_verdict(stream, Verdict { flow: Flow::Continue, ..*verdict });
                }
            }
            Effect::Reply { context, reply } => {
                if let Some(stream) = self.stream_of(worker, context) {
                    self.settle_verdict(stream, Verdict::reply(reply));
                }
            }
            Effect::Call { kind, path, body, .. } => self.call(worker, kind, &path, &body),
        }
    }

    fn stream_of(&self, worker: usize, context: u32) -> Option<usize> {
        self.streams.iter().position(|client| client.worker == worker && client.context == context)
    }

    fn call(&mut self, worker: usize, kind: CallKind, path: &str, body: &[u8]) {
        let now = self.now();
        self.calls += 1;
        let answer = (self.ledger != Ledger::Down).then(|| self.ledger_answers(kind, path, body));
        let heard = answer.filter(|_| self.ledger == Ledger::Up);
        let mut edge = self.workers[worker].borrow_mut();
        let answer = heard.as_ref().map(|body| CallAnswer { status: 200, marked: true, body });
        edge.call_answered(&Handle(&self.shared), kind, answer, now);
        edge.call_if_due(&Handle(&self.shared), &self.config, now);
    }

    fn ledger_answers(&mut self, kind: CallKind, path: &str, body: &[u8]) -> Vec<u8> {
        match kind {
            CallKind::Sync => {
                let request = serde_json::from_slice(body).expect("a sync request");
                let now = self.book_now();
                let response = book::sync::sync(&mut self.book, now, &request).expect("a sync answer");
                serde_json::to_vec(&response).unwrap()
            }
            CallKind::Catalog => {
                let version: u64 = path.rsplit('=').next().unwrap().parse().unwrap();
                use book::Tx as _;
                let catalog = self.book.catalog(version).unwrap().expect("a known version");
                serde_json::to_vec(&catalog.edge(version)).unwrap()
            }
        }
    }

    /// What an account was charged in all, in micro-credits.
    pub fn charged(&self, id: &str) -> i64 {
        let charges = self.book.journal.iter().filter(|entry| entry.account.as_str() == id);
        charges
            .filter_map(|entry| match &entry.kind {
                book::EntryKind::Charge(charge) => Some(charge.amount.get()),
                _ => None,
            })
            .sum()
    }

    /// The number of charges of an account.
    pub fn charges(&self, id: &str) -> usize {
        let of = self.book.journal.iter().filter(|entry| entry.account.as_str() == id);
        of.filter(|entry| matches!(entry.kind, book::EntryKind::Charge(_))).count()
    }

    /// Asserts the book's own invariants and that its fold is what it keeps.
    pub fn check(&self) {
        for (id, account) in &self.book.accounts {
            assert_eq!(book::invariant::broken(account), None, "{id}");
        }
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

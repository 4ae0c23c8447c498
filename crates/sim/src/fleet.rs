//! Several Envoy processes on one ledger, each behind a line of its own that takes time and can be cut.

use std::rc::Rc;

use book::Tx as _;
use book::command::{grant, key, open};
use book::memory::Memory as Book;
use edge::{CallAnswer, CallKind, Config};
use wire::NodeId;

use crate::host::Seen;
use crate::node::{Call, Node};
use crate::{BEGIN_MS, config};

const TICK_US: u64 = 250_000;
/// How long a call takes, there and back, unless a test says otherwise.
const CALL_US: u64 = 1_000;
/// Accounts that the ledger does what is due for with each tick of the first node: 1,000 a second, as the engine.
const DUE_PER_TICK: usize = 250;
/// How long the host waits for an answer.
const TIMEOUT_US: u64 = 1_000_000;

/// A node's line to the ledger, and the node itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// Calls arrive and are answered.
    #[default]
    Up,
    /// Calls run into their time limit.
    Cut,
    /// The same, but the ledger hears them: their answers are lost.
    Deaf,
    /// The process is gone.
    Dead,
}

/// One Envoy process.
pub struct Site {
    /// The process.
    pub node: Node,
    /// Its line.
    pub line: Line,
    /// Calls that it has made.
    pub calls: usize,
    /// The longest answer to any of them, in bytes.
    pub answer_bytes_max: usize,
    /// Streams whose end is still to be seen.
    open: Vec<(usize, u64)>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The node that it came to.
    pub site: usize,
    /// When it came, in microseconds.
    pub came_us: u64,
    /// When it was decided, in microseconds.
    pub at_us: u64,
    /// 200, or what the client was told.
    pub status: u32,
}

struct Answer {
    due_us: u64,
    site: usize,
    worker: usize,
    kind: CallKind,
    body: Option<Vec<u8>>,
}

/// The nodes and their ledger.
pub struct Fleet {
    /// The Envoy processes.
    pub sites: Vec<Site>,
    /// The ledger's book.
    pub book: Book,
    /// The clock that all share, in microseconds.
    pub now_us: u64,
    /// Requests that have ended, in order.
    pub outcomes: Vec<Outcome>,
    /// When the ledger's process began, in microseconds.
    pub ledger_since_us: u64,
    /// Answers to requests come this long after they have gone upstream.
    pub upstream_us: u64,
    /// How long a call takes, there and back, in microseconds.
    pub call_us: u64,
    answers: Vec<Answer>,
    served: Vec<(u64, usize, usize)>,
    config: Rc<Config>,
    workers: usize,
}

impl Fleet {
    /// So many processes of so many workers.
    pub fn new(sites: usize, workers: usize, catalog: &str) -> Self {
        let config = Rc::new(Config::parse(config("hold", "").as_bytes()).expect("configuration"));
        let mut fleet = Self {
            sites: Vec::new(),
            book: Book::new(tariff::source::load(catalog).expect("catalog")),
            now_us: 1_000_000_000,
            outcomes: Vec::new(),
            ledger_since_us: 0,
            upstream_us: 0,
            call_us: CALL_US,
            answers: Vec::new(),
            served: Vec::new(),
            config,
            workers,
        };
        for _ in 0..sites {
            fleet.start();
        }
        fleet
    }

    /// Starts another process; gives its number.
    pub fn start(&mut self) -> usize {
        let seed = 1_000 * (self.sites.len() as u64 + 1);
        let node = Node::new(self.workers, Rc::clone(&self.config), self.now_us, BEGIN_MS, seed);
        self.sites.push(Site { node, line: Line::Up, calls: 0, answer_bytes_max: 0, open: Vec::new() });
        self.sites.len() - 1
    }

    /// The moment as the ledger has it.
    pub fn book_now(&self) -> book::Now {
        let ms = |us: u64| i64::try_from(us / 1_000).unwrap();
        book::Now { wall: BEGIN_MS + ms(self.now_us), up: ms(self.now_us - self.ledger_since_us) }
    }

    /// The ledger's process dies and another one begins.
    pub fn restart_ledger(&mut self) {
        self.ledger_since_us = self.now_us;
        self.book.restart();
    }

    /// An account with a key of the same name.
    pub fn account(&mut self, id: &str, plan: &str) {
        self.account_since(id, plan, None);
    }

    /// The same, of a customer who joined at an instant, in milliseconds since 1970.
    pub fn account_since(&mut self, id: &str, plan: &str, created_at: Option<i64>) {
        let now = self.book_now();
        let new = open::NewAccount {
            id: id.to_owned(),
            plan: plan.to_owned(),
            created_at,
            ..open::NewAccount::default()
        };
        open::open(&mut self.book, now, &new).expect("account");
        let digest = edge::request::credential::digest(format!("key-{id}").as_bytes()).expect("digest");
        let (account, id) = (id.to_owned(), format!("k-{id}"));
        let key =
            key::NewKey { account, id, digest, name: None, auth_class: None, models: None, expires_at: None };
        key::create(&mut self.book, now, &key).expect("key");
    }

    /// Grants top-up credits.
    pub fn top_up(&mut self, id: &str, credits: &str) {
        let amount = tariff::Micros::parse(credits).expect("amount");
        let (account, pool, reference) = (id.to_owned(), "topup".to_owned(), "top-up".to_owned());
        let new = grant::NewGrant { account, pool, amount, expires_at: None, reference };
        let now = self.book_now();
        grant::grant(&mut self.book, now, &new).expect("grant");
    }

    /// A request of the flat price of half a credit.
    pub fn search(&mut self, site: usize, worker: usize, account: &str) {
        let stream = self.sites[site].node.get(worker, account, "/v1/search");
        self.begun(site, stream);
    }

    /// A chat completion; the upstream reports this usage.
    pub fn chat(&mut self, site: usize, worker: usize, account: &str, body: &str) {
        let stream = self.sites[site].node.chat(worker, account, body);
        self.begun(site, stream);
    }

    fn begun(&mut self, site: usize, stream: usize) {
        let now_us = self.now_us;
        self.sites[site].open.push((stream, now_us));
        self.run();
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_us + ms * 1_000;
        while self.now_us < end {
            // Every process ticks at a time of its own.
            let ticks = (0..self.sites.len()).map(|site| self.next_tick(site));
            let answers = self.answers.iter().map(|answer| answer.due_us);
            let served = self.served.iter().map(|(due_us, ..)| *due_us);
            let next = ticks.chain(answers).chain(served).min().unwrap_or(end);
            let ticking: Vec<usize> =
                (0..self.sites.len()).filter(|site| self.next_tick(*site) == next && next <= end).collect();
            self.now_us = next.clamp(self.now_us + 1, end.max(self.now_us + 1));
            self.sites.iter_mut().for_each(|site| site.node.now_us = self.now_us);
            self.deliver();
            for site in ticking {
                self.tick(site);
            }
            self.run();
        }
    }

    fn next_tick(&self, site: usize) -> u64 {
        let phase = 17_000 * site as u64;
        ((self.now_us - phase) / TICK_US + 1) * TICK_US + phase
    }

    fn tick(&mut self, site: usize) {
        if site == 0 {
            let now = self.book_now();
            book::command::run_due(&mut self.book, now, DUE_PER_TICK).expect("due");
            for node in book::command::node::close_silent(&mut self.book, now).expect("nodes") {
                book::command::node::take_home(&mut self.book, now, node, usize::MAX).expect("leases");
            }
        }
        if self.sites[site].line == Line::Dead {
            return;
        }
        for worker in 0..self.workers {
            self.sites[site].node.tick(worker);
        }
    }

    fn deliver(&mut self) {
        let now_us = self.now_us;
        let due: Vec<Answer> = self.answers.extract_if(.., |answer| answer.due_us <= now_us).collect();
        for answer in due {
            let site = &mut self.sites[answer.site];
            if site.line == Line::Dead {
                continue;
            }
            let heard = answer.body.as_ref().map(|body| CallAnswer { status: 200, marked: true, body });
            site.node.hear(answer.worker, answer.kind, heard);
        }
        let due: Vec<_> = self.served.extract_if(.., |(due_us, ..)| *due_us <= now_us).collect();
        for (_, site, stream) in due {
            self.serve(site, stream);
        }
    }

    fn serve(&mut self, site: usize, stream: usize) {
        if self.sites[site].line != Line::Dead {
            self.sites[site].node.answer(stream, 200, &crate::usage(10, 10));
        }
    }

    /// Carries out what follows until nothing does.
    fn run(&mut self) {
        loop {
            let mut calls: Vec<(usize, Call)> = Vec::new();
            for (index, site) in self.sites.iter_mut().enumerate().filter(|(_, site)| site.line != Line::Dead)
            {
                site.node.run();
                calls.extend(std::mem::take(&mut site.node.outbox).into_iter().map(|call| (index, call)));
            }
            let decided = self.note_decided();
            if calls.is_empty() && !decided {
                return;
            }
            for (site, call) in calls {
                self.call(site, &call);
            }
        }
    }

    fn note_decided(&mut self) -> bool {
        let (now_us, mut any) = (self.now_us, false);
        for index in 0..self.sites.len() {
            let site = &mut self.sites[index];
            if site.line == Line::Dead {
                site.open.clear();
                continue;
            }
            let streams = &site.node.streams;
            let decided: Vec<_> =
                site.open.extract_if(.., |(stream, _)| streams[*stream].seen.is_some()).collect();
            for (stream, came_us) in decided {
                any = true;
                let status = match self.sites[index].node.streams[stream].seen {
                    Some(Seen::Reply(status, _)) => status,
                    _ => 200,
                };
                self.outcomes.push(Outcome { site: index, came_us, at_us: now_us, status });
                match (status, self.upstream_us) {
                    (200, 0) => self.serve(index, stream),
                    (200, later_us) => self.served.push((now_us + later_us, index, stream)),
                    _ => drop(self.sites[index].node.log(stream, edge::Origin::Host)),
                }
            }
        }
        any
    }

    fn call(&mut self, site: usize, call: &Call) {
        self.sites[site].calls += 1;
        let (worker, kind) = (call.worker, call.kind);
        let line = self.sites[site].line;
        let heard = matches!(line, Line::Up | Line::Deaf).then(|| self.ledger_answers(call));
        let (up, body) = (line == Line::Up, heard.filter(|_| line == Line::Up));
        let bytes = body.as_ref().map_or(0, Vec::len);
        self.sites[site].answer_bytes_max = self.sites[site].answer_bytes_max.max(bytes);
        let due_us = self.now_us + if up { self.call_us } else { TIMEOUT_US };
        self.answers.push(Answer { due_us, site, worker, kind, body });
    }

    fn ledger_answers(&mut self, call: &Call) -> Vec<u8> {
        if call.path == wire::SYNC_PATH {
            let request: wire::SyncRequest = serde_json::from_slice(&call.body).expect("a sync request");
            let now = self.book_now();
            let response = book::sync::sync(&mut self.book, now, &request).expect("a sync answer");
            return serde_json::to_vec(&response).unwrap();
        }
        let version: u64 = call.path.rsplit('=').next().unwrap().parse().unwrap();
        let catalog = self.book.catalog(version).unwrap().expect("a known version");
        serde_json::to_vec(&catalog.edge(version)).unwrap()
    }

    /// Calls made by all nodes.
    pub fn calls(&self) -> usize {
        self.sites.iter().map(|site| site.calls).sum()
    }

    /// How many requests were told this status.
    pub fn count(&self, status: u32) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.status == status).count()
    }

    /// When requests went upstream, in order.
    pub fn served_us(&self) -> Vec<u64> {
        let mut served: Vec<u64> = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.status == 200)
            .map(|outcome| outcome.at_us)
            .collect();
        served.sort_unstable();
        served
    }

    /// The nodes that the ledger has open.
    pub fn open_nodes(&mut self) -> Vec<NodeId> {
        let all = self.book.silent_nodes(i64::MAX).expect("nodes");
        all.into_iter().map(|node| node.id).collect()
    }

    /// Asserts that nothing is held on nodes that live, and that the book is right.
    pub fn check_at_rest(&self) {
        for site in self.sites.iter().filter(|site| site.line != Line::Dead) {
            site.node.check_at_rest();
        }
        for (id, account) in &self.book.accounts {
            assert_eq!(book::invariant::broken(account), None, "{id}");
            assert_eq!(self.book.rebuilt(id.as_str()).as_ref(), Some(account), "{id}");
        }
    }
}

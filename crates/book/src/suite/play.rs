//! A play: nodes that keep to the protocol, a network that loses, repeats and reorders, time that
//! jumps, and a ledger that dies; told by a list of numbers, so that a property test can shrink it.
//!
//! After every step the account's invariants and its fold are checked ([`World::call`]), and what each
//! node has is within what the ledger thinks it may have. At the end everything heals, and the oracle
//! reads the journal.

use tariff::{Catalog, Meter, Micros, Usage};
use wire::{EventBody, NODE_OPEN_MS, NodeId, Outcome, Settle, SyncResponse, UsageSource, VerdictKind};

use super::oracle;
use super::world::{ACCOUNT, Command, DAY, Stands, Subject, Worker, World, catalog, lease_closed, settled};

/// One step: what, and two numbers for how.
pub type Step = (u8, u32, u32);

/// How many kinds of steps there are.
pub const STEP_KINDS: u8 = 12;

/// A node that keeps to the protocol; its two workers share one record.
struct PlayedNode {
    id: u8,
    lanes: [PlayedLane; 2],
    record: Record,
}

#[derive(Clone)]
struct PlayedLane {
    worker: Worker,
    /// Everything that was ever sent, and not yet sent.
    events: Vec<EventBody>,
    acked: u64,
}

#[derive(Default)]
struct Record {
    epoch: u64,
    granted: i64,
    returned: i64,
    /// Used by requests that have ended.
    used: i64,
    open: Vec<Open>,
}

struct Open {
    request: String,
    term: u64,
    held: i64,
}

// === impl Record ===

impl Record {
    fn held(&self) -> i64 {
        self.open.iter().map(|open| open.held).sum()
    }

    /// May be below zero: a request used more than it held.
    fn free(&self) -> i64 {
        self.granted - self.returned - self.used - self.held()
    }

    fn stands(&self, ask: i64) -> Stands {
        let free = self.free().max(0);
        Stands { lease: self.epoch, ask, free, held: self.held(), returned: self.returned }
    }
}

// === impl PlayedNode ===

impl PlayedNode {
    fn new(id: u8) -> Self {
        let lane = |slot| PlayedLane { worker: Worker::slot(id, slot), events: Vec::new(), acked: 0 };
        Self { id, lanes: [lane(0), lane(1)], record: Record { epoch: 1, ..Record::default() } }
    }

    /// Used by requests whose reports the ledger has not taken.
    fn unreported(&self) -> i64 {
        let waiting = self.lanes.iter().flat_map(|lane| lane.events.iter().skip(lane.acked as usize));
        let of_record = waiting.filter_map(|event| match event {
            EventBody::Settle(settle) if settle.lease == self.record.epoch => {
                Some(settle.takes[0].used.get())
            }
            _ => None,
        });
        of_record.sum()
    }
}

/// The players.
pub struct Play<S> {
    world: World<S>,
    nodes: Vec<PlayedNode>,
    /// Nodes that were closed: they settle for ever.
    closed: Vec<PlayedNode>,
    next_node: u8,
    requests: u64,
    grants: u64,
    /// What the account may owe at most (I2).
    owed_max: i64,
    version: u64,
}

/// Plays the steps and checks all that must hold.
pub fn play<S: Subject>(make: impl FnOnce(Catalog) -> S, steps: &[Step]) {
    // Without included credits the account is near zero most of the time.
    let plan = if steps.len().is_multiple_of(2) { "starter" } else { "topup_only" };
    let mut play = Play {
        world: World::new(make, plan),
        nodes: (1..=3).map(PlayedNode::new).collect(),
        closed: Vec::new(),
        next_node: 4,
        requests: 0,
        grants: 0,
        owed_max: 0,
        version: 0,
    };
    for step in steps {
        play.step(*step);
        play.check();
    }
    play.heal();
}

// === impl Play ===

impl<S: Subject> Play<S> {
    fn step(&mut self, (kind, a, b): Step) {
        let node = a as usize % self.nodes.len();
        match kind % STEP_KINDS {
            0 => {
                self.grants += 1;
                self.world
                    .grant(Micros(1 + i64::from(b % 30_000_000)), &format!("p{}", self.grants))
                    .unwrap();
            }
            1 | 2 => self.want(node, a / 8, b),
            3 => self.finish(node, a / 8, b),
            4 | 5 => self.deliver(node, a / 8, b),
            6 => self.give_back(node, a / 8),
            7 => {
                self.note_loss();
                self.world.pass(i64::from(b) % (40 * DAY));
            }
            8 => self.silence(node),
            9 if b.is_multiple_of(4) => {
                let plans = ["starter", "pro", "max", "topup_only"];
                let to = plans[b as usize / 4 % plans.len()];
                if self.world.account().plan() != to {
                    self.note_loss();
                    self.world.switch(to);
                }
            }
            9 | 10 => self.give_up(node, a / 8),
            _ => self.world.crash(),
        }
    }

    /// Lots may end: leases that were good for them are not all covered then.
    fn note_loss(&mut self) {
        let leased = self.world.account().outstanding("credits").get();
        self.owed_max += leased;
    }

    fn want(&mut self, node: usize, a: u32, b: u32) {
        let need = 1 + i64::from(b % 20_000_000);
        self.requests += 1;
        let request = format!("r{}", self.requests);
        let played = &self.nodes[node];
        let stands = played.record.stands(i64::from(a % 4) * 40_000_000);
        let lane = &played.lanes[a as usize % 2];
        let call = lane.worker.want(self.world.now, stands, &[(&request, need)]);
        let answer = self.world.send(call);
        if a.is_multiple_of(5) {
            return; // The answer is lost.
        }
        let term = self.world.term();
        let record = &mut self.nodes[node].record;
        record.granted = record.granted.max(granted(&answer, record.granted));
        let hold = match answer.verdicts.first().map(|verdict| &verdict.kind) {
            None => need,
            Some(VerdictKind::Clip(clip)) => clip.need.get(),
            Some(_) => return,
        };
        if !a.is_multiple_of(7) && hold <= record.free() {
            record.open.push(Open { request, term, held: hold });
        }
    }

    fn finish(&mut self, node: usize, a: u32, b: u32) {
        let played = &mut self.nodes[node];
        if played.record.open.is_empty() {
            return;
        }
        let open = played.record.open.remove(a as usize % played.record.open.len());
        let (outcome, source) = match b % 8 {
            0 => (Outcome::Released, None),
            1 => (Outcome::Lost, Some(UsageSource::Estimated)),
            2 => (Outcome::Settled, Some(UsageSource::Estimated)),
            _ => (Outcome::Settled, Some(UsageSource::Reported)),
        };
        let tokens = match b % 8 {
            0 => 0,
            3 => open.held + i64::from(b % 3_000_000),
            _ => i64::from(b) % (open.held + 1),
        };
        played.record.used += tokens;
        self.owed_max += (tokens - open.held).max(0);
        let body = settlement(&open, played.record.epoch, (outcome, source), tokens, self.world.now.wall);
        played.lanes[a as usize % 2].events.push(settled(body));
    }

    /// Sends events of one lane from anywhere at or before where it stands; or from behind a hole.
    fn deliver(&mut self, node: usize, a: u32, b: u32) {
        let all = self.nodes.len() + self.closed.len();
        let index = if a.is_multiple_of(3) { a as usize % all } else { node };
        let lanes = match index.checked_sub(self.nodes.len()) {
            None => &self.nodes[index].lanes,
            Some(closed) => &self.closed[closed].lanes,
        };
        let lane = lanes[b as usize % 2].clone();
        let from = match b % 4 {
            0 => u64::from(b / 4) % (lane.acked + 1),
            1 => lane.acked + u64::from(b / 4) % 3,
            _ => lane.acked,
        };
        let count = 1 + (b / 16) as usize % 4;
        let bodies: Vec<EventBody> = lane.events.iter().skip(from as usize).take(count).cloned().collect();
        let call = lane.worker.batch(self.world.now, from + 1, &bodies);
        let ack = self.world.send(call).ack.unwrap();
        assert_eq!(ack.rejected, Vec::new());
        if from > lane.acked {
            assert_eq!(ack.expected, Some(lane.acked + 1));
        }
        let lanes = match index.checked_sub(self.nodes.len()) {
            None => &mut self.nodes[index].lanes,
            Some(closed) => &mut self.closed[closed].lanes,
        };
        // Whether or not the answer came: the ledger has them.
        lanes[b as usize % 2].acked = ack.last;
    }

    fn give_back(&mut self, node: usize, a: u32) {
        let record = &mut self.nodes[node].record;
        record.returned += record.free().max(0);
        let (epoch, returned) = (record.epoch, record.returned);
        if !a.is_multiple_of(4) {
            let call = self.nodes[node].lanes[0].worker.give_back(self.world.now, epoch, returned);
            self.world.send(call);
        }
    }

    /// A node is cut off until it is closed; it comes back under another id, its ring in its hands.
    fn silence(&mut self, node: usize) {
        let half = NODE_OPEN_MS as i64 / 2 + 1;
        for _ in 0..2 {
            self.world.pass_up(half);
            for (index, other) in self.nodes.iter().enumerate() {
                if index != node {
                    let call = other.lanes[0].worker.call(self.world.now);
                    assert!(self.world.send(call).node_open);
                }
            }
        }
        let outstanding = |account: &crate::account::Account, id: u8| {
            let of_node = account.leases.iter().filter(|lease| lease.node == NodeId([id; 16]));
            of_node.map(|lease| lease.outstanding().get()).sum::<i64>()
        };
        let id = self.nodes[node].id;
        assert_eq!(outstanding(&self.world.account(), id), 0, "its leases are home");
        let fresh = PlayedNode::new(self.next_node);
        self.next_node += 1;
        let mut gone = std::mem::replace(&mut self.nodes[node], fresh);
        self.owed_max += gone.record.granted;
        // What was open there ends as lost.
        for open in std::mem::take(&mut gone.record.open) {
            let how = (Outcome::Lost, Some(UsageSource::Estimated));
            let body = settlement(&open, gone.record.epoch, how, open.held, self.world.now.wall);
            gone.lanes[1].events.push(settled(body));
        }
        self.closed.push(gone);
    }

    /// A record is given up, and another begins.
    fn give_up(&mut self, node: usize, a: u32) {
        let played = &mut self.nodes[node];
        if !played.record.open.is_empty() {
            return;
        }
        let word = lease_closed(played.record.epoch, played.record.used);
        played.lanes[a as usize % 2].events.push(word);
        played.record = Record { epoch: played.record.epoch + 1, ..Record::default() };
    }

    fn check(&mut self) {
        let account = self.world.account();
        assert!(account.version >= self.version, "I11");
        self.version = account.version;
        assert!(account.debt.get() <= self.owed_max, "I2: {} > {}", account.debt, self.owed_max);
        for node in &self.nodes {
            let has = node.record.free().max(0) + node.record.held() + node.unreported();
            let lease = account.lease(NodeId([node.id; 16]), node.record.epoch, "credits");
            let may = lease.map_or(0, |lease| lease.outstanding().get());
            let over: i64 = (-node.record.free()).max(0);
            assert!(may + over >= has, "node {}: has {has}, may take {may}", node.id);
        }
    }

    /// Everything ends and is reported; nothing is leased then, and the oracle agrees.
    fn heal(mut self) {
        for node in 0..self.nodes.len() {
            while !self.nodes[node].record.open.is_empty() {
                self.finish(node, 0, 5);
            }
            self.give_up(node, 0);
        }
        let nodes = self.nodes.iter().chain(&self.closed);
        let lanes: Vec<PlayedLane> = nodes.flat_map(|node| node.lanes.clone()).collect();
        for lane in lanes {
            let bodies: Vec<EventBody> = lane.events.iter().skip(lane.acked as usize).cloned().collect();
            let ack =
                self.world.send(lane.worker.batch(self.world.now, lane.acked + 1, &bodies)).ack.unwrap();
            assert_eq!((ack.last, ack.rejected.len()), (lane.events.len() as u64, 0));
        }
        self.world.call(Command::Touch(ACCOUNT.to_owned())).unwrap();
        let account = self.world.account();
        assert_eq!(account.leases, Vec::new(), "I6: nothing is leased");
        assert!(!account.is_closing_lots());
        let journal = self.world.subject.journal();
        let (left, owed, charged) = oracle::reckon(&journal, &catalog());
        assert_eq!(left, i128::from(account.remaining().get()));
        assert_eq!(owed, i128::from(account.debt.get()));
        assert_eq!(charged, i128::from(account.totals.charged.get()));
        assert!(journal.iter().all(|entry| crate::posting::balance(entry) == 0));
    }
}

fn granted(answer: &SyncResponse, known: i64) -> i64 {
    answer.grants.first().map_or(known, |grant| grant.granted.get())
}

fn settlement(
    open: &Open,
    epoch: u64,
    (outcome, source): (Outcome, Option<UsageSource>),
    tokens: i64,
    at: i64,
) -> Settle {
    let usage = Usage::new().with(Meter::InputTokens, tokens as u64);
    Settle {
        request: open.request.clone(),
        account: ACCOUNT.to_owned(),
        key: "key_1".to_owned(),
        term: open.term,
        model: "unit".to_owned(),
        answered_model: None,
        service_tier: None,
        provider_cost: None,
        operation: "chat".to_owned(),
        outcome,
        source,
        status: None,
        usage: if source.is_some() { usage } else { Usage::new() },
        lease: epoch,
        takes: vec![wire::Take {
            bucket: "credits".to_owned(),
            held: Micros(open.held),
            used: Micros(tokens),
        }],
        at,
    }
}

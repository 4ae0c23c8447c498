//! What the scenarios are played with: commands on a store, a clock, and nodes that say what they are
//! told to say.

use serde_json::value::RawValue;
use tariff::{
    Admission, Catalog, Exhaustion, Expiry, Grant, Meter, Micros, Model, Period, Plan, Pool, Prices, Ratio,
    Usage,
};
use wire::{
    AccountStatus, Ack, Ask, Batch, Event, EventBody, Gap, Health, Lane, LeaseClosed, Need, NodeId, Outcome,
    ParkedRequest, Return, Settle, SyncRequest, SyncResponse, Take, UsageSource, UsageStatus, Want,
};

use crate::account::Account;
use crate::command::{self, correct, grant, key, node, open, plan};
use crate::entry::Entry;
use crate::error::Error;
use crate::key::Key;
use crate::tx::{Counters, Incident, Now, Tx};

/// A command, as data.
#[derive(Clone, Debug)]
pub enum Command {
    Open(open::NewAccount),
    Status(String, AccountStatus),
    Grant(grant::NewGrant),
    Switch(String, String),
    Settings(command::settings::SettingsChange),
    Enrol(String),
    CreateKey(key::NewKey),
    RevokeKey(String, String),
    ChangeKey(String, key::KeyChange),
    RotateKey(key::Rotation),
    Adjust(correct::NewAdjustment),
    /// A charge's entry.
    Reverse(u64),
    VoidLot(u64),
    /// A lot and its end.
    ExtendLot(u64, Option<i64>),
    Sync(Box<SyncRequest>),
    /// Silent nodes are closed, leases of closed nodes come home, due work is done.
    Tick,
    Touch(String),
}

/// What a command answers.
#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    Grant(grant::Outcome),
    Switch(Box<plan::Switch>),
    Key(Key),
    Reversal(correct::Reversal),
    Lot(crate::Lot),
    Sync(Box<SyncResponse>),
}

/// A store under test.
pub trait Subject {
    /// Runs a command in a transaction and commits it.
    fn call(&mut self, now: Now, command: &Command) -> Result<Reply, Error>;
    /// The account as the store has it.
    fn account(&mut self, id: &str) -> Option<Account>;
    /// The account folded anew from the journal.
    fn rebuilt(&mut self, id: &str) -> Option<Account>;
    /// The journal.
    fn journal(&mut self) -> Vec<Entry>;
    /// Incidents, in order.
    fn incidents(&mut self) -> Vec<Incident>;
    /// What was told, as receivers read it, in order.
    fn notices(&mut self) -> Vec<serde_json::Value>;
    /// What was counted since the last reopening.
    fn counters(&mut self) -> Counters;
    /// Puts the next version of the catalog in force, as a start of the process would.
    fn publish(&mut self, catalog: Catalog);
    /// Loses whatever a process loses that dies.
    fn crash(&mut self);
}

/// Runs a command.
pub fn execute(tx: &mut impl Tx, now: Now, command: &Command) -> Result<Reply, Error> {
    match command {
        Command::Open(new) => open::open(tx, now, new).map(|_| Reply::Done),
        Command::Status(id, status) => open::set_status(tx, now, id, *status).map(|_| Reply::Done),
        Command::Grant(new) => grant::grant(tx, now, new).map(Reply::Grant),
        Command::Switch(id, to) => {
            plan::switch(tx, now, id, to, false).map(|switch| Reply::Switch(Box::new(switch)))
        }
        Command::Settings(change) => command::settings::change(tx, now, ACCOUNT, change).map(|_| Reply::Done),
        Command::Enrol(programme) => {
            command::settings::enrol(tx, now, ACCOUNT, programme, None).map(|_| Reply::Done)
        }
        Command::CreateKey(new) => key::create(tx, now, new).map(Reply::Key),
        Command::RevokeKey(account, id) => key::revoke(tx, now, account, id).map(|(key, _)| Reply::Key(key)),
        Command::ChangeKey(id, change) => {
            key::change(tx, now, (ACCOUNT, id), change).map(|(key, _)| Reply::Key(key))
        }
        Command::RotateKey(new) => key::rotate(tx, now, new).map(|(key, _)| Reply::Key(key)),
        Command::Adjust(new) => correct::adjust(tx, now, new).map(Reply::Grant),
        Command::Reverse(entry) => {
            correct::reverse(tx, now, (ACCOUNT, *entry), "goodwill").map(Reply::Reversal)
        }
        Command::VoidLot(lot) => correct::void(tx, now, ACCOUNT, *lot).map(|(lot, _)| Reply::Lot(lot)),
        Command::ExtendLot(lot, to) => {
            correct::extend(tx, now, (ACCOUNT, *lot), *to, "goodwill").map(|(lot, _)| Reply::Lot(lot))
        }
        Command::Sync(request) => {
            crate::sync::sync(tx, now, request).map(|response| Reply::Sync(Box::new(response)))
        }
        Command::Tick => {
            for id in node::close_silent(tx, now)? {
                node::take_home(tx, now, id, usize::MAX)?;
            }
            command::run_due(tx, now, 1_000)?;
            Ok(Reply::Done)
        }
        Command::Touch(id) => Ok(command::touch(tx, id, now).map(|()| Reply::Done)?),
    }
}

/// A subject, a clock, and the nodes.
pub struct World<S> {
    pub subject: S,
    pub now: Now,
}

/// One VM of one node.
#[derive(Clone, Debug)]
pub struct Worker {
    pub lane: Lane,
    pub cursor: Option<u64>,
    pub next: u64,
}

/// 31 January 2026, 00:00 UTC: the most awkward day to begin a month.
pub const BEGIN: i64 = 1_769_817_600_000;
pub const DAY: i64 = 86_400_000;
pub const ACCOUNT: &str = "acme";
pub const CREDIT: i64 = 1_000_000;

/// An instant, by its text.
pub fn instant(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

pub const fn credits(amount: i64) -> Micros {
    Micros(amount * CREDIT)
}

/// ModelStack's shape: included credits that end with the cycle, top-ups at the plan's rate.
pub fn catalog() -> Catalog {
    let price = |meter, text: &str| (meter, Ratio::parse_decimal(text).unwrap());
    let model = |name: &str, prices: Vec<(Meter, Ratio)>| Model::named(name, Prices::new(prices), 1_000);
    let tokens = |input, output| vec![price(Meter::InputTokens, input), price(Meter::OutputTokens, output)];
    Catalog {
        models: vec![
            model("sonnet", tokens("30", "150")),
            model("deepseek", tokens("2.8", "4.2")),
            model("ping", vec![price(Meter::Requests, "1000000")]),
            model("unit", vec![price(Meter::InputTokens, "1")]),
            model("input-only", vec![price(Meter::InputTokens, "30")]),
        ],
        pools: vec![
            Pool::named("included", 1, Expiry::CycleEnd),
            Pool::named("topup", 2, Expiry::After(Period::parse("P12M").unwrap())),
        ],
        plans: vec![
            plan("topup_only", 0, 0, "1", None),
            plan("starter", 20, 500, "0.85", Some(2)),
            plan("pro", 50, 1_500, "0.75", Some(20)),
            plan("max", 100, 3_000, "0.6", None),
        ],
        exhaustion: Exhaustion { admission: Admission::Clip, ..Exhaustion::default() },
        max_charge_per_request: Some(credits(10_000)),
        ..Catalog::named("suite")
    }
}

fn plan(name: &str, usd: i64, included: i64, factor: &str, keys: Option<u64>) -> Plan {
    let grant = Grant::every_cycle("included".to_owned(), credits(included));
    Plan {
        price_usd: Some(credits(usd)),
        grants: if included > 0 { vec![grant] } else { Vec::new() },
        factors: vec![("topup".to_owned(), Ratio::parse_decimal(factor).unwrap())],
        resources: [("api_keys".to_owned(), keys)].into(),
        ..Plan::named(name)
    }
}

// === impl World ===

impl<S: Subject> World<S> {
    /// A world with the suite's catalog and one account.
    pub fn new(make: impl FnOnce(Catalog) -> S, plan: &str) -> Self {
        let mut world = Self::bare(make);
        world.open(ACCOUNT, plan);
        world
    }

    /// A world with a catalog of its own and one account, on a day.
    pub fn on(make: impl FnOnce(Catalog) -> S, catalog: Catalog, plan: &str, day: &str) -> Self {
        let wall = instant(day);
        let mut world = Self { subject: make(catalog), now: Now { wall, up: 0 } };
        world.open(ACCOUNT, plan);
        world
    }

    /// A world without accounts.
    pub fn bare(make: impl FnOnce(Catalog) -> S) -> Self {
        Self { subject: make(catalog()), now: Now { wall: BEGIN, up: 0 } }
    }

    pub fn call(&mut self, command: Command) -> Result<Reply, Error> {
        let reply = self.subject.call(self.now, &command);
        self.check();
        reply
    }

    /// Lets time pass; nodes are not silent for it.
    pub fn pass(&mut self, ms: i64) {
        self.now.wall += ms;
        self.call(Command::Tick).unwrap();
    }

    /// Lets ledger uptime pass as well.
    pub fn pass_up(&mut self, ms: i64) {
        self.now.up += ms;
        self.pass(ms);
    }

    /// The ledger dies and starts again: its uptime begins anew.
    pub fn crash(&mut self) {
        self.subject.crash();
        self.now.up = 0;
    }

    pub fn open(&mut self, id: &str, plan: &str) {
        let new =
            open::NewAccount { id: id.to_owned(), plan: plan.to_owned(), ..open::NewAccount::default() };
        self.call(Command::Open(new)).unwrap();
    }

    /// Grants credits of a pool.
    pub fn fill(&mut self, pool: &str, amount: Micros, reference: &str) {
        self.call(Command::Grant(grant::NewGrant {
            account: ACCOUNT.to_owned(),
            pool: pool.to_owned(),
            amount,
            expires_at: None,
            reference: reference.to_owned(),
        }))
        .unwrap();
    }

    pub fn set(&mut self, change: command::settings::SettingsChange) {
        self.call(Command::Settings(change)).unwrap();
    }

    pub fn top_up(&mut self, amount: i64, reference: &str) {
        self.grant(credits(amount), reference).unwrap();
    }

    pub fn grant(&mut self, amount: Micros, reference: &str) -> Result<Reply, Error> {
        self.call(Command::Grant(grant::NewGrant {
            account: ACCOUNT.to_owned(),
            pool: "topup".to_owned(),
            amount,
            expires_at: None,
            reference: reference.to_owned(),
        }))
    }

    pub fn switch(&mut self, to: &str) -> plan::Switch {
        let Reply::Switch(switch) = self.call(Command::Switch(ACCOUNT.to_owned(), to.to_owned())).unwrap()
        else {
            unreachable!("a switch answers with a switch")
        };
        *switch
    }

    pub fn account(&mut self) -> Account {
        self.subject.account(ACCOUNT).unwrap()
    }

    /// What is left in the account's open lots, by pool.
    pub fn left(&mut self, pool: &str) -> Micros {
        let account = self.account();
        let lots = account.lots.values().filter(|lot| &*lot.pool == pool && lot.closing.is_none());
        crate::amount::total(lots.map(|lot| lot.remaining))
    }

    pub fn term(&mut self) -> u64 {
        self.account().term().unwrap().no
    }

    pub fn send(&mut self, request: SyncRequest) -> SyncResponse {
        let Reply::Sync(response) = self.call(Command::Sync(Box::new(request))).unwrap() else {
            unreachable!("a sync answers with a sync")
        };
        *response
    }

    /// Sends events from where the worker stands; it goes on behind them.
    pub fn deliver(&mut self, worker: &mut Worker, bodies: Vec<EventBody>) -> Ack {
        let first = worker.next;
        worker.next += bodies.len() as u64;
        let request = worker.batch(self.now, first, &bodies);
        self.send(request).ack.unwrap()
    }

    /// Charges one request, as the edge would settle it.
    pub fn charge(&mut self, worker: &mut Worker, settle: Settle) {
        let ack = self.deliver(worker, vec![EventBody::Settle(Box::new(settle))]);
        assert_eq!(ack.rejected, Vec::new());
        assert_eq!(ack.last, worker.next - 1);
    }

    /// A settlement of so many input and output tokens of `sonnet`, under the term in force.
    pub fn settlement(&mut self, request: &str, input: u64, output: u64) -> Settle {
        let price = Micros((30 * input + 150 * output) as i64);
        Settle {
            request: request.to_owned(),
            account: ACCOUNT.to_owned(),
            key: "key_1".to_owned(),
            term: self.term(),
            model: "sonnet".to_owned(),
            answered_model: None,
            service_tier: None,
            provider_cost: None,
            operation: "chat".to_owned(),
            outcome: Outcome::Settled,
            source: Some(UsageSource::Reported),
            status: Some(UsageStatus::Complete),
            usage: Usage::new().with(Meter::InputTokens, input).with(Meter::OutputTokens, output),
            lease: 1,
            takes: vec![Take { bucket: "credits".to_owned(), held: price, used: price }],
            at: self.now.wall,
        }
    }

    /// A settlement at just this price.
    pub fn use_of(&mut self, request: &str, amount: Micros) -> Settle {
        let mut settle = self.settlement(request, 0, 0);
        settle.model = "unit".to_owned();
        settle.usage = Usage::new().with(Meter::InputTokens, u64::try_from(amount.get()).unwrap());
        settle.takes = vec![Take { bucket: "credits".to_owned(), held: amount, used: amount }];
        settle
    }

    /// What must hold after every command, for every account.
    fn check(&mut self) {
        let Some(account) = self.subject.account(ACCOUNT) else { return };
        assert_eq!(crate::invariant::broken(&account), None);
        assert_eq!(self.subject.rebuilt(ACCOUNT).as_ref(), Some(&account), "the fold of the journal");
    }
}

// === impl Worker ===

impl Worker {
    pub fn new(node: u8) -> Self {
        Self { lane: Lane { node: NodeId([node; 16]), slot: 0, incarnation: 1 }, cursor: None, next: 1 }
    }

    pub fn slot(node: u8, slot: u32) -> Self {
        let mut worker = Self::new(node);
        worker.lane.slot = slot;
        worker
    }

    /// A call with nothing in it.
    pub fn call(&self, now: Now) -> SyncRequest {
        SyncRequest {
            v: wire::VERSION,
            node: self.lane.node,
            label: "suite".to_owned(),
            now: now.wall,
            generation: None,
            cursor: self.cursor,
            batch: None,
            lookups: Vec::new(),
            refresh: Vec::new(),
            wants: Vec::new(),
            returns: Vec::new(),
            rates: Vec::new(),
            health: Health::default(),
        }
    }

    pub fn batch(&self, now: Now, first: u64, bodies: &[EventBody]) -> SyncRequest {
        let events = (first..).zip(bodies).map(|(seq, body)| raw(&Event { seq, body: body.clone() }));
        let batch = Batch { lane: self.lane, first, events: events.collect(), gap: None, close: false };
        SyncRequest { batch: Some(batch), ..self.call(now) }
    }

    pub fn gap(&self, now: Now, from: u64, to: u64, bodies: &[EventBody]) -> SyncRequest {
        let mut request = self.batch(now, to + 1, bodies);
        if let Some(batch) = &mut request.batch {
            batch.gap = Some(Gap { from, to });
        }
        request
    }

    /// A want of one record's credits.
    pub fn want(&self, now: Now, stands: Stands, requests: &[(&str, i64)]) -> SyncRequest {
        let need = |need: i64| Need { bucket: "credits".to_owned(), need: Micros(need) };
        let requests = requests.iter().map(|(request, amount)| ParkedRequest {
            request: (*request).to_owned(),
            needs: vec![need(*amount)],
        });
        let ask = Ask {
            bucket: "credits".to_owned(),
            ask: Micros(stands.ask),
            free: Micros(stands.free),
            held: Micros(stands.held),
            returned: Micros(stands.returned),
        };
        let want = Want {
            account: ACCOUNT.to_owned(),
            lease: stands.lease,
            term: 0,
            asks: vec![ask],
            rates: None,
            requests: requests.collect(),
        };
        SyncRequest { wants: vec![want], ..self.call(now) }
    }

    pub fn give_back(&self, now: Now, lease: u64, returned: i64) -> SyncRequest {
        let account = ACCOUNT.to_owned();
        let given = Return { account, lease, bucket: "credits".to_owned(), returned: Micros(returned) };
        SyncRequest { returns: vec![given], ..self.call(now) }
    }
}

/// How a record stands, as its node says.
#[derive(Clone, Copy, Debug)]
pub struct Stands {
    pub lease: u64,
    pub ask: i64,
    pub free: i64,
    pub held: i64,
    pub returned: i64,
}

/// A record that has nothing and asks for nothing ahead.
pub const BLANK: Stands = Stands { lease: 1, ask: 0, free: 0, held: 0, returned: 0 };

pub fn lease_closed(lease: u64, used: i64) -> EventBody {
    let used = vec![wire::Used { bucket: "credits".to_owned(), used: Micros(used) }];
    EventBody::LeaseClosed(LeaseClosed { account: ACCOUNT.to_owned(), lease, used })
}

pub fn settled(settle: Settle) -> EventBody {
    EventBody::Settle(Box::new(settle))
}

pub fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

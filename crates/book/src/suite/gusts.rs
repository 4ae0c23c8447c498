//! What a storm is made of: from numbers to commands and calls, most of them fair, some of them not.

use serde_json::value::RawValue;
use tariff::{Catalog, Expiry, Lost, Meter, Micros, Model, Period, Pool, Prices, Ratio, Usage};
use wire::{
    AccountStatus, Ask, Batch, Digest, Event, EventBody, Gap, Health, Lane, LeaseClosed, Need, NodeId,
    Outcome, ParkedRequest, Return, Settle, SyncRequest, Take, UsageSource, Used, Want,
};

use super::storm::{ACCOUNTS, Gust, NaiveKey, Storm};
use super::world::{Command, DAY, Subject, catalog, raw};
use crate::command::grant::NewGrant;
use crate::command::key::NewKey;
use crate::limits::AMOUNT_MAX;

/// How many kinds of steps there are.
pub const GUST_KINDS: u8 = 24;

const PLANS: [&str; 5] = ["topup_only", "starter", "pro", "max", "none-such"];
const POOLS: [&str; 4] = ["included", "topup", "gift", "none-such"];
const MODELS: [&str; 8] = ["unit", "third", "sonnet", "fine", "free", "input-only", "ping", "unheard-of"];

/// Numbers one after another, drawn from one.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len() as u64) as usize]
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// An amount of micro-credits: mostly everyday, sometimes at a boundary.
    fn amount(&mut self) -> i64 {
        match self.roll(64) {
            0 => self.pick(&[AMOUNT_MAX.get(), AMOUNT_MAX.get() - 1]),
            1 => self.roll(1 << 53) as i64,
            2..6 => self.roll(4) as i64,
            6..20 => self.roll(1_000) as i64,
            _ => self.roll(30_000_000) as i64,
        }
    }

    /// An amount that may be none.
    fn any_amount(&mut self) -> i64 {
        if self.one_in(16) {
            self.pick(&[-1, AMOUNT_MAX.get() + 1, i64::MAX, i64::MIN])
        } else {
            self.amount()
        }
    }

    fn account(&mut self) -> &'static str {
        // The first account gets half of it: depth needs repetition.
        if self.one_in(2) { ACCOUNTS[0] } else { self.pick(&ACCOUNTS) }
    }

    fn lane(&mut self) -> Lane {
        let node = NodeId([1 + self.roll(4) as u8; 16]);
        Lane { node, slot: self.roll(2) as u32, incarnation: 1 + u32::from(self.one_in(5)) }
    }
}

/// Carries one step out.
pub fn blow<S: Subject>(storm: &mut Storm<S>, (kind, a, b, c): Gust) {
    let dice = &mut Dice((u64::from(a) << 32 | u64::from(b)) ^ u64::from(c).rotate_left(48));
    match kind % GUST_KINDS {
        0 => {
            let created_at = dice.one_in(2).then(|| storm.now.wall - dice.roll(900) as i64 * DAY / 7 + 5);
            storm.open(dice.pick(&ACCOUNTS[..3]), dice.pick(&PLANS), created_at);
        }
        1 | 2 => top_up(storm, dice),
        3 => storm.switch(dice.account(), dice.pick(&PLANS)),
        4 => key(storm, dice),
        5 if dice.one_in(4) => {
            let status = dice.pick(&[AccountStatus::Active, AccountStatus::Suspended, AccountStatus::Closed]);
            storm.set_status(dice.account(), status);
        }
        6..=12 => settle(storm, dice),
        13 => give_up(storm, dice),
        14..=17 => want(storm, dice),
        18 => give_back(storm, dice),
        19 => replay(storm, dice),
        20 => jump(storm, dice),
        21 => {
            storm.now.up += dice.pick(&[1_000, 40_000, 64_999, 65_000, 70_000]);
            storm.tick();
        }
        22 if dice.one_in(2) => storm.publish(dice.roll(6) as usize),
        22 => storm.crash(),
        _ => look_up(storm, dice),
    }
}

fn top_up<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let expires_at = match dice.roll(6) {
        0 => Some(storm.now.wall + dice.pick(&[-1, 0, 1, 3_600_000, DAY, 400 * DAY])),
        // Many lots that end at the same instant.
        1 => Some(storm.now.wall / (7 * DAY) * 7 * DAY + 14 * DAY),
        _ => None,
    };
    let reference = if dice.one_in(32) { String::new() } else { format!("p{}", dice.roll(4_096)) };
    let mut amount = Micros(dice.any_amount());
    if amount.get() < 1 << 40 && dice.one_in(2) {
        amount = Micros(amount.get().saturating_mul(16));
    }
    let (account, pool) = (dice.account().to_owned(), dice.pick(&POOLS).to_owned());
    let new = NewGrant { account, pool, amount, expires_at, reference };
    storm.top_up(&new);
    if dice.one_in(4) {
        storm.top_up(&new);
    }
}

fn key<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let account = dice.account().to_owned();
    let number = dice.roll(12) as u8;
    let (id, digest) = (format!("k{number}"), Digest([number; 32]));
    if dice.one_in(3) {
        let answer = storm.subject.call(storm.now, &Command::RevokeKey(account.clone(), id.clone()));
        storm.look(&account);
        let known = storm.keys.values_mut().find(|key| key.account == account && key.id == id);
        assert_eq!(answer.is_ok(), known.is_some());
        known.into_iter().for_each(|key| key.is_revoked = true);
        return;
    }
    let ends = dice.one_in(3).then(|| storm.now.wall + dice.pick(&[0, 1, DAY, 40 * DAY]));
    let new = NewKey {
        account: account.clone(),
        id: id.clone(),
        digest,
        name: None,
        auth_class: None,
        models: None,
        expires_at: ends,
    };
    let answer = storm.subject.call(storm.now, &Command::CreateKey(new));
    let now = storm.now.wall;
    if ends.is_some_and(|ends| ends <= now) {
        return assert!(answer.is_err());
    }
    storm.look(&account);
    let Some(standing) = storm.standing(&account) else { return assert!(answer.is_err()) };
    let is_live = |key: &&NaiveKey| !key.is_revoked && key.ends.is_none_or(|ends| now < ends);
    let live = storm.keys.values().filter(|key| key.account == account).filter(is_live).count() as u64;
    let plan = storm.catalogs[storm.in_force()].plan(&standing.plan);
    let cap = plan.and_then(|plan| plan.resources["api_keys"]);
    let is_new = !storm.keys.contains_key(&digest);
    let is_open = standing.status != Some(AccountStatus::Closed);
    assert_eq!(answer.is_ok(), is_new && is_open && cap.is_none_or(|cap| live < cap));
    if answer.is_ok() {
        storm.keys.insert(digest, NaiveKey { account, id, ends, is_revoked: false });
    }
}

fn call(storm: &Storm<impl Subject>, node: NodeId) -> SyncRequest {
    SyncRequest {
        v: wire::VERSION,
        node,
        label: String::new(),
        now: storm.now.wall,
        generation: None,
        cursor: None,
        batch: None,
        lookups: Vec::new(),
        refresh: Vec::new(),
        wants: Vec::new(),
        returns: Vec::new(),
        rates: Vec::new(),
        health: Health::default(),
    }
}

fn send<S: Subject>(storm: &mut Storm<S>, mut request: SyncRequest, dice: &mut Dice) {
    // Clocks of nodes say anything.
    request.now = request.now.saturating_add(dice.pick(&[0, 0, 0, -DAY, DAY, i64::MIN, i64::MAX]));
    if dice.one_in(6) {
        request.refresh.push(dice.account().to_owned());
    }
    storm.send(&request);
    storm.sent.push(request);
}

fn settlement<S: Subject>(storm: &Storm<S>, dice: &mut Dice) -> Settle {
    let account = dice.account();
    let term = storm.standing(account).map_or(1, |standing| standing.terms.last().unwrap().0);
    let outcome = dice.pick(&[
        Outcome::Settled,
        Outcome::Settled,
        Outcome::Settled,
        Outcome::Lost,
        Outcome::Released,
        Outcome::NoUpstream,
    ]);
    let source = match outcome {
        Outcome::Settled => {
            Some(dice.pick(&[UsageSource::Reported, UsageSource::Counted, UsageSource::Estimated]))
        }
        Outcome::Lost => Some(UsageSource::Estimated),
        Outcome::Released | Outcome::NoUpstream => None,
    };
    let mut usage = Usage::new();
    if source.is_some() {
        for meter in [Meter::InputTokens, Meter::OutputTokens, Meter::Requests]
            .into_iter()
            .take(1 + dice.roll(3) as usize)
        {
            usage.set(meter, dice.amount().min(1 << 52) as u64 / dice.pick(&[1, 1, 1_000, 1_000_000]));
        }
    }
    let mut take = || Take {
        bucket: dice.pick(&["credits", "credits", "credits", "#a7be82ffb2619d55", "other"]).to_owned(),
        held: Micros(dice.amount()),
        used: Micros(dice.amount()),
    };
    let takes = (0..1).map(|_| take()).collect();
    Settle {
        // Few enough that the same request comes again, from here or elsewhere.
        request: format!("r{}", dice.roll(600)),
        account: account.to_owned(),
        key: "key_1".to_owned(),
        term: term
            .saturating_sub(dice.pick(&[0, 0, 0, 1, 2, 9]))
            .saturating_add(u64::from(dice.one_in(20)) * 7),
        model: dice.pick(&MODELS).to_owned(),
        answered_model: None,
        service_tier: None,
        provider_cost: None,
        operation: "chat".to_owned(),
        outcome,
        source,
        status: None,
        usage,
        lease: 1 + dice.roll(3),
        takes,
        at: storm.now.wall.saturating_sub(dice.pick(&[0, 1, DAY, -DAY, i64::MAX])),
    }
}

/// An event that must be refused, or refused together with none of its neighbours.
fn spoil(settle: &mut Settle, dice: &mut Dice) {
    match dice.roll(6) {
        0 => settle.takes[0].used = Micros(-1),
        1 => settle.takes[0].held = Micros(AMOUNT_MAX.get() + 1),
        2 => settle.request = String::new(),
        3 => settle.usage.set(Meter::OutputTokens, 1 << 53),
        4 => settle.takes = vec![settle.takes[0].clone(); 9],
        _ => settle.account = "nobody".to_owned(),
    }
}

fn settle<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let lane = dice.lane();
    let at = storm.lanes.get(&lane).copied().unwrap_or(0);
    let (mut first, mut gap) = (at + 1, None);
    match dice.roll(12) {
        0 => first += 1 + dice.roll(3),
        1 => first = first.saturating_sub(1 + dice.roll(3)),
        2 => {
            first += 1 + dice.roll(3);
            gap = Some(Gap { from: at + 1, to: first - u64::from(!dice.one_in(4)) });
        }
        _ => {}
    }
    let mut events: Vec<Box<RawValue>> = Vec::new();
    for seq in (first..).take(1 + dice.roll(5) as usize) {
        let known = storm.events.get(&(lane, seq)).filter(|_| !dice.one_in(4));
        if let Some(known) = known {
            events.push(RawValue::from_string(known.clone()).unwrap());
            continue;
        }
        let mut settle = settlement(storm, dice);
        if dice.one_in(12) {
            spoil(&mut settle, dice);
        }
        let seq = if dice.one_in(40) { seq + 1 } else { seq };
        events.push(match dice.roll(60) {
            0 => raw(&serde_json::json!({"seq": seq, "body": {"settle": {}}})),
            _ => raw(&Event { seq, body: EventBody::Settle(Box::new(settle)) }),
        });
    }
    // Mostly the lane's own node; sometimes one that has adopted it, or only says so.
    let node = if dice.one_in(5) { dice.lane().node } else { lane.node };
    let batch = Batch { lane, first, events, gap, close: dice.one_in(20) };
    let mut request = SyncRequest { batch: Some(batch), ..call(storm, node) };
    if dice.one_in(6) {
        request.wants.push(wanted(storm, dice));
    }
    send(storm, request, dice);
}

fn give_up<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let lane = dice.lane();
    let first = storm.lanes.get(&lane).copied().unwrap_or(0) + 1;
    let bucket = dice.pick(&["credits", "credits", "#a7be82ffb2619d55", "other"]).to_owned();
    let (account, lease) = (dice.account().to_owned(), 1 + dice.roll(3));
    let settled = storm.standing(&account).and_then(|standing| {
        let lease = standing.leases.into_iter().find(|known| known.node == lane.node && known.epoch == lease);
        lease.and_then(|lease| i64::try_from(lease.settled).ok())
    });
    let used = match settled.filter(|settled| *settled <= AMOUNT_MAX.get()) {
        Some(settled) if dice.one_in(2) => settled,
        _ => dice.any_amount(),
    };
    let used = if dice.one_in(5) { Vec::new() } else { vec![Used { bucket, used: Micros(used) }] };
    let body = EventBody::LeaseClosed(LeaseClosed { account, lease, used });
    let batch =
        Batch { lane, first, events: vec![raw(&Event { seq: first, body })], gap: None, close: false };
    let request = SyncRequest { batch: Some(batch), ..call(storm, lane.node) };
    send(storm, request, dice);
}

fn wanted<S: Subject>(storm: &Storm<S>, dice: &mut Dice) -> Want {
    let account = dice.account().to_owned();
    let need = |dice: &mut Dice| {
        // Often just what there is, one more or one less.
        let worth = storm.standing(&account).map_or(0, |standing| standing.worth(&storm.catalogs));
        match dice.roll(4) {
            0 => i64::try_from(worth).unwrap_or(0).saturating_add(dice.pick(&[-1, 0, 1])),
            _ => dice.any_amount(),
        }
    };
    let requests = (0..dice.roll(4)).map(|_| ParkedRequest {
        request: format!("r{}", dice.roll(600)),
        needs: vec![Need { bucket: "credits".to_owned(), need: Micros(need(dice)) }],
    });
    let requests: Vec<ParkedRequest> = requests.collect();
    let sometimes = |dice: &mut Dice| if dice.one_in(2) { 0 } else { dice.any_amount() };
    let ask = Ask {
        bucket: "credits".to_owned(),
        ask: Micros(sometimes(dice)),
        free: Micros(sometimes(dice)),
        held: Micros(sometimes(dice)),
        returned: Micros(sometimes(dice)),
    };
    Want { account, lease: 1 + dice.roll(3), term: 0, asks: vec![ask], rates: None, requests }
}

fn want<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let node = dice.lane().node;
    let want = wanted(storm, dice);
    let request = SyncRequest { wants: vec![want], ..call(storm, node) };
    send(storm, request, dice);
}

fn give_back<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let node = dice.lane().node;
    let returns = (0..1 + dice.roll(3)).map(|_| Return {
        account: dice.account().to_owned(),
        lease: 1 + dice.roll(3),
        bucket: dice.pick(&["credits", "credits", "#a7be82ffb2619d55", "other"]).to_owned(),
        returned: Micros(dice.any_amount()),
    });
    let request = SyncRequest { returns: returns.collect(), ..call(storm, node) };
    send(storm, request, dice);
}

/// Any call of the past, to the letter.
fn replay<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    if storm.sent.is_empty() {
        return;
    }
    let index = dice.roll(storm.sent.len() as u64) as usize;
    let request = storm.sent[index].clone();
    storm.send(&request);
}

/// The ledger's wall clock goes on: a little, far, or to the very instant of something.
fn jump<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let next = storm.facts.keys().filter_map(|account| storm.standing(account).unwrap().due()).min();
    let to = match dice.roll(10) {
        0 => storm.now.wall + 1,
        1 => storm.now.wall + 3_600_000,
        2 => storm.now.wall + 27 * DAY + dice.roll(5 * DAY as u64) as i64,
        3 => storm.now.wall + dice.roll(800) as i64 * DAY,
        // The last day of a February.
        4 => super::days::after(1_709_164_800_000, Period::MONTH, 12 * dice.roll(40)),
        _ => next.map_or(storm.now.wall, |next| next + dice.pick(&[-1, 0, 0, 0, 1])),
    };
    // The book's clock never falls, its keeper sees to that; if it did, the book would be right still.
    let falls = dice.one_in(12).then(|| storm.now.wall - dice.pick(&[1, 3_600_001, DAY, 40 * DAY]));
    storm.now.wall = falls.unwrap_or(storm.now.wall.max(to));
    storm.tick();
}

fn look_up<S: Subject>(storm: &mut Storm<S>, dice: &mut Dice) {
    let node = dice.lane().node;
    let lookups = (0..dice.roll(4)).map(|_| Digest([dice.roll(14) as u8; 32])).collect();
    let request = SyncRequest { lookups, ..call(storm, node) };
    send(storm, request, dice);
}

/// Catalogs that are harder on the arithmetic than a price page: thirds, sevenths, free models, odd cycles,
/// a pool that comes and goes, a plan that leaves.
pub fn variant(number: usize) -> Catalog {
    let mut catalog = catalog();
    let one = |meter, num, den| Prices::new([(meter, Ratio::new(num, den).unwrap())]);
    let model = |name: &str, prices| Model { name: name.to_owned(), prices, ..catalog.models[0].clone() };
    let further = [
        model("third", one(Meter::InputTokens, 1, 3)),
        model("free", one(Meter::InputTokens, 0, 1)),
        model("fine", one(Meter::InputTokens, 1, 1_000_000_007)),
    ];
    catalog.models.extend(further);
    if number.is_multiple_of(3) {
        return catalog;
    }
    catalog.lost = if number % 3 == 1 { Lost::Hold } else { Lost::Zero };
    catalog.pools.push(Pool::named("gift", 0, Expiry::Never));
    for (plan, (num, den)) in catalog.plans.iter_mut().zip([(1, 1), (1, 3), (3, 7), (85, 100)]) {
        plan.factors.push(("gift".to_owned(), Ratio::new(num, den).unwrap()));
        plan.cycle = Period::new(0, 7, 3_600).unwrap();
    }
    if number % 3 == 2 {
        catalog.max_charge_per_request = None;
        catalog.plans.retain(|plan| plan.name != "max");
        catalog.plans[1].factors.push(("included".to_owned(), Ratio::new(2, 3).unwrap()));
        let plan = &mut catalog.plans[2];
        plan.cycle = Period::new(1, 3, 0).unwrap();
        plan.grants.push(tariff::Grant::every_cycle("gift".to_owned(), AMOUNT_MAX));
    }
    catalog
}

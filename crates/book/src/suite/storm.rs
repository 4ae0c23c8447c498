//! A storm: several accounts, nodes that lie, messages that come again and out of order, clocks that jump,
//! catalogs that change; told by a list of numbers, so that a property test can shrink it.
//!
//! What was accepted becomes a list of facts per account ([`super::facts`]); after every step each account
//! must be what the fold of its list says, to the micro-credit.

use std::collections::{BTreeMap, BTreeSet};

use tariff::{Catalog, Micros};
use wire::{
    AccountStatus, Ack, Digest, Event, EventBody, Lane, LeaseClosed, NODE_OPEN_MS, NodeId, Settle,
    SyncRequest, SyncResponse,
};

use super::compare;
use super::facts::{Fact, Standing, fold};
use super::gusts;
use super::world::{BEGIN, Command, Reply, Subject};
use crate::command::grant::{self, NewGrant};
use crate::command::open::NewAccount;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::limits::AMOUNT_MAX;
use crate::tx::Now;

/// One step: what, and three numbers for how.
pub type Gust = (u8, u32, u32, u32);

/// The accounts that are played with; the last one is never opened.
pub const ACCOUNTS: [&str; 4] = ["acme", "bolt", "cog", "nobody"];

/// What the ledger was told, and what must have come of it.
pub struct Storm<S> {
    pub subject: S,
    pub now: Now,
    pub catalogs: Vec<Catalog>,
    pub facts: BTreeMap<String, Vec<Fact>>,
    /// Every call that was ever sent.
    pub sent: Vec<SyncRequest>,
    /// The bytes of each event that was taken or refused.
    pub events: BTreeMap<(Lane, u64), String>,
    pub lanes: BTreeMap<Lane, u64>,
    pub keys: BTreeMap<Digest, NaiveKey>,
    charged: BTreeSet<(String, String)>,
    granted: BTreeMap<(String, String), NewGrant>,
    /// When each node last called, in uptime; nothing once closed.
    nodes: BTreeMap<NodeId, Option<i64>>,
    /// Replayed, conflicts, gaps, applied.
    pub counts: [u64; 4],
    pub journal_read: usize,
    pub versions: BTreeMap<String, u64>,
}

/// A key as it was asked for.
#[derive(Clone, Debug)]
pub struct NaiveKey {
    pub account: String,
    pub id: String,
    pub ends: Option<i64>,
    pub is_revoked: bool,
}

/// Plays the steps and checks all that must hold.
pub fn storm<S: Subject>(make: impl FnOnce(Catalog) -> S, gusts: &[Gust]) {
    let first = gusts::variant(gusts.len());
    let mut storm = Storm {
        subject: make(first.clone()),
        now: Now { wall: BEGIN, up: 0 },
        catalogs: vec![first],
        facts: BTreeMap::new(),
        sent: Vec::new(),
        events: BTreeMap::new(),
        lanes: BTreeMap::new(),
        keys: BTreeMap::new(),
        charged: BTreeSet::new(),
        granted: BTreeMap::new(),
        nodes: BTreeMap::new(),
        counts: [0; 4],
        journal_read: 0,
        versions: BTreeMap::new(),
    };
    for account in &ACCOUNTS[..2] {
        storm.open(account, "starter", None);
    }
    for gust in gusts {
        gusts::blow(&mut storm, *gust);
        compare::check(&mut storm);
    }
}

// === impl Storm ===

impl<S: Subject> Storm<S> {
    /// The catalog in force, as an index.
    pub const fn in_force(&self) -> usize {
        self.catalogs.len() - 1
    }

    pub fn standing(&self, account: &str) -> Option<Standing> {
        self.facts.get(account).map(|facts| fold(facts, &self.catalogs))
    }

    fn note(&mut self, account: &str, fact: Fact) {
        if let Some(facts) = self.facts.get_mut(account) {
            facts.push(fact);
        }
    }

    pub fn look(&mut self, account: &str) {
        let fact = Fact::Looked { at: self.now.wall, catalog: self.in_force() };
        self.note(account, fact);
    }

    fn look_if_closing(&mut self, account: &str) {
        let fact = Fact::LookedIfClosing { at: self.now.wall, catalog: self.in_force() };
        self.note(account, fact);
    }

    fn call(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match self.subject.call(self.now, command) {
            Ok(reply) => Ok(reply),
            Err(Error::Refused(refusal)) => Err(refusal),
            Err(Error::Store(error)) => unreachable!("{error}"),
        }
    }

    pub fn open(&mut self, account: &str, plan: &str, created_at: Option<i64>) {
        let id = account.to_owned();
        let opened = self.call(&Command::Open(NewAccount {
            id,
            plan: plan.to_owned(),
            created_at,
            ..NewAccount::default()
        }));
        let created_at = created_at.unwrap_or(self.now.wall);
        let is_known = self.facts.contains_key(account);
        let has_plan = self.catalogs[self.in_force()].plan(plan).is_some();
        assert_eq!(opened.is_ok(), !is_known && has_plan && created_at <= self.now.wall);
        if opened.is_ok() {
            let (at, catalog) = (self.now.wall, self.in_force());
            let fact = Fact::Opened { at, created_at, plan: plan.to_owned(), catalog };
            self.facts.insert(account.to_owned(), vec![fact]);
        }
    }

    pub fn set_status(&mut self, account: &str, status: AccountStatus) {
        let answer = self.call(&Command::Status(account.to_owned(), status));
        self.look(account);
        let Some(standing) = self.standing(account) else { return assert!(answer.is_err()) };
        let is_same = standing.status == Some(status);
        assert_eq!(answer.is_ok(), is_same || standing.status != Some(AccountStatus::Closed));
        if answer.is_ok() && !is_same {
            self.note(account, Fact::Status(status));
            self.look(account);
        }
    }

    pub fn top_up(&mut self, new: &NewGrant) {
        let answer = self.call(&Command::Grant(new.clone()));
        let is_amount = (1..=AMOUNT_MAX.get()).contains(&new.amount.get());
        if !is_amount || new.reference.is_empty() {
            return assert!(answer.is_err());
        }
        self.look(&new.account);
        let name = (new.account.clone(), new.reference.clone());
        if let Some(known) = self.granted.get(&name) {
            let is_same_end = new.expires_at.is_none() || new.expires_at == known.expires_at;
            let is_same = known.pool == new.pool && known.amount == new.amount && is_same_end;
            match answer {
                Ok(Reply::Grant(grant::Outcome::Existing(_))) => assert!(is_same),
                Ok(other) => unreachable!("granted twice: {other:?}"),
                Err(_) => assert!(!is_same),
            }
            return;
        }
        let (at, catalog) = (self.now.wall, self.in_force());
        let is_closed = self.standing(&new.account).is_none_or(|s| s.status == Some(AccountStatus::Closed));
        let is_past = new.expires_at.is_some_and(|ends| ends <= at);
        let has_pool = self.catalogs[catalog].pools.iter().any(|pool| pool.name == new.pool);
        assert_eq!(answer.is_ok(), !is_closed && !is_past && has_pool, "{new:?}: {answer:?}");
        if let Ok(Reply::Grant(grant::Outcome::Posted(entry))) = answer {
            let (pool, amount, ends) = (new.pool.clone(), new.amount.get(), new.expires_at);
            self.note(&new.account, Fact::Bought { at, pool, amount, ends, catalog });
            let EntryKind::Grant(granted) = entry.kind else { unreachable!("a grant is a grant") };
            self.granted.insert(name, NewGrant { expires_at: granted.expires_at, ..new.clone() });
        }
    }

    pub fn switch(&mut self, account: &str, to: &str) {
        let answer = self.call(&Command::Switch(account.to_owned(), to.to_owned()));
        self.look(account);
        let (at, catalog) = (self.now.wall, self.in_force());
        let Some(before) = self.standing(account) else { return assert!(answer.is_err()) };
        let has_plan = self.catalogs[catalog].plan(to).is_some();
        let is_open = before.status != Some(AccountStatus::Closed);
        assert_eq!(answer.is_ok(), is_open && has_plan && before.plan != to);
        let Ok(Reply::Switch(switch)) = answer else { return };
        self.note(account, Fact::Switched { at, to: to.to_owned(), catalog });
        let of_plan = before.lots.iter().filter(|lot| lot.of_plan && lot.closed.is_none());
        let voided = switch.voided.iter().map(|(_, lot)| i128::from(lot.remaining.get()));
        assert_eq!(voided.sum::<i128>(), of_plan.map(|lot| lot.left).sum::<i128>());
        self.look(account);
    }

    /// Time passes, or jumps; what is due is done.
    pub fn tick(&mut self) {
        self.call(&Command::Tick).unwrap();
        let silence = i64::try_from(NODE_OPEN_MS).unwrap();
        let up = self.now.up;
        let is_silent = |called: &Option<i64>| called.is_some_and(|called| called <= up - silence);
        let silent: Vec<NodeId> =
            self.nodes.iter().filter(|(_, called)| is_silent(called)).map(|(id, _)| *id).collect();
        let accounts: Vec<String> = self.facts.keys().cloned().collect();
        for node in silent {
            self.nodes.insert(node, None);
            for account in &accounts {
                let standing = self.standing(account).unwrap();
                if standing.leases.iter().any(|lease| lease.node == node) {
                    self.note(account, Fact::NodeClosed(node));
                    self.look(account);
                }
            }
        }
        for account in &accounts {
            if self.standing(account).unwrap().due().is_some_and(|due| due <= self.now.wall) {
                self.look(account);
            }
        }
    }

    /// The ledger dies and starts again.
    pub fn crash(&mut self) {
        self.subject.crash();
        self.now.up = 0;
        self.counts = [0; 4];
        self.nodes.values_mut().flatten().for_each(|called| *called = 0);
    }

    pub fn publish(&mut self, number: usize) {
        let catalog = gusts::variant(number);
        if self.catalogs.last() != Some(&catalog) {
            self.subject.publish(catalog.clone());
            self.catalogs.push(catalog);
            self.crash();
        }
    }

    /// Sends a call and reckons what must come of it.
    pub fn send(&mut self, request: &SyncRequest) -> SyncResponse {
        let before = self.subject.counters();
        let Ok(Reply::Sync(answer)) = self.call(&Command::Sync(Box::new(request.clone()))) else {
            unreachable!("a call within the bounds is answered")
        };
        let is_open = self.nodes.entry(request.node).or_insert(Some(self.now.up)).is_some();
        assert_eq!(answer.node_open, is_open);
        assert_eq!((answer.v, answer.catalog), (wire::VERSION, self.catalogs.len() as u64));
        if is_open {
            self.nodes.insert(request.node, Some(self.now.up));
        }
        assert_eq!(answer.ack.as_ref().map(|ack| ack.last), self.events_of(request, &answer));
        let after = self.subject.counters();
        let counted = [
            after.replayed - before.replayed,
            after.conflicts - before.conflicts,
            after.gaps - before.gaps,
            after.applied - before.applied,
        ];
        assert_eq!(counted, std::mem::take(&mut self.counts));
        if is_open {
            self.returns_and_wants(request, &answer);
        } else {
            assert_eq!((answer.grants.len(), answer.verdicts.len()), (0, 0), "I10");
        }
        for account in request.refresh.clone() {
            self.look(&account);
        }
        for digest in &request.lookups {
            let live = self
                .keys
                .get(digest)
                .filter(|key| !key.is_revoked && key.ends.is_none_or(|ends| self.now.wall < ends));
            let told = answer.keys.iter().any(|key| key.digest == *digest);
            assert_eq!(told, live.is_some());
            assert_eq!(answer.unknown.contains(digest), live.is_none());
            if let Some(account) = live.map(|key| key.account.clone()) {
                self.look(&account);
            }
        }
        compare::snapshots(self, &answer);
        *answer
    }

    /// The batch: which events are new, and what they do.
    fn events_of(&mut self, request: &SyncRequest, answer: &SyncResponse) -> Option<u64> {
        let batch = request.batch.as_ref()?;
        let lane = batch.lane;
        let mut at = self.lanes.get(&lane).copied().unwrap_or(0);
        let ack: &Ack = answer.ack.as_ref().unwrap();
        if lane.node != request.node {
            // Nobody writes the lane of a node that is open, or of none; that of a closed one, who goes on for it.
            let codes: Vec<&str> = ack.rejected.iter().map(|bad| &*bad.code).collect();
            match self.nodes.get(&lane.node) {
                Some(None) => {}
                Some(Some(_)) => {
                    assert_eq!((codes.len(), ack.expected), (0, None));
                    return Some(at);
                }
                None => {
                    assert_eq!(codes, vec!["unknown_node"; batch.events.len()]);
                    return Some((batch.first + batch.events.len() as u64).saturating_sub(1));
                }
            }
        }
        if let Some(gap) =
            batch.gap.filter(|gap| gap.from <= at + 1 && gap.to > at && gap.to + 1 == batch.first)
        {
            self.counts[2] += gap.to - at;
            at = gap.to;
        }
        let is_hole = batch.first > at + 1 || batch.first == 0;
        assert_eq!(ack.expected, is_hole.then_some(at + 1));
        let mut rejected = Vec::new();
        for (seq, raw) in (batch.first..).zip(&batch.events).filter(|_| !is_hole) {
            if seq <= at {
                let is_same = self.events.get(&(lane, seq)).is_none_or(|known| known == raw.get());
                self.counts[usize::from(!is_same)] += 1;
                continue;
            }
            at = seq;
            self.events.insert((lane, seq), raw.get().to_owned());
            match self.event(request.node, lane, seq, raw.get()) {
                Ok(()) => self.counts[3] += 1,
                Err(code) => rejected.push((seq, code.to_owned())),
            }
        }
        self.lanes.insert(lane, at);
        let told: Vec<_> = ack.rejected.iter().map(|bad| (bad.seq, bad.code.clone())).collect();
        assert_eq!(told, rejected, "I13: each refused alone");
        Some(at)
    }

    fn event(&mut self, caller: NodeId, lane: Lane, seq: u64, raw: &str) -> Result<(), &'static str> {
        let Ok(event) = serde_json::from_str::<Event>(raw) else { return Err("malformed") };
        if event.seq != seq {
            return Err("wrong_seq");
        }
        match event.body {
            EventBody::Settle(settle) => self.settlement(caller, lane.node, settle),
            EventBody::LeaseClosed(closed) => self.given_up(caller, lane.node, closed),
        }
    }

    fn settlement(&mut self, caller: NodeId, lane: NodeId, settle: Box<Settle>) -> Result<(), &'static str> {
        let is_amount = |amount: Micros| amount.get() >= 0 && amount <= AMOUNT_MAX;
        let is_sound = settle.takes.iter().all(|take| is_amount(take.held) && is_amount(take.used))
            && settle.takes.len() <= 8
            && settle.usage.iter().all(|(_, count)| count < 1 << 53)
            && !settle.request.is_empty()
            && (settle.source.is_some() || settle.usage.is_empty());
        if !is_sound {
            return Err("invalid");
        }
        let account = settle.account.clone();
        if !self.facts.contains_key(&account) {
            return Err("unknown_account");
        }
        let is_charged = matches!(settle.outcome, wire::Outcome::Settled | wire::Outcome::Lost);
        let is_first = is_charged && self.charged.insert((account.clone(), settle.request.clone()));
        let fact =
            if is_first { Fact::Used { settle, lane, caller } } else { Fact::Ended { settle, lane, caller } };
        self.note(&account, fact);
        self.look_if_closing(&account);
        if is_charged && !is_first { Err("duplicate_request") } else { Ok(()) }
    }

    fn given_up(&mut self, caller: NodeId, lane: NodeId, closed: LeaseClosed) -> Result<(), &'static str> {
        if closed.used.iter().any(|used| used.used.get() < 0 || used.used > AMOUNT_MAX) {
            return Err("invalid");
        }
        if !self.facts.contains_key(&closed.account) {
            return Err("unknown_account");
        }
        let used = closed.used.into_iter().map(|used| (used.bucket, used.used.get())).collect();
        self.note(&closed.account, Fact::GivenUp { lane, caller, epoch: closed.lease, used });
        self.look_if_closing(&closed.account);
        Ok(())
    }

    fn give_back(&mut self, account: &str, node: NodeId, epoch: u64, (bucket, returned): (&str, i64)) {
        let before = self.standing(account).map(|standing| standing.leases);
        let bucket = bucket.to_owned();
        self.note(account, Fact::Returned { node, epoch, bucket, returned });
        if before != self.standing(account).map(|standing| standing.leases) {
            self.look_if_closing(account);
        }
    }

    fn returns_and_wants(&mut self, request: &SyncRequest, answer: &SyncResponse) {
        for given in &request.returns {
            let stated = (&*given.bucket, given.returned.get());
            self.give_back(&given.account, request.node, given.lease, stated);
        }
        let journal = self.subject.journal();
        for want in &request.wants {
            self.look(&want.account);
            let Some(standing) = self.standing(&want.account) else { continue };
            let is_amount = |amount: Micros| (0..=AMOUNT_MAX.get()).contains(&amount.get());
            let is_sound = want.asks.iter().all(|ask| {
                is_amount(ask.ask)
                    && is_amount(ask.free)
                    && is_amount(ask.held)
                    && ask.returned.get() <= 1 << 61
            }) && want
                .requests
                .iter()
                .flat_map(|request| &request.needs)
                .all(|need| is_amount(need.need) && need.need.get() > 0);
            let grant = answer.grants.iter().find(|grant| grant.account == want.account);
            let is_over = standing.ended.contains(&(request.node, want.lease))
                || standing.leases.iter().any(|lease| {
                    (lease.node, lease.epoch) == (request.node, want.lease) && lease.used.is_some()
                });
            if !is_sound || is_over {
                assert_eq!(grant, None);
                continue;
            }
            for ask in &want.asks {
                let stated = (&*ask.bucket, ask.returned.get());
                self.give_back(&want.account, request.node, want.lease, stated);
            }
            for entry in
                journal[self.journal_read..].iter().filter(|entry| entry.account.as_str() == want.account)
            {
                compare::leased(self, request.node, want, &entry.kind);
                if let EntryKind::Leased { node, epoch, amount, .. } = &entry.kind {
                    let fact = Fact::Leased { node: *node, epoch: *epoch, amount: amount.get() };
                    self.note(&want.account, fact);
                }
            }
            let standing = self.standing(&want.account).unwrap();
            if let Some(grant) = grant {
                let lease = standing.leases.iter().find(|l| l.node == request.node && l.epoch == want.lease);
                assert_eq!(i128::from(grant.granted.get()), lease.map_or(0, |lease| lease.granted));
            }
        }
    }
}

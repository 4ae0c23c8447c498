//! Requests that wait for the ledger: bounded, woken by answers, refused when their time is up.
//!
//! A request parks itself and wakes the root through the VM's own queue; calls are made from the root alone,
//! so that their answers always find somebody, whatever has become of the request. A request is counted here
//! exactly as long as it has a [`Wait`].

use std::collections::VecDeque;

use hashbrown::HashMap;
use wire::VerdictKind;
use wire::id::tag;

use crate::admit::Progress;
use crate::edge::Edge;
use crate::effect::{Effect, Verdict};
use crate::limits::{ASK_AGAIN_US, ASKS_AT_ONCE, PARK_US, PARKED, PARKED_LOOKUPS, PARKED_PER_ACCOUNT};
use crate::record::Need;
use crate::reply::Refusal;
use crate::reply::refuse;
use crate::request::{Reason, Request, Stage, Wait};
use crate::shared::SharedData;
use crate::time::Now;

/// The requests that wait, and the counts that bound them.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    /// Contexts, oldest first; one that has left is dropped when they are next looked at.
    contexts: VecDeque<u32>,
    by_account: HashMap<Box<str>, usize>,
    /// Those whose key is looked up.
    lookups: usize,
    /// One of them waits for nothing but a root.
    ready: bool,
}

// === impl Parked ===

impl Parked {
    /// How many contexts are kept.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// The contexts, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.contexts.iter().copied()
    }

    fn has_room(&self, account: Option<&str>) -> bool {
        let (count, max) = match account {
            Some(id) => (self.by_account.get(id).copied().unwrap_or(0), PARKED_PER_ACCOUNT),
            None => (self.lookups, PARKED_LOOKUPS),
        };
        self.contexts.len() < PARKED && count < max
    }

    fn enter(&mut self, context: u32, account: Option<Box<str>>) {
        self.contexts.push_back(context);
        let count = match account {
            Some(id) => self.by_account.entry(id).or_insert(0),
            None => &mut self.lookups,
        };
        *count = count.saturating_add(1);
    }

    fn leave(&mut self, account: Option<&str>) {
        let Some(id) = account else {
            self.lookups = self.lookups.saturating_sub(1);
            return;
        };
        if let Some(count) = self.by_account.get_mut(id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_account.remove(id);
            }
        }
    }
}

// === impl Edge ===

impl Edge {
    /// Parks a request, or refuses it where no more may wait.
    pub(crate) fn park(
        &mut self,
        context: u32,
        request: &mut Request,
        reason: Reason,
        needs: Vec<(String, Need)>,
        now: Now,
    ) -> Progress {
        if request.wait.is_some() {
            return self.park_on(request, reason, needs, now);
        }
        if self.ledger_is_down(now) && reason != Reason::Edit {
            return Progress::Refuse(refuse::ledger_unavailable());
        }
        let account = request.key.as_ref().map(|key| Box::<str>::from(&*key.account));
        let account = account.filter(|_| reason != Reason::Key);
        if !self.parked.has_room(account.as_deref()) || !self.want(reason, request, now) {
            return Progress::Refuse(refuse::overloaded());
        }
        self.parked.enter(context, account.clone());
        self.parked.ready |= reason == Reason::Edit;
        request.wait = Some(Wait::new(reason, needs, account, now));
        self.effects.push(Effect::Wake { queue: self.queue() });
        Progress::Wait
    }

    /// A parked request waits on, maybe for something else.
    fn park_on(
        &mut self,
        request: &mut Request,
        reason: Reason,
        needs: Vec<(String, Need)>,
        now: Now,
    ) -> Progress {
        if let Some(refusal) = waited_out(request, now) {
            return Progress::Refuse(refusal);
        }
        if request.wait.as_ref().is_some_and(|wait| wait.ask_after_us <= now.mono_us) {
            self.want(reason, request, now);
        }
        if let Some(wait) = &mut request.wait {
            (wait.reason, wait.needs) = (reason, needs);
        }
        Progress::Wait
    }

    /// Notes what the next sync must ask for; false where the look-ups of this second are used up.
    fn want(&mut self, reason: Reason, request: &Request, now: Now) -> bool {
        match reason {
            Reason::Key => request.digest.is_some_and(|digest| {
                let under_way = self.flight.as_ref().is_some_and(|flight| flight.lookups.contains(&digest));
                under_way || self.lookups.ask(digest, now.mono_us)
            }),
            Reason::Snapshot => {
                self.refresh.extend(request.key.as_ref().map(|key| Box::<str>::from(&*key.account)));
                true
            }
            // Calls for catalogs look for it themselves.
            Reason::Catalog(_) | Reason::Liveness | Reason::Refill | Reason::Tokens(_) | Reason::Edit => true,
        }
    }

    /// Whether asking is pointless for now: calls fail, and the next try is not due.
    pub(crate) fn ledger_is_down(&self, now: Now) -> bool {
        self.ledger.failures >= 2 && now.mono_us < self.clock.retry_after
    }

    /// Looks again at the parked requests that wait for nothing but a root.
    pub(crate) fn retry_ready(&mut self, shared: &dyn SharedData, now: Now) {
        if self.parked.ready {
            self.retry_parked(shared, now);
        }
    }

    /// Looks at all parked requests again.
    pub(crate) fn retry_parked(&mut self, shared: &dyn SharedData, now: Now) {
        self.parked.ready = false;
        for context in std::mem::take(&mut self.parked.contexts) {
            let Some(mut request) = self.requests.remove(&context) else {
                continue;
            };
            if request.wait.is_some() {
                let goes_on = has_waited_to_hear(&request, now) || self.may_go_beyond(&request, now);
                let waited_out = waited_out(&request, now).filter(|_| !goes_on);
                let progress = match waited_out {
                    Some(refusal) => Progress::Refuse(refusal),
                    None => self.advance(shared, context, &mut request, now),
                };
                self.conclude_parked(shared, context, &mut request, progress, now);
            }
            self.requests.insert(context, request);
        }
    }

    /// Turns a parked request's progress into an effect.
    fn conclude_parked(
        &mut self,
        shared: &dyn SharedData,
        context: u32,
        request: &mut Request,
        progress: Progress,
        now: Now,
    ) {
        match self.overrule(shared, request, progress, now) {
            Progress::Wait if waits_for_body(request) => self.leave_parked(request),
            Progress::Wait => self.parked.contexts.push_back(context),
            Progress::Go => {
                self.leave_parked(request);
                let mut verdict = Verdict::go();
                self.go(request, &mut verdict);
                self.effects.push(Effect::Resume { context, verdict: Box::new(verdict) });
            }
            Progress::Refuse(refusal) => {
                self.give_rates_back(shared, request, now);
                if let Some(reply) = self.refuse(request, refusal) {
                    self.effects.push(Effect::Reply { context, reply });
                } else if request.stage != Stage::Draining {
                    self.effects.push(Effect::Resume { context, verdict: Box::default() });
                }
            }
        }
    }

    /// A request waits no longer, whatever becomes of it.
    pub(crate) fn leave_parked(&mut self, request: &mut Request) {
        if let Some(wait) = request.wait.take() {
            self.parked.leave(wait.counted.as_deref());
        }
    }

    /// Notes that a call asks for all that waits.
    pub(crate) fn note_asked(&mut self, now: Now) {
        for context in self.parked.iter() {
            if let Some(wait) = self.requests.get_mut(&context).and_then(|request| request.wait.as_mut()) {
                wait.note_asked(now);
            }
        }
    }

    /// Another worker's refill has ended: requests that waited for it may be asked for.
    pub(crate) fn unblock_parked(&mut self) {
        for context in self.parked.iter() {
            let wait = self.requests.get_mut(&context).and_then(|request| request.wait.as_mut());
            if let Some(wait) = wait.filter(|wait| wait.blocked) {
                (wait.blocked, wait.ask_after_us) = (false, 0);
            }
        }
    }
}

/// Whether a request has waited in vain to hear from the ledger: it is looked at once more, as a node that is alone
/// goes on with what is its own.
pub(crate) fn has_waited_to_hear(request: &Request, now: Now) -> bool {
    let waits = |wait: &Wait| wait.reason == Reason::Liveness && now.mono_us >= wait.until_us;
    request.wait.as_ref().is_some_and(waits)
}

/// The refusal of a request whose time is up.
fn waited_out(request: &Request, now: Now) -> Option<Refusal> {
    let wait = request.wait.as_ref().filter(|wait| now.mono_us >= wait.until_us)?;
    if let Reason::Tokens(lacking) = wait.reason
        && wait.others
    {
        // Another node must be heard before there are tokens.
        let policy = request.account.as_ref().map(|account| &account.policy.policy);
        let rate = policy.and_then(|policy| policy.rates.iter().find(|rate| tag(&rate.id) == lacking));
        return Some(refuse::rate(rate.map_or("rate", |rate| &rate.id), PARK_US));
    }
    // The ledger has answered, and reports or returns of others did not come in time.
    let waited_for_others = matches!(wait.verdict, Some(VerdictKind::Wait(_)));
    Some(if waited_for_others {
        refuse::in_flight(request.account.as_deref())
    } else {
        refuse::ledger_unavailable()
    })
}

/// A request that got past its look-up and waits for nothing but its own body.
fn waits_for_body(request: &Request) -> bool {
    request.stage == Stage::Body && !request.body.ended
}

// === impl Wait ===

impl Wait {
    fn new(reason: Reason, needs: Vec<(String, Need)>, counted: Option<Box<str>>, now: Now) -> Self {
        let until_us = now.mono_us.saturating_add(PARK_US);
        Self {
            reason,
            until_us,
            verdict: None,
            version: 0,
            ask_after_us: 0,
            blocked: false,
            others: false,
            asked: 0,
            needs,
            counted,
        }
    }

    /// Whether a call that is made now would ask for it.
    pub(crate) fn asks(&self, now: Now) -> bool {
        match self.reason {
            Reason::Key | Reason::Snapshot | Reason::Liveness | Reason::Refill | Reason::Tokens(_) => {
                self.ask_after_us <= now.mono_us
            }
            Reason::Catalog(_) | Reason::Edit => false,
        }
    }

    /// A call asks for it: not without end, where the ledger has nothing to say of it.
    fn note_asked(&mut self, now: Now) {
        if !self.asks(now) {
            return;
        }
        self.asked = self.asked.saturating_add(1);
        if self.asked >= ASKS_AT_ONCE {
            self.ask_after_us = now.mono_us.saturating_add(ASK_AGAIN_US);
        }
    }
}

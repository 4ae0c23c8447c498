//! Requests that wait for the ledger: bounded, woken by answers, refused when their time is up.
//!
//! A request parks itself and wakes the root through the VM's own queue; calls are made from the root alone,
//! so that their answers always find somebody, whatever has become of the request.

use wire::{NODE_ADMITS_MS, VerdictKind};

use crate::admit::Progress;
use crate::config::HeaderMode;
use crate::edge::Edge;
use crate::effect::{Effect, HeaderEdit, Verdict};
use crate::limits::{PARK_US, PARKED, PARKED_LOOKUPS, PARKED_PER_ACCOUNT};
use crate::record::Need;
use crate::refuse;
use crate::reply::Refusal;
use crate::request::{Reason, Request, Stage, Wait};
use crate::route::Operation;
use crate::shared::SharedData;
use crate::stream::edit_body;
use crate::time::Now;

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
            return match waited_out(request, now) {
                Some(refusal) => Progress::Refuse(refusal),
                None => {
                    self.want(reason, request, now);
                    let wait = request.wait.get_or_insert_with(|| Wait::new(reason, now));
                    (wait.reason, wait.needs) = (reason, needs);
                    Progress::Wait
                }
            };
        }
        if self.ledger_is_down(now) {
            return Progress::Refuse(refuse::ledger_unavailable());
        }
        let account = request.key.as_ref().map(|key| Box::<str>::from(&*key.account));
        let of_account = account.as_ref().and_then(|id| self.parked_by_account.get(id)).copied().unwrap_or(0);
        let lookups_full = reason == Reason::Key && self.parked.len() >= PARKED_LOOKUPS;
        if self.parked.len() >= PARKED || of_account >= PARKED_PER_ACCOUNT || lookups_full {
            return Progress::Refuse(refuse::overloaded());
        }
        if !self.want(reason, request, now) {
            return Progress::Refuse(refuse::overloaded());
        }
        let mut wait = Wait::new(reason, now);
        wait.needs = needs;
        request.wait = Some(wait);
        self.parked.push_back(context);
        if let Some(account) = account {
            let count = self.parked_by_account.entry(account).or_insert(0);
            *count = count.saturating_add(1);
        }
        self.effects.push(Effect::Wake { queue: self.queue() });
        Progress::Wait
    }

    /// Notes what the next sync must ask for; false where the look-ups of this second are used up.
    fn want(&mut self, reason: Reason, request: &Request, now: Now) -> bool {
        match reason {
            Reason::Key => request.digest.is_some_and(|digest| self.lookups.ask(digest, now.mono_us)),
            Reason::Snapshot => {
                self.refresh.extend(request.key.as_ref().map(|key| Box::<str>::from(&*key.account)));
                true
            }
            Reason::Catalog(version) => {
                self.ledger.catalog = self.ledger.catalog.max(version);
                true
            }
            Reason::Liveness | Reason::Refill => true,
        }
    }

    /// Whether asking is pointless for now: calls fail, and the next try is not due.
    fn ledger_is_down(&self, now: Now) -> bool {
        let known_down = self.ledger.failures >= 2 && now.mono_us < self.clock.retry_after;
        let silent_us = now.mono_us.saturating_sub(self.ledger.answered_us);
        known_down || (self.ledger.failures >= 2 && silent_us > NODE_ADMITS_MS.saturating_mul(1_000))
    }

    /// Looks at all parked requests again.
    pub(crate) fn retry_parked(&mut self, shared: &dyn SharedData, now: Now) {
        for context in std::mem::take(&mut self.parked) {
            let Some(mut request) = self.requests.remove(&context) else {
                continue;
            };
            let account = request.key.as_ref().map(|key| Box::<str>::from(&*key.account));
            let progress = match waited_out(&request, now) {
                Some(refusal) => Progress::Refuse(refusal),
                None => self.advance(shared, context, &mut request, now),
            };
            match progress {
                Progress::Wait if request.wait.is_some() && !waits_for_body(&request) => {
                    self.parked.push_back(context);
                    self.requests.insert(context, request);
                    continue;
                }
                Progress::Wait => request.wait = None,
                Progress::Go => {
                    request.wait = None;
                    let mut verdict = Verdict::go();
                    self.go(&mut request, &mut verdict);
                    self.effects.push(Effect::Resume { context, verdict: Box::new(verdict) });
                }
                Progress::Refuse(refusal) => {
                    request.wait = None;
                    if let Some(reply) = self.refuse(&mut request, refusal) {
                        self.effects.push(Effect::Reply { context, reply });
                    } else if !matches!(request.stage, Stage::Draining) {
                        self.effects.push(Effect::Resume { context, verdict: Box::default() });
                    }
                }
            }
            self.unpark(account.as_deref());
            self.requests.insert(context, request);
        }
        if self.parked.is_empty() {
            self.parked_by_account.clear();
        }
    }

    /// Forgets that a request of this account is parked.
    pub(crate) fn unpark(&mut self, account: Option<&str>) {
        if let Some(count) = account.and_then(|id| self.parked_by_account.get_mut(id)) {
            *count = count.saturating_sub(1);
        }
    }

    /// What changes when a request goes on: its stage, the body's edits where they are still to be made, and
    /// the headers that the plan sends upstream.
    pub(crate) fn go(&mut self, request: &mut Request, verdict: &mut Verdict) {
        if request.stage != Stage::Admission {
            return;
        }
        request.stage = Stage::Forwarded;
        edit_body(request, verdict);
        let metered = matches!(request.operation, Operation::Meter(_));
        if metered && request.config.headers == HeaderMode::Stream {
            // The headers went ahead of the body.
            return;
        }
        let policy = request.account.as_ref().map(|account| &account.policy.policy);
        let forward = policy.map_or(&[][..], |policy| &policy.forward);
        let edits = forward.iter().map(|(name, value)| HeaderEdit::Forward(name.clone(), value.clone()));
        verdict.headers.extend(edits);
    }
}

/// The refusal of a request whose time is up.
fn waited_out(request: &Request, now: Now) -> Option<Refusal> {
    let wait = request.wait.as_ref().filter(|wait| now.mono_us >= wait.until_us)?;
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

impl Wait {
    fn new(reason: Reason, now: Now) -> Self {
        let until_us = now.mono_us.saturating_add(PARK_US);
        Self { reason, until_us, verdict: None, ask_after_us: 0, needs: Vec::new() }
    }
}

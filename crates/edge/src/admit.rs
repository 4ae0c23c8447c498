//! Admission: key, account, gates, then the hold (`hold`), decided from what the node knows.
//!
//! `Edge::advance` moves a request as far as it can go and says what it waits for; it is called from the
//! stream's own callbacks and again, from the root, whenever the ledger has answered.

pub(crate) mod beyond;
pub(crate) mod estimate;
pub(crate) mod hold;
pub(crate) mod opening;
pub(crate) mod park;
pub(crate) mod shadow;
pub mod trial;

use std::rc::Rc;

use tariff::glob;
use usage::RequestFacts;
use wire::{AccountStatus, KeyEntry, NODE_ADMITS_MS};

use crate::account::{Account, KeyState};
use crate::config::HeaderMode;
use crate::edge::Edge;
use crate::limits::RING_SPARE;
use crate::pricing::Catalog;
use crate::record::Need;
use crate::reply::Refusal;
use crate::reply::refuse;
use crate::request::parameter::{Parameters, Sold};
use crate::request::{Reason, Request, Stage};
use crate::route::Operation;
use crate::route::dialect::Dialect;
use crate::shared::SharedData;
use crate::time::Now;

/// How far a request got.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It may go on: its headers in the header phase, all of it after admission.
    Go,
    /// It waits, for its own body or for the ledger.
    Wait,
    /// It is refused.
    Refuse(Refusal),
}

/// What the next step is.
pub(crate) enum Next {
    /// All that was looked at is in order.
    Proceed,
    /// The ledger must be asked, for spending power where needs are named.
    Ledger(Reason, Vec<(String, Need)>),
    /// It is refused.
    Refusal(Refusal),
}

impl Edge {
    /// Moves a request as far as it can go.
    pub(crate) fn advance(
        &mut self,
        shared: &dyn SharedData,
        context: u32,
        request: &mut Request,
        now: Now,
    ) -> Progress {
        // What was known before a wait may have changed with its answer.
        if request.stage == Stage::Head || request.wait.is_some() {
            match self.identify(shared, request, now) {
                Next::Proceed => {}
                Next::Ledger(reason, needs) => return self.park(context, request, reason, needs, now),
                Next::Refusal(refusal) => return Progress::Refuse(refusal),
            }
        }
        if request.stage == Stage::Head {
            let metered = request.operation.reads_body();
            if metered && request.config.headers == HeaderMode::Stream {
                // A refusal here is sent at once: the host brings no body while the headers are paused.
                if let Err(refusal) = self.header_phase(shared, request, now) {
                    if request.enforced() {
                        return Progress::Refuse(refusal);
                    }
                    request.shadow.get_or_insert(refusal.code);
                }
                request.stage = Stage::Body;
                return Progress::Go;
            }
            request.stage = if metered { Stage::Body } else { Stage::Admission };
        }
        if request.stage == Stage::Body {
            if !request.body.ended {
                return Progress::Wait;
            }
            request.stage = Stage::Admission;
        }
        match self.decide(shared, request, now) {
            Next::Proceed => Progress::Go,
            Next::Ledger(reason, needs) => self.park(context, request, reason, needs, now),
            Next::Refusal(refusal) => Progress::Refuse(refusal),
        }
    }

    /// Finds the key and the account.
    fn identify(&mut self, shared: &dyn SharedData, request: &mut Request, now: Now) -> Next {
        let Some(digest) = request.digest else {
            return Next::Refusal(refuse::no_such_key());
        };
        self.catch_up(shared, now);
        let key = match self.known_key(shared, &digest, now) {
            KeyState::Known(key) => key,
            KeyState::Unknown => return Next::Refusal(refuse::no_such_key()),
            KeyState::NotHere => return Next::Ledger(Reason::Key, Vec::new()),
        };
        if key.expires_at.is_some_and(|at| at <= now.wall_ms) {
            return Next::Refusal(refuse::no_such_key());
        }
        let account = self.known_account(shared, &key.account);
        request.key = Some(key);
        let Some(account) = account else {
            return Next::Ledger(Reason::Snapshot, Vec::new());
        };
        request.account = Some(Rc::clone(&account));
        // In shadow mode its body is read all the same, and it is decided then.
        if account.status == AccountStatus::Active || !request.enforced() {
            return Next::Proceed;
        }
        self.refuse_by(&account, refuse::not_active(account.status), now)
    }

    /// Gates, rates, limits and credits, once everything of the request is known.
    pub(crate) fn decide(&mut self, shared: &dyn SharedData, request: &mut Request, now: Now) -> Next {
        let Some(key) = request.key.clone() else {
            return Next::Refusal(refuse::no_such_key());
        };
        // The account may have changed while the request waited.
        let Some(account) = self.known_account(shared, &key.account) else {
            return Next::Ledger(Reason::Snapshot, Vec::new());
        };
        request.account = Some(Rc::clone(&account));
        if account.status != AccountStatus::Active {
            return self.refuse_by(&account, refuse::not_active(account.status), now);
        }
        if account.fresh_until_us <= now.mono_us {
            self.refresh.insert(account.id.clone());
        }
        let Some(catalog) = self.catalog(shared, account.catalog) else {
            return Next::Ledger(Reason::Catalog(account.catalog), Vec::new());
        };
        let facts = request.body.facts.as_ref();
        let sold = match weigh(&key, &account, &catalog, &request.operation, facts) {
            Ok(sold) => sold,
            Err(Unfit::Itself(refusal)) => return Next::Refusal(refusal),
            Err(Unfit::ForAccount(refusal)) => return self.refuse_by(&account, refusal, now),
        };
        if !self.may_admit(now) && !self.may_go_beyond(request, now) {
            return Next::Ledger(Reason::Liveness, Vec::new());
        }
        if !self.has_ring_room(shared, now) {
            return Next::Refusal(refuse::ring_full());
        }
        self.hold(shared, request, &key, &account, sold, now)
    }

    /// A refusal by what is known of an account, or the question whether that is still so.
    pub(crate) fn refuse_by(&self, account: &Account, refusal: Refusal, now: Now) -> Next {
        if self.is_current(account, now) {
            return Next::Refusal(refusal);
        }
        Next::Ledger(Reason::Snapshot, Vec::new())
    }

    /// Whether the lane has room for another request beside those that are open: each may leave a settlement
    /// and the end of a lease.
    pub(crate) fn has_ring_room(&mut self, shared: &dyn SharedData, now: Now) -> bool {
        self.confirm_lane(shared, now);
        let open = u64::try_from(self.requests.len()).unwrap_or(u64::MAX).saturating_add(1);
        let needed = open.saturating_mul(2).saturating_add(RING_SPARE);
        self.lane(shared, now).is_some_and(|lane| lane.room() >= needed)
    }

    /// Whether the node has heard from the ledger lately enough to admit.
    pub(crate) fn may_admit(&self, now: Now) -> bool {
        let silent_us = now.mono_us.saturating_sub(self.ledger.answered_us);
        self.ledger.answered_us > 0 && silent_us < NODE_ADMITS_MS.saturating_mul(1_000)
    }
}

/// The model that a request names, or the operation that its route is sold as.
pub(crate) fn asked_model<'a>(operation: &'a Operation, facts: Option<&'a RequestFacts>) -> &'a str {
    match operation {
        Operation::Flat(name) => name,
        Operation::Meter(_) | Operation::Exempt | Operation::Deny => {
            facts.and_then(|facts| facts.model.as_deref()).unwrap_or_default()
        }
    }
}

/// Why a request cannot be admitted, however much there is to pay for it.
pub(crate) enum Unfit {
    /// Nobody's could.
    Itself(Refusal),
    /// By what is known of its key and its account.
    ForAccount(Refusal),
}

/// What a request is priced by and what it states of its meters, unless a gate, a bound on requests or the catalog
/// refuses it.
pub(crate) fn weigh(
    key: &KeyEntry,
    account: &Account,
    catalog: &Catalog,
    operation: &Operation,
    facts: Option<&RequestFacts>,
) -> Result<Sold, Unfit> {
    let asked = asked_model(operation, facts);
    let model = catalog.model(asked).ok_or_else(|| Unfit::Itself(refuse::unknown_model(asked)))?;
    if let Some(refusal) = closed_to(key, account, asked, &model.base.model) {
        return Err(Unfit::ForAccount(refusal));
    }
    // Another model must not answer at this one's price. What members of an API mean that only the configuration knows is
    // not known; what the catalog reads as a parameter means what the catalog says.
    let is_known = matches!(operation, Operation::Meter(dialect) if !matches!(dialect, Dialect::Generic(_)));
    let is_parameter = |name: &str| catalog.parameters.iter().any(|parameter| parameter.member == name);
    let asking = facts.filter(|_| is_known && !model.base.by_answered);
    let others = asking.and_then(|facts| facts.other_models(is_parameter));
    if let Some(member) = others {
        return Err(Unfit::Itself(refuse::parameter(member, NO_OTHERS)));
    }
    let parameters = Parameters::new(catalog, facts);
    parameters.within(account).map_err(Unfit::ForAccount)?;
    parameters.sold(model, account.policy.policy.card.as_deref()).map_err(Unfit::Itself)
}

const NO_OTHERS: &str =
    "is not offered with this model, which is not charged by the one that answers: leave it out";

/// Gates of the key and of the plan.
fn closed_to(key: &KeyEntry, account: &Account, asked: &str, model: &str) -> Option<Refusal> {
    let named =
        |patterns: &[String]| glob::matches_any(patterns, model) || glob::matches_any(patterns, asked);
    if key.models.as_ref().is_some_and(|models| !named(models)) {
        return Some(refuse::forbidden_model(asked));
    }
    let gate = account.policy.policy.gates.iter().find(|gate| glob::matches_any(&gate.models, model));
    gate.map(|gate| refuse::plan_required(account, gate, asked))
}

//! Admission: key, account, gates, rates, limits and credits, decided from what the node holds.
//!
//! [`Edge::advance`] moves a request as far as it can go and says what it waits for; it is called from the
//! stream's own callbacks and again, from the root, whenever the ledger has answered.

use std::rc::Rc;
use std::sync::Arc;

use tariff::{Meter, Rate, Unit, Usage, glob};
use usage::RequestFacts;
use wire::id::tag;
use wire::{AccountStatus, DenialCode, KeyEntry, NODE_ADMITS_MS, VerdictKind};

use crate::account::{Account, KeyState};
use crate::config::HeaderMode;
use crate::edge::Edge;
use crate::lane::LaneQueue;
use crate::pricing::Priced;
use crate::rate;
use crate::record::{Denied, Need, Record, Short, Why};
use crate::refuse;
use crate::reply::Refusal;
use crate::request::{Held, Hold, Reason, Request, Stage};
use crate::route::Operation;
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

/// Where a request stands with the ledger.
enum Next {
    Proceed,
    Ledger(Reason, Vec<(String, Need)>),
    Refusal(Refusal),
}

/// What one look at the record said.
enum Taken {
    Held { epoch: u64, remaining: Option<i64>, rate_limit: Option<String>, low: bool },
    Rate { id: String, retry_us: u64 },
    Denied(Denied),
    Short,
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
            let metered = matches!(request.operation, Operation::Meter(_));
            if metered && request.config.headers == HeaderMode::Stream {
                // A refusal here is sent at once: the host brings no body while the headers are paused.
                if let Err(refusal) = self.header_phase(shared, request, now) {
                    return Progress::Refuse(refusal);
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
        let refused = (account.status != AccountStatus::Active).then(|| refuse::not_active(account.status));
        request.account = Some(account);
        refused.map_or(Next::Proceed, Next::Refusal)
    }

    /// `stream` mode: what is decided before the headers go ahead. Rates are taken here; what is known to be
    /// refused whatever the body says is refused here.
    fn header_phase(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        now: Now,
    ) -> Result<(), Refusal> {
        let Some(account) = request.account.clone() else {
            return Ok(());
        };
        let policy = Rc::clone(&account.policy);
        let rates: Vec<&Rate> = policy.rates(None).collect();
        let every_class_takes = |tag: u64| {
            let id = policy.bucket_id(tag).unwrap_or_default();
            policy.policy.classes.iter().all(|class| class.buckets.iter().any(|own| own == id))
        };
        let node = self.node(shared).generation;
        let changed = self.records.change_or_create(shared, &account.id, node, now.mono_us, |record| {
            bring_up_to_date(record, &account);
            let denied = record.denial.filter(|d| d.until_us > now.mono_us && every_class_takes(d.tag));
            if let Some(denied) = denied {
                return Err(Taken::Denied(denied));
            }
            take_rates(record, &rates, now.mono_us).map(|_| record.touched_us = now.mono_us)
        });
        let changed = changed.map_err(refuse::record)?;
        self.close_evicted(shared, changed.evicted, now);
        request.rates_taken = changed.result.is_ok();
        match changed.result {
            Ok(()) => Ok(()),
            Err(Taken::Denied(denied)) => Err(refuse::denied(&account, denied, None)),
            Err(Taken::Rate { id, retry_us }) => Err(refuse::rate(&id, retry_us)),
            Err(Taken::Held { .. } | Taken::Short) => Ok(()),
        }
    }

    /// Gates, rates, limits and credits, once everything of the request is known.
    fn decide(&mut self, shared: &dyn SharedData, request: &mut Request, now: Now) -> Next {
        let Some(key) = request.key.clone() else {
            return Next::Refusal(refuse::no_such_key());
        };
        // The account may have changed while the request waited.
        let Some(account) = self.known_account(shared, &key.account) else {
            return Next::Ledger(Reason::Snapshot, Vec::new());
        };
        request.account = Some(Rc::clone(&account));
        if account.status != AccountStatus::Active {
            return Next::Refusal(refuse::not_active(account.status));
        }
        if account.fresh_until_us < now.mono_us {
            self.refresh.insert(account.id.clone());
        }
        let Some(catalog) = self.catalog(shared, account.catalog) else {
            return Next::Ledger(Reason::Catalog(account.catalog), Vec::new());
        };
        let asked = match &request.operation {
            Operation::Flat(name) => name.as_str(),
            Operation::Meter(_) | Operation::Exempt | Operation::Deny => {
                request.body.facts.as_ref().and_then(|facts| facts.model.as_deref()).unwrap_or_default()
            }
        };
        let Some(model) = catalog.model(asked).cloned() else {
            return Next::Refusal(refuse::unknown_model(asked));
        };
        if let Some(refusal) = closed_to(&key, &account, asked, &model) {
            return Next::Refusal(refusal);
        }
        if !self.may_admit(now) {
            return Next::Ledger(Reason::Liveness, Vec::new());
        }
        if self.lane(shared, now).is_none_or(|lane| LaneQueue::is_full(lane)) {
            return Next::Refusal(refuse::ring_full());
        }
        self.hold(shared, request, &key, &account, model, now)
    }

    /// Takes rates and buckets together, in one compare-and-swap.
    fn hold(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        key: &KeyEntry,
        account: &Rc<Account>,
        model: Rc<Priced>,
        now: Now,
    ) -> Next {
        let estimate = estimate(request, account, &model);
        let Ok(credits) = model.price(&estimate) else {
            return Next::Refusal(refuse::unknown_model(&model.name));
        };
        let policy = Rc::clone(&account.policy);
        let name = model.name.clone();
        let takes: Vec<Held> = policy
            .buckets(&name, &key.auth_class)
            .map(|bucket| {
                let (amount, credits) = match bucket.unit {
                    Unit::Credits => (credits.get(), true),
                    Unit::Count(meter) => (millionths(estimate.get(meter)), false),
                };
                Held { bucket: bucket.id.to_owned(), tag: bucket.tag, amount, credits }
            })
            .collect();
        let rates: Vec<&Rate> =
            if request.rates_taken { Vec::new() } else { policy.rates(Some(&name)).collect() };
        let needs: Vec<Need> = takes.iter().map(|take| Need { tag: take.tag, amount: take.amount }).collect();
        let mut hold = Hold {
            model,
            epoch: None,
            node: self.node(shared).generation,
            takes,
            credits: credits.get(),
            input_estimate: estimate.get(Meter::InputTokens),
            remaining: None,
            rate_limit: None,
        };
        let nothing_to_take = needs.iter().all(|need| need.amount == 0);
        if nothing_to_take && rates.is_empty() {
            hold.takes.clear();
            request.hold = Some(hold);
            return Next::Proceed;
        }
        let clip = clip_of(request);
        let force = !request.enforced();
        let result = self.records.change_or_create(shared, &account.id, hold.node, now.mono_us, |record| {
            bring_up_to_date(record, account);
            take(record, &policy, &rates, &needs, clip, now.mono_us)
        });
        let changed = match result {
            Ok(changed) => changed,
            Err(error) => return Next::Refusal(refuse::record(error)),
        };
        self.close_evicted(shared, changed.evicted, now);
        let taken = changed.result;
        match taken {
            Taken::Held { epoch, remaining, rate_limit, low } => {
                if low {
                    self.low.insert(account.id.clone());
                }
                if let Some(clip) = clip {
                    for take in hold.takes.iter_mut().filter(|take| take.tag == clip.tag) {
                        take.amount = clip.amount;
                    }
                }
                hold.epoch = Some(epoch);
                (hold.remaining, hold.rate_limit) = (remaining, rate_limit);
                request.hold = Some(hold);
                Next::Proceed
            }
            Taken::Rate { id, retry_us } => {
                self.refused(shared, request, account, hold, &needs, force, refuse::rate(&id, retry_us), now)
            }
            Taken::Denied(denied) => {
                let refusal = refuse::denied(account, denied, Some(&hold));
                self.refused(shared, request, account, hold, &needs, force, refusal, now)
            }
            Taken::Short => {
                let needs: Vec<_> = hold
                    .takes
                    .iter()
                    .map(|take| (take.bucket.clone(), Need { tag: take.tag, amount: take.amount }))
                    .collect();
                if let Some(refusal) = self.verdict(shared, request, account, &hold, now) {
                    let needs: Vec<Need> = needs.into_iter().map(|(_, need)| need).collect();
                    return self.refused(shared, request, account, hold, &needs, force, refusal, now);
                }
                Next::Ledger(Reason::Refill, needs)
            }
        }
    }

    /// A refusal, or in shadow mode a hold that is not covered.
    #[expect(clippy::too_many_arguments, reason = "the pieces of one hold, used once")]
    fn refused(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        account: &Account,
        mut hold: Hold,
        needs: &[Need],
        force: bool,
        refusal: Refusal,
        now: Now,
    ) -> Next {
        if !force {
            self.give_rates_back(shared, request, account, now);
            return Next::Refusal(refusal);
        }
        request.shadow = Some(refusal.code);
        let held = self.records.change(shared, &account.id, hold.node, crate::limits::SWAP_TRIES, |record| {
            record.hold(needs, now.mono_us);
            (record.epoch, crate::records::Fate::Store)
        });
        hold.epoch = held.ok();
        request.hold = Some(hold);
        Next::Proceed
    }

    /// A refusal in the body phase gives back the rate tokens of the header phase.
    fn give_rates_back(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        account: &Account,
        now: Now,
    ) {
        if !std::mem::take(&mut request.rates_taken) {
            return;
        }
        let node = self.node(shared).generation;
        let policy = Rc::clone(&account.policy);
        // A record that is gone has no rate to mend.
        let _ = self.records.change(shared, &account.id, node, crate::limits::SWAP_TRIES, |record| {
            for rate in policy.rates(None) {
                let tag = tag(&rate.id);
                let full_us = rate::give_back(rate, record.rate(tag), 1);
                record.set_rate(tag, full_us, now.mono_us);
            }
            ((), crate::records::Fate::Store)
        });
    }

    /// The refusal that the ledger's verdict on a parked request asks for, if it asks for one.
    fn verdict(
        &mut self,
        shared: &dyn SharedData,
        request: &Request,
        account: &Rc<Account>,
        hold: &Hold,
        now: Now,
    ) -> Option<Refusal> {
        let VerdictKind::Deny(denial) = request.wait.as_ref()?.verdict.as_ref()? else {
            return None;
        };
        let (why, until_us) = match denial.code {
            DenialCode::Empty => (Why::Empty, u64::MAX),
            DenialCode::Limit => (Why::Limit, u64::MAX),
            DenialCode::InFlight => (Why::InFlight, now.mono_us.saturating_add(crate::limits::IN_FLIGHT_US)),
        };
        let denied = Denied { tag: tag(&denial.bucket), why, until_us, available: denial.available.get() };
        // Remembered for the node's other requests; the refusal itself does not depend on it.
        let _ = self.records.change(shared, &account.id, hold.node, crate::limits::SWAP_TRIES, |record| {
            if record.version > account.version {
                return ((), crate::records::Fate::Leave);
            }
            record.denial = Some(denied);
            ((), crate::records::Fate::Store)
        });
        let mut refusal = refuse::denied(account, denied, Some(hold));
        if denial.resets_at.is_some() {
            refusal.help.resets_at.clone_from(&denial.resets_at);
        }
        Some(refusal)
    }

    /// Whether the node has heard from the ledger lately enough to admit.
    pub(crate) fn may_admit(&self, now: Now) -> bool {
        let silent_us = now.mono_us.saturating_sub(self.ledger.answered_us);
        self.ledger.answered_us > 0 && silent_us < NODE_ADMITS_MS.saturating_mul(1_000)
    }
}

/// What a request may use, for its hold: input from its size, output from its own bound, the plan's and the
/// model's, times the number of answers asked for.
fn estimate(request: &Request, account: &Account, model: &Priced) -> Usage {
    let usage = Usage::new().with(Meter::Requests, 1);
    let Some(facts) = &request.body.facts else {
        return usage;
    };
    usage
        .with(Meter::InputTokens, facts.body_bytes.div_ceil(4))
        .with(Meter::OutputTokens, output_bound(facts, account, model))
}

fn output_bound(facts: &RequestFacts, account: &Account, model: &Priced) -> u64 {
    let asked = facts.output_bound().unwrap_or(model.max_output_default);
    let capped = account.policy.policy.max_tokens.map_or(asked, |cap| {
        // Where the request names no bound, the cap itself is sent upstream.
        if facts.output_bound().is_some() { asked.min(cap) } else { cap }
    });
    capped.saturating_mul(facts.n.unwrap_or(1)).min(tariff::meter::COUNT_MAX)
}

fn millionths(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// Gates of the key and of the plan.
fn closed_to(key: &Arc<KeyEntry>, account: &Account, asked: &str, model: &Priced) -> Option<Refusal> {
    let named =
        |patterns: &[String]| glob::matches_any(patterns, &model.name) || glob::matches_any(patterns, asked);
    if key.models.as_ref().is_some_and(|models| !named(models)) {
        return Some(refuse::forbidden_model(asked));
    }
    let gate = account.policy.policy.gates.iter().find(|gate| glob::matches_any(&gate.models, &model.name));
    gate.map(|gate| refuse::plan_required(account, gate, asked))
}

/// A clip that the ledger granted to this request: what to hold of the bucket instead of the need.
fn clip_of(request: &Request) -> Option<Need> {
    match request.wait.as_ref()?.verdict.as_ref()? {
        VerdictKind::Clip(clip) => Some(Need { tag: tag(&clip.bucket), amount: clip.need.get() }),
        VerdictKind::Deny(_) | VerdictKind::Wait(_) => None,
    }
}

/// A snapshot of a higher version lifts denials and states its own.
fn bring_up_to_date(record: &mut Record, account: &Account) {
    if record.version >= account.version {
        return;
    }
    record.version = account.version;
    record.denial = account.deny.first().map(|denial| Denied {
        tag: tag(&denial.bucket),
        why: match denial.code {
            DenialCode::Empty => Why::Empty,
            DenialCode::InFlight => Why::InFlight,
            DenialCode::Limit => Why::Limit,
        },
        until_us: u64::MAX,
        available: denial.available.get(),
    });
}

fn take(
    record: &mut Record,
    policy: &crate::account::Compiled,
    rates: &[&Rate],
    needs: &[Need],
    clip: Option<Need>,
    now_us: u64,
) -> Taken {
    let before = record.rates;
    if let Err(refused) = take_rates(record, rates, now_us) {
        return refused;
    }
    let clipped: Vec<Need>;
    let needs = match clip {
        Some(clip) => {
            clipped = needs.iter().map(|need| if need.tag == clip.tag { clip } else { *need }).collect();
            &clipped
        }
        None => needs,
    };
    match record.take(needs, now_us) {
        Ok(()) => {
            let credits = policy
                .policy
                .buckets
                .iter()
                .zip(&policy.tags)
                .find(|(bucket, _)| bucket.unit == Unit::Credits);
            let cell = credits.and_then(|(_, tag)| record.cell(*tag));
            let low = needs
                .iter()
                .filter_map(|need| record.cell(need.tag))
                .any(|cell| cell.free() < cell.target(now_us) / 2);
            Taken::Held {
                epoch: record.epoch,
                remaining: cell.map(crate::record::Cell::remaining),
                rate_limit: rate_limit(record, policy, now_us),
                low: low && !record.exact,
            }
        }
        Err(short) => {
            record.rates = before;
            match short {
                Short::Lease => Taken::Short,
                Short::Denied(denied) => Taken::Denied(denied),
            }
        }
    }
}

/// Takes one token of each rate, or none of any.
fn take_rates(record: &mut Record, rates: &[&Rate], now_us: u64) -> Result<(), Taken> {
    let before = record.rates;
    for rate in rates {
        let tag = tag(&rate.id);
        match rate::take(rate, record.rate(tag), 1, now_us) {
            rate::Verdict::Pass { full_us } => record.set_rate(tag, full_us, now_us),
            rate::Verdict::Wait { retry_us } => {
                record.rates = before;
                return Err(Taken::Rate { id: rate.id.clone(), retry_us });
            }
        }
    }
    Ok(())
}

/// The IETF `RateLimit` header: what is left of each rate, and when it is whole again.
fn rate_limit(record: &Record, policy: &crate::account::Compiled, now_us: u64) -> Option<String> {
    let describe = |rate: &Rate| {
        let full_us = record.rate(tag(&rate.id));
        let left = rate::remaining(rate, full_us, now_us);
        let whole_s = full_us.saturating_sub(now_us).div_ceil(1_000_000);
        format!("\"{}\";r={left};t={whole_s}", rate.id)
    };
    let all: Vec<String> = policy.policy.rates.iter().map(describe).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

//! The hold: rates and buckets of the account's record, taken together in one compare-and-swap or not at all,
//! and what becomes of a request where they are not there.

use std::rc::Rc;
use std::sync::Arc;

use tariff::{Rate, Unit};
use wire::id::tag;
use wire::{Denial, DenialCode, KeyEntry, RATE_ALONE_MS, VerdictKind};

use crate::account::{Account, Compiled, is_common};
use crate::admit::Next;
use crate::admit::beyond::Beyond;
use crate::admit::estimate::planned;
use crate::admit::opening::Opening;
use crate::admit::park::has_waited_to_hear;
use crate::edge::Edge;
use crate::limits::{IN_FLIGHT_US, SWAP_TRIES};
use crate::record::records::Fate;
use crate::record::tokens::{Contact, Refused, Stance};
use crate::record::{Cell, Denied, Need, Record, Short, Why};
use crate::reply::Refusal;
use crate::reply::refuse;
use crate::request::parameter::Sold;
use crate::request::{Held, Hold, Reason, Request};
use crate::shared::SharedData;
use crate::time::Now;

/// A bucket that the ledger has said to be dry.
#[derive(Clone, Debug)]
pub(crate) struct Dry {
    /// The account's version then.
    version: u64,
    denied: Denied,
    /// When waiting would help (RFC 3339).
    resets_at: Option<String>,
}

/// What one look at the record said.
pub(crate) enum Taken {
    Held {
        epoch: u64,
        remaining: Option<i64>,
        rate_limit: Option<String>,
        low: bool,
    },
    Rate {
        id: String,
        retry_us: u64,
    },
    Denied(Denied),
    /// Of a bucket.
    Short,
    /// Of tokens of the rate with that tag.
    NoTokens(u64),
    /// The ledger must be heard first.
    Stale,
    /// Another worker knows the account by a later version: requests are no longer admitted under this one.
    Outdated,
}

impl Edge {
    /// `stream` mode: what is decided before the headers go ahead. The rates that count every request are taken
    /// here; what is known to be refused whatever the body says is refused here.
    pub(crate) fn header_phase(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        now: Now,
    ) -> Result<(), Refusal> {
        let Some(account) = request.account.clone().filter(|_| self.may_admit(now)) else {
            // The body's phase waits for the ledger.
            return Ok(());
        };
        let policy = Rc::clone(&account.policy);
        let rates: Vec<&Rate> = policy.common_rates().collect();
        let auth_class = request.key.as_ref().map(|key| Arc::clone(&key.auth_class)).unwrap_or_default();
        let every_class_takes = |tag: u64| policy.is_taken_by_all(tag, &auth_class);
        let node = self.node(shared).generation;
        let stance = self.stance(request, now);
        let changed = self.records.change_or_create(shared, &account.id, node, now.mono_us, |record| {
            bring_up_to_date(record, &account, now);
            let denied = record.denial.filter(|d| d.until_us > now.mono_us && every_class_takes(d.tag));
            let has_none = |tag: u64| record.cell(tag).is_none_or(|cell| cell.free() <= 0);
            if let Some(denied) = denied.filter(|denied| has_none(denied.tag)) {
                return Err(Taken::Denied(denied));
            }
            take_rates(record, &rates, stance)?;
            record.touched_us = now.mono_us;
            Ok(record.turn)
        });
        let changed = changed.map_err(refuse::record)?;
        self.made_room(shared, changed.evicted, now);
        request.rates_taken = changed.result.as_ref().ok().copied();
        match changed.result {
            Ok(_) => Ok(()),
            // The body's phase asks whether that is still so.
            Err(Taken::Denied(_)) if !self.is_current(&account, now) => Ok(()),
            Err(Taken::Denied(denied)) => Err(self.denial(&account, denied, None, now)),
            Err(Taken::Rate { id, retry_us }) => Err(refuse::rate(&id, retry_us)),
            // The body's phase waits for the ledger.
            Err(Taken::Held { .. } | Taken::Short | Taken::NoTokens(_) | Taken::Stale | Taken::Outdated) => {
                Ok(())
            }
        }
    }

    /// Takes rates and buckets together.
    pub(crate) fn hold(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        key: &KeyEntry,
        account: &Rc<Account>,
        (model, stated): Sold,
        now: Now,
    ) -> Next {
        let (stance, may_admit) = (self.stance(request, now), self.may_admit(now));
        let Some(mut hold) = planned(request, key, account, Rc::clone(&model), stated) else {
            return Next::Refusal(refuse::unknown_model(&model.model));
        };
        hold.node = self.node(shared).generation;
        let policy = Rc::clone(&account.policy);
        let taken_before = |rate: &&Rate| request.rates_taken.is_some() && is_common(rate);
        let rates: Vec<&Rate> = policy.rates(&model.model).filter(|rate| !taken_before(rate)).collect();
        let rationed = !rates.is_empty() || hold.takes.iter().any(|take| take.amount != 0);
        if rationed {
            clip(request, &mut hold);
        } else {
            hold.takes.clear();
        }
        let Some(mut opening) = Opening::begin(&mut self.lane, &self.keys_in_shared, request, &hold) else {
            return Next::Refusal(refuse::ring_full());
        };
        if !rationed {
            opening.note(shared, None);
            hold.open = opening.end(shared, true);
            request.hold = Some(hold);
            return Next::Proceed;
        }
        let needs = hold.needs();
        let changed = self.records.change_or_create(shared, &account.id, hold.node, now.mono_us, |record| {
            bring_up_to_date(record, account, now);
            if record.version > account.version {
                // The ledger reckons that nothing is taken under a term that the node has left.
                return Taken::Outdated;
            }
            if !may_admit {
                // The ledger may have closed the node: its leases are not to be taken from.
                return Taken::Short;
            }
            let taken = take(record, &policy, &rates, &needs, stance);
            if matches!(taken, Taken::Held { .. }) {
                opening.note(shared, Some(record));
            }
            taken
        });
        let held = changed.as_ref().is_ok_and(|changed| matches!(changed.result, Taken::Held { .. }));
        hold.open = opening.end(shared, held);
        let changed = match changed {
            Ok(changed) => changed,
            Err(error) => return Next::Refusal(refuse::record(error)),
        };
        self.made_room(shared, changed.evicted, now);
        let taken = match changed.result {
            // What the ledger would say is known, unless it was asked for this very request.
            Taken::Short if may_admit && request.wait.is_none() => {
                self.known_denial(account, &needs, now).map_or(Taken::Short, Taken::Denied)
            }
            taken @ (Taken::Held { .. }
            | Taken::Rate { .. }
            | Taken::Denied(_)
            | Taken::Short
            | Taken::NoTokens(_)
            | Taken::Stale
            | Taken::Outdated) => taken,
        };
        match taken {
            Taken::Held { epoch, remaining, rate_limit, low } => {
                if low {
                    self.low.insert(account.id.clone());
                }
                hold.epoch = Some(epoch);
                (hold.remaining, hold.rate_limit) = (remaining, rate_limit);
                request.hold = Some(hold);
                Next::Proceed
            }
            Taken::Rate { id, retry_us } => Next::Refusal(refuse::rate(&id, retry_us)),
            Taken::Denied(_) if !self.is_current(account, now) => Next::Ledger(Reason::Snapshot, Vec::new()),
            Taken::Denied(denied) => Next::Refusal(self.denial(account, denied, Some(&hold), now)),
            Taken::Short => match self.verdict(shared, request, account, &hold, now) {
                Some(refusal) => Next::Refusal(refusal),
                None => match self.hold_beyond(shared, request, account, hold, &rates, now) {
                    Beyond::Decided(next) => next,
                    Beyond::AskLedger(hold) => Next::Ledger(Reason::Refill, hold.wanted()),
                },
            },
            Taken::NoTokens(rate) => Next::Ledger(Reason::Tokens(rate), hold.wanted()),
            Taken::Stale => Next::Ledger(Reason::Liveness, Vec::new()),
            Taken::Outdated if self.later_account(shared, account) => self.decide(shared, request, now),
            Taken::Outdated => Next::Ledger(Reason::Snapshot, Vec::new()),
        }
    }

    /// A refusal after the header phase gives back the rate tokens that were taken there.
    pub(crate) fn give_rates_back(&mut self, shared: &dyn SharedData, request: &mut Request, now: Now) {
        let taken = std::mem::take(&mut request.rates_taken);
        let enforced = request.enforced();
        let (Some(account), Some(turn)) = (request.account.clone(), taken.filter(|_| enforced)) else {
            return;
        };
        let node = self.node(shared).generation;
        // A record that is gone has no rate to mend.
        let _ = self.records.change(shared, &account.id, node, SWAP_TRIES, |record| {
            for rate in account.policy.common_rates() {
                record.give_token_back(rate, turn, now.mono_us);
            }
            ((), Fate::Store)
        });
    }

    /// What a request takes rates by.
    pub(crate) fn stance(&self, request: &Request, now: Now) -> Stance {
        let silent_us = now.mono_us.saturating_sub(self.ledger.answered_us);
        let unheard = self.ledger.failures > 0 || has_waited_to_hear(request, now);
        let contact = match (silent_us < RATE_ALONE_MS.saturating_mul(1_000), unheard) {
            (true, _) => Contact::Fresh,
            (false, false) => Contact::Stale,
            (false, true) => Contact::Lost,
        };
        Stance { since: self.ledger.rates_since, contact, now_us: now.mono_us }
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
        let wait = request.wait.as_ref()?;
        let VerdictKind::Deny(denial) = wait.verdict.as_ref()? else {
            return None;
        };
        // While it waited for tokens, the account may have got what it lacked: that is asked again. Version 0 is of
        // an account that the ledger does not know.
        let told = wait.version;
        if told != 0 && told < account.version {
            return None;
        }
        let denied = denied_until(denial, now.mono_us.saturating_add(IN_FLIGHT_US));
        let dry = Dry { version: account.version, denied, resets_at: denial.resets_at.clone() };
        self.dry.insert((account.id.clone(), denied.tag), dry);
        // Remembered for the node's other requests; the refusal itself does not depend on it.
        let _ = self.records.change(shared, &account.id, hold.node, SWAP_TRIES, |record| {
            if record.version > told.max(account.version) {
                return ((), Fate::Leave);
            }
            record.denial = Some(denied);
            ((), Fate::Store)
        });
        Some(self.denial(account, denied, Some(hold), now))
    }

    /// What is known to be gone of what a request needs, beside what its record remembers: by the account's
    /// snapshot, or by an earlier verdict. A lease that covers the request is taken all the same.
    fn known_denial(&mut self, account: &Account, needs: &[Need], now: Now) -> Option<Denied> {
        let stated = account.deny.iter().map(|denial| denied_until(denial, now.mono_us));
        let told = needs.iter().filter_map(|need| {
            let dry = self.dry.fetch(&(account.id.clone(), need.tag))?;
            (dry.version == account.version).then_some(dry.denied)
        });
        let mut known = stated.chain(told.collect::<Vec<_>>()).filter(|denied| denied.until_us > now.mono_us);
        known.find(|denied| needs.iter().any(|need| need.tag == denied.tag && need.amount > 0))
    }

    /// The refusal that a denial asks for, with the instant at which waiting would help.
    fn denial(&mut self, account: &Account, denied: Denied, hold: Option<&Hold>, now: Now) -> Refusal {
        let told = self.dry.fetch(&(account.id.clone(), denied.tag));
        let told = told.filter(|dry| dry.version == account.version).and_then(|dry| dry.resets_at.clone());
        let stated = || {
            let denial = account.deny.iter().find(|denial| tag(&denial.bucket) == denied.tag)?;
            denial.resets_at.clone()
        };
        refuse::denied(account, denied, told.or_else(stated), hold, now)
    }
}

// === impl Hold ===

impl Hold {
    /// What it takes of the record.
    pub(crate) fn needs(&self) -> Vec<Need> {
        self.takes.iter().map(Held::need).collect()
    }

    /// What the ledger is asked for.
    fn wanted(&self) -> Vec<(String, Need)> {
        let positive = self.takes.iter().filter(|take| take.amount > 0);
        positive.map(|take| (take.bucket.to_string(), take.need())).collect()
    }
}

impl Held {
    fn need(&self) -> Need {
        Need { tag: self.tag, amount: self.amount, unlimited: self.unlimited }
    }
}

/// Lowers the hold to what the ledger has clipped it to (M9). A clip is good for one look at the record: where
/// others were faster, the ledger is asked for the whole hold again.
fn clip(request: &mut Request, hold: &mut Hold) {
    let Some(wait) = &mut request.wait else {
        return;
    };
    if let Some(VerdictKind::Clip(clip)) = wait.verdict.take_if(|kind| matches!(kind, VerdictKind::Clip(_))) {
        for take in hold.takes.iter_mut().filter(|take| *take.bucket == *clip.bucket) {
            take.amount = clip.need.get().min(take.amount);
        }
    }
}

/// A snapshot of a higher version lifts denials and states its own, and its rates get their places.
pub(crate) fn bring_up_to_date(record: &mut Record, account: &Account, now: Now) {
    if record.version >= account.version {
        return;
    }
    record.version = account.version;
    let rates: Vec<u64> = account.policy.policy.rates.iter().map(|rate| tag(&rate.id)).collect();
    record.reserve_rates(&rates);
    record.fit_rates(account.policy.policy.rates.iter(), now.mono_us);
    record.denial = account.deny.first().map(|denial| denied_until(denial, u64::MAX));
}

/// A denial as the record remembers it; one for credits that are held elsewhere only until `in_flight_us`.
pub(crate) fn denied_until(denial: &Denial, in_flight_us: u64) -> Denied {
    let (why, until_us) = match denial.code {
        DenialCode::Empty => (Why::Empty, u64::MAX),
        DenialCode::Limit => (Why::Limit, u64::MAX),
        DenialCode::InFlight => (Why::InFlight, in_flight_us),
    };
    Denied { tag: tag(&denial.bucket), why, until_us, available: denial.available.get() }
}

fn take(record: &mut Record, policy: &Compiled, rates: &[&Rate], needs: &[Need], stance: Stance) -> Taken {
    let now_us = stance.now_us;
    let before = (record.rates, record.tokens);
    if let Err(refused) = take_rates(record, rates, stance) {
        return refused;
    }
    if let Err(short) = record.take(needs, now_us) {
        (record.rates, record.tokens) = before;
        return match short {
            Short::Lease => Taken::Short,
            Short::Denied(denied) => Taken::Denied(denied),
        };
    }
    let is_credits = |need: &&Need| policy.bucket(need.tag).is_some_and(|own| own.unit == Unit::Credits);
    let credits = needs.iter().find(is_credits);
    let cells = needs.iter().filter_map(|need| record.cell(need.tag));
    let low = cells.into_iter().any(|cell| cell.free() < cell.target(now_us) / 2);
    let few = rates.iter().any(|rate| record.is_low(rate, now_us));
    Taken::Held {
        epoch: record.epoch,
        remaining: credits.and_then(|need| record.cell(need.tag)).map(Cell::remaining),
        rate_limit: rate_limit(record, policy, now_us),
        low: (low && !record.exact) || few,
    }
}

/// Takes one token of each rate, or none of any.
pub(crate) fn take_rates(record: &mut Record, rates: &[&Rate], stance: Stance) -> Result<(), Taken> {
    let before = (record.rates, record.tokens);
    for rate in rates {
        if let Err(refused) = record.take_token(rate, stance) {
            (record.rates, record.tokens) = before;
            return Err(match refused {
                Refused::Wait { retry_us } => Taken::Rate { id: rate.id.clone(), retry_us },
                Refused::Ask => Taken::NoTokens(tag(&rate.id)),
                Refused::Stale => Taken::Stale,
            });
        }
    }
    Ok(())
}

/// The IETF `RateLimit` header: what is left of each rate, and when it is whole again.
fn rate_limit(record: &Record, policy: &Compiled, now_us: u64) -> Option<String> {
    let describe = |rate: &Rate| {
        let full_us = record.rate(tag(&rate.id));
        let left = record.rate_left(rate, now_us);
        let whole_s = full_us.saturating_sub(now_us).div_ceil(1_000_000);
        format!("\"{}\";r={left};t={whole_s}", rate.id)
    };
    let all: Vec<String> = policy.enforced_rates().map(describe).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

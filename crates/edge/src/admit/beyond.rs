//! Bounded fail-open: while the ledger cannot be reached, a plan may let each node admit so much of an account
//! beyond its lease, in each outage. What was used is settled and posted as ever, to debt if need be.

use std::rc::Rc;

use tariff::{Micros, Rate};

use crate::account::Account;
use crate::admit::Next;
use crate::admit::hold::{Taken, take_rates};
use crate::admit::opening::Opening;
use crate::edge::Edge;
use crate::effect::Effect;
use crate::limits::OUTAGE_US;
use crate::reply::refuse;
use crate::request::{Hold, Request};
use crate::shared::SharedData;
use crate::time::Now;

/// What a node did that may admit beyond its lease.
pub(crate) enum Beyond {
    /// It decided.
    Decided(Next),
    /// It may not: the ledger is asked, and where it does not answer the request is refused.
    AskLedger(Hold),
}

impl Edge {
    /// What may be held beyond the lease of the request's account in this outage; nothing where the plan does not
    /// say so, or where the ledger can be asked.
    fn allowance(&self, request: &Request, account: &Account, now: Now) -> Option<i64> {
        let allowance = account.policy.policy.fail_open?;
        let unreachable = match &request.wait {
            None => self.ledger_is_down(now),
            // It was asked for as long as a request may wait, and said nothing.
            Some(wait) => now.mono_us >= wait.until_us && wait.verdict.is_none() && self.ledger.failures > 0,
        };
        unreachable.then_some(allowance.get())
    }

    /// Whether a request may go on beyond the lease, now that its time is up or the node no longer admits.
    pub(crate) fn may_go_beyond(&self, request: &Request, now: Now) -> bool {
        let account = request.account.as_ref();
        account.is_some_and(|account| self.allowance(request, account, now).is_some())
    }

    /// Holds what the lease does not cover, where the plan allows it and as far as it does.
    pub(crate) fn hold_beyond(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        account: &Rc<Account>,
        mut hold: Hold,
        rates: &[&Rate],
        now: Now,
    ) -> Beyond {
        let Some(allowance) = self.allowance(request, account, now) else {
            return Beyond::AskLedger(hold);
        };
        // The outage goes by when any worker was last answered: all of them share its allowance.
        let (since_us, _) = self.last_answer(shared);
        if now.mono_us.saturating_sub(since_us) < OUTAGE_US {
            return Beyond::AskLedger(hold);
        }
        let stance = self.stance(request, now);
        let Some(mut opening) = Opening::begin(&mut self.lane, &self.keys_in_shared, request, &hold) else {
            return Beyond::Decided(Next::Refusal(refuse::ring_full()));
        };
        let (needs, credits) = (hold.needs(), hold.credits);
        let changed = self.records.change_or_create(shared, &account.id, hold.node, now.mono_us, |record| {
            let before = (record.rates, record.tokens);
            take_rates(record, rates, stance).map_err(Some)?;
            let first = record.beyond.0 != since_us;
            if !record.hold_beyond(&needs, credits, allowance, since_us, now.mono_us) {
                (record.rates, record.tokens) = before;
                return Err(None);
            }
            opening.note(shared, Some(record));
            Ok((record.epoch, first))
        });
        let held = changed.as_ref().is_ok_and(|changed| changed.result.is_ok());
        hold.open = opening.end(shared, held);
        let changed = match changed {
            Ok(changed) => changed,
            Err(error) => return Beyond::Decided(Next::Refusal(refuse::record(error))),
        };
        self.made_room(shared, changed.evicted, now);
        match changed.result {
            Ok((epoch, first)) => {
                if first {
                    self.effects.push(Effect::Warn(format!(
                        "the ledger cannot be reached: account {} goes on beyond its lease, up to {} credits (fail_open)",
                        account.id,
                        Micros(allowance)
                    )));
                }
                self.metrics.beyond = self.metrics.beyond.saturating_add(credits);
                hold.epoch = Some(epoch);
                request.hold = Some(hold);
                Beyond::Decided(Next::Proceed)
            }
            Err(Some(Taken::Rate { id, retry_us })) => {
                Beyond::Decided(Next::Refusal(refuse::rate(&id, retry_us)))
            }
            Err(_) => Beyond::AskLedger(hold),
        }
    }
}

//! Rates in a sync: what wants say of them, withdrawals, and tokens that rest.

use std::rc::Rc;

use wire::{RateGrant, RateMode, RateReport, RateState, Withdrawal};

use crate::account::Compiled;
use crate::edge::Edge;
use crate::limits::{PARK_FOR_TOKENS_US, RATES_WATCHED, SWAP_TRIES, SWAP_TRIES_MUST, TOKENS_IDLE_US};
use crate::record::Record;
use crate::record::records::{Fate, RecordError};
use crate::shared::SharedData;
use crate::time::Now;

impl Edge {
    /// The policy of an account that is known here.
    pub(crate) fn policy(&mut self, account: &str) -> Option<Rc<Compiled>> {
        self.accounts.fetch(account).map(|account| Rc::clone(&account.policy))
    }

    /// The ledger takes the refilling of rates over: the node stops in the instant that it answers.
    pub(super) fn hear_withdrawn(&mut self, shared: &dyn SharedData, withdrawn: &[Withdrawal], now: Now) {
        let node = self.node(shared).generation;
        for told in withdrawn {
            // Said again before the reply could be sent.
            let replied =
                |report: &RateReport| report.account == told.account && report.state.turn == told.turn;
            if self.rate_reports.iter().any(replied) {
                continue;
            }
            let changed = self.records.change(shared, &told.account, node, SWAP_TRIES_MUST, |record| {
                record.withdraw(told.turn);
                ((record.epoch, record.rate_report(now.mono_us)), Fate::Store)
            });
            let (lease, state) = match changed {
                Ok(stands) => stands,
                // One that is made later asks first.
                Err(RecordError::Missing) => {
                    (0, RateState { turn: told.turn, mode: RateMode::Leased, lines: Vec::new() })
                }
                // The ledger says it again.
                Err(RecordError::Full | RecordError::Contended) => continue,
            };
            self.rate_reports.push(RateReport { account: told.account.clone(), lease, state });
            self.hasty = true;
        }
    }

    /// Notes what is left to do after the ledger has spoken of an account's rates.
    pub(super) fn note_rates(&mut self, told: &RateGrant, now: Now) {
        if told.mode == RateMode::Leased && self.leased.len() < RATES_WATCHED {
            let keep_us = told.keep_ms.saturating_mul(1_000).max(TOKENS_IDLE_US);
            self.leased.insert(told.account.as_str().into(), keep_us);
        }
        if told.wait_ms == 0 {
            return;
        }
        let again_us = now.mono_us.saturating_add(told.wait_ms.saturating_mul(1_000));
        for context in self.parked.iter() {
            let Some(request) = self.requests.get_mut(&context) else { continue };
            let of_account = request.key.as_ref().is_some_and(|key| *key.account == *told.account);
            let wait = request.wait.as_mut().filter(|wait| of_account && wait.reason.is_tokens());
            if let Some(wait) = wait {
                // The ledger answers, so it is worth waiting for the node that it must hear first.
                let extra_us = if std::mem::replace(&mut wait.others, true) { 0 } else { PARK_FOR_TOKENS_US };
                wait.until_us = wait.until_us.saturating_add(extra_us);
                wait.ask_after_us = again_us;
            }
        }
    }

    /// Gives back leased tokens of accounts that rest.
    pub(super) fn return_idle_tokens(&mut self, shared: &dyn SharedData, now: Now) {
        if self.leased.is_empty() {
            return;
        }
        let node = self.node(shared).generation;
        for (account, keep_us) in std::mem::take(&mut self.leased) {
            let changed = self.records.change(shared, &account, node, SWAP_TRIES, |record| {
                let rests = now.mono_us.saturating_sub(record.touched_us) >= keep_us;
                if record.mode == RateMode::Leased && !rests {
                    return (None, Fate::Leave);
                }
                let leased = record.return_tokens();
                let state = leased.then(|| (record.epoch, record.rate_report(now.mono_us)));
                (Some(state), Fate::Store)
            });
            match changed {
                Ok(Some(Some((lease, state)))) => {
                    self.rate_reports.push(RateReport { account: account.into(), lease, state });
                }
                Ok(Some(None)) | Err(RecordError::Missing) => {}
                Ok(None) | Err(RecordError::Full | RecordError::Contended) => {
                    self.leased.insert(account, keep_us);
                }
            }
        }
    }

    /// A record has made room: the ledger need not reckon with it any more.
    pub(crate) fn forget_rates(&mut self, record: &Record) {
        if record.turn == 0 || record.mode == RateMode::Unknown || self.rate_reports.len() >= RATES_WATCHED {
            return;
        }
        let state = RateState { turn: record.turn, mode: RateMode::Unknown, lines: Vec::new() };
        let (account, lease) = (record.account.clone(), record.epoch);
        self.rate_reports.push(RateReport { account, lease, state });
    }
}

/// What a want says of its record's rates; nothing where the ledger leases none.
pub(super) fn rate_state(
    record: &Record,
    policy: Option<&Compiled>,
    since: u64,
    need: u64,
    now: Now,
) -> Option<RateState> {
    let rates = policy?.leased_rates();
    rates.clone().next()?;
    Some(record.rate_state(rates, since, need, now.mono_us))
}

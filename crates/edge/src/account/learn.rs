//! What a worker takes over from the others: keys and snapshots of the node's directory, and the last word of
//! the ledger to any of them.

use std::rc::Rc;
use std::sync::Arc;

use wire::{Digest, NODE_ADMITS_MS};

use crate::account::{Account, KeyState};
use crate::edge::Edge;
use crate::limits::CURRENT_US;
use crate::shared::SharedData;
use crate::time::Now;

impl Edge {
    /// What is known of a key, here or by the node's other workers.
    pub(crate) fn known_key(&mut self, shared: &dyn SharedData, digest: &Digest, now: Now) -> KeyState {
        let known = self.keys.fetch(digest, now.mono_us);
        if !matches!(known, KeyState::NotHere) {
            return known;
        }
        let node = self.node(shared).generation;
        let Some((entry, cursor)) = self.directory.key(shared, node, digest) else {
            return KeyState::NotHere;
        };
        if self.ledger.cursor.is_some_and(|own| own > cursor) {
            // It may have been revoked since, unheard by anybody: it serves, and the next call asks. Where no
            // more can be asked, the next request finds it here again.
            if !self.lookups.ask(*digest, now.mono_us) {
                return KeyState::Known(Arc::new(entry));
            }
        }
        self.heard_of(cursor);
        self.keys.store(entry, cursor);
        self.keys.fetch(digest, now.mono_us)
    }

    /// What is known of an account, here or by the node's other workers.
    pub(crate) fn known_account(&mut self, shared: &dyn SharedData, id: &str) -> Option<Rc<Account>> {
        if let Some(account) = self.accounts.fetch(id) {
            return Some(account);
        }
        let node = self.node(shared).generation;
        let found = self.directory.snapshot(shared, node, id)?;
        let snapshot = found.value?;
        if self.ledger.cursor.is_some_and(|cursor| cursor > found.cursor) {
            // Changes since may have passed by unheard, as the account was not known here.
            self.refresh.insert(id.into());
        }
        self.heard_of(found.cursor);
        self.accounts.store(snapshot, found.fresh_until_us, false);
        self.accounts.fetch(id)
    }

    /// Takes over a later version of an account than the one known here, where another worker left one.
    pub(crate) fn later_account(&mut self, shared: &dyn SharedData, known: &Account) -> bool {
        let node = self.node(shared).generation;
        let found = self.directory.snapshot(shared, node, &known.id);
        let later = found.and_then(|found| Some((found.value?, found.fresh_until_us)));
        let later = later.filter(|(snapshot, _)| snapshot.version > known.version);
        later.is_some_and(|(snapshot, fresh_until_us)| self.accounts.store(snapshot, fresh_until_us, false))
    }

    /// A worker that has not heard from the ledger for as long as a node may admit, while others have, starts
    /// anew from what they know: its own tables may have missed changes.
    pub(crate) fn catch_up(&mut self, shared: &dyn SharedData, now: Now) {
        if self.may_admit(now) {
            return;
        }
        let (live_us, rates_since) = self.last_answer(shared);
        if live_us > self.ledger.answered_us
            && now.mono_us.saturating_sub(live_us) < NODE_ADMITS_MS.saturating_mul(1_000)
        {
            self.follow_node(shared);
            self.keys.clear();
            self.accounts.clear();
            self.ledger.cursor = None;
            self.ledger.answered_us = live_us;
            // Turns that the others know to be void are void here too.
            self.ledger.rates_since = rates_since;
        }
    }

    /// When the last call that was answered to any worker of the node had been sent, in microseconds (0 = never),
    /// and since when the ledger has counted rates, by that answer.
    pub(crate) fn last_answer(&self, shared: &dyn SharedData) -> (u64, u64) {
        let live = shared.get(&self.keys_in_shared.live()).0.unwrap_or_default();
        let mut words = live.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        (words.next().unwrap_or(0), words.next().unwrap_or(0))
    }

    /// Tells the node's other workers of an answer. Where one's word is later, it stays: each reads the latest
    /// that it finds.
    pub(crate) fn note_answer(&self, shared: &dyn SharedData) {
        let words = [self.ledger.answered_us, self.ledger.rates_since].map(u64::to_le_bytes);
        let _ = shared.set(&self.keys_in_shared.live(), words.as_flattened(), None);
    }

    /// Whether a refusal may be given by what is known of an account: it was heard from the ledger, and all changes
    /// up to a moment ago. A worker that has rested may have missed a top-up, and past its time (the end of a
    /// cycle) or after a change a snapshot is old news; where the ledger cannot be asked, what is known must do.
    pub(crate) fn is_current(&self, account: &Account, now: Now) -> bool {
        let silent_us = now.mono_us.saturating_sub(self.ledger.heard_us);
        let asked = self.flight.as_ref().map_or(&[][..], |flight| &flight.refresh);
        let is_old = account.fresh_until_us <= now.mono_us
            || self.refresh.contains(&*account.id)
            || asked.contains(&account.id);
        (account.heard && silent_us < CURRENT_US && !is_old) || self.asks_in_vain(now)
    }

    /// Whether the ledger could not be asked a moment ago; a call that failed before a rest says nothing of that.
    fn asks_in_vain(&self, now: Now) -> bool {
        let since_us = now.mono_us.saturating_sub(self.clock.last_sync);
        let lately = self.flight.is_none() && since_us < CURRENT_US;
        self.ledger.failures > 0 && (lately || self.ledger_is_down(now))
    }

    /// A worker that has read nothing of the change feed must read on from the oldest thing that it took over.
    fn heard_of(&mut self, cursor: u64) {
        self.ledger.cursor.get_or_insert(cursor);
    }
}

//! What is remembered of nodes beside the journal, for the rates that they share: lost with the process.

use std::collections::{BTreeMap, BTreeSet};

use wire::{NodeId, Withdrawal};

use crate::id::AccountId;
use crate::tx::Now;

/// The nodes, as far as rates are concerned.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// Nodes that were open when the process began: nothing is known of what they do.
    inherited: BTreeSet<NodeId>,
    /// Those of them that have not called since: nor have they heard that there is another process.
    unheard: BTreeSet<NodeId>,
    began: Option<Now>,
    withdrawn: BTreeMap<NodeId, BTreeMap<AccountId, u64>>,
}

// === impl Fleet ===

impl Fleet {
    /// At the start of a process, with the nodes that were open before it.
    #[must_use]
    pub fn new(inherited: BTreeSet<NodeId>) -> Self {
        Self { unheard: inherited.clone(), inherited, ..Self::default() }
    }

    /// When the process began: the first time that it is asked.
    pub fn began(&mut self, now: Now) -> Now {
        *self.began.get_or_insert(now)
    }

    /// Whether nodes of before the start may be open, beside one.
    #[must_use]
    pub fn has_inherited(&self, beside: NodeId) -> bool {
        self.inherited.iter().any(|node| *node != beside)
    }

    /// Whether one of those, beside one, has not called since.
    #[must_use]
    pub fn has_unheard(&self, beside: NodeId) -> bool {
        self.unheard.iter().any(|node| *node != beside)
    }

    /// A node calls.
    pub fn note_call(&mut self, node: NodeId) {
        self.unheard.remove(&node);
    }

    /// A node is told, with every answer until it has replied, that it refills an account's rates no more.
    pub fn withdraw(&mut self, node: NodeId, account: AccountId, turn: u64) {
        self.withdrawn.entry(node).or_default().insert(account, turn);
    }

    /// The node has replied.
    pub fn heard(&mut self, node: NodeId, account: &str) {
        if let Some(accounts) = self.withdrawn.get_mut(&node) {
            accounts.remove(account);
            if accounts.is_empty() {
                self.withdrawn.remove(&node);
            }
        }
    }

    /// A node is closed.
    pub fn forget(&mut self, node: NodeId) {
        self.inherited.remove(&node);
        self.unheard.remove(&node);
        self.withdrawn.remove(&node);
    }

    /// What a node must still reply to.
    pub fn withdrawn(&self, node: NodeId) -> impl Iterator<Item = Withdrawal> {
        let accounts = self.withdrawn.get(&node).into_iter().flatten();
        accounts.map(|(account, turn)| Withdrawal { account: account.to_string(), turn: *turn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId([1; 16]);
    const OTHER: NodeId = NodeId([2; 16]);

    fn told(fleet: &Fleet, node: NodeId) -> Vec<(String, u64)> {
        fleet.withdrawn(node).map(|withdrawal| (withdrawal.account, withdrawal.turn)).collect()
    }

    #[test]
    fn withdrawals_are_said_until_they_are_answered() {
        let mut fleet = Fleet::default();
        let account = |name| AccountId::parse(name).unwrap();
        fleet.withdraw(ONE, account("acme"), 7);
        fleet.withdraw(ONE, account("bolt"), 8);
        fleet.withdraw(ONE, account("acme"), 9);
        assert_eq!(told(&fleet, ONE), [("acme".to_owned(), 9), ("bolt".to_owned(), 8)]);
        assert_eq!(told(&fleet, OTHER), []);
        fleet.heard(OTHER, "acme");
        fleet.heard(ONE, "acme");
        assert_eq!(told(&fleet, ONE), [("bolt".to_owned(), 8)]);
        fleet.forget(ONE);
        assert_eq!(told(&fleet, ONE), []);
    }

    #[test]
    fn nodes_of_before_the_start_count_until_they_are_closed() {
        let mut fleet = Fleet::new([ONE].into());
        assert!(fleet.has_inherited(OTHER) && !fleet.has_inherited(ONE));
        assert!(fleet.has_unheard(OTHER) && !fleet.has_unheard(ONE));
        fleet.note_call(ONE);
        assert!(fleet.has_inherited(OTHER) && !fleet.has_unheard(OTHER));
        fleet.forget(ONE);
        assert!(!fleet.has_inherited(OTHER));
        let mut fleet = Fleet::new([ONE].into());
        fleet.forget(ONE);
        assert!(!fleet.has_unheard(OTHER));
        let first = Now { wall: 5, up: 3 };
        assert_eq!([fleet.began(first), fleet.began(Now { wall: 9, up: 9 })], [first; 2]);
    }
}

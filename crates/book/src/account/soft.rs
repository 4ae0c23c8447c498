//! What is remembered of an account beside its fold.

use tariff::Micros;
use wire::NodeId;

use crate::amount::less;
use crate::lease::{Lease, Stated};
use crate::limits::{RECALL_MS, STATED_LATE_MS};
use crate::rates::Rates;

/// What is remembered of an account beside its fold; two accounts are equal whatever stands here.
#[derive(Clone, Debug, Default)]
pub struct Soft {
    /// What nodes last said of their records.
    pub stated: Vec<Stated>,
    /// Since when askers have been told to wait without a break, in ledger uptime.
    pub waiting_since: Option<i64>,
    /// When an asker last had to wait, in ledger uptime.
    pub waited_at: Option<i64>,
    /// When idle leases were last recalled, in ledger uptime.
    pub recalled_at: Option<i64>,
    /// Who takes tokens of its rates.
    pub rates: Rates,
}

// === impl Soft ===

impl Soft {
    /// What the node said it holds under a lease.
    #[must_use]
    pub fn held(&self, lease: &Lease) -> Micros {
        self.stated.iter().find(|stated| stated.is_of(lease)).map_or(Micros::ZERO, |stated| stated.held)
    }

    /// Remembers what a node said; what it said before of the same lease is forgotten.
    pub fn state(&mut self, stated: Stated) {
        match self.stated.iter_mut().find(|known| known.is_same(&stated)) {
            // A call that was overtaken: what it calls held may be long settled.
            Some(known) if (1..=STATED_LATE_MS).contains(&known.at.saturating_sub(stated.at)) => {}
            Some(known) => *known = stated,
            None => self.stated.push(stated),
        }
    }

    /// Whether idle leases may be recalled, in ledger uptime; if so they are taken to be.
    pub fn is_recall_due(&mut self, up: i64) -> bool {
        let is_due = self.recalled_at.is_none_or(|last| up.saturating_sub(last) >= RECALL_MS);
        if is_due {
            self.recalled_at = Some(up);
        }
        is_due
    }

    /// One request of a lease has ended: it holds no more.
    pub fn release(&mut self, node: NodeId, epoch: u64, bucket: &str, held: Micros) {
        let known = self.stated.iter_mut().find(|stated| stated.names(node, epoch, bucket));
        if let Some(known) = known {
            known.held = less(known.held, held);
        }
    }
}

impl PartialEq for Soft {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Soft {}

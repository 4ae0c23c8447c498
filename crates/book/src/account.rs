//! An account as the fold of its entries: what it is, has and owes.
//!
//! Only [`crate::fold`] changes it. What nodes merely say about themselves is [`Soft`]: it helps to
//! decide, is lost with the process, and is no part of the fold.

mod lot;
mod soft;
mod term;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::compile::CREDITS;
use tariff::{Cadence, Micros, Plan};
use wire::{AccountStatus, NodeId};

pub use self::lot::{Closing, Lot, LotEnd};
pub use self::soft::Soft;
pub use self::term::{Billing, Cycle, Term, TermPool};

use crate::amount::{total, total_stated};
use crate::counts::Count;
use crate::funds::Funds;
use crate::id::AccountId;
use crate::lease::Lease;
use crate::payment::Dealings;
use crate::pending::{Lapse, Pending};
use crate::rules::Rules;
use crate::settings::Settings;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// When the customer joined: the anchor of its billing cycles.
    pub created_at: i64,
    /// Its standing.
    pub status: AccountStatus,
    /// Rises with everything that a node must know of (I11).
    pub version: u64,
    /// The last entry folded in.
    pub last_entry: u64,
    /// The last entry that a statement shows; 0 = none.
    pub last_line: u64,
    /// The terms, oldest first; the last one is in force. Never empty once opened.
    pub terms: Vec<Term>,
    /// What its owner and operator have set.
    #[serde(default)]
    pub settings: Settings,
    /// What the kept terms bind, by the number of the first term that bound it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<u64, Arc<Rules>>,
    /// What was counted in the windows of kept terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<Count>,
    /// What plans granted once and never again, by the grants' references (W1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once: Vec<Arc<str>>,
    /// A change of plan that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Its billing period has ended, and the next one is not paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed: Option<Lapse>,
    /// What it has paid and bought.
    #[serde(default, skip_serializing_if = "Dealings::is_empty")]
    pub dealings: Dealings,
    /// Things that are kept, by name: how many (L10).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<Arc<str>, u64>,
    /// When its first request was charged; a charge of nothing counts (C10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_used_at: Option<i64>,
    /// The billing cycle; absent where the plan grants nothing by the cycle.
    pub cycle: Option<Cycle>,
    /// Lots by id, which is that of the entry that granted them.
    pub lots: BTreeMap<u64, Lot>,
    /// Credits charged beyond what lots could pay.
    pub debt: Micros,
    /// Credits used beyond the lots on the account's payment method, not yet paid (C8).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub receivable: Micros,
    /// What nodes may still take.
    pub leases: Vec<Lease>,
    /// Leases that have ended, latest last: node and epoch.
    pub leases_ended: VecDeque<(NodeId, u64)>,
    /// The one request that runs on a hold below its need (M9, I9).
    pub clip: Option<Clip>,
    /// Over the account's life, in credits.
    pub totals: Totals,
    /// The same of other assets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assets: BTreeMap<Arc<str>, Holding>,
    /// What nodes last said.
    #[serde(skip)]
    pub soft: Soft,
}

/// What an account has of an asset, beside its lots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Charged beyond what lots could pay.
    pub debt: Micros,
    /// Over the account's life.
    pub totals: Totals,
}

/// A request that runs on a hold below its need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// The request.
    pub request: String,
    /// The node that it runs on.
    pub node: NodeId,
    /// The record's epoch there.
    pub lease: u64,
    /// The bucket.
    pub bucket: Arc<str>,
    /// The hold.
    pub hold: Micros,
}

/// Sums over an account's life (I1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Granted.
    pub granted: Micros,
    /// Charged, to lots or to debt.
    pub charged: Micros,
    /// Left over when a lot's time was up.
    pub expired: Micros,
    /// Left over when a lot's plan was left.
    pub voided: Micros,
    /// Taken back.
    pub clawed_back: Micros,
    /// Debt that grants have repaid.
    pub repaid: Micros,
    /// What was paid of what was used on the payment method.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settled: Micros,
}

// === impl Account ===

impl Account {
    /// An account before its first entry.
    #[must_use]
    pub fn empty(id: AccountId) -> Self {
        Self {
            id,
            created_at: 0,
            status: AccountStatus::Active,
            version: 0,
            last_entry: 0,
            last_line: 0,
            terms: Vec::new(),
            settings: Settings::default(),
            rules: BTreeMap::new(),
            used: Vec::new(),
            once: Vec::new(),
            pending: None,
            lapsed: None,
            dealings: Dealings::default(),
            resources: BTreeMap::new(),
            first_used_at: None,
            cycle: None,
            lots: BTreeMap::new(),
            debt: Micros::ZERO,
            receivable: Micros::ZERO,
            leases: Vec::new(),
            leases_ended: VecDeque::new(),
            clip: None,
            totals: Totals::default(),
            assets: BTreeMap::new(),
            soft: Soft::default(),
        }
    }

    /// The term in force; nothing before the account is opened.
    #[must_use]
    pub fn term(&self) -> Option<&Term> {
        self.terms.last()
    }

    /// The term that a settlement posts under: the one of its admission, else the nearest kept.
    #[must_use]
    pub fn term_of_settlement(&self, no: u64) -> Option<&Term> {
        self.terms.iter().find(|term| term.no >= no).or_else(|| self.terms.last())
    }

    /// The plan in force; empty before the account is opened.
    #[must_use]
    pub fn plan(&self) -> &str {
        self.term().map_or("", |term| &term.plan)
    }

    /// The way in which a plan is taken: the one that is set, else the plan's own.
    #[must_use]
    pub fn cadence(&self, plan: &Plan) -> Cadence {
        let set = self.settings.cadence.as_ref().and_then(|name| plan.cadence(name));
        set.unwrap_or_else(|| plan.default_cadence())
    }

    /// Lots that can be spent, in draw order of a term: pool, then the earlier end (never last),
    /// then the earlier grant.
    #[must_use]
    pub fn lots_in_draw_order(&self, term: &Term) -> Vec<(u64, &Lot)> {
        let mut lots: Vec<(u64, &Lot)> =
            self.lots.iter().filter(|(_, lot)| lot.closing.is_none()).map(|(id, lot)| (*id, lot)).collect();
        lots.sort_by_key(|(id, lot)| lot.draw_key(term, *id));
        lots
    }

    /// What is left in lots of credits that can be spent, in the lots' own credits.
    #[must_use]
    pub fn remaining(&self) -> Micros {
        let open = self.lots.values().filter(|lot| lot.closing.is_none() && is_credits(&lot.asset));
        total(open.map(|lot| lot.remaining))
    }

    /// What is left in open lots of a pool: its posted balance.
    #[must_use]
    pub fn posted(&self, pool: &str) -> Micros {
        let open = self.lots.values().filter(|lot| lot.closing.is_none() && *lot.pool == *pool);
        total(open.map(|lot| lot.remaining))
    }

    /// When a cycle begins that brings something; nothing where none does.
    #[must_use]
    pub fn renewal(&self) -> Option<i64> {
        let barren = self.term().is_some_and(|term| self.rules(term).barren);
        self.cycle.as_ref().filter(|_| !barren).map(|cycle| cycle.end)
    }

    /// What binds a term.
    #[must_use]
    pub fn rules(&self, term: &Term) -> &Rules {
        self.rules.get(&term.rules).map_or_else(|| Rules::plain(), |rules| &**rules)
    }

    /// What the account's credits are worth at base price under all caps of the term in force, less the debt.
    #[must_use]
    pub fn worth(&self) -> Micros {
        Funds::unleased(self).worth(CREDITS)
    }

    /// What nodes may still take in all, of one bucket.
    #[must_use]
    pub fn outstanding(&self, bucket: &str) -> Micros {
        total_stated(self.leases.iter().filter(|lease| &*lease.bucket == bucket).map(Lease::outstanding))
    }

    /// What nodes may still take in all of an asset, at base price.
    #[must_use]
    pub fn leased(&self, asset: &str) -> Micros {
        let of_asset = |lease: &&Lease| &*lease.asset == asset;
        total_stated(self.leases.iter().filter(of_asset).map(Lease::outstanding))
    }

    /// What may still be leased of the credits, at base price.
    #[must_use]
    pub fn capacity(&self) -> Micros {
        Funds::of(self).worth(CREDITS)
    }

    /// What was counted for a limit in a window.
    #[must_use]
    pub fn used(&self, limit: &str, key: &str) -> Micros {
        let counted = self.used.iter().find(|count| &*count.limit == limit && &*count.key == key);
        counted.map_or(Micros::ZERO, |count| count.amount)
    }

    /// What a pool holds: by the term in force, else by its lots.
    #[must_use]
    pub fn asset_of(&self, pool: &str) -> Arc<str> {
        let listed = self.term().and_then(|term| term.pools.iter().find(|own| *own.pool == *pool));
        let lots = || self.lots.values().find(|lot| *lot.pool == *pool).map(|lot| lot.asset.clone());
        listed.map(|own| own.asset.clone()).or_else(lots).unwrap_or_else(credits)
    }

    /// What it owes of an asset.
    #[must_use]
    pub fn owed(&self, asset: &str) -> Micros {
        if asset == CREDITS {
            return self.debt;
        }
        self.assets.get(asset).map_or(Micros::ZERO, |holding| holding.debt)
    }

    /// The sums of an asset over the account's life.
    #[must_use]
    pub fn totals(&self, asset: &str) -> Totals {
        if asset == CREDITS {
            return self.totals;
        }
        self.assets.get(asset).map_or_else(Totals::default, |holding| holding.totals)
    }

    /// The assets that it has or ever had, credits first.
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        [CREDITS].into_iter().chain(self.assets.keys().map(|asset| &**asset))
    }

    /// Debt and sums of an asset, to be changed.
    pub(crate) fn holding(&mut self, asset: &Arc<str>) -> (&mut Micros, &mut Totals) {
        if is_credits(asset) {
            return (&mut self.debt, &mut self.totals);
        }
        let holding = self.assets.entry(asset.clone()).or_default();
        (&mut holding.debt, &mut holding.totals)
    }

    /// Whether nothing of a bucket can be spent: neither here nor on any node.
    #[must_use]
    pub fn is_empty(&self, bucket: &str) -> bool {
        let funds = Funds::unleased(self);
        funds.left(bucket) == Some(Micros::ZERO)
            && !self
                .leases
                .iter()
                .any(|lease| lease.outstanding() > Micros::ZERO && funds.overlap(bucket, lease))
    }

    /// Whether any lot has ended but still waits for settlements.
    #[must_use]
    pub fn is_closing_lots(&self) -> bool {
        self.lots.values().any(|lot| lot.closing.is_some())
    }

    /// What nodes said they hold of a bucket, at most what they may still take of it.
    #[must_use]
    pub fn held(&self, bucket: &str) -> Micros {
        self.held_where(|lease| &*lease.bucket == bucket)
    }

    /// What nodes said they hold of an asset, at most what they may still take of it.
    #[must_use]
    pub fn in_flight(&self, asset: &str) -> Micros {
        self.held_where(|lease| &*lease.asset == asset)
    }

    fn held_where(&self, is_it: impl Fn(&Lease) -> bool) -> Micros {
        let leases = self.leases.iter().filter(|lease| is_it(lease));
        total_stated(leases.map(|lease| self.soft.held(lease).min(lease.outstanding())))
    }

    /// The lease of that name.
    #[must_use]
    pub fn lease(&self, node: NodeId, epoch: u64, bucket: &str) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.is(node, epoch, bucket))
    }

    /// Nodes with something left to take.
    #[must_use]
    pub fn holders(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self
            .leases
            .iter()
            .filter(|lease| lease.outstanding() > Micros::ZERO)
            .map(|lease| lease.node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

pub(crate) fn credits() -> Arc<str> {
    Arc::from(CREDITS)
}

pub(crate) fn is_credits(asset: &Arc<str>) -> bool {
    &**asset == CREDITS
}

pub(crate) fn is_zero(amount: &Micros) -> bool {
    *amount == Micros::ZERO
}

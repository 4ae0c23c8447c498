//! An account as the fold of its entries: what it is, has and owes.
//!
//! Only [`crate::fold`] changes it. What nodes merely say about themselves is [`Soft`]: it helps to
//! decide, is lost with the process, and is no part of the fold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::{Cadence, Micros, Period, Plan, Ratio};
use wire::{AccountStatus, NodeId};

use crate::amount::{less, total, total_stated};
use crate::id::AccountId;
use crate::lease::{Lease, Stated};
use crate::rates::Rates;
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
    /// The billing cycle; absent where the plan grants nothing by the cycle.
    pub cycle: Option<Cycle>,
    /// Lots by id, which is that of the entry that granted them.
    pub lots: BTreeMap<u64, Lot>,
    /// Charged beyond what lots could pay.
    pub debt: Micros,
    /// What nodes may still take.
    pub leases: Vec<Lease>,
    /// Leases that have ended, latest last: node and epoch.
    pub leases_ended: VecDeque<(NodeId, u64)>,
    /// The one request that runs on a hold below its need (M9, I9).
    pub clip: Option<Clip>,
    /// Over the account's life.
    pub totals: Totals,
    /// What nodes last said.
    #[serde(skip)]
    pub soft: Soft,
}

/// The context that requests are admitted and settled under; never changed once opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// 1, 2, 3 …
    pub no: u64,
    /// The plan.
    pub plan: Arc<str>,
    /// The catalog version that it prices by.
    pub catalog: u64,
    /// The pools, in draw order.
    pub pools: Vec<TermPool>,
    /// When it began.
    pub opened_at: i64,
}

/// A pool under a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermPool {
    /// Its name.
    pub pool: Arc<str>,
    /// What a credit's worth of use at base price takes of it.
    pub factor: Ratio,
}

/// The billing cycle that now runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Where cycle 0 began.
    pub anchor: i64,
    /// How many cycles lie between the anchor and this one.
    pub number: u64,
    /// The length of one.
    pub period: Period,
    /// Its first instant.
    pub start: i64,
    /// The first instant after it.
    pub end: i64,
    /// The billing period that it lies in; absent: itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
}

/// A billing period of more than one cycle (M13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billing {
    /// The length of one.
    pub period: Period,
    /// Its first instant.
    pub start: i64,
    /// The first instant after it.
    pub end: i64,
}

/// One grant inside a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// The pool.
    pub pool: Arc<str>,
    /// What was granted.
    pub amount: Micros,
    /// What is left; never below zero.
    pub remaining: Micros,
    /// When it was granted.
    pub created_at: i64,
    /// When it ends; absent = never.
    pub expires_at: Option<i64>,
    /// The term in force when it was granted.
    pub term: u64,
    /// True: it came with the plan's cycle and ends with the plan (M10).
    pub of_plan: bool,
    /// It has ended, but settlements of earlier terms may still draw it.
    pub closing: Option<Closing>,
}

/// How a lot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The last term whose settlements may draw it.
    pub last_term: u64,
    /// When it ended.
    pub at: i64,
    /// Why.
    pub end: LotEnd,
}

/// Why a lot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotEnd {
    /// Its time was up (M2, M5).
    Expired,
    /// Its plan was left (M10).
    Void,
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
}

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
            cycle: None,
            lots: BTreeMap::new(),
            debt: Micros::ZERO,
            leases: Vec::new(),
            leases_ended: VecDeque::new(),
            clip: None,
            totals: Totals::default(),
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

    /// What is left in lots that can be spent, in the lots' own credits.
    #[must_use]
    pub fn remaining(&self) -> Micros {
        total(self.lots.values().filter(|lot| lot.closing.is_none()).map(|lot| lot.remaining))
    }

    /// What the lots are worth at base price under the term in force, less the debt; each pool is
    /// rounded down, so that what is leased can always be drawn.
    #[must_use]
    pub fn worth(&self) -> Micros {
        let Some(term) = self.term() else { return Micros::ZERO };
        let listed = term.pools.iter().map(|pool| (&*pool.pool, pool.factor));
        let by_pool = listed.map(|(name, factor)| {
            let open = self.lots.values().filter(|lot| lot.closing.is_none() && &*lot.pool == name);
            at_base_price(total(open.map(|lot| lot.remaining)), factor)
        });
        let unlisted = self
            .lots
            .values()
            .filter(|lot| lot.closing.is_none() && !term.pools.iter().any(|pool| pool.pool == lot.pool))
            .map(|lot| lot.remaining);
        let worth = by_pool.chain(unlisted).fold(Micros::ZERO, capped_sum);
        less(worth, self.debt)
    }

    /// What nodes may still take in all, of one bucket.
    #[must_use]
    pub fn outstanding(&self, bucket: &str) -> Micros {
        total_stated(self.leases.iter().filter(|lease| &*lease.bucket == bucket).map(Lease::outstanding))
    }

    /// What may still be leased of the credits, at base price.
    #[must_use]
    pub fn capacity(&self) -> Micros {
        less(self.worth(), self.outstanding(tariff::compile::CREDITS))
    }

    /// Whether nothing can be spent: neither here nor on any node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.worth() == Micros::ZERO && self.outstanding(tariff::compile::CREDITS) == Micros::ZERO
    }

    /// Whether any lot has ended but still waits for settlements.
    #[must_use]
    pub fn is_closing_lots(&self) -> bool {
        self.lots.values().any(|lot| lot.closing.is_some())
    }

    /// What nodes said they hold of a bucket, at most what they may still take of it.
    #[must_use]
    pub fn held(&self, bucket: &str) -> Micros {
        let of_bucket = self.leases.iter().filter(|lease| &*lease.bucket == bucket);
        total_stated(of_bucket.map(|lease| self.soft.held(lease).min(lease.outstanding())))
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

// === impl Lot ===

impl Lot {
    /// The lot's place in the draw order of a term.
    #[must_use]
    pub fn draw_key(&self, term: &Term, id: u64) -> (usize, bool, Option<i64>, i64, u64) {
        let order = term.pools.iter().position(|pool| pool.pool == self.pool).unwrap_or(usize::MAX);
        (order, self.expires_at.is_none(), self.expires_at, self.created_at, id)
    }

    /// Drawn so far.
    #[must_use]
    pub fn consumed(&self) -> Micros {
        less(self.amount, self.remaining)
    }
}

// === impl Cycle ===

impl Cycle {
    /// The first instant after its billing period.
    #[must_use]
    pub fn billing_end(&self) -> i64 {
        self.billing.as_ref().map_or(self.end, |billing| billing.end)
    }

    /// The first instant of its billing period.
    #[must_use]
    pub fn billing_start(&self) -> i64 {
        self.billing.as_ref().map_or(self.start, |billing| billing.start)
    }

    /// The length of a billing period.
    #[must_use]
    pub fn billing_period(&self) -> Period {
        self.billing.as_ref().map_or(self.period, |billing| billing.period)
    }
}

// === impl Term ===

impl Term {
    /// What a credit's worth of use at base price takes of a pool.
    #[must_use]
    pub fn factor(&self, pool: &str) -> Ratio {
        self.pools.iter().find(|entry| &*entry.pool == pool).map_or(Ratio::ONE, |entry| entry.factor)
    }
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
            Some(known) => *known = stated,
            None => self.stated.push(stated),
        }
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

/// Base price that an amount of a pool's credits pays, rounded down; a factor of zero pays anything.
fn at_base_price(amount: Micros, factor: Ratio) -> Micros {
    let amount_whole = u64::try_from(amount.get()).unwrap_or(0);
    match Ratio::whole(amount_whole).checked_div(factor) {
        Some(base) => Micros(base.floor().unwrap_or(crate::limits::AMOUNT_MAX.get())).min(MAX_WORTH),
        None if amount_whole == 0 => Micros::ZERO,
        None => MAX_WORTH,
    }
}

fn capped_sum(a: Micros, b: Micros) -> Micros {
    Micros(a.get().saturating_add(b.get())).min(MAX_WORTH)
}

/// No account is worth more at base price: small factors could carry sums beyond 64 bits.
const MAX_WORTH: Micros = crate::limits::TOTAL_MAX;

//! The naive book: what happened to one account as a plain list, folded from its beginning by the plainest
//! arithmetic whenever somebody asks.
//!
//! Shares no code with the book's own folding, drawing, calendar or time work. What the ledger decides by
//! its own policy (how much it leases) is a fact here; all that follows from the rules is reckoned again.

use tariff::{Catalog, Expiry, Lost, Meter, Period};
use wire::{AccountStatus, NodeId, Outcome, Settle, Take, UsageSource};

use super::days::{after, elapsed};
use super::fraction::Fraction;

/// The wire's name for the bucket of credits, and the tag that stands for it where a node forgot it.
const BUCKET_NAMES: [&str; 2] = ["credits", "#a7be82ffb2619d55"];
/// Rests of closed lots go home after an hour, whatever is still leased.
const HOUR_MS: i64 = 3_600_000;
/// With more cycles than this behind it, an account gets the one that runs.
const CYCLES_ROLLED: u64 = 24;
/// Terms that late settlements find.
const TERMS: usize = 256;
/// Spent lots that are remembered; what is forgotten can no longer end.
const SPENT: usize = 16;
/// Ended records that are remembered.
const ENDED: usize = 32;
/// The most micro-credits that an account is granted in all.
const GRANTED_MAX: i128 = 1 << 61;

/// Something that happened to an account.
#[derive(Clone, Debug)]
pub enum Fact {
    /// The account was opened under the catalog in force.
    Opened { at: i64, created_at: i64, plan: String, catalog: usize },
    /// Its standing changed.
    Status(AccountStatus),
    /// Somebody looked at it: whatever time has done is done.
    Looked { at: i64, catalog: usize },
    /// It was looked at if lots waited for settlements then.
    LookedIfClosing { at: i64, catalog: usize },
    /// Credits came from outside.
    Bought { at: i64, pool: String, amount: i64, ends: Option<i64>, catalog: usize },
    /// The plan was changed.
    Switched { at: i64, to: String, catalog: usize },
    /// A request is charged.
    Used { settle: Box<Settle>, lane: NodeId, caller: NodeId },
    /// A request ended without a charge.
    Ended { settle: Box<Settle>, lane: NodeId, caller: NodeId },
    /// A node may take more.
    Leased { node: NodeId, epoch: u64, amount: i64 },
    /// A node says how much it has given back in all.
    Returned { node: NodeId, epoch: u64, bucket: String, returned: i64 },
    /// A node gave a record up.
    GivenUp { lane: NodeId, caller: NodeId, epoch: u64, used: Vec<(String, i64)> },
    /// A node was closed.
    NodeClosed(NodeId),
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaiveLot {
    pub pool: String,
    pub amount: i128,
    pub left: i128,
    pub ends: Option<i64>,
    pub granted_at: i64,
    pub term: u64,
    pub of_plan: bool,
    /// The last term that may draw it, when it was closed, and whether for its time.
    pub closed: Option<(u64, i64, bool)>,
}

/// What a node may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaiveLease {
    pub node: NodeId,
    pub epoch: u64,
    pub granted: i128,
    pub returned: i128,
    pub settled: i128,
    pub used: Option<i128>,
}

/// What an account comes to.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub plan: String,
    pub status: Option<AccountStatus>,
    /// Number, plan, catalog version.
    pub terms: Vec<(u64, String, usize)>,
    /// Anchor, number, period, end.
    pub cycle: Option<(i64, u64, Period, i64)>,
    pub lots: Vec<NaiveLot>,
    pub owed: i128,
    pub granted: i128,
    pub charged: i128,
    pub expired: i128,
    pub voided: i128,
    pub leases: Vec<NaiveLease>,
    pub ended: Vec<(NodeId, u64)>,
    /// The base price of the last charge.
    pub last_price: i128,
}

/// Folds the list.
pub fn fold(facts: &[Fact], catalogs: &[Catalog]) -> Standing {
    let mut standing = Standing::default();
    facts.iter().for_each(|fact| standing.apply(fact, catalogs));
    standing
}

// === impl Standing ===

impl Standing {
    pub fn apply(&mut self, fact: &Fact, catalogs: &[Catalog]) {
        match fact {
            Fact::Opened { at, created_at, plan, catalog } => {
                self.status = Some(AccountStatus::Active);
                self.plan.clone_from(plan);
                self.begin_term(*catalog);
                let period = plan_of(catalogs, *catalog, plan).cycle;
                self.begin_cycle(*at, *catalog, catalogs, (*created_at, elapsed(*created_at, period, *at)));
            }
            Fact::Status(status) => self.status = Some(*status),
            Fact::Looked { at, catalog } => self.look(*at, *catalog, catalogs),
            Fact::LookedIfClosing { at, catalog } => {
                if self.lots.iter().any(|lot| lot.closed.is_some()) {
                    self.look(*at, *catalog, catalogs);
                }
            }
            Fact::Bought { at, pool, amount, ends, catalog } => {
                let cycle_end = self.cycle.map(|(_, _, _, end)| end);
                let ends = ends.or_else(|| ends_of(&catalogs[*catalog], pool, *at, cycle_end));
                self.grant(pool, i128::from(*amount), *at, ends, false);
            }
            Fact::Switched { at, to, catalog } => {
                self.close(*at, |lot| lot.of_plan, false);
                self.plan.clone_from(to);
                self.begin_term(*catalog);
                self.begin_cycle(*at, *catalog, catalogs, (*at, 0));
            }
            Fact::Used { settle, lane, caller } => {
                self.charge(settle, catalogs);
                self.take(self.holder(settle.lease, *lane, *caller), settle.lease, &settle.takes);
            }
            Fact::Ended { settle, lane, caller } => {
                self.take(self.holder(settle.lease, *lane, *caller), settle.lease, &settle.takes);
            }
            Fact::Leased { node, epoch, amount } => self.lease(*node, *epoch, i128::from(*amount)),
            Fact::Returned { node, epoch, bucket, returned } => {
                let known = self.leases.iter_mut().find(|lease| lease.node == *node && lease.epoch == *epoch);
                if let Some(lease) = known.filter(|_| is_credits(bucket)) {
                    lease.returned = lease.returned.max(lease.granted.min(i128::from(*returned)));
                }
            }
            Fact::GivenUp { lane, caller, epoch, used } => {
                let node = self.holder(*epoch, *lane, *caller);
                let used = used.iter().find(|(bucket, _)| is_credits(bucket)).map_or(0, |(_, used)| *used);
                for lease in
                    self.leases.iter_mut().filter(|lease| (lease.node, lease.epoch) == (node, *epoch))
                {
                    lease.used = Some(i128::from(used));
                }
                self.ended.push((node, *epoch));
                self.ended = last(&self.ended, ENDED);
                self.forget_leases();
            }
            Fact::NodeClosed(node) => self.leases.retain(|lease| lease.node != *node),
        }
    }

    /// What nodes may still take.
    pub fn outstanding(&self) -> i128 {
        self.leases.iter().map(NaiveLease::outstanding).sum()
    }

    /// What the open lots are worth at base price, pool by pool rounded down, less the debt.
    pub fn worth(&self, catalogs: &[Catalog]) -> i128 {
        let (_, plan, catalog) = &self.terms[self.terms.len() - 1];
        let mut by_pool: Vec<(&str, i128)> = Vec::new();
        for lot in self.lots.iter().filter(|lot| lot.closed.is_none()) {
            match by_pool.iter_mut().find(|(pool, _)| *pool == lot.pool) {
                Some((_, left)) => *left += lot.left,
                None => by_pool.push((&lot.pool, lot.left)),
            }
        }
        let worth: i128 = by_pool
            .into_iter()
            .map(|(pool, left)| {
                let (num, den) = factor(&catalogs[*catalog], plan, pool);
                (left * den / num).min(GRANTED_MAX)
            })
            .sum();
        (worth.min(GRANTED_MAX) - self.owed).max(0)
    }

    /// When time next changes it.
    pub fn due(&self) -> Option<i64> {
        let lots = self.lots.iter().filter_map(|lot| match lot.closed {
            Some((_, at, _)) => Some(at + HOUR_MS),
            None => lot.ends,
        });
        lots.chain(self.cycle.map(|(_, _, _, end)| end)).min()
    }

    fn begin_term(&mut self, catalog: usize) {
        let no = self.terms.last().map_or(1, |(no, _, _)| no + 1);
        self.terms.push((no, self.plan.clone(), catalog));
        self.terms = last(&self.terms, TERMS);
    }

    fn begin_cycle(&mut self, at: i64, catalog: usize, catalogs: &[Catalog], (anchor, number): (i64, u64)) {
        let plan = plan_of(catalogs, catalog, &self.plan);
        self.cycle = None;
        if plan.grants.is_empty() {
            return;
        }
        let (start, end) = (after(anchor, plan.cycle, number), after(anchor, plan.cycle, number + 1));
        self.cycle = Some((anchor, number, plan.cycle, end));
        for grant in &plan.grants {
            let ends = ends_of(&catalogs[catalog], &grant.pool, start, Some(end));
            let amount = i128::from(grant.amount.get()).min(GRANTED_MAX - self.granted);
            if amount > 0 {
                self.grant(&grant.pool, amount, at, ends, true);
            }
        }
    }

    fn grant(&mut self, pool: &str, amount: i128, at: i64, ends: Option<i64>, of_plan: bool) {
        let repaid = self.owed.min(amount);
        self.owed -= repaid;
        self.granted += amount;
        self.lots.push(NaiveLot {
            pool: pool.to_owned(),
            amount,
            left: amount - repaid,
            ends,
            granted_at: at,
            term: self.terms[self.terms.len() - 1].0,
            of_plan,
            closed: None,
        });
        let is_spent = |lot: &NaiveLot| lot.left == 0 && lot.closed.is_none();
        let mut surplus = self.lots.iter().filter(|lot| is_spent(lot)).count().saturating_sub(SPENT);
        self.lots.retain(|lot| {
            let is_forgotten = surplus > 0 && is_spent(lot);
            surplus -= usize::from(is_forgotten);
            !is_forgotten
        });
    }

    fn close(&mut self, at: i64, which: impl Fn(&NaiveLot) -> bool, is_time: bool) {
        let term = self.terms[self.terms.len() - 1].0;
        for lot in self.lots.iter_mut().filter(|lot| lot.closed.is_none() && which(lot)) {
            lot.closed = Some((term, at, is_time));
        }
    }

    /// What time has done, step by step until nothing is left to do.
    fn look(&mut self, at: i64, in_force: usize, catalogs: &[Catalog]) {
        loop {
            let own = self.terms[self.terms.len() - 1].2;
            let has_plan = catalogs[in_force].plan(&self.plan).is_some();
            let catalog = if has_plan { in_force } else { own };
            if self.end_closed(at) {
                continue;
            }
            if self.status == Some(AccountStatus::Closed) {
                // Lots end; nothing begins any more.
                self.close(at, |lot| lot.ends.is_some_and(|ends| ends <= at), true);
                self.cycle = None;
                if self.end_closed(at) {
                    continue;
                }
                return;
            }
            if let Some((anchor, number, period, end)) = self.cycle.filter(|(_, _, _, end)| *end <= at) {
                self.close(at, |lot| lot.ends.is_some_and(|ends| ends <= end), true);
                self.begin_term(catalog);
                let next = if plan_of(catalogs, catalog, &self.plan).cycle == period {
                    let running = elapsed(anchor, period, at);
                    (anchor, if running > number + 1 + CYCLES_ROLLED { running } else { number + 1 })
                } else {
                    (end, 0)
                };
                self.begin_cycle(at, catalog, catalogs, next);
                continue;
            }
            if self.lots.iter().any(|lot| lot.closed.is_none() && lot.ends.is_some_and(|ends| ends <= at)) {
                self.close(at, |lot| lot.ends.is_some_and(|ends| ends <= at), true);
                self.begin_term(catalog);
                continue;
            }
            if own == catalog {
                return;
            }
            self.begin_term(catalog);
        }
    }

    /// Closed lots give up their rest where nothing is leased, or after an hour.
    fn end_closed(&mut self, at: i64) -> bool {
        let is_idle = self.outstanding() == 0;
        let (ended, kept): (Vec<_>, Vec<_>) = self.lots.drain(..).partition(|lot| {
            lot.closed.is_some_and(|(_, closed, _)| is_idle || lot.left == 0 || closed + HOUR_MS <= at)
        });
        self.lots = kept;
        for lot in &ended {
            let is_time = lot.closed.is_some_and(|(_, _, is_time)| is_time);
            *(if is_time { &mut self.expired } else { &mut self.voided }) += lot.left;
        }
        !ended.is_empty()
    }

    fn charge(&mut self, settle: &Settle, catalogs: &[Catalog]) {
        let known = self.terms.iter().find(|(no, _, _)| *no >= settle.term);
        let (term, plan, catalog) = known.unwrap_or(&self.terms[self.terms.len() - 1]).clone();
        let catalog = &catalogs[catalog];
        let price = price(catalog, settle);
        self.last_price = price.rounded();
        let rank = |pool: &str| pools(catalog).iter().position(|known| *known == pool).unwrap_or(usize::MAX);
        let mut order: Vec<usize> = (0..self.lots.len()).collect();
        order.retain(|index| {
            let lot = &self.lots[*index];
            lot.left > 0 && lot.closed.is_none_or(|(last, _, _)| term <= last)
        });
        order.sort_by_key(|index| {
            let lot = &self.lots[*index];
            (lot.term > term, rank(&lot.pool), lot.ends.unwrap_or(i64::MAX), lot.granted_at, *index)
        });
        let mut rest = price;
        for index in order {
            let lot = &mut self.lots[index];
            let (num, den) = factor(catalog, &plan, &lot.pool);
            let asked = rest.times(num, den);
            if asked.at_most(lot.left) {
                lot.left -= asked.rounded();
                self.charged += asked.rounded();
                return;
            }
            rest = rest.minus(Fraction::new(lot.left * den, num));
            self.charged += lot.left;
            lot.left = 0;
        }
        self.owed += rest.rounded();
        self.charged += rest.rounded();
    }

    fn holder(&self, epoch: u64, lane: NodeId, caller: NodeId) -> NodeId {
        let has = |node| self.leases.iter().any(|lease| lease.node == node && lease.epoch == epoch);
        if !has(lane) && has(caller) { caller } else { lane }
    }

    fn lease(&mut self, node: NodeId, epoch: u64, amount: i128) {
        match self.leases.iter_mut().find(|lease| lease.node == node && lease.epoch == epoch) {
            Some(lease) => lease.granted += amount,
            None => {
                let lease = NaiveLease { node, epoch, granted: amount, returned: 0, settled: 0, used: None };
                self.leases.push(lease);
            }
        }
    }

    fn take(&mut self, holder: NodeId, epoch: u64, takes: &[Take]) {
        for take in takes.iter().filter(|take| is_credits(&take.bucket)) {
            for lease in self.leases.iter_mut().filter(|lease| (lease.node, lease.epoch) == (holder, epoch)) {
                lease.settled += i128::from(take.used.get());
            }
        }
        self.forget_leases();
    }

    fn forget_leases(&mut self) {
        self.leases.retain(|lease| lease.used.is_none_or(|used| lease.settled < used));
    }
}

// === impl NaiveLease ===

impl NaiveLease {
    pub fn outstanding(&self) -> i128 {
        let all = self.used.unwrap_or(self.granted - self.returned);
        (all - self.settled).max(0)
    }
}

fn is_credits(bucket: &str) -> bool {
    BUCKET_NAMES.contains(&bucket)
}

fn last<T: Clone>(list: &[T], count: usize) -> Vec<T> {
    list[list.len().saturating_sub(count)..].to_vec()
}

fn plan_of<'a>(catalogs: &'a [Catalog], catalog: usize, plan: &str) -> &'a tariff::Plan {
    catalogs[catalog].plans.iter().find(|known| known.name == plan).unwrap()
}

fn pools(catalog: &Catalog) -> Vec<&str> {
    let mut pools: Vec<_> = catalog.pools.iter().collect();
    pools.sort_by_key(|pool| pool.order);
    pools.into_iter().map(|pool| &*pool.name).collect()
}

fn factor(catalog: &Catalog, plan: &str, pool: &str) -> (i128, i128) {
    let plan = catalog.plans.iter().find(|known| known.name == plan).unwrap();
    let stated = plan.factors.iter().find(|(name, _)| name == pool);
    let (num, den) = stated.map_or((1, 1), |(_, factor)| factor.parts());
    (num as i128, den as i128)
}

fn ends_of(catalog: &Catalog, pool: &str, from: i64, cycle_end: Option<i64>) -> Option<i64> {
    match catalog.pools.iter().find(|known| known.name == pool)?.expiry {
        // Its plans are paid by the cycle: that is the commitment too.
        Expiry::CycleEnd | Expiry::CommitmentEnd => cycle_end,
        Expiry::After(period) => Some(after(from, period, 1)),
        Expiry::Never => None,
    }
}

/// What a settlement costs at base price: exact, bounded by the hold where it is an estimate, at least the
/// hold where not all can be priced, and never above the catalog's bound.
fn price(catalog: &Catalog, settle: &Settle) -> Fraction {
    let held = settle.takes.iter().find(|take| is_credits(&take.bucket));
    let held = held.map(|take| Fraction::new(take.held.get().into(), 1));
    let model = catalog.models.iter().find(|model| model.name == settle.model);
    let unit = |meter: Meter| model.and_then(|model| model.prices.unit(meter));
    let mut price = Fraction::new(0, 1);
    let mut is_known = model.is_some();
    for (meter, count) in settle.usage.iter().filter(|(_, count)| *count > 0) {
        match unit(meter) {
            Some(unit) => {
                let (num, den) = unit.parts();
                price = price.plus(Fraction::new(num as i128 * i128::from(count), den as i128));
            }
            None => is_known = false,
        }
    }
    if !is_known {
        price = price.max(held.unwrap_or(Fraction::new(0, 1)));
    }
    if settle.source == Some(UsageSource::Estimated) || settle.outcome == Outcome::Lost {
        price = held.map_or(price, |held| price.min(held));
    }
    if settle.outcome == Outcome::Lost {
        price = match catalog.lost {
            Lost::Estimate => price,
            Lost::Hold => held.unwrap_or(price),
            Lost::Zero => Fraction::new(0, 1),
        };
    }
    let bound = catalog.max_charge_per_request.map_or(1 << 53, |bound| i128::from(bound.get()).min(1 << 53));
    price.min(Fraction::new(bound, 1))
}

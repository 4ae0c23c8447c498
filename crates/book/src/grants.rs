//! What a plan grants for a cycle, and until when (M1, M2, M13, P3, P11, W1, W5).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tariff::catalog::{BonusOn, Cadence, Grant, Rollover};
use tariff::compile::CREDITS;
use tariff::{Catalog, Expiry, Micros, Plan, Pool, Ratio};

use crate::account::{Account, Cycle, Lot};
use crate::amount::{less, minus, plus, total};
use crate::calendar;
use crate::entry::{EntryKind, GrantSource, Granted};
use crate::limits::TOTAL_MAX;
use crate::standing::zone_of;

/// A cycle whose grants are due.
#[derive(Clone, Copy)]
pub struct Due<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The way in which it is taken.
    pub cadence: &'a Cadence,
    /// The cycle.
    pub cycle: &'a Cycle,
    /// The number of the term that the cycle begins with.
    pub term: u64,
    /// False: the first cycle on the plan.
    pub renewal: bool,
}

/// What a plan grants for a cycle; debt is repaid first (rule 15). Grants end where an account has had all that it
/// can ever be granted.
///
/// The references name the term that the cycle began with: a plan that was left and taken again at the
/// same instant grants anew, but for what it grants once.
#[must_use]
pub fn grants(account: &Account, catalog: &Catalog, due: Due<'_>) -> Vec<Granted> {
    let zone = zone_of(account);
    let start = calendar::rfc3339(due.cycle.start).unwrap_or_default();
    let mut sums: BTreeMap<&str, (Micros, Micros)> = BTreeMap::new();
    let mut granted = Vec::new();
    for grant in &due.cadence.grants {
        let pool = catalog.pool(&grant.pool);
        let asset = pool.map_or(CREDITS, |pool| &pool.asset);
        let name = format!("{}/{}", due.plan.name, grant.pool);
        let reference =
            if grant.once { format!("{name}/once") } else { format!("{name}/{start}/{}", due.term) };
        if grant.once && account.once.iter().any(|known| **known == *reference) {
            continue;
        }
        let (debt, room) = sums
            .entry(asset)
            .or_insert_with(|| (account.owed(asset), less(TOTAL_MAX, account.totals(asset).granted)));
        let amount = amount_of(grant, due.renewal).min(*room);
        *room = minus(*room, amount);
        let repaid = (*debt).min(amount);
        *debt = minus(*debt, repaid);
        if amount > Micros::ZERO {
            granted.push(Granted {
                pool: Arc::from(grant.pool.as_str()),
                asset: Arc::from(asset),
                source: GrantSource::Plan,
                amount,
                repaid,
                expires_at: end_of_grant(pool, &zone, due.cycle),
                reference,
                once: grant.once,
            });
        }
    }
    granted
}

/// The amount with its bonus, which is rounded down (P3).
fn amount_of(grant: &Grant, renewal: bool) -> Micros {
    let given = grant.bonus.filter(|bonus| match bonus.on {
        BonusOn::EveryCycle => true,
        BonusOn::RenewalOnly => renewal,
    });
    let whole = Ratio::whole(u64::try_from(grant.amount.get()).unwrap_or(0));
    let bonus = given.and_then(|bonus| whole.checked_mul(bonus.rate)?.floor()).map_or(Micros::ZERO, Micros);
    plus(grant.amount, bonus)
}

/// When a lot that a cycle grants ends: with so many further cycles where its pool rolls over.
fn end_of_grant(pool: Option<&Pool>, zone: &TimeZone, cycle: &Cycle) -> Option<i64> {
    let expiry = pool.map_or(Expiry::CycleEnd, |pool| pool.expiry);
    let further = pool.and_then(|pool| pool.rollover).map_or(0, |rollover| u64::from(rollover.cycles));
    if expiry == Expiry::CycleEnd && further > 0 {
        let ended = cycle.number.saturating_add(1).saturating_add(further);
        return calendar::after_in(zone, cycle.anchor, cycle.period, ended);
    }
    expires_in(zone, expiry, cycle.start, Some(cycle))
}

/// When a lot of a pool ends that an account is granted at an instant; nothing where it never does (M2, M5, C5).
#[must_use]
pub fn expires_at(account: &Account, expiry: Expiry, granted_at: i64) -> Option<i64> {
    expires_in(&zone_of(account), expiry, granted_at, account.cycle.as_ref())
}

fn expires_in(zone: &TimeZone, expiry: Expiry, granted_at: i64, cycle: Option<&Cycle>) -> Option<i64> {
    match expiry {
        Expiry::CycleEnd => cycle.map(|cycle| cycle.end),
        Expiry::CommitmentEnd => cycle.map(Cycle::billing_end),
        Expiry::After(period) => calendar::after_in(zone, granted_at, period, 1),
        Expiry::Never => None,
    }
}

/// What lots lose that a pool does not carry over into the next cycle: the oldest first.
#[must_use]
pub fn trims(account: &Account, catalog: &Catalog, boundary: i64) -> Vec<EntryKind> {
    let rolling = catalog.pools.iter().filter_map(|pool| {
        let Rollover { max, .. } = pool.rollover?;
        Some((pool, max?))
    });
    rolling.flat_map(|(pool, max)| trims_of(account, pool, max, boundary)).collect()
}

fn trims_of(account: &Account, pool: &Pool, max: Micros, boundary: i64) -> Vec<EntryKind> {
    let is_carried = |lot: &Lot| {
        let outlives = lot.expires_at.is_none_or(|end| end > boundary);
        *lot.pool == *pool.name && lot.of_plan && lot.closing.is_none() && outlives
    };
    let mut carried: Vec<(u64, &Lot)> =
        account.lots.iter().filter(|(_, lot)| is_carried(lot)).map(|(id, lot)| (*id, lot)).collect();
    carried.sort_by_key(|(id, lot)| (lot.created_at, *id));
    let mut surplus = less(total(carried.iter().map(|(_, lot)| lot.remaining)), max);
    let trimmed = carried.into_iter().filter_map(|(id, lot)| {
        let amount = lot.remaining.min(surplus);
        surplus = minus(surplus, amount);
        let (pool, asset) = (lot.pool.clone(), lot.asset.clone());
        (amount > Micros::ZERO).then_some(EntryKind::LotTrimmed { lot: id, pool, asset, amount })
    });
    trimmed.collect()
}

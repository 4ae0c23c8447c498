//! What time does to an account: cycles end, lots expire, closed lots give up their rest, and the
//! catalog in force opens the next term.

use std::sync::Arc;

use tariff::{Cadence, Catalog, Expiry, Micros, Plan};

use crate::account::{Account, Billing, Cycle, LotEnd, Term, TermPool};
use crate::amount::{less, minus};
use crate::calendar;
use crate::entry::{EntryKind, GrantSource, Granted};
use crate::limits::{CYCLES_ROLLED_MAX, LOT_CLOSING_MS, TOTAL_MAX};
use crate::tx::Now;

/// When time next changes the account; nothing where it never does.
#[must_use]
pub fn next(account: &Account) -> Option<i64> {
    let cycle = account.cycle.as_ref().map(|cycle| cycle.end);
    let lots = account.lots.values().filter_map(|lot| match lot.closing {
        Some(closing) => Some(closing.at.saturating_add(LOT_CLOSING_MS)),
        None => lot.expires_at,
    });
    let settings = account.term().and_then(|term| account.settings.next(term.opened_at));
    cycle.into_iter().chain(lots).chain(settings).min()
}

/// The next step that is due; empty where nothing is. To be posted and asked for again.
#[must_use]
pub fn step(account: &Account, catalog: &Catalog, version: u64, now: Now) -> Vec<EntryKind> {
    let Some(term) = account.term() else { return Vec::new() };
    let ended = rests(account, now);
    if !ended.is_empty() {
        return ended;
    }
    if let Some(cycle) = account.cycle.as_ref().filter(|cycle| cycle.end <= now.wall) {
        return roll(account, catalog, version, cycle, now);
    }
    let expired = closings(account, |end| end.is_some_and(|end| end <= now.wall));
    if !expired.is_empty() {
        let next = next_term(account, catalog, version, term.plan.clone(), now.wall);
        return expired.into_iter().chain(next.map(|term| EntryKind::Term { term })).collect();
    }
    if account.settings.next(term.opened_at).is_some_and(|at| at <= now.wall) {
        // A stay in a programme has begun or ended (C11).
        let next = next_term(account, catalog, version, term.plan.clone(), now.wall);
        return next.map(|term| EntryKind::Term { term }).into_iter().collect();
    }
    if term.catalog != version && catalog.plan(&term.plan).is_some() {
        let next = next_term(account, catalog, version, term.plan.clone(), now.wall);
        return next.map(|term| EntryKind::Term { term }).into_iter().collect();
    }
    Vec::new()
}

/// Closed lots that give up their rest: nothing of the account is leased, or they waited long enough.
#[must_use]
pub fn rests(account: &Account, now: Now) -> Vec<EntryKind> {
    if !account.is_closing_lots() {
        return Vec::new();
    }
    let idle = account.leases.iter().all(|lease| lease.outstanding() == Micros::ZERO);
    let ends = |at: i64| idle || at.saturating_add(LOT_CLOSING_MS) <= now.wall;
    let ended = account.lots.iter().filter_map(|(id, lot)| {
        let closing = lot.closing.filter(|closing| lot.remaining == Micros::ZERO || ends(closing.at))?;
        Some(EntryKind::LotEnded { lot: *id, pool: lot.pool.clone(), end: closing.end, rest: lot.remaining })
    });
    ended.collect()
}

/// Closes open lots whose time is up.
fn closings(account: &Account, is_up: impl Fn(Option<i64>) -> bool) -> Vec<EntryKind> {
    let open = account.lots.iter().filter(|(_, lot)| lot.closing.is_none() && is_up(lot.expires_at));
    open.map(|(lot, _)| EntryKind::LotClosed { lot: *lot, end: LotEnd::Expired }).collect()
}

/// The end of a cycle: what expires with it, the next term, the next cycle and its grants (M2).
fn roll(account: &Account, catalog: &Catalog, version: u64, cycle: &Cycle, now: Now) -> Vec<EntryKind> {
    let plan_name = account.term().map_or_else(|| Arc::from(""), |term| term.plan.clone());
    let boundary = cycle.end;
    let expired = closings(account, |end| end.is_some_and(|end| end <= boundary));
    let term = next_term(account, catalog, version, plan_name.clone(), boundary);
    let cadence = catalog.plan(&plan_name).map(|plan| (plan, account.cadence(plan)));
    let Some((plan, cadence)) = cadence.filter(|(_, cadence)| !cadence.grants.is_empty()) else {
        // The plan grants nothing any more, or is gone from the catalog: no further cycle.
        let no_cycle = EntryKind::Cycle { cycle: None };
        return expired
            .into_iter()
            .chain(term.map(|term| EntryKind::Term { term }))
            .chain([no_cycle])
            .collect();
    };
    let next = if cadence.cycle == cycle.period {
        cycle_of(cycle.anchor, next_number(cycle, now.wall), &cadence)
    } else {
        // The catalog changed the length: the next cycles are counted from here.
        cycle_of(boundary, 0, &cadence)
    };
    let no = term.as_ref().map_or(0, |term| term.no);
    let granted =
        next.as_ref().map(|next| grants(account, catalog, (plan, &cadence), (next, no))).unwrap_or_default();
    expired
        .into_iter()
        .chain(term.map(|term| EntryKind::Term { term }))
        .chain([EntryKind::Cycle { cycle: next }])
        .chain(granted.into_iter().map(EntryKind::Grant))
        .collect()
}

/// The next cycle's number; after a long rest, that of the cycle that runs.
fn next_number(cycle: &Cycle, now: i64) -> u64 {
    let next = cycle.number.saturating_add(1);
    let running = calendar::elapsed(cycle.anchor, cycle.period, now);
    if running.saturating_sub(next) > CYCLES_ROLLED_MAX { running } else { next }
}

/// A cycle of a way to take a plan; nothing beyond the calendar's range.
#[must_use]
pub fn cycle_of(anchor: i64, number: u64, cadence: &Cadence) -> Option<Cycle> {
    let start = calendar::after(anchor, cadence.cycle, number)?;
    Some(Cycle {
        anchor,
        number,
        period: cadence.cycle,
        start,
        end: calendar::after(anchor, cadence.cycle, number.checked_add(1)?)?,
        billing: if cadence.billing == cadence.cycle {
            None
        } else {
            Some(billing_of(anchor, start, cadence)?)
        },
    })
}

/// The billing period that an instant lies in (M13).
fn billing_of(anchor: i64, instant: i64, cadence: &Cadence) -> Option<Billing> {
    let number = calendar::elapsed(anchor, cadence.billing, instant);
    Some(Billing {
        period: cadence.billing,
        start: calendar::after(anchor, cadence.billing, number)?,
        end: calendar::after(anchor, cadence.billing, number.checked_add(1)?)?,
    })
}

/// What a plan grants for a cycle (M1, M2); debt is repaid first (rule 15). Grants end where an account
/// has had all that it can ever be granted.
///
/// The references name the term that the cycle began with: a plan that was left and taken again at the
/// same instant grants anew.
#[must_use]
pub fn grants(
    account: &Account,
    catalog: &Catalog,
    (plan, cadence): (&Plan, &Cadence),
    (cycle, term): (&Cycle, u64),
) -> Vec<Granted> {
    let mut debt = account.debt;
    let mut room = less(TOTAL_MAX, account.totals.granted);
    let start = calendar::rfc3339(cycle.start).unwrap_or_default();
    cadence
        .grants
        .iter()
        .filter_map(|grant| {
            let amount = grant.amount.min(room);
            room = minus(room, amount);
            let repaid = debt.min(amount);
            debt = minus(debt, repaid);
            let expiry = catalog.pool(&grant.pool).map_or(Expiry::CycleEnd, |pool| pool.expiry);
            (amount > Micros::ZERO).then(|| Granted {
                pool: Arc::from(grant.pool.as_str()),
                source: GrantSource::Plan,
                amount,
                repaid,
                expires_at: expires_at(expiry, cycle.start, Some(cycle)),
                reference: format!("{}/{}/{start}/{term}", plan.name, grant.pool),
            })
        })
        .collect()
}

/// When a lot of a pool ends that is granted at an instant; nothing where it never does.
#[must_use]
pub fn expires_at(expiry: Expiry, granted_at: i64, cycle: Option<&Cycle>) -> Option<i64> {
    match expiry {
        Expiry::CycleEnd | Expiry::CommitmentEnd => cycle.map(|cycle| cycle.end),
        Expiry::After(period) => calendar::after(granted_at, period, 1),
        Expiry::Never => None,
    }
}

/// The term after the account's last one; nothing where the catalog does not have the plan.
#[must_use]
pub fn next_term(
    account: &Account,
    catalog: &Catalog,
    version: u64,
    plan: Arc<str>,
    opened_at: i64,
) -> Option<Term> {
    let last = account.term();
    let no = last.map_or(0, |term| term.no).saturating_add(1);
    if catalog.plan(&plan).is_none() {
        // No version of the catalog that is kept has the plan: the rules stay as they were.
        return last.map(|term| Term { no, opened_at, ..term.clone() });
    }
    let pools = catalog.pools_in_draw_order().into_iter().map(|pool| TermPool {
        pool: Arc::from(pool.name.as_str()),
        factor: catalog.factor(&plan, &pool.name),
    });
    Some(Term { no, catalog: version, pools: pools.collect(), opened_at, plan: plan.clone() })
}

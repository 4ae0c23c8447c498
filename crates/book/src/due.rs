//! What time does to an account: cycles end, windows roll over, lots expire, closed lots give up their rest, and
//! the catalog in force opens the next term.

use std::sync::Arc;

use tariff::catalog::Cadence;
use tariff::{Catalog, Micros, Overage, Plan};
use wire::AccountStatus;

use crate::account::{Account, Cycle, LotEnd};
use crate::calendar;
use crate::entry::EntryKind;
use crate::grants::{Due, grants, trims};
use crate::lease::Lease;
use crate::limits::{CYCLES_ROLLED_MAX, LOT_CLOSING_MS, RECHARGES_WAITING_MAX};
use crate::payment::Requested;
use crate::pending::{Lapse, Pending, Waits};
use crate::standing::{Opening, cycle_of, has_cycle, next_no, next_term, plan_of, standing, zone_of};
use crate::transition::{self, Ending};
use crate::tx::Now;

/// When time next changes the account; nothing where it never does. Windows of limits roll over unseen where no node
/// holds anything: whoever looks at the account next opens the term.
#[must_use]
pub fn next(account: &Account) -> Option<i64> {
    let cycle = account.cycle.as_ref().map(|cycle| cycle.end);
    let lots = account.lots.values().filter_map(|lot| match lot.closing {
        Some(closing) => Some(closing.at.saturating_add(LOT_CLOSING_MS)),
        None => lot.expires_at,
    });
    if account.status == AccountStatus::Closed {
        return cycle.into_iter().chain(lots).min();
    }
    let windows = account.term().map(|term| &*term.standing.windows).unwrap_or_default();
    let is_leased = |lease: &Lease| lease.outstanding() > Micros::ZERO;
    let leased = !windows.is_empty() && account.leases.iter().any(is_leased);
    let windows = windows.iter().map(|window| window.end).filter(|_| leased);
    let settings = account.term().and_then(|term| account.settings.next(term.opened_at));
    let pending = account.pending.as_ref().and_then(Pending::at);
    let life = settings.into_iter().chain(pending).chain(recharge_due(account));
    cycle.into_iter().chain(lots).chain(windows).chain(life).min()
}

/// The next step that is due; empty where nothing is. To be posted and asked for again.
#[must_use]
pub fn step(account: &Account, catalog: &Catalog, version: u64, now: Now) -> Vec<EntryKind> {
    let Some(term) = account.term() else { return Vec::new() };
    let ended = rests(account, now);
    if !ended.is_empty() {
        return ended;
    }
    if account.status == AccountStatus::Closed {
        return closed(account, now.wall);
    }
    if let Some(lapse) = unsaid_lapse(account) {
        let lapse = EntryKind::Lapsed { lapse: Some(Box::new(lapse)) };
        return vec![EntryKind::Pending { change: None }, lapse];
    }
    if let Some((pending, at)) = pending_due(account, now.wall) {
        return arrives(account, (catalog, version), pending, at);
    }
    if let Some(at) = recharge_due(account).filter(|at| *at <= now.wall) {
        return recharges(account, at);
    }
    if let Some(cycle) = account.cycle.as_ref().filter(|cycle| cycle.end <= now.wall) {
        return roll(account, catalog, version, cycle, now);
    }
    let opening = Opening {
        catalog: (catalog, version),
        plan: &term.plan,
        cycle: account.cycle.as_ref(),
        at: now.wall,
    };
    let expired = closings(account, |end| end.is_some_and(|end| end <= now.wall));
    if !expired.is_empty() {
        return expired.into_iter().chain(next_term(account, opening)).collect();
    }
    let own = plan_of(account, catalog, &term.plan);
    let Some(plan) = own.as_deref() else { return Vec::new() };
    if let Some(cycle) = missing_cycle(account, catalog, plan, now) {
        let opening = Opening { cycle: Some(&cycle), ..opening };
        let term = next_term(account, opening);
        return term.into_iter().chain([EntryKind::Cycle { cycle: Some(cycle) }]).collect();
    }
    let cadence = Some(&*term.cadence).filter(|name| !name.is_empty());
    // An account's own bound may change while how it may owe stays as it was (C8).
    let same_cap = term.standing.overage != Overage::Capped
        || account.rules(term).overage_cap == account.overage_cap(catalog, &plan.name);
    let is_current = same_cap
        && term.catalog == version
        && cadence == account.settings.cadence.as_deref()
        && term.standing == standing(account, catalog, plan, account.cycle.as_ref(), now.wall);
    if is_current { Vec::new() } else { next_term(account, opening).into_iter().collect() }
}

/// What is left to do for a closed account: its lots still end by the calendar, but nothing begins any more.
fn closed(account: &Account, now: i64) -> Vec<EntryKind> {
    let expired = closings(account, |end| end.is_some_and(|end| end <= now));
    if !expired.is_empty() {
        return expired;
    }
    let cycle = account.cycle.as_ref().map(|_| EntryKind::Cycle { cycle: None });
    let pending = account.pending.as_ref().map(|_| EntryKind::Pending { change: None });
    let lapse = account.lapsed.as_ref().map(|_| EntryKind::Lapsed { lapse: None });
    cycle.into_iter().chain(pending).chain(lapse).collect()
}

/// The lapse of an account whose journal knows it only as a change to its own plan that waits for a payment.
fn unsaid_lapse(account: &Account) -> Option<Lapse> {
    let of_own = |pending: &&Pending| {
        pending.waits == Waits::Payment
            && *pending.to == *account.plan()
            && pending.cadence == account.settings.cadence
    };
    let unsaid = account.lapsed.is_none() && account.cycle.is_none();
    let awaits = account.pending.as_ref().filter(of_own).filter(|_| unsaid)?;
    let since = account.term().map_or(account.created_at, |term| term.opened_at);
    Some(Lapse { since, awaits: Some(awaits.clone()) })
}

/// A change whose time has come; where its billing period is to be paid first, the wait for that.
#[must_use]
pub fn arrives(account: &Account, priced: (&Catalog, u64), pending: &Pending, at: i64) -> Vec<EntryKind> {
    let (catalog, version) = priced;
    let known = catalog.plan(&pending.to).is_some();
    if !known || !transition::is_prepaid(account, pending.usd) {
        return transition::come(account, catalog, version, pending, at);
    }
    let awaits = Some(pending.once_paid());
    let lapsed = lapse(account, priced, Lapse { since: at, awaits });
    let scheduled = account.pending.as_ref().filter(|own| own.waits != Waits::Payment);
    lapsed.into_iter().chain(scheduled.map(|_| EntryKind::Pending { change: None })).collect()
}

/// The end of a billing period without another one: what expires with it, the cycle, and a term of less.
fn lapse(account: &Account, catalog: (&Catalog, u64), lapse: Lapse) -> Vec<EntryKind> {
    let (plan, at) = (account.plan(), lapse.since);
    let expired = closings(account, |end| end.is_some_and(|end| end <= at));
    let after = Account { lapsed: Some(lapse.clone()), ..account.clone() };
    let term = next_term(&after, Opening { catalog, plan, cycle: None, at });
    let lapsed = EntryKind::Lapsed { lapse: Some(Box::new(lapse)) };
    expired.into_iter().chain(term).chain([EntryKind::Cycle { cycle: None }, lapsed]).collect()
}

/// The cycle of an account without one whose plan counts something by it, since the catalog says so.
fn missing_cycle(account: &Account, catalog: &Catalog, plan: &Plan, now: Now) -> Option<Cycle> {
    let cadence = account.cadence(plan);
    // What grants begins with a switch or a start alone; a pass is over when it is over.
    let begins = cadence.grants.is_empty() && cadence.renews && has_cycle(catalog, plan, &cadence);
    if account.cycle.is_some() || !begins || account.lapsed.is_some() || account.created_at > now.wall {
        return None;
    }
    let zone = zone_of(account);
    let number = calendar::elapsed_in(&zone, account.created_at, cadence.cycle, now.wall);
    cycle_of(&zone, account.created_at, number, &cadence)
}

/// The change of plan whose time has come, if no cycle ends before it.
fn pending_due(account: &Account, now: i64) -> Option<(&Pending, i64)> {
    let pending = account.pending.as_ref()?;
    let at = pending.at().filter(|at| *at <= now)?;
    account.cycle.as_ref().is_none_or(|cycle| cycle.end >= at).then_some((pending, at))
}

/// The plan that the next step needs the catalog to have.
#[must_use]
pub fn plan_needed(account: &Account, now: i64) -> Arc<str> {
    pending_due(account, now).map_or_else(|| Arc::from(account.plan()), |(pending, _)| pending.to.clone())
}

/// When the schedule next asks for a purchase (C7); not while too many wait to be paid, nor of a closed account.
fn recharge_due(account: &Account) -> Option<i64> {
    let room = account.dealings.requested.len() < RECHARGES_WAITING_MAX;
    let open = account.status != AccountStatus::Closed;
    account.dealings.recharge.as_ref().filter(|_| room && open).map(|recharge| recharge.next)
}

/// The schedule asks for a purchase.
fn recharges(account: &Account, at: i64) -> Vec<EntryKind> {
    let Some(recharge) = &account.dealings.recharge else { return Vec::new() };
    let cadence = Arc::from(tariff::catalog::name_of(recharge.every).as_str());
    vec![EntryKind::RechargeDue { request: Requested { id: 0, at, usd: recharge.usd, cadence } }]
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
        let (pool, asset) = (lot.pool.clone(), lot.asset.clone());
        Some(EntryKind::LotEnded { lot: *id, pool, asset, end: closing.end, rest: lot.remaining })
    });
    ended.collect()
}

/// Closes open lots whose time is up.
fn closings(account: &Account, is_up: impl Fn(Option<i64>) -> bool) -> Vec<EntryKind> {
    let open = account.lots.iter().filter(|(_, lot)| lot.closing.is_none() && is_up(lot.expires_at));
    open.map(|(lot, _)| EntryKind::LotClosed { lot: *lot, end: LotEnd::Expired }).collect()
}

/// The end of a cycle: what expires with it, the next term, the next cycle and its grants (M2); with the end of the
/// billing period another plan, where one follows.
fn roll(account: &Account, catalog: &Catalog, version: u64, cycle: &Cycle, now: Now) -> Vec<EntryKind> {
    let Some(term) = account.term() else { return Vec::new() };
    let boundary = cycle.end;
    let expired = closings(account, |end| end.is_some_and(|end| end <= boundary));
    let opening = Opening { catalog: (catalog, version), plan: &term.plan, cycle: None, at: boundary };
    let plan = catalog.plan(&term.plan);
    let cadence = plan.map(|plan| (plan, account.cadence(plan)));
    // A plan that is gone from the catalog, or has no cycles any more, has no further one.
    let continued = cadence.filter(|(plan, cadence)| has_cycle(catalog, plan, cadence));
    let ending = continued
        .as_ref()
        .map_or(Ending::Stops, |(plan, cadence)| transition::ending(account, catalog, plan, cadence, cycle));
    match ending {
        Ending::Renews => {}
        Ending::Moves(other) => {
            let price = catalog.plan(&other).and_then(|plan| plan.price_usd);
            let falls = Pending::of(&other, Waits::Until(boundary), price);
            return arrives(account, (catalog, version), &falls, boundary);
        }
        Ending::Lapses(awaits) => {
            let awaits = awaits.map(|awaits| *awaits);
            return lapse(account, (catalog, version), Lapse { since: boundary, awaits });
        }
        Ending::Stops => {
            let no_cycle = EntryKind::Cycle { cycle: None };
            return expired.into_iter().chain(next_term(account, opening)).chain([no_cycle]).collect();
        }
    }
    let Some((plan, cadence)) = continued else { return Vec::new() };
    let zone = zone_of(account);
    let next = if is_of(cycle, &cadence) {
        let next = cycle_of(&zone, cycle.anchor, next_number(account, cycle, now.wall), &cadence);
        // What is paid is the billing period.
        let goes_on = |next: &Cycle| next.billing_start() == cycle.billing_start();
        next.map(|next| if goes_on(&next) { Cycle { price: cycle.price, ..next } } else { next })
    } else {
        // The catalog changed the length: the next cycles are counted from here.
        cycle_of(&zone, boundary, 0, &cadence)
    };
    let trimmed = trims(account, catalog, boundary);
    let begun = begin(account, opening, (plan, &cadence, next), true);
    expired.into_iter().chain(trimmed).chain(begun).collect()
}

/// The term, the cycle and its grants, where a plan's cycle begins.
#[must_use]
pub fn begin(
    account: &Account,
    opening: Opening<'_>,
    (plan, cadence, cycle): (&Plan, &Cadence, Option<Cycle>),
    renewal: bool,
) -> Vec<EntryKind> {
    let opening = Opening { cycle: cycle.as_ref(), ..opening };
    let granted = cycle.as_ref().map(|cycle| {
        let due = Due { plan, cadence, cycle, term: next_no(account), renewal };
        grants(account, opening.catalog.0, due)
    });
    let term = next_term(account, opening);
    let granted = granted.unwrap_or_default().into_iter().map(EntryKind::Grant);
    term.into_iter().chain([EntryKind::Cycle { cycle }]).chain(granted).collect()
}

/// Whether a cycle is one of a cadence's.
fn is_of(cycle: &Cycle, cadence: &Cadence) -> bool {
    cycle.period == cadence.cycle && cycle.billing_period() == cadence.billing
}

/// The next cycle's number; after a long rest, that of the cycle that runs.
fn next_number(account: &Account, cycle: &Cycle, now: i64) -> u64 {
    let next = cycle.number.saturating_add(1);
    if cycle.billing.is_some() || account.pending.is_some() {
        // The end of a billing period may bring another plan: none is skipped.
        return next;
    }
    let running = calendar::elapsed_in(&zone_of(account), cycle.anchor, cycle.period, now);
    if running.saturating_sub(next) > CYCLES_ROLLED_MAX { running } else { next }
}

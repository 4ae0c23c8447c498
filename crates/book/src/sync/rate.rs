//! Rates in a sync: what records report of them, and what wants are told (protocol §6).

use tariff::catalog::PlanRate;
use wire::{NodeId, RATE_SILENT_MS, RateReport, SyncResponse, Want};

use crate::account::Account;
use crate::error::StoreError;
use crate::rates::Moment;
use crate::tx::{Now, Tx};

/// Since when rates have been counted: what nodes know of earlier turns is void.
pub fn since(tx: &mut impl Tx, now: Now) -> u64 {
    u64::try_from(tx.fleet().began(now).wall).unwrap_or(0).max(1)
}

/// Takes in how records of a node stand.
pub fn hear(tx: &mut impl Tx, now: Now, node: NodeId, reports: &[RateReport]) -> Result<(), StoreError> {
    for report in reports {
        forget_closed(tx, now, &report.account)?;
        let Some(soft) = tx.soft(&report.account)? else { continue };
        soft.rates.report(micros(now.up), node, &report.state);
        if !soft.rates.waits_for(node) {
            tx.fleet().heard(node, &report.account);
        }
    }
    Ok(())
}

/// Tells a record who refills its account's rates, and leases it tokens.
pub fn answer(
    tx: &mut impl Tx,
    now: Now,
    node: NodeId,
    want: &Want,
    answer: &mut SyncResponse,
) -> Result<(), StoreError> {
    let Some(state) = &want.rates else { return Ok(()) };
    forget_closed(tx, now, &want.account)?;
    let plan = plan_rates(tx, &want.account)?;
    if plan.is_empty() {
        return Ok(());
    }
    let at = moment(tx, now, node, &want.account)?;
    let Some(account) = tx.account(&want.account)? else { return Ok(()) };
    let id = account.id.clone();
    let Some(soft) = tx.soft(&want.account)? else { return Ok(()) };
    let decision = soft.rates.ask(at, (node, want.lease), state, &plan);
    if !soft.rates.waits_for(node) {
        tx.fleet().heard(node, &want.account);
    }
    if let Some((other, turn)) = decision.withdrawn {
        tx.fleet().withdraw(other, id, turn);
    }
    let mut grant = decision.grant;
    (grant.account, grant.lease) = (want.account.clone(), want.lease);
    answer.rates.push(grant);
    Ok(())
}

/// The rates of an account's plan, as its term has them.
fn plan_rates(tx: &mut impl Tx, account: &str) -> Result<Vec<PlanRate>, StoreError> {
    let Some(term) = tx.account(account)?.and_then(Account::term).cloned() else { return Ok(Vec::new()) };
    let Some(catalog) = tx.catalog(term.catalog)? else { return Ok(Vec::new()) };
    let cohort = term.standing.cohort.as_ref();
    let cohort = cohort.and_then(|name| catalog.cohorts.iter().find(|cohort| cohort.name == *name));
    if let Some(cohort) = cohort {
        return Ok(cohort.rates.clone());
    }
    Ok(catalog.plan(&term.plan).map(|plan| plan.rates.clone()).unwrap_or_default())
}

fn moment(tx: &mut impl Tx, now: Now, asker: NodeId, account: &str) -> Result<Moment, StoreError> {
    let silent_ms = i64::try_from(RATE_SILENT_MS).unwrap_or(i64::MAX);
    let holder = tx.soft(account)?.and_then(|soft| soft.rates.holder());
    let called_at = match holder {
        Some(node) => tx.called_at(node)?,
        None => None,
    };
    let fleet = tx.fleet();
    let began = fleet.began(now);
    let (inherited, unheard) = (fleet.has_inherited(asker), fleet.has_unheard(asker));
    Ok(Moment {
        up_us: micros(now.up),
        wall: now.wall,
        began_us: micros(began.up),
        inherited,
        unheard,
        early: inherited && now.up.saturating_sub(began.up) < silent_ms,
        silent: called_at.is_some_and(|at| now.up.saturating_sub(at.max(began.up)) >= silent_ms),
    })
}

/// Nodes are closed without a look at the accounts whose rates they use: whoever looks at these does it first.
fn forget_closed(tx: &mut impl Tx, now: Now, account: &str) -> Result<(), StoreError> {
    let nodes = tx.soft(account)?.map(|soft| soft.rates.nodes()).unwrap_or_default();
    let mut closed = Vec::new();
    for node in nodes {
        if tx.called_at(node)?.is_none() {
            closed.push(node);
        }
    }
    if let Some(soft) = tx.soft(account)?.filter(|_| !closed.is_empty()) {
        soft.rates.forget_closed(micros(now.up), |node| !closed.contains(&node));
    }
    Ok(())
}

const fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1_000)
}

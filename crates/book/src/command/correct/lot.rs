//! Lots that end early, and lots that end later than they would have.

use tariff::Catalog;
use wire::AccountStatus;

use super::{check_reason, recall};
use crate::account::{Account, Lot, LotEnd};
use crate::command::{post, touch, touched};
use crate::correction::Extended;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::standing::{self, Opening};
use crate::tx::{Now, Tx};

/// Ends a lot; gives it as it was, and whether it was open. What open requests of its terms hold may still be
/// drawn from it; the rest is gone when they have ended, an hour later at most.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownLot`]; and where the store fails.
pub fn void(tx: &mut impl Tx, now: Now, account: &str, lot: u64) -> Result<(Lot, bool), Error> {
    touched(tx, account, now)?;
    let version = tx.catalog_version();
    let in_force = tx.catalog(version)?;
    let account = touched(tx, account, now)?;
    let found = account.lots.get(&lot).cloned().ok_or(Refusal::UnknownLot(lot))?;
    if found.closing.is_some() {
        return Ok((found, false));
    }
    let id = account.id.clone();
    let term = in_force.as_deref().and_then(|catalog| next_term(account, catalog, version, now));
    let closed = EntryKind::LotClosed { lot, end: LotEnd::Void };
    post(tx, &id, now, [closed].into_iter().chain(term))?;
    touch(tx, id.as_str(), now)?;
    recall(tx, id.as_str())?;
    Ok((found, true))
}

/// Requests admitted from here on do not draw the lot: they are of another term.
fn next_term(account: &Account, catalog: &Catalog, version: u64, now: Now) -> Option<EntryKind> {
    let term = account.term()?;
    let (plan, cycle) = (&*term.plan, account.cycle.as_ref());
    standing::next_term(account, Opening { catalog: (catalog, version), plan, cycle, at: now.wall })
}

/// Moves the end of an open lot to a later instant, or away (nothing); gives the lot with its end.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownLot`], [`Refusal::AccountClosed`], [`Refusal::Conflict`]
/// (`lot_ended`), [`Refusal::Invalid`]; and where the store fails.
pub fn extend(
    tx: &mut impl Tx,
    now: Now,
    (account, lot): (&str, u64),
    to: Option<i64>,
    reason: &str,
) -> Result<(Lot, bool), Error> {
    check_reason(reason)?;
    let account = touched(tx, account, now)?;
    let found = account.lots.get(&lot).cloned().ok_or(Refusal::UnknownLot(lot))?;
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    if found.closing.is_some() {
        return Err(Refusal::conflict("lot_ended", "the lot has ended: grant or adjust instead").into());
    }
    if found.expires_at == to {
        return Ok((found, false));
    }
    let is_later = to.is_none_or(|to| found.expires_at.is_some_and(|end| to > end && to > now.wall));
    if !is_later {
        return Err(Refusal::invalid("expires_at", "is not later than the lot's end").into());
    }
    let id = account.id.clone();
    let (pool, from, reason) = (found.pool.clone(), found.expires_at, reason.to_owned());
    post(tx, &id, now, [EntryKind::Extended(Extended { lot, pool, from, to, reason })])?;
    Ok((Lot { expires_at: to, ..found }, true))
}

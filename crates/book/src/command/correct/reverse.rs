//! Reversals: a charge is given back, exactly and once.
//!
//! Each slice goes back to the lot that it was drawn from. Where that lot has ended, or is too long spent to be
//! remembered, the slice comes back as another lot of the same pool: with the old one's end where that is
//! still to come, else with the end that the pool gives to credits granted now. Debt of the charge is no longer
//! owed; what of it has been repaid since comes back as a lot of the pool that is drawn last.

use std::collections::BTreeMap;
use std::sync::Arc;

use tariff::{Expiry, Micros};

use super::{check_lots, check_reason, expiry_of};
use crate::amount::{minus, plus, total};
use crate::command::{post, touched};
use crate::correction::{Moved, REVERSAL, Reversed};
use crate::entry::{Charge, Entry, EntryKind, Slice};
use crate::error::{Error, Refusal, StoreError};
use crate::grants;
use crate::tx::{Now, Tx};

/// What became of a reversal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reversal {
    /// It was posted.
    Posted(Vec<Entry>),
    /// The charge was reversed before.
    Existing(Vec<Entry>),
}

/// Where a charge goes back to.
#[derive(Default)]
struct Back {
    restored: Vec<Slice>,
    debt: Micros,
    receivable: Micros,
    /// By pool and end.
    moved: BTreeMap<(Arc<str>, Option<i64>), Micros>,
}

/// Gives a charge back. The request stays charged for good: its settlement cannot come again.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownEntry`], [`Refusal::Conflict`] (`not_a_charge`,
/// `nothing_charged`), [`Refusal::LimitReached`], [`Refusal::Invalid`]; and where the store fails.
pub fn reverse(
    tx: &mut impl Tx,
    now: Now,
    (account, entry): (&str, u64),
    reason: &str,
) -> Result<Reversal, Error> {
    check_reason(reason)?;
    touched(tx, account, now)?;
    let found = tx.entry(account, entry)?.ok_or(Refusal::UnknownEntry(entry))?;
    let EntryKind::Charge(charge) = found.kind else {
        return Err(Refusal::conflict("not_a_charge", "only charges can be reversed; adjust instead").into());
    };
    if let Some(first) = tx.correction(account, REVERSAL, &entry.to_string())? {
        return Ok(Reversal::Existing(parts(tx, account, first)?));
    }
    if charge.amount == Micros::ZERO {
        return Err(Refusal::conflict("nothing_charged", "the request cost nothing").into());
    }
    let back = go_back(tx, now, account, &charge)?;
    let account = touched(tx, account, now)?;
    check_lots(account, back.moved.len())?;
    let id = account.id.clone();
    post(tx, &id, now, kinds(entry, &charge, back, reason))?;
    let first = tx.correction(id.as_str(), REVERSAL, &entry.to_string())?;
    let missing = || StoreError::new("a reversal is not found after it was posted");
    Ok(Reversal::Posted(parts(tx, id.as_str(), first.ok_or_else(missing)?)?))
}

/// All parts of a reversal.
fn parts(tx: &mut impl Tx, account: &str, first: Entry) -> Result<Vec<Entry>, StoreError> {
    let EntryKind::Reversed(reversed) = &first.kind else { return Ok(vec![first]) };
    let last = first.id.saturating_add(u64::from(reversed.parts));
    let mut all = vec![first];
    for id in all.first().map_or(0, |first| first.id.saturating_add(1))..last {
        all.extend(tx.entry(account, id)?);
    }
    Ok(all)
}

fn go_back(tx: &mut impl Tx, now: Now, account: &str, charge: &Charge) -> Result<Back, Error> {
    let mut back = Back::default();
    for slice in &charge.slices {
        let lot = touched(tx, account, now)?.lots.get(&slice.lot).cloned();
        if lot.as_ref().is_some_and(|lot| lot.closing.is_none()) {
            back.restored.push(slice.clone());
            continue;
        }
        let own_end = match lot {
            Some(lot) => Some(lot.expires_at),
            None => tx.entry(account, slice.lot)?.and_then(|entry| end_of_lot(&entry.kind)),
        };
        let end = match own_end.filter(|end| end.is_none_or(|end| end > now.wall)) {
            Some(end) => end,
            None => pools_end(tx, now, account, &slice.pool)?,
        };
        add(&mut back, slice.pool.clone(), end, slice.amount);
    }
    let account_now = touched(tx, account, now)?;
    back.debt = charge.debt.min(account_now.owed(&charge.asset));
    back.receivable = charge.receivable.min(account_now.receivable);
    let repaid = minus(charge.debt, back.debt);
    let repaid = plus(repaid, minus(charge.receivable, back.receivable));
    if repaid > Micros::ZERO {
        let account_now = touched(tx, account, now)?;
        let term = account_now.term();
        let mut of_asset =
            term.into_iter().flat_map(|term| &term.pools).filter(|pool| pool.asset == charge.asset);
        let last = of_asset.next_back().map(|pool| pool.pool.clone());
        let pool = last.ok_or_else(|| Refusal::conflict("no_pool", "the account's plan has no pool"))?;
        let end = pools_end(tx, now, account, &pool)?;
        add(&mut back, pool, end, repaid);
    }
    Ok(back)
}

fn add(back: &mut Back, pool: Arc<str>, end: Option<i64>, amount: Micros) {
    let sum = back.moved.entry((pool, end)).or_default();
    *sum = plus(*sum, amount);
}

/// When a lot ends that is granted to a pool now.
fn pools_end(tx: &mut impl Tx, now: Now, account: &str, pool: &str) -> Result<Option<i64>, Error> {
    let expiry = expiry_of(tx, pool)?.unwrap_or(Expiry::CycleEnd);
    Ok(grants::expires_at(touched(tx, account, now)?, expiry, now.wall))
}

/// When the lot that an entry made was to end.
fn end_of_lot(kind: &EntryKind) -> Option<Option<i64>> {
    match kind {
        EntryKind::Grant(granted) => Some(granted.expires_at),
        EntryKind::Adjusted(adjusted) => Some(adjusted.expires_at),
        EntryKind::Reversed(reversed) => reversed.moved.as_ref().map(|moved| moved.expires_at),
        _ => None,
    }
}

fn kinds(of: u64, charge: &Charge, back: Back, reason: &str) -> Vec<EntryKind> {
    let Back { restored, debt, receivable, moved } = back;
    let mut lots = moved.into_iter().map(|((pool, expires_at), amount)| Moved { pool, amount, expires_at });
    let blank = Reversed {
        of,
        part: 1,
        parts: 1,
        request: charge.request.clone(),
        asset: charge.asset.clone(),
        restored,
        debt,
        receivable,
        moved: lots.next(),
        amount: Micros::ZERO,
        reason: reason.to_owned(),
    };
    let further = lots.map(|lot| Reversed {
        moved: Some(lot),
        restored: Vec::new(),
        debt: Micros::ZERO,
        receivable: Micros::ZERO,
        ..blank.clone()
    });
    let mut all: Vec<Reversed> = std::iter::once(blank.clone()).chain(further).collect();
    let parts = u32::try_from(all.len()).unwrap_or(u32::MAX);
    for (part, reversed) in (1..).zip(&mut all) {
        let slices = reversed.restored.iter().map(|slice| slice.amount);
        let lot = reversed.moved.iter().map(|moved| moved.amount);
        reversed.amount = total(slices.chain(lot).chain([reversed.debt, reversed.receivable]));
        (reversed.part, reversed.parts) = (part, parts);
    }
    all.into_iter().map(|reversed| EntryKind::Reversed(Box::new(reversed))).collect()
}

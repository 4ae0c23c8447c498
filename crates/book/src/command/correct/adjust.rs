//! Adjustments: credits added or taken back by hand.

use std::sync::Arc;

use tariff::Micros;
use wire::AccountStatus;

use super::{check_lots, check_reason, expiry_of, recall};
use crate::account::Account;
use crate::amount::{less, minus, plus, total};
use crate::command::grant::Outcome;
use crate::command::{post, touched};
use crate::correction::{ADJUSTMENT, Adjusted, REFUNDED};
use crate::entry::{Entry, EntryKind, Slice};
use crate::error::{Error, Refusal, StoreError};
use crate::grants;
use crate::id::is_name;
use crate::limits::{AMOUNT_MAX, REFERENCE_MAX, TOTAL_MAX};
use crate::tx::{Now, Tx};

/// Credits to add or take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAdjustment {
    /// The account.
    pub account: String,
    /// The pool.
    pub pool: String,
    /// Above zero: added; below zero: taken back.
    pub amount: Micros,
    /// When what is added ends; absent = as the pool says.
    pub expires_at: Option<i64>,
    /// True: what the pool does not have is owed. False: taking back more than it has is refused.
    pub allow_debt: bool,
    /// Why, for people.
    pub reason: String,
    /// Unique among the account's adjustments, for ever.
    pub reference: String,
}

/// Adjusts a pool. What is added repays debt first (rule 15); what is taken back is drawn from the pool's lots
/// in draw order. The same reference with the same content is answered with the entry that exists.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownPool`], [`Refusal::AccountClosed`] for adding,
/// [`Refusal::ReferenceConflict`], [`Refusal::Conflict`] (`insufficient_credits`), [`Refusal::LimitReached`],
/// [`Refusal::Invalid`]; and where the store fails.
pub fn adjust(tx: &mut impl Tx, now: Now, new: &NewAdjustment) -> Result<Outcome, Error> {
    check(now, new)?;
    touched(tx, &new.account, now)?;
    if let Some(entry) = tx.correction(&new.account, ADJUSTMENT, &new.reference)? {
        return if is_same(&entry, new) {
            Ok(Outcome::Existing(entry))
        } else {
            Err(Refusal::ReferenceConflict(new.reference.clone()).into())
        };
    }
    let expiry = expiry_of(tx, &new.pool)?;
    let account = touched(tx, &new.account, now)?;
    let known = account.lots.values().any(|lot| *lot.pool == new.pool);
    let adjusted = match expiry {
        Some(expiry) if new.amount > Micros::ZERO => {
            let ends = new.expires_at.or(grants::expires_at(account, expiry, now.wall));
            add(account, new, ends)?
        }
        // Credits of a pool that left the catalog can be taken back still.
        Some(_) => take(account, new)?,
        None if known && new.amount < Micros::ZERO => take(account, new)?,
        None => return Err(Refusal::UnknownPool(new.pool.clone()).into()),
    };
    let id = account.id.clone();
    post(tx, &id, now, [EntryKind::Adjusted(Box::new(adjusted))])?;
    recall(tx, id.as_str())?;
    let posted = tx.correction(&new.account, ADJUSTMENT, &new.reference)?;
    let missing = || StoreError::new("an adjustment is not found after it was posted");
    Ok(Outcome::Posted(posted.ok_or_else(missing)?))
}

fn check(now: Now, new: &NewAdjustment) -> Result<(), Refusal> {
    let least = minus(Micros::ZERO, AMOUNT_MAX);
    if new.amount == Micros::ZERO || !(least..=AMOUNT_MAX).contains(&new.amount) {
        let detail = format!("must not be 0, and be at most {AMOUNT_MAX} either way");
        return Err(Refusal::invalid("amount", detail));
    }
    if new.amount < Micros::ZERO && new.expires_at.is_some() {
        return Err(Refusal::invalid("expires_at", "is for credits that are added"));
    }
    if new.expires_at.is_some_and(|end| end <= now.wall) {
        return Err(Refusal::invalid("expires_at", "is not in the future"));
    }
    if !is_name(&new.reference, REFERENCE_MAX) {
        let detail = format!("must be 1 to {REFERENCE_MAX} visible ASCII characters");
        return Err(Refusal::invalid("reference", detail));
    }
    if new.reference.starts_with(REFUNDED) {
        // A refund takes credits back under such a reference.
        return Err(Refusal::invalid("reference", format!("`{REFUNDED}` is how those of refunds begin")));
    }
    check_reason(&new.reason)
}

fn blank(account: &Account, new: &NewAdjustment) -> Adjusted {
    Adjusted {
        pool: Arc::from(new.pool.as_str()),
        asset: account.asset_of(&new.pool),
        amount: new.amount,
        repaid: Micros::ZERO,
        expires_at: None,
        slices: Vec::new(),
        debt: Micros::ZERO,
        reason: new.reason.clone(),
        reference: new.reference.clone(),
    }
}

fn add(account: &Account, new: &NewAdjustment, expires_at: Option<i64>) -> Result<Adjusted, Refusal> {
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed);
    }
    check_lots(account, 1)?;
    let granted = account.totals(&account.asset_of(&new.pool)).granted.checked_add(new.amount);
    if granted.is_none_or(|granted| granted > TOTAL_MAX) {
        return Err(Refusal::invalid("amount", "carries the account beyond what it can ever be granted"));
    }
    let blank = blank(account, new);
    Ok(Adjusted { repaid: account.owed(&blank.asset).min(new.amount), expires_at, ..blank })
}

fn take(account: &Account, new: &NewAdjustment) -> Result<Adjusted, Refusal> {
    let wanted = minus(Micros::ZERO, new.amount);
    let mut rest = wanted;
    let mut slices = Vec::new();
    let lots = account.term().map(|term| account.lots_in_draw_order(term)).unwrap_or_default();
    for (id, lot) in lots.into_iter().filter(|(_, lot)| *lot.pool == new.pool) {
        let amount = lot.remaining.min(rest);
        rest = minus(rest, amount);
        if amount > Micros::ZERO {
            slices.push(Slice { lot: id, pool: lot.pool.clone(), amount });
        }
    }
    if rest > Micros::ZERO && !new.allow_debt {
        let has = total(slices.iter().map(|slice| slice.amount));
        let detail = format!("the pool has {has} of {wanted}: take less, or allow the rest to become debt");
        return Err(Refusal::conflict("insufficient_credits", detail));
    }
    let blank = blank(account, new);
    let clawed_back = account.totals(&blank.asset).clawed_back;
    if plus(account.owed(&blank.asset), rest) > TOTAL_MAX || rest > less(TOTAL_MAX, clawed_back) {
        return Err(Refusal::invalid("amount", "carries the account beyond what it can ever owe"));
    }
    Ok(Adjusted { slices, debt: rest, ..blank })
}

/// Whether an adjustment that exists is the one that is asked for.
fn is_same(entry: &Entry, new: &NewAdjustment) -> bool {
    let EntryKind::Adjusted(adjusted) = &entry.kind else { return false };
    let same_end = new.expires_at.is_none() || new.expires_at == adjusted.expires_at;
    *adjusted.pool == new.pool && adjusted.amount == new.amount && adjusted.reason == new.reason && same_end
}

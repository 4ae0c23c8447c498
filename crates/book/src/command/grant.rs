//! Granting credits through the public API: purchases, gifts.

use std::sync::Arc;

use tariff::{Micros, Pool};
use wire::AccountStatus;

use super::{post, touched};
use crate::entry::{Entry, EntryKind, GrantSource, Granted};
use crate::error::{Error, Refusal};
use crate::grants;
use crate::id::is_name;
use crate::limits::{AMOUNT_MAX, LOTS_MAX, REFERENCE_MAX, TOTAL_MAX};
use crate::tx::{Now, Tx};

/// Credits to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// The account.
    pub account: String,
    /// The pool.
    pub pool: String,
    /// How many.
    pub amount: Micros,
    /// When the lot ends; absent = as the pool says.
    pub expires_at: Option<i64>,
    /// Unique within the account, for ever.
    pub reference: String,
}

/// What became of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was posted.
    Posted(Entry),
    /// The same grant was posted before.
    Existing(Entry),
}

/// Grants credits. Debt is repaid first (rule 15). The same reference with the same content is
/// answered with the entry that exists.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownPool`], [`Refusal::AccountClosed`],
/// [`Refusal::ReferenceConflict`], [`Refusal::LimitReached`], [`Refusal::Invalid`]; and where the
/// store fails.
pub fn grant(tx: &mut impl Tx, now: Now, new: &NewGrant) -> Result<Outcome, Error> {
    if new.amount <= Micros::ZERO || new.amount > AMOUNT_MAX {
        return Err(Refusal::invalid("amount", format!("must be above 0 and at most {AMOUNT_MAX}")).into());
    }
    if !is_name(&new.reference, REFERENCE_MAX) {
        let detail = format!("must be 1 to {REFERENCE_MAX} visible ASCII characters");
        return Err(Refusal::invalid("reference", detail).into());
    }
    touched(tx, &new.account, now)?;
    if let Some(entry) = tx.grant_entry(&new.account, GrantSource::Api, &new.reference)? {
        return if is_same(&entry, new) {
            Ok(Outcome::Existing(entry))
        } else {
            Err(Refusal::ReferenceConflict(new.reference.clone()).into())
        };
    }
    let version = tx.catalog_version();
    let pool = match tx.catalog(version)? {
        Some(catalog) => catalog.pool(&new.pool).cloned(),
        None => None,
    };
    let pool = pool.ok_or_else(|| Refusal::UnknownPool(new.pool.clone()))?;
    let (id, granted) = decide(touched(tx, &new.account, now)?, now, new, &pool)?;
    let kind = EntryKind::Grant(granted);
    post(tx, &id, now, [kind])?;
    tx.grant_entry(&new.account, GrantSource::Api, &new.reference)?
        .map(Outcome::Posted)
        .ok_or_else(|| crate::error::StoreError::new("a grant is not found after it was posted").into())
}

fn decide(
    account: &crate::account::Account,
    now: Now,
    new: &NewGrant,
    pool: &Pool,
) -> Result<(crate::id::AccountId, Granted), Refusal> {
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed);
    }
    let left = account.lots.values().filter(|lot| lot.remaining > Micros::ZERO).count();
    if left >= LOTS_MAX {
        return Err(Refusal::LimitReached {
            resource: "lots",
            max: u64::try_from(LOTS_MAX).unwrap_or(u64::MAX),
        });
    }
    let granted = account.totals(&pool.asset).granted.checked_add(new.amount);
    if granted.is_none_or(|granted| granted > TOTAL_MAX) {
        return Err(Refusal::invalid("amount", "carries the account beyond what it can ever be granted"));
    }
    let ends = match new.expires_at {
        Some(ends) if ends <= now.wall => return Err(Refusal::invalid("expires_at", "is not in the future")),
        Some(ends) => Some(ends),
        None => grants::expires_at(account, pool.expiry, now.wall),
    };
    let granted = Granted {
        pool: Arc::from(new.pool.as_str()),
        asset: Arc::from(pool.asset.as_str()),
        source: GrantSource::Api,
        amount: new.amount,
        repaid: account.owed(&pool.asset).min(new.amount),
        expires_at: ends,
        reference: new.reference.clone(),
        once: false,
    };
    Ok((account.id.clone(), granted))
}

/// Whether a grant that exists is the one that is asked for.
fn is_same(entry: &Entry, new: &NewGrant) -> bool {
    let EntryKind::Grant(granted) = &entry.kind else { return false };
    let same_end = new.expires_at.is_none() || new.expires_at == granted.expires_at;
    *granted.pool == new.pool && granted.amount == new.amount && same_end
}

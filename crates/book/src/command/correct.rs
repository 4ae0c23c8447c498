//! Corrections: adjustments, reversals of charges, lots that are voided or extended.

mod adjust;
mod lot;
mod reverse;

pub use self::adjust::{NewAdjustment, adjust};
pub use self::lot::{extend, void};
pub use self::reverse::{Reversal, reverse};

use tariff::{Expiry, Micros};
use wire::Change;

use crate::account::Account;
use crate::error::{Refusal, StoreError};
use crate::funds::Funds;
use crate::id::is_title;
use crate::limits::{LOTS_MAX, REASON_MAX};
use crate::tx::Tx;

fn check_reason(reason: &str) -> Result<(), Refusal> {
    if !reason.trim().is_empty() && is_title(reason, REASON_MAX) {
        return Ok(());
    }
    let detail = format!("must be 1 to {REASON_MAX} bytes without control characters");
    Err(Refusal::invalid("reason", detail))
}

/// Whether the account may have so many more lots.
fn check_lots(account: &Account, more: usize) -> Result<(), Refusal> {
    let left = account.lots.values().filter(|lot| lot.remaining > Micros::ZERO).count();
    if left.saturating_add(more) <= LOTS_MAX {
        return Ok(());
    }
    Err(Refusal::LimitReached { resource: "lots", max: u64::try_from(LOTS_MAX).unwrap_or(u64::MAX) })
}

/// Calls idle leases home where nodes may take more than there is left, of whatever bucket.
fn recall(tx: &mut impl Tx, id: &str) -> Result<(), StoreError> {
    let is_short = tx.account(id)?.is_some_and(Funds::is_short);
    if is_short { tx.change(Change::Recall { account: id.to_owned() }) } else { Ok(()) }
}

/// How a pool's lots end, by the catalog in force; nothing where it has no such pool.
fn expiry_of(tx: &mut impl Tx, pool: &str) -> Result<Option<Expiry>, StoreError> {
    let version = tx.catalog_version();
    Ok(tx.catalog(version)?.and_then(|catalog| catalog.pool(pool).map(|pool| pool.expiry)))
}

//! What a node is told of an account.

use tariff::compile::CREDITS;
use tariff::{Catalog, Micros, Standing};
use wire::{Denial, DenialCode, Snapshot};

use crate::account::Account;
use crate::calendar;
use crate::limits::SNAPSHOT_VALID_MS;

/// The snapshot of an account; nothing where the catalog lacks its plan.
///
/// The catalog is the one of the account's term. Who refills the rates is no part of it: that changes
/// from one moment to the next and is said with the node's grants ([`crate::rates`]).
#[must_use]
pub fn snapshot(account: &Account, catalog: &Catalog, now: i64) -> Option<Snapshot> {
    let term = account.term()?;
    let mut policy = catalog.policy(&term.plan, &Standing::default())?;
    policy.help.resets_at = resets_at(account);
    // The account changes by itself when its cycle ends: whoever knows it asks again then.
    let until_end = account.cycle.as_ref().map_or(i64::MAX, |cycle| cycle.end.saturating_sub(now));
    let valid_for_ms = SNAPSHOT_VALID_MS.min(until_end).max(0);
    let deny = account.is_empty().then(|| empty(account, Micros::ZERO));
    Some(Snapshot {
        account: account.id.to_string(),
        version: account.version,
        term: term.no,
        catalog: term.catalog,
        valid_for_ms: u64::try_from(valid_for_ms).unwrap_or(0),
        starts_in_ms: 0,
        status: account.status,
        policy,
        deny: deny.into_iter().collect(),
    })
}

/// When the next included credits come (RFC 3339); nothing where the plan includes none.
#[must_use]
pub fn resets_at(account: &Account) -> Option<String> {
    account.cycle.as_ref().and_then(|cycle| calendar::rfc3339(cycle.end))
}

/// The denial of an account that has nothing left.
#[must_use]
pub fn empty(account: &Account, available: Micros) -> Denial {
    Denial { bucket: CREDITS.to_owned(), code: DenialCode::Empty, available, resets_at: resets_at(account) }
}

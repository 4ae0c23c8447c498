//! What a node is told of an account.

use tariff::compile::CREDITS;
use tariff::{Catalog, Micros, Policy};
use wire::{Denial, DenialCode, Snapshot};

use crate::account::{Account, Term};
use crate::calendar;
use crate::funds::Funds;
use crate::limits::SNAPSHOT_VALID_MS;

/// The snapshot of an account; nothing where the catalog lacks its plan.
///
/// The catalog is the one of the account's term. Who refills the rates is no part of it: that changes
/// from one moment to the next and is said with the node's grants ([`crate::rates`]).
#[must_use]
pub fn snapshot(account: &Account, catalog: &Catalog, now: i64) -> Option<Snapshot> {
    let term = account.term()?;
    let mut policy = catalog.policy(&term.plan, &term.standing)?;
    policy.help.resets_at = resets_at(account);
    policy.enforce &= !account.settings.shadow;
    tell_windows(&mut policy, term);
    // The account changes by itself when its cycle or a window ends: whoever knows it asks again then.
    let cycle = account.cycle.as_ref().map(|cycle| cycle.end);
    let ends = term.standing.windows.iter().map(|window| window.end).chain(cycle);
    let until_end = ends.min().map_or(i64::MAX, |end| end.saturating_sub(now));
    let valid_for_ms = SNAPSHOT_VALID_MS.min(until_end).max(0);
    let funds = Funds::unleased(account);
    let buckets = policy.buckets.iter().filter(|bucket| !bucket.unlimited);
    let dry = buckets.filter(|bucket| account.is_empty(&bucket.id));
    let deny = dry.map(|bucket| denial(account, &funds, &bucket.id, Micros::ZERO));
    Some(Snapshot {
        account: account.id.to_string(),
        version: account.version,
        term: term.no,
        catalog: term.catalog,
        valid_for_ms: u64::try_from(valid_for_ms).unwrap_or(0),
        starts_in_ms: 0,
        status: account.status,
        deny: deny.collect(),
        policy,
    })
}

/// When each limit's window ends.
fn tell_windows(policy: &mut Policy, term: &Term) {
    if term.standing.lapsed {
        // It is the payment that opens them.
        return;
    }
    for limit in policy.buckets.iter_mut().filter_map(|bucket| bucket.limit.as_mut()) {
        let running = term.standing.windows.iter().find(|window| window.limit == limit.id);
        limit.resets_at = running.and_then(|window| calendar::rfc3339(window.end));
    }
}

/// When the next included credits come (RFC 3339); nothing where none do.
#[must_use]
pub fn resets_at(account: &Account) -> Option<String> {
    account.renewal().and_then(calendar::rfc3339)
}

/// The denial of a bucket that has nothing left: it comes back with its window, or with the first window of a cap
/// that leaves its pools nothing, or with the cycle (P5, L2).
#[must_use]
pub fn denial(account: &Account, funds: &Funds, bucket: &str, available: Micros) -> Denial {
    let term = account.term();
    let end_of = |limit: &str| {
        let term = term.filter(|term| !term.standing.lapsed);
        let mut windows = term.into_iter().flat_map(|term| &term.standing.windows);
        windows.find(|window| window.limit == limit).map(|window| window.end)
    };
    let limit = term.and_then(|term| account.rules(term).limit_of_bucket(term, bucket));
    let (code, resets_at) = match limit {
        Some(limit) => (DenialCode::Limit, end_of(&limit.id).and_then(calendar::rfc3339)),
        None => {
            let first = funds.binding(bucket).filter_map(end_of).chain(account.renewal()).min();
            (DenialCode::Empty, first.and_then(calendar::rfc3339))
        }
    };
    Denial { bucket: bucket.to_owned(), code, available, resets_at }
}

/// The denial of an account that has nothing left.
#[must_use]
pub fn empty(account: &Account, available: Micros) -> Denial {
    Denial { bucket: CREDITS.to_owned(), code: DenialCode::Empty, available, resets_at: resets_at(account) }
}

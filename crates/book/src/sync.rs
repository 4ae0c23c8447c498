//! The sync call of a node's worker: events first, then returns, look-ups, wants, the change feed.
//!
//! One command. Events of any node are taken for ever; a closed node is granted nothing (protocol §3, §5).

mod batch;
mod charge;
mod foresee;
mod pot;
mod rate;
pub mod recover;
mod settle;
mod want;

use std::collections::BTreeSet;

use tariff::Micros;
use wire::{KeyEntry, NodeId, Return, Snapshot, SyncRequest, SyncResponse};

pub use batch::digest;
pub use foresee::{Foreseen, foresee};
pub use settle::PRICE_MISMATCH;

use crate::command::{node, post, touch};
use crate::entry::EntryKind;
use crate::error::{Error, Refusal, StoreError};
use crate::id::AccountId;
use crate::limits::{CHANGES_PER_ANSWER, WITHDRAWALS_PER_ANSWER};
use crate::snapshot::snapshot;
use crate::tx::{Now, Tx};

/// Answers one call.
///
/// # Errors
/// [`Refusal::Invalid`] for a call that is not of this protocol; and where the store fails.
pub fn sync(tx: &mut impl Tx, now: Now, request: &SyncRequest) -> Result<SyncResponse, Error> {
    validate(request)?;
    let batch = request.batch.as_ref().map(batch::read);
    lock(tx, request, batch.as_ref())?;
    let health = request.health;
    let mut node_open = node::note_call(tx, now, request.node, &request.label, health)?;
    let knew_others = request.generation.as_deref().is_some_and(|known| known != tx.generation());
    if knew_others {
        // Its leases are of other books, or of these in another time: it goes on under a new id.
        node::close(tx, now, request.node)?;
        node_open = false;
    }

    let mut answer = SyncResponse {
        v: wire::VERSION,
        generation: tx.generation().to_owned(),
        node_open,
        catalog: tx.catalog_version(),
        ..SyncResponse::default()
    };
    if let Some(batch) = &batch {
        let caller = settle::Caller { node: request.node, clock: request.now, knew_others };
        answer.ack = Some(batch::apply(tx, now, caller, batch)?);
    }
    let mut asked = Asked::default();
    if node_open {
        for given in &request.returns {
            take_back(tx, now, request.node, given)?;
        }
        rate::hear(tx, now, request.node, &request.rates)?;
        for want in &request.wants {
            want::answer(tx, now, (request.node, request.now), want, &mut answer, &mut asked.accounts)?;
        }
    }
    answer.rates_since = rate::since(tx, now);
    answer.withdrawn = tx.fleet().withdrawn(request.node).take(WITHDRAWALS_PER_ANSWER).collect();
    look_up(tx, now, request, &mut answer, &mut asked)?;
    asked.accounts.extend(request.refresh.iter().filter_map(|id| AccountId::parse(id).ok()));
    for id in &asked.accounts {
        answer.snapshots.extend(snapshot_of(tx, now, id)?);
    }
    read_feed(tx, request, &mut answer)?;
    Ok(answer)
}

/// Accounts whose snapshot goes into the answer.
#[derive(Default)]
struct Asked {
    accounts: BTreeSet<AccountId>,
}

fn validate(request: &SyncRequest) -> Result<(), Refusal> {
    if request.v != wire::VERSION {
        return Err(Refusal::invalid("v", format!("this ledger speaks version {}", wire::VERSION)));
    }
    let events = request.batch.as_ref().map_or(0, |batch| batch.events.len());
    let parked = request.wants.iter().map(|want| want.requests.len()).max().unwrap_or(0);
    let asks = request.wants.iter().map(|want| want.asks.len()).max().unwrap_or(0);
    let states = request.rates.iter().map(|report| &report.state);
    let states = states.chain(request.wants.iter().filter_map(|want| want.rates.as_ref()));
    let lines = states.map(|state| state.lines.len()).max().unwrap_or(0);
    let counts = [
        ("batch.events", events, wire::BATCH_EVENTS_MAX),
        ("lookups", request.lookups.len(), wire::LOOKUPS_MAX),
        ("wants", request.wants.len(), wire::WANTS_MAX),
        ("wants.requests", parked, wire::WANT_REQUESTS_MAX),
        ("wants.asks", asks, tariff::policy::BUCKETS_MAX),
        ("refresh", request.refresh.len(), wire::REFRESH_MAX),
        ("returns", request.returns.len(), wire::RETURNS_MAX),
        ("rates", request.rates.len(), wire::RATE_REPORTS_MAX),
        ("rates.lines", lines, tariff::policy::RATES_MAX),
    ];
    for (member, count, max) in counts {
        if count > max {
            return Err(Refusal::invalid(member, format!("holds {count}, at most {max} are read")));
        }
    }
    Ok(())
}

fn lock(
    tx: &mut impl Tx,
    request: &SyncRequest,
    batch: Option<&batch::ReadBatch<'_>>,
) -> Result<(), StoreError> {
    let mut accounts: BTreeSet<&str> = BTreeSet::new();
    accounts.extend(batch.into_iter().flat_map(batch::ReadBatch::accounts));
    accounts.extend(request.returns.iter().map(|given| given.account.as_str()));
    accounts.extend(request.rates.iter().map(|report| report.account.as_str()));
    accounts.extend(request.wants.iter().map(|want| want.account.as_str()));
    accounts.extend(request.refresh.iter().map(String::as_str));
    let accounts: Vec<&str> = accounts.into_iter().collect();
    tx.lock(batch.map(batch::ReadBatch::lane), &accounts)
}

/// Notes what a node gave back. Cumulative: less than before, or of a lease that is gone, is late.
fn take_back(tx: &mut impl Tx, now: Now, node: NodeId, given: &Return) -> Result<(), StoreError> {
    return_lease(tx, now, node, (&given.account, given.lease, &given.bucket), given.returned)
}

fn return_lease(
    tx: &mut impl Tx,
    now: Now,
    node: NodeId,
    (account, epoch, bucket): (&str, u64, &str),
    returned: Micros,
) -> Result<(), StoreError> {
    let Some(found) = tx.account(account)? else { return Ok(()) };
    let Some(lease) = found.lease(node, epoch, bucket) else { return Ok(()) };
    // No more than was granted can come back, whatever the node says.
    let returned = returned.min(lease.granted);
    if returned <= lease.returned {
        return Ok(());
    }
    let (id, bucket) = (found.id.clone(), lease.bucket.clone());
    post(tx, &id, now, [EntryKind::Returned { node, epoch, bucket, returned }])?;
    let closing = tx.account(id.as_str())?.is_some_and(crate::account::Account::is_closing_lots);
    if closing { touch(tx, id.as_str(), now) } else { Ok(()) }
}

fn look_up(
    tx: &mut impl Tx,
    now: Now,
    request: &SyncRequest,
    answer: &mut SyncResponse,
    asked: &mut Asked,
) -> Result<(), StoreError> {
    for digest in &request.lookups {
        match tx.key(digest)?.filter(|key| key.is_live(now.wall)) {
            Some(key) => {
                let entry: KeyEntry = key.entry();
                asked.accounts.insert(key.account);
                answer.keys.push(entry);
            }
            None => answer.unknown.push(*digest),
        }
    }
    Ok(())
}

fn snapshot_of(tx: &mut impl Tx, now: Now, id: &AccountId) -> Result<Option<Snapshot>, StoreError> {
    touch(tx, id.as_str(), now)?;
    let Some(version) = tx.account(id.as_str())?.and_then(|account| account.term()).map(|term| term.catalog)
    else {
        return Ok(None);
    };
    let Some(catalog) = tx.catalog(version)? else { return Ok(None) };
    Ok(tx.account(id.as_str())?.and_then(|account| snapshot(account, &catalog, now.wall)))
}

fn read_feed(tx: &mut impl Tx, request: &SyncRequest, answer: &mut SyncResponse) -> Result<(), StoreError> {
    let feed = tx.feed(request.cursor, CHANGES_PER_ANSWER)?;
    let known = request.generation.as_deref().is_none_or(|generation| generation == answer.generation);
    answer.cursor = feed.cursor;
    answer.feed_reset = feed.reset || (!known && request.cursor.is_some());
    answer.changes = feed.changes;
    Ok(())
}

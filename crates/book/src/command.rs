//! Commands: what changes accounts, keys and nodes, on behalf of the public API and of time.
//!
//! Each looks at the state, decides on entries, posts them. The edge's events and wants are in
//! [`crate::sync`].

pub mod correct;
pub mod grant;
pub mod home;
pub mod key;
pub mod node;
pub mod open;
pub mod plan;
pub mod purchase;
pub mod receivable;
pub mod resource;
pub mod settings;

use wire::Change;

use crate::account::Account;
use crate::due;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal, StoreError};
use crate::id::AccountId;
use crate::limits::DUE_STEPS_MAX;
use crate::tx::{Now, Tx};

/// Appends entries; tells the feed where they raise the account's version. Gives the entries' ids.
///
/// # Errors
/// Where the store fails.
pub fn post(
    tx: &mut impl Tx,
    id: &AccountId,
    now: Now,
    kinds: impl IntoIterator<Item = EntryKind>,
) -> Result<Vec<u64>, StoreError> {
    let before = tx.account(id.as_str())?.map_or(0, |account| account.version);
    let ids = crate::notice::append(tx, id, now, kinds)?;
    let after = tx.account(id.as_str())?.map_or(0, |account| account.version);
    if after != before {
        tx.change(Change::Account { account: id.to_string(), version: after })?;
    }
    Ok(ids)
}

/// Brings an account up to an instant: cycles, expiries, the catalog in force. Whoever looks at an
/// account does this first, so that it does not matter when the due work is found.
///
/// # Errors
/// Where the store fails.
pub fn touch(tx: &mut impl Tx, id: &str, now: Now) -> Result<(), StoreError> {
    for _ in 0..DUE_STEPS_MAX {
        let Some((plan, own)) = tx.account(id)?.and_then(|account| {
            let term = account.term()?;
            Some((due::plan_needed(account, now.wall), term.catalog))
        }) else {
            return Ok(());
        };
        let in_force = tx.catalog_version();
        let mut priced = (in_force, tx.catalog(in_force)?);
        if priced.1.as_ref().is_none_or(|catalog| catalog.plan(&plan).is_none()) {
            // The plan left the catalog: the account goes on under the version that has it.
            priced = (own, tx.catalog(own)?);
        }
        let (version, Some(catalog)) = priced else { return Ok(()) };
        let Some(account) = tx.account(id)? else { return Ok(()) };
        let steps = due::step(account, &catalog, version, now);
        if steps.is_empty() {
            return Ok(());
        }
        let id = account.id.clone();
        post(tx, &id, now, steps)?;
    }
    Ok(())
}

/// An account that was brought up to an instant.
///
/// # Errors
/// [`Refusal::UnknownAccount`], and where the store fails.
pub fn touched<'t, T: Tx>(tx: &'t mut T, id: &str, now: Now) -> Result<&'t Account, Error> {
    touch(tx, id, now)?;
    tx.account(id)?.ok_or_else(|| Refusal::UnknownAccount(id.to_owned()).into())
}

/// Does what is due, for at most so many accounts; gives how many there were.
///
/// # Errors
/// Where the store fails.
pub fn run_due(tx: &mut impl Tx, now: Now, limit: usize) -> Result<usize, StoreError> {
    let due = tx.due(now.wall, limit)?;
    for id in &due {
        touch(tx, id.as_str(), now)?;
    }
    Ok(due.len())
}

//! Things that are kept (projects, keys, credentials): how many the account has, and may have (L10, L12, M6, M7).
//!
//! A count at a point in time, told by whoever keeps the things; nothing is ever reset. What is above a lowered cap
//! stays; making more is refused.

use std::sync::Arc;

use tariff::{Catalog, Overrides, Plan};

use super::key::RESOURCE as API_KEYS;
use super::{post, settings, touched};
use crate::account::Account;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal, StoreError};
use crate::id::is_name;
use crate::limits::{RESOURCE_NAME_MAX, RESOURCES_MAX};
use crate::tx::{Now, Tx};

/// A change of how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many, whatever the cap: what is there is there.
    Set(u64),
    /// So many more; refused above the cap.
    Add(u64),
    /// So many less.
    Remove(u64),
}

/// A kind of things that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// How many there may be; absent = unlimited.
    pub max: Option<u64>,
}

/// Changes how many of a thing there are; gives how many there are then.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`] for more, [`Refusal::Full`] above the cap, [`Refusal::Conflict`]
/// (`too_few`), [`Refusal::Invalid`] (`resource`, `count`); and where the store fails.
pub fn change(tx: &mut impl Tx, now: Now, id: &str, name: &str, change: Count) -> Result<Kept, Error> {
    touched(tx, id, now)?;
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?;
    if name == API_KEYS {
        return Err(Refusal::invalid("resource", "keys are counted by the ledger").into());
    }
    let known = account.resources.contains_key(name);
    if !is_name(name, RESOURCE_NAME_MAX) || !(known || is_capped(&catalog, account, name)) {
        return Err(Refusal::invalid("resource", "no plan of the catalog has it").into());
    }
    if !known && account.resources.len() >= RESOURCES_MAX {
        return Err(Refusal::invalid("resource", format!("at most {RESOURCES_MAX} kinds")).into());
    }
    let has = account.resources.get(name).copied().unwrap_or(0);
    let max = plan_of(&catalog, account).and_then(|plan| plan.resource(name));
    let count = match change {
        Count::Set(count) => count,
        Count::Add(_) if account.status == wire::AccountStatus::Closed => {
            return Err(Refusal::AccountClosed.into());
        }
        Count::Add(more) => {
            let count = has.checked_add(more);
            let fits = count.filter(|count| max.is_none_or(|max| *count <= max));
            fits.ok_or_else(|| Refusal::Full { name: name.to_owned(), max: max.unwrap_or(u64::MAX) })?
        }
        Count::Remove(less) => {
            let few = || Refusal::conflict("too_few", format!("there are {has}"));
            has.checked_sub(less).ok_or_else(few)?
        }
    };
    if count > COUNT_MAX {
        return Err(Refusal::invalid("count", format!("at most {COUNT_MAX}")).into());
    }
    let id = account.id.clone();
    if count != has {
        post(tx, &id, now, [EntryKind::Resource { name: Arc::from(name), count }])?;
    }
    Ok(Kept { name: name.to_owned(), count, max })
}

/// The most of one thing: what a JSON number holds exactly.
const COUNT_MAX: u64 = (1 << 53) - 1;

/// All kinds that the account's plan knows or the account has, by name; keys too.
///
/// # Errors
/// [`Refusal::UnknownAccount`]; and where the store fails.
pub fn list(tx: &mut impl Tx, now: Now, id: &str) -> Result<Vec<Kept>, Error> {
    touched(tx, id, now)?;
    let catalog = settings::catalog(tx)?;
    let (keys, _) = tx.count_keys(id, now.wall)?;
    let account = touched(tx, id, now)?;
    let plan = plan_of(&catalog, account);
    let planned = plan.iter().flat_map(|plan| plan.resources.keys().map(String::as_str));
    let own = account.resources.keys().map(|name| &**name);
    let names: std::collections::BTreeSet<&str> = planned.chain(own).chain([API_KEYS]).collect();
    let kept = names.into_iter().map(|name| Kept {
        name: name.to_owned(),
        count: if name == API_KEYS { keys } else { account.resources.get(name).copied().unwrap_or(0) },
        max: plan.as_ref().and_then(|plan| plan.resource(name)),
    });
    Ok(kept.collect())
}

/// The most of a thing that an account may have at one time: its own cap, else the plan's; nothing: unlimited.
///
/// # Errors
/// Where the store fails.
pub fn cap(tx: &mut impl Tx, account: &str, resource: &str) -> Result<Option<u64>, StoreError> {
    let version = tx.catalog_version();
    let Some(catalog) = tx.catalog(version)? else { return Ok(None) };
    let Some(account) = tx.account(account)? else { return Ok(None) };
    Ok(plan_of(&catalog, account).and_then(|plan| plan.resource(resource)))
}

fn plan_of<'c>(catalog: &'c Catalog, account: &Account) -> Option<std::borrow::Cow<'c, Plan>> {
    catalog.overridden(account.plan(), &account.settings.overrides)
}

/// Whether any plan, or the account itself, says how many of a thing there may be.
fn is_capped(catalog: &Catalog, account: &Account, name: &str) -> bool {
    let own = |overrides: &Overrides| overrides.resources.contains_key(name);
    catalog.plans.iter().any(|plan| plan.resources.contains_key(name)) || own(&account.settings.overrides)
}

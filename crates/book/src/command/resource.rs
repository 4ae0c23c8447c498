//! Things that are kept (projects, keys, credentials): how many the account may have at one time (L10, M6).

use crate::error::StoreError;
use crate::tx::Tx;

/// The most of a thing that an account may have at one time: its own cap, else the plan's; nothing: unlimited.
///
/// # Errors
/// Where the store fails.
pub fn cap(tx: &mut impl Tx, account: &str, resource: &str) -> Result<Option<u64>, StoreError> {
    let Some(account) = tx.account(account)? else { return Ok(None) };
    let (plan, overrides) = (account.plan().to_owned(), account.settings.overrides.clone());
    let version = tx.catalog_version();
    let Some(catalog) = tx.catalog(version)? else { return Ok(None) };
    Ok(catalog.overridden(&plan, &overrides).and_then(|plan| plan.resource(resource)))
}

//! Opening an account, and its standing.

use std::sync::Arc;

use wire::AccountStatus;

use super::{post, touched};
use crate::account::Account;
use crate::calendar;
use crate::due;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::id::AccountId;
use crate::tx::{Now, Tx};

/// An account to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: String,
    /// The plan.
    pub plan: String,
    /// When the customer joined: the anchor of the billing cycles; absent = now.
    pub created_at: Option<i64>,
}

/// Opens an account with what its plan grants for the cycle that runs (M1, M2).
///
/// # Errors
/// [`Refusal::AccountExists`], [`Refusal::UnknownPlan`], [`Refusal::Invalid`] for the id or an
/// instant in the future; and where the store fails.
pub fn open(tx: &mut impl Tx, now: Now, new: &NewAccount) -> Result<AccountId, Error> {
    let id = AccountId::parse(&new.id).map_err(Refusal::from)?;
    if tx.account(id.as_str())?.is_some() {
        return Err(Refusal::AccountExists(new.id.clone()).into());
    }
    let version = tx.catalog_version();
    let catalog = tx.catalog(version)?.ok_or_else(|| Refusal::UnknownPlan(new.plan.clone()))?;
    let plan = catalog.plan(&new.plan).ok_or_else(|| Refusal::UnknownPlan(new.plan.clone()))?;
    let created_at = new.created_at.unwrap_or(now.wall);
    if created_at > now.wall {
        return Err(Refusal::invalid("created_at", "is in the future").into());
    }

    let account = Account::empty(id.clone());
    let name: Arc<str> = Arc::from(plan.name.as_str());
    let mut kinds = vec![EntryKind::Opened { created_at, plan: name.clone() }];
    let term = due::next_term(&account, &catalog, version, name, now.wall);
    let no = term.as_ref().map_or(0, |term| term.no);
    kinds.extend(term.map(|term| EntryKind::Term { term }));
    if !plan.grants.is_empty() {
        let number = calendar::elapsed(created_at, plan.cycle, now.wall);
        let cycle = due::cycle_of(created_at, number, plan)
            .ok_or_else(|| Refusal::invalid("created_at", "is beyond the calendar"))?;
        let granted = due::grants(&account, &catalog, plan, (&cycle, no));
        kinds.push(EntryKind::Cycle { cycle: Some(cycle) });
        kinds.extend(granted.into_iter().map(EntryKind::Grant));
    }
    post(tx, &id, now, kinds)?;
    Ok(id)
}

/// Suspends, reactivates or closes an account; gives whether anything changed.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`] on leaving `closed`; and where the store fails.
pub fn set_status(tx: &mut impl Tx, now: Now, id: &str, status: AccountStatus) -> Result<bool, Error> {
    let account = touched(tx, id, now)?;
    if account.status == status {
        return Ok(false);
    }
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    let id = account.id.clone();
    post(tx, &id, now, [EntryKind::Status { status }])?;
    Ok(true)
}

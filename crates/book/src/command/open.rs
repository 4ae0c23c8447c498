//! Opening an account, and its standing.

use std::sync::Arc;

use tariff::Plan;
use wire::AccountStatus;

use super::{post, settings, touched};
use crate::account::Account;
use crate::calendar;
use crate::due;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::id::AccountId;
use crate::settings::Settings;
use crate::standing::{Opening, cycle_of, has_cycle, next_term, zone_of};
use crate::tx::{Now, Tx};

/// An account to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: String,
    /// The plan.
    pub plan: String,
    /// When the customer joined; absent = now.
    pub created_at: Option<i64>,
    /// The way to take the plan (`yearly`); absent = the plan's own.
    pub cadence: Option<String>,
    /// From when billing periods are counted; absent = when the customer joined.
    pub anchor: Option<i64>,
    /// The IANA zone of its days; absent = UTC.
    pub time_zone: Option<String>,
}

/// Opens an account with what its plan grants for the cycle that runs (M1, M2).
///
/// # Errors
/// [`Refusal::AccountExists`], [`Refusal::UnknownPlan`], [`Refusal::Invalid`] for the id, an instant in the future, a
/// way to take the plan that it does not have, or an unknown zone; and where the store fails.
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

    let anchor = new.anchor.unwrap_or(created_at);
    if anchor > now.wall {
        return Err(Refusal::invalid("anchor", "is in the future").into());
    }

    let mut account = Account::empty(id.clone());
    account.created_at = created_at;
    account.settings.cadence = new.cadence.as_deref().map(|name| cadence(plan, name)).transpose()?;
    account.settings.time_zone = new.time_zone.as_deref().map(settings::time_zone).transpose()?;
    let cadence = account.cadence(plan);
    let mut kinds = vec![EntryKind::Opened { created_at, plan: Arc::from(plan.name.as_str()) }];
    if account.settings != Settings::default() {
        kinds.push(EntryKind::Settings { settings: Box::new(account.settings.clone()) });
    }
    let opening = Opening { catalog: (&catalog, version), plan: &plan.name, cycle: None, at: now.wall };
    if has_cycle(&catalog, plan, &cadence) {
        let zone = zone_of(&account);
        let number = calendar::elapsed_in(&zone, anchor, cadence.cycle, now.wall);
        let cycle = cycle_of(&zone, anchor, number, &cadence)
            .ok_or_else(|| Refusal::invalid("anchor", "is beyond the calendar"))?;
        kinds.extend(due::begin(&account, opening, (plan, &cadence, Some(cycle)), number > 0));
    } else {
        kinds.extend(next_term(&account, opening));
    }
    post(tx, &id, now, kinds)?;
    super::touch(tx, id.as_str(), now)?;
    Ok(id)
}

/// The name of a way to take a plan, if it has it; nothing for the plan's own.
pub(super) fn cadence(plan: &Plan, name: &str) -> Result<Arc<str>, Refusal> {
    if let Some(cadence) = plan.cadence(name) {
        return Ok(Arc::from(cadence.name.as_str()));
    }
    let has: Vec<String> = plan.cadence_names().collect();
    Err(Refusal::invalid("cadence", format!("plan \"{}\" has {}", plan.name, has.join(", "))))
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
    // A closed account's cycle ends.
    super::touch(tx, id.as_str(), now)?;
    Ok(true)
}

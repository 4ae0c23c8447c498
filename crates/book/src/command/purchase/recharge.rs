//! Buying again and again (C7): the schedule asks, the caller charges and confirms. Ending it ends the asking alone;
//! what was bought stays (C6).

use tariff::{Micros, Period};

use super::{Wanted, brings, settings};
use crate::command::{post, touch, touched};
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::payment::Recharge;
use crate::tx::{Now, Tx};

/// A schedule of purchases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecharge {
    /// What each is for, in millionths of a US dollar.
    pub usd: Micros,
    /// How often; one of the catalog's.
    pub every: Period,
    /// The first one's instant: the chosen billing date; absent = now.
    pub from: Option<i64>,
}

/// Sets the schedule, in the place of the one before.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::Invalid`] (`every`, `from`, `amount_usd`), what a purchase would be refused
/// with; and where the store fails.
pub fn schedule(tx: &mut impl Tx, now: Now, id: &str, new: &NewRecharge) -> Result<Recharge, Error> {
    touched(tx, id, now)?;
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?;
    if !catalog.purchases.recharge.contains(&new.every) {
        let offered: Vec<String> = catalog.purchases.recharge.iter().map(Period::to_string).collect();
        let detail = format!(
            "the catalog offers {}",
            if offered.is_empty() { "none".into() } else { offered.join(", ") }
        );
        return Err(Refusal::invalid("every", detail).into());
    }
    let from = new.from.unwrap_or(now.wall);
    if from < now.wall {
        return Err(Refusal::invalid("from", "is in the past").into());
    }
    brings(account, &catalog, now, &Wanted { usd: new.usd, ..Wanted::default() })?;
    let schedule = Recharge { usd: new.usd, every: new.every, from, number: 0, next: from };
    let account = account.id.clone();
    post(tx, &account, now, [EntryKind::Recharge { schedule: Some(schedule.clone()) }])?;
    touch(tx, id, now)?;
    Ok(schedule)
}

/// Ends the schedule, and drops what it asked for and was not paid; gives whether there was one.
///
/// # Errors
/// [`Refusal::UnknownAccount`]; and where the store fails.
pub fn end_recharge(tx: &mut impl Tx, now: Now, id: &str) -> Result<bool, Error> {
    let account = touched(tx, id, now)?;
    if account.dealings.recharge.is_none() {
        return Ok(false);
    }
    let dropped = account.dealings.requested.iter().map(|own| EntryKind::RechargeDropped { request: own.id });
    let kinds: Vec<EntryKind> = dropped.chain([EntryKind::Recharge { schedule: None }]).collect();
    let account = account.id.clone();
    post(tx, &account, now, kinds)?;
    Ok(true)
}

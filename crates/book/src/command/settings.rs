//! Changing an account's settings, and its stays in programmes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tariff::{Catalog, Micros, Overrides};
use wire::AccountStatus;

use super::{post, touch, touched};
use crate::account::Account;
use crate::calendar;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::id::{is_name, is_title};
use crate::limits::{AMOUNT_MAX, LABEL_TEXT_MAX, LABELS_MAX, PROGRAMMES_MAX, TIME_ZONE_MAX};
use crate::settings::{Enrolment, Renewal, Settings};
use crate::tx::{Now, Tx};

/// A change of settings; what is absent stays as it is, what is there and empty goes back to what accounts have
/// that say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// The zone of its days.
    pub time_zone: Option<Option<String>>,
    /// All pools that it opts in to.
    pub opted_in: Option<Vec<String>>,
    /// The most that it may owe for overage in a cycle.
    pub overage_cap: Option<Option<Micros>>,
    /// Whether a payment method is registered.
    pub card_on_file: Option<bool>,
    /// Its own terms over the plan.
    pub overrides: Option<Overrides>,
    /// What begins its next billing period.
    pub renewal: Option<Renewal>,
    /// Whether nothing is refused.
    pub shadow: Option<bool>,
    /// Its name in the operator's other systems.
    pub reference: Option<Option<String>>,
    /// All that it is found by.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Changes settings; gives whether anything changed.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`], [`Refusal::UnknownPool`], [`Refusal::UnknownPlan`] for a
/// price card, [`Refusal::Invalid`]; and where the store fails.
pub fn change(tx: &mut impl Tx, now: Now, id: &str, change: &SettingsChange) -> Result<bool, Error> {
    touched(tx, id, now)?;
    let catalog = catalog(tx)?;
    let account = open(touched(tx, id, now)?)?;
    let mut settings = account.settings.clone();
    if let Some(zone) = &change.time_zone {
        settings.time_zone = zone.as_deref().map(time_zone).transpose()?;
    }
    if let Some(pools) = &change.opted_in {
        settings.opted_in = opted_in(&catalog, pools)?;
    }
    if let Some(cap) = change.overage_cap {
        let fits = cap.is_none_or(|cap| (Micros::ZERO..=AMOUNT_MAX).contains(&cap));
        if !fits {
            return Err(Refusal::invalid("overage_cap", format!("must be 0 to {AMOUNT_MAX}")).into());
        }
        settings.overage_cap = cap;
    }
    if let Some(overrides) = &change.overrides {
        check_overrides(&catalog, overrides)?;
        settings.overrides.clone_from(overrides);
    }
    settings.card_on_file = change.card_on_file.unwrap_or(settings.card_on_file);
    settings.renewal = change.renewal.unwrap_or(settings.renewal);
    settings.shadow = change.shadow.unwrap_or(settings.shadow);
    if let Some(reference) = &change.reference {
        if reference
            .as_ref()
            .is_some_and(|reference| !is_title(reference, LABEL_TEXT_MAX) || reference.is_empty())
        {
            return Err(
                Refusal::invalid("reference", format!("must have 1 to {LABEL_TEXT_MAX} bytes")).into()
            );
        }
        settings.reference.clone_from(reference);
    }
    if let Some(labels) = &change.labels {
        check_labels(labels)?;
        settings.labels.clone_from(labels);
    }
    set(tx, now, id, settings)
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if labels.len() > LABELS_MAX {
        return Err(Refusal::invalid("labels", format!("must be at most {LABELS_MAX}")));
    }
    let sound = |(name, value): (&String, &String)| {
        is_name(name, LABEL_TEXT_MAX) && !name.contains('=') && is_title(value, LABEL_TEXT_MAX)
    };
    if labels.iter().all(sound) {
        return Ok(());
    }
    let detail = format!(
        "must be names of visible ASCII characters but `=`, and values, of at most {LABEL_TEXT_MAX} bytes"
    );
    Err(Refusal::invalid("labels", detail))
}

/// Enrols an account in a programme from an instant on, for at most the programme's time (C11). An account that is in
/// it already gets the other end.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`], [`Refusal::Invalid`] (`programme`, `until`); and where the
/// store fails.
pub fn enrol(
    tx: &mut impl Tx,
    now: Now,
    id: &str,
    programme: &str,
    until: Option<i64>,
) -> Result<Enrolment, Error> {
    touched(tx, id, now)?;
    let catalog = catalog(tx)?;
    let account = open(touched(tx, id, now)?)?;
    let known = catalog.programmes.iter().find(|known| known.name == programme);
    let known = known.ok_or_else(|| Refusal::invalid("programme", "is not in the catalog"))?;
    let mut settings = account.settings.clone();
    let stay = settings.programmes.iter().find(|stay| stay.programme == programme && stay.until > now.wall);
    let from = stay.map_or(now.wall, |stay| stay.from);
    let longest = calendar::after(from, known.lasts, 1);
    let longest = longest.ok_or_else(|| Refusal::invalid("programme", "lasts beyond the calendar"))?;
    let until = until.unwrap_or(longest);
    if until <= now.wall || until > longest {
        let latest = calendar::rfc3339(longest).unwrap_or_default();
        let detail = format!("must be in the future, and at most {latest}");
        return Err(Refusal::invalid("until", detail).into());
    }
    let stay = Enrolment { programme: programme.to_owned(), from, until };
    settings.programmes.retain(|other| other.programme != programme && other.until > now.wall);
    if settings.programmes.len() >= PROGRAMMES_MAX {
        return Err(Refusal::invalid("programme", format!("at most {PROGRAMMES_MAX} at a time")).into());
    }
    settings.programmes.push(stay.clone());
    set(tx, now, id, settings)?;
    Ok(stay)
}

/// Takes an account out of a programme at once; gives whether it was in it.
///
/// # Errors
/// [`Refusal::UnknownAccount`]; and where the store fails.
pub fn leave(tx: &mut impl Tx, now: Now, id: &str, programme: &str) -> Result<bool, Error> {
    let mut settings = touched(tx, id, now)?.settings.clone();
    settings.programmes.retain(|stay| stay.programme != programme);
    set(tx, now, id, settings)
}

/// Posts settings where they are others; gives whether they were.
pub(super) fn set(tx: &mut impl Tx, now: Now, id: &str, settings: Settings) -> Result<bool, Error> {
    let account = touched(tx, id, now)?;
    if account.settings == settings {
        return Ok(false);
    }
    let id = account.id.clone();
    post(tx, &id, now, [EntryKind::Settings { settings: Box::new(settings) }])?;
    // The next term pins what they change.
    touch(tx, id.as_str(), now)?;
    Ok(true)
}

/// A time zone by its IANA name.
///
/// # Errors
/// [`Refusal::Invalid`] where the zone is not known.
pub fn time_zone(name: &str) -> Result<Arc<str>, Refusal> {
    let known = name.len() <= TIME_ZONE_MAX && TimeZone::get(name).is_ok();
    let unknown = || Refusal::invalid("time_zone", "is no IANA time zone such as Europe/Berlin");
    known.then(|| Arc::from(name)).ok_or_else(unknown)
}

fn open(account: &Account) -> Result<&Account, Refusal> {
    if account.status == AccountStatus::Closed { Err(Refusal::AccountClosed) } else { Ok(account) }
}

fn opted_in(catalog: &Catalog, pools: &[String]) -> Result<std::collections::BTreeSet<String>, Refusal> {
    for name in pools {
        match catalog.pool(name) {
            Some(pool) if pool.opt_in => {}
            Some(_) => {
                return Err(Refusal::invalid("opted_in", format!("pool \"{name}\" needs no opting in")));
            }
            None => return Err(Refusal::UnknownPool(name.clone())),
        }
    }
    Ok(pools.iter().cloned().collect())
}

fn check_overrides(catalog: &Catalog, overrides: &Overrides) -> Result<(), Refusal> {
    let counts = [
        overrides.rates.len(),
        overrides.limits.len(),
        overrides.resources.len(),
        overrides.request_limits.len(),
    ];
    if counts.into_iter().any(|count| count > Overrides::MAX) {
        return Err(Refusal::invalid("overrides", format!("at most {} of each kind", Overrides::MAX)));
    }
    let has = |id: &String| catalog.plans.iter().any(|plan| plan.limits.iter().any(|limit| limit.id == *id));
    if let Some(id) = overrides.limits.keys().find(|id| !has(id)) {
        return Err(Refusal::invalid("overrides.limits", format!("no plan has a limit \"{id}\"")));
    }
    let negative = |max: &Option<Micros>| max.is_some_and(|max| !(Micros::ZERO..=AMOUNT_MAX).contains(&max));
    if overrides.limits.values().any(negative) {
        return Err(Refusal::invalid("overrides.limits", format!("must be 0 to {AMOUNT_MAX}")));
    }
    if overrides.rates.iter().any(|rate| rate.amount == 0 || rate.per_ms == 0 || rate.burst == 0) {
        return Err(Refusal::invalid("overrides.rates", "amount, per_ms and burst must be above 0"));
    }
    match &overrides.prices_of {
        Some(card) if catalog.plan(card).is_none() => Err(Refusal::UnknownPlan(card.clone())),
        _ => Ok(()),
    }
}

/// The catalog in force.
pub(super) fn catalog(tx: &mut impl Tx) -> Result<Arc<Catalog>, Error> {
    let version = tx.catalog_version();
    let missing = || crate::error::StoreError::new("the catalog in force is not stored").into();
    tx.catalog(version)?.ok_or_else(missing)
}

//! Switching the plan, at once: the old plan's credits are void, the next plan's are granted in full
//! and begin a billing cycle; top-ups stay, at the next plan's discount (M10).

use std::sync::Arc;

use tariff::{Catalog, Micros};
use wire::AccountStatus;

use super::{post, touched};
use crate::account::{Account, Cycle, LotEnd};
use crate::amount::total;
use crate::due;
use crate::entry::{EntryKind, Granted};
use crate::error::{Error, Refusal};
use crate::standing::{Opening, cycle_of, has_cycle, zone_of};
use crate::tx::{Now, Tx};

/// What a switch does, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The plan that is left.
    pub from: Arc<str>,
    /// The plan in force after it.
    pub to: Arc<str>,
    /// When.
    pub at: i64,
    /// Credits of the old plan that end with it.
    pub voided: Micros,
    /// What the switch grants: the lots' ids (0 in a preview) and the grants.
    pub granted: Vec<(u64, Granted)>,
    /// The billing cycle after it.
    pub cycle: Option<Cycle>,
}

/// Switches the plan, or says what that would do.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownPlan`], [`Refusal::SamePlan`],
/// [`Refusal::AccountClosed`]; and where the store fails.
pub fn switch(tx: &mut impl Tx, now: Now, id: &str, to: &str, preview: bool) -> Result<Switch, Error> {
    touched(tx, id, now)?;
    let version = tx.catalog_version();
    let catalog = tx.catalog(version)?.ok_or_else(|| Refusal::UnknownPlan(to.to_owned()))?;
    let account = touched(tx, id, now)?;
    let (mut switch, kinds) = decide(account, &catalog, version, now, to)?;
    if preview {
        return Ok(switch);
    }
    let id = account.id.clone();
    let ids = post(tx, &id, now, kinds)?;
    // The grants are the last entries, in their order.
    let first = ids.len().saturating_sub(switch.granted.len());
    for (granted, id) in switch.granted.iter_mut().zip(ids.into_iter().skip(first)) {
        granted.0 = id;
    }
    super::touch(tx, id.as_str(), now)?;
    Ok(switch)
}

fn decide(
    account: &Account,
    catalog: &Catalog,
    version: u64,
    now: Now,
    to: &str,
) -> Result<(Switch, Vec<EntryKind>), Refusal> {
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed);
    }
    if account.plan() == to {
        return Err(Refusal::SamePlan(to.to_owned()));
    }
    let plan = catalog.plan(to).ok_or_else(|| Refusal::UnknownPlan(to.to_owned()))?;
    let from: Arc<str> = Arc::from(account.plan());
    let name: Arc<str> = Arc::from(plan.name.as_str());

    let old = account.lots.iter().filter(|(_, lot)| lot.of_plan && lot.closing.is_none());
    let mut kinds: Vec<EntryKind> =
        old.clone().map(|(lot, _)| EntryKind::LotClosed { lot: *lot, end: LotEnd::Void }).collect();
    kinds.push(EntryKind::Plan { from: from.clone(), to: name.clone() });
    let opening = Opening { catalog: (catalog, version), plan: to, cycle: None, at: now.wall };
    let cadence = account.cadence(plan);
    let begins = has_cycle(catalog, plan, &cadence);
    let cycle = if begins { cycle_of(&zone_of(account), now.wall, 0, &cadence) } else { None };
    let begun = due::begin(account, opening, (plan, &cadence, cycle.clone()), false);
    let granted: Vec<Granted> = begun.iter().filter_map(granted).cloned().collect();
    kinds.extend(begun);

    let switch = Switch {
        from,
        to: name,
        at: now.wall,
        voided: total(old.map(|(_, lot)| lot.remaining)),
        granted: granted.into_iter().map(|granted| (0, granted)).collect(),
        cycle,
    };
    Ok((switch, kinds))
}

const fn granted(kind: &EntryKind) -> Option<&Granted> {
    match kind {
        EntryKind::Grant(granted) => Some(granted),
        _ => None,
    }
}

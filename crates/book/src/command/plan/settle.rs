//! What becomes of changes that wait: confirmed with their payment, failed, taken back; and the end of a plan.

use std::sync::Arc;

use tariff::{Catalog, CycleOnSwitch, LotsOnSwitch, Micros};
use wire::AccountStatus;

use super::{plan_named, settings};
use crate::account::Account;
use crate::command::{post, touch, touched};
use crate::due;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::id::is_name;
use crate::limits::{PROVIDER_MAX, REFERENCE_MAX};
use crate::payment::{PAYMENT, Payment, Purpose, name};
use crate::pending::{Lapse, Pending, Waits};
use crate::transition::{self, Move};
use crate::tx::{Now, Tx};

/// A payment that was confirmed for a change that waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The change's number.
    pub change: u64,
    /// Who took the payment (P14).
    pub provider: String,
    /// The provider's name for it.
    pub reference: String,
    /// What was paid, in millionths of a US dollar; absent = what the change said.
    pub usd: Option<Micros>,
}

/// A confirmed payment brings the change that waits for it: the payment, the credit for the old plan, the old pools' end
/// and the new grants, in one transaction (P12). The same confirmation again changes nothing; gives whether anything
/// changed.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`], [`Refusal::Conflict`] (`no_such_change`, `amount_mismatch`),
/// [`Refusal::ReferenceConflict`], [`Refusal::Invalid`]; and where the store fails.
pub fn confirm(tx: &mut impl Tx, now: Now, id: &str, new: &Confirmation) -> Result<bool, Error> {
    check_names(&new.provider, &new.reference)?;
    touched(tx, id, now)?;
    if let Some(entry) = tx.correction(id, PAYMENT, &name(&new.provider, &new.reference))? {
        let EntryKind::Payment(payment) = &entry.kind else { return Err(conflict(new).into()) };
        let same_sum = new.usd.is_none_or(|usd| usd == payment.usd);
        let same = matches!(&payment.purpose, Purpose::Plan { change, .. } if *change == Some(new.change));
        return if same && same_sum { Ok(false) } else { Err(conflict(new).into()) };
    }
    let catalog = settings::catalog(tx)?;
    let version = tx.catalog_version();
    let account = touched(tx, id, now)?.clone();
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    let (pending, renews) = waiting(&account, new.change)?;
    let plan = plan_named(&catalog, &pending.to)?;
    let cadence = pending.cadence.as_ref().and_then(|name| plan.cadence(name));
    let cadence = cadence.unwrap_or_else(|| plan.default_cadence());
    let rule = transition::rule(&account, &catalog, plan, &cadence);
    let usd = paid(pending, new)?;
    // The billing period before is over: nothing of it goes on, nothing is given back of it.
    let on_renewal = if *plan.name == *account.plan() { LotsOnSwitch::Keep } else { LotsOnSwitch::Void };
    let to = Move {
        plan,
        cadence: pending.cadence.clone(),
        anchor: pending.anchor,
        time_zone: None,
        at: now.wall,
        cycle: if renews { CycleOnSwitch::Restart } else { rule.cycle },
        lots: if renews { on_renewal } else { rule.lots },
        proration: rule.proration.as_ref().filter(|_| !renews),
        paid: Some(usd),
        leased_counts: true,
        renewal: renews,
    };
    let payment = Payment {
        provider: new.provider.clone(),
        reference: new.reference.clone(),
        usd,
        purpose: Purpose::Plan {
            plan: pending.to.clone(),
            cadence: Arc::from(cadence.name.as_str()),
            change: Some(new.change),
        },
        coupon: pending.coupon.clone(),
    };
    let moved = transition::moved(&account, &catalog, version, &to);
    post(tx, &account.id, now, [EntryKind::Payment(Box::new(payment))].into_iter().chain(moved.kinds))?;
    touch(tx, id, now)?;
    Ok(true)
}

/// A payment for the billing period that waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalPayment {
    /// Who took the payment (P14).
    pub provider: String,
    /// The provider's name for it.
    pub reference: String,
    /// What was paid, in millionths of a US dollar; absent = the plan's price.
    pub usd: Option<Micros>,
}

/// Begins the billing period that waits for its payment (P11). The same payment again changes nothing; gives whether
/// anything changed.
///
/// # Errors
/// As [`confirm`].
pub fn renew(tx: &mut impl Tx, now: Now, id: &str, new: &RenewalPayment) -> Result<bool, Error> {
    let account = touched(tx, id, now)?;
    let waits = awaited(account).map(|awaits| awaits.id);
    let known = tx.correction(id, PAYMENT, &name(&new.provider, &new.reference))?;
    let paid = known.and_then(|entry| match entry.kind {
        EntryKind::Payment(payment) => match payment.purpose {
            Purpose::Plan { change, .. } => change,
            _ => None,
        },
        _ => None,
    });
    let change = paid.or(waits).ok_or_else(no_such_change)?;
    let (provider, reference) = (new.provider.clone(), new.reference.clone());
    confirm(tx, now, id, &Confirmation { change, provider, reference, usd: new.usd })
}

/// Drops a change that waits: it was taken back (M11), or its payment failed; the account stays as it is (P12). A billing
/// period that is not paid ends the plan; where no plan follows, the account stays lapsed. Without a number the change is
/// dropped before the billing period. Gives whether anything changed.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::Conflict`] (`no_such_change`) for a number that is not a waiting one's; and
/// where the store fails.
pub fn drop_change(tx: &mut impl Tx, now: Now, id: &str, change: Option<u64>) -> Result<bool, Error> {
    touched(tx, id, now)?;
    let catalog = settings::catalog(tx)?;
    let version = tx.catalog_version();
    let account = touched(tx, id, now)?.clone();
    let is_meant = |waiting: &&Pending| change.is_none_or(|change| change == waiting.id);
    let kinds = if account.pending.as_ref().is_some_and(|pending| is_meant(&pending)) {
        vec![EntryKind::Pending { change: None }]
    } else if awaited(&account).is_some_and(|awaits| is_meant(&awaits)) {
        end_unpaid(&account, (&catalog, version), now)
    } else if change.is_some() {
        return Err(no_such_change().into());
    } else {
        return Ok(false);
    };
    post(tx, &account.id, now, kinds)?;
    touch(tx, id, now)?;
    Ok(true)
}

/// The end of a plan whose billing period is not paid.
fn end_unpaid(account: &Account, priced: (&Catalog, u64), now: Now) -> Vec<EntryKind> {
    match transition::fallback(priced.0).filter(|plan| *plan.name != *account.plan()) {
        Some(plan) => {
            let falls = Pending::of(&plan.name, Waits::Until(now.wall), plan.price_usd);
            due::arrives(account, priced, &falls, now.wall)
        }
        None => {
            let lapse = account.lapsed.clone().map(|lapse| Box::new(Lapse { awaits: None, ..lapse }));
            vec![EntryKind::Lapsed { lapse }]
        }
    }
}

/// Ends the plan with the billing period (P11): then the account falls to the plan that is named, else to the one below
/// all tiers, else to the first public one that costs nothing. Gives the change that waits.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownPlan`], [`Refusal::SamePlan`], [`Refusal::AccountClosed`],
/// [`Refusal::Conflict`] (`no_billing_period`, `no_plan_after`); and where the store fails.
pub fn cancel(tx: &mut impl Tx, now: Now, id: &str, to: Option<&str>) -> Result<Pending, Error> {
    touched(tx, id, now)?;
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?.clone();
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed.into());
    }
    let none = || {
        Refusal::conflict("no_plan_after", "the catalog has no plan without a price: name the plan to follow")
    };
    let plan = match to {
        Some(name) => plan_named(&catalog, name)?,
        None => transition::fallback(&catalog).ok_or_else(none)?,
    };
    if *plan.name == *account.plan() {
        return Err(Refusal::SamePlan(plan.name.clone()).into());
    }
    let Some(cycle) = &account.cycle else {
        let detail = "no billing period runs: switch the plan instead";
        return Err(Refusal::conflict("no_billing_period", detail).into());
    };
    let at = Waits::Until(cycle.billing_end());
    let pending = Pending { cancels: true, ..Pending::of(&plan.name, at, plan.price_usd) };
    let kind = EntryKind::Pending { change: Some(Box::new(pending)) };
    post(tx, &account.id, now, [kind])?;
    let posted = tx.account(id)?.and_then(|account| account.pending.clone());
    Ok(posted.ok_or_else(|| crate::error::StoreError::new("a change is not found after it was posted"))?)
}

/// Whether a provider's and a payment's names can stand in the journal.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn check_names(provider: &str, reference: &str) -> Result<(), Refusal> {
    if !is_name(provider, PROVIDER_MAX) || provider.contains('/') {
        let detail = format!("must be 1 to {PROVIDER_MAX} visible ASCII characters without /");
        return Err(Refusal::invalid("provider", detail));
    }
    if !is_name(reference, REFERENCE_MAX) {
        let detail = format!("must be 1 to {REFERENCE_MAX} visible ASCII characters");
        return Err(Refusal::invalid("reference", detail));
    }
    Ok(())
}

/// What waits for a payment under a number, and whether it is a billing period.
fn waiting(account: &Account, change: u64) -> Result<(&Pending, bool), Refusal> {
    let is_it = |pending: &&Pending| pending.id == change && pending.waits == Waits::Payment;
    let asked = account.pending.as_ref().filter(is_it).map(|pending| (pending, false));
    asked.or_else(|| Some((awaited(account).filter(is_it)?, true))).ok_or_else(no_such_change)
}

/// The billing period that waits for its payment.
fn awaited(account: &Account) -> Option<&Pending> {
    account.lapsed.as_ref().and_then(|lapse| lapse.awaits.as_ref())
}

fn no_such_change() -> Refusal {
    Refusal::conflict(
        "no_such_change",
        "no change of this number waits: it came, was replaced, or was taken back",
    )
}

fn paid(pending: &Pending, new: &Confirmation) -> Result<Micros, Refusal> {
    match (pending.usd, new.usd) {
        (Some(asked), Some(paid)) if asked != paid => {
            let detail = format!("the change asks for {asked} USD, {paid} were paid");
            Err(Refusal::conflict("amount_mismatch", detail))
        }
        (None, None) => {
            Err(Refusal::invalid("amount_usd", "the plan's price is on request: say what was paid"))
        }
        (_, Some(paid)) if paid < Micros::ZERO => Err(Refusal::invalid("amount_usd", "must not be below 0")),
        (asked, paid) => Ok(paid.or(asked).unwrap_or(Micros::ZERO)),
    }
}

fn conflict(new: &Confirmation) -> Refusal {
    Refusal::ReferenceConflict(name(&new.provider, &new.reference))
}

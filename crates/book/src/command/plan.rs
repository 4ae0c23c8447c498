//! Switching the plan: at once, with the end of the billing period, or once it is paid, as the catalog's transitions
//! say (M10, M11, L5, P12); ending it; renewing it.

mod settle;

use std::sync::Arc;

use tariff::{Cadence, Catalog, Coupon, Micros, Plan, Prorated, SwitchAt, Transition};
use wire::AccountStatus;

use super::{open, post, settings, touched};
use crate::account::{Account, Cycle, Lot};
use crate::entry::{EntryKind, Granted};
use crate::error::{Error, Refusal};
use crate::payment::{Payment, Purpose};
use crate::pending::{Pending, Waits};
use crate::transition::{self, Move, Moved};
use crate::tx::{Now, Tx};

pub use self::settle::{Confirmation, RenewalPayment, cancel, check_names, confirm, drop_change, renew};

/// A switch that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSwitch {
    /// The plan, by its name or another one that the catalog gives it.
    pub to: String,
    /// The way to take it; absent = the plan's own.
    pub cadence: Option<String>,
    /// From when billing periods are counted; absent = from the switch.
    pub anchor: Option<i64>,
    /// The zone of the account's days from then on.
    pub time_zone: Option<String>,
    /// When; absent = as the catalog says.
    pub when: Option<SwitchAt>,
    /// The coupon that the customer entered (M12).
    pub coupon: Option<String>,
    /// What was paid for it already, where it takes effect at once: provider and reference.
    pub paid: Option<(String, String)>,
    /// True: change nothing, say what would happen.
    pub preview: bool,
}

/// What a switch does, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The plan that is left.
    pub from: Arc<str>,
    /// The plan in force after it.
    pub to: Arc<str>,
    /// The way it is taken.
    pub cadence: Arc<str>,
    /// When it comes; absent = once it is paid.
    pub at: Option<i64>,
    /// The number of the change that waits; absent = it has come, or this is a preview.
    pub change: Option<u64>,
    /// What is to be paid, in millionths of a US dollar, after the coupon; absent = on request.
    pub usd: Option<Micros>,
    /// Lots of the old plan that end with it, as they stand before it, with their ids.
    pub voided: Vec<(u64, Lot)>,
    /// What the switch grants, as things stand: the lots' ids (0 where it has not come) and the grants.
    pub granted: Vec<(u64, Granted)>,
    /// What of the old price is given back, as things stand (P13).
    pub prorated: Option<Prorated>,
    /// The billing cycle after it, as things stand.
    pub cycle: Option<Cycle>,
}

/// Switches the plan at once, or says what that would do: what [`change`] does for those who name a plan alone.
///
/// # Errors
/// As [`change`].
pub fn switch(tx: &mut impl Tx, now: Now, id: &str, to: &str, preview: bool) -> Result<Switch, Error> {
    change(tx, now, id, &NewSwitch { to: to.to_owned(), preview, ..NewSwitch::default() })
}

/// Switches the plan, now or later, or says what that would do. A change that waits gives way to this one (M11).
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::UnknownPlan`], [`Refusal::SamePlan`], [`Refusal::AccountClosed`],
/// [`Refusal::Conflict`] (`coupon_refused`), [`Refusal::ReferenceConflict`], [`Refusal::Invalid`]; and where the store
/// fails.
pub fn change(tx: &mut impl Tx, now: Now, id: &str, new: &NewSwitch) -> Result<Switch, Error> {
    touched(tx, id, now)?;
    let version = tx.catalog_version();
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?.clone();
    let wish = Wish::read(&account, &catalog, now, new)?;
    let payment = wish.payment(new)?;
    if let Some(payment) = &payment
        && tx.correction(id, crate::payment::PAYMENT, &payment.name())?.is_some()
    {
        return Err(Refusal::ReferenceConflict(payment.name()).into());
    }
    let moved = transition::moved(&account, &catalog, version, &wish.as_move());
    let mut switch = wish.shown(&account, moved.clone());
    if new.preview {
        return Ok(switch);
    }
    if let Some(pending) = wish.pending() {
        let kind = EntryKind::Pending { change: Some(Box::new(pending)) };
        switch.change = post(tx, &account.id, now, [kind])?.first().copied();
        return Ok(switch);
    }
    let first = payment.map(|payment| EntryKind::Payment(Box::new(payment)));
    finish(tx, now, &account, first, moved, &mut switch)?;
    Ok(switch)
}

/// Posts a move that has come; fills in the lots that it made.
fn finish(
    tx: &mut impl Tx,
    now: Now,
    account: &Account,
    first: Option<EntryKind>,
    moved: Moved,
    switch: &mut Switch,
) -> Result<(), Error> {
    let ids = post(tx, &account.id, now, first.into_iter().chain(moved.kinds))?;
    // The grants are the last entries, in their order.
    let before = ids.len().saturating_sub(switch.granted.len());
    for (granted, id) in switch.granted.iter_mut().zip(ids.into_iter().skip(before)) {
        granted.0 = id;
    }
    Ok(super::touch(tx, account.id.as_str(), now)?)
}

/// A switch that was asked for, read against catalog and account.
struct Wish<'c> {
    plan: &'c Plan,
    cadence: Cadence,
    named: Option<Arc<str>>,
    anchor: Option<i64>,
    time_zone: Option<Arc<str>>,
    at: SwitchAt,
    rule: &'c Transition,
    usd: Option<Micros>,
    coupon: Option<String>,
    period_end: Option<i64>,
    now: i64,
    /// Whether a change with the period's end is paid before it comes.
    prepaid: bool,
    preview: bool,
}

impl<'c> Wish<'c> {
    fn read(account: &Account, catalog: &'c Catalog, now: Now, new: &NewSwitch) -> Result<Self, Refusal> {
        if account.status == AccountStatus::Closed {
            return Err(Refusal::AccountClosed);
        }
        let plan = plan_named(catalog, &new.to)?;
        let named = new.cadence.as_deref().map(|name| open::cadence(plan, name)).transpose()?;
        let cadence =
            named.as_ref().and_then(|name| plan.cadence(name)).unwrap_or_else(|| plan.default_cadence());
        if account.plan() == plan.name && account.cadence(plan) == cadence && account.lapsed.is_none() {
            return Err(Refusal::SamePlan(plan.name.clone()));
        }
        if new.anchor.is_some_and(|anchor| anchor > now.wall) {
            return Err(Refusal::invalid("anchor", "is in the future"));
        }
        let coupon = new.coupon.as_ref().map(|code| find_coupon(catalog, code)).transpose()?;
        let usd = match (cadence.price_usd, coupon) {
            (Some(price), Some(coupon)) => Some(discounted(account, now, coupon, price)?),
            (price, _) => price,
        };
        let rule = transition::rule(account, catalog, plan, &cadence);
        let period_end = account.cycle.as_ref().map(Cycle::billing_end);
        let own = |at| transition::when(account, catalog, &Transition { at, ..rule.clone() }, &cadence);
        let at = match new.when {
            None if new.paid.is_some() && account.lapsed.is_some() => SwitchAt::Now,
            None => own(rule.at),
            Some(SwitchAt::PeriodEnd) if period_end.is_none() => own(SwitchAt::PeriodEnd),
            // There is no payment to wait for.
            Some(SwitchAt::PaymentConfirmed) if !transition::costs(cadence.price_usd) => {
                own(SwitchAt::PaymentConfirmed)
            }
            Some(when) => when,
        };
        let time_zone = new.time_zone.as_deref().map(settings::time_zone).transpose()?;
        let coupon = coupon.map(|coupon| coupon.code.clone());
        Ok(Self {
            plan,
            cadence,
            named,
            anchor: new.anchor,
            time_zone,
            at,
            rule,
            usd,
            coupon,
            period_end,
            now: now.wall,
            prepaid: transition::is_prepaid(account, usd),
            preview: new.preview,
        })
    }

    fn as_move(&self) -> Move<'c> {
        let at_end = self.at == SwitchAt::PeriodEnd;
        Move {
            plan: self.plan,
            cadence: self.named.clone(),
            anchor: self.anchor,
            time_zone: self.time_zone.clone(),
            at: self.period_end.filter(|_| at_end).unwrap_or(self.now),
            cycle: self.rule.cycle,
            lots: self.rule.lots,
            proration: self.rule.proration.as_ref().filter(|_| !at_end),
            paid: self.usd,
            leased_counts: self.at == SwitchAt::Now && !self.preview,
            renewal: false,
        }
    }

    /// The change that waits; nothing where the switch comes at once.
    fn pending(&self) -> Option<Pending> {
        let waits = match self.at {
            SwitchAt::Now => return None,
            SwitchAt::PeriodEnd => Waits::Until(self.period_end?),
            SwitchAt::PaymentConfirmed => Waits::Payment,
        };
        Some(Pending {
            id: 0,
            to: Arc::from(self.plan.name.as_str()),
            cadence: self.named.clone(),
            anchor: self.anchor,
            waits,
            usd: self.usd,
            coupon: self.coupon.clone(),
            cancels: false,
        })
    }

    /// What was paid for a switch at once. A coupon is redeemed with a payment.
    fn payment(&self, new: &NewSwitch) -> Result<Option<Payment>, Refusal> {
        let Some((provider, reference)) = &new.paid else {
            let paid = match self.at {
                SwitchAt::Now => false,
                SwitchAt::PeriodEnd => self.prepaid,
                SwitchAt::PaymentConfirmed => true,
            };
            let redeems = self.coupon.is_some() && !paid && !new.preview;
            if redeems {
                return Err(Refusal::invalid(
                    "coupon",
                    "is redeemed with a payment: name it, or wait for it",
                ));
            }
            return Ok(None);
        };
        if self.at != SwitchAt::Now {
            return Err(Refusal::invalid(
                "payment",
                "is for switches that come at once; confirm the change instead",
            ));
        }
        check_names(provider, reference)?;
        let usd = self.usd.ok_or_else(|| Refusal::invalid("payment", "the plan's price is on request"))?;
        Ok(Some(Payment {
            provider: provider.clone(),
            reference: reference.clone(),
            usd,
            purpose: Purpose::Plan {
                plan: Arc::from(self.plan.name.as_str()),
                cadence: Arc::from(self.cadence.name.as_str()),
                change: None,
            },
            coupon: self.coupon.clone(),
        }))
    }

    fn shown(&self, account: &Account, moved: Moved) -> Switch {
        Switch {
            from: Arc::from(account.plan()),
            to: Arc::from(self.plan.name.as_str()),
            cadence: Arc::from(self.cadence.name.as_str()),
            at: (self.at != SwitchAt::PaymentConfirmed).then_some(self.as_move().at),
            change: None,
            usd: self.usd,
            voided: moved.voided,
            granted: moved.granted.into_iter().map(|granted| (0, granted)).collect(),
            prorated: moved.prorated,
            cycle: moved.cycle,
        }
    }
}

/// The plan of a name, or of another one that the catalog gives it (W6).
///
/// # Errors
/// [`Refusal::UnknownPlan`].
pub fn plan_named<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Plan, Refusal> {
    let aliased = || catalog.plans.iter().find(|plan| plan.aliases.iter().any(|alias| alias == name));
    catalog.plan(name).or_else(aliased).ok_or_else(|| Refusal::UnknownPlan(name.to_owned()))
}

/// The coupon of a code.
///
/// # Errors
/// [`Refusal::Invalid`] for a code that no coupon has.
pub fn find_coupon<'c>(catalog: &'c Catalog, code: &str) -> Result<&'c Coupon, Refusal> {
    let found = catalog.coupons.iter().find(|coupon| coupon.code == code);
    found.ok_or_else(|| Refusal::invalid("coupon", "no coupon has this code"))
}

/// What is left of a price after a coupon (M12).
///
/// # Errors
/// [`Refusal::Conflict`] (`coupon_refused`) where it does not count for the account.
pub fn discounted(account: &Account, now: Now, coupon: &Coupon, price: Micros) -> Result<Micros, Refusal> {
    let (paid, used) = (account.dealings.has_paid(), account.dealings.coupons.contains(&coupon.code));
    let left = coupon.price(price, now.wall, paid, used);
    left.map_err(|error| Refusal::conflict("coupon_refused", error.to_string()))
}

//! Buying credits: what a purchase would bring, what a confirmed one brought, giving it back, buying again and again
//! (C1, C2, C4 to C7, C10, P9, P14). Cards are charged elsewhere; the caller tells of payments.

mod recharge;
mod refund;

use std::sync::Arc;

use tariff::{Catalog, CycleOnSwitch, LotsOnSwitch, Micros, Purchases};
use wire::AccountStatus;

use super::plan::check_names;
use super::{post, settings, touch, touched};
use crate::account::Account;
use crate::amount::{less, plus};
use crate::calendar;
use crate::entry::{Entry, EntryKind, GrantSource, Granted};
use crate::error::{Error, Refusal, StoreError};
use crate::grants::expires_at;
use crate::limits::{AMOUNT_MAX, TOTAL_MAX};
use crate::notice::{Event, notice};
use crate::payment::{Bought, PAYMENT, Payment, Purpose, name};
use crate::transition::{self, Move};
use crate::tx::{Now, Tx};

pub use self::recharge::{NewRecharge, end_recharge, schedule};
pub use self::refund::{Refunded, preview as refund_preview, refund};

/// Credits that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be paid, in millionths of a US dollar.
    pub usd: Micros,
    /// Who will take the payment; absent = anyone without a minimum of its own.
    pub provider: Option<String>,
    /// The cadence of the commitment; absent = the account's.
    pub cadence: Option<String>,
}

/// A payment for credits that was confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPurchase {
    /// What was paid, in millionths of a US dollar.
    pub usd: Micros,
    /// Who took the payment (P14).
    pub provider: String,
    /// The provider's name for it.
    pub reference: String,
    /// The cadence of the commitment; absent = the account's, or that of the schedule.
    pub cadence: Option<String>,
    /// The customer agreed to the refund policy with it (C10).
    pub consent: bool,
    /// The request of the schedule that it answers (C7).
    pub request: Option<u64>,
}

/// What a purchase brings, or would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brings {
    /// What is to be paid.
    pub usd: Micros,
    /// Where the credits go.
    pub pool: Arc<str>,
    /// How many.
    pub credits: Micros,
    /// When they end.
    pub expires_at: Option<i64>,
    /// Where the bonus goes.
    pub bonus_pool: Arc<str>,
    /// How many come on top (C4).
    pub bonus: Micros,
    /// When those end (C5).
    pub bonus_expires_at: Option<i64>,
    /// The cadence that it counts for.
    pub cadence: Arc<str>,
    /// The plan after it, where purchases decide (C1, C2).
    pub tier: Option<String>,
    /// What the customer has still to agree to (C10).
    pub needs_consent: bool,
}

/// A purchase that was posted, now or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The payment.
    pub payment: Entry,
    /// The lot bought, and that of the bonus.
    pub lots: Vec<Entry>,
    /// Whether it was posted just now.
    pub is_new: bool,
}

/// What a purchase would bring (C7). Changes nothing.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::AccountClosed`], [`Refusal::Conflict`] (`not_sold`, `opt_in_needed`),
/// [`Refusal::Invalid`] (`amount_usd`, `cadence`); and where the store fails.
pub fn preview(tx: &mut impl Tx, now: Now, id: &str, wanted: &Wanted) -> Result<Brings, Error> {
    touched(tx, id, now)?;
    let catalog = settings::catalog(tx)?;
    Ok(brings(touched(tx, id, now)?, &catalog, now, wanted)?)
}

/// A confirmed payment brings credits, their bonus, and the tier that the sum reaches, in one transaction. The same
/// payment again changes nothing.
///
/// # Errors
/// As [`preview`]; [`Refusal::Conflict`] (`consent_needed`, `no_such_request`), [`Refusal::ReferenceConflict`].
pub fn confirm(tx: &mut impl Tx, now: Now, id: &str, new: &NewPurchase) -> Result<Posted, Error> {
    check_names(&new.provider, &new.reference)?;
    touched(tx, id, now)?;
    let payment = name(&new.provider, &new.reference);
    if let Some(entry) = tx.correction(id, PAYMENT, &payment)? {
        return existing(tx, id, entry, new);
    }
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?.clone();
    let scheduled = new.request.map(|request| requested(&account, request)).transpose()?;
    // The rhythm of the schedule is a cadence only where a plan or a tier has it; what was charged is booked anyhow.
    let scheduled = scheduled.filter(|name| is_cadence(&account, &catalog, name));
    let cadence = new.cadence.clone().or(scheduled);
    let provider = Some(new.provider.clone());
    let brings = brings(&account, &catalog, now, &Wanted { usd: new.usd, provider, cadence })?;
    if brings.needs_consent && !new.consent {
        let detail = "the customer must agree to the refund policy before buying";
        return Err(Refusal::conflict("consent_needed", detail).into());
    }
    let agrees = new.consent && account.dealings.consent_at.is_none();
    let paid = Payment {
        provider: new.provider.clone(),
        reference: new.reference.clone(),
        usd: new.usd,
        purpose: Purpose::Purchase {
            credits: brings.credits,
            bonus: brings.bonus,
            cadence: Some(brings.cadence.clone()),
        },
        coupon: None,
    };
    let consent = agrees.then_some(EntryKind::Consent);
    let dropped = new.request.map(|request| EntryKind::RechargeDropped { request });
    let first = consent.into_iter().chain(dropped).chain([EntryKind::Payment(Box::new(paid))]);
    post(tx, &account.id, now, first)?;
    rise(tx, now, id, &catalog, &brings.cadence)?;
    let (pool, credits) = (&brings.pool, brings.credits);
    grant(tx, now, id, (&catalog, GrantSource::Purchase), (pool, credits), &payment)?;
    grant(tx, now, id, (&catalog, GrantSource::Bonus), (&brings.bonus_pool, brings.bonus), &payment)?;
    let event = Event::PurchaseConfirmed {
        purchase: payment.clone(),
        pool: pool.to_string(),
        amount: plus(credits, brings.bonus),
    };
    notice(tx, now, &account.id, event)?;
    touch(tx, id, now)?;
    let entry = tx.correction(id, PAYMENT, &payment)?.ok_or_else(lost)?;
    Ok(Posted { payment: entry, lots: lots(tx, id, &payment)?, is_new: true })
}

fn existing(tx: &mut impl Tx, id: &str, entry: Entry, new: &NewPurchase) -> Result<Posted, Error> {
    let EntryKind::Payment(payment) = &entry.kind else { return Err(lost().into()) };
    if payment.usd != new.usd || !matches!(payment.purpose, Purpose::Purchase { .. }) {
        return Err(Refusal::ReferenceConflict(payment.name()).into());
    }
    let name = payment.name();
    Ok(Posted { lots: lots(tx, id, &name)?, payment: entry, is_new: false })
}

/// The lots that a payment brought, the bonus last.
fn lots(tx: &mut impl Tx, id: &str, payment: &str) -> Result<Vec<Entry>, StoreError> {
    let mut lots = Vec::new();
    for source in [GrantSource::Purchase, GrantSource::Bonus] {
        lots.extend(tx.grant_entry(id, source, payment)?);
    }
    Ok(lots)
}

fn lost() -> StoreError {
    StoreError::new("a payment is not found after it was posted")
}

/// The cadence of a request of the schedule that waits.
fn requested(account: &Account, request: u64) -> Result<String, Refusal> {
    let found = account.dealings.requested.iter().find(|requested| requested.id == request);
    let missing = || Refusal::conflict("no_such_request", "no request of this number waits to be paid");
    found.map(|requested| requested.cadence.to_string()).ok_or_else(missing)
}

/// What a purchase brings, on the account as it stands.
fn brings(account: &Account, catalog: &Catalog, now: Now, wanted: &Wanted) -> Result<Brings, Refusal> {
    if account.status == AccountStatus::Closed {
        return Err(Refusal::AccountClosed);
    }
    let shop = &catalog.purchases;
    let not_sold = || Refusal::conflict("not_sold", "the catalog sells no credits by the amount");
    let pool = shop.pool.as_deref().and_then(|name| catalog.pool(name)).ok_or_else(not_sold)?;
    if pool.opt_in && !account.settings.opted_in.contains(&pool.name) {
        let detail = format!("the account has not opted in to pool \"{}\"", pool.name);
        return Err(Refusal::conflict("opt_in_needed", detail));
    }
    check_usd(shop, wanted)?;
    let cadence = cadence(account, catalog, wanted)?;
    let credits = shop.credits(wanted.usd).ok_or_else(not_sold)?;
    let bonus = shop.bonus(wanted.usd, credits).unwrap_or(Micros::ZERO);
    let granted = plus(credits, bonus);
    if granted > AMOUNT_MAX || granted > less(TOTAL_MAX, account.totals(&pool.asset).granted) {
        return Err(Refusal::invalid("amount_usd", "carries the account beyond what it can ever be granted"));
    }
    let bonus_pool = shop.bonus_pool.as_deref().and_then(|name| catalog.pool(name)).unwrap_or(pool);
    let tier = tier_after(account, catalog, now, wanted.usd, &cadence);
    Ok(Brings {
        usd: wanted.usd,
        pool: Arc::from(pool.name.as_str()),
        credits,
        expires_at: expires_at(account, pool.expiry, now.wall),
        bonus_pool: Arc::from(bonus_pool.name.as_str()),
        bonus,
        bonus_expires_at: expires_at(
            &after(account, catalog, now, tier.as_deref(), &cadence),
            bonus_pool.expiry,
            now.wall,
        ),
        cadence,
        tier,
        needs_consent: shop.refund.consent && account.dealings.consent_at.is_none(),
    })
}

fn check_usd(shop: &Purchases, wanted: &Wanted) -> Result<(), Refusal> {
    if wanted.usd <= Micros::ZERO || wanted.usd > AMOUNT_MAX {
        return Err(Refusal::invalid("amount_usd", "must be above 0, and not beyond all means"));
    }
    let provider = wanted.provider.as_deref().unwrap_or(tariff::buying::ANY_PROVIDER);
    match shop.minimum(provider) {
        Some(least) if wanted.usd < least => {
            let detail = format!("must be at least {least} USD through {provider}");
            Err(Refusal::invalid("amount_usd", detail))
        }
        _ => Ok(()),
    }
}

/// The cadence that a purchase counts for: the one named, else the way in which the account takes its plan.
fn cadence(account: &Account, catalog: &Catalog, wanted: &Wanted) -> Result<Arc<str>, Refusal> {
    if let Some(named) = &wanted.cadence {
        let unknown = || Refusal::invalid("cadence", "neither the plan nor a tier has it");
        return is_cadence(account, catalog, named).then(|| Arc::from(named.as_str())).ok_or_else(unknown);
    }
    let own = catalog.plan(account.plan()).map(|plan| account.cadence(plan).name);
    Ok(Arc::from(own.unwrap_or_default().as_str()))
}

fn is_cadence(account: &Account, catalog: &Catalog, name: &str) -> bool {
    catalog.tiers.iter().flat_map(|tiers| &tiers.by).any(|rule| rule.cadence == name)
        || catalog.plan(account.plan()).is_some_and(|plan| plan.cadence(name).is_some())
}

/// The plan that the sum with a purchase gives, where purchases decide over the account's plan.
fn tier_after(
    account: &Account,
    catalog: &Catalog,
    now: Now,
    usd: Micros,
    cadence: &Arc<str>,
) -> Option<String> {
    let tiers = catalog.tiers.as_ref().filter(|tiers| tiers.has(account.plan()))?;
    let mut with = account.clone();
    let bought = Bought { payment: String::new(), at: now.wall, usd, cadence: Some(cadence.clone()) };
    with.dealings.purchases.push(bought);
    let tier = transition::tier(&with, catalog, tiers, now.wall);
    // Downward only with the period (C2).
    let risen = tiers.rank(catalog, &tier) > tiers.rank(catalog, account.plan());
    Some(if risen { tier } else { account.plan().to_owned() })
}

/// The account with the cycle that it would have on the tier.
fn after(account: &Account, catalog: &Catalog, now: Now, tier: Option<&str>, cadence: &Arc<str>) -> Account {
    let mut after = account.clone();
    let to = tier.filter(|tier| *tier != account.plan()).and_then(|tier| catalog.plan(tier));
    if let Some(plan) = to {
        let moved =
            transition::moved(account, catalog, 0, &rising(account, catalog, plan, now.wall, cadence));
        after.cycle = moved.cycle;
    }
    after
}

/// The move to a higher tier (C2): what runs goes on, but a first commitment begins with its purchase (C5).
fn rising<'c>(
    account: &Account,
    catalog: &Catalog,
    plan: &'c tariff::Plan,
    at: i64,
    cadence: &Arc<str>,
) -> Move<'c> {
    let first = catalog.tiers.as_ref().is_some_and(|tiers| tiers.none == account.plan());
    let taken = plan.cadence(cadence).is_some() && plan.default_cadence().name != **cadence;
    let named = taken.then(|| cadence.clone());
    Move {
        plan,
        cadence: if first { named } else { account.settings.cadence.clone() },
        anchor: None,
        time_zone: None,
        at,
        cycle: if first { CycleOnSwitch::Restart } else { CycleOnSwitch::Keep },
        lots: LotsOnSwitch::Keep,
        proration: None,
        paid: None,
        leased_counts: false,
        renewal: false,
    }
}

/// Moves the account to the tier that its purchases have reached, upward alone (C2).
fn rise(tx: &mut impl Tx, now: Now, id: &str, catalog: &Catalog, cadence: &Arc<str>) -> Result<(), Error> {
    let version = tx.catalog_version();
    let account = touched(tx, id, now)?.clone();
    let Some(tiers) = catalog.tiers.as_ref().filter(|tiers| tiers.has(account.plan())) else { return Ok(()) };
    let tier = transition::tier(&account, catalog, tiers, now.wall);
    if tiers.rank(catalog, &tier) <= tiers.rank(catalog, account.plan()) {
        return Ok(());
    }
    let Some(plan) = catalog.plan(&tier) else { return Ok(()) };
    let moved =
        transition::moved(&account, catalog, version, &rising(&account, catalog, plan, now.wall, cadence));
    post(tx, &account.id, now, moved.kinds)?;
    Ok(())
}

/// Grants what was bought; debt is repaid first (rule 15).
fn grant(
    tx: &mut impl Tx,
    now: Now,
    id: &str,
    (catalog, source): (&Catalog, GrantSource),
    (pool, amount): (&Arc<str>, Micros),
    payment: &str,
) -> Result<(), Error> {
    if amount == Micros::ZERO {
        return Ok(());
    }
    let account = touched(tx, id, now)?;
    let known = catalog.pool(pool).ok_or_else(|| Refusal::UnknownPool(pool.to_string()))?;
    let granted = Granted {
        pool: pool.clone(),
        asset: Arc::from(known.asset.as_str()),
        source,
        amount,
        repaid: account.owed(&known.asset).min(amount),
        expires_at: ends(account, catalog, known.expiry, now),
        reference: payment.to_owned(),
        once: false,
    };
    let id = account.id.clone();
    post(tx, &id, now, [EntryKind::Grant(granted)])?;
    Ok(())
}

/// When a lot ends; a bonus without a commitment period ends after one of the plan's.
fn ends(account: &Account, catalog: &Catalog, expiry: tariff::Expiry, now: Now) -> Option<i64> {
    if expiry != tariff::Expiry::CommitmentEnd || account.cycle.is_some() {
        return expires_at(account, expiry, now.wall);
    }
    let billing = catalog.plan(account.plan()).map(|plan| account.cadence(plan).billing)?;
    calendar::after_in(&crate::standing::zone_of(account), now.wall, billing, 1)
}

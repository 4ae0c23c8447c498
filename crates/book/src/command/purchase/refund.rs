//! Giving a purchase back (C10): the payment, and the credits that it brought.

use std::sync::Arc;

use tariff::{Micros, Refund};

use super::lost;
use crate::account::Account;
use crate::amount::minus;
use crate::command::plan::check_names;
use crate::command::{home, post, settings, touch, touched};
use crate::correction::{Adjusted, REFUNDED};
use crate::entry::{Entry, EntryKind, GrantSource, Slice};
use crate::error::{Error, Refusal};
use crate::funds::Funds;
use crate::lease::Lease;
use crate::payment::{PAYMENT, Payment, Purpose, name};
use crate::tx::{Now, Tx};

/// A purchase that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// The payment that gives it back.
    pub payment: Entry,
    /// Credits taken back.
    pub credits: Micros,
    /// Whether it was done just now.
    pub is_new: bool,
}

/// Gives a purchase back: the money, by a payment the other way, and the credits with their bonus. The same again
/// changes nothing.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::Conflict`] (`no_such_purchase`, `not_refundable`), [`Refusal::ReferenceConflict`],
/// [`Refusal::Invalid`]; and where the store fails.
pub fn refund(
    tx: &mut impl Tx,
    now: Now,
    id: &str,
    purchase: (&str, &str),
    reference: &str,
) -> Result<Refunded, Error> {
    let (provider, bought) = purchase;
    check_names(provider, reference)?;
    touched(tx, id, now)?;
    let (of, back) = (name(provider, bought), name(provider, reference));
    if let Some(entry) = tx.correction(id, PAYMENT, &back)? {
        let same = matches!(&entry.kind, EntryKind::Payment(payment)
            if matches!(&payment.purpose, Purpose::Refund { of: other } if *other == of));
        return if same {
            done(tx, id, &of, entry, false)
        } else {
            Err(Refusal::ReferenceConflict(back).into())
        };
    }
    let kinds = kinds(tx, now, (id, &of), (provider, reference))?;
    let account = touched(tx, id, now)?.id.clone();
    post(tx, &account, now, kinds)?;
    touch(tx, id, now)?;
    let entry = tx.correction(id, PAYMENT, &back)?.ok_or_else(lost)?;
    done(tx, id, &of, entry, true)
}

/// What would be given back of a purchase: money and credits.
///
/// # Errors
/// As [`refund`], where it cannot be given back at this moment.
pub fn preview(
    tx: &mut impl Tx,
    now: Now,
    id: &str,
    (provider, bought): (&str, &str),
) -> Result<(Micros, Micros), Error> {
    check_names(provider, bought)?;
    touched(tx, id, now)?;
    let kinds = kinds(tx, now, (id, &name(provider, bought)), (provider, bought))?;
    let (mut usd, mut credits) = (Micros::ZERO, Micros::ZERO);
    for kind in &kinds {
        match kind {
            EntryKind::Payment(payment) => usd = minus(usd, payment.usd),
            EntryKind::Adjusted(adjusted) => credits = minus(credits, adjusted.amount),
            _ => {}
        }
    }
    Ok((usd, credits))
}

/// The entries that give a purchase back: the payment the other way first.
fn kinds(
    tx: &mut impl Tx,
    now: Now,
    (id, of): (&str, &str),
    (provider, reference): (&str, &str),
) -> Result<Vec<EntryKind>, Error> {
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?.clone();
    let no_such =
        || Refusal::conflict("no_such_purchase", "no purchase of this payment, or it was given back");
    let paid = account.dealings.purchases.iter().find(|bought| bought.payment == *of).ok_or_else(no_such)?;
    check_eligible(&account, catalog.purchases.refund)?;
    let usd = minus(Micros::ZERO, paid.usd);
    let mut without = account.clone();
    let mut kinds = vec![EntryKind::Payment(Box::new(Payment {
        provider: provider.to_owned(),
        reference: reference.to_owned(),
        usd,
        purpose: Purpose::Refund { of: of.to_owned() },
        coupon: None,
    }))];
    let back = name(provider, reference);
    for source in [GrantSource::Purchase, GrantSource::Bonus] {
        if let Some(lot) = tx.grant_entry(id, source, of)? {
            kinds.extend(take_back(&account, &lot, &back)?);
            without.lots.remove(&lot.id);
        }
    }
    let held = catalog.purchases.refund.unless_used && account.leases.iter().any(is_out);
    if held || Funds::is_short(&without) {
        home::call(tx, now, id, &home::Before::Reckoning)?;
        let detail = "credits are held for requests that may run: try again in a moment";
        return Err(Refusal::conflict("not_refundable", detail).into());
    }
    Ok(kinds)
}

fn done(tx: &mut impl Tx, id: &str, of: &str, payment: Entry, is_new: bool) -> Result<Refunded, Error> {
    let mut credits = Micros::ZERO;
    for source in [GrantSource::Purchase, GrantSource::Bonus] {
        if let Some(EntryKind::Grant(granted)) = tx.grant_entry(id, source, of)?.map(|entry| entry.kind) {
            credits = crate::amount::plus(credits, granted.amount);
        }
    }
    Ok(Refunded { payment, credits, is_new })
}

/// Whether anything may be given back: only where the API was never used, if the catalog says so.
fn check_eligible(account: &Account, policy: Refund) -> Result<(), Refusal> {
    let refused = |detail: &str| Err(Refusal::conflict("not_refundable", detail));
    if !policy.allowed {
        return refused("the catalog allows no refunds");
    }
    if policy.unless_used && account.first_used_at.is_some() {
        return refused("the API was used");
    }
    Ok(())
}

fn is_out(lease: &Lease) -> bool {
    lease.outstanding() > Micros::ZERO
}

/// Takes a lot back that is whole; one that was drawn from is not given back.
fn take_back(account: &Account, lot: &Entry, back: &str) -> Result<Option<EntryKind>, Refusal> {
    let EntryKind::Grant(granted) = &lot.kind else { return Ok(None) };
    let whole =
        account.lots.get(&lot.id).filter(|own| own.remaining == granted.amount && own.closing.is_none());
    if whole.is_none() {
        return Err(Refusal::conflict("not_refundable", "credits of it were used, or have ended"));
    }
    Ok(Some(EntryKind::Adjusted(Box::new(Adjusted {
        pool: granted.pool.clone(),
        asset: granted.asset.clone(),
        amount: minus(Micros::ZERO, granted.amount),
        repaid: Micros::ZERO,
        expires_at: None,
        slices: vec![Slice { lot: lot.id, pool: Arc::clone(&granted.pool), amount: granted.amount }],
        debt: Micros::ZERO,
        reason: format!("refund {back}"),
        reference: format!("{REFUNDED}{}:{back}", lot.id),
    }))))
}

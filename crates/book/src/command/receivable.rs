//! Usage beyond the credits that was paid (C8).

use tariff::Micros;

use super::plan::check_names;
use super::{post, settings, touch, touched};
use crate::amount::minus;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::payment::{PAYMENT, Payment, Purpose, name};
use crate::tx::{Now, Tx};

/// A payment for usage beyond the credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Who took the payment (P14).
    pub provider: String,
    /// The provider's name for it.
    pub reference: String,
    /// What was paid, in millionths of a US dollar.
    pub usd: Micros,
    /// How much of the usage it pays, in micro-credits at base price; absent = as much as it buys.
    pub credits: Option<Micros>,
}

/// Settles usage beyond the credits; gives whether that was done just now. The same payment again changes nothing.
///
/// # Errors
/// [`Refusal::UnknownAccount`], [`Refusal::Conflict`] (`nothing_owed`), [`Refusal::ReferenceConflict`],
/// [`Refusal::Invalid`] (`amount_usd`, `credits`); and where the store fails.
pub fn settle(tx: &mut impl Tx, now: Now, id: &str, new: &Settlement) -> Result<bool, Error> {
    check_names(&new.provider, &new.reference)?;
    touched(tx, id, now)?;
    let reference = name(&new.provider, &new.reference);
    if let Some(entry) = tx.correction(id, PAYMENT, &reference)? {
        let same = matches!(&entry.kind, EntryKind::Payment(payment)
            if payment.usd == new.usd && matches!(payment.purpose, Purpose::Receivable { .. }));
        return if same { Ok(false) } else { Err(Refusal::ReferenceConflict(reference).into()) };
    }
    let catalog = settings::catalog(tx)?;
    let account = touched(tx, id, now)?;
    if account.receivable <= Micros::ZERO {
        return Err(Refusal::conflict(
            "nothing_owed",
            "nothing was used beyond the credits, or all of it was paid",
        )
        .into());
    }
    if new.usd <= Micros::ZERO {
        return Err(Refusal::invalid("amount_usd", "must be above 0").into());
    }
    let bought = new.credits.or_else(|| catalog.purchases.credits(new.usd));
    let unknown = || {
        Refusal::invalid("credits", "the catalog has no price of a credit: say how much of the usage is paid")
    };
    let credits = bought.ok_or_else(unknown)?;
    if credits <= Micros::ZERO || credits > account.receivable {
        let detail = format!("must be above 0 and at most the {} owed", account.receivable);
        return Err(
            Refusal::invalid(if new.credits.is_some() { "credits" } else { "amount_usd" }, detail).into()
        );
    }
    let payment = Payment {
        provider: new.provider.clone(),
        reference: new.reference.clone(),
        usd: new.usd,
        purpose: Purpose::Receivable { credits },
        coupon: None,
    };
    let id_of = account.id.clone();
    post(tx, &id_of, now, [EntryKind::Payment(Box::new(payment))])?;
    touch(tx, id, now)?;
    Ok(true)
}

impl crate::account::Account {
    /// Usage beyond the credits was paid.
    pub(crate) fn settle_receivable(&mut self, credits: Micros) {
        let paid = credits.min(self.receivable);
        self.receivable = minus(self.receivable, paid);
        self.totals.settled = crate::amount::plus(self.totals.settled, paid);
    }
}

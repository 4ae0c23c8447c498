//! Double entry: what each entry posts, derived by one pure function.
//!
//! The customer's side is `lot:<id>`, `debt` and `receivable`, the operator's `issuance`, `revenue`, `breakage` and
//! `adjustments`.
//! Money that was paid goes from `sales` to `cash`, in millionths of a US dollar; all else is micro-credits.
//! Each entry's postings sum to zero; what an account's postings sum to, by name, is its state.

use std::borrow::Cow;

use tariff::Micros;
use tariff::compile::CREDITS;

use crate::correction::{Adjusted, Reversed};
use crate::entry::{Entry, EntryKind};
use crate::payment::{Payment, Purpose};

/// One posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The name of what it is posted to.
    pub to: Cow<'static, str>,
    /// How much, with its sign: credits that stand there grow or shrink by it.
    pub amount: i128,
}

/// What money is, among the assets.
const USD: &str = "usd";

/// What an entry posts; entries that move no credits post nothing.
#[must_use]
pub fn postings(entry: &Entry) -> Vec<Posting> {
    match &entry.kind {
        EntryKind::Grant(granted) => {
            let issued = to("issuance", &granted.asset, less_than_zero(granted.amount));
            let mut postings = vec![issued, lot(entry.id, granted.amount)];
            if granted.repaid > Micros::ZERO {
                postings.push(Posting { to: lot_name(entry.id), amount: less_than_zero(granted.repaid) });
                postings.push(to("debt", &granted.asset, granted.repaid.get().into()));
            }
            postings
        }
        EntryKind::LotEnded { lot, asset, rest: amount, .. }
        | EntryKind::LotTrimmed { lot, asset, amount, .. } => vec![
            Posting { to: lot_name(*lot), amount: less_than_zero(*amount) },
            to("breakage", asset, amount.get().into()),
        ],
        EntryKind::Charge(charge) => {
            let slices = charge
                .slices
                .iter()
                .map(|slice| Posting { to: lot_name(slice.lot), amount: less_than_zero(slice.amount) });
            let asset = &charge.asset;
            let owed = (charge.debt > Micros::ZERO).then(|| to("debt", asset, less_than_zero(charge.debt)));
            let postpaid = (charge.receivable > Micros::ZERO)
                .then(|| to("receivable", asset, less_than_zero(charge.receivable)));
            let revenue = to("revenue", asset, charge.amount.get().into());
            slices.chain(owed).chain(postpaid).chain([revenue]).collect()
        }
        EntryKind::Adjusted(adjusted) => of_adjustment(entry.id, adjusted),
        EntryKind::Reversed(reversed) => of_reversal(entry.id, reversed),
        EntryKind::Payment(payment) => of_payment(payment),
        EntryKind::Opened { .. }
        | EntryKind::Plan { .. }
        | EntryKind::Status { .. }
        | EntryKind::Settings { .. }
        | EntryKind::Pending { .. }
        | EntryKind::Lapsed { .. }
        | EntryKind::Recharge { .. }
        | EntryKind::RechargeDue { .. }
        | EntryKind::RechargeDropped { .. }
        | EntryKind::Consent
        | EntryKind::Resource { .. }
        | EntryKind::Term { .. }
        | EntryKind::Cycle { .. }
        | EntryKind::LotClosed { .. }
        | EntryKind::Release(_)
        | EntryKind::Leased { .. }
        | EntryKind::Returned { .. }
        | EntryKind::LeaseClosed { .. }
        | EntryKind::NodeClosed { .. }
        | EntryKind::Extended(_)
        | EntryKind::Clipped(_) => Vec::new(),
    }
}

fn of_adjustment(id: u64, adjusted: &Adjusted) -> Vec<Posting> {
    let amount = i128::from(adjusted.amount.get());
    let asset = &adjusted.asset;
    let mut postings = vec![to("adjustments", asset, amount.saturating_neg())];
    if adjusted.amount > Micros::ZERO {
        postings.push(lot(id, adjusted.amount));
        if adjusted.repaid > Micros::ZERO {
            postings.push(Posting { to: lot_name(id), amount: less_than_zero(adjusted.repaid) });
            postings.push(to("debt", asset, adjusted.repaid.get().into()));
        }
    }
    let drawn = adjusted.slices.iter();
    postings
        .extend(drawn.map(|slice| Posting { to: lot_name(slice.lot), amount: less_than_zero(slice.amount) }));
    postings.extend((adjusted.debt > Micros::ZERO).then(|| to("debt", asset, less_than_zero(adjusted.debt))));
    postings
}

fn of_payment(payment: &Payment) -> Vec<Posting> {
    let usd = i128::from(payment.usd.get());
    let mut postings = vec![to("cash", USD, usd), to("sales", USD, usd.saturating_neg())];
    if let Purpose::Receivable { credits } = payment.purpose {
        postings.push(to("receivable", CREDITS, credits.get().into()));
        postings.push(to("settled", CREDITS, less_than_zero(credits)));
    }
    postings
}

fn of_reversal(id: u64, reversed: &Reversed) -> Vec<Posting> {
    let asset = &reversed.asset;
    let mut postings = vec![to("revenue", asset, less_than_zero(reversed.amount))];
    postings.extend(reversed.restored.iter().map(|slice| lot(slice.lot, slice.amount)));
    postings.extend(reversed.moved.as_ref().map(|moved| lot(id, moved.amount)));
    postings.extend((reversed.debt > Micros::ZERO).then(|| to("debt", asset, reversed.debt.get().into())));
    let postpaid = reversed.receivable;
    postings.extend((postpaid > Micros::ZERO).then(|| to("receivable", asset, postpaid.get().into())));
    postings
}

/// The sum of an entry's postings: zero, or the entry is wrong.
#[must_use]
pub fn balance(entry: &Entry) -> i128 {
    postings(entry).iter().fold(0, |sum, posting| sum.saturating_add(posting.amount))
}

/// What is posted to for an asset: by its own name for credits, else with the asset's.
fn to(name: &'static str, asset: &str, amount: i128) -> Posting {
    let to = if asset == CREDITS { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}:{asset}")) };
    Posting { to, amount }
}

fn lot(id: u64, amount: Micros) -> Posting {
    Posting { to: lot_name(id), amount: amount.get().into() }
}

fn lot_name(id: u64) -> Cow<'static, str> {
    Cow::Owned(format!("lot:{id}"))
}

fn less_than_zero(amount: Micros) -> i128 {
    i128::from(amount.get()).saturating_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::world::{Worker, World, credits};

    fn posted(entry: &Entry) -> Vec<(String, i128)> {
        postings(entry).into_iter().map(|posting| (posting.to.into_owned(), posting.amount)).collect()
    }

    #[test]
    fn every_credit_is_posted_twice() {
        let mut world = World::new(crate::memory::Memory::new, "topup_only");
        let mut worker = Worker::new(1);
        world.top_up(1, "p1");
        for (request, amount) in [("r1", 1), ("r2", 2)] {
            let settle = world.use_of(request, credits(amount));
            world.charge(&mut worker, settle);
        }
        world.top_up(3, "p2");
        let lines: Vec<Vec<(String, i128)>> = world.subject.journal.iter().map(posted).collect();
        let lines: Vec<_> = lines.into_iter().filter(|postings| !postings.is_empty()).collect();
        let line = |postings: &[(&str, i128)]| -> Vec<(String, i128)> {
            postings.iter().map(|(to, amount)| ((*to).to_owned(), amount.saturating_mul(1_000_000))).collect()
        };
        assert_eq!(
            lines,
            [
                line(&[("issuance", -1), ("lot:3", 1)]),
                line(&[("lot:3", -1), ("revenue", 1)]),
                line(&[("debt", -2), ("revenue", 2)]),
                line(&[("issuance", -3), ("lot:6", 3), ("lot:6", -2), ("debt", 2)]),
            ]
        );
        assert!(world.subject.journal.iter().all(|entry| balance(entry) == 0));
        let mut unbalanced = world.subject.journal[3].clone();
        if let EntryKind::Charge(charge) = &mut unbalanced.kind {
            charge.amount = credits(5);
        }
        assert_eq!(balance(&unbalanced), 4_000_000);
    }
}

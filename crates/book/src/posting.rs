//! Double entry: what each entry posts, derived by one pure function.
//!
//! The customer's side is `lot:<id>` and `debt`, the operator's `issuance`, `revenue` and `breakage`.
//! Each entry's postings sum to zero; what an account's postings sum to, by name, is its state.

use std::borrow::Cow;

use tariff::Micros;

use crate::entry::{Entry, EntryKind};

/// One posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The name of what it is posted to.
    pub to: Cow<'static, str>,
    /// How much, with its sign: credits that stand there grow or shrink by it.
    pub amount: i128,
}

/// What an entry posts; entries that move no credits post nothing.
#[must_use]
pub fn postings(entry: &Entry) -> Vec<Posting> {
    match &entry.kind {
        EntryKind::Grant(granted) => {
            let mut postings =
                vec![to("issuance", less_than_zero(granted.amount)), lot(entry.id, granted.amount)];
            if granted.repaid > Micros::ZERO {
                postings.push(Posting { to: lot_name(entry.id), amount: less_than_zero(granted.repaid) });
                postings.push(to("debt", granted.repaid.get().into()));
            }
            postings
        }
        EntryKind::LotEnded { lot, rest, .. } => vec![
            Posting { to: lot_name(*lot), amount: less_than_zero(*rest) },
            to("breakage", rest.get().into()),
        ],
        EntryKind::Charge(charge) => {
            let slices = charge
                .slices
                .iter()
                .map(|slice| Posting { to: lot_name(slice.lot), amount: less_than_zero(slice.amount) });
            let owed = (charge.debt > Micros::ZERO).then(|| to("debt", less_than_zero(charge.debt)));
            let revenue = to("revenue", charge.amount.get().into());
            slices.chain(owed).chain([revenue]).collect()
        }
        EntryKind::Opened { .. }
        | EntryKind::Plan { .. }
        | EntryKind::Status { .. }
        | EntryKind::Term { .. }
        | EntryKind::Cycle { .. }
        | EntryKind::LotClosed { .. }
        | EntryKind::Release(_)
        | EntryKind::Leased { .. }
        | EntryKind::Returned { .. }
        | EntryKind::LeaseClosed { .. }
        | EntryKind::NodeClosed { .. }
        | EntryKind::Clipped(_) => Vec::new(),
    }
}

/// The sum of an entry's postings: zero, or the entry is wrong.
#[must_use]
pub fn balance(entry: &Entry) -> i128 {
    postings(entry).iter().fold(0, |sum, posting| sum.saturating_add(posting.amount))
}

fn to(name: &'static str, amount: i128) -> Posting {
    Posting { to: Cow::Borrowed(name), amount }
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

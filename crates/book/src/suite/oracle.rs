//! A second opinion: a journal, read with nothing but fractions and lists, and every decision in it
//! reckoned again.
//!
//! Shares no code with the book's own drawing, folding or posting. Models are priced at one micro-credit
//! a token here, as the player of [`super::play`] uses them.

use std::collections::BTreeSet;

use tariff::{Catalog, Meter};
use wire::{Outcome, UsageSource};

use crate::entry::{Charge, Entry, EntryKind};

/// A lot as the oracle keeps it.
struct OracleLot {
    id: u64,
    pool: String,
    left: i128,
    ends: Option<i64>,
    granted_at: i64,
    term: u64,
    closed_after: Option<u64>,
}

/// Reads one account's journal and checks each decision; gives what is left, owed and charged.
pub fn reckon(journal: &[Entry], catalog: &Catalog) -> (i128, i128, i128) {
    let mut lots: Vec<OracleLot> = Vec::new();
    let mut plans: Vec<String> = vec![String::new()];
    let (mut owed, mut charged) = (0_i128, 0_i128);
    let mut requests = BTreeSet::new();
    let mut last_line = 0;
    for entry in journal {
        if entry.kind.is_line() {
            assert_eq!(entry.prev, last_line, "the chain of lines");
            last_line = entry.id;
        }
        match &entry.kind {
            EntryKind::Term { term, .. } => {
                assert_eq!(term.no as usize, plans.len());
                plans.push(term.plan.to_string());
            }
            EntryKind::Grant(granted) => {
                let amount = i128::from(granted.amount.get());
                let repaid = owed.min(amount);
                assert_eq!(i128::from(granted.repaid.get()), repaid, "debt is repaid first");
                owed -= repaid;
                lots.push(OracleLot {
                    id: entry.id,
                    pool: granted.pool.to_string(),
                    left: amount - repaid,
                    ends: granted.expires_at,
                    granted_at: entry.at,
                    term: plans.len() as u64 - 1,
                    closed_after: None,
                });
            }
            EntryKind::LotClosed { lot, .. } => {
                let lot = lots.iter_mut().find(|known| known.id == *lot).unwrap();
                lot.closed_after = Some(plans.len() as u64 - 1);
            }
            EntryKind::LotEnded { lot, rest, .. } => {
                let index = lots.iter().position(|known| known.id == *lot).unwrap();
                assert_eq!(lots.remove(index).left, i128::from(rest.get()));
            }
            EntryKind::Charge(charge) => {
                assert!(requests.insert(charge.request.clone()), "charged twice: {}", charge.request);
                owed += check_charge(charge, &mut lots, &plans, catalog);
                charged += i128::from(charge.amount.get());
            }
            _ => {}
        }
    }
    (lots.iter().map(|lot| lot.left).sum(), owed, charged)
}

/// Splits the charge again and compares; gives what it adds to the debt.
fn check_charge(charge: &Charge, lots: &mut [OracleLot], plans: &[String], catalog: &Catalog) -> i128 {
    let used = i128::from(charge.usage.get(Meter::InputTokens));
    let held = i128::from(charge.takes[0].held.get());
    let estimated = charge.source == Some(UsageSource::Estimated) || charge.outcome == Outcome::Lost;
    let price = if estimated { used.min(held) } else { used };
    assert_eq!(i128::from(charge.base.get()), price);

    let plan = &plans[charge.term as usize];
    let rank = |pool: &str| catalog.pool(pool).unwrap().order;
    let (mut num, mut den) = (price, 1_i128);
    let mut slices = Vec::new();
    loop {
        let may =
            |lot: &&mut OracleLot| lot.left > 0 && lot.closed_after.is_none_or(|last| charge.term <= last);
        let first = lots.iter_mut().filter(may).min_by_key(|lot| {
            (lot.term > charge.term, rank(&lot.pool), lot.ends.unwrap_or(i64::MAX), lot.granted_at, lot.id)
        });
        let Some(lot) = first.filter(|_| num > 0) else { break };
        let (factor_num, factor_den) = catalog.factor(plan, &lot.pool).parts();
        let (factor_num, factor_den) = (factor_num as i128, factor_den as i128);
        // The price left, in this lot's credits: num/den * factor.
        let (asked_num, asked_den) = (num * factor_num, den * factor_den);
        if asked_num <= lot.left * asked_den {
            let amount = (2 * asked_num + asked_den) / (2 * asked_den);
            lot.left -= amount;
            if amount > 0 {
                slices.push((lot.id, amount));
            }
            num = 0;
        } else {
            slices.push((lot.id, lot.left));
            // What the lot pays: left / factor.
            num = num * factor_num - lot.left * factor_den * den;
            den *= factor_num;
            lot.left = 0;
        }
    }
    let debt = (2 * num + den) / (2 * den);
    let posted: Vec<(u64, i128)> =
        charge.slices.iter().map(|slice| (slice.lot, i128::from(slice.amount.get()))).collect();
    assert_eq!(posted, slices, "{charge:?}");
    assert_eq!(i128::from(charge.debt.get()), debt, "{charge:?}");
    let sum: i128 = slices.iter().map(|(_, amount)| amount).sum();
    assert_eq!(i128::from(charge.amount.get()), sum + debt, "rule 9");
    debt
}

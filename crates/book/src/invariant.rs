//! What must hold of every account after every entry.

use tariff::Micros;

use crate::account::Account;
use crate::amount::less;

/// The first property that does not hold, in words; nothing where all hold.
///
/// I1: granted = left + charged + expired + voided + clawed back - debt. A lot is never below zero,
/// nor above what it was granted. Debt and cumulative leases are never below zero. Terms rise.
#[must_use]
pub fn broken(account: &Account) -> Option<String> {
    let zero = Micros::ZERO;
    if account.totals.granted != account.accounted() {
        return Some(format!("I1: granted {} is not {}", account.totals.granted, account.accounted()));
    }
    if account.debt < zero {
        return Some(format!("debt {} is below zero", account.debt));
    }
    for (id, lot) in &account.lots {
        if lot.remaining < zero || lot.remaining > lot.amount {
            return Some(format!("lot {id} has {} of {}", lot.remaining, lot.amount));
        }
    }
    for lease in &account.leases {
        if lease.granted < zero || lease.returned < zero || lease.settled < zero {
            return Some(format!("lease {lease:?} is below zero"));
        }
        if lease.is_over() {
            return Some(format!("lease {lease:?} is over"));
        }
    }
    let rising = account.terms.iter().zip(account.terms.iter().skip(1)).all(|(a, b)| a.no < b.no);
    if !rising {
        return Some("terms do not rise".to_owned());
    }
    let worth = account.worth();
    let outstanding = account.outstanding(tariff::compile::CREDITS);
    if less(worth, outstanding) != account.capacity() {
        return Some("capacity is not what is left of the worth".to_owned());
    }
    None
}

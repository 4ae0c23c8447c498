//! What must hold of every account after every entry.

use tariff::Micros;
use tariff::compile::CREDITS;

use crate::account::Account;
use crate::amount::less;

/// The first property that does not hold, in words; nothing where all hold.
///
/// I1: granted = left + charged + expired + voided + clawed back - debt. A lot is never below zero,
/// nor above what it was granted. Debt and cumulative leases are never below zero. Terms rise.
#[must_use]
pub fn broken(account: &Account) -> Option<String> {
    let zero = Micros::ZERO;
    for asset in account.assets() {
        let (granted, accounted) = (account.totals(asset).granted, account.accounted(asset));
        if granted != accounted {
            return Some(format!("I1: granted {granted} is not {accounted} ({asset})"));
        }
        if account.owed(asset) < zero {
            return Some(format!("debt {} is below zero ({asset})", account.owed(asset)));
        }
    }
    if account.receivable < zero {
        return Some(format!("receivable {} is below zero", account.receivable));
    }
    if let Some(count) = account.used.iter().find(|count| count.amount <= zero) {
        return Some(format!("{} {} counts {}", count.limit, count.key, count.amount));
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
    if !account.terms.iter().all(|term| term.rules == 0 || account.rules.contains_key(&term.rules)) {
        return Some("a term's rules are gone".to_owned());
    }
    let (worth, capacity) = (account.worth(), account.capacity());
    // With one bucket, all that is leased is leased of it; with several, one of them may be leased beyond its pools.
    let is_plain = account.term().is_none_or(|term| account.rules(term).is_plain());
    let left = less(worth, account.leased(CREDITS));
    // What may settle under a dearer term comes to more.
    let now = account.term().map_or(0, |term| term.no);
    let is_even = account.leases.iter().all(|lease| lease.since >= now || lease.outstanding() == zero);
    if capacity > worth || (is_plain && (capacity > left || (is_even && capacity != left))) {
        return Some(format!("capacity {capacity} is not what is left of the worth {worth}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::world::{BLANK, CREDIT, Stands, Worker, World, credits};

    /// An account with a lot, a lease and a debt of nothing.
    fn sound() -> Account {
        let mut world = World::new(crate::memory::Memory::new, "topup_only");
        world.top_up(10, "p1");
        let want = Worker::new(1).want(world.now, Stands { ask: CREDIT, ..BLANK }, &[]);
        world.send(want);
        world.account()
    }

    fn broken_by(change: impl FnOnce(&mut Account)) -> String {
        let mut account = sound();
        change(&mut account);
        broken(&account).unwrap_or_default()
    }

    fn lot(account: &mut Account) -> &mut crate::account::Lot {
        account.lots.values_mut().next().unwrap()
    }

    #[test]
    fn a_sound_account_breaks_nothing() {
        assert_eq!(broken(&sound()), None);
        let mut spent = sound();
        lot(&mut spent).remaining = Micros::ZERO;
        spent.totals.charged = credits(10);
        assert_eq!(broken(&spent), None);
        // A lease is over with all that was stated; before it is not.
        let mut closing = sound();
        closing.leases[0].used = Some(credits(1));
        assert_eq!(broken(&closing), None);
    }

    #[test]
    fn i1_is_seen_from_every_side() {
        let one = credits(1);
        let sides: [fn(&mut Account) -> &mut Micros; 6] = [
            |account| &mut account.totals.granted,
            |account| &mut account.totals.charged,
            |account| &mut account.totals.expired,
            |account| &mut account.totals.voided,
            |account| &mut account.totals.clawed_back,
            |account| &mut account.debt,
        ];
        for side in sides {
            let said = broken_by(|account| *side(account) = crate::amount::plus(*side(account), one));
            assert!(said.starts_with("I1: granted"), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let said = broken_by(|account| {
            account.debt = Micros(-1);
            account.totals.charged = Micros(-1);
            lot(account).amount = credits(20);
        });
        assert!(said.starts_with("debt -0.000001"), "{said}");
        let said = broken_by(|account| {
            lot(account).remaining = Micros(-1);
            account.totals.charged = Micros(10 * CREDIT + 1);
        });
        assert!(said.contains("has -0.000001 of 10.000000"), "{said}");
        let said = broken_by(|account| lot(account).amount = Micros(10 * CREDIT - 1));
        assert!(said.contains("has 10.000000 of 9.999999"), "{said}");
        let numbers: [fn(&mut crate::Lease) -> &mut Micros; 3] =
            [|lease| &mut lease.granted, |lease| &mut lease.returned, |lease| &mut lease.settled];
        for number in numbers {
            let said = broken_by(|account| *number(&mut account.leases[0]) = Micros(-1));
            assert!(said.contains("is below zero"), "{said}");
        }
        let said = broken_by(|account| account.leases[0].used = Some(Micros::ZERO));
        assert!(said.contains("is over"), "{said}");
        for no in [1, 0] {
            let said = broken_by(|account| {
                let term = crate::Term { no, ..account.terms[0].clone() };
                account.terms.push(term);
            });
            assert_eq!(said, "terms do not rise");
        }
        let rising = broken_by(|account| {
            let term = crate::Term { no: 2, ..account.terms[0].clone() };
            account.terms.push(term);
        });
        assert_eq!(rising, "");
    }
}

//! Leases come home before what they are laid on is taken away or given back (protocol §4).
//!
//! The caller asks again until nothing idle is out any more, for as long as it is ready to wait; what requests hold
//! stays out.

use tariff::Micros;
use wire::Change;

use super::touched;
use crate::account::Account;
use crate::amount::{less, minus};
use crate::error::Error;
use crate::funds::Funds;
use crate::tx::{Now, Tx};

/// What is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// What was used of the plan is reckoned, or a purchase is given back: nothing idle may be out.
    Reckoning,
    /// So much is taken of a pool.
    Taking {
        /// The pool.
        pool: String,
        /// How much.
        amount: Micros,
    },
    /// A lot ends.
    Ending(u64),
}

/// Calls idle leases home that stand in the way, not too often; gives whether none does any more.
///
/// # Errors
/// [`crate::Refusal::UnknownAccount`]; and where the store fails.
pub fn call(tx: &mut impl Tx, now: Now, id: &str, before: &Before) -> Result<bool, Error> {
    let account = touched(tx, id, now)?;
    if !is_idle_out(account) || !is_in_the_way(account, before) {
        return Ok(true);
    }
    if tx.soft(id)?.is_some_and(|soft| soft.is_recall_due(now.up)) {
        tx.change(Change::Recall { account: id.to_owned() })?;
    }
    Ok(false)
}

/// Whether a node may take what no request of it holds.
fn is_idle_out(account: &Account) -> bool {
    account.leases.iter().any(|lease| less(lease.outstanding(), account.soft.held(lease)) > Micros::ZERO)
}

fn is_in_the_way(account: &Account, before: &Before) -> bool {
    let mut after = account.clone();
    match before {
        Before::Reckoning => return true,
        Before::Ending(lot) => drop(after.lots.remove(lot)),
        Before::Taking { pool, amount } => {
            let mut rest = *amount;
            let open = after.lots.values_mut().filter(|lot| lot.closing.is_none() && *lot.pool == **pool);
            for lot in open {
                let taken = lot.remaining.min(rest);
                (lot.remaining, rest) = (minus(lot.remaining, taken), minus(rest, taken));
            }
        }
    }
    Funds::is_short(&after)
}

//! What a request would be told that asked now, with nothing changed by the question.

use tariff::{Admission, Micros};
use wire::{Ask, Need, NodeId, ParkedRequest, VerdictKind, Want};

use super::want::Desk;
use crate::account::Account;
use crate::funds::Funds;
use crate::lease::{Lease, Stated};

/// What a request would find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// What could be had of each bucket asked for, in the order of the needs.
    pub available: Vec<Micros>,
    /// What the request would be told; absent = it would get all that it needs.
    pub verdict: Option<VerdictKind>,
}

/// A node that is none of the account's, and a record of it.
const NOBODY: (NodeId, u64) = (NodeId([0; 16]), u64::MAX);

/// What a request with these needs would be told by an account whose idle leases have come home: what other requests
/// hold, and what was used and is not yet settled, stays out.
#[must_use]
pub fn foresee(account: &Account, admission: Admission, needs: &[Need]) -> Foreseen {
    let account = at_rest(account);
    let funds = Funds::of(&account);
    let (node, lease) = NOBODY;
    let asks = needs.iter().map(|need| Ask {
        bucket: need.bucket.clone(),
        ask: Micros::ZERO,
        free: Micros::ZERO,
        held: Micros::ZERO,
        returned: Micros::ZERO,
    });
    let request = ParkedRequest { request: String::new(), needs: needs.to_vec() };
    let want = Want {
        term: 0,
        account: account.id.to_string(),
        lease,
        asks: asks.collect(),
        rates: None,
        requests: vec![request],
    };
    let mut desk = Desk::new(&account, node, &want, admission, 0);
    desk.serve();
    let available = needs.iter().map(|need| funds.left(&need.bucket).unwrap_or_default()).collect();
    Foreseen { available, verdict: desk.verdicts.pop().map(|(_, verdict)| verdict) }
}

/// The account with nothing leased but what is held or used.
fn at_rest(account: &Account) -> Account {
    let mut rest = account.clone();
    for lease in &mut rest.leases {
        let outstanding = lease.outstanding();
        let held = match lease.used {
            // The rest was given back: what is out is used.
            Some(_) => outstanding,
            None => account.soft.held(lease).min(outstanding),
        };
        rest.soft.stated.retain(|stated| !stated.is_of(lease));
        rest.soft.stated.push(stated(lease, held));
        (lease.granted, lease.returned, lease.settled, lease.used) = (held, Micros::ZERO, Micros::ZERO, None);
    }
    rest
}

fn stated(lease: &Lease, held: Micros) -> Stated {
    let Lease { node, epoch, bucket, .. } = lease;
    Stated { node: *node, epoch: *epoch, bucket: bucket.clone(), free: Micros::ZERO, held, at: 0 }
}

//! Notices that follow from entries: whoever appends through here tells of them without further thought.

use tariff::Micros;
use tariff::compile::CREDITS;

use super::{Event, limit, notice};
use crate::account::{Account, LotEnd};
use crate::amount::total;
use crate::counts::Count;
use crate::entry::EntryKind;
use crate::error::StoreError;
use crate::id::AccountId;
use crate::limits::CREDITS_LOW_PERCENT;
use crate::tx::{Now, Tx};

/// Appends entries and tells what follows from them; gives the entries' ids. What is left is looked at
/// before the first and after the last: at a renewal lots end and come in one go.
///
/// # Errors
/// Where the store fails.
pub fn append(
    tx: &mut impl Tx,
    id: &AccountId,
    now: Now,
    kinds: impl IntoIterator<Item = EntryKind>,
) -> Result<Vec<u64>, StoreError> {
    let mut before = None;
    let mut ids = Vec::new();
    for kind in kinds {
        if before.is_none() && takes(&kind) {
            before = tx.account(id.as_str())?.map(left);
        }
        let mut said = said(&kind);
        let counts = counts_of(&kind).to_vec();
        let is_term = matches!(kind, EntryKind::Term { .. });
        ids.push(tx.append(id, now.wall, kind)?);
        let account = tx.account(id.as_str())?;
        match &mut said {
            Some(Event::RechargeRequested { request, .. }) => {
                *request = ids.last().map(u64::to_string).unwrap_or_default();
            }
            Some(Event::RenewalRequested { change, .. }) => {
                let lapse = account.and_then(|account| account.lapsed.as_ref());
                *change =
                    lapse.and_then(|lapse| Some(lapse.awaits.as_ref()?.id.to_string())).unwrap_or_default();
            }
            _ => {}
        }
        let reached = account.map(|account| limit::reached(account, &counts, is_term)).unwrap_or_default();
        for event in said.into_iter().chain(reached) {
            notice(tx, now, id, event)?;
        }
    }
    if let Some(before) = before {
        let crossed = tx.account(id.as_str())?.map(|account| crossed(account, before)).unwrap_or_default();
        for event in crossed.into_iter().flatten() {
            notice(tx, now, id, event)?;
        }
    }
    Ok(ids)
}

/// Whether an entry may take credits away; all others need no look at the lots.
const fn takes(kind: &EntryKind) -> bool {
    matches!(kind, EntryKind::Charge(_) | EntryKind::Adjusted(_) | EntryKind::LotClosed { .. })
}

/// What an entry counts towards limits.
fn counts_of(kind: &EntryKind) -> &[Count] {
    match kind {
        EntryKind::Charge(charge) => &charge.counts,
        EntryKind::Release(release) => &release.counts,
        _ => &[],
    }
}

/// What an entry says of itself.
fn said(kind: &EntryKind) -> Option<Event> {
    Some(match kind {
        EntryKind::Opened { plan, .. } => Event::AccountOpened { plan: plan.to_string() },
        EntryKind::RechargeDue { request } => {
            Event::RechargeRequested { request: String::new(), amount_usd: request.usd }
        }
        EntryKind::Lapsed { lapse } => {
            let awaits = lapse.as_ref()?.awaits.as_ref()?;
            let (change, plan) = (String::new(), awaits.to.to_string());
            Event::RenewalRequested { change, plan, amount_usd: awaits.usd }
        }
        EntryKind::Status { status } => Event::StatusChanged { status: *status },
        EntryKind::Plan { from, to } => Event::PlanChanged { from: from.to_string(), to: to.to_string() },
        EntryKind::LotEnded { lot, pool, end: LotEnd::Expired, rest, .. } if *rest > Micros::ZERO => {
            Event::LotExpired { lot: format!("lot_{lot}"), pool: pool.to_string(), rest: *rest }
        }
        _ => return None,
    })
}

/// What is left in lots that can be spent.
fn left(account: &Account) -> Micros {
    let open = account.lots.values().filter(|lot| lot.closing.is_none() && &*lot.asset == CREDITS);
    total(open.map(|lot| lot.remaining))
}

/// The marks that what is left went below.
fn crossed(account: &Account, before: Micros) -> [Option<Event>; 2] {
    let left = left(account);
    if left >= before {
        return [None, None];
    }
    let threshold = low(account);
    let cycle = account.cycle.as_ref();
    let is_low = left <= threshold && before > threshold && left > Micros::ZERO;
    [
        is_low.then(|| Event::CreditsLow { left, threshold, cycle: cycle.map(|cycle| cycle.start) }),
        (left == Micros::ZERO && before > Micros::ZERO)
            .then(|| Event::CreditsExhausted { resets_at: account.renewal() }),
    ]
}

/// From where on few credits are left: a part of what came in this cycle and of what else there is.
fn low(account: &Account) -> Micros {
    let begin = account.cycle.as_ref().map_or(i64::MAX, |cycle| cycle.start);
    let counts = |lot: &&crate::account::Lot| {
        lot.closing.is_none()
            && &*lot.asset == CREDITS
            && (lot.remaining > Micros::ZERO || lot.created_at >= begin)
    };
    let had = total(account.lots.values().filter(counts).map(|lot| lot.amount));
    Micros(i64::try_from(i128::from(had.get()).saturating_mul(CREDITS_LOW_PERCENT) / 100).unwrap_or(i64::MAX))
}

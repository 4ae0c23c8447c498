//! Notices of limits: which parts of them were reached (L8).

use tariff::{Limit, Micros};

use super::Event;
use crate::account::{Account, Term};
use crate::amount::less;
use crate::counts::Count;

/// The parts of limits that were reached with what was just counted; with a term that just began, all that are
/// reached under it: a limit that was raised is told of anew, and one that was lowered at once. What was told before
/// of the same limit, value and window is not told again.
#[must_use]
pub fn reached(account: &Account, counts: &[Count], term_began: bool) -> Vec<Event> {
    let Some(term) = account.term().filter(|_| term_began || !counts.is_empty()) else { return Vec::new() };
    let told = account.rules(term).limits.iter().filter(|limit| !limit.notify.is_empty());
    told.flat_map(|limit| reached_of(account, term, limit, counts, term_began)).collect()
}

fn reached_of(
    account: &Account,
    term: &Term,
    limit: &Limit,
    counts: &[Count],
    term_began: bool,
) -> Vec<Event> {
    let (Some(max), window) = (limit.max, term.window_key(&limit.id)) else { return Vec::new() };
    let used = account.used(&limit.id, window);
    let is_it = |count: &&Count| *count.limit == *limit.id && *count.key == *window;
    let before = match counts.iter().find(is_it) {
        Some(count) => less(used, count.amount),
        None if term_began => Micros::ZERO,
        None => return Vec::new(),
    };
    let at = |amount: Micros, percent: u8| {
        amount > Micros::ZERO
            && i128::from(amount.get()).saturating_mul(100)
                >= i128::from(max.get()).saturating_mul(i128::from(percent))
    };
    let crossed = limit.notify.iter().filter(|percent| at(used, **percent) && !at(before, **percent));
    let event = |percent: &u8| Event::LimitThreshold {
        limit: limit.id.clone(),
        window: window.to_owned(),
        percent: *percent,
        used,
        max,
    };
    crossed.map(event).collect()
}

//! Corrections as statement lines.

use book::{Adjusted, Extended, Reversed, Slice};
use tariff::Micros;

use super::{below_zero, part, time};
use crate::dto;

/// An adjustment.
pub fn adjusted(id: u64, adjusted: &Adjusted, blank: dto::Entry) -> dto::Entry {
    let added = (adjusted.amount > Micros::ZERO)
        .then(|| part(&adjusted.pool, id, below_zero(adjusted.repaid, adjusted.amount)));
    let taken = adjusted.slices.iter().map(|slice| drawn(slice, below_zero(slice.amount, Micros::ZERO)));
    dto::Entry {
        amount: adjusted.amount.into(),
        pools: added.into_iter().chain(taken).collect(),
        debt: below_zero(adjusted.repaid, adjusted.debt).into(),
        reference: Some(adjusted.reference.clone()),
        reason: Some(adjusted.reason.clone()),
        expires_at: adjusted.expires_at.map(time),
        ..blank
    }
}

/// A reversal, or a part of one.
pub fn reversed(id: u64, reversed: &Reversed, blank: dto::Entry) -> dto::Entry {
    let restored = reversed.restored.iter().map(|slice| drawn(slice, slice.amount));
    let moved = reversed.moved.iter().map(|moved| part(&moved.pool, id, moved.amount));
    dto::Entry {
        amount: reversed.amount.into(),
        pools: restored.chain(moved).collect(),
        debt: below_zero(reversed.debt, Micros::ZERO).into(),
        request_id: Some(reversed.request.clone()),
        reason: Some(reversed.reason.clone()),
        reverses: Some(reversed.of.to_string()),
        expires_at: reversed.moved.as_ref().and_then(|moved| moved.expires_at).map(time),
        ..blank
    }
}

/// A lot whose end was moved.
pub fn extended(extended: &Extended, blank: dto::Entry) -> dto::Entry {
    dto::Entry {
        pools: vec![part(&extended.pool, extended.lot, Micros::ZERO)],
        reason: Some(extended.reason.clone()),
        expires_at: extended.to.map(time),
        ..blank
    }
}

fn drawn(slice: &Slice, amount: Micros) -> dto::EntryPool {
    part(&slice.pool, slice.lot, amount)
}

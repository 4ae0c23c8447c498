//! What an account has, as the public API shows it.

use book::{Account, Lot};
use tariff::catalog::{Measure, Window};
use tariff::{Catalog, Micros};

use super::{lot_id, time, trimmed};
use crate::dto;

/// What an account has; with a catalog, also what the next cycle does not take over.
pub fn balance(account: &Account, catalog: Option<&Catalog>) -> dto::Balance {
    let balance = book::balance::balance(account);
    let pools = balance.pools.iter().map(|pool| dto::PoolBalance {
        pool: pool.pool.to_string(),
        asset: pool.asset.to_string(),
        available: book::amount::total(pool.lots.iter().map(|(_, lot)| lot.remaining)).into(),
        lots: pool.lots.iter().map(|(id, own)| lot(*id, own)).collect(),
        rollover: catalog.and_then(|catalog| rollover(account, catalog, &pool.pool)),
    });
    let assets = balance.assets.iter().map(|own| dto::AssetBalance {
        asset: own.asset.to_string(),
        available: own.available.into(),
        leased: own.leased.into(),
        in_flight: own.in_flight.into(),
        debt: own.debt.into(),
    });
    dto::Balance {
        account: account.id.to_string(),
        at: None,
        available: balance.available.into(),
        leased: balance.leased.into(),
        in_flight: balance.in_flight.into(),
        debt: balance.debt.into(),
        assets: assets.collect(),
        pools: pools.collect(),
        limits: limits(account),
    }
}

fn lot(id: u64, lot: &Lot) -> dto::LotBalance {
    dto::LotBalance {
        id: lot_id(id),
        amount: lot.amount.into(),
        available: lot.remaining.into(),
        expires_at: lot.expires_at.map(time),
    }
}

/// What of a pool the next cycle does not take over, as things stand.
fn rollover(account: &Account, catalog: &Catalog, pool: &str) -> Option<dto::Rollover> {
    let max = catalog.pools.iter().find(|own| own.name == pool)?.rollover?.max?;
    let end = account.cycle.as_ref()?.end;
    let trims = book::grants::trims(account, catalog, end);
    let lost = trims.iter().filter_map(|kind| match kind {
        book::EntryKind::LotTrimmed { pool: of, amount, .. } if **of == *pool => Some(*amount),
        _ => None,
    });
    let loses: Micros = book::amount::total(lost);
    Some(dto::Rollover { at: time(end), max: max.into(), loses: loses.into() })
}

/// The limits of the term in force, with what is used in the windows that now run (L7).
fn limits(account: &Account) -> Vec<dto::LimitUse> {
    let Some(term) = account.term() else { return Vec::new() };
    let limits = account.rules(term).limits.iter().map(|limit| {
        let running = term.standing.windows.iter().find(|window| window.limit == limit.id);
        dto::LimitUse {
            meter: match limit.measure {
                Measure::Credits => "credits".to_owned(),
                Measure::Cost => "cost_usd".to_owned(),
                Measure::Meter(meter) => meter.as_str().to_owned(),
            },
            window: match limit.window {
                Window::Cycle => "cycle".to_owned(),
                Window::Day => "day".to_owned(),
                Window::Week => "week".to_owned(),
                Window::Month => "month".to_owned(),
                Window::Anchored(period) => period.to_string(),
            },
            max: limit.max.map(|max| trimmed(&max.to_string()).to_owned()),
            used: trimmed(&account.used(&limit.id, term.window_key(&limit.id)).to_string()).to_owned(),
            resets_at: running.map(|window| time(window.end)),
        }
    });
    limits.collect()
}

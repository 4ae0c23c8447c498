//! The book's types as the public API shows them.

mod balance;
mod change;
mod correction;
mod settings;
pub mod shop;

pub use self::balance::balance;
pub use self::change::{billing_period, plan_change, scheduled, switch, waiting};
pub use self::settings::{enrolment, settings_change};

use std::collections::BTreeMap;

use book::entry::{Charge, EntryKind, Granted};
use book::{Account, Cycle, GrantSource, Key, LotEnd};
use jiff::Timestamp;
use tariff::{Catalog, Micros, Ratio, Usage};
use wire::AccountStatus;

use crate::dto;

/// How many hexadecimal digits of a digest tell keys apart.
const DIGEST_ID_CHARS: usize = 8;

/// An account.
pub fn account(account: &Account) -> dto::Account {
    dto::Account {
        id: account.id.to_string(),
        plan: account.plan().to_owned(),
        status: status(account.status),
        created_at: time(account.created_at),
        period: account.cycle.as_ref().map(period),
        billing_period: account.cycle.as_ref().and_then(billing_period),
        scheduled: waiting(account).map(scheduled),
        lapsed_at: account.lapsed.as_ref().map(|lapse| time(lapse.since)),
        settings: settings::shown(&account.settings),
    }
}

/// A standing, as the API says it.
pub const fn status(status: AccountStatus) -> dto::AccountStatus {
    match status {
        AccountStatus::Active => dto::AccountStatus::Active,
        AccountStatus::Suspended => dto::AccountStatus::Suspended,
        AccountStatus::Closed => dto::AccountStatus::Closed,
    }
}

/// A standing, as the book says it.
pub const fn book_status(status: dto::AccountStatus) -> AccountStatus {
    match status {
        dto::AccountStatus::Active => AccountStatus::Active,
        dto::AccountStatus::Suspended => AccountStatus::Suspended,
        dto::AccountStatus::Closed => AccountStatus::Closed,
    }
}

/// A key.
pub fn key(key: &Key) -> dto::Key {
    let digest = key.digest.to_string();
    dto::Key {
        id: key.id.to_string(),
        account: key.account.to_string(),
        name: key.name.clone(),
        digest_id: digest.get(..DIGEST_ID_CHARS).unwrap_or_default().to_owned(),
        models: key.models.as_ref().map(|models| models.to_vec()),
        created_at: time(key.created_at),
        expires_at: key.expires_at.map(time),
        revoked_at: key.revoked_at.map(time),
        enabled: !key.disabled,
        auth_class: key.auth_class.to_string(),
        replaces: key.replaces.as_deref().map(str::to_owned),
        replaced_by: key.replaced_by.as_deref().map(str::to_owned),
    }
}

/// A lot as it stands.
pub fn lot_state(id: u64, lot: &book::Lot, voided: bool) -> dto::LotState {
    dto::LotState {
        id: lot_id(id),
        pool: lot.pool.to_string(),
        asset: lot.asset.to_string(),
        amount: lot.amount.into(),
        available: lot.remaining.into(),
        expires_at: lot.expires_at.map(time),
        voided,
    }
}

/// The lot that a grant made.
pub fn lot(id: u64, at: i64, granted: &Granted) -> dto::Lot {
    dto::Lot {
        id: lot_id(id),
        pool: granted.pool.to_string(),
        asset: granted.asset.to_string(),
        amount: granted.amount.into(),
        available: Micros(granted.amount.get().saturating_sub(granted.repaid.get())).into(),
        created_at: time(at),
        expires_at: granted.expires_at.map(time),
        reference: granted.reference.clone(),
    }
}

/// A statement line; nothing for entries that no statement shows.
pub fn entry(entry: &book::Entry) -> Option<dto::Entry> {
    let blank = |kind: dto::EntryKind| dto::Entry {
        id: entry.id.to_string(),
        time: time(entry.at),
        kind,
        amount: Micros::ZERO.into(),
        pools: Vec::new(),
        debt: Micros::ZERO.into(),
        request_id: None,
        key: None,
        model: None,
        answered_model: None,
        service_tier: None,
        cost_usd: None,
        provider_cost_usd: None,
        outcome: None,
        usage: BTreeMap::new(),
        usage_source: None,
        usage_status: None,
        disputed: None,
        recovered: None,
        reference: None,
        reason: None,
        reverses: None,
        expires_at: None,
        amount_usd: None,
        plan: None,
    };
    match &entry.kind {
        EntryKind::Opened { plan, .. } => {
            Some(dto::Entry { plan: Some(plan.to_string()), ..blank(dto::EntryKind::Opened) })
        }
        EntryKind::Plan { to, .. } => {
            Some(dto::Entry { plan: Some(to.to_string()), ..blank(dto::EntryKind::Plan) })
        }
        EntryKind::Status { .. } => Some(blank(dto::EntryKind::Status)),
        EntryKind::Payment(payment) => Some(change::paid(payment, blank(dto::EntryKind::Payment))),
        EntryKind::Grant(granted) => Some(dto::Entry {
            amount: granted.amount.into(),
            pools: vec![part(&granted.pool, entry.id, below_zero(granted.repaid, granted.amount))],
            debt: below_zero(granted.repaid, Micros::ZERO).into(),
            reference: Some(granted.reference.clone()),
            plan: (granted.source == GrantSource::Plan)
                .then(|| granted.reference.split('/').next().unwrap_or_default().to_owned()),
            ..blank(dto::EntryKind::Grant)
        }),
        EntryKind::LotEnded { lot, pool, end, rest, .. } => {
            let kind = match end {
                LotEnd::Expired => dto::EntryKind::Expiry,
                LotEnd::Void => dto::EntryKind::Void,
            };
            let amount = below_zero(*rest, Micros::ZERO);
            Some(dto::Entry { amount: amount.into(), pools: vec![part(pool, *lot, amount)], ..blank(kind) })
        }
        EntryKind::LotTrimmed { lot, pool, amount, .. } => {
            let amount = below_zero(*amount, Micros::ZERO);
            let pools = vec![part(pool, *lot, amount)];
            Some(dto::Entry { amount: amount.into(), pools, ..blank(dto::EntryKind::Expiry) })
        }
        EntryKind::Charge(charge) => Some(charged(charge, blank(dto::EntryKind::Charge))),
        EntryKind::Adjusted(adjusted) => {
            Some(correction::adjusted(entry.id, adjusted, blank(dto::EntryKind::Adjustment)))
        }
        EntryKind::Reversed(reversed) => {
            Some(correction::reversed(entry.id, reversed, blank(dto::EntryKind::Reversal)))
        }
        EntryKind::Extended(extended) => {
            Some(correction::extended(extended, blank(dto::EntryKind::Extension)))
        }
        _ => None,
    }
}

fn charged(charge: &Charge, blank: dto::Entry) -> dto::Entry {
    let slices = charge.slices.iter();
    dto::Entry {
        amount: below_zero(charge.amount, Micros::ZERO).into(),
        pools: slices
            .map(|slice| part(&slice.pool, slice.lot, below_zero(slice.amount, Micros::ZERO)))
            .collect(),
        debt: charge.debt.into(),
        request_id: Some(charge.request.clone()),
        key: Some(charge.key.clone()),
        model: Some(charge.model.clone()),
        answered_model: charge.answered_model.clone(),
        service_tier: charge.service_tier.clone(),
        cost_usd: (charge.cost > Micros::ZERO).then_some(dto::Usd(charge.cost)),
        provider_cost_usd: charge.provider_cost.map(dollars),
        outcome: word(&charge.outcome),
        usage: usage(&charge.usage),
        usage_source: charge.source.as_ref().and_then(word),
        usage_status: charge.status.as_ref().and_then(word),
        disputed: (charge.disputed > Micros::ZERO).then(|| charge.disputed.into()),
        recovered: charge.recovered.then_some(true),
        ..blank
    }
}

/// US dollars from millionths of millionths of one, exactly.
fn dollars(picos: u64) -> String {
    Ratio::new(picos.into(), 1_000_000_000_000).map(|cost| cost.to_string()).unwrap_or_default()
}

/// Counts by the meters' names.
pub fn usage(usage: &Usage) -> BTreeMap<String, u64> {
    usage.iter().map(|(meter, count)| (meter.as_str().to_owned(), count)).collect()
}

/// The plans of a catalog.
pub fn plans(catalog: &Catalog) -> Vec<dto::Plan> {
    catalog.plans.iter().map(|plan| self::plan(catalog, plan)).collect()
}

fn plan(catalog: &Catalog, plan: &tariff::Plan) -> dto::Plan {
    let pools = catalog.pools_in_draw_order().into_iter().map(|pool| {
        let grant = plan.grants.iter().find(|grant| grant.pool == pool.name);
        dto::PlanPool {
            pool: pool.name.clone(),
            grant: grant.map(|grant| grant.amount.into()),
            cadence: grant.map(|_| plan.cycle.to_string()),
            factor: plan.factor(&pool.name).to_string(),
        }
    });
    let rates = plan.rates.iter().map(|rate| dto::PlanRate {
        id: rate.id.clone(),
        meter: rate.meter.as_str().to_owned(),
        amount: rate.amount,
        per_ms: rate.per_ms,
        burst: rate.burst,
    });
    dto::Plan {
        name: plan.name.clone(),
        price: plan.price_usd.map(|price| format!("{} USD", trimmed(&price.to_string()))),
        url: catalog.links.upgrade.clone(),
        enforce: plan.enforce,
        pools: pools.collect(),
        rates: rates.collect(),
        models: plan.models.clone(),
        resources: plan.resources.iter().filter_map(|(name, max)| Some((name.clone(), (*max)?))).collect(),
    }
}

/// Public plans that allow more of a resource, cheapest first (L3).
pub fn unlocks(catalog: &Catalog, resource: &str, max: u64) -> Vec<dto::PlanUnlock> {
    let allows_more =
        |plan: &&tariff::Plan| plan.public && plan.resource(resource).is_none_or(|more| more > max);
    let mut plans: Vec<&tariff::Plan> = catalog.plans.iter().filter(allows_more).collect();
    plans.sort_by_key(|plan| (plan.price_usd.is_none(), plan.price_usd));
    let unlock =
        |plan: &tariff::Plan| dto::PlanUnlock { plan: plan.name.clone(), url: catalog.links.upgrade.clone() };
    plans.into_iter().map(unlock).collect()
}

/// An instant of the book. All of them are within the calendar.
pub fn time(instant: i64) -> Timestamp {
    Timestamp::from_millisecond(instant).unwrap_or(if instant < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A lot's id in the API.
fn lot_id(id: u64) -> String {
    format!("lot_{id}")
}

fn period(cycle: &Cycle) -> dto::Period {
    dto::Period { from: time(cycle.start), to: time(cycle.end) }
}

pub(super) fn part(pool: &str, lot: u64, amount: Micros) -> dto::EntryPool {
    dto::EntryPool { pool: pool.to_owned(), lot: lot_id(lot), amount: amount.into() }
}

/// `from` less an amount.
fn below_zero(amount: Micros, from: Micros) -> Micros {
    Micros(from.get().saturating_sub(amount.get()))
}

fn word(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned))
}

/// A decimal without zeros at its end.
pub(super) fn trimmed(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_lose_the_zeros_at_their_end() {
        assert_eq!(trimmed("20.000000"), "20");
    }
}

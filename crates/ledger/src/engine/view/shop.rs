//! Purchases, receivables, things kept, and what customers see of themselves.

use book::command::purchase::{Brings, Posted};
use book::command::resource::Kept;
use book::entry::EntryKind;
use book::{Account, Purpose};
use tariff::{Catalog, Micros, Plan};

use super::{account as account_view, lot, time, trimmed};
use crate::dto;

/// What a purchase would bring.
pub fn preview(account: &str, brings: &Brings) -> dto::Purchase {
    dto::Purchase {
        account: account.to_owned(),
        preview: true,
        payment: None,
        amount_usd: dto::Usd(brings.usd),
        credits: brings.credits.into(),
        bonus: brings.bonus.into(),
        bonus_expires_at: brings.bonus_expires_at.filter(|_| brings.bonus > Micros::ZERO).map(time),
        plan: brings.tier.clone(),
        needs_consent: brings.needs_consent,
        lots: Vec::new(),
    }
}

/// What a purchase brought.
pub fn purchase(account: &Account, posted: &Posted) -> dto::Purchase {
    let (payment, usd, credits, bonus) = match &posted.payment.kind {
        EntryKind::Payment(payment) => match payment.purpose {
            Purpose::Purchase { credits, bonus, .. } => (payment.name(), payment.usd, credits, bonus),
            _ => (payment.name(), payment.usd, Micros::ZERO, Micros::ZERO),
        },
        _ => (String::new(), Micros::ZERO, Micros::ZERO, Micros::ZERO),
    };
    let granted = posted.lots.iter().filter_map(|entry| match &entry.kind {
        EntryKind::Grant(granted) => Some((entry.id, entry.at, granted)),
        _ => None,
    });
    let of_bonus = granted.clone().find(|(.., granted)| granted.source == book::GrantSource::Bonus);
    dto::Purchase {
        account: account.id.to_string(),
        preview: false,
        payment: Some(payment),
        amount_usd: dto::Usd(usd),
        credits: credits.into(),
        bonus: bonus.into(),
        bonus_expires_at: of_bonus.and_then(|(.., granted)| granted.expires_at).map(time),
        plan: Some(account.plan().to_owned()),
        needs_consent: false,
        lots: granted.map(|(id, at, granted)| lot(id, at, granted)).collect(),
    }
}

/// A purchase that was given back, or (without a payment) would be: money and credits.
pub fn refund(account: &str, payment: Option<String>, (usd, credits): (Micros, Micros)) -> dto::Refund {
    dto::Refund {
        account: account.to_owned(),
        preview: payment.is_none(),
        payment,
        amount_usd: dto::Usd(usd),
        credits: credits.into(),
    }
}

/// The schedule of purchases.
pub fn recharge(account: &Account) -> dto::Recharge {
    let schedule = account.dealings.recharge.as_ref();
    let requested = account.dealings.requested.iter().map(|request| dto::RechargeDue {
        request: request.id.to_string(),
        at: time(request.at),
        amount_usd: dto::Usd(request.usd),
    });
    dto::Recharge {
        account: account.id.to_string(),
        amount_usd: schedule.map(|schedule| dto::Usd(schedule.usd)),
        every: schedule.map(|schedule| schedule.every.to_string()),
        next: schedule.map(|schedule| time(schedule.next)),
        requested: requested.collect(),
    }
}

/// What an account owes for usage beyond its credits.
pub fn receivable(account: &Account, catalog: Option<&Catalog>) -> dto::Receivable {
    let owed = account.receivable;
    let per_usd = catalog.and_then(|catalog| catalog.purchases.credits_per_usd);
    let whole = tariff::Ratio::whole(u64::try_from(owed.get()).unwrap_or(0));
    let usd = per_usd.and_then(|per_usd| whole.checked_div(per_usd)?.round_half_up());
    dto::Receivable {
        account: account.id.to_string(),
        owed: owed.into(),
        owed_usd: usd.map(|usd| dto::Usd(Micros(usd))),
        settled: account.totals.settled.into(),
    }
}

/// A kind of things that are kept.
pub fn resource(kept: &Kept) -> dto::Resource {
    dto::Resource { name: kept.name.clone(), count: kept.count, max: kept.max }
}

/// A usage priced on a plan.
pub fn quote(plan: &Plan, quote: &tariff::Quote) -> dto::Quote {
    let per_credit = tariff::Ratio::whole(u64::try_from(Micros::PER_CREDIT).unwrap_or(1));
    let line = |(meter, count, price): &(tariff::Meter, u64, tariff::Ratio)| dto::QuoteLine {
        meter: meter.as_str().to_owned(),
        count: *count,
        amount: price.checked_div(per_credit).unwrap_or(*price).to_string(),
    };
    let pool =
        |(pool, amount): &(String, Micros)| dto::QuotePool { pool: pool.clone(), amount: (*amount).into() };
    dto::Quote {
        plan: plan.name.clone(),
        model: quote.model.clone(),
        open: quote.open,
        asset: quote.asset.clone(),
        base: quote.base.into(),
        lines: quote.lines.iter().map(line).collect(),
        paid_by: quote.pools.iter().map(pool).collect(),
    }
}

/// What is used of an account's limits in the windows that now run (L7).
pub fn meters(account: &Account, plan: &Plan) -> Vec<dto::Meter> {
    let windows = account.term().map(|term| &*term.standing.windows).unwrap_or_default();
    let meter = |limit: &tariff::Limit| {
        let window = windows.iter().find(|window| window.limit == limit.id);
        let used = window.map_or(Micros::ZERO, |window| account.used(&limit.id, &window.key));
        dto::Meter {
            name: limit.id.clone(),
            used: trimmed(&used.to_string()).to_owned(),
            max: limit.max.map(|max| trimmed(&max.to_string()).to_owned()),
            resets_at: window.map(|window| time(window.end)),
        }
    };
    plan.limits.iter().map(meter).collect()
}

/// What a customer sees of its account.
pub fn billing(account: &Account, plan: Option<&Plan>, resources: &[Kept]) -> dto::Billing {
    let shown = account_view(account);
    let cadence = plan.map(|plan| account.cadence(plan));
    let renews = cadence.as_ref().is_some_and(|cadence| cadence.renews);
    let stays = account.pending.as_ref().is_none_or(|pending| !pending.cancels);
    let end = account.cycle.as_ref().map(book::Cycle::billing_end);
    dto::Billing {
        account: shown.id,
        status: shown.status,
        plan: shown.plan,
        cadence: cadence.as_ref().map(|cadence| cadence.name.clone()).unwrap_or_default(),
        price_usd: cadence.and_then(|cadence| cadence.price_usd).map(dto::Usd),
        period: shown.period,
        renews_at: end.filter(|_| renews && stays).map(time),
        scheduled: shown.scheduled,
        available: book::balance::balance(account).available.into(),
        owed: account.receivable.into(),
        meters: plan.map(|plan| meters(account, plan)).unwrap_or_default(),
        resources: resources.iter().map(resource).collect(),
    }
}

/// A plan that anyone may choose.
pub fn public_plan(plan: &Plan) -> dto::PublicPlan {
    let cadences = [plan.default_cadence()].into_iter().chain(plan.cadences.iter().cloned());
    let levels = plan.levels.keys().cloned();
    dto::PublicPlan {
        name: plan.name.clone(),
        title: plan.title.clone(),
        cadences: cadences
            .map(|cadence| dto::PublicCadence {
                name: cadence.name,
                billing: cadence.billing.to_string(),
                price_usd: cadence.price_usd.map(dto::Usd),
            })
            .collect(),
        features: plan.features.iter().cloned().chain(levels).collect(),
        resources: plan
            .resources
            .iter()
            .map(|(name, max)| dto::Cap { name: name.clone(), max: max.map(|max| max.to_string()) })
            .collect(),
        limits: plan
            .limits
            .iter()
            .map(|limit| dto::Cap {
                name: limit.id.clone(),
                max: limit.max.map(|max| trimmed(&max.to_string()).to_owned()),
            })
            .collect(),
    }
}

//! Changes of plan as the public API shows and hears them.

use book::command::plan::{NewSwitch, Switch};
use book::{Account, Cycle, Payment, Pending, Purpose};
use jiff::Timestamp;
use tariff::SwitchAt;

use super::{lot, lot_state, period, time};
use crate::dto;

/// What a change of plan does.
pub fn plan_change(account: &str, switch: &Switch, now: i64, preview: bool) -> dto::PlanChange {
    let lots = switch.granted.iter().map(|(id, granted)| lot(*id, switch.at.unwrap_or(now), granted));
    let voided = switch.voided.iter().map(|(id, found)| lot_state(*id, found, false));
    dto::PlanChange {
        account: account.to_owned(),
        from: switch.from.to_string(),
        to: switch.to.to_string(),
        cadence: switch.cadence.to_string(),
        at: switch.at.map(time),
        preview,
        change: switch.change.map(|change| change.to_string()),
        amount_usd: switch.usd.map(dto::Usd),
        credit_usd: switch.prorated.map(|prorated| dto::Usd(prorated.credit)),
        voided: voided.collect(),
        granted: lots.collect(),
        period: switch.cycle.as_ref().map(period),
    }
}

/// What waits to come: a change of plan, else the billing period that is to be paid.
pub fn waiting(account: &Account) -> Option<&Pending> {
    account.pending.as_ref().or_else(|| account.lapsed.as_ref()?.awaits.as_ref())
}

/// A change of plan that waits.
pub fn scheduled(pending: &Pending) -> dto::ScheduledPlan {
    dto::ScheduledPlan {
        change: pending.id.to_string(),
        plan: pending.to.to_string(),
        cadence: pending.cadence.as_deref().map(str::to_owned),
        at: pending.at().map(time),
        amount_usd: pending.usd.map(dto::Usd),
        coupon: pending.coupon.clone(),
        cancels: pending.cancels,
    }
}

/// The billing period of a cycle, where it is longer than the cycle.
pub fn billing_period(cycle: &Cycle) -> Option<dto::Period> {
    let billing = cycle.billing.as_ref()?;
    Some(dto::Period { from: time(billing.start), to: time(billing.end) })
}

/// A payment's line.
pub fn paid(payment: &Payment, blank: dto::Entry) -> dto::Entry {
    let plan = match &payment.purpose {
        Purpose::Plan { plan, .. } => Some(plan.to_string()),
        _ => None,
    };
    let amount_usd = Some(dto::Usd(payment.usd));
    dto::Entry { amount_usd, reference: Some(payment.name()), plan, ..blank }
}

/// A change of plan, as the book takes it.
pub fn switch(request: dto::PlanChangeRequest, preview: bool) -> NewSwitch {
    NewSwitch {
        to: request.plan,
        cadence: request.cadence,
        anchor: request.anchor.map(Timestamp::as_millisecond),
        time_zone: request.time_zone,
        when: request.when.map(|when| match when {
            dto::SwitchTime::Now => SwitchAt::Now,
            dto::SwitchTime::PeriodEnd => SwitchAt::PeriodEnd,
            dto::SwitchTime::PaymentConfirmed => SwitchAt::PaymentConfirmed,
        }),
        coupon: request.coupon,
        paid: request.payment.map(|payment| (payment.provider, payment.reference)),
        preview,
    }
}

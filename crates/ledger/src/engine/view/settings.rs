//! An account's settings as the public API shows and hears them.

use book::command::settings::SettingsChange;
use book::{Error, Refusal, Settings};
use tariff::{Meter, Overrides, PlanRate, Scope};

use super::time;
use crate::dto;

/// What is set of an account.
pub fn shown(settings: &Settings) -> dto::Settings {
    dto::Settings {
        cadence: settings.cadence.as_deref().map(str::to_owned),
        time_zone: settings.time_zone.as_deref().map(str::to_owned),
        opted_in: settings.opted_in.iter().cloned().collect(),
        overage_cap: settings.overage_cap.map(dto::Credits),
        card_on_file: settings.card_on_file,
        programmes: settings.programmes.iter().map(enrolment).collect(),
        renewal: match settings.renewal {
            book::Renewal::Auto => dto::Renewal::Auto,
            book::Renewal::OnPayment => dto::Renewal::OnPayment,
        },
        overrides: (!settings.overrides.is_empty()).then(|| overrides(&settings.overrides)),
        shadow: settings.shadow,
        reference: settings.reference.clone(),
        labels: settings.labels.clone(),
    }
}

/// A stay in a programme.
pub fn enrolment(stay: &book::Enrolment) -> dto::Enrolment {
    dto::Enrolment { programme: stay.programme.clone(), from: time(stay.from), until: time(stay.until) }
}

/// A change of settings, as the book takes it.
pub fn settings_change(change: dto::AccountChange) -> Result<SettingsChange, Error> {
    Ok(SettingsChange {
        time_zone: change.time_zone,
        opted_in: change.opted_in,
        overage_cap: change.overage_cap.map(|cap| cap.map(|cap| cap.0)),
        card_on_file: change.card_on_file,
        overrides: change.overrides.map(book_overrides).transpose()?,
        renewal: change.renewal.map(|renewal| match renewal {
            dto::Renewal::Auto => book::Renewal::Auto,
            dto::Renewal::OnPayment => book::Renewal::OnPayment,
        }),
        shadow: change.shadow,
        reference: change.reference,
        labels: change.labels,
    })
}

fn overrides(own: &Overrides) -> dto::Overrides {
    let rates = own.rates.iter().map(|rate| dto::OwnRate {
        id: rate.id.clone(),
        meter: rate.meter.as_str().to_owned(),
        models: rate.models.clone(),
        amount: rate.amount,
        per_ms: rate.per_ms,
        burst: Some(rate.burst),
    });
    dto::Overrides {
        rates: rates.collect(),
        limits: own.limits.iter().map(|(id, max)| (id.clone(), max.map(dto::Credits))).collect(),
        resources: own.resources.clone(),
        request_limits: own.request_limits.clone(),
        prices_of: own.prices_of.clone(),
    }
}

fn book_overrides(own: dto::Overrides) -> Result<Overrides, Error> {
    let rate = |rate: dto::OwnRate| -> Result<PlanRate, Error> {
        let meter = Meter::parse(&rate.meter);
        let unknown = || Refusal::invalid("overrides.rates", format!("no meter \"{}\"", rate.meter));
        Ok(PlanRate {
            meter: meter.ok_or_else(unknown)?,
            id: rate.id,
            models: rate.models,
            amount: rate.amount,
            per_ms: rate.per_ms,
            burst: rate.burst.unwrap_or(rate.amount),
            scope: Scope::Account,
        })
    };
    Ok(Overrides {
        rates: own.rates.into_iter().map(rate).collect::<Result<_, _>>()?,
        limits: own.limits.into_iter().map(|(id, max)| (id, max.map(|max| max.0))).collect(),
        resources: own.resources,
        request_limits: own.request_limits,
        prices_of: own.prices_of,
    })
}

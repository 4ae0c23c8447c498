//! The engine as [`Life`]: each method a job for the writer.

use book::command::home::Before;
use book::command::settings::SettingsChange;
use book::command::{open, plan, settings, touched};
use book::{Error, Now, Refusal};
use jiff::Timestamp;
use tariff::{SwitchAt, Transition};

use super::{Engine, view};
use crate::dto;
use crate::service::{Idempotency, Kind, Life, Reply, ServiceError, Written};
use crate::store::SqliteTx;

impl Life for Engine {
    fn change_settings(
        &self,
        write: Option<Idempotency>,
        account: String,
        change: dto::AccountChange,
    ) -> Reply<'_, Written<dto::Account>> {
        self.write(write, move |tx, now| {
            let status = change.status.map(view::book_status);
            let change = view::settings_change(change)?;
            // Settings first: they refuse whatever the standing would refuse, so that all changes or nothing.
            let mut changed = false;
            if change != SettingsChange::default() {
                changed |= settings::change(tx, now, &account, &change)?;
            }
            if let Some(status) = status {
                changed |= open::set_status(tx, now, &account, status)?;
            }
            shown(tx, now, &account, changed)
        })
    }

    fn change_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::PlanChangeRequest,
        preview: bool,
    ) -> Reply<'_, Written<dto::PlanChange>> {
        let at_once = !preview
            && self.gives_back(|rule| match request.when {
                Some(when) => when == dto::SwitchTime::Now,
                None => rule.at == SwitchAt::Now,
            });
        Box::pin(async move {
            if at_once {
                self.leases_home(&account, Before::Reckoning).await;
            }
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let switch = plan::change(tx, now, &account, &view::switch(request, preview))?;
                let change = view::plan_change(&account, &switch, now.wall, preview);
                Ok(if preview { Written::Existing(change) } else { Written::Done(change) })
            };
            self.write(write, job).await
        })
    }

    fn pending_change(&self, account: String) -> Reply<'_, dto::ScheduledPlan> {
        let id = account.clone();
        let found =
            self.look(move |tx, now| Ok(view::waiting(touched(tx, &account, now)?).map(view::scheduled)));
        Box::pin(async move { found.await?.ok_or_else(|| ServiceError::not_found(Kind::Change, id)) })
    }

    fn confirm_change(
        &self,
        write: Option<Idempotency>,
        account: String,
        confirmation: dto::ChangeConfirmation,
    ) -> Reply<'_, Written<dto::Account>> {
        let gives_back = self.gives_back(|_| true);
        Box::pin(async move {
            if gives_back {
                self.leases_home(&account, Before::Reckoning).await;
            }
            let job = move |tx: &mut SqliteTx<'_>, now: Now| {
                let new = plan::Confirmation {
                    change: change_number(&confirmation.change)?,
                    provider: confirmation.provider,
                    reference: confirmation.reference,
                    usd: confirmation.amount_usd.map(|usd| usd.0),
                };
                let changed = plan::confirm(tx, now, &account, &new)?;
                shown(tx, now, &account, changed)
            };
            self.write(write, job).await
        })
    }

    fn drop_change(
        &self,
        write: Option<Idempotency>,
        account: String,
        change: Option<String>,
    ) -> Reply<'_, Written<dto::Account>> {
        self.write(write, move |tx, now| {
            let change = change.as_deref().map(change_number).transpose()?;
            let changed = plan::drop_change(tx, now, &account, change)?;
            shown(tx, now, &account, changed)
        })
    }

    fn cancel_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        cancellation: dto::Cancellation,
    ) -> Reply<'_, Written<dto::Account>> {
        self.write(write, move |tx, now| {
            plan::cancel(tx, now, &account, cancellation.to.as_deref())?;
            shown(tx, now, &account, true)
        })
    }

    fn renew_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        payment: dto::RenewalPayment,
    ) -> Reply<'_, Written<dto::Account>> {
        self.write(write, move |tx, now| {
            let new = plan::RenewalPayment {
                provider: payment.provider,
                reference: payment.reference,
                usd: payment.amount_usd.map(|usd| usd.0),
            };
            let changed = plan::renew(tx, now, &account, &new)?;
            shown(tx, now, &account, changed)
        })
    }

    fn enrol(
        &self,
        write: Option<Idempotency>,
        account: String,
        programme: String,
        until: Option<Timestamp>,
    ) -> Reply<'_, Written<dto::Enrolment>> {
        let until = until.map(Timestamp::as_millisecond);
        self.write(write, move |tx, now| {
            let stay = settings::enrol(tx, now, &account, &programme, until)?;
            Ok(Written::Done(view::enrolment(&stay)))
        })
    }

    fn leave(
        &self,
        write: Option<Idempotency>,
        account: String,
        programme: String,
    ) -> Reply<'_, Written<dto::Account>> {
        self.write(write, move |tx, now| {
            let left = settings::leave(tx, now, &account, &programme)?;
            shown(tx, now, &account, left)
        })
    }
}

impl Engine {
    /// Whether the catalog gives something of the old plan's price back where a rule of it is like that.
    pub(super) fn gives_back(&self, is_it: impl Fn(&Transition) -> bool) -> bool {
        self.shelf.in_force().is_some_and(|catalog| {
            let rules = [&catalog.transitions.up, &catalog.transitions.down];
            rules.into_iter().any(|rule| rule.proration.is_some() && is_it(rule))
        })
    }
}

/// An account after a write.
fn shown(tx: &mut SqliteTx<'_>, now: Now, id: &str, changed: bool) -> Result<Written<dto::Account>, Error> {
    let account = view::account(touched(tx, id, now)?);
    Ok(if changed { Written::Done(account) } else { Written::Existing(account) })
}

/// The number of a change that waits.
fn change_number(text: &str) -> Result<u64, Error> {
    Ok(text.parse().map_err(|_| Refusal::invalid("change", "is no change's name"))?)
}

//! The engine as [`Life`]: each method a job for the writer.

use book::command::settings::SettingsChange;
use book::command::{open, settings, touched};
use jiff::Timestamp;

use super::{Engine, view};
use crate::dto;
use crate::service::{Idempotency, Life, Reply, Written};

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
            let account = view::account(touched(tx, &account, now)?);
            Ok(if changed { Written::Done(account) } else { Written::Existing(account) })
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
            let account = view::account(touched(tx, &account, now)?);
            Ok(if left { Written::Done(account) } else { Written::Existing(account) })
        })
    }
}

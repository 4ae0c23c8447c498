//! The life of accounts, failing.

use jiff::Timestamp;
use ledger::dto;
use ledger::service::{Idempotency, Life, Reply, Written};

use super::Failing;

macro_rules! fails {
    ($($name:ident($($argument:ty),*) -> $reply:ty;)*) => {
        $(fn $name(&self, $(_: $argument),*) -> Reply<'_, $reply> { self.fail() })*
    };
}

type Wish = Option<Idempotency>;

impl Life for Failing {
    fails! {
        change_settings(Wish, String, dto::AccountChange) -> Written<dto::Account>;
        change_plan(Wish, String, dto::PlanChangeRequest, bool) -> Written<dto::PlanChange>;
        pending_change(String) -> dto::ScheduledPlan;
        confirm_change(Wish, String, dto::ChangeConfirmation) -> Written<dto::Account>;
        drop_change(Wish, String, Option<String>) -> Written<dto::Account>;
        cancel_plan(Wish, String, dto::Cancellation) -> Written<dto::Account>;
        renew_plan(Wish, String, dto::RenewalPayment) -> Written<dto::Account>;
        enrol(Wish, String, String, Option<Timestamp>) -> Written<dto::Enrolment>;
        leave(Wish, String, String) -> Written<dto::Account>;
    }
}

//! The life of an account: what is set of it, how it moves between plans, what it buys and keeps; the third part of
//! [`super::Service`].

use jiff::Timestamp;

use super::{Idempotency, Reply, Written};
use crate::dto;

/// The ledger, as shops and management backends call it.
///
/// # Errors
/// As [`super::Service`].
pub trait Life: Send + Sync + 'static {
    /// Changes an account's standing and settings. `Conflict("account_closed")`; `NotFound(Pool)`, `NotFound(Plan)` for
    /// a price card; `Invalid`.
    fn change_settings(
        &self,
        write: Option<Idempotency>,
        account: String,
        change: dto::AccountChange,
    ) -> Reply<'_, Written<dto::Account>>;

    /// Switches the plan, now or later, or shows what that would do. `NotFound(Plan)`; `Conflict` (`same_plan`,
    /// `account_closed`, `coupon_refused`, `reference_conflict`); `Invalid`.
    fn change_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::PlanChangeRequest,
        preview: bool,
    ) -> Reply<'_, Written<dto::PlanChange>>;

    /// The change of plan that waits. `NotFound(Change)` where none does.
    fn pending_change(&self, account: String) -> Reply<'_, dto::ScheduledPlan>;

    /// Brings a change that waits for its payment. `Conflict` (`no_such_change`, `amount_mismatch`,
    /// `reference_conflict`).
    fn confirm_change(
        &self,
        write: Option<Idempotency>,
        account: String,
        confirmation: dto::ChangeConfirmation,
    ) -> Reply<'_, Written<dto::Account>>;

    /// Drops a change that waits; absent = whichever does. `Conflict("no_such_change")`.
    fn drop_change(
        &self,
        write: Option<Idempotency>,
        account: String,
        change: Option<String>,
    ) -> Reply<'_, Written<dto::Account>>;

    /// Ends the plan with its billing period. `Conflict` (`no_billing_period`, `no_plan_after`, `same_plan`).
    fn cancel_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        cancellation: dto::Cancellation,
    ) -> Reply<'_, Written<dto::Account>>;

    /// Begins the billing period that waits for its payment. `Conflict("no_such_change")` where none waits.
    fn renew_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        payment: dto::RenewalPayment,
    ) -> Reply<'_, Written<dto::Account>>;

    /// Enrols an account in a programme. `Invalid` for one that the catalog does not have, or an end too late.
    fn enrol(
        &self,
        write: Option<Idempotency>,
        account: String,
        programme: String,
        until: Option<Timestamp>,
    ) -> Reply<'_, Written<dto::Enrolment>>;

    /// Takes an account out of a programme.
    fn leave(
        &self,
        write: Option<Idempotency>,
        account: String,
        programme: String,
    ) -> Reply<'_, Written<dto::Account>>;
}

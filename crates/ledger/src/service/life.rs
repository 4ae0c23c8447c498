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

//! What accounts buy, keep and see of themselves; the fourth part of [`super::Service`].

use wire::Digest;

use super::{Idempotency, Page, PageRequest, Reply, Written};
use crate::dto;

/// The ledger, as shops and customers call it.
///
/// # Errors
/// As [`super::Service`].
pub trait Shop: Send + Sync + 'static {
    /// A confirmed purchase, or what one would bring. `Conflict` (`not_sold`, `opt_in_needed`, `consent_needed`,
    /// `no_such_request`, `reference_conflict`), `Invalid` below the provider's minimum.
    fn purchase(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::PurchaseRequest,
        preview: bool,
    ) -> Reply<'_, Written<dto::Purchase>>;

    /// Gives a purchase back, or says what that would give back. `Conflict` (`no_such_purchase`, `not_refundable`, `reference_conflict`).
    fn refund(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::RefundRequest,
        preview: bool,
    ) -> Reply<'_, Written<dto::Refund>>;

    /// The schedule of purchases, and what it asked for.
    fn recharge(&self, account: String) -> Reply<'_, dto::Recharge>;

    /// Sets the schedule; absent = ends it.
    fn set_recharge(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: Option<dto::RechargeRequest>,
    ) -> Reply<'_, Written<dto::Recharge>>;

    /// Accounts that owe for usage beyond their credits, by id.
    fn receivables(&self, page: PageRequest<String>) -> Reply<'_, Page<dto::Receivable, String>>;

    /// Settles usage beyond the credits. `Conflict` (`nothing_owed`, `reference_conflict`), `Invalid`.
    fn settle_receivable(
        &self,
        write: Option<Idempotency>,
        account: String,
        settlement: dto::Settlement,
    ) -> Reply<'_, Written<dto::Receivable>>;

    /// Things that are kept.
    fn resources(&self, account: String) -> Reply<'_, Vec<dto::Resource>>;

    /// Changes how many of a thing there are. `LimitReached` above the cap.
    fn change_resource(
        &self,
        write: Option<Idempotency>,
        account: String,
        name: String,
        change: dto::ResourceChange,
    ) -> Reply<'_, Written<dto::Resource>>;

    /// What a usage would cost. `NotFound(Account)`, `NotFound(Plan)`, `Invalid` for the model or a meter.
    fn quote(&self, request: dto::QuoteRequest) -> Reply<'_, dto::Quote>;

    /// The account whose live key has this digest, and the key's id; nothing for any other key.
    fn customer(&self, digest: Digest) -> Reply<'_, Option<(String, String)>>;

    /// What a customer sees of its account.
    fn billing(&self, account: String) -> Reply<'_, dto::Billing>;

    /// The plans that anyone may choose.
    fn public_plans(&self) -> Reply<'_, Vec<dto::PublicPlan>>;

    /// A customer changes its own plan, or begins to pay for one (`checkout`). `NotFound(Plan)` for plans that are not
    /// public; `PaymentNeeded` for a priced plan at once without a payment method.
    fn change_own_plan(
        &self,
        write: Option<Idempotency>,
        account: String,
        request: dto::OwnChange,
        checkout: bool,
    ) -> Reply<'_, Written<dto::PlanChange>>;

    /// The catalog's link for upgrades.
    fn upgrade_link(&self) -> Option<String>;
}

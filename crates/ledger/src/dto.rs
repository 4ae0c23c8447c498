//! What the public API says and hears: the shapes of requests and answers.
//!
//! The HTTP layer reads and writes them, the command line shows them, the engine fills them in. Amounts
//! are decimal strings in credits, times are RFC 3339 in UTC, unknown members are refused on reading.
//! The edge's shapes are not here: they are the crate `wire`.

mod access;
mod account;
mod amount;
mod balance;
mod catalog;
mod correction;
mod entry;
mod explain;
mod incident;
mod key;
mod manage;
mod plan;
mod plan_change;
mod purchase;
mod reconcile;
mod settings;
mod usd;
mod webhook;

pub use access::{AdminToken, AuditLine, Scope, TokenCreation};
pub use account::{Account, AccountChange, AccountCreation, AccountStatus, Period};
pub use amount::Credits;
pub use balance::{AssetBalance, Balance, Grant, LimitUse, Lot, LotBalance, PoolBalance, Rollover};
pub use catalog::{CatalogDiff, CatalogInfo, CatalogProblem, CatalogVersion};
pub use correction::{Adjustment, LotChange, LotState, Reason, Reversal};
pub use entry::{Entry, EntryKind, EntryPool, ExportedEntry, UsageBy, UsageGroup, UsageReport};
pub use explain::{ExplainRequest, ExplainedBucket, ExplainedOperation, ExplainedRate, Explanation, Refused};
pub use incident::Incident;
pub use key::{Key, KeyChange, KeyCreation, KeyRotated, KeyRotation};
pub use manage::{Billing, Cap, Checkout, Meter, OwnChange, Portal, PublicCadence, PublicPlan};
pub use plan::{Plan, PlanPool, PlanRate, PlanUnlock};
pub use plan_change::{
    Cancellation, ChangeConfirmation, ChangeFailure, PaymentName, PlanChange, PlanChangeRequest,
    RenewalPayment, ScheduledPlan, SwitchTime,
};
pub use purchase::{
    Purchase, PurchaseRequest, Quote, QuoteLine, QuotePool, QuoteRequest, Receivable, Recharge, RechargeDue,
    RechargeRequest, Refund, RefundRequest, Resource, ResourceChange, Settlement,
};
pub use reconcile::{ReconcileResult, Reconciled, ReconciledReport, Reconciliation};
pub use settings::{Enrolling, Enrolment, Overrides, OwnRate, Renewal, Settings};
pub use usd::Usd;
pub use webhook::{
    Delivery, DeliveryState, Endpoint, EndpointChange, EndpointCreation, Event, Redelivered, Redelivery,
    SecretRotation,
};

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
mod key;
mod plan;
mod reconcile;
mod settings;
mod webhook;

pub use access::{AdminToken, AuditLine, Scope, TokenCreation};
pub use account::{
    Account, AccountChange, AccountCreation, AccountStatus, Period, PlanChange, PlanChangeRequest,
    ScheduledPlan, SwitchTime,
};
pub use amount::Credits;
pub use balance::{Balance, Grant, LimitUse, Lot, LotBalance, PoolBalance};
pub use catalog::{CatalogProblem, CatalogVersion};
pub use correction::{Adjustment, LotChange, LotState, Reason, Reversal};
pub use entry::{Entry, EntryKind, EntryPool, UsageBy, UsageGroup, UsageReport};
pub use key::{Key, KeyChange, KeyCreation, KeyRotated, KeyRotation};
pub use plan::{Plan, PlanPool, PlanRate, PlanUnlock};
pub use reconcile::{ReconcileResult, Reconciled, ReconciledReport, Reconciliation};
pub use settings::{Enrolling, Enrolment, Overrides, OwnRate, Renewal, Settings};
pub use webhook::{
    Delivery, DeliveryState, Endpoint, EndpointChange, EndpointCreation, Event, Redelivered, Redelivery,
    SecretRotation,
};

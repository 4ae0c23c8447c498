//! The catalog's arithmetic and vocabulary, shared by the edge and the ledger: money, exact prices,
//! meters, and the policy that a plan compiles to.
//!
//! Pure: no clock, no randomness, no IO. One price function serves both sides, so that what the edge
//! holds and what the ledger charges can only differ by what they were told.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub mod buying;
pub mod catalog;
pub mod compile;
pub mod edge_catalog;
pub mod funding;
pub mod glob;
pub mod meter;
pub mod money;
pub mod overrides;
pub mod period;
pub mod policy;
pub mod price;
pub mod proration;
pub mod quote;
pub mod ratio;

pub use buying::CouponError;
pub use catalog::{
    Admission, Bonus, BonusOn, Bypass, Cadence, Catalog, Cohort, Counted, Coupon, CycleOnSwitch, DatedPrices,
    Exempt, Exhaustion, ExhaustionAction, Expiry, FeatureGate, Grant, Limit, Links, Lost, LotsOnSwitch,
    Measure, Model, OnExceed, Parameter, ParameterRead, Plan, PlanRate, Pool, PoolModels, Programme,
    Proration, Purchases, Refund, Rollover, Stated, SwitchAt, TierBy, Tiers, Transition, Transitions,
    Variant, Window,
};
pub use edge_catalog::{EdgeCatalog, EdgeModel};
pub use funding::{Cap, Funding, FundingClass, Overage, RunningWindow, Standing};
pub use meter::{Meter, Usage};
pub use money::Micros;
pub use overrides::Overrides;
pub use period::Period;
pub use policy::{Bucket, Class, Gate, Help, LimitHelp, Policy, Rate, RequestLimit, Scope, Unit, Unlock};
pub use price::{Charge, PriceError, Prices};
pub use proration::{Consumption, Prorated};
pub use quote::{Quote, QuoteError};
pub use ratio::Ratio;

#[cfg(feature = "source")]
pub mod source;

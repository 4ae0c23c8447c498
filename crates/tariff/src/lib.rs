//! The catalog's arithmetic and vocabulary, shared by the edge and the ledger: money, exact prices,
//! meters, and the policy that a plan compiles to.
//!
//! Pure: no clock, no randomness, no IO. One price function serves both sides, so that what the edge
//! holds and what the ledger charges can only differ by what they were told.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub mod catalog;
pub mod compile;
pub mod edge_catalog;
pub mod glob;
pub mod meter;
pub mod money;
pub mod period;
pub mod policy;
pub mod price;
pub mod ratio;

pub use catalog::{
    Admission, Catalog, Exhaustion, ExhaustionAction, Expiry, FeatureGate, Grant, Links, Lost, Model, Plan,
    PlanRate, Pool,
};
pub use edge_catalog::{EdgeCatalog, EdgeModel};
pub use meter::{Meter, Usage};
pub use money::Micros;
pub use period::Period;
pub use policy::{Bucket, Class, Gate, Help, Policy, Rate, Scope, Unit, Unlock};
pub use price::{Charge, PriceError, Prices};
pub use ratio::Ratio;

#[cfg(feature = "source")]
pub mod source;

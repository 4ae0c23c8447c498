//! The life of a request at the edge: identify, classify, admit, forward, observe, settle.
//!
//! A state machine without IO, clock or randomness: the filter's shell turns host callbacks into calls of
//! [`Edge`], hands in the time and access to shared data, and carries out the [`effect`]s. All that the edge
//! knows beyond one worker lies in shared data (node, lanes with their rings, account records), in fixed
//! layouts under compare-and-swap.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "tests may fail loudly")
)]

pub mod account;
pub mod admit;
pub mod answer;
pub mod bounded;
pub mod config;
pub mod edge;
pub mod effect;
mod instant;
mod json;
pub mod lane;
pub mod limits;
pub mod metric;
pub mod pricing;
pub mod record;
pub mod reply;
pub mod request;
pub mod route;
pub mod settle;
pub mod shared;
pub mod stream;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use answer::AnswerHead;
pub use config::Config;
pub use edge::Edge;
pub use effect::{BodyEdit, CallKind, Effect, Flow, HeaderEdit, Verdict};
pub use settle::Origin;
pub use shared::SharedData;
pub use shared::tables::Tables;
pub use sync::{CallAnswer, Waker};
pub use time::Now;

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
mod admit;
pub mod answer;
mod beyond;
mod bill;
pub mod bounded;
pub mod config;
pub mod credential;
pub mod dialect;
pub mod directory;
pub mod edge;
pub mod effect;
mod estimate;
mod freeze;
pub mod generic;
pub mod head;
mod hold;
mod instant;
mod json;
pub mod lane;
mod learn;
pub mod limits;
mod lost;
pub mod metric;
mod narrow;
pub mod node;
pub mod open;
mod opening;
mod parameter;
mod park;
pub mod pricing;
pub mod rate;
pub mod record;
pub mod records;
mod refuse;
pub mod reply;
pub mod request;
pub mod route;
pub mod settle;
mod shadow;
pub mod shared;
pub mod stream;
mod sync;
pub mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod tokens;
pub mod trial;
mod unsold;

pub use answer::AnswerHead;
pub use config::Config;
pub use edge::Edge;
pub use effect::{BodyEdit, CallKind, Effect, Flow, HeaderEdit, Verdict};
pub use settle::Origin;
pub use shared::SharedData;
pub use sync::{CallAnswer, Waker};
pub use tables::Tables;
pub use time::Now;

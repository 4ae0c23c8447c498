//! What tests, demo and bench stand on: a mock provider, Envoy, the ledger, stock clients.
//!
//! Nothing here shares code with what it tests: requests are counted, priced and compared by the
//! testbed's own means.

pub mod bench;
pub mod child;
pub mod demo;
pub mod gateway;
pub mod http;
pub mod keys;
pub mod ledger;
pub mod link;
pub mod mock;
pub mod money;
pub mod pace;
pub mod prices;
pub mod raw;
pub mod reconcile;
pub mod request;
pub mod session;
pub mod setup;
pub mod stack;
pub mod tls;
pub mod tools;
pub mod up;
pub mod wait;
pub mod warm;

pub use setup::{Setup, Updates};
pub use stack::{Account, Stack};

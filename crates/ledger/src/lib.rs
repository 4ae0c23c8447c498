//! The ledger: stores, HTTP API and the `bursar` command line around the book.
//!
//! `service` is the seam: the engine (`engine`, `store`) implements it, the HTTP layer (`http`) calls
//! it, the command line (`cli`) speaks to the HTTP layer from outside.

pub mod audit;
pub mod cli;
pub mod config;
pub mod dto;
pub mod engine;
pub mod http;
pub mod keys;
pub mod metrics;
pub mod service;
pub mod store;

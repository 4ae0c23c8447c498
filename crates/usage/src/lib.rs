//! Incremental readers of requests and answers: what a body asks for and what an answer has cost.
//!
//! Pure: bytes in, facts out; no clock, no host calls, no IO. Everything works on pieces cut at any byte,
//! in time linear in the bytes whatever the cuts, with memory per stream fixed by [`limits`]. The bytes are
//! hostile: no input makes it panic. What a count costs is the business of `tariff`.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

// The samples are read by tests inside and outside.
#[cfg(test)]
extern crate self as usage;

mod base64;
pub mod chunk_filter;
mod crc32;
mod document;
mod frames;
mod json;
pub mod limits;
pub mod request;
pub mod response;
mod sse;
mod work;

pub use chunk_filter::{Filtered, UsageChunkFilter};
pub use request::{RequestError, RequestFacts, RequestScanner};
pub use response::{Delivered, Dialect, Format, Reading, ResponseReader, Status};

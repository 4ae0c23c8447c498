//! The real edge core and the real book in one process; time moves only when somebody says so.
//!
//! `node` is one Envoy process and `host` what Envoy does with a stream. `world` is one node and its ledger, for
//! scenario tests, `fleet` several; `cluster` plays them against random faults. Everything is deterministic.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness may fail loudly")]

pub mod cluster;
mod fleet;
mod host;
mod node;
mod random;
mod shared;
mod world;

pub use fleet::{Fleet, Line, Outcome, Site};
pub use host::{Client, Seen};
pub use node::{Call, Handle, Node};
pub use shared::Shared;
pub use world::{Ledger, Tamper, World};

/// A day in 2026, in milliseconds since 1970.
pub const BEGIN_MS: i64 = 1_780_000_000_000;
/// The catalog of most tests.
pub const CATALOG: &str = include_str!("../../../envoy/catalogs/modelstack.yaml");

/// A configuration in a header mode, with further members.
pub fn config(headers: &str, further: &str) -> String {
    format!(
        r#"{{"ledger":{{"cluster":"l"}},"headers":"{headers}","routes":[{{"path":"/v1/search","action":{{"flat":"search"}}}}]{further}}}"#
    )
}

/// An answer with usage.
pub fn usage(prompt: u64, completion: u64) -> String {
    let total = prompt + completion;
    format!(
        r#"{{"id":"x","object":"chat.completion","model":"claude-sonnet-4.5","choices":[],"usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}}}"#
    )
}

/// A request body.
pub fn ask(model: &str, max_tokens: u64) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

/// A request body for a streamed answer, without `include_usage`.
pub fn ask_stream(model: &str, max_tokens: u64) -> String {
    format!(
        r#"{{"model":"{model}","stream":true,"max_tokens":{max_tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

//! A mock AI provider: OpenAI's chat completions as the real API answers them, and on demand as it
//! should not; further APIs as they answer (`api`); recorded answers, byte for byte.
//!
//! HTTP/1.1 and HTTP/2 on one port. Each answer is steered by the request's `x-mock` header
//! ([`Script`]); each request is kept in a [`Record`], which tests take for the truth. It prices
//! nothing and shares no code with the filter's readers.

mod answer;
mod api;
mod platforms;
pub mod record;
pub mod script;
mod server;

pub use record::{Ended, Record, Seen};
pub use script::{Cut, CutPoint, Failing, Replay, SCRIPT_HEADER, Script, TAG_HEADER, Tokens, UsageShape};
pub use server::Mock;

//! `bursar key rotate`.

use clap::Args;
use jiff::Timestamp;

use super::key_path;
use crate::cli::client::{Answer, ClientArgs};
use crate::cli::failure::Outcome;
use crate::cli::print::{self, facts, or_dash};
use crate::dto::KeyRotation;
use crate::http::RotatedKey;

/// Make a key in another one's place; both are good for a while.
///
/// Name, class and models go over. The plan's number of keys does not stand in the way; of keys that replace
/// one another, two at most are good at a time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar key rotate acme key_4Kd0fYz2QxT7 --overlap 86400\n  \
    The old one has leaked, end it at once:\n  bursar key rotate acme key_4Kd0fYz2QxT7 --overlap 0")]
pub struct Rotate {
    /// The account
    account: String,
    /// The id of the key to replace
    key_id: String,
    /// How long the old key stays good, in seconds; 0 ends it at once, at most 7776000 (90 days)
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    overlap: u64,
    /// When the other key stops working (RFC 3339) [default: as the old one would have]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// Take over a key that exists elsewhere, by its SHA-256 in hexadecimal; none is made then
    #[arg(long, value_name = "SHA256")]
    digest: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

// === impl Rotate ===

impl Rotate {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let path = format!("{}/rotate", key_path(&self.account, &self.key_id));
        let Self { overlap, expires_at, digest, client, .. } = self;
        let rotation = KeyRotation { overlap_seconds: Some(overlap), expires_at, digest };
        let answer: Answer<RotatedKey> = client.client()?.post(&path, &rotation)?;
        if client.json {
            return print::out(&format!("{}\n", answer.json));
        }
        let RotatedKey { key, info } = answer.value;
        let shown = key.is_some();
        print::out(&facts(&[
            ("key", or_dash(key)),
            ("id", info.info.id),
            ("account", info.info.account),
            ("replaces", info.replaced.id),
            ("old one ends", or_dash(info.replaced.expires_at)),
        ]))?;
        if shown { print::note("The key is shown only this once: keep it now.") } else { Ok(()) }
    }
}

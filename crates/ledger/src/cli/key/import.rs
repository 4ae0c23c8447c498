//! `bursar key import`: keys that exist elsewhere, by their digests. Clear keys are hashed here and stay here.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::cli::client::{Answer, ClientArgs, segment};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::input;
use crate::cli::print::{self, Table};
use crate::dto::KeyCreation;
use crate::http::CreatedKey;
use crate::keys;

/// Take over keys that exist elsewhere: only their SHA-256 leaves this machine.
///
/// Clients go on with the keys that they have. Keys are read one per line; empty lines are skipped. A key that
/// is known already is named and the rest goes on; exit status 1 then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar key import acme --file keys.txt --name legacy\n  \
    vault read -field=key secret/acme | bursar key import acme --file -\n  \
    bursar key import acme --digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
pub struct Import {
    /// The account they spend for
    account: String,
    #[command(flatten)]
    which: Which,
    /// A name for people, the same for all of them
    #[arg(long)]
    name: Option<String>,
    /// Their class, such as internal [default: api]
    #[arg(long, value_name = "CLASS")]
    auth_class: Option<String>,
    /// A model they may use, `*` for any run of characters; may be repeated [default: all of the plan]
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// When they stop working (RFC 3339) [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Keys, by digest or in clear.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub struct Which {
    /// The SHA-256 of the whole key, in hexadecimal
    #[arg(long, value_name = "SHA256")]
    digest: Option<String>,
    /// A file with the key itself, which is hashed here and not sent; - = standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The largest file of keys that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

// === impl Import ===

impl Import {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let client = self.client.client()?;
        let path = format!("/v1/accounts/{}/keys", segment(&self.account));
        let mut made = Vec::new();
        let mut failed = Vec::new();
        for digest in self.which.digests()? {
            let creation = KeyCreation {
                name: self.name.clone(),
                models: (!self.models.is_empty()).then(|| self.models.clone()),
                expires_at: self.expires_at,
                digest: Some(digest.clone()),
                auth_class: self.auth_class.clone(),
            };
            match client.post::<CreatedKey>(&path, &creation) {
                Ok(Answer { value, .. }) => made.push(value.info),
                Err(Failure::Refused(text) | Failure::BadInput(text)) => {
                    failed.push(format!("key with digest {}…: {text}", digest.get(..8).unwrap_or(&digest)));
                }
                Err(Failure::OutputClosed) => return Err(Failure::OutputClosed),
            }
        }
        if self.client.json {
            print::json(&made)?;
        } else {
            let mut table = Table::new(&["id", "digest"]);
            made.iter().for_each(|key| table.row([key.id.clone(), key.digest_id.clone()]));
            print::out(&table.text("no keys"))?;
        }
        if failed.is_empty() { Ok(()) } else { Err(Failure::Refused(failed.join("\n"))) }
    }
}

// === impl Which ===

impl Which {
    /// The digest of one key.
    pub fn digest(&self) -> Outcome<String> {
        let mut digests = self.digests()?;
        match (digests.pop(), digests.is_empty()) {
            (Some(digest), true) => Ok(digest),
            (Some(_), false) => Err(bad("more than one key is given, one is expected")),
            (None, _) => Err(bad("no key is given")),
        }
    }

    fn digests(&self) -> Outcome<Vec<String>> {
        match (&self.digest, &self.file) {
            (Some(digest), _) => Ok(vec![digest.to_ascii_lowercase()]),
            (None, Some(path)) => Ok(input::text(path, FILE_BYTES_MAX)?
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(|key| keys::digest(key).to_string())
                .collect()),
            (None, None) => Err(bad("give --digest or --file")),
        }
    }
}

fn bad(text: &str) -> Failure {
    Failure::BadInput(format!("bursar: {text}"))
}

//! `bursar key`.

use clap::Subcommand;
use jiff::Timestamp;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{Key as Shown, KeyCreation};
use crate::http::CreatedKey;

/// Make, list and revoke API keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key and show it, this once
    #[command(after_help = "Examples:\n  bursar key create acme --name ci\n  \
        bursar key create acme --model 'gpt-4o*' --model search\n  \
        key=$(bursar key create acme --json | jq -r .key)")]
    Create {
        /// The account it spends for
        account: String,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
        /// A model it may use, `*` for any run of characters; may be repeated [default: all of the plan]
        #[arg(long = "model", value_name = "PATTERN")]
        models: Vec<String>,
        /// When it stops working (RFC 3339) [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Timestamp>,
        /// Take over a key that exists elsewhere, by its SHA-256 in hexadecimal; none is made then
        #[arg(long, value_name = "SHA256")]
        digest: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List an account's keys, revoked ones too
    List {
        /// The account
        account: String,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Revoke a key, for good
    #[command(after_help = "Example:\n  bursar key revoke acme key_4Kd0fYz2QxT7")]
    Revoke {
        /// The account
        account: String,
        /// The key's id, as the list shows it
        key_id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

// === impl Key ===

impl Key {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { account, name, models, expires_at, digest, client } => {
                let models = (!models.is_empty()).then_some(models);
                create(&account, &KeyCreation { name, models, expires_at, digest }, &client)
            }
            Self::List { account, limit, client } => list(&account, limit, &client),
            Self::Revoke { account, key_id, client } => {
                let path = format!("/v1/accounts/{}/keys/{}", segment(&account), segment(&key_id));
                let answer: Answer<Shown> = client.client()?.delete(&path)?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                let revoked = or_dash(answer.value.revoked_at);
                print::out(&facts(&[("id", answer.value.id), ("revoked", revoked)]))
            }
        }
    }
}

fn create(account: &str, creation: &KeyCreation, args: &ClientArgs) -> Outcome {
    let path = format!("/v1/accounts/{}/keys", segment(account));
    let answer: Answer<CreatedKey> = args.client()?.post(&path, creation)?;
    if args.json {
        return print::out(&format!("{}\n", answer.json));
    }
    let shown = answer.value.key.is_some();
    let key = or_dash(answer.value.key);
    print::out(&facts(&[
        ("key", key),
        ("id", answer.value.info.id),
        ("account", answer.value.info.account),
    ]))?;
    if shown { print::note("The key is shown only this once: keep it now.") } else { Ok(()) }
}

fn list(account: &str, limit: usize, args: &ClientArgs) -> Outcome {
    let path = format!("/v1/accounts/{}/keys", segment(account));
    let page = pages::<Shown>(&args.client()?, &path, limit)?;
    if args.json {
        return print::json(&page);
    }
    let mut table = Table::new(&["id", "name", "digest", "models", "created", "expires", "revoked"]);
    for key in &page.data {
        table.row([
            key.id.clone(),
            or_dash(key.name.clone()),
            key.digest_id.clone(),
            key.models.as_ref().map_or_else(|| "*".to_owned(), |models| models.join(" ")),
            key.created_at.to_string(),
            or_dash(key.expires_at),
            or_dash(key.revoked_at),
        ]);
    }
    print::out(&table.text("no keys"))?;
    print::more(page.has_more)
}

//! `bursar key`: making, listing, ending. Replacing and importing are in the modules below.

mod import;
mod rotate;

use clap::Subcommand;
use jiff::Timestamp;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{Key as Shown, KeyChange, KeyCreation};
use crate::http::CreatedKey;

/// Make, list, change, replace and revoke API keys.
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
        /// Its class, by which limits may leave it out, such as internal [default: api]
        #[arg(long, value_name = "CLASS")]
        auth_class: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Take over keys that exist elsewhere: only their SHA-256 leaves this machine
    Import(import::Import),
    /// Make a key in another one's place; both are good for a while
    Rotate(rotate::Rotate),
    /// Refuse a key until it is enabled again
    #[command(after_help = "Example:\n  bursar key disable acme key_4Kd0fYz2QxT7")]
    Disable {
        /// The account
        account: String,
        /// The key's id, as the list shows it
        key_id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Accept a disabled key again
    Enable {
        /// The account
        account: String,
        /// The key's id
        key_id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Set when a key stops working
    #[command(
        after_help = "Examples:\n  bursar key expire acme key_4Kd0fYz2QxT7 --at 2027-01-01T00:00:00Z\n  \
        bursar key expire acme key_4Kd0fYz2QxT7 --never"
    )]
    Expire {
        /// The account
        account: String,
        /// The key's id
        key_id: String,
        /// When (RFC 3339)
        #[arg(long, value_name = "TIME", required_unless_present = "never")]
        at: Option<Timestamp>,
        /// It works until it is revoked
        #[arg(long, conflicts_with = "at")]
        never: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Find out whose a key is
    #[command(after_help = "Examples:\n  printf %s \"$KEY\" | bursar key find --file -\n  \
        bursar key find --digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    Find {
        #[command(flatten)]
        which: import::Which,
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
    #[command(after_help = "Examples:\n  bursar key revoke acme key_4Kd0fYz2QxT7\n  \
        A key that was found where it should not be, whosever it is; the key itself is not sent:\n  \
        printf %s \"$KEY\" | bursar key revoke --file -")]
    Revoke {
        /// The account
        #[arg(required_unless_present_any = ["digest", "file"], requires = "key_id")]
        account: Option<String>,
        /// The key's id, as the list shows it
        key_id: Option<String>,
        #[command(flatten)]
        which: import::Which,
        #[command(flatten)]
        client: ClientArgs,
    },
}

// === impl Key ===

impl Key {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { account, name, models, expires_at, digest, auth_class, client } => {
                let models = (!models.is_empty()).then_some(models);
                create(&account, &KeyCreation { name, models, expires_at, digest, auth_class }, &client)
            }
            Self::Import(import) => import.run(),
            Self::Rotate(rotate) => rotate.run(),
            Self::Disable { account, key_id, client } => change(&account, &key_id, &enabled(false), &client),
            Self::Enable { account, key_id, client } => change(&account, &key_id, &enabled(true), &client),
            Self::Expire { account, key_id, at, never: _, client } => change(
                &account,
                &key_id,
                &KeyChange { expires_at: Some(at), ..KeyChange::default() },
                &client,
            ),
            Self::Find { which, client } => {
                let path = format!("/v1/keys/{}", which.digest()?);
                show(&client.client()?.get(&path)?, client.json)
            }
            Self::List { account, limit, client } => list(&account, limit, &client),
            Self::Revoke { account, key_id, which, client } => {
                let path = match (account, key_id) {
                    (Some(account), Some(key)) => key_path(&account, &key),
                    _ => format!("/v1/keys/{}", which.digest()?),
                };
                show(&client.client()?.delete(&path)?, client.json)
            }
        }
    }
}

fn enabled(enabled: bool) -> KeyChange {
    KeyChange { enabled: Some(enabled), ..KeyChange::default() }
}

fn change(account: &str, key: &str, change: &KeyChange, args: &ClientArgs) -> Outcome {
    show(&args.client()?.patch(&key_path(account, key), change)?, args.json)
}

/// Where a key is in the API.
fn key_path(account: &str, key: &str) -> String {
    format!("/v1/accounts/{}/keys/{}", segment(account), segment(key))
}

fn show(answer: &Answer<Shown>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let key = &answer.value;
    print::out(&facts(&[
        ("id", key.id.clone()),
        ("account", key.account.clone()),
        ("name", or_dash(key.name.clone())),
        ("state", state(key).to_owned()),
        ("class", key.auth_class.clone()),
        ("models", models(key)),
        ("created", key.created_at.to_string()),
        ("expires", or_dash(key.expires_at)),
        ("revoked", or_dash(key.revoked_at)),
    ]))
}

fn models(key: &Shown) -> String {
    key.models.as_ref().map_or_else(|| "*".to_owned(), |models| models.join(" "))
}

/// What becomes of a request with the key, by this machine's clock.
fn state(key: &Shown) -> &'static str {
    let ended = |end: Option<Timestamp>| end.is_some_and(|end| end <= Timestamp::now());
    match key {
        key if key.revoked_at.is_some() => "revoked",
        key if ended(key.expires_at) => "expired",
        key if !key.enabled => "disabled",
        key if key.replaced_by.is_some() => "replaced",
        _ => "live",
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
    let mut table =
        Table::new(&["id", "name", "state", "class", "digest", "models", "created", "expires", "revoked"]);
    for key in &page.data {
        table.row([
            key.id.clone(),
            or_dash(key.name.clone()),
            state(key).to_owned(),
            key.auth_class.clone(),
            key.digest_id.clone(),
            models(key),
            key.created_at.to_string(),
            or_dash(key.expires_at),
            or_dash(key.revoked_at),
        ]);
    }
    print::out(&table.text("no keys"))?;
    print::more(page.has_more)
}

//! `bursar token`, `bursar audit`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{AdminToken, AuditLine, Scope, TokenCreation};
use crate::http::{CreatedToken, PageBody};

/// Make, list and revoke tokens for the management API.
///
/// The token that `bursar serve` was given may do everything and is called `root` in the audit log. Give others
/// to programs and people: each with a name, the scopes that it needs, and an end.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token; it is shown once
    #[command(after_help = "Examples:\n  bursar token create dashboard --scope read\n  \
        bursar token create billing --scope accounts --scope money --expires-at 2027-06-30T00:00:00Z\n\n\
        Scopes: read (all but tokens and the audit log), accounts (accounts and keys), money (grants, adjustments,\n\
        reversals, lots, plans, reconciliation), catalog, admin (everything). Each may also read.")]
    Create {
        /// Its name: 1 to 64 letters, digits, `.`, `_`, `:` or `-`
        name: String,
        /// What it may do; may be repeated
        #[arg(long = "scope", value_enum, required = true)]
        scopes: Vec<ScopeName>,
        /// When it stops working (RFC 3339) [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Timestamp>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List tokens, latest first
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Revoke a token, for good and at once
    #[command(after_help = "Example:\n  bursar token revoke tok_4Kd0fYz2QxT7")]
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Show who changed what, latest first.
///
/// Every call that changed something is there, and calls that were refused, with the refusal's code.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bursar audit --account acme\n  bursar audit --who billing --from 2026-11-01T00:00:00Z\n  \
    Keep all of it, one JSON object per line:\n  bursar audit --limit 1000000 --json | jq -c '.data[]' > audit.ndjson"
)]
pub struct Audit {
    /// About this account
    #[arg(long)]
    account: Option<String>,
    /// By the token of this name
    #[arg(long)]
    who: Option<String>,
    /// With this outcome: done, or the code of a refusal
    #[arg(long)]
    outcome: Option<String>,
    /// The first instant (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// The first instant after it
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ScopeName {
    /// Read
    Read,
    /// Open and change accounts and their keys
    Accounts,
    /// Move credits
    Money,
    /// Put catalogs in force
    Catalog,
    /// Everything
    Admin,
}

// === impl Token ===

impl Token {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { name, scopes, expires_at, client } => {
                let scopes = scopes.into_iter().map(Scope::from).collect();
                let body = TokenCreation { name, scopes, expires_at };
                let answer: Answer<CreatedToken> = client.client()?.post("/v1/tokens", &body)?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                let created = answer.value;
                print::out(&facts(&[
                    ("token", created.token),
                    ("id", created.info.id.clone()),
                    ("scopes", scope_text(&created.info)),
                ]))?;
                print::note("The token is shown only this once: keep it now.")
            }
            Self::List { client } => list(&client),
            Self::Revoke { id, client } => {
                let answer: Answer<AdminToken> =
                    client.client()?.delete(&format!("/v1/tokens/{}", segment(&id)))?;
                if client.json {
                    return print::out(&format!("{}\n", answer.json));
                }
                let token = answer.value;
                print::out(&facts(&[
                    ("id", token.id),
                    ("name", token.name),
                    ("revoked", or_dash(token.revoked_at)),
                ]))
            }
        }
    }
}

// === impl Audit ===

impl Audit {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let times =
            [("from", self.from), ("to", self.to)].map(|(name, time)| (name, time.map(|t| t.to_string())));
        let texts = [("account", self.account), ("who", self.who), ("outcome", self.outcome)];
        let filter = times
            .into_iter()
            .chain(texts)
            .filter_map(|(name, value)| value.map(|value| format!("{name}={}", segment(&value))));
        let filter: Vec<String> = filter.collect();
        let path = format!("/v1/audit?{}", filter.join("&"));
        let page = pages::<AuditLine>(&self.client.client()?, &path, self.limit)?;
        if self.client.json {
            return print::json(&page);
        }
        let mut table = Table::new(&["time", "who", "what", "outcome", "request", "body"]);
        for line in &page.data {
            table.row([
                line.time.to_string(),
                line.who.clone(),
                if line.path.is_empty() { line.operation.clone() } else { line.path.clone() },
                line.outcome.clone(),
                line.request_id.clone(),
                or_dash(line.body.as_ref()),
            ]);
        }
        print::out(&table.text("nothing"))?;
        print::more(page.has_more)
    }
}

fn list(args: &ClientArgs) -> Outcome {
    let answer: Answer<PageBody<AdminToken>> = args.client()?.get("/v1/tokens")?;
    if args.json {
        return print::out(&format!("{}\n", answer.json));
    }
    let mut table = Table::new(&["id", "name", "scopes", "created", "expires", "revoked"]);
    for token in &answer.value.data {
        table.row([
            token.id.clone(),
            token.name.clone(),
            scope_text(token),
            token.created_at.to_string(),
            or_dash(token.expires_at),
            or_dash(token.revoked_at),
        ]);
    }
    print::out(&table.text("no tokens beside the configured one"))
}

fn scope_text(token: &AdminToken) -> String {
    token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Accounts => Self::Accounts,
            ScopeName::Money => Self::Money,
            ScopeName::Catalog => Self::Catalog,
            ScopeName::Admin => Self::Admin,
        }
    }
}

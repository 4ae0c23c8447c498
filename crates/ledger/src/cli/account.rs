//! `bursar account`.

use clap::Subcommand;
use jiff::Timestamp;

use super::client::{Answer, Client, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{Account as Shown, AccountChange, AccountCreation, AccountStatus};
use crate::http::PageBody;

/// Open, show, list, suspend and close accounts.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Open an account on a plan
    #[command(after_help = "Example:\n  bursar account create acme --plan starter")]
    Create {
        /// Its id: 1 to 64 letters, digits, `.`, `_`, `:` or `-`
        id: String,
        /// The plan's name in the catalog
        #[arg(long)]
        plan: String,
        /// When the customer joined (RFC 3339) [default: now]
        #[arg(long, value_name = "TIME")]
        created_at: Option<Timestamp>,
        /// The way to take the plan (`yearly`) [default: the plan's own]
        #[arg(long)]
        cadence: Option<String>,
        /// From when billing periods are counted (RFC 3339) [default: when the customer joined]
        #[arg(long, value_name = "TIME")]
        anchor: Option<Timestamp>,
        /// The IANA zone of its days (`Europe/Berlin`) [default: UTC]
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show an account
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List accounts by id
    List {
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Refuse an account's requests until it is resumed
    Suspend {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Serve a suspended account again
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Refuse an account's requests for good
    Close {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

// === impl Account ===

impl Account {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { id, plan, created_at, cadence, anchor, time_zone, client } => {
                let body = AccountCreation { id: Some(id), plan, created_at, cadence, anchor, time_zone };
                show(&client.client()?.post("/v1/accounts", &body)?, client.json)
            }
            Self::Show { id, client } => {
                show(&client.client()?.get(&format!("/v1/accounts/{}", segment(&id)))?, client.json)
            }
            Self::List { limit, client } => list(limit, &client),
            Self::Suspend { id, client } => set_status(&id, AccountStatus::Suspended, &client),
            Self::Resume { id, client } => set_status(&id, AccountStatus::Active, &client),
            Self::Close { id, client } => set_status(&id, AccountStatus::Closed, &client),
        }
    }
}

fn set_status(id: &str, status: AccountStatus, args: &ClientArgs) -> Outcome {
    let path = format!("/v1/accounts/{}", segment(id));
    show(
        &args.client()?.patch(&path, &AccountChange { status: Some(status), ..AccountChange::default() })?,
        args.json,
    )
}

fn show(answer: &Answer<Shown>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let account = &answer.value;
    let period = account.period.map(|period| format!("{} to {}", period.from, period.to));
    let scheduled = account.scheduled.as_ref().map(|next| {
        let when = next.at.map_or_else(|| "once it is paid".to_owned(), |at| format!("at {at}"));
        format!("{} {when} (change {})", next.plan, next.change)
    });
    print::out(&facts(&[
        ("account", account.id.clone()),
        ("plan", account.plan.clone()),
        ("status", status_text(account.status).to_owned()),
        ("created", account.created_at.to_string()),
        ("period", or_dash(period)),
        ("scheduled", or_dash(scheduled)),
    ]))
}

fn list(limit: usize, args: &ClientArgs) -> Outcome {
    let page = pages::<Shown>(&args.client()?, "/v1/accounts", limit)?;
    if args.json {
        return print::json(&page);
    }
    let mut table = Table::new(&["account", "plan", "status", "created"]);
    for account in &page.data {
        let status = status_text(account.status).to_owned();
        table.row([account.id.clone(), account.plan.clone(), status, account.created_at.to_string()]);
    }
    print::out(&table.text("no accounts"))?;
    print::more(page.has_more)
}

/// Follows a list's pages until `limit` items are there.
pub fn pages<T: serde::de::DeserializeOwned>(
    client: &Client,
    path: &str,
    limit: usize,
) -> Outcome<PageBody<T>> {
    let mut all = PageBody { data: Vec::new(), next_cursor: None, has_more: true };
    while all.has_more && all.data.len() < limit {
        let wanted = (limit - all.data.len()).min(crate::service::PAGE_MAX);
        let cursor = all.next_cursor.as_deref().map(segment);
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let join = if path.contains('?') { '&' } else { '?' };
        let page: Answer<PageBody<T>> = client.get(&format!("{path}{join}limit={wanted}{cursor}"))?;
        all.data.extend(page.value.data);
        all.next_cursor = page.value.next_cursor;
        all.has_more = page.value.has_more;
    }
    Ok(all)
}

const fn status_text(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Closed => "closed",
    }
}

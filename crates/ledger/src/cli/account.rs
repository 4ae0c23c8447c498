//! `bursar account`.

use clap::Subcommand;
use jiff::Timestamp;

use super::client::{Answer, Client, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{Account as Shown, AccountChange, AccountCreation, AccountStatus, Period, Renewal};
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
    /// List accounts by id, or find them
    #[command(after_help = "Examples:\n  bursar account list --plan starter --status suspended\n  \
        bursar account list --label team=search\n  bursar account list --reference cus_9183")]
    List {
        /// On this plan
        #[arg(long)]
        plan: Option<String>,
        /// With this standing: active, suspended, closed
        #[arg(long)]
        status: Option<String>,
        /// With this reference
        #[arg(long)]
        reference: Option<String>,
        /// With this label
        #[arg(long, value_name = "NAME=VALUE")]
        label: Option<String>,
        /// With an id that begins so
        #[arg(long)]
        prefix: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Set what an account is found by: labels and your own reference
    #[command(
        after_help = "Examples:\n  bursar account label acme team=search tier=gold --reference cus_9183\n  \
        All labels are replaced by those given:\n  bursar account label acme"
    )]
    Label {
        /// Its id
        id: String,
        /// Its labels, all of them
        #[arg(value_name = "NAME=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// Its name in your other systems [default: stays]
        #[arg(long)]
        reference: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Decide, count and charge an account's requests, but refuse none; or refuse again
    #[command(after_help = "Examples:\n  bursar account shadow acme\n  bursar account shadow acme --off")]
    Shadow {
        /// Its id
        id: String,
        /// Refuse again
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Change what is set of an account: zone, payment method, opted-in pools, own terms
    Set(super::settings::Set),
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
            Self::List { plan, status, reference, label, prefix, limit, client } => {
                let filter = [
                    ("plan", plan),
                    ("status", status),
                    ("reference", reference),
                    ("label", label),
                    ("prefix", prefix),
                ];
                list(&filter, limit, &client)
            }
            Self::Label { id, labels, reference, client } => {
                let labels = Some(labels.into_iter().collect());
                change(
                    &id,
                    &AccountChange { labels, reference: reference.map(Some), ..AccountChange::default() },
                    &client,
                )
            }
            Self::Shadow { id, off, client } => {
                change(&id, &AccountChange { shadow: Some(!off), ..AccountChange::default() }, &client)
            }
            Self::Set(command) => command.run(),
            Self::Suspend { id, client } => set_status(&id, AccountStatus::Suspended, &client),
            Self::Resume { id, client } => set_status(&id, AccountStatus::Active, &client),
            Self::Close { id, client } => set_status(&id, AccountStatus::Closed, &client),
        }
    }
}

fn set_status(id: &str, status: AccountStatus, args: &ClientArgs) -> Outcome {
    change(id, &AccountChange { status: Some(status), ..AccountChange::default() }, args)
}

fn change(id: &str, change: &AccountChange, args: &ClientArgs) -> Outcome {
    show(&args.client()?.patch(&format!("/v1/accounts/{}", segment(id)), change)?, args.json)
}

/// A label as it is written on the command line.
fn label(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| "expected NAME=VALUE".to_owned())
}

/// Shows an account.
pub fn show(answer: &Answer<Shown>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let account = &answer.value;
    let settings = &account.settings;
    let span = |period: &Period| format!("{} to {}", period.from, period.to);
    let scheduled = account.scheduled.as_ref().map(|next| {
        let when = next.at.map_or_else(|| "once it is paid".to_owned(), |at| format!("at {at}"));
        format!("{} {when} (change {})", next.plan, next.change)
    });
    let renewal = match settings.renewal {
        Renewal::Auto => "by itself",
        Renewal::OnPayment => "once it is paid",
    };
    let stays = settings.programmes.iter().map(|stay| format!("{} until {}", stay.programme, stay.until));
    let listed = |parts: Vec<String>| or_dash((!parts.is_empty()).then(|| parts.join(", ")));
    print::out(&facts(&[
        ("account", account.id.clone()),
        ("plan", account.plan.clone()),
        ("cadence", settings.cadence.clone().unwrap_or_else(|| "the plan's own".to_owned())),
        ("status", status_text(account.status).to_owned()),
        ("created", account.created_at.to_string()),
        ("period", or_dash(account.period.as_ref().map(span))),
        ("billed for", or_dash(account.billing_period.or(account.period).as_ref().map(span))),
        ("renews", renewal.to_owned()),
        ("scheduled", or_dash(scheduled)),
        ("lapsed", or_dash(account.lapsed_at.map(|at| format!("since {at}")))),
        ("time zone", settings.time_zone.clone().unwrap_or_else(|| "UTC".to_owned())),
        ("card on file", if settings.card_on_file { "yes" } else { "no" }.to_owned()),
        (
            "overage cap",
            settings.overage_cap.map_or_else(|| "the catalog's".to_owned(), |cap| cap.to_string()),
        ),
        ("opted in", listed(settings.opted_in.clone())),
        ("programmes", listed(stays.collect())),
        ("own terms", if settings.overrides.is_some() { "yes" } else { "no" }.to_owned()),
        ("shadow", if settings.shadow { "yes: nothing is refused" } else { "no" }.to_owned()),
        ("reference", or_dash(settings.reference.clone())),
        ("labels", labels(account)),
    ]))
}

fn labels(account: &Shown) -> String {
    let labels = account.settings.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let labels = labels.collect::<Vec<_>>().join(" ");
    if labels.is_empty() { "-".to_owned() } else { labels }
}

fn list(filter: &[(&str, Option<String>)], limit: usize, args: &ClientArgs) -> Outcome {
    let given =
        filter.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_ref()?))));
    let path = format!("/v1/accounts?{}", given.collect::<Vec<_>>().join("&"));
    let page = pages::<Shown>(&args.client()?, &path, limit)?;
    if args.json {
        return print::json(&page);
    }
    let mut table = Table::new(&["account", "plan", "status", "created", "reference", "labels"]);
    for account in &page.data {
        let status = status_text(account.status).to_owned();
        let created = account.created_at.to_string();
        let reference = or_dash(account.settings.reference.clone());
        table.row([account.id.clone(), account.plan.clone(), status, created, reference, labels(account)]);
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

//! `bursar entries`, `bursar export`, `bursar incidents`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::credits::usage_text;
use super::failure::Outcome;
use super::print::{self, Table, or_dash};
use crate::dto;
use crate::http::PageBody;

/// Show an account's journal, latest first, or the lines of one request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar entries acme\n  \
    bursar entries acme --kind charge --model claude-sonnet --from 2026-11-01T00:00:00Z\n  \
    bursar entries --request req_7Kd0fYz2QxT7\n  bursar entries acme --limit 1000 --json | jq '.data[] | .amount'")]
pub struct Entries {
    /// The account; not needed with --request
    #[arg(required_unless_present = "request")]
    account: Option<String>,
    /// Of this request (`x-bursar-request-id`), with what gave it back
    #[arg(long, value_name = "ID", conflicts_with_all = ["kind", "key", "model", "from", "to"])]
    request: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

/// Write the journal to standard output, latest first: of one account or of all.
///
/// A stream of any length. The exit status is 1 where it broke off; what came before is not all then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar export > journal.ndjson\n  \
    bursar export --account acme --format csv --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z > november.csv")]
pub struct Export {
    /// Of this account [default: all]
    #[arg(long)]
    account: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    client: ClientArgs,
}

/// Show what people should look at, latest first: settlements lost, refused, contradictory, disputed.
///
/// gap: a node says that it lost settlements. conflict: the same number with other content. disputed: a price above
/// the catalog's bound for one request. price_mismatch: the edge reckoned another price. unpriced: usage without a
/// price. duplicate_request: a second charge of a request, which was not made.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bursar incidents\n  bursar incidents --code gap --from 2026-11-20T00:00:00Z"
)]
pub struct Incidents {
    /// Of this kind
    #[arg(long)]
    code: Option<String>,
    /// About this account
    #[arg(long)]
    account: Option<String>,
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

/// Which lines.
#[derive(Debug, Args)]
struct Filter {
    /// Of this kind: opened, grant, charge, expiry, void, plan, status, adjustment, reversal …
    #[arg(long)]
    kind: Option<String>,
    /// By the key with this id
    #[arg(long)]
    key: Option<String>,
    /// Charged as this model
    #[arg(long)]
    model: Option<String>,
    /// The first instant (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// The first instant after it
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object per line
    Ndjson,
    /// RFC 4180, with a header line
    Csv,
}

// === impl Entries ===

impl Entries {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let client = self.client.client()?;
        let page: PageBody<dto::Entry> = match (&self.request, &self.account) {
            (Some(request), None) => {
                let found: Answer<PageBody<dto::ExportedEntry>> =
                    client.get(&format!("/v1/entries?request_id={}", segment(request)))?;
                if self.client.json {
                    return print::out(&format!("{}\n", found.json));
                }
                return table(found.value.data.into_iter().map(|line| (Some(line.account), line.entry)));
            }
            (Some(request), Some(account)) => {
                pages(&client, &format!("{}?request_id={}", path(account), segment(request)), self.limit)?
            }
            (None, account) => {
                let path = path(account.as_deref().unwrap_or_default());
                pages(&client, &format!("{path}?{}", self.filter.query().join("&")), self.limit)?
            }
        };
        if self.client.json {
            return print::json(&page);
        }
        table(page.data.into_iter().map(|line| (None, line)))?;
        print::more(page.has_more)
    }
}

fn path(account: &str) -> String {
    format!("/v1/accounts/{}/entries", segment(account))
}

fn table(lines: impl Iterator<Item = (Option<String>, dto::Entry)>) -> Outcome {
    let mut table = Table::new(&[
        ">id",
        "time",
        "kind",
        ">amount",
        "key",
        "model",
        "usage",
        "source",
        ">cost usd",
        ">provider usd",
        "request",
        "account",
    ]);
    for (account, entry) in lines {
        let tier = entry.service_tier.as_ref().map_or_else(String::new, |tier| format!(" ({tier})"));
        let model = entry.model.as_ref().map(|model| format!("{model}{tier}"));
        let what = model.or_else(|| entry.reference.clone()).or_else(|| entry.reason.clone());
        table.row([
            entry.id.clone(),
            entry.time.to_string(),
            word(entry.kind),
            entry.amount.to_string(),
            or_dash(entry.key.clone()),
            or_dash(what),
            usage_text(&entry.usage),
            or_dash(entry.usage_source.clone()),
            or_dash(entry.cost_usd),
            or_dash(entry.provider_cost_usd.clone()),
            or_dash(entry.request_id.clone()),
            account.unwrap_or_default(),
        ]);
    }
    print::out(&table.text("no entries"))
}

/// A kind, as the API writes it.
fn word(kind: dto::EntryKind) -> String {
    let word = serde_json::to_value(kind).ok();
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

// === impl Export ===

impl Export {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let format = match self.format {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        };
        let mut query = self.filter.query();
        query.push(format!("format={format}"));
        query.extend(self.account.map(|account| format!("account={}", segment(&account))));
        self.client.client()?.download(&format!("/v1/entries/export?{}", query.join("&")))
    }
}

// === impl Incidents ===

impl Incidents {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let mut query = times(self.from, self.to);
        for (name, value) in [("code", &self.code), ("account", &self.account)] {
            query.extend(value.as_ref().map(|value| format!("{name}={}", segment(value))));
        }
        let path = format!("/v1/incidents?{}", query.join("&"));
        let page = pages::<dto::Incident>(&self.client.client()?, &path, self.limit)?;
        if self.client.json {
            return print::json(&page);
        }
        let mut table = Table::new(&["time", "code", "account", "node", "lane", ">seq", "detail"]);
        for incident in &page.data {
            table.row([
                incident.time.to_string(),
                incident.code.clone(),
                or_dash(incident.account.clone()),
                or_dash(incident.node.clone()),
                or_dash(incident.lane.clone()),
                or_dash(incident.seq),
                incident.detail.clone(),
            ]);
        }
        print::out(&table.text("no incidents"))?;
        print::more(page.has_more)
    }
}

// === impl Filter ===

impl Filter {
    fn query(&self) -> Vec<String> {
        let mut query = times(self.from, self.to);
        for (name, value) in [("kind", &self.kind), ("key", &self.key), ("model", &self.model)] {
            query.extend(value.as_ref().map(|value| format!("{name}={}", segment(value))));
        }
        query
    }
}

fn times(from: Option<Timestamp>, to: Option<Timestamp>) -> Vec<String> {
    let pair = |(name, time): (&str, Option<Timestamp>)| {
        time.map(|time| format!("{name}={}", segment(&time.to_string())))
    };
    [("from", from), ("to", to)].into_iter().filter_map(pair).collect()
}

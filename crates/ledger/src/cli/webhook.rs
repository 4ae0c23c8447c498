//! `bursar webhook`, `bursar events`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::account::pages;
use super::client::{Answer, ClientArgs, segment};
use super::failure::Outcome;
use super::print::{self, Table, facts, or_dash};
use crate::dto::{
    Delivery, DeliveryState, Endpoint, EndpointChange, EndpointCreation, Event, Redelivered, Redelivery,
    SecretRotation,
};
use crate::http::{PageBody, ShownEndpoint};

/// Deliver events to your own programs, signed; see what came of it.
///
/// Deliveries follow Standard Webhooks (standardwebhooks.com): headers webhook-id, webhook-timestamp and
/// webhook-signature, for which there are libraries in every language. An event may come more than once,
/// always with the same webhook-id, and not always in order. Answer 2xx within 15 seconds; anything else is
/// tried again, twelve times in about three days, then given up until you ask for it (redeliver). 410 ends it.
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Add an endpoint; its secret is shown once
    #[command(after_help = "Examples:\n  bursar webhook create --url https://example.com/hooks\n  \
        bursar webhook create --url https://example.com/mail --event 'credits.*' --event limit.threshold")]
    Create {
        /// The address
        #[arg(long)]
        url: String,
        /// A type of event that it gets, `*` for any characters; may be repeated [default: all]
        #[arg(long = "event", value_name = "TYPE")]
        events: Vec<String>,
        /// For people
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List endpoints
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Change an endpoint's address or events; stop and start deliveries
    #[command(after_help = "Examples:\n  bursar webhook change ep_4Kd0fYz2QxT7 --disable\n  \
        bursar webhook change ep_4Kd0fYz2QxT7 --enable --event 'credits.*'")]
    Change {
        /// Its id
        id: String,
        /// The address
        #[arg(long)]
        url: Option<String>,
        /// A type of event that it gets; may be repeated, and replaces those before
        #[arg(long = "event", value_name = "TYPE")]
        events: Vec<String>,
        /// For people
        #[arg(long)]
        description: Option<String>,
        /// Deliver again; what waited comes first
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Deliver nothing until it is enabled
        #[arg(long)]
        disable: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Remove an endpoint with its deliveries
    Remove {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Give an endpoint another secret; both sign for a while
    #[command(after_help = "Example:\n  bursar webhook rotate ep_4Kd0fYz2QxT7 --overlap 3600")]
    Rotate {
        /// Its id
        id: String,
        /// How long the secret before signs too, in seconds [default: a day]
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u64>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Send a test event to one endpoint
    Test {
        /// Its id
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List what was sent to an endpoint, latest first
    #[command(after_help = "Example:\n  bursar webhook deliveries ep_4Kd0fYz2QxT7 --state dead")]
    Deliveries {
        /// Its id
        id: String,
        /// Those that stand so
        #[arg(long, value_enum)]
        state: Option<State>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Deliver anew: one delivery, or all that were given up
    #[command(after_help = "Examples:\n  bursar webhook redeliver ep_4Kd0fYz2QxT7 --delivery 118\n  \
        bursar webhook redeliver ep_4Kd0fYz2QxT7 --since 2026-11-20T00:00:00Z")]
    Redeliver {
        /// Its id
        id: String,
        /// This delivery, however it stands [default: all that were given up]
        #[arg(long, conflicts_with = "since")]
        delivery: Option<String>,
        /// Of those that were given up, events from this instant on (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Show what happened, latest first: plans, keys, credits that ran low, limits that were crossed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bursar events --account acme\n  bursar events --type credits.exhausted")]
pub struct Events {
    /// Of this account
    #[arg(long)]
    account: Option<String>,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// It is tried, or tried again
    Pending,
    /// The receiver took it
    Delivered,
    /// It was given up
    Dead,
}

// === impl Webhook ===

impl Webhook {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { url, events, description, client } => {
                let body = EndpointCreation { url, description, events, secret: None };
                shown(&client.client()?.post("/v1/webhooks", &body)?, client.json)
            }
            Self::List { client } => list(&client),
            Self::Change { id, url, events, description, enable, disable, client } => {
                let enabled = (enable || disable).then_some(enable);
                let events = (!events.is_empty()).then_some(events);
                let body = EndpointChange { url, description, events, enabled };
                one(&client.client()?.patch(&path(&id, ""), &body)?, client.json)
            }
            Self::Remove { id, client } => one(&client.client()?.delete(&path(&id, ""))?, client.json),
            Self::Rotate { id, overlap, client } => {
                let body = SecretRotation { overlap_seconds: overlap, secret: None };
                shown(&client.client()?.post(&path(&id, "/secret"), &body)?, client.json)
            }
            Self::Test { id, client } => {
                let sent: Answer<Event> =
                    client.client()?.post(&path(&id, "/test"), &serde_json::json!({}))?;
                if client.json {
                    return print::out(&format!("{}\n", sent.json));
                }
                print::out(&format!("{} is on its way: bursar webhook deliveries {id}\n", sent.value.id))
            }
            Self::Deliveries { id, state, limit, client } => deliveries(&id, state, limit, &client),
            Self::Redeliver { id, delivery, since, client } => {
                let body = Redelivery { delivery, since };
                let done: Answer<Redelivered> = client.client()?.post(&path(&id, "/redeliveries"), &body)?;
                if client.json {
                    return print::out(&format!("{}\n", done.json));
                }
                print::out(&format!("{} on their way\n", done.value.queued))
            }
        }
    }
}

// === impl Events ===

impl Events {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let mut filter = Vec::new();
        for (name, value) in [("account", &self.account), ("type", &self.kind)] {
            filter.extend(value.as_ref().map(|value| format!("{name}={}", segment(value))));
        }
        let page =
            pages::<Event>(&self.client.client()?, &format!("/v1/events?{}", filter.join("&")), self.limit)?;
        if self.client.json {
            return print::json(&page);
        }
        let mut table = Table::new(&["time", "type", "id", "data"]);
        for event in &page.data {
            let data = event.data.to_string();
            table.row([event.timestamp.to_string(), event.kind.clone(), event.id.clone(), data]);
        }
        print::out(&table.text("no events"))?;
        print::more(page.has_more)
    }
}

fn path(id: &str, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", segment(id))
}

fn shown(answer: &Answer<ShownEndpoint>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let endpoint = &answer.value;
    print::out(&facts(&[
        ("secret", endpoint.secret.clone()),
        ("id", endpoint.info.id.clone()),
        ("url", endpoint.info.url.clone()),
    ]))?;
    print::note("The secret is shown only this once: keep it now.")
}

fn one(answer: &Answer<Endpoint>, json: bool) -> Outcome {
    if json {
        return print::out(&format!("{}\n", answer.json));
    }
    let endpoint = &answer.value;
    print::out(&facts(&[
        ("id", endpoint.id.clone()),
        ("url", endpoint.url.clone()),
        ("description", or_dash(endpoint.description.clone())),
        ("events", events(endpoint)),
        ("state", state(endpoint)),
        ("created", endpoint.created_at.to_string()),
    ]))
}

fn list(args: &ClientArgs) -> Outcome {
    let answer: Answer<PageBody<Endpoint>> = args.client()?.get("/v1/webhooks")?;
    if args.json {
        return print::out(&format!("{}\n", answer.json));
    }
    let mut table = Table::new(&["id", "url", "events", "state", "description"]);
    for endpoint in &answer.value.data {
        table.row([
            endpoint.id.clone(),
            endpoint.url.clone(),
            events(endpoint),
            state(endpoint),
            or_dash(endpoint.description.clone()),
        ]);
    }
    print::out(&table.text("no endpoints"))
}

fn events(endpoint: &Endpoint) -> String {
    if endpoint.events.is_empty() { "*".to_owned() } else { endpoint.events.join(" ") }
}

fn state(endpoint: &Endpoint) -> String {
    let reason = endpoint.disabled_reason.as_ref().map(|reason| format!(": {reason}"));
    match endpoint.enabled {
        true => "enabled".to_owned(),
        false => format!("disabled{}", reason.unwrap_or_default()),
    }
}

fn deliveries(id: &str, state: Option<State>, limit: usize, args: &ClientArgs) -> Outcome {
    let state = match state {
        Some(State::Pending) => "?state=pending",
        Some(State::Delivered) => "?state=delivered",
        Some(State::Dead) => "?state=dead",
        None => "",
    };
    let page = pages::<Delivery>(&args.client()?, &path(id, &format!("/deliveries{state}")), limit)?;
    if args.json {
        return print::json(&page);
    }
    let mut table = Table::new(&[">id", "event", "type", "account", "state", ">attempts", "next", "said"]);
    for delivery in &page.data {
        table.row([
            delivery.id.clone(),
            delivery.event.clone(),
            delivery.kind.clone(),
            or_dash(delivery.account.clone()),
            DeliveryState::as_str(delivery.state).to_owned(),
            delivery.attempts.to_string(),
            or_dash(delivery.due_at),
            or_dash(delivery.error.clone().or_else(|| delivery.status.map(|status| status.to_string()))),
        ]);
    }
    print::out(&table.text("no deliveries"))?;
    print::more(page.has_more)
}

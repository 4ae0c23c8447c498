//! The engine as [`Webhooks`]: endpoints, events, deliveries. What sends them is `deliver`.

use book::{Error, Now, Refusal, StoreError};
use ureq::http::Uri;

use super::{Engine, report, sign, view};
use crate::dto;
use crate::service::{EventQuery, Idempotency, NewEndpoint, Page, PageRequest, Reply, Webhooks, Written};
use crate::store::{DeliveryRow, Endpoint, EventFilter, SqliteTx};

/// The most endpoints.
const ENDPOINTS_MAX: u64 = 16;
/// The longest address.
const URL_BYTES_MAX: usize = 2_048;
/// The most patterns of an endpoint.
const PATTERNS_MAX: usize = 32;
/// The longest pattern.
const PATTERN_BYTES_MAX: usize = 64;
/// The longest description.
const DESCRIPTION_CHARS_MAX: usize = 128;
/// The longest that two secrets sign, in seconds: a week.
const OVERLAP_SECONDS_MAX: u64 = 604_800;

impl Webhooks for Engine {
    fn events(&self, query: EventQuery, page: PageRequest<u64>) -> Reply<'_, Page<dto::Event, u64>> {
        Box::pin(async move {
            let filter = EventFilter { account: query.account, name: query.name };
            let limit = page.limit.saturating_add(1);
            let read = report::read(&self.reader, move |reader| reader.events(&filter, page.after, limit));
            let Page { data: found, next } = Page::cut(read.await?, page.limit, |row| row.no);
            let events = found.iter().map(|row| serde_json::from_str(&row.body).map_err(StoreError::new));
            let data = events.collect::<Result<_, _>>().map_err(crate::service::ServiceError::internal)?;
            Ok(Page { data, next })
        })
    }

    fn endpoints(&self) -> Reply<'_, Vec<dto::Endpoint>> {
        self.look(|tx, now| {
            let shown = tx.endpoints()?.iter().map(|endpoint| shown(endpoint, now)).collect();
            Ok(shown)
        })
    }

    fn create_endpoint(
        &self,
        write: Option<Idempotency>,
        new: NewEndpoint,
    ) -> Reply<'_, Written<dto::Endpoint>> {
        self.write(write, move |tx, now| {
            if tx.count_endpoints()? >= ENDPOINTS_MAX {
                let detail = format!("there are {ENDPOINTS_MAX} endpoints: remove one");
                return Err(Refusal::conflict("too_many_endpoints", detail).into());
            }
            let endpoint = Endpoint {
                id: new.id,
                created_at: now.wall,
                enabled: true,
                disabled_reason: None,
                url: new.url,
                description: new.description,
                events: new.events,
                secret: new.secret,
                old_secret: None,
            };
            check(&endpoint)?;
            tx.put_endpoint(&endpoint)?;
            Ok(Written::Done(shown(&endpoint, now)))
        })
    }

    fn change_endpoint(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
        change: dto::EndpointChange,
    ) -> Reply<'_, Written<dto::Endpoint>> {
        self.write(write, move |tx, now| {
            let before = known(tx, &endpoint)?;
            let mut after = before.clone();
            after.url = change.url.unwrap_or(after.url);
            after.description = change.description.or(after.description);
            after.events = change.events.unwrap_or(after.events);
            if let Some(enabled) = change.enabled {
                after.enabled = enabled;
                after.disabled_reason = after.disabled_reason.filter(|_| !enabled);
            }
            if after == before {
                return Ok(Written::Existing(shown(&before, now)));
            }
            check(&after)?;
            tx.put_endpoint(&after)?;
            Ok(Written::Done(shown(&after, now)))
        })
    }

    fn remove_endpoint(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
    ) -> Reply<'_, Written<dto::Endpoint>> {
        self.write(write, move |tx, now| {
            let endpoint = known(tx, &endpoint)?;
            tx.remove_endpoint(&endpoint.id)?;
            Ok(Written::Done(shown(&endpoint, now)))
        })
    }

    fn rotate_secret(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
        secret: String,
        overlap_seconds: u64,
    ) -> Reply<'_, Written<dto::Endpoint>> {
        self.write(write, move |tx, now| {
            if overlap_seconds > OVERLAP_SECONDS_MAX {
                let detail = format!("must be at most {OVERLAP_SECONDS_MAX}, which is a week");
                return Err(Refusal::invalid("overlap_seconds", detail).into());
            }
            let mut endpoint = known(tx, &endpoint)?;
            let overlap_ms = i64::try_from(overlap_seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
            let old = std::mem::replace(&mut endpoint.secret, secret);
            endpoint.old_secret = (overlap_ms > 0).then(|| (old, now.wall.saturating_add(overlap_ms)));
            check(&endpoint)?;
            tx.put_endpoint(&endpoint)?;
            Ok(Written::Done(shown(&endpoint, now)))
        })
    }

    fn test_endpoint(&self, write: Option<Idempotency>, endpoint: String) -> Reply<'_, Written<dto::Event>> {
        self.write(write, move |tx, now| {
            let endpoint = known(tx, &endpoint)?;
            let body = tx.queue_test(&endpoint.id, now.wall)?;
            Ok(Written::Done(serde_json::from_str(&body).map_err(StoreError::new)?))
        })
    }

    fn deliveries(
        &self,
        endpoint: String,
        state: Option<dto::DeliveryState>,
        page: PageRequest<u64>,
    ) -> Reply<'_, Page<dto::Delivery, u64>> {
        Box::pin(async move {
            let id = endpoint.clone();
            self.look(move |tx, _| known(tx, &id)).await?;
            let limit = page.limit.saturating_add(1);
            let state = state.map(dto::DeliveryState::as_str);
            let read = report::read(&self.reader, move |reader| {
                reader.deliveries(&endpoint, state, page.after, limit)
            });
            Ok(Page::cut(read.await?, page.limit, |row| row.id).map(delivery))
        })
    }

    fn redeliver(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
        what: dto::Redelivery,
    ) -> Reply<'_, Written<dto::Redelivered>> {
        self.write(write, move |tx, now| {
            let endpoint = known(tx, &endpoint)?;
            let unknown = |id: &String| Refusal::unknown("delivery", id);
            let one = match &what.delivery {
                Some(id) => Some(id.parse().map_err(|_| unknown(id))?),
                None => None,
            };
            let since = what.since.map_or(0, jiff::Timestamp::as_millisecond);
            let queued = tx.redeliver(&endpoint.id, one, since, now.wall)?;
            if let Some(id) = what.delivery.as_ref().filter(|_| queued == 0) {
                return Err(unknown(id).into());
            }
            Ok(Written::Done(dto::Redelivered { queued }))
        })
    }
}

fn known(tx: &SqliteTx<'_>, id: &str) -> Result<Endpoint, Error> {
    tx.endpoint(id)?.ok_or_else(|| Refusal::unknown("webhook endpoint", id).into())
}

fn check(endpoint: &Endpoint) -> Result<(), Refusal> {
    if !is_address(&endpoint.url) {
        let detail = format!(
            "must be an address http(s)://HOST… of at most {URL_BYTES_MAX} bytes, without user or fragment"
        );
        return Err(Refusal::invalid("url", detail));
    }
    if sign::key(&endpoint.secret).is_none() {
        return Err(Refusal::invalid("secret", "must be whsec_ and the base64 of 24 to 64 bytes"));
    }
    let long = |text: &String| text.chars().count() > DESCRIPTION_CHARS_MAX;
    if endpoint.description.as_ref().is_some_and(long) {
        let detail = format!("must have at most {DESCRIPTION_CHARS_MAX} characters");
        return Err(Refusal::invalid("description", detail));
    }
    if endpoint.events.len() > PATTERNS_MAX {
        return Err(Refusal::invalid("events", format!("must be at most {PATTERNS_MAX} patterns")));
    }
    let names = |pattern: &&String| {
        pattern.len() <= PATTERN_BYTES_MAX
            && book::notice::EVENT_NAMES.iter().any(|name| tariff::glob::matches(pattern, name))
    };
    match endpoint.events.iter().find(|pattern| !names(pattern)) {
        Some(pattern) => {
            let known = book::notice::EVENT_NAMES.join(", ");
            let pattern: String = pattern.chars().take(PATTERN_BYTES_MAX).collect();
            Err(Refusal::invalid("events", format!("\"{pattern}\" names no event; there are: {known}")))
        }
        None => Ok(()),
    }
}

fn is_address(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let scheme = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    url.len() <= URL_BYTES_MAX && scheme && host && !user && !url.contains('#')
}

fn shown(endpoint: &Endpoint, now: Now) -> dto::Endpoint {
    let until = endpoint.old_secret.as_ref().map(|(_, until)| *until);
    dto::Endpoint {
        id: endpoint.id.clone(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        events: endpoint.events.clone(),
        enabled: endpoint.enabled,
        disabled_reason: endpoint.disabled_reason.clone(),
        created_at: view::time(endpoint.created_at),
        old_secret_until: until.filter(|until| now.wall < *until).map(view::time),
    }
}

fn delivery(row: DeliveryRow) -> dto::Delivery {
    let state = match row.state.as_str() {
        "delivered" => dto::DeliveryState::Delivered,
        "dead" => dto::DeliveryState::Dead,
        _ => dto::DeliveryState::Pending,
    };
    dto::Delivery {
        id: row.id.to_string(),
        event: row.event,
        kind: row.name,
        account: Some(row.account).filter(|account| !account.is_empty()),
        state,
        attempts: row.attempts,
        due_at: (state == dto::DeliveryState::Pending).then(|| view::time(row.due_at)),
        tried_at: row.tried_at.map(view::time),
        status: row.status,
        error: row.error,
    }
}

//! The dispatcher: takes deliveries that are due from the outbox, sends them, notes what came of it.
//!
//! At least once: a delivery whose outcome could not be noted is sent again, under the same id. One slow
//! or dead receiver holds up no other: each has its own number of calls at a time. Redirects are failures,
//! what a receiver answers is not read beyond its status and `Retry-After`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use ureq::Agent;
use ureq::http::{Request, StatusCode, header};

use super::report::read;
use super::sign::sign;
use super::write::Writer;
use crate::metrics::{Metrics, WebhookLabels, WebhookResult};
use crate::service::ServiceError;
use crate::store::{Attempt, DueDelivery, Endpoint, Reader};

/// How webhooks are delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Between two looks into the outbox.
    pub look_every: Duration,
    /// The longest that a receiver may take to answer.
    pub answer_time_max: Duration,
    /// The waits after each failed attempt; after the last one comes one more attempt, and then no more.
    pub waits: Vec<Duration>,
}

/// Sends what is due until it is dropped.
pub struct Dispatcher {
    writer: Writer,
    reader: Arc<Reader>,
    agent: Agent,
    delivery: Delivery,
    metrics: Arc<Metrics>,
    /// Deliveries under way, by endpoint.
    under_way: Arc<Mutex<HashMap<String, HashSet<u64>>>>,
}

/// The most calls to one receiver at a time.
const CALLS_PER_ENDPOINT: usize = 4;
/// The longest wait that a receiver's `Retry-After` is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);
/// The longest text that is kept of a failure.
const ERROR_CHARS_MAX: usize = 200;

// === impl Delivery ===

impl Default for Delivery {
    /// Twelve attempts over about three days.
    fn default() -> Self {
        let waits = [5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        Self {
            look_every: Duration::from_millis(500),
            answer_time_max: Duration::from_secs(15),
            waits: waits.into_iter().map(Duration::from_secs).collect(),
        }
    }
}

// === impl Dispatcher ===

impl Dispatcher {
    /// A dispatcher that is not yet running.
    pub fn new(writer: Writer, reader: Arc<Reader>, delivery: Delivery, metrics: Arc<Metrics>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(delivery.answer_time_max));
        let agent = Agent::new_with_config(config.build());
        Self { writer, reader, agent, delivery, metrics, under_way: Arc::default() }
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut interval = tokio::time::interval(self.delivery.look_every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "looking for webhooks that are due");
            }
        }
    }

    /// Starts what is due and has room.
    async fn look(&self) -> Result<(), ServiceError> {
        let under_way = self.under_way();
        let now = Timestamp::now().as_millisecond();
        let due = read(&self.reader, move |reader| {
            let mut due = Vec::new();
            for endpoint in reader.endpoints()?.into_iter().filter(|endpoint| endpoint.enabled) {
                let busy = under_way.get(&endpoint.id);
                let room = CALLS_PER_ENDPOINT.saturating_sub(busy.map_or(0, HashSet::len));
                if room == 0 {
                    continue;
                }
                // Those under way are still due in the store.
                let rows = reader.due_deliveries(&endpoint.id, now, CALLS_PER_ENDPOINT.saturating_mul(2))?;
                let free = rows.into_iter().filter(|row| busy.is_none_or(|busy| !busy.contains(&row.id)));
                due.extend(free.take(room).map(|row| (endpoint.clone(), row)));
            }
            Ok(due)
        });
        for (endpoint, delivery) in due.await? {
            self.start(endpoint, delivery);
        }
        Ok(())
    }

    fn start(&self, endpoint: Endpoint, due: DueDelivery) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.entry(endpoint.id.clone()).or_default().insert(due.id);
        drop(under_way);
        let (agent, waits) = (self.agent.clone(), self.delivery.waits.clone());
        let (writer, metrics) = (self.writer.clone(), Arc::clone(&self.metrics));
        let under_way = Arc::clone(&self.under_way);
        tokio::spawn(async move {
            let (id, delivery) = (endpoint.id.clone(), due.id);
            let sent = tokio::task::spawn_blocking(move || attempt(&agent, &endpoint, &due, &waits)).await;
            match sent {
                Ok((attempt, gone)) => {
                    let result = match (&attempt.error, attempt.again_at) {
                        (None, _) => WebhookResult::delivered,
                        (Some(_), Some(_)) => WebhookResult::failed,
                        (Some(_), None) => WebhookResult::dead,
                    };
                    metrics.webhooks.get_or_create(&WebhookLabels { result }).inc();
                    if let Err(error) = note(&writer, id.clone(), attempt, gone).await {
                        tracing::warn!(%error, "noting what came of a webhook: it will be sent again");
                    }
                }
                Err(error) => tracing::error!(%error, "sending a webhook"),
            }
            let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(of_endpoint) = under_way.get_mut(&id) {
                of_endpoint.remove(&delivery);
                if of_endpoint.is_empty() {
                    under_way.remove(&id);
                }
            }
        });
    }

    fn under_way(&self) -> HashMap<String, HashSet<u64>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn note(writer: &Writer, endpoint: String, attempt: Attempt, gone: bool) -> Result<(), ServiceError> {
    if attempt.error.is_some() && attempt.again_at.is_none() {
        tracing::warn!(endpoint, delivery = attempt.delivery, error = attempt.error, "webhook given up");
    }
    let done = writer.run(move |tx, now| {
        tx.attempted(&attempt, now.wall)?;
        if gone && let Some(mut endpoint) = tx.endpoint(&endpoint)? {
            endpoint.enabled = false;
            endpoint.disabled_reason = Some("the receiver answered 410 Gone".to_owned());
            tx.put_endpoint(&endpoint)?;
        }
        Ok(Ok(()))
    });
    done.await
}

/// Sends one delivery. Says also whether the receiver wants no more at all (410).
fn attempt(agent: &Agent, endpoint: &Endpoint, due: &DueDelivery, waits: &[Duration]) -> (Attempt, bool) {
    let sent = send(agent, endpoint, due);
    let now = Timestamp::now().as_millisecond();
    let (status, error, retry_after) = match sent {
        Ok((status, _)) if status.is_success() => (Some(status.as_u16()), None, None),
        Ok((status, wait)) => (Some(status.as_u16()), Some(format!("answered {status}")), wait),
        Err(error) => (None, Some(error), None),
    };
    let gone = status == Some(StatusCode::GONE.as_u16());
    let wait = usize::try_from(due.attempts).ok().and_then(|made| waits.get(made)).filter(|_| !gone);
    let again_at = wait.filter(|_| error.is_some()).map(|wait| {
        let wait = jittered(*wait, due.id).max(retry_after.unwrap_or_default());
        now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    });
    let error = error.map(|error| error.chars().take(ERROR_CHARS_MAX).collect());
    (Attempt { delivery: due.id, status, error, again_at }, gone)
}

fn send(
    agent: &Agent,
    endpoint: &Endpoint,
    due: &DueDelivery,
) -> Result<(StatusCode, Option<Duration>), String> {
    // A receiver refuses old timestamps: each attempt has its own.
    let now = Timestamp::now();
    let timestamp = now.as_second();
    let old = endpoint.old_secret.as_ref().filter(|(_, until)| now.as_millisecond() < *until);
    let secrets = [Some(endpoint.secret.as_str()), old.map(|(secret, _)| secret.as_str())];
    let signatures = secrets.into_iter().flatten();
    let signatures: Vec<String> =
        signatures.filter_map(|secret| sign(secret, &due.event, timestamp, &due.body)).collect();
    let request = Request::post(&endpoint.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", &due.event)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures.join(" "))
        .body(due.body.clone())
        .map_err(|error| error.to_string())?;
    let response = agent.run(request).map_err(|error| error.to_string())?;
    let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    Ok((response.status(), wait.map(|wait| wait.min(RETRY_AFTER_MAX))))
}

/// A wait, up to a tenth shorter or longer: what failed together does not come back together.
fn jittered(wait: Duration, delivery: u64) -> Duration {
    let spread = delivery.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_shr(32) % 201;
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_mul(900 + spread) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_by_a_tenth() {
        let waits: HashSet<Duration> = (0..100).map(|id| jittered(Duration::from_secs(100), id)).collect();
        assert!(waits.len() > 30, "{waits:?}");
        let bounds = Duration::from_secs(90)..=Duration::from_secs(110);
        assert!(waits.iter().all(|wait| bounds.contains(wait)), "{waits:?}");
        let days: Duration = Delivery::default().waits.iter().sum();
        assert!((2 * 86_400..4 * 86_400).contains(&days.as_secs()), "{days:?}");
    }
}

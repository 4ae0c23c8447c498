//! Counters and histograms of the process, and the Prometheus text at `/metrics`.
//!
//! HTTP layer and engine count into one [`Metrics`]; gauges that describe the book are asked from the
//! service at each scrape. Label values come from closed sets only: no account, key, model or node.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::service::Gauges;

/// What the process counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    gauges: BookGauges,
    /// HTTP requests by route template, method and status.
    pub http_requests: Family<HttpLabels, Counter>,
    /// Seconds from request to answer, by route template.
    pub http_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Events of lanes, by what became of them.
    pub events: Family<EventLabels, Counter>,
    /// Micro-credits charged.
    pub charged: Counter,
    /// Micro-credits kept from being charged by the catalog's bound for one request.
    pub disputed: Counter,
    /// Micro-credits that were charged to debt.
    pub debt_charged: Counter,
    /// Settlements whose price at the edge was not the ledger's.
    pub price_mismatches: Counter,
    /// What providers stated that charges cost whose models have a cost card, in billionths of a US dollar.
    pub provider_cost: Counter,
    /// What these cost by their cards, in billionths of a US dollar.
    pub card_cost: Counter,
    /// Charges whose two costs are apart.
    pub cost_mismatches: Counter,
    /// Settlements above their hold, in micro-credits of excess.
    pub overshoot: Counter,
    /// Micro-credits leased to nodes that were closed before they reported.
    pub closed_leases: Counter,
    /// Nodes closed for silence.
    pub nodes_closed: Counter,
    /// Attempts to deliver webhooks, by what they came to.
    pub webhooks: Family<WebhookLabels, Counter>,
    /// Transactions committed.
    pub commits: Counter,
    /// Seconds per committed transaction, the wait for the disk included.
    pub commit_seconds: Histogram,
    /// Commands per committed transaction.
    pub commit_commands: Histogram,
}

/// Labels of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    /// The route's template, or `unmatched`.
    pub route: String,
    /// The method, or `other`.
    pub method: &'static str,
    /// The status.
    pub status: u16,
}

/// Labels of an HTTP latency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// The route's template, or `unmatched`.
    pub route: String,
}

/// Labels of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// What became of it.
    pub result: EventResult,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub enum EventResult {
    /// Posted.
    applied,
    /// Known already.
    replayed,
    /// Known already, with other content.
    conflict,
    /// Malformed or out of bounds: refused alone.
    rejected,
    /// Declared lost by its node.
    gap,
    /// Charged from the access log.
    recovered,
}

/// Labels of an attempt to deliver a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WebhookLabels {
    /// What it came to.
    pub result: WebhookResult,
}

/// What an attempt to deliver a webhook came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub enum WebhookResult {
    /// The receiver took it.
    delivered,
    /// It is tried again.
    failed,
    /// It is not tried again.
    dead,
}

#[derive(Debug, Default)]
struct BookGauges {
    up: Gauge,
    accounts: Gauge,
    keys: Gauge,
    nodes_open: Gauge,
    entries: Gauge,
    feed: Gauge,
    leased: Gauge,
    debt: Gauge,
    ring_depth: Gauge,
    parked: Gauge,
    open_requests: Gauge,
    queue: Gauge,
    catalog: Gauge,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bursar_ledger"),
            gauges: BookGauges::default(),
            http_requests: Family::default(),
            http_seconds: Family::new_with_constructor(latency_histogram),
            events: Family::default(),
            charged: Counter::default(),
            disputed: Counter::default(),
            debt_charged: Counter::default(),
            price_mismatches: Counter::default(),
            provider_cost: Counter::default(),
            card_cost: Counter::default(),
            cost_mismatches: Counter::default(),
            overshoot: Counter::default(),
            closed_leases: Counter::default(),
            nodes_closed: Counter::default(),
            webhooks: Family::default(),
            commits: Counter::default(),
            commit_seconds: latency_histogram(),
            commit_commands: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
        };
        metrics.register_counters();
        metrics.gauges.register(&mut metrics.registry);
        metrics
    }
}

impl Metrics {
    /// The text of a scrape (OpenMetrics, which Prometheus reads); without gauges the book did not answer.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub fn encode(&self, gauges: Option<&Gauges>) -> Result<String, std::fmt::Error> {
        self.gauges.up.set(i64::from(gauges.is_some()));
        self.gauges.set(gauges.unwrap_or(&Gauges::default()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn register_counters(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "HTTP requests answered", self.http_requests.clone());
        let help = "Time from request to answer";
        registry.register_with_unit("http_request", help, Unit::Seconds, self.http_seconds.clone());
        registry.register("events", "Events of lanes", self.events.clone());
        registry.register("charged_microcredits", "Charged", self.charged.clone());
        registry.register("disputed_microcredits", "Above the bound for one request", self.disputed.clone());
        registry.register("debt_charged_microcredits", "Charged to debt", self.debt_charged.clone());
        let help = "Settlements that the edge priced otherwise than the ledger";
        registry.register("price_mismatches", help, self.price_mismatches.clone());
        let help = "Cost of charges as providers stated it, where their models have a cost card";
        registry.register("provider_cost_nanodollars", help, self.provider_cost.clone());
        let help = "Cost of the same charges by their cost cards";
        registry.register("card_cost_nanodollars", help, self.card_cost.clone());
        let help = "Charges whose stated cost and cost by the card are more than 1 % and a millionth of a dollar apart";
        registry.register("cost_mismatches", help, self.cost_mismatches.clone());
        registry.register("overshoot_microcredits", "Settled above the hold", self.overshoot.clone());
        let help = "Leases of nodes that were closed before they reported";
        registry.register("closed_leases_microcredits", help, self.closed_leases.clone());
        registry.register("nodes_closed", "Nodes closed for silence", self.nodes_closed.clone());
        let help = "Attempts to deliver webhooks";
        registry.register("webhook_attempts", help, self.webhooks.clone());
        registry.register("commits", "Transactions committed", self.commits.clone());
        let help = "Time per transaction, the disk included";
        registry.register_with_unit("commit", help, Unit::Seconds, self.commit_seconds.clone());
        registry.register("commit_commands", "Commands per transaction", self.commit_commands.clone());
    }
}

// === impl BookGauges ===

impl BookGauges {
    fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("up", "1 while the store answers; the other gauges mean nothing otherwise", &self.up),
            ("accounts", "Accounts", &self.accounts),
            ("keys", "Keys that work", &self.keys),
            ("nodes_open", "Nodes that may spend", &self.nodes_open),
            ("entries", "Lines of the journal", &self.entries),
            ("feed_position", "Last position of the change feed", &self.feed),
            ("leased_microcredits", "Leased to nodes, at base price", &self.leased),
            ("debt_microcredits", "Owed by accounts", &self.debt),
            ("node_ring_depth", "Events that nodes hold unacknowledged", &self.ring_depth),
            ("node_parked", "Requests parked on nodes", &self.parked),
            ("node_open_requests", "Requests open on nodes", &self.open_requests),
            ("writer_queue", "Commands that wait for the writer", &self.queue),
            ("catalog_version", "The catalog version in force", &self.catalog),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    fn set(&self, now: &Gauges) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        // Sums beyond 64 bits show as the largest value.
        let sum = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
        self.accounts.set(whole(now.accounts));
        self.keys.set(whole(now.keys));
        self.nodes_open.set(whole(now.nodes_open));
        self.entries.set(whole(now.entries));
        self.feed.set(whole(now.feed));
        self.leased.set(sum(now.leased));
        self.debt.set(sum(now.debt));
        self.ring_depth.set(whole(now.ring_depth));
        self.parked.set(whole(now.parked));
        self.open_requests.set(whole(now.open_requests));
        self.queue.set(whole(now.queue));
        self.catalog.set(whole(now.catalog));
    }
}

/// From half a millisecond to sixteen seconds, doubling.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_counters_and_gauges() {
        let metrics = Metrics::default();
        metrics.events.get_or_create(&EventLabels { result: EventResult::replayed }).inc_by(3);
        let text =
            metrics.encode(Some(&Gauges { debt: i128::MAX, nodes_open: 2, ..Gauges::default() })).unwrap();
        assert!(text.contains("bursar_ledger_events_total{result=\"replayed\"} 3"), "{text}");
        assert!(text.contains("bursar_ledger_nodes_open 2"), "{text}");
        assert!(text.contains(&format!("bursar_ledger_debt_microcredits {}", i64::MAX)), "{text}");
    }
}

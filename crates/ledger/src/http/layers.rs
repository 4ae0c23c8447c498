//! What is around every call: the time limit, the edge's marker, the log line and the metrics.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::respond::Problem;
use crate::metrics::{HttpLabels, RouteLabels};

/// The longest that a call may take, its body's arrival included.
const CALL_TIME_MAX: Duration = Duration::from_secs(15);
/// What begins the paths that nodes call.
const EDGE_PREFIX: &str = "/v1/edge/";

/// Ends calls that take too long. A write that was under way may still have its effect: the client
/// repeats it under the same idempotency key or reference.
pub async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the call took too long; its effect may still come";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).into_response()
        }
    }
}

/// Marks every answer on the edge's paths, refusals too, as the ledger's own: a proxy's local reply
/// does not carry the header.
pub async fn mark_edge_answers(State(app): State<App>, request: Request, next: Next) -> Response {
    let edge = request.uri().path().starts_with(EDGE_PREFIX);
    let mut response = next.run(request).await;
    if edge && let Ok(generation) = HeaderValue::from_str(app.service.generation()) {
        response.headers_mut().insert(wire::MARKER_HEADER, generation);
    }
    response
}

/// Counts and logs every call: method, route template, status, duration. Nothing that a client chose
/// goes into a label or the log: no path, query, header or body.
pub async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let took = started.elapsed();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // Scrapes, probes and the nodes' ticks come each second: they are worth a line only on demand.
    if route.starts_with("/v1/") && !route.starts_with(EDGE_PREFIX) {
        tracing::info!(method, route, status, duration_ms, "request");
    } else {
        tracing::debug!(method, route, status, duration_ms, "request");
    }
    app.metrics.http_seconds.get_or_create(&RouteLabels { route: route.clone() }).observe(took.as_secs_f64());
    app.metrics.http_requests.get_or_create(&HttpLabels { route, method, status }).inc();
    response
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

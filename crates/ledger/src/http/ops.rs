//! Open routes for the people and machines that run the ledger: health, readiness, metrics, description.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::openapi::ReadyRefusals;
use super::respond::{Answer, Problem};
use crate::service::ServiceError;

/// The longest that a probe waits for the store: below the second after which Kubernetes stops waiting.
const PROBE_TIME_MAX: Duration = Duration::from_millis(800);

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// Whether the process lives.
///
/// Says nothing of the store: restart the process only when this fails.
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "health", security(()),
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain"))
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the store answers.
///
/// Send traffic only while it does.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readiness", security(()),
    responses((status = 200, description = "The store answers", body = String, content_type = "text/plain"),
              ReadyRefusals)
)]
async fn readyz(State(app): State<App>) -> Answer<&'static str> {
    match timeout(PROBE_TIME_MAX, app.service.ready()).await {
        Ok(ready) => ready?,
        Err(_) => return Err(ServiceError::Unavailable("the store does not answer".to_owned()).into()),
    }
    Ok("ready\n")
}

/// Counters, gauges and histograms, as Prometheus reads them.
///
/// Where the store does not answer, gauges of
/// the book are 0 and `bursar_ledger_up` says so.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics", security(()),
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"))
)]
async fn metrics(State(app): State<App>) -> Answer<impl IntoResponse> {
    const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let gauges = timeout(PROBE_TIME_MAX, app.service.gauges()).await.ok().and_then(Result::ok);
    let text = app.metrics.encode(gauges.as_ref()).map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "description", security(()),
    responses((status = 200, description = "The OpenAPI description", body = Object))
)]
async fn openapi(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi)
}

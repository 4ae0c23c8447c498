//! `/v1/webhooks` and `/v1/events`: what happens, where it is delivered, what came of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{BareWrite, Path, Query, Write};
use super::keys::shown;
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::page::{PageBody, PageQuery};
use super::respond::{Answer, Problem, written};
use crate::dto::{
    Delivery, DeliveryState, Endpoint, EndpointChange, EndpointCreation, Event, Redelivered, Redelivery,
    SecretRotation,
};
use crate::engine::fresh_secret;
use crate::keys;
use crate::service::{EventQuery, NewEndpoint, Written};

/// How long two secrets sign where the caller does not say, in seconds: a day.
const OVERLAP_SECONDS: u64 = 86_400;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(list, create))
        .routes(routes!(change, remove))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .routes(routes!(redeliver))
}

/// An endpoint with its secret: the only answers that show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownEndpoint {
    /// What signs: `whsec_…`.
    pub secret: String,
    /// The endpoint.
    #[serde(flatten)]
    pub info: Endpoint,
}

/// Which events, and which page of them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventParams {
    /// Of this account.
    account: Option<String>,
    /// Of this type, such as `credits.low`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// At most this many items; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What happened, latest first.
///
/// Kept for 30 days, whether or not it is delivered anywhere.
#[utoipa::path(
    get, path = "/v1/events", tag = "webhooks", operation_id = "listEvents", params(EventParams),
    security(("admin" = [])),
    responses((status = 200, description = "A page of events", body = PageBody<Event>), ReadRefusals)
)]
async fn events(State(app): State<App>, Query(params): Query<EventParams>) -> Answer<Json<PageBody<Event>>> {
    let EventParams { account, kind, limit, cursor } = params;
    let page = PageQuery::new(limit, cursor).request(|cursor| cursor.parse::<u64>().ok())?;
    Ok(Json(PageBody::new(app.service.events(EventQuery { account, name: kind }, page).await?)))
}

/// Lists endpoints, oldest first.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "listWebhooks", security(("admin" = [])),
    responses((status = 200, description = "The endpoints", body = PageBody<Endpoint>), ReadRefusals)
)]
async fn list(State(app): State<App>) -> Answer<Json<PageBody<Endpoint>>> {
    let data = app.service.endpoints().await?;
    Ok(Json(PageBody { data, next_cursor: None, has_more: false }))
}

/// Adds an endpoint that events are delivered to; at most 16.
///
/// Deliveries are signed as Standard Webhooks says, and made at least once: `webhook-id` is the event's. What
/// fails is tried twelve times in about three days. A repetition under the same idempotency key is 409
/// `secret_already_shown`.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "createWebhook", params(IdempotencyHeader),
    request_body = EndpointCreation, security(("admin" = [])),
    responses((status = 201, description = "The endpoint, its secret shown this once", body = ShownEndpoint),
              WriteRefusals)
)]
async fn create(State(app): State<App>, write: Write<EndpointCreation>) -> Answer<Response> {
    let (creation, idempotency, _in_flight) = write.into_parts();
    let id = keys::fresh_id("ep").map_err(|error| Problem::internal(&error))?;
    let secret = secret(creation.secret)?;
    let EndpointCreation { url, description, events, .. } = creation;
    let new = NewEndpoint { id, url, description, events, secret: secret.clone() };
    with_secret(app.service.create_endpoint(idempotency, new).await?, secret)
}

/// Changes an endpoint.
#[utoipa::path(
    patch, path = "/v1/webhooks/{endpoint}", tag = "webhooks", operation_id = "changeWebhook",
    params(("endpoint" = String, Path, description = "The endpoint's id"), IdempotencyHeader),
    request_body = EndpointChange, security(("admin" = [])),
    responses((status = 200, description = "The endpoint", body = Endpoint), WriteRefusals)
)]
async fn change(
    State(app): State<App>,
    Path(endpoint): Path<String>,
    write: Write<EndpointChange>,
) -> Answer<Response> {
    let (change, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.change_endpoint(idempotency, endpoint, change).await?))
}

/// Removes an endpoint with its deliveries.
#[utoipa::path(
    delete, path = "/v1/webhooks/{endpoint}", tag = "webhooks", operation_id = "removeWebhook",
    params(("endpoint" = String, Path, description = "The endpoint's id"), IdempotencyHeader),
    security(("admin" = [])),
    responses((status = 200, description = "The endpoint as it was", body = Endpoint), WriteRefusals)
)]
async fn remove(State(app): State<App>, Path(endpoint): Path<String>, write: BareWrite) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.remove_endpoint(idempotency, endpoint).await?))
}

/// Gives an endpoint another secret; the one before signs too for a while.
#[utoipa::path(
    post, path = "/v1/webhooks/{endpoint}/secret", tag = "webhooks", operation_id = "rotateWebhookSecret",
    params(("endpoint" = String, Path, description = "The endpoint's id"), IdempotencyHeader),
    request_body = SecretRotation, security(("admin" = [])),
    responses((status = 201, description = "The endpoint, its secret shown this once", body = ShownEndpoint),
              WriteRefusals)
)]
async fn rotate(
    State(app): State<App>,
    Path(endpoint): Path<String>,
    write: Write<SecretRotation>,
) -> Answer<Response> {
    let (rotation, idempotency, _in_flight) = write.into_parts();
    let secret = secret(rotation.secret)?;
    let overlap = rotation.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    let done = app.service.rotate_secret(idempotency, endpoint, secret.clone(), overlap).await?;
    with_secret(done, secret)
}

/// Sends a `webhook.test` event to one endpoint alone.
#[utoipa::path(
    post, path = "/v1/webhooks/{endpoint}/test", tag = "webhooks", operation_id = "testWebhook",
    params(("endpoint" = String, Path, description = "The endpoint's id"), IdempotencyHeader),
    security(("admin" = [])),
    responses((status = 201, description = "What is sent", body = Event), WriteRefusals)
)]
async fn test(State(app): State<App>, Path(endpoint): Path<String>, write: BareWrite) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::CREATED, app.service.test_endpoint(idempotency, endpoint).await?))
}

/// Which deliveries, and which page of them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryParams {
    /// Those that stand so; `dead` are those that were given up.
    #[param(inline)]
    state: Option<DeliveryState>,
    /// At most this many items; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists deliveries to an endpoint, latest first.
#[utoipa::path(
    get, path = "/v1/webhooks/{endpoint}/deliveries", tag = "webhooks", operation_id = "listDeliveries",
    params(("endpoint" = String, Path, description = "The endpoint's id"), DeliveryParams),
    security(("admin" = [])),
    responses((status = 200, description = "A page of deliveries", body = PageBody<Delivery>), ReadRefusals)
)]
async fn deliveries(
    State(app): State<App>,
    Path(endpoint): Path<String>,
    Query(params): Query<DeliveryParams>,
) -> Answer<Json<PageBody<Delivery>>> {
    let page = PageQuery::new(params.limit, params.cursor).request(|cursor| cursor.parse::<u64>().ok())?;
    Ok(Json(PageBody::new(app.service.deliveries(endpoint, params.state, page).await?)))
}

/// Delivers anew: one delivery, however it stands, or all that were given up.
#[utoipa::path(
    post, path = "/v1/webhooks/{endpoint}/redeliveries", tag = "webhooks", operation_id = "redeliver",
    params(("endpoint" = String, Path, description = "The endpoint's id"), IdempotencyHeader),
    request_body = Redelivery, security(("admin" = [])),
    responses((status = 200, description = "How many", body = Redelivered), WriteRefusals)
)]
async fn redeliver(
    State(app): State<App>,
    Path(endpoint): Path<String>,
    write: Write<Redelivery>,
) -> Answer<Response> {
    let (what, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.redeliver(idempotency, endpoint, what).await?))
}

fn secret(given: Option<String>) -> Answer<String> {
    match given {
        Some(secret) => Ok(secret),
        None => fresh_secret().map_err(|error| Problem::internal(&error)),
    }
}

fn with_secret(done: Written<Endpoint>, secret: String) -> Answer<Response> {
    match done {
        Written::Done(info) | Written::Existing(info) => Ok(shown(&ShownEndpoint { secret, info })),
        Written::Replayed(bytes) => {
            let info: Endpoint = serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?;
            Err(Problem::secret_already_shown(&info.id))
        }
    }
}

//! `/v1/edge/`: what nodes call. Bounds are checked here, meaning is the engine's.
//!
//! Unknown members are ignored: a node may be newer than the ledger.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::SyncRequest;

use super::App;
use super::extract::{EDGE_BODY_BYTES_MAX, Query, parse, read_body, require_json};
use super::openapi::EdgeRefusals;
use super::respond::{Answer, Problem};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sync)).routes(routes!(catalog))
}

/// One call of a node's worker.
///
/// Settlements go in; grants, snapshots and changes come out. The shapes are the
/// edge protocol's, version 1; what they mean is said with the protocol.
#[utoipa::path(
    post, path = "/v1/edge/sync", tag = "edge", operation_id = "sync", security(("edge" = [])),
    request_body(content = Object, description = "SyncRequest of the edge protocol"),
    responses((status = 200, description = "SyncResponse of the edge protocol", body = Object,
               headers(("x-bursar-ledger" = String, description = "The ledger generation"))), EdgeRefusals)
)]
async fn sync(State(app): State<App>, request: Request) -> Answer<Response> {
    let (parts, body) = request.into_parts();
    require_json(&parts.headers)?;
    let bytes = read_body(body, EDGE_BODY_BYTES_MAX).await?;
    let request: SyncRequest = parse(&bytes)?;
    check_bounds(&request)?;
    json(&app.service.sync(request).await?)
}

/// Which catalog.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CatalogQuery {
    /// The version; the one in force where absent.
    version: Option<u64>,
}

/// Models and prices of one catalog version, as the edge reads them.
#[utoipa::path(
    get, path = "/v1/edge/catalog", tag = "edge", operation_id = "edgeCatalog", params(CatalogQuery),
    security(("edge" = [])),
    responses((status = 200, description = "EdgeCatalog of the edge protocol", body = Object,
               headers(("x-bursar-ledger" = String, description = "The ledger generation"))), EdgeRefusals)
)]
async fn catalog(State(app): State<App>, Query(query): Query<CatalogQuery>) -> Answer<Response> {
    json(app.service.edge_catalog(query.version).await?.as_ref())
}

/// # Errors
/// 422 for another version of the protocol or a list beyond its bound.
fn check_bounds(request: &SyncRequest) -> Answer<()> {
    if request.v != wire::VERSION {
        let detail = format!("this ledger speaks version {} of the edge protocol", wire::VERSION);
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported_version", detail).at("v"));
    }
    let events = request.batch.as_ref().map_or(0, |batch| batch.events.len());
    let parked = request.wants.iter().map(|want| want.requests.len()).max().unwrap_or(0);
    for (member, length, max) in [
        ("batch.events", events, wire::BATCH_EVENTS_MAX),
        ("lookups", request.lookups.len(), wire::LOOKUPS_MAX),
        ("refresh", request.refresh.len(), wire::REFRESH_MAX),
        ("wants", request.wants.len(), wire::WANTS_MAX),
        ("wants[].requests", parked, wire::WANT_REQUESTS_MAX),
        ("returns", request.returns.len(), wire::RETURNS_MAX),
    ] {
        if length > max {
            return Err(Problem::invalid(member, format!("{length} items, at most {max}")));
        }
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Answer<Response> {
    let bytes = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], Body::from(bytes)).into_response())
}

//! `/v1/accounts/{account}/resources`: things that are kept, counted at a point in time.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Write};
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::respond::{Answer, ProblemBody, written};
use crate::dto::{Resource, ResourceChange};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change))
}

/// Things that are kept.
#[derive(Serialize, ToSchema)]
struct Resources {
    /// By name; keys too.
    data: Vec<Resource>,
}

/// Lists what is kept: how many there are, and may be.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/resources", tag = "accounts", operation_id = "listResources",
    params(("account" = String, Path, description = "The account's id")), security(("admin" = [])),
    responses((status = 200, description = "What is kept", body = Resources), ReadRefusals)
)]
async fn list(State(app): State<App>, Path(account): Path<String>) -> Answer<Json<Resources>> {
    Ok(Json(Resources { data: app.service.resources(account).await? }))
}

/// Changes how many of a thing there are: tell it when one is made or goes.
///
/// Making one above the plan's cap is 402 `limit_reached`, with the plans that allow more. What is above a lowered cap
/// stays.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/resources/{name}", tag = "accounts", operation_id = "changeResource",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("name" = String, Path, description = "What is kept, as the catalog names it"),
        IdempotencyHeader
    ),
    request_body = ResourceChange, security(("admin" = [])),
    responses(
        (status = 200, description = "How many there are then", body = Resource),
        (status = 402, description = "The plan's cap is reached",
         body = ProblemBody, content_type = "application/problem+json"),
        WriteRefusals
    )
)]
async fn change(
    State(app): State<App>,
    Path((account, name)): Path<(String, String)>,
    write: Write<ResourceChange>,
) -> Answer<Response> {
    let (change, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.change_resource(idempotency, account, name, change).await?))
}

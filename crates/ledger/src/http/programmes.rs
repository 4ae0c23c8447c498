//! `/v1/accounts/{account}/programmes`: models for nothing, for a time.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{BareWrite, Path, Write};
use super::openapi::{IdempotencyHeader, WriteRefusals};
use super::respond::{Answer, written};
use crate::dto::{Account, Enrolling, Enrolment};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(enrol, leave))
}

/// Enrols an account in a programme of the catalog, or sets when its stay ends.
#[utoipa::path(
    put, path = "/v1/accounts/{account}/programmes/{programme}", tag = "accounts", operation_id = "enrolAccount",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("programme" = String, Path, description = "The programme's name in the catalog"),
        IdempotencyHeader
    ),
    request_body = Enrolling, security(("admin" = [])),
    responses((status = 200, description = "The stay", body = Enrolment), WriteRefusals)
)]
async fn enrol(
    State(app): State<App>,
    Path((account, programme)): Path<(String, String)>,
    write: Write<Enrolling>,
) -> Answer<Response> {
    let (request, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.enrol(idempotency, account, programme, request.until).await?))
}

/// Ends an account's stay in a programme at once.
#[utoipa::path(
    delete, path = "/v1/accounts/{account}/programmes/{programme}", tag = "accounts", operation_id = "leaveProgramme",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("programme" = String, Path, description = "The programme's name"),
        IdempotencyHeader
    ),
    security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn leave(
    State(app): State<App>,
    Path((account, programme)): Path<(String, String)>,
    write: BareWrite,
) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.leave(idempotency, account, programme).await?))
}

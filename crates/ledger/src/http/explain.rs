//! `POST /v1/accounts/{account}/explain`: why a request would be refused.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Write};
use super::openapi::WriteRefusals;
use super::respond::Answer;
use crate::dto::{ExplainRequest, Explanation};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// Tells why a request would be refused, in the words that its client would read; changes nothing.
///
/// Key, standing, model, plan, request limits, caps and credits are looked at in the edge's order. Rates are named,
/// not counted: how many tokens are left is the Envoys' to know.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/explain", tag = "accounts", operation_id = "explainRequest",
    params(("account" = String, Path, description = "The account's id")),
    request_body = ExplainRequest, security(("admin" = [])),
    responses((status = 200, description = "What would become of it", body = Explanation), WriteRefusals)
)]
async fn explain(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<ExplainRequest>,
) -> Answer<Json<Explanation>> {
    let (request, _, _in_flight) = write.into_parts();
    Ok(Json(app.service.explain(account, request).await?))
}

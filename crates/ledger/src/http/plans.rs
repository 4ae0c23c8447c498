//! `/v1/plans`: the catalog in force, for shops and support.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::openapi::ReadRefusals;
use super::respond::Answer;
use crate::dto::Plan;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The plans.
#[derive(Serialize, ToSchema)]
struct Plans {
    /// In the catalog's order.
    data: Vec<Plan>,
}

/// Lists the plans of the catalog in force.
#[utoipa::path(
    get, path = "/v1/plans", tag = "plans", operation_id = "listPlans", security(("admin" = [])),
    responses((status = 200, description = "The plans", body = Plans), ReadRefusals)
)]
async fn list(State(app): State<App>) -> Answer<Json<Plans>> {
    Ok(Json(Plans { data: app.service.plans().await? }))
}

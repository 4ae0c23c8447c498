//! `/v1/reconcile`: charging what only the access log knows.

use axum::Json;
use axum::extract::{Request, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{parse, read_body, require_json};
use super::openapi::ReconcileRefusals;
use super::respond::{Answer, Problem};
use crate::dto::{Reconciled, Reconciliation};
use crate::service::{RECONCILIATION_BYTES_MAX, REPORTS_MAX};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(reconcile))
}

/// Charges requests that Envoy's access log knows and the journal does not.
///
/// For what a killed Envoy took with it, and for what a restore took back. A request is charged once,
/// whoever tells of it first: repeating the call changes nothing.
#[utoipa::path(
    post, path = "/v1/reconcile", tag = "credits", operation_id = "reconcile",
    request_body = Reconciliation, security(("admin" = [])),
    responses((status = 200, description = "What became of each report", body = Reconciled), ReconcileRefusals)
)]
async fn reconcile(State(app): State<App>, request: Request) -> Answer<Json<Reconciled>> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(body, RECONCILIATION_BYTES_MAX).await?;
    require_json(&parts.headers)?;
    let reconciliation: Reconciliation = parse(&bytes)?;
    let count = reconciliation.reports.len();
    if count > REPORTS_MAX {
        return Err(Problem::invalid("reports", format!("{count} items, at most {REPORTS_MAX}")));
    }
    Ok(Json(app.service.reconcile(reconciliation).await?))
}

//! `/v1/accounts/{account}/plan`: changes of plan, now, later, once they are paid; the end of a plan; renewals.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{BareWrite, Path, Query, Write};
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::respond::{Answer, written};
use crate::dto::{
    Account, Cancellation, ChangeConfirmation, ChangeFailure, PlanChange, PlanChangeRequest, RenewalPayment,
    ScheduledPlan,
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(change_plan))
        .routes(routes!(pending, take_back))
        .routes(routes!(confirm))
        .routes(routes!(fail))
        .routes(routes!(cancel))
        .routes(routes!(renew))
}

/// Whether to show or to do.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// True: change nothing, answer what would happen.
    #[serde(default)]
    pub preview: bool,
}

/// Changes the plan as the catalog says, or shows what that would do.
///
/// A change that waits (for the end of the billing period, or for its payment) gives way to this one. Where `change` is
/// in the answer it waits: until `at`, or until it is confirmed. Nothing is charged here: `amount_usd` is what your
/// payment provider is to charge.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/plan", tag = "accounts", operation_id = "changePlan",
    params(("account" = String, Path, description = "The account's id"), PreviewQuery, IdempotencyHeader),
    request_body = PlanChangeRequest, security(("admin" = [])),
    responses((status = 200, description = "What it does, or would do", body = PlanChange), WriteRefusals)
)]
async fn change_plan(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(query): Query<PreviewQuery>,
    write: Write<PlanChangeRequest>,
) -> Answer<Response> {
    let (request, idempotency, _in_flight) = write.into_parts();
    // A preview has no effect that could happen twice.
    let idempotency = idempotency.filter(|_| !query.preview);
    Ok(written(StatusCode::OK, app.service.change_plan(idempotency, account, request, query.preview).await?))
}

/// The change of plan that waits.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/plan/change", tag = "accounts", operation_id = "readPlanChange",
    params(("account" = String, Path, description = "The account's id")), security(("admin" = [])),
    responses((status = 200, description = "The change", body = ScheduledPlan), ReadRefusals)
)]
async fn pending(State(app): State<App>, Path(account): Path<String>) -> Answer<Json<ScheduledPlan>> {
    Ok(Json(app.service.pending_change(account).await?))
}

/// Takes the change of plan back that waits; the account stays on its plan.
#[utoipa::path(
    delete, path = "/v1/accounts/{account}/plan/change", tag = "accounts", operation_id = "takeBackPlanChange",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader), security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn take_back(
    State(app): State<App>,
    Path(account): Path<String>,
    write: BareWrite,
) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.drop_change(idempotency, account, None).await?))
}

/// Confirms the payment that a change of plan waits for: the change comes.
///
/// The payment, the credit for the old plan, the end of its credits and the new plan's grants are one transaction. The
/// same confirmation again answers 200 and changes nothing.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/plan/change/confirm", tag = "accounts", operation_id = "confirmPlanChange",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = ChangeConfirmation, security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn confirm(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<ChangeConfirmation>,
) -> Answer<Response> {
    let (confirmation, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.confirm_change(idempotency, account, confirmation).await?))
}

/// Drops a change of plan whose payment failed; the old plan stays. A renewal that is not paid ends the plan.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/plan/change/fail", tag = "accounts", operation_id = "failPlanChange",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = ChangeFailure, security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn fail(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<ChangeFailure>,
) -> Answer<Response> {
    let (failure, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.drop_change(idempotency, account, Some(failure.change)).await?))
}

/// Ends the plan with its billing period. Take the change back to go on.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/plan/cancel", tag = "accounts", operation_id = "cancelPlan",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = Cancellation, security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn cancel(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<Cancellation>,
) -> Answer<Response> {
    let (cancellation, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.cancel_plan(idempotency, account, cancellation).await?))
}

/// Begins the billing period that waits for its payment, of an account with `renewal: on_payment`.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/renew", tag = "accounts", operation_id = "renewPlan",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = RenewalPayment, security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn renew(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<RenewalPayment>,
) -> Answer<Response> {
    let (payment, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.renew_plan(idempotency, account, payment).await?))
}

//! `/v1/accounts/{account}/…`: purchases, refunds, schedules, receivables; quotes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::accounts::is_account_id;
use super::extract::{BareWrite, Path, Query, Write};
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::page::{PageBody, PageQuery};
use super::plan_change::PreviewQuery;
use super::respond::{Answer, written};
use crate::dto::{
    Purchase, PurchaseRequest, Quote, QuoteRequest, Receivable, Recharge, RechargeRequest, Refund,
    RefundRequest, Settlement,
};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(purchase))
        .routes(routes!(refund))
        .routes(routes!(recharge, set_recharge, end_recharge))
        .routes(routes!(receivables))
        .routes(routes!(settle))
        .routes(routes!(quote))
}

/// Takes a confirmed payment for credits in, or (`preview`) shows what one would bring.
///
/// The credits, their bonus and the tier that the sum reaches come in one transaction. The same payment again answers 200
/// with what it brought; with another sum 409 `reference_conflict`. Nothing is charged here.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/purchases", tag = "credits", operation_id = "createPurchase",
    params(("account" = String, Path, description = "The account's id"), PreviewQuery, IdempotencyHeader),
    request_body = PurchaseRequest, security(("admin" = [])),
    responses(
        (status = 201, description = "What it brought", body = Purchase),
        (status = 200, description = "What it brought before, or (preview) would bring", body = Purchase),
        WriteRefusals
    )
)]
async fn purchase(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(query): Query<PreviewQuery>,
    write: Write<PurchaseRequest>,
) -> Answer<Response> {
    let (request, idempotency, _in_flight) = write.into_parts();
    let idempotency = idempotency.filter(|_| !query.preview);
    let done = app.service.purchase(idempotency, account, request, query.preview).await?;
    Ok(written(StatusCode::CREATED, done))
}

/// Gives a purchase back: its payment and its credits, only while the catalog's refund policy allows it; or (`preview`)
/// shows what would be given back, refused where it could not be.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/refunds", tag = "credits", operation_id = "createRefund",
    params(("account" = String, Path, description = "The account's id"), PreviewQuery, IdempotencyHeader),
    request_body = RefundRequest, security(("admin" = [])),
    responses(
        (status = 201, description = "The refund", body = Refund),
        (status = 200, description = "The refund of this reference, or (preview) what it would be", body = Refund),
        WriteRefusals
    )
)]
async fn refund(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(query): Query<PreviewQuery>,
    write: Write<RefundRequest>,
) -> Answer<Response> {
    let (request, idempotency, _in_flight) = write.into_parts();
    let idempotency = idempotency.filter(|_| !query.preview);
    let done = app.service.refund(idempotency, account, request, query.preview).await?;
    Ok(written(StatusCode::CREATED, done))
}

/// The schedule of purchases, and what it asked for and was not paid.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/recharge", tag = "credits", operation_id = "readRecharge",
    params(("account" = String, Path, description = "The account's id")), security(("admin" = [])),
    responses((status = 200, description = "The schedule", body = Recharge), ReadRefusals)
)]
async fn recharge(State(app): State<App>, Path(account): Path<String>) -> Answer<Json<Recharge>> {
    Ok(Json(app.service.recharge(account).await?))
}

/// Schedules purchases, in the place of the schedule before. Each is asked for on its day and paid by a purchase that
/// names the request.
#[utoipa::path(
    put, path = "/v1/accounts/{account}/recharge", tag = "credits", operation_id = "setRecharge",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = RechargeRequest, security(("admin" = [])),
    responses((status = 200, description = "The schedule", body = Recharge), WriteRefusals)
)]
async fn set_recharge(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<RechargeRequest>,
) -> Answer<Response> {
    let (request, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.set_recharge(idempotency, account, Some(request)).await?))
}

/// Ends the schedule; what was bought stays.
#[utoipa::path(
    delete, path = "/v1/accounts/{account}/recharge", tag = "credits", operation_id = "endRecharge",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    security(("admin" = [])),
    responses((status = 200, description = "Without a schedule", body = Recharge), WriteRefusals)
)]
async fn end_recharge(
    State(app): State<App>,
    Path(account): Path<String>,
    write: BareWrite,
) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.set_recharge(idempotency, account, None).await?))
}

/// Lists accounts that owe for usage beyond their credits, by id. A change may take some seconds to show.
#[utoipa::path(
    get, path = "/v1/receivables", tag = "credits", operation_id = "listReceivables", params(PageQuery),
    security(("admin" = [])),
    responses((status = 200, description = "A page of receivables", body = PageBody<Receivable>), ReadRefusals)
)]
async fn receivables(
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<PageBody<Receivable>>> {
    let page = page.request(|cursor| is_account_id(cursor).then(|| cursor.to_owned()))?;
    Ok(Json(PageBody::new(app.service.receivables(page).await?)))
}

/// Takes a payment for usage beyond the credits in.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/receivable/settle", tag = "credits", operation_id = "settleReceivable",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = Settlement, security(("admin" = [])),
    responses((status = 200, description = "What is owed still", body = Receivable), WriteRefusals)
)]
async fn settle(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<Settlement>,
) -> Answer<Response> {
    let (settlement, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.settle_receivable(idempotency, account, settlement).await?))
}

/// What a usage would cost on a plan, or for an account. Changes nothing.
#[utoipa::path(
    post, path = "/v1/quote", tag = "plans", operation_id = "createQuote", request_body = QuoteRequest,
    security(("admin" = [])),
    responses((status = 200, description = "The price, by meter and by pool", body = Quote), WriteRefusals)
)]
async fn quote(State(app): State<App>, write: Write<QuoteRequest>) -> Answer<Json<Quote>> {
    let (request, ..) = write.into_parts();
    Ok(Json(app.service.quote(request).await?))
}

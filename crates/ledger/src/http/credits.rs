//! `/v1/accounts/{account}/…`: grants, balance, journal, usage.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tariff::Micros;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Query, Write};
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::respond::{Answer, Problem, written};
use crate::dto::{Balance, Grant, Lot, UsageBy, UsageReport};
use crate::service::UsageQuery;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(grant)).routes(routes!(balance)).routes(routes!(usage))
}

/// The longest reference.
const REFERENCE_CHARS_MAX: usize = 128;
/// What a usage report covers where the caller does not say.
const USAGE_SPAN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The longest span of a usage report.
const USAGE_SPAN_MAX: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Grants credits to a pool.
///
/// The same reference with the same content answers 200 with the lot that
/// exists; with other content 409 `reference_conflict`.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/grants", tag = "credits", operation_id = "createGrant",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = Grant, security(("admin" = [])),
    responses(
        (status = 201, description = "The lot", body = Lot),
        (status = 200, description = "The lot that this reference made before", body = Lot),
        WriteRefusals
    )
)]
async fn grant(State(app): State<App>, Path(account): Path<String>, write: Write<Grant>) -> Answer<Response> {
    let (grant, idempotency, _in_flight) = write.into_parts();
    if grant.amount.0 <= Micros::ZERO {
        return Err(Problem::invalid("amount", "must be above zero"));
    }
    if !(1..=REFERENCE_CHARS_MAX).contains(&grant.reference.chars().count()) {
        return Err(Problem::invalid("reference", format!("1 to {REFERENCE_CHARS_MAX} characters")));
    }
    Ok(written(StatusCode::CREATED, app.service.create_grant(idempotency, account, grant).await?))
}

/// Which instant.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BalanceParams {
    /// A past instant; the present where absent.
    at: Option<Timestamp>,
}

/// What an account has, or had.
///
/// Spendable, leased to nodes, in flight and debt; by pool and lot, and by cap. Of a past instant it is the fold of the
/// journal up to it: what nodes held then is not told apart, nor are caps; of accounts with more than 500,000 lines
/// it is refused.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/balance", tag = "credits", operation_id = "readBalance",
    params(("account" = String, Path, description = "The account's id"), BalanceParams), security(("admin" = [])),
    responses((status = 200, description = "The balance", body = Balance), ReadRefusals)
)]
async fn balance(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(params): Query<BalanceParams>,
) -> Answer<Json<Balance>> {
    Ok(Json(match params.at {
        Some(at) => app.service.balance_at(account, at).await?,
        None => app.service.balance(account).await?,
    }))
}

/// What to sum.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageParams {
    /// The groups; `model` where absent.
    by: Option<UsageBy>,
    /// The first instant; 30 days before `to` where absent.
    from: Option<Timestamp>,
    /// The first instant after it; now where absent. At most 400 days after `from`.
    to: Option<Timestamp>,
}

/// Sums over an account's charges.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/usage", tag = "credits", operation_id = "readUsage",
    params(("account" = String, Path, description = "The account's id"), UsageParams), security(("admin" = [])),
    responses((status = 200, description = "The report", body = UsageReport), ReadRefusals)
)]
async fn usage(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(params): Query<UsageParams>,
) -> Answer<Json<UsageReport>> {
    let bad = |member: &str, detail: &str| Problem::bad_request("invalid_query", detail).at(member);
    let to = params.to.unwrap_or_else(Timestamp::now);
    let default_from = || to.checked_sub(USAGE_SPAN).unwrap_or(Timestamp::MIN);
    let from = params.from.unwrap_or_else(default_from);
    if from >= to {
        return Err(bad("from", "from: must be before to"));
    }
    if to.duration_since(from) > USAGE_SPAN_MAX {
        return Err(bad("from", "from: at most 400 days before to"));
    }
    let query = UsageQuery { by: params.by.unwrap_or(UsageBy::Model), from, to };
    Ok(Json(app.service.usage(account, query).await?))
}

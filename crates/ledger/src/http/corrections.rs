//! `/v1/accounts/{account}/…`: adjustments, reversals, lots that are voided or extended.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Write};
use super::openapi::{IdempotencyHeader, WriteRefusals};
use super::respond::{Answer, Problem, written};
use crate::dto::{Adjustment, Entry, LotChange, LotState, Reason, Reversal};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(adjust))
        .routes(routes!(reverse))
        .routes(routes!(void))
        .routes(routes!(extend))
}

/// Adds credits to a pool, or takes some back.
///
/// The same reference with the same content answers 200 with the entry that exists; with other content 409
/// `reference_conflict`. Where nodes may take more than is left, idle leases are called home.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/adjustments", tag = "credits", operation_id = "createAdjustment",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = Adjustment, security(("admin" = [])),
    responses(
        (status = 201, description = "The journal's line", body = Entry),
        (status = 200, description = "The line that this reference made before", body = Entry),
        WriteRefusals
    )
)]
async fn adjust(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<Adjustment>,
) -> Answer<Response> {
    let (adjustment, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::CREATED, app.service.adjust(idempotency, account, adjustment).await?))
}

/// Gives a charge back, exactly and once.
///
/// Each part goes back to the lot that it was drawn from; where that lot has ended it comes back as another
/// lot of the same pool, with the old end where that is still to come, else as the pool says. Debt of the
/// charge is no longer owed. A second call answers 200 with the lines that exist.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/entries/{entry}/reversal", tag = "credits", operation_id = "reverseCharge",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("entry" = String, Path, description = "The charge's id in the journal"),
        IdempotencyHeader
    ),
    request_body = Reason, security(("admin" = [])),
    responses(
        (status = 201, description = "The journal's lines", body = Reversal),
        (status = 200, description = "The lines that reversed it before", body = Reversal),
        WriteRefusals
    )
)]
async fn reverse(
    State(app): State<App>,
    Path((account, entry)): Path<(String, String)>,
    write: Write<Reason>,
) -> Answer<Response> {
    let (Reason { reason }, idempotency, _in_flight) = write.into_parts();
    let entry = number(&entry, "entry", "")?;
    Ok(written(StatusCode::CREATED, app.service.reverse(idempotency, account, entry, reason).await?))
}

/// Ends a lot: what is left of it is void.
///
/// Requests that were admitted before may still draw it; when they have ended, an hour later at most, the
/// rest is gone. The reason stands in the audit log.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/lots/{lot}/void", tag = "credits", operation_id = "voidLot",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("lot" = String, Path, description = "The lot's id"),
        IdempotencyHeader
    ),
    request_body = Reason, security(("admin" = [])),
    responses((status = 200, description = "The lot as it was", body = LotState), WriteRefusals)
)]
async fn void(
    State(app): State<App>,
    Path((account, lot)): Path<(String, String)>,
    write: Write<Reason>,
) -> Answer<Response> {
    let (Reason { reason }, idempotency, _in_flight) = write.into_parts();
    if reason.trim().is_empty() || reason.len() > book::limits::REASON_MAX {
        return Err(Problem::invalid("reason", format!("1 to {} bytes", book::limits::REASON_MAX)));
    }
    let lot = number(&lot, "lot", LOT_PREFIX)?;
    Ok(written(StatusCode::OK, app.service.void_lot(idempotency, account, lot).await?))
}

/// Moves a lot's end to a later instant, or away.
#[utoipa::path(
    patch, path = "/v1/accounts/{account}/lots/{lot}", tag = "credits", operation_id = "extendLot",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("lot" = String, Path, description = "The lot's id"),
        IdempotencyHeader
    ),
    request_body = LotChange, security(("admin" = [])),
    responses((status = 200, description = "The lot", body = LotState), WriteRefusals)
)]
async fn extend(
    State(app): State<App>,
    Path((account, lot)): Path<(String, String)>,
    write: Write<LotChange>,
) -> Answer<Response> {
    let (change, idempotency, _in_flight) = write.into_parts();
    let lot = number(&lot, "lot", LOT_PREFIX)?;
    Ok(written(StatusCode::OK, app.service.extend_lot(idempotency, account, lot, change).await?))
}

/// What lots' ids begin with.
const LOT_PREFIX: &str = "lot_";

/// The number in an id; what is none of ours is not there.
fn number(text: &str, what: &str, prefix: &str) -> Answer<u64> {
    let digits = text.strip_prefix(prefix).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            &format!("{what}_not_found"),
            format!("{what} \"{text}\" not found"),
        )
    })
}

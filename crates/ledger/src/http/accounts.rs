//! `/v1/accounts`: opening, reading, listing, standing and settings.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Query, Write};
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::page::{PageBody, PageQuery};
use super::respond::{Answer, Problem, written};
use crate::dto::{Account, AccountChange, AccountCreation, AccountStatus};
use crate::keys;
use crate::service::{AccountQuery, NewAccount};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(read, change))
}

/// Opens an account on a plan.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", operation_id = "createAccount", request_body = AccountCreation,
    params(IdempotencyHeader), security(("admin" = [])),
    responses((status = 201, description = "The account", body = Account), WriteRefusals)
)]
async fn create(State(app): State<App>, write: Write<AccountCreation>) -> Answer<Response> {
    let (creation, idempotency, _in_flight) = write.into_parts();
    let id = match creation.id {
        Some(id) => id,
        None => keys::fresh_id("acct").map_err(|error| Problem::internal(&error))?,
    };
    if !is_account_id(&id) {
        return Err(Problem::invalid("id", "1 to 64 letters, digits, `.`, `_`, `:` or `-`"));
    }
    let AccountCreation { plan, created_at, cadence, anchor, time_zone, .. } = creation;
    let account = NewAccount { id, plan, created_at, cadence, anchor, time_zone };
    Ok(written(StatusCode::CREATED, app.service.create_account(idempotency, account).await?))
}

/// Which accounts, and which page of them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountParams {
    /// On this plan.
    plan: Option<String>,
    /// With this standing.
    #[param(inline)]
    status: Option<AccountStatus>,
    /// With this reference.
    reference: Option<String>,
    /// With this label, `name=value`.
    label: Option<String>,
    /// With an id that begins so.
    prefix: Option<String>,
    /// At most this many items; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists accounts by id, or finds them by plan, standing, reference and label.
#[utoipa::path(
    get, path = "/v1/accounts", tag = "accounts", operation_id = "listAccounts", params(AccountParams),
    security(("admin" = [])),
    responses((status = 200, description = "A page of accounts", body = PageBody<Account>), ReadRefusals)
)]
async fn list(
    State(app): State<App>,
    Query(params): Query<AccountParams>,
) -> Answer<Json<PageBody<Account>>> {
    let AccountParams { plan, status, reference, label, prefix, limit, cursor } = params;
    let parted = |label: String| match label.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Problem::bad_request("invalid_query", "label: expected name=value").at("label")),
    };
    let query = AccountQuery { plan, status, reference, label: label.map(parted).transpose()?, prefix };
    let page =
        PageQuery::new(limit, cursor).request(|cursor| is_account_id(cursor).then(|| cursor.to_owned()))?;
    Ok(Json(PageBody::new(app.service.accounts(query, page).await?)))
}

/// Reads an account.
#[utoipa::path(
    get, path = "/v1/accounts/{account}", tag = "accounts", operation_id = "readAccount",
    params(("account" = String, Path, description = "The account's id")), security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), ReadRefusals)
)]
async fn read(State(app): State<App>, Path(account): Path<String>) -> Answer<Json<Account>> {
    Ok(Json(app.service.account(account).await?))
}

/// Changes an account: its standing, its zone, what it opted in to, its payment method, its own terms.
///
/// What is absent stays; what is `null` goes back to what accounts have that say nothing.
/// The filter refuses the requests of one that is not active with 403, within about a second.
#[utoipa::path(
    patch, path = "/v1/accounts/{account}", tag = "accounts", operation_id = "changeAccount",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = AccountChange, security(("admin" = [])),
    responses((status = 200, description = "The account", body = Account), WriteRefusals)
)]
async fn change(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<AccountChange>,
) -> Answer<Response> {
    let (change, idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.change_settings(idempotency, account, change).await?))
}

pub(super) fn is_account_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(allowed)
}

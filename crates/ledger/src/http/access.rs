//! `/v1/tokens` and `/v1/audit`: who may call, and who did.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::accounts::is_account_id;
use super::extract::{BareWrite, Path, Query, Write};
use super::keys::shown;
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::page::{PageBody, PageQuery};
use super::respond::{Answer, Problem, written};
use crate::dto::{AdminToken, AuditLine, TokenCreation};
use crate::keys;
use crate::service::{AuditQuery, NewToken, Written};

/// What tokens that are made here begin with.
const TOKEN_PREFIX: &str = "bat_";
/// Names that the audit log uses by itself.
const RESERVED: [&str; 2] = [super::auth::ROOT, "process"];

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke)).routes(routes!(audit))
}

/// A token that was just made: the only answer that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token: `Authorization: Bearer …`.
    #[schema(example = "bat_…")]
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub info: AdminToken,
}

/// Lists tokens, revoked and expired ones too, latest first.
///
/// The configured one is not among them.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "access", operation_id = "listTokens", security(("admin" = [])),
    responses((status = 200, description = "The tokens", body = PageBody<AdminToken>), ReadRefusals)
)]
async fn list(State(app): State<App>) -> Answer<Json<PageBody<AdminToken>>> {
    let data = app.service.tokens().await?;
    Ok(Json(PageBody { data, next_cursor: None, has_more: false }))
}

/// Makes a token; at most 256 work at a time.
///
/// The token is shown in this answer alone: the ledger keeps its SHA-256. A repetition under the same
/// idempotency key is 409 `secret_already_shown`.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "access", operation_id = "createToken", params(IdempotencyHeader),
    request_body = TokenCreation, security(("admin" = [])),
    responses((status = 201, description = "The token, shown this once", body = CreatedToken), WriteRefusals)
)]
async fn create(State(app): State<App>, write: Write<TokenCreation>) -> Answer<Response> {
    let (TokenCreation { name, mut scopes, expires_at }, idempotency, _in_flight) = write.into_parts();
    if !is_account_id(&name) || RESERVED.contains(&name.as_str()) {
        let detail = "1 to 64 letters, digits, `.`, `_`, `:` or `-`; not `root` or `process`";
        return Err(Problem::invalid("name", detail));
    }
    if scopes.is_empty() {
        return Err(Problem::invalid("scopes", "at least one"));
    }
    scopes.sort_unstable();
    scopes.dedup();
    let internal = |error: keys::RandomnessError| Problem::internal(&error);
    let id = keys::fresh_id("tok").map_err(internal)?;
    let token = format!("{TOKEN_PREFIX}{}", keys::fresh_token().map_err(internal)?);
    let new = NewToken { id, digest: Sha256::digest(token.as_bytes()).into(), name, scopes, expires_at };
    match app.service.create_token(idempotency, new).await? {
        Written::Done(info) | Written::Existing(info) => Ok(shown(&CreatedToken { token, info })),
        Written::Replayed(bytes) => {
            let info: AdminToken =
                serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?;
            Err(Problem::secret_already_shown(&info.id))
        }
    }
}

/// Revokes a token, for good and at once.
#[utoipa::path(
    delete, path = "/v1/tokens/{token}", tag = "access", operation_id = "revokeToken",
    params(("token" = String, Path, description = "The token's id"), IdempotencyHeader),
    security(("admin" = [])),
    responses((status = 200, description = "The token, revoked", body = AdminToken), WriteRefusals)
)]
async fn revoke(State(app): State<App>, Path(token): Path<String>, write: BareWrite) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.revoke_token(idempotency, token).await?))
}

/// Which lines, and which page of them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditParams {
    /// About this account.
    account: Option<String>,
    /// By the token of this name.
    who: Option<String>,
    /// With this outcome: `done`, or the code of a refusal.
    outcome: Option<String>,
    /// From this instant on …
    from: Option<Timestamp>,
    /// … and before this one.
    to: Option<Timestamp>,
    /// At most this many items; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Who changed what, latest first.
///
/// Every management call that changed something, written in the transaction of the change: the last million
/// of them; and the last ten thousand that were refused.
#[utoipa::path(
    get, path = "/v1/audit", tag = "access", operation_id = "readAudit", params(AuditParams),
    security(("admin" = [])),
    responses((status = 200, description = "A page of the log", body = PageBody<AuditLine>), ReadRefusals)
)]
async fn audit(
    State(app): State<App>,
    Query(params): Query<AuditParams>,
) -> Answer<Json<PageBody<AuditLine>>> {
    let AuditParams { account, who, outcome, from, to, limit, cursor } = params;
    let page = PageQuery::new(limit, cursor).request(|cursor| cursor.parse::<u64>().ok())?;
    let query = AuditQuery { account, who, outcome, from, to };
    Ok(Json(PageBody::new(app.service.audit(query, page).await?)))
}

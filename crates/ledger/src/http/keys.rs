//! `/v1/accounts/{account}/keys`. The only place where an API key exists in clear, and only in one answer.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::Digest;

use super::App;
use super::extract::{BareWrite, Path, Query, Write};
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::page::{PageBody, PageQuery};
use super::respond::{Answer, Problem, ProblemBody, written};
use crate::dto::{Key, KeyCreation};
use crate::keys::{self, MintedKey};
use crate::service::{NewKey, Written};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke))
}

/// A key that was just made: the only answer that shows it.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key itself; absent where it was taken over by its digest. It cannot be shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "bsr_XXXXXXXXXXXXXXXXXXXXXX_XXXXXX")]
    pub key: Option<String>,
    /// What later answers show of it.
    #[serde(flatten)]
    pub info: Key,
}

/// The most model patterns of a key.
const MODELS_MAX: usize = 64;
/// The longest name or model pattern.
const TEXT_CHARS_MAX: usize = 128;

/// Makes a key, or takes over a foreign one by its digest.
///
/// A repetition under the same idempotency key
/// is 409 `key_already_created` with the key's id: the key itself is stored nowhere.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/keys", tag = "keys", operation_id = "createKey",
    params(("account" = String, Path, description = "The account's id"), IdempotencyHeader),
    request_body = KeyCreation, security(("admin" = [])),
    responses(
        (status = 201, description = "The key, shown this once", body = CreatedKey),
        (status = 402, description = "The plan's number of keys is reached",
         body = ProblemBody, content_type = "application/problem+json"),
        WriteRefusals
    )
)]
async fn create(
    State(app): State<App>,
    Path(account): Path<String>,
    write: Write<KeyCreation>,
) -> Answer<Response> {
    let (creation, idempotency, _in_flight) = write.into_parts();
    check_texts(&creation)?;
    let minted = match creation.digest {
        Some(_) => None,
        None => Some(MintedKey::mint().map_err(|error| Problem::internal(&error))?),
    };
    let digest = match (&minted, &creation.digest) {
        (Some(minted), _) => minted.digest(),
        (None, digest) => Digest::parse(digest.as_deref().unwrap_or_default())
            .map_err(|error| Problem::invalid("digest", error.to_string()))?,
    };
    let id = keys::fresh_id("key").map_err(|error| Problem::internal(&error))?;
    let KeyCreation { name, models, expires_at, .. } = creation;
    let key = NewKey { account, id, digest, name, models, expires_at };
    let info = match app.service.create_key(idempotency, key).await? {
        Written::Done(info) | Written::Existing(info) => info,
        Written::Replayed(bytes) => {
            let info: Key = serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?;
            return Err(Problem::key_already_created(info.id));
        }
    };
    let body = CreatedKey { key: minted.map(|minted| minted.reveal().to_owned()), info };
    // No cache on the way may keep the key.
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(body)).into_response())
}

/// Lists an account's keys, revoked ones too, oldest first.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/keys", tag = "keys", operation_id = "listKeys",
    params(("account" = String, Path, description = "The account's id"), PageQuery), security(("admin" = [])),
    responses((status = 200, description = "A page of keys", body = PageBody<Key>), ReadRefusals)
)]
async fn list(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(page): Query<PageQuery>,
) -> Answer<Json<PageBody<Key>>> {
    let page = page.request(|cursor| Some(cursor.to_owned()))?;
    Ok(Json(PageBody::new(app.service.keys(account, page).await?)))
}

/// Revokes a key, for good.
///
/// The filter refuses it within about a second. A second call changes nothing.
#[utoipa::path(
    delete, path = "/v1/accounts/{account}/keys/{key}", tag = "keys", operation_id = "revokeKey",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("key" = String, Path, description = "The key's id"),
        IdempotencyHeader
    ),
    security(("admin" = [])),
    responses((status = 200, description = "The key, revoked", body = Key), WriteRefusals)
)]
async fn revoke(
    State(app): State<App>,
    Path((account, key)): Path<(String, String)>,
    write: BareWrite,
) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    Ok(written(StatusCode::OK, app.service.revoke_key(idempotency, account, key).await?))
}

fn check_texts(creation: &KeyCreation) -> Answer<()> {
    let fits = |text: &String| (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
    if !creation.name.as_ref().is_none_or(fits) {
        return Err(Problem::invalid("name", format!("1 to {TEXT_CHARS_MAX} characters")));
    }
    let Some(models) = &creation.models else {
        return Ok(());
    };
    if models.is_empty() || models.len() > MODELS_MAX {
        return Err(Problem::invalid("models", format!("1 to {MODELS_MAX} patterns; absent = no bound")));
    }
    match models.iter().position(|pattern| !fits(pattern)) {
        Some(index) => {
            let detail = format!("1 to {TEXT_CHARS_MAX} characters");
            Err(Problem::invalid(format!("models[{index}]"), detail))
        }
        None => Ok(()),
    }
}

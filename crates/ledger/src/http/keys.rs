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
use crate::dto::{Key, KeyChange, KeyCreation, KeyRotated, KeyRotation};
use crate::keys::{self, MintedKey};
use crate::service::{NewKey, Rotation, Written};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(revoke, change))
        .routes(routes!(rotate))
        .routes(routes!(find, revoke_digest))
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

/// A key that took another one's place: the only answer that shows it.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RotatedKey {
    /// The other key itself; absent where it was given by its digest. It cannot be shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "bsr_XXXXXXXXXXXXXXXXXXXXXX_XXXXXX")]
    pub key: Option<String>,
    /// What later answers show of both.
    #[serde(flatten)]
    pub info: KeyRotated,
}

/// How long a key is good beside the one that replaces it, where the caller does not say.
const OVERLAP_SECONDS: u64 = 86_400;
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
    check_texts(creation.name.as_ref(), creation.models.as_deref())?;
    let (minted, digest) = mint(creation.digest.as_deref())?;
    let id = keys::fresh_id("key").map_err(|error| Problem::internal(&error))?;
    let KeyCreation { name, models, expires_at, auth_class, .. } = creation;
    let key = NewKey { account, id, digest, name, auth_class, models, expires_at };
    let info = match app.service.create_key(idempotency, key).await? {
        Written::Done(info) | Written::Existing(info) => info,
        Written::Replayed(bytes) => {
            let info: Key = serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?;
            return Err(Problem::key_already_created(info.id));
        }
    };
    Ok(shown(&CreatedKey { key: minted.map(|minted| minted.reveal().to_owned()), info }))
}

/// A fresh key, unless a digest is given.
fn mint(digest: Option<&str>) -> Answer<(Option<MintedKey>, Digest)> {
    let Some(digest) = digest else {
        let minted = MintedKey::mint().map_err(|error| Problem::internal(&error))?;
        let digest = minted.digest();
        return Ok((Some(minted), digest));
    };
    let digest = Digest::parse(digest).map_err(|error| Problem::invalid("digest", error.to_string()))?;
    Ok((None, digest))
}

/// The answer that shows a key: no cache on the way may keep it.
pub(super) fn shown(body: &impl Serialize) -> Response {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, no_store, Json(body)).into_response()
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

/// Changes a key: disables or enables it, sets its end, its name, its class, its models.
///
/// The filter acts on it within about a second.
#[utoipa::path(
    patch, path = "/v1/accounts/{account}/keys/{key}", tag = "keys", operation_id = "changeKey",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("key" = String, Path, description = "The key's id"),
        IdempotencyHeader
    ),
    request_body = KeyChange, security(("admin" = [])),
    responses(
        (status = 200, description = "The key", body = Key),
        (status = 402, description = "The key would live again, and the plan's number of keys is reached",
         body = ProblemBody, content_type = "application/problem+json"),
        WriteRefusals
    )
)]
async fn change(
    State(app): State<App>,
    Path((account, key)): Path<(String, String)>,
    write: Write<KeyChange>,
) -> Answer<Response> {
    let (change, idempotency, _in_flight) = write.into_parts();
    check_texts(change.name.as_ref(), change.models.as_ref().and_then(Option::as_deref))?;
    Ok(written(StatusCode::OK, app.service.change_key(idempotency, account, key, change).await?))
}

/// Puts another key in a key's place; both are good for a while.
///
/// Name, class and models go over. A rotation is never refused by the plan's number of keys; a key that is
/// rotated again before the one it replaced has ended, ends that one at once. A repetition under the same
/// idempotency key is 409 `key_already_created`.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/keys/{key}/rotate", tag = "keys", operation_id = "rotateKey",
    params(
        ("account" = String, Path, description = "The account's id"),
        ("key" = String, Path, description = "The id of the key to replace"),
        IdempotencyHeader
    ),
    request_body = KeyRotation, security(("admin" = [])),
    responses((status = 201, description = "The other key, shown this once", body = RotatedKey), WriteRefusals)
)]
async fn rotate(
    State(app): State<App>,
    Path((account, replaces)): Path<(String, String)>,
    write: Write<KeyRotation>,
) -> Answer<Response> {
    let (KeyRotation { overlap_seconds, expires_at, digest }, idempotency, _in_flight) = write.into_parts();
    let (minted, digest) = mint(digest.as_deref())?;
    let id = keys::fresh_id("key").map_err(|error| Problem::internal(&error))?;
    let overlap_seconds = overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    let rotation = Rotation { account, replaces, id, digest, overlap_seconds, expires_at };
    let info = match app.service.rotate_key(idempotency, rotation).await? {
        Written::Done(info) | Written::Existing(info) => info,
        Written::Replayed(bytes) => {
            let made: KeyRotated =
                serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?;
            return Err(Problem::key_already_created(made.info.id));
        }
    };
    Ok(shown(&RotatedKey { key: minted.map(|minted| minted.reveal().to_owned()), info }))
}

/// Finds the key of a digest, in whichever account.
#[utoipa::path(
    get, path = "/v1/keys/{digest}", tag = "keys", operation_id = "findKey",
    params(("digest" = String, Path, description = "SHA-256 of the whole key, in lower-case hexadecimal")),
    security(("admin" = [])), responses((status = 200, description = "The key", body = Key), ReadRefusals)
)]
async fn find(State(app): State<App>, Path(digest): Path<String>) -> Answer<Json<Key>> {
    Ok(Json(app.service.find_key(read_digest(&digest)?).await?))
}

/// Revokes the key of a digest, in whichever account: for a key that was found where it should not be.
#[utoipa::path(
    delete, path = "/v1/keys/{digest}", tag = "keys", operation_id = "revokeKeyByDigest",
    params(
        ("digest" = String, Path, description = "SHA-256 of the whole key, in lower-case hexadecimal"),
        IdempotencyHeader
    ),
    security(("admin" = [])),
    responses((status = 200, description = "The key, revoked", body = Key), WriteRefusals)
)]
async fn revoke_digest(
    State(app): State<App>,
    Path(digest): Path<String>,
    write: BareWrite,
) -> Answer<Response> {
    let (idempotency, _in_flight) = write.into_parts();
    let digest = read_digest(&digest)?;
    Ok(written(StatusCode::OK, app.service.revoke_digest(idempotency, digest).await?))
}

fn read_digest(text: &str) -> Answer<Digest> {
    Digest::parse(text)
        .map_err(|error| Problem::bad_request("invalid_path", format!("digest: {error}")).at("digest"))
}

fn check_texts(name: Option<&String>, models: Option<&[String]>) -> Answer<()> {
    let fits = |text: &String| (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
    if !name.is_none_or(fits) {
        return Err(Problem::invalid("name", format!("1 to {TEXT_CHARS_MAX} characters")));
    }
    let Some(models) = models else {
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

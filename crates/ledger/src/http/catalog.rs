//! `POST /v1/catalog`: a catalog file put in force without a restart.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Query, read_body};
use super::openapi::{ReadRefusals, WriteRefusals};
use super::page::PageBody;
use super::respond::{Answer, Problem};
use crate::dto::{CatalogDiff, CatalogInfo, CatalogVersion};

/// The media types of catalog files: JSON is YAML too.
const MEDIA_TYPES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "application/json"];

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(publish))
        .routes(routes!(versions))
        .routes(routes!(version))
        .routes(routes!(diff))
}

/// Lists the catalog's versions, latest first.
#[utoipa::path(
    get, path = "/v1/catalog/versions", tag = "plans", operation_id = "listCatalogs", security(("admin" = [])),
    responses((status = 200, description = "The versions", body = PageBody<CatalogInfo>), ReadRefusals)
)]
async fn versions(State(app): State<App>) -> Answer<Json<PageBody<CatalogInfo>>> {
    let data = app.service.catalogs().await?;
    Ok(Json(PageBody { data, next_cursor: None, has_more: false }))
}

/// Reads a version of the catalog, as the ledger keeps it.
///
/// Checked, with every default written out; not the text that was sent.
#[utoipa::path(
    get, path = "/v1/catalog/versions/{version}", tag = "plans", operation_id = "readCatalog",
    params(("version" = u64, Path, description = "The version")), security(("admin" = [])),
    responses((status = 200, description = "The catalog", body = Object), ReadRefusals)
)]
async fn version(State(app): State<App>, Path(version): Path<u64>) -> Answer<Json<tariff::Catalog>> {
    Ok(Json(app.service.catalog(Some(version)).await?.1))
}

/// Which versions.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DiffQuery {
    /// The version before.
    from: u64,
    /// The version after; the one in force where absent.
    to: Option<u64>,
}

/// Tells in words how two versions differ.
#[utoipa::path(
    get, path = "/v1/catalog/diff", tag = "plans", operation_id = "diffCatalogs", params(DiffQuery),
    security(("admin" = [])),
    responses((status = 200, description = "What differs", body = CatalogDiff), ReadRefusals)
)]
async fn diff(State(app): State<App>, Query(query): Query<DiffQuery>) -> Answer<Json<CatalogDiff>> {
    let (from, old) = app.service.catalog(Some(query.from)).await?;
    let (to, new) = app.service.catalog(query.to).await?;
    Ok(Json(CatalogDiff { from, to, diff: crate::cli::differences(&old, &new) }))
}

/// Whether to check or to do.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CheckQuery {
    /// True: check the file and change nothing; the answer has the version that is in force.
    #[serde(default)]
    check: bool,
    /// True: change nothing, say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// Puts a catalog in force.
///
/// The body is a catalog file, YAML or JSON. The same catalog twice changes nothing. A start of the ledger
/// puts its own file in force again: change that too.
#[utoipa::path(
    post, path = "/v1/catalog", tag = "plans", operation_id = "publishCatalog", params(CheckQuery),
    request_body(content = String, content_type = "application/yaml", description = "The file"),
    security(("admin" = [])),
    responses((status = 200, description = "What is in force", body = CatalogVersion), WriteRefusals)
)]
async fn publish(
    State(app): State<App>,
    Query(query): Query<CheckQuery>,
    request: Request,
) -> Answer<Json<CatalogVersion>> {
    let (parts, body) = request.into_parts();
    let file = read_body(body, tariff::source::FILE_BYTES_MAX).await?;
    crate::audit::note_text(&file);
    require_catalog(&parts.headers)?;
    // Reading a large file takes milliseconds that other calls need not wait for.
    let read = tokio::task::spawn_blocking(move || tariff::source::load(file)).await;
    let catalog = read
        .map_err(|error| Problem::internal(&error))?
        .map_err(|problems| Problem::invalid_catalog(problems.into_iter().map(Into::into).collect()))?;
    if query.check {
        let version = app.service.edge_catalog(None).await?.version;
        return Ok(Json(CatalogVersion { version, ..CatalogVersion::default() }));
    }
    if query.dry_run {
        return Ok(Json(app.service.dry_run(catalog).await?));
    }
    Ok(Json(app.service.publish(catalog).await?))
}

fn require_catalog(headers: &HeaderMap) -> Answer<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    if MEDIA_TYPES.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let detail = "the body must be `Content-Type: application/yaml` or `application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

//! `POST /v1/catalog`: a catalog file put in force without a restart.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Query, read_body};
use super::openapi::WriteRefusals;
use super::respond::{Answer, Problem};
use crate::dto::CatalogVersion;

/// The media types of catalog files: JSON is YAML too.
const MEDIA_TYPES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "application/json"];

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(publish))
}

/// Whether to check or to do.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CheckQuery {
    /// True: check the file and change nothing; the answer has the version that is in force.
    #[serde(default)]
    check: bool,
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
    crate::audit::note_body(&file);
    require_catalog(&parts.headers)?;
    // Reading a large file takes milliseconds that other calls need not wait for.
    let read = tokio::task::spawn_blocking(move || tariff::source::load(file)).await;
    let catalog = read
        .map_err(|error| Problem::internal(&error))?
        .map_err(|problems| Problem::invalid_catalog(problems.into_iter().map(Into::into).collect()))?;
    if query.check {
        let version = app.service.edge_catalog(None).await?.version;
        return Ok(Json(CatalogVersion { version, changed: false }));
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

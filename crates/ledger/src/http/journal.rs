//! The journal as it is looked up: an account's lines by what they are about, a request's, exports, incidents.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::{Path, Query};
use super::openapi::ReadRefusals;
use super::page::{PageBody, PageQuery};
use super::respond::Answer;
use crate::dto::{Entry, EntryKind, ExportedEntry, Incident};
use crate::service::{Export, IncidentQuery, LineFilter, ServiceError};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(entries))
        .routes(routes!(of_request))
        .routes(routes!(export))
        .routes(routes!(incidents))
}

/// Which lines, and which page of them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LineParams {
    /// Of this kind.
    #[param(inline)]
    kind: Option<EntryKind>,
    /// By the key with this id.
    key: Option<String>,
    /// Charged as this model; without its variant, all of them.
    model: Option<String>,
    /// Of this request (`x-bursar-request-id`).
    request_id: Option<String>,
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

/// The account's journal, latest first.
///
/// A page may hold fewer items than asked for, even none, while `has_more` is true: one page looks at no more than
/// 100,000 lines.
#[utoipa::path(
    get, path = "/v1/accounts/{account}/entries", tag = "credits", operation_id = "listEntries",
    params(("account" = String, Path, description = "The account's id"), LineParams), security(("admin" = [])),
    responses((status = 200, description = "A page of entries", body = PageBody<Entry>), ReadRefusals)
)]
async fn entries(
    State(app): State<App>,
    Path(account): Path<String>,
    Query(params): Query<LineParams>,
) -> Answer<Json<PageBody<Entry>>> {
    let LineParams { kind, key, model, request_id: request, from, to, limit, cursor } = params;
    let page = PageQuery::new(limit, cursor).request(|cursor| cursor.parse::<u64>().ok())?;
    let filter = LineFilter { kind, key, model, request, from, to };
    Ok(Json(PageBody::new(app.service.entries(account, filter, page).await?)))
}

/// Which request.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RequestParams {
    /// Its id (`x-bursar-request-id`).
    request_id: String,
}

/// A request's lines, whichever account it was of: its charge, and what gave it back.
///
/// Empty where the request was not charged.
#[utoipa::path(
    get, path = "/v1/entries", tag = "credits", operation_id = "findRequest", params(RequestParams),
    security(("admin" = [])),
    responses((status = 200, description = "The lines", body = PageBody<ExportedEntry>), ReadRefusals)
)]
async fn of_request(
    State(app): State<App>,
    Query(params): Query<RequestParams>,
) -> Answer<Json<PageBody<ExportedEntry>>> {
    let data = app.service.entries_of_request(params.request_id).await?;
    Ok(Json(PageBody { data, next_cursor: None, has_more: false }))
}

/// How an export is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// RFC 4180, with a header line.
    Csv,
}

/// What to export.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportParams {
    /// How it is written; `ndjson` where absent.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Of this account; of all where absent.
    account: Option<String>,
    /// Of this kind.
    #[param(inline)]
    kind: Option<EntryKind>,
    /// By the key with this id.
    key: Option<String>,
    /// Charged as this model; without its variant, all of them.
    model: Option<String>,
    /// From this instant on …
    from: Option<Timestamp>,
    /// … and before this one.
    to: Option<Timestamp>,
}

/// All lines of the journal, or of one account, latest first, as one stream.
///
/// The stream is as long as it must be and takes no more memory for it. One that breaks off has no last chunk: take
/// it for incomplete. At most four at a time.
#[utoipa::path(
    get, path = "/v1/entries/export", tag = "credits", operation_id = "exportEntries", params(ExportParams),
    security(("admin" = [])),
    responses(
        (status = 200, description = "The lines", content(
            (ExportedEntry = "application/x-ndjson"), (String = "text/csv")
        )),
        ReadRefusals
    )
)]
async fn export(State(app): State<App>, Query(params): Query<ExportParams>) -> Answer<Response> {
    let ExportParams { format, account, kind, key, model, from, to } = params;
    let filter = LineFilter { kind, key, model, request: None, from, to };
    let export = app.service.export(account, filter).await?;
    let head = (format == Format::Csv).then(|| Bytes::from_static(csv::HEAD.as_bytes()));
    let content_type = match format {
        Format::Ndjson => HeaderValue::from_static("application/x-ndjson"),
        Format::Csv => HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    };
    let body = Body::new(Pieces { export, format, head });
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// An export as a body.
struct Pieces {
    export: Export,
    format: Format,
    head: Option<Bytes>,
}

impl axum::body::HttpBody for Pieces {
    type Data = Bytes;
    type Error = ServiceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServiceError>>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let format = self.format;
        Poll::Ready(ready!(self.export.poll_recv(context)).map(|piece| {
            let mut text = String::new();
            for line in piece? {
                match format {
                    Format::Ndjson => {
                        text.push_str(&serde_json::to_string(&line).map_err(ServiceError::internal)?);
                        text.push('\n');
                    }
                    Format::Csv => csv::push(&mut text, &line),
                }
            }
            Ok(Frame::data(text.into()))
        }))
    }
}

/// Which incidents, and which page of them.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IncidentParams {
    /// Of this kind, such as `gap`, `conflict`, `disputed`, `price_mismatch`.
    code: Option<String>,
    /// About this account.
    account: Option<String>,
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

/// What people should look at, latest first: settlements lost, refused, contradictory, disputed or priced otherwise.
///
/// The last 100,000 are kept. Of settlements priced otherwise than at the edge at most 100 of one transaction are here; the
/// metric counts all.
#[utoipa::path(
    get, path = "/v1/incidents", tag = "operations", operation_id = "listIncidents", params(IncidentParams),
    security(("admin" = [])),
    responses((status = 200, description = "A page of incidents", body = PageBody<Incident>), ReadRefusals)
)]
async fn incidents(
    State(app): State<App>,
    Query(params): Query<IncidentParams>,
) -> Answer<Json<PageBody<Incident>>> {
    let IncidentParams { code, account, from, to, limit, cursor } = params;
    let page = PageQuery::new(limit, cursor).request(|cursor| cursor.parse::<u64>().ok())?;
    let query = IncidentQuery { code, account, from, to };
    Ok(Json(PageBody::new(app.service.incidents(query, page).await?)))
}

/// Lines as RFC 4180 has them.
mod csv {
    use serde::Serialize;

    use crate::dto::ExportedEntry;

    /// The header line.
    pub const HEAD: &str = "id,time,account,kind,amount,debt,request_id,key,model,answered_model,outcome,usage,\
        usage_source,usage_status,pools,disputed,reference,reason,reverses,expires_at,plan,service_tier,cost_usd,\
        provider_cost_usd\r\n";

    /// Appends a line.
    pub fn push(text: &mut String, line: &ExportedEntry) {
        let entry = &line.entry;
        let time = |time: jiff::Timestamp| time.to_string();
        let cells = [
            Some(entry.id.clone()),
            Some(time(entry.time)),
            Some(line.account.clone()),
            word(&entry.kind),
            Some(entry.amount.to_string()),
            Some(entry.debt.to_string()),
            entry.request_id.clone(),
            entry.key.clone(),
            entry.model.clone(),
            entry.answered_model.clone(),
            entry.outcome.clone(),
            (!entry.usage.is_empty()).then(|| json(&entry.usage)),
            entry.usage_source.clone(),
            entry.usage_status.clone(),
            (!entry.pools.is_empty()).then(|| json(&entry.pools)),
            entry.disputed.map(|amount| amount.to_string()),
            entry.reference.clone(),
            entry.reason.clone(),
            entry.reverses.clone(),
            entry.expires_at.map(time),
            entry.plan.clone(),
            entry.service_tier.clone(),
            entry.cost_usd.map(|cost| cost.to_string()),
            entry.provider_cost_usd.clone(),
        ];
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            quoted(text, &cell.unwrap_or_default());
        }
        text.push_str("\r\n");
    }

    fn quoted(text: &mut String, cell: &str) {
        if !cell.contains(['"', ',', '\r', '\n']) {
            text.push_str(cell);
            return;
        }
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap_or_default()
    }

    fn word(value: &impl Serialize) -> Option<String> {
        serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn cells_are_quoted_where_they_must() {
            let mut text = String::new();
            for cell in ["plain", "a,b", "say \"hi\"", "two\nlines"] {
                super::quoted(&mut text, cell);
                text.push('|');
            }
            assert_eq!(text, "plain|\"a,b\"|\"say \"\"hi\"\"\"|\"two\nlines\"|");
        }
    }
}

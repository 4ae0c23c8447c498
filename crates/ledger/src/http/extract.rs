//! Reading requests: bodies with a size bound and the path of what is wrong, queries, path segments.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::App;
use super::idempotency::{self, InFlight, Owner};
use super::respond::{Answer, Problem};
use crate::service::Idempotency;

/// The largest body of a public call.
pub const API_BODY_BYTES_MAX: usize = 64 << 10;
/// The largest body of an edge call: 2,000 events of up to 4 KiB.
pub const EDGE_BODY_BYTES_MAX: usize = 8 << 20;

/// How much more is taken of a body that is refused for its length, and for how long.
const DRAINED_BYTES_MAX: usize = 32 << 20;
const DRAINED_FOR: Duration = Duration::from_secs(1);

/// A write: its body, and the caller's wish for one effect. An empty body reads as `{}`.
pub struct Write<T> {
    /// The body.
    pub value: T,
    /// The wish.
    pub idempotency: Option<Idempotency>,
    in_flight: Option<InFlight>,
}

/// A write without a body.
pub struct BareWrite {
    /// The caller's wish for one effect.
    pub idempotency: Option<Idempotency>,
    in_flight: Option<InFlight>,
}

/// Query parameters; unknown ones are refused.
pub struct Query<T>(pub T);

/// Path segments.
pub struct Path<T>(pub T);

// === impl Write ===

impl<T: DeserializeOwned> FromRequest<App> for Write<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, API_BODY_BYTES_MAX).await?;
        crate::audit::note_body(&bytes);
        let (idempotency, in_flight) = enter(app, &parts, &bytes)?;
        let value = if bytes.is_empty() {
            parse(b"{}")?
        } else {
            require_json(&parts.headers)?;
            parse(&bytes)?
        };
        Ok(Self { value, idempotency, in_flight })
    }
}

impl<T> Write<T> {
    /// The body and the wish; the call stays in flight as long as the third part lives.
    pub fn into_parts(self) -> (T, Option<Idempotency>, Option<InFlight>) {
        (self.value, self.idempotency, self.in_flight)
    }
}

// === impl BareWrite ===

impl FromRequest<App> for BareWrite {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, API_BODY_BYTES_MAX).await?;
        let (idempotency, in_flight) = enter(app, &parts, &bytes)?;
        Ok(Self { idempotency, in_flight })
    }
}

impl BareWrite {
    /// The wish; the call stays in flight as long as the second part lives.
    pub fn into_parts(self) -> (Option<Idempotency>, Option<InFlight>) {
        (self.idempotency, self.in_flight)
    }
}

// === impl Query ===

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::bad_request("invalid_query", cause_text(&rejection))),
        }
    }
}

// === impl Path ===

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::bad_request("invalid_path", cause_text(&rejection))),
        }
    }
}

/// Reads a body up to a bound.
///
/// # Errors
/// 413 beyond the bound, 400 where the body breaks off.
pub async fn read_body(mut body: Body, bytes_max: usize) -> Answer<Bytes> {
    let mut read = Vec::new();
    // A body that is said to be too long is not kept.
    let mut fits = HttpBody::size_hint(&body).lower() <= u64::try_from(bytes_max).unwrap_or(u64::MAX);
    while fits {
        let Some(frame) = body.frame().await else { return Ok(read.into()) };
        let frame = frame.map_err(|_| Problem::bad_request("body_cut_off", "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        fits = read.len().saturating_add(data.len()) <= bytes_max;
        read.extend_from_slice(if fits { &data } else { &[] });
    }
    drop(read);
    let _ = tokio::time::timeout(DRAINED_FOR, drain(body)).await;
    let detail = format!("a body may have at most {bytes_max} bytes");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", detail))
}

/// Takes what still comes of a body that is refused, up to a bound: closing a connection with bytes unread resets it,
/// and a client that writes all before it reads would never see the answer.
async fn drain(mut body: Body) {
    let mut left = DRAINED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let taken = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(taken) else { return };
        left = rest;
    }
}

/// # Errors
/// 415 unless the content type is JSON.
pub fn require_json(headers: &HeaderMap) -> Answer<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "the body must be `Content-Type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Reads JSON.
///
/// # Errors
/// 400 where it is no JSON, 422 with the member's path where it is JSON of another shape.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let problem =
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", inner.to_string());
            if path == "." { problem } else { problem.at(path) }
        } else {
            Problem::bad_request("malformed_json", inner.to_string())
        }
    })?;
    json.end().map_err(|error| Problem::bad_request("malformed_json", error.to_string()))?;
    Ok(value)
}

fn enter(app: &App, parts: &Parts, body: &[u8]) -> Answer<(Option<Idempotency>, Option<InFlight>)> {
    let wish = idempotency::wish(&parts.method, &parts.uri, &parts.headers, body)?;
    let idempotency = wish.map(|wish| match parts.extensions.get::<Owner>() {
        Some(owner) => owner.own(wish),
        None => wish,
    });
    let in_flight = idempotency.as_ref().map(|wish| app.in_flight.enter(&wish.key)).transpose()?;
    Ok((idempotency, in_flight))
}

/// The innermost text: what axum wraps around it says nothing to the caller.
fn cause_text(error: &(dyn std::error::Error + 'static)) -> String {
    let innermost = std::iter::successors(Some(error), |&error| error.source()).last();
    innermost.map_or_else(String::new, ToString::to_string)
}

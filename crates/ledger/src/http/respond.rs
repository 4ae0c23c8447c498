//! Every refusal and failure as an answer: status, problem body, headers, log. The one place for it.
//!
//! Bodies are RFC 9457 problems. What the client may read and what only the log may say are separate:
//! the cause of an internal error never leaves the process.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dto::{CatalogProblem, PlanUnlock};
use crate::service::{Kind, ServiceError, Written};

/// A refusal or failure on its way to the client.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    body: Box<ProblemBody>,
}

/// The body of every refusal and failure: an RFC 9457 problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:bursar:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:bursar:problem:account_not_found")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// For programs.
    #[schema(example = "account_not_found")]
    pub code: String,
    /// For people.
    pub detail: String,
    /// The member of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// What the plan caps (`api_keys`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Plans that lift the cap, cheapest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocks: Vec<PlanUnlock>,
    /// Whom to ask, where no public plan lifts the cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What is wrong with a catalog, in the order of the places; at most a hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<CatalogProblem>,
    /// The key that an earlier, identical call made and showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// The code of a problem, for the layers that an answer passes.
#[derive(Clone, Debug)]
pub struct ProblemCode(pub String);

/// What a handler answers.
pub type Answer<T> = Result<T, Problem>;

/// Seconds after which a client may try again when the ledger cannot answer now.
const RETRY_AFTER_SECONDS: &str = "1";
/// What marks the answer to a repeated write.
const REPLAYED_HEADER: &str = "idempotency-replayed";

// === impl Problem ===

impl Problem {
    /// A problem with a status, a code for programs and a text for people.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let body = ProblemBody {
            kind: format!("urn:bursar:problem:{code}"),
            title,
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            member: None,
            resource: None,
            max: None,
            unlocks: Vec::new(),
            contact: None,
            problems: Vec::new(),
            key_id: None,
        };
        Self { status, body: Box::new(body) }
    }

    /// The request cannot be read.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The request reads well, but a member cannot be taken.
    pub fn invalid(member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).at(member)
    }

    /// A fault of ours: the cause goes to the log, the client reads that there is one.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        let chain: Vec<String> =
            std::iter::successors(Some(cause), |&error| error.source()).map(ToString::to_string).collect();
        tracing::error!(error = chain.join(": "), "internal error");
        let detail = "the ledger failed to do this; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    /// Its body.
    pub fn body(&self) -> &ProblemBody {
        &self.body
    }

    /// The same about one member of the request.
    #[must_use]
    pub fn at(mut self, member: impl Into<String>) -> Self {
        self.body.member = Some(member.into());
        self
    }

    /// A catalog with problems.
    pub fn invalid_catalog(problems: Vec<CatalogProblem>) -> Self {
        let detail = match problems.first() {
            Some(first) => {
                format!("{}:{}: {}: {}", first.line, first.column, first.path, first.message)
            }
            None => "the catalog cannot be read".to_owned(),
        };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_catalog", detail);
        problem.body.problems = problems;
        problem
    }

    /// A secret was shown once, by an earlier, identical call; it cannot be shown again.
    pub fn secret_already_shown(id: &str) -> Self {
        let detail = format!("this call was answered before and showed the secret of {id} then: rotate it");
        Self::new(StatusCode::CONFLICT, "secret_already_shown", detail)
    }

    /// The key exists and was shown once; it cannot be shown again.
    pub fn key_already_created(key_id: String) -> Self {
        let detail =
            "this call was answered before and its key was shown then; revoke that key and create another";
        let mut problem = Self::new(StatusCode::CONFLICT, "key_already_created", detail);
        problem.body.key_id = Some(key_id);
        problem
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::NotFound { kind, .. } => not_found(kind, text),
            ServiceError::Conflict { code, detail } => Self::new(StatusCode::CONFLICT, code, detail),
            ServiceError::Invalid { member, detail } => Self::invalid(member, detail),
            ServiceError::LimitReached { resource, max, unlocks, contact } => {
                let mut problem = Self::new(StatusCode::PAYMENT_REQUIRED, "limit_reached", text);
                problem.body.resource = Some(resource);
                problem.body.contact = contact.filter(|_| unlocks.is_empty());
                problem.body.max = Some(max);
                problem.body.unlocks = unlocks;
                problem
            }
            ServiceError::IdempotencyMismatch => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", text)
            }
            ServiceError::Overloaded => Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text),
            ServiceError::Unavailable(cause) => {
                tracing::warn!(cause, "not available");
                let detail = "the ledger is not available now";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", detail)
            }
            ServiceError::Internal(cause) => Self::internal(cause.as_ref()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = ProblemCode(self.body.code.clone());
        let mut response = (self.status, Json(self.body)).into_response();
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"bursar\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The answer to a write: `status` when it was done just now, 200 when nothing had to be done, the
/// earlier answer's bytes (with `status`) when it repeats one.
pub fn written<T: Serialize>(status: StatusCode, written: Written<T>) -> Response {
    match written {
        Written::Done(value) => (status, Json(value)).into_response(),
        Written::Existing(value) => Json(value).into_response(),
        Written::Replayed(bytes) => {
            let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), (REPLAYED_HEADER, "true")];
            (status, headers, Body::from(bytes)).into_response()
        }
    }
}

/// What answers a path that does not exist.
pub async fn route_not_found(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; /openapi.json lists what there is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", detail)
}

/// What answers a method that the path does not have; the router adds `Allow`.
pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// What a path names and is not there is 404; what a body names and is not there is 422.
fn not_found(kind: Kind, text: String) -> Problem {
    let missing = |code: &str| Problem::new(StatusCode::NOT_FOUND, code, text.clone());
    let unknown =
        |code, member| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, text.clone()).at(member);
    match kind {
        Kind::Account => missing("account_not_found"),
        Kind::Key => missing("key_not_found"),
        Kind::Catalog => missing("catalog_not_found"),
        Kind::Change => missing("no_such_change"),
        Kind::Entry => missing("entry_not_found"),
        Kind::Lot => missing("lot_not_found"),
        Kind::Other(what) => missing(&format!("{}_not_found", what.replace(' ', "_"))),
        Kind::Plan => unknown("unknown_plan", "plan"),
        Kind::Pool => unknown("unknown_pool", "pool"),
    }
}

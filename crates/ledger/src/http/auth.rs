//! Who may call what: bearer tokens with scopes for people and their tools, another token for nodes.
//!
//! Tokens are kept as SHA-256 digests. The two configured ones are compared in constant time, both of them each
//! time; those made through the API are found by their digest. The right token at the wrong door, or without
//! the scope, is 403, anything else 401. What a token does goes on as an [`Act`], for the audit log.

use std::fmt;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::App;
use super::accounts::is_account_id;
use super::respond::{Answer, Problem, ProblemCode};
use crate::audit::{self, Act};
use crate::dto::Scope;
use crate::keys;
use crate::service::Caller;

/// A bearer token, kept as its SHA-256.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// The tokens of the two doors.
#[derive(Debug)]
pub struct Tokens {
    admin: Token,
    edge: Token,
}

/// Why tokens were refused at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It could not be sent in a header, or is too easy to guess.
    #[error("a token must be {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} visible ASCII characters")]
    Malformed,
    /// Admin and edge would have the same rights.
    #[error("the admin token and the edge token must differ")]
    Same,
}

/// The shortest token that is taken.
const TOKEN_CHARS_MIN: usize = 8;
/// The longest token that is taken.
const TOKEN_CHARS_MAX: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Admin,
    Edge,
}

// === impl Token ===

impl Token {
    /// Takes a token in.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] for other than 8 to 256 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let length = (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len());
        if !length || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Malformed);
        }
        Ok(Self(Sha256::digest(text.as_bytes()).into()))
    }

    fn matches(&self, presented: &[u8; 32]) -> Choice {
        self.0.ct_eq(presented)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

// === impl Tokens ===

impl Tokens {
    /// Two tokens.
    ///
    /// # Errors
    /// [`TokenError::Same`] where they are one.
    pub fn new(admin: Token, edge: Token) -> Result<Self, TokenError> {
        if bool::from(admin.matches(&edge.0)) {
            return Err(TokenError::Same);
        }
        Ok(Self { admin, edge })
    }

    /// Whose token it is.
    fn holder(&self, presented: &[u8; 32]) -> Option<Door> {
        let (is_admin, is_edge) = (self.admin.matches(presented), self.edge.matches(presented));
        match (bool::from(is_admin), bool::from(is_edge)) {
            (true, _) => Some(Door::Admin),
            (false, true) => Some(Door::Edge),
            (false, false) => None,
        }
    }
}

/// What a group of routes asks of a token.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// For reading.
    pub read: Scope,
    /// For anything else.
    pub write: Scope,
}

/// A group of routes behind its guard.
#[derive(Clone)]
pub struct Guarded {
    /// The API.
    pub app: App,
    /// The guard.
    pub guard: Guard,
}

/// How the audit log calls the configured token.
pub const ROOT: &str = "root";
/// The id of a call: the caller's, or one of ours.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id of a call that is taken from the caller.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Lets through whoever has a token with the scope; notes what is done with it, and what is refused.
pub async fn require_token(
    State(Guarded { app, guard }): State<Guarded>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let mut response = authorized(&app, guard, request, next, &id).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn authorized(app: &App, guard: Guard, request: Request, next: Next, id: &str) -> Response {
    let caller = match caller(app, request.headers()) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let asked = if reads { guard.read } else { guard.write };
    if reads {
        return match caller.may(asked) {
            true => next.run(request).await,
            false => missing(asked).into_response(),
        };
    }
    let act = Arc::new(act(&caller, &request, id));
    let response = match caller.may(asked) {
        true => audit::within(Arc::clone(&act), next.run(request)).await,
        false => missing(asked).into_response(),
    };
    if let Some(ProblemCode(code)) = response.extensions().get() {
        note_refusal(app, act, code.clone());
    }
    response
}

/// Who calls: the configured token, or one that was made with it.
fn caller(app: &App, headers: &HeaderMap) -> Answer<Caller> {
    let presented = presented(headers)?;
    match app.tokens.holder(&presented) {
        Some(Door::Admin) => Ok(Caller { name: ROOT.to_owned(), scopes: vec![Scope::Admin] }),
        Some(Door::Edge) => Err(wrong_door()),
        None => app.service.caller(&presented).ok_or_else(unknown),
    }
}

/// Lets only the edge token through.
pub async fn require_edge(State(app): State<App>, request: Request, next: Next) -> Answer<Response> {
    let presented = presented(request.headers())?;
    match app.tokens.holder(&presented) {
        Some(Door::Edge) => Ok(next.run(request).await),
        Some(Door::Admin) => Err(wrong_door()),
        None if app.service.caller(&presented).is_some() => Err(wrong_door()),
        None => Err(unknown()),
    }
}

/// A call for the audit log.
fn act(caller: &Caller, request: &Request, id: &str) -> Act {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let path = request.uri().path();
    let account = path.strip_prefix("/v1/accounts/").and_then(|rest| rest.split('/').next());
    let mut act = Act::default();
    act.who.clone_from(&caller.name);
    act.operation = format!("{} {route}", request.method());
    act.path = format!("{} {path}", request.method());
    act.account = account.filter(|account| is_account_id(account)).map(str::to_owned);
    id.clone_into(&mut act.request_id);
    act
}

/// Notes a refusal without keeping the caller waiting.
fn note_refusal(app: &App, act: Arc<Act>, code: String) {
    let service = Arc::clone(&app.service);
    tokio::spawn(async move {
        if let Err(error) = service.note_refusal(act, code).await {
            tracing::warn!(%error, "noting a refused call");
        }
    });
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let taken = given.filter(|id| (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && !id.contains(' '));
    // Without randomness the call still has an answer; its id is empty then.
    taken.map_or_else(|| keys::fresh_id("req").unwrap_or_default(), str::to_owned)
}

fn missing(asked: Scope) -> Problem {
    let detail = format!("the token does not have the scope \"{}\"", asked.as_str());
    Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail)
}

fn wrong_door() -> Problem {
    let detail = "this token is for the other part of the API: /v1/edge/ takes the edge token, the rest the admin token";
    Problem::new(StatusCode::FORBIDDEN, "wrong_credential", detail)
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "the token is not known")
}

/// SHA-256 of the token that was presented.
fn presented(headers: &HeaderMap) -> Answer<[u8; 32]> {
    let Some(presented) = bearer(headers) else {
        let detail = "exactly one `Authorization: Bearer <token>` is needed";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail));
    };
    Ok(Sha256::digest(presented).into())
}

/// The token of the one `Authorization: Bearer` header there is.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

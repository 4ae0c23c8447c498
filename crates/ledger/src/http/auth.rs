//! Who may call what: one bearer token for people and their tools, another for nodes.
//!
//! Tokens are kept and compared as SHA-256 digests, in constant time, both of them each time. The right
//! token at the wrong door is 403, anything else 401; neither says which part was wrong.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::App;
use super::respond::{Answer, Problem};

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

    fn check(&self, headers: &HeaderMap, door: Door) -> Answer<()> {
        let unauthenticated =
            |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
        let Some(presented) = bearer(headers) else {
            return Err(unauthenticated("exactly one `Authorization: Bearer <token>` is needed"));
        };
        let presented = Sha256::digest(presented).into();
        let (is_admin, is_edge) = (self.admin.matches(&presented), self.edge.matches(&presented));
        let (right, other) = match door {
            Door::Admin => (is_admin, is_edge),
            Door::Edge => (is_edge, is_admin),
        };
        match (bool::from(right), bool::from(other)) {
            (true, _) => Ok(()),
            (false, true) => {
                let detail = "this token is for the other part of the API: /v1/edge/ takes the edge token, the rest the admin token";
                Err(Problem::new(StatusCode::FORBIDDEN, "wrong_credential", detail))
            }
            (false, false) => Err(unauthenticated("the token is not known")),
        }
    }
}

/// Lets only the admin token through.
pub async fn require_admin(State(app): State<App>, request: Request, next: Next) -> Answer<Response> {
    app.tokens.check(request.headers(), Door::Admin)?;
    Ok(next.run(request).await)
}

/// Lets only the edge token through.
pub async fn require_edge(State(app): State<App>, request: Request, next: Next) -> Answer<Response> {
    app.tokens.check(request.headers(), Door::Edge)?;
    Ok(next.run(request).await)
}

/// The token of the one `Authorization: Bearer` header there is.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

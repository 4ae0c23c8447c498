//! The API's description: built from the handlers, served at `/openapi.json`, kept as a golden file.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::auth::Guard;
use super::respond::ProblemBody;
use super::{App, edge, groups, manage, mcp, ops};

/// The description of the whole API.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(management())
        .merge(edge::routes())
        .merge(manage::routes())
        .merge(mcp::routes())
        .merge(ops::routes())
        .into_openapi()
}

/// The management API, each operation with the scope that it asks for.
fn management() -> OpenApiRouter<App> {
    let mut all = OpenApiRouter::new();
    for (guard, mut group) in groups() {
        for item in group.get_openapi_mut().paths.paths.values_mut() {
            let Guard { read, write } = guard;
            if let Some(operation) = &mut item.get {
                operation.security = Some(vec![SecurityRequirement::new("admin", [read.as_str()])]);
            }
            for operation in
                [&mut item.post, &mut item.patch, &mut item.put, &mut item.delete].into_iter().flatten()
            {
                operation.security = Some(vec![SecurityRequirement::new("admin", [write.as_str()])]);
            }
        }
        all = all.merge(group);
    }
    all
}

/// The header that makes a write happen once.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header, carries no value")]
pub struct IdempotencyHeader {
    /// Yours, 1 to 255 visible ASCII characters. The same call with the same key within 24 hours has
    /// one effect and gets the same answer, marked `Idempotency-Replayed: true`; another call with it
    /// is 422; while the first is under way it is 409.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}

macro_rules! refusals {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $status:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[expect(dead_code, reason = "describes answers, carries none")]
        pub enum $name {
            $(
                #[response(status = $status, description = $text, content_type = "application/problem+json")]
                $variant(ProblemBody),
            )*
        }
    };
}

refusals! {
    /// Refusals of a read.
    ReadRefusals {
        BadRequest = 400 "The query or path cannot be read",
        Unauthenticated = 401 "No token, or one that is not known",
        Forbidden = 403 "The token is for the other part of the API, or lacks the scope",
        NotFound = 404 "What the path names does not exist",
        Internal = 500 "A fault of the ledger; its log says which",
        Unavailable = 503 "Not now: try again after Retry-After",
    }
}

refusals! {
    /// Refusals of a write.
    WriteRefusals {
        BadRequest = 400 "The request cannot be read",
        Unauthenticated = 401 "No token, or one that is not known",
        Forbidden = 403 "The token is for the other part of the API, or lacks the scope",
        NotFound = 404 "What the path names does not exist",
        Conflict = 409 "It contradicts what is there, or the same call is under way",
        TooLarge = 413 "The body is above 64 KiB",
        MediaType = 415 "The body is not declared as JSON",
        Invalid = 422 "A member cannot be taken, or the idempotency key belongs to another call",
        Internal = 500 "A fault of the ledger; its log says which",
        Unavailable = 503 "Not now: try again after Retry-After",
    }
}

refusals! {
    /// Refusals of a reconciliation.
    ReconcileRefusals {
        BadRequest = 400 "The request cannot be read",
        Unauthenticated = 401 "No token, or one that is not known",
        Forbidden = 403 "The token is for the other part of the API, or lacks the scope",
        TooLarge = 413 "The body is above 4 MiB",
        MediaType = 415 "The body is not declared as JSON",
        Invalid = 422 "More than 500 reports, or a member that is not known",
        Internal = 500 "A fault of the ledger; its log says which",
        Unavailable = 503 "Not now: try again after Retry-After",
    }
}

refusals! {
    /// Refusals of an edge call.
    EdgeRefusals {
        BadRequest = 400 "The body is no JSON",
        Unauthenticated = 401 "No token, or one that is not known",
        Forbidden = 403 "The token is for the other part of the API, or lacks the scope",
        NotFound = 404 "There is no such catalog version",
        TooLarge = 413 "The body is above 8 MiB",
        MediaType = 415 "The body is not declared as JSON",
        Invalid = 422 "Another version of the protocol, or a list beyond its bound",
        Internal = 500 "A fault of the ledger; its log says which",
        Unavailable = 503 "Not now: try again after Retry-After",
    }
}

refusals! {
    /// Refusals of the readiness probe.
    ReadyRefusals {
        Unavailable = 503 "The store does not answer",
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "bursar ledger",
        description = "Accounts, API keys, plans, credits and their journal.\n\n\
            Amounts are decimal strings in credits (`\"12.5\"`), never JSON numbers. Times are RFC 3339; answers are \
            in UTC. Unknown members are refused, except by the edge's calls. Every refusal is an RFC 9457 problem \
            with a `code` for programs. Lists are paged: pass `next_cursor` as `cursor`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "accounts", description = "Who spends"),
        (name = "keys", description = "What they spend with; a key is shown once and stored as its SHA-256"),
        (name = "credits", description = "What they have and where it went"),
        (name = "plans", description = "What they can be on"),
        (name = "webhooks", description = "What happens, and where it is told"),
        (name = "access", description = "Who may call, and who did what"),
        (name = "edge", description = "What nodes call"),
        (name = "customers", description = "What customers do with their own account, with their own API key"),
        (name = "operations", description = "What keeps it running; open"),
    ),
    components(schemas(ProblemBody)),
    modifiers(&Schemes),
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = |text: &str| {
            let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build();
            SecurityScheme::Http(http)
        };
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(
            "admin",
            bearer("The admin token, or one made with it that has the scope named at the operation"),
        );
        components.add_security_scheme("api_key", bearer("A customer's own API key"));
        components.add_security_scheme("edge", bearer("The edge token: nodes"));
    }
}

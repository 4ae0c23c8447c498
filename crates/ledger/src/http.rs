//! The HTTP API: routes, credentials, limits, errors. Everything else is the service's.
//!
//! Order of the layers, outermost first: request log and metrics, the edge's marker header, the time
//! limit, then per group the credential, then the handler, which reads the body. Every refusal, also of
//! the router itself, is an RFC 9457 problem (`respond`).

mod access;
mod accounts;
mod auth;
mod catalog;
mod corrections;
mod credits;
mod edge;
mod explain;
mod extract;
mod idempotency;
mod journal;
mod keys;
mod layers;
mod manage;
mod mcp;
mod openapi;
mod ops;
mod page;
mod plan_change;
mod plans;
mod programmes;
mod purchases;
mod reconcile;
mod resources;
mod respond;
mod server;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::middleware;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

pub use self::access::CreatedToken;
pub use self::auth::{Token, TokenError, Tokens};
pub use self::keys::{CreatedKey, RotatedKey};
pub use self::openapi::document;
pub use self::page::PageBody;
pub use self::respond::ProblemBody;
pub use self::server::{ServeError, serve};
pub use self::webhooks::ShownEndpoint;
use crate::dto::Scope;
use crate::metrics::Metrics;
use crate::service::Service;

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    service: Arc<dyn Service>,
    metrics: Arc<Metrics>,
    tokens: Arc<Tokens>,
    in_flight: idempotency::InFlightKeys,
    /// Room for customers' own calls.
    customers: Arc<Semaphore>,
    openapi: Bytes,
}

// === impl App ===

impl App {
    /// The API in front of a service.
    ///
    /// # Errors
    /// None in practice: the API's description always has a JSON form.
    pub fn new(
        service: Arc<dyn Service>,
        metrics: Arc<Metrics>,
        tokens: Tokens,
    ) -> Result<Self, serde_json::Error> {
        let openapi = document().to_pretty_json()?.into();
        let in_flight = idempotency::InFlightKeys::default();
        let customers = Arc::new(Semaphore::new(manage::CALLS_MAX));
        Ok(Self { service, metrics, tokens: Arc::new(tokens), in_flight, customers, openapi })
    }

    /// All routes with all layers.
    pub fn router(self) -> Router {
        let admin = groups().into_iter().fold(Router::new(), |all, (guard, group)| {
            let (group, _) = group.split_for_parts();
            let state = auth::Guarded { app: self.clone(), guard };
            all.merge(group.route_layer(middleware::from_fn_with_state(state, auth::require_token)))
        });
        let (edge, _) = edge::routes().split_for_parts();
        let (open, _) = ops::routes().merge(manage::routes()).merge(mcp::routes()).split_for_parts();
        let edge = edge.route_layer(middleware::from_fn_with_state(self.clone(), auth::require_edge));
        admin
            .merge(edge)
            .merge(open)
            .fallback(respond::route_not_found)
            .method_not_allowed_fallback(respond::method_not_allowed)
            .layer(middleware::from_fn(layers::limit_time))
            .layer(middleware::from_fn_with_state(self.clone(), layers::mark_edge_answers))
            .layer(middleware::from_fn_with_state(self.clone(), layers::observe))
            .with_state(self)
    }
}

/// The management API, by what a token must have.
fn groups() -> [(auth::Guard, OpenApiRouter<App>); 6] {
    use Scope::{Accounts, Admin, Catalog, Money, Read};
    let guard = |read, write| auth::Guard { read, write };
    let accounts =
        OpenApiRouter::new().merge(accounts::routes()).merge(keys::routes()).merge(resources::routes());
    let money = OpenApiRouter::new()
        .merge(plan_change::routes())
        .merge(purchases::routes())
        .merge(credits::routes())
        .merge(journal::routes())
        .merge(corrections::routes())
        .merge(programmes::routes())
        .merge(reconcile::routes());
    let catalog = OpenApiRouter::new().merge(plans::routes()).merge(catalog::routes());
    [
        (guard(Read, Accounts), accounts),
        (guard(Read, Money), money),
        (guard(Read, Catalog), catalog),
        (guard(Read, Read), explain::routes()),
        (guard(Read, Admin), webhooks::routes()),
        (guard(Admin, Admin), access::routes()),
    ]
}

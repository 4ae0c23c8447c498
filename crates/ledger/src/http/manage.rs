//! `/manage/v1`: what customers do with their own account, with their own API key.
//!
//! For an Envoy that routes the prefix to the ledger; the management token opens nothing here, a key nothing elsewhere.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use edge::request::credential::digest;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::bearer;
use super::extract::Write;
use super::idempotency::Owner;
use super::openapi::{IdempotencyHeader, ReadRefusals, WriteRefusals};
use super::respond::{Answer, Problem, ProblemBody, written};
use crate::audit::{self, Act};
use crate::dto::{Billing, Checkout, OwnChange, PlanChange, Portal, PublicPlan};
use crate::service::{Idempotency, ServiceError, Written};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(billing))
        .routes(routes!(plans))
        .routes(routes!(change_plan))
        .routes(routes!(checkout))
        .routes(routes!(portal))
}

/// The most calls of customers that are under way at a time: what they ask is answered by the writer, which settles.
pub const CALLS_MAX: usize = 64;

/// The account whose key came with the request, with its room until it is answered.
pub(super) struct Customer(String, Arc<Act>, OwnedSemaphorePermit);

impl Customer {
    /// The account's id.
    pub(super) fn account(&self) -> &str {
        &self.0
    }
}

impl FromRequestParts<App> for Customer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let unauthenticated =
            |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
        let key = bearer(&parts.headers)
            .ok_or_else(|| unauthenticated("exactly one `Authorization: Bearer <API key>` is needed"))?;
        // As the filter reads it: a mistyped key costs no look-up.
        let digest = digest(key)
            .ok_or_else(|| unauthenticated("the API key is malformed: check that it was copied whole"))?;
        let room = Arc::clone(&app.customers).try_acquire_owned().map_err(|_| ServiceError::Overloaded)?;
        let known = app.service.customer(digest).await?;
        let (account, key) =
            known.ok_or_else(|| unauthenticated("the API key is not known, or no longer valid"))?;
        parts.extensions.insert(Owner(account.clone()));
        let mut act = Act::default();
        act.who = format!("customer {key}");
        act.account = Some(account.clone());
        act.operation = format!("{} {}", parts.method, parts.uri.path());
        act.path.clone_from(&act.operation);
        Ok(Self(account, Arc::new(act), room))
    }
}

/// The plan, what is used of its limits, what is kept, when it renews.
#[utoipa::path(
    get, path = "/manage/v1/billing", tag = "customers", operation_id = "readBilling", security(("api_key" = [])),
    responses((status = 200, description = "Plan, usage, limits", body = Billing), ReadRefusals)
)]
async fn billing(State(app): State<App>, customer: Customer) -> Answer<Json<Billing>> {
    let Customer(account, _, _room) = customer;
    Ok(Json(app.service.billing(account).await?))
}

/// The plans.
#[derive(Serialize, ToSchema)]
pub(super) struct PublicPlans {
    /// In the catalog's order.
    data: Vec<PublicPlan>,
}

/// The plans that anyone may choose.
#[utoipa::path(
    get, path = "/manage/v1/plans", tag = "customers", operation_id = "listPublicPlans",
    security(("api_key" = [])),
    responses((status = 200, description = "The public plans", body = PublicPlans), ReadRefusals)
)]
async fn plans(State(app): State<App>, _: Customer) -> Answer<Json<PublicPlans>> {
    Ok(Json(public_plans(&app).await?))
}

/// The plans that anyone may choose.
pub(super) async fn public_plans(app: &App) -> Answer<PublicPlans> {
    Ok(PublicPlans { data: app.service.public_plans().await? })
}

/// Changes the customer's own plan, as the catalog says: at once, with the period, or once it is paid.
///
/// A priced plan that comes at once needs a registered payment method; without one it is 409 `payment_needed`.
#[utoipa::path(
    post, path = "/manage/v1/billing/change-plan", tag = "customers", operation_id = "changeOwnPlan",
    params(IdempotencyHeader), request_body = OwnChange, security(("api_key" = [])),
    responses((status = 200, description = "What it does", body = PlanChange), WriteRefusals)
)]
async fn change_plan(
    State(app): State<App>,
    customer: Customer,
    write: Write<OwnChange>,
) -> Answer<Response> {
    let (change, idempotency, _in_flight) = write.into_parts();
    let done = ask(&app, idempotency, customer, change, false).await?;
    Ok(written(StatusCode::OK, done))
}

/// Asks for a change of plan, with a line in the audit log that names the key.
async fn ask(
    app: &App,
    wish: Option<Idempotency>,
    customer: Customer,
    change: OwnChange,
    checkout: bool,
) -> Answer<Written<PlanChange>> {
    let Customer(account, act, _room) = customer;
    let body = serde_json::to_vec(&change).map_err(|error| Problem::internal(&error))?;
    let changed = async move {
        audit::note_body(&body);
        app.service.change_own_plan(wish, account, change, checkout).await
    };
    Ok(audit::within(act, changed).await?)
}

/// Begins a change of plan that comes with its payment, and says where to pay.
#[utoipa::path(
    post, path = "/manage/v1/billing/checkout", tag = "customers", operation_id = "createCheckout",
    params(IdempotencyHeader), request_body = OwnChange, security(("api_key" = [])),
    responses((status = 200, description = "What to pay, and where", body = Checkout), WriteRefusals)
)]
async fn checkout(
    State(app): State<App>,
    customer: Customer,
    write: Write<OwnChange>,
) -> Answer<Json<Checkout>> {
    let (change, idempotency, _in_flight) = write.into_parts();
    Ok(Json(check_out(&app, idempotency, customer, change).await?))
}

/// Begins a change that comes with its payment.
pub(super) async fn check_out(
    app: &App,
    wish: Option<Idempotency>,
    customer: Customer,
    change: OwnChange,
) -> Answer<Checkout> {
    let change = match ask(app, wish, customer, change, true).await? {
        Written::Done(change) | Written::Existing(change) => change,
        Written::Replayed(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?
        }
    };
    Ok(Checkout {
        change: change.change.unwrap_or_default(),
        plan: change.to,
        amount_usd: change.amount_usd,
        url: app.service.upgrade_link(),
    })
}

/// Where the customer looks after payment methods and invoices.
#[utoipa::path(
    post, path = "/manage/v1/billing/portal", tag = "customers", operation_id = "createPortal",
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The link", body = Portal),
        (status = 409, description = "The catalog has no link for upgrades",
         body = ProblemBody, content_type = "application/problem+json"),
        ReadRefusals
    )
)]
async fn portal(State(app): State<App>, _: Customer) -> Answer<Json<Portal>> {
    let none = || Problem::new(StatusCode::CONFLICT, "no_portal", "the catalog has no link for upgrades");
    Ok(Json(Portal { url: app.service.upgrade_link().ok_or_else(none)? }))
}

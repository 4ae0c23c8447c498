//! Events and where they are delivered: the third part of [`super::Service`].

use super::{Idempotency, Page, PageRequest, Reply, Written};
use crate::dto;

/// The ledger, as those who listen to it call it.
///
/// # Errors
/// As [`super::Service`].
pub trait Webhooks: Send + Sync + 'static {
    /// Events, latest first.
    fn events(&self, filter: EventQuery, page: PageRequest<u64>) -> Reply<'_, Page<dto::Event, u64>>;

    /// All endpoints, oldest first.
    fn endpoints(&self) -> Reply<'_, Vec<dto::Endpoint>>;

    /// Adds an endpoint. `Conflict("too_many_endpoints")`; `Invalid` for its address, events or secret.
    fn create_endpoint(
        &self,
        write: Option<Idempotency>,
        endpoint: NewEndpoint,
    ) -> Reply<'_, Written<dto::Endpoint>>;

    /// Changes an endpoint. `Invalid` as above.
    fn change_endpoint(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
        change: dto::EndpointChange,
    ) -> Reply<'_, Written<dto::Endpoint>>;

    /// Removes an endpoint with its deliveries.
    fn remove_endpoint(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
    ) -> Reply<'_, Written<dto::Endpoint>>;

    /// Gives an endpoint another secret; both sign for a while.
    fn rotate_secret(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
        secret: String,
        overlap_seconds: u64,
    ) -> Reply<'_, Written<dto::Endpoint>>;

    /// Sends a test event to one endpoint alone.
    fn test_endpoint(&self, write: Option<Idempotency>, endpoint: String) -> Reply<'_, Written<dto::Event>>;

    /// Deliveries to an endpoint, latest first.
    fn deliveries(
        &self,
        endpoint: String,
        state: Option<dto::DeliveryState>,
        page: PageRequest<u64>,
    ) -> Reply<'_, Page<dto::Delivery, u64>>;

    /// Delivers anew: one delivery, or all that were given up.
    fn redeliver(
        &self,
        write: Option<Idempotency>,
        endpoint: String,
        what: dto::Redelivery,
    ) -> Reply<'_, Written<dto::Redelivered>>;
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this account.
    pub account: Option<String>,
    /// Of this type.
    pub name: Option<String>,
}

/// An endpoint to add. The secret is made, or checked, by the engine's [`crate::engine::fresh_secret`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Its id, minted by the caller.
    pub id: String,
    /// The address.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Patterns of events' names; empty: all.
    pub events: Vec<String>,
    /// What signs.
    pub secret: String,
}

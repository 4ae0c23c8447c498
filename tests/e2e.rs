//! The filter and the ledger in a real Envoy, from outside.

mod bad_body;
mod bad_head;
mod bed;
mod burst;
mod changes;
mod clients;
mod disconnect;
mod example;
mod fleet;
mod gone;
mod hosts;
mod matrix;
mod observed;
mod outage;
mod pages;
mod parked;
mod recovered;
mod refusals;
mod refused;
mod served;
mod shadow;
mod soak;
mod swap;
mod trailers;
mod upstream;
mod usage;

//! The sync call from the edge's side: one in flight per VM, built from what waits, applied when it answers.
//!
//! `build` gathers events, look-ups, wants and returns; `apply` brings what the ledger said into records and
//! tables; `beat` is what the tick does. All of it runs in root callbacks.

mod apply;
mod beat;
mod build;
mod rates;

pub use apply::CallAnswer;
pub use beat::Waker;
pub(crate) use build::bucket_name;
use wire::{Digest, NodeId, RateReport, Return};

/// The sync that is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Its number.
    pub number: u64,
    /// The node that it was sent as.
    pub node: NodeId,
    /// When it was sent, in microseconds.
    pub sent_us: u64,
    /// Until when the accounts of `wants` wait for it, in microseconds: their records' deadline.
    pub refill_us: u64,
    /// When it is given up, in microseconds.
    pub until_us: u64,
    /// Keys that it asks about: asked again if it fails.
    pub lookups: Vec<Digest>,
    /// Snapshots that it asks for: asked again if it fails.
    pub refresh: Vec<Box<str>>,
    /// Accounts whose refill it carries.
    pub wants: Vec<Box<str>>,
    /// Accounts of `wants` that were recalled: what is free of them goes back with the answer.
    pub recalled: Vec<Box<str>>,
    /// Returns that it states: stated again if it fails.
    pub returns: Vec<Return>,
    /// How records stand with their rates: stated again if it fails.
    pub rates: Vec<RateReport>,
}

/// The call for a catalog that is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatalogFlight {
    /// The version asked for.
    pub version: u64,
    /// When it is given up, in microseconds.
    pub until_us: u64,
}

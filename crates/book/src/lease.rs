//! Leases: what a node may still take from a bucket.
//!
//! Named by node, account, the record's epoch on the node, and bucket. Grants and returns are
//! cumulative, so that lost, repeated and reordered messages are harmless.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::Micros;
use wire::NodeId;
use wire::id::names_bucket;

use crate::account::{credits, is_credits};
use crate::amount::less;

/// What one node's record may take from one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// The record's epoch.
    pub epoch: u64,
    /// The bucket.
    pub bucket: Arc<str>,
    /// The asset whose pools pay; empty where the bucket is a limit's.
    #[serde(default = "credits", skip_serializing_if = "is_credits")]
    pub asset: Arc<str>,
    /// Granted in all.
    pub granted: Micros,
    /// Given back in all.
    pub returned: Micros,
    /// Used in all, as far as settlements have come in.
    pub settled: Micros,
    /// Used in all, once the node has given the record up.
    pub used: Option<Micros>,
    /// The oldest term that what is outstanding may settle under, as far as it matters; 0: any that is kept.
    #[serde(default)]
    pub since: u64,
}

/// What a node last said of one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The node.
    pub node: NodeId,
    /// The record's epoch.
    pub epoch: u64,
    /// The bucket.
    pub bucket: Arc<str>,
    /// Free there.
    pub free: Micros,
    /// Held by requests there.
    pub held: Micros,
    /// When it said so, by its own wall clock.
    pub at: i64,
}

// === impl Lease ===

impl Lease {
    /// What may still be taken under it: settlements that will yet come draw at most this, but for
    /// what requests use above their holds. Never below zero.
    #[must_use]
    pub fn outstanding(&self) -> Micros {
        match self.used {
            Some(used) => less(used, self.settled),
            None => less(less(self.granted, self.returned), self.settled),
        }
    }

    /// Used beyond what was granted: requests that used more than they held. The node must be granted
    /// so much again before anything is free there.
    #[must_use]
    pub fn behind(&self) -> Micros {
        match self.used {
            Some(_) => Micros::ZERO,
            None => less(self.settled, less(self.granted, self.returned)),
        }
    }

    /// Whether just what was granted has been used or given back: no request that holds something of it is open, but
    /// for what others used above their holds.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.outstanding() == Micros::ZERO && self.behind() == Micros::ZERO
    }

    /// Whether nothing more can come of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.used.is_some_and(|used| self.settled >= used)
    }

    /// Whether it goes by that name; the bucket by its id or, where a node no longer knows it, by its tag.
    #[must_use]
    pub fn is(&self, node: NodeId, epoch: u64, bucket: &str) -> bool {
        self.node == node && self.epoch == epoch && names_bucket(bucket, &self.bucket)
    }
}

// === impl Stated ===

impl Stated {
    /// Whether it is about a lease.
    #[must_use]
    pub fn is_of(&self, lease: &Lease) -> bool {
        self.names(lease.node, lease.epoch, &lease.bucket)
    }

    /// Whether it is about the lease of that name.
    #[must_use]
    pub fn names(&self, node: NodeId, epoch: u64, bucket: &str) -> bool {
        self.node == node && self.epoch == epoch && &*self.bucket == bucket
    }

    /// Whether both are about the same lease.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.names(other.node, other.epoch, &other.bucket)
    }
}

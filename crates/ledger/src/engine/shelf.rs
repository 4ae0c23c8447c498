//! The catalogs as they are read beside the writer: all versions for the edge, the one in force for people.
//!
//! A version stands here only after its commit: what a node has read must not be another one after a crash.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tariff::{Catalog, EdgeCatalog};

/// All versions of the catalog.
pub struct Shelf {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// As the edge reads them, by version.
    edge: BTreeMap<u64, Arc<EdgeCatalog>>,
    /// The one in force, with its version.
    in_force: Option<(u64, Arc<Catalog>)>,
}

// === impl Shelf ===

impl Shelf {
    /// The stored versions, one of them in force.
    pub fn new(catalogs: &BTreeMap<u64, Arc<Catalog>>, in_force: u64) -> Self {
        let edge =
            catalogs.iter().map(|(version, catalog)| (*version, Arc::new(catalog.edge(*version)))).collect();
        let in_force = catalogs.get(&in_force).map(|catalog| (in_force, Arc::clone(catalog)));
        Self { state: RwLock::new(State { edge, in_force }) }
    }

    /// Adds a version that is in force from now on; an older one than that in force changes nothing.
    pub fn add(&self, version: u64, catalog: Arc<Catalog>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.edge.insert(version, Arc::new(catalog.edge(version)));
        if state.in_force.as_ref().is_none_or(|(own, _)| *own < version) {
            state.in_force = Some((version, catalog));
        }
    }

    /// The catalog in force.
    pub fn in_force(&self) -> Option<Arc<Catalog>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.in_force.as_ref().map(|(_, catalog)| Arc::clone(catalog))
    }

    /// A version as the edge reads it, absent = the one in force; or the number that is missing.
    pub fn edge(&self, version: Option<u64>) -> Result<Arc<EdgeCatalog>, u64> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let version =
            version.or_else(|| state.in_force.as_ref().map(|(version, _)| *version)).unwrap_or_default();
        state.edge.get(&version).cloned().ok_or(version)
    }
}

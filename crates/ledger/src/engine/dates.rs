//! The dates that a catalog states itself: each stretch between two of them is in force as a version of its own, so that
//! neither edge nor book has to know the time to know a price.
//!
//! What was stated is kept in memory alone: a start states its file again.

use std::sync::{Mutex, PoisonError};

use tariff::Catalog;

/// The catalog as it was stated, and when something in it changes next.
pub struct Dates(Mutex<Stated>);

struct Stated {
    catalog: Catalog,
    next: Option<i64>,
}

// === impl Dates ===

impl Dates {
    /// The dates of a catalog that is stated at an instant, in milliseconds since 1970, and what of it holds then.
    pub fn new(catalog: Catalog, at: i64) -> (Self, Catalog) {
        let (stated, holds) = Stated::new(catalog, at);
        (Self(Mutex::new(stated)), holds)
    }

    /// Takes the dates of another catalog from an instant on; gives what of it holds then.
    pub fn restate(&self, catalog: Catalog, at: i64) -> Catalog {
        let (stated, holds) = Stated::new(catalog, at);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stated;
        holds
    }

    /// Whether anything is still to change.
    pub fn any_ahead(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next.is_some()
    }

    /// What holds at an instant, where a date has come since it was last asked for.
    pub fn due(&self, at: i64) -> Option<Catalog> {
        let mut stated = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stated.next? > at {
            return None;
        }
        stated.next = after(&stated.catalog, at);
        Some(stated.catalog.at(at))
    }
}

impl Stated {
    fn new(catalog: Catalog, at: i64) -> (Self, Catalog) {
        let holds = catalog.at(at);
        (Self { next: after(&catalog, at), catalog }, holds)
    }
}

/// The first date of a catalog after an instant.
fn after(catalog: &Catalog, at: i64) -> Option<i64> {
    catalog.boundaries().into_iter().find(|date| *date > at)
}

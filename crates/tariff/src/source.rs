//! Reading a catalog file, YAML or JSON, into a [`Catalog`], with every problem that it has at once.
//!
//! The layers, each in its file: `tree` (text to nodes with positions), `scalar` and `fields` (nodes
//! to values), `document` and a file for each kind of thing in it (values to the catalog), `extends` (plans
//! that build on others), `check` and `sold` (contradictions over the whole) and `advice` (warnings). What may be
//! written where is in tables (`shape`), from which `schema` is written too. A catalog is only given out when
//! there is no problem at all.
//!
//! Deliberately absent: anchors, aliases, tags and merge keys of YAML (a plan builds on another with
//! `extends`), floats (numbers are exact decimals of the file's text).

mod advice;
mod cadence;
mod check;
mod cohort;
mod document;
mod exhaustion;
mod extends;
mod feature;
mod fields;
mod limit;
mod limits;
mod meant;
mod model;
mod names;
mod plan;
mod pool;
mod price;
mod problem;
mod purchase;
mod rate;
mod scalar;
mod schema;
mod shape;
mod sold;
mod transition;
mod tree;

use crate::catalog::Catalog;
use problem::Report;

pub use limits::FILE_BYTES_MAX;
pub use problem::Problem;
pub use schema::schema;

/// Reads a catalog file's bytes: YAML 1.2, or JSON as its subset, in UTF-8, of at most
/// [`FILE_BYTES_MAX`].
///
/// # Errors
/// All problems of the file, in the order of their positions; never empty, and cut off after a
/// hundred.
pub fn load(file: impl AsRef<[u8]>) -> Result<Catalog, Vec<Problem>> {
    read(file).map(|(catalog, _)| catalog)
}

/// Reads a catalog file as [`load`] does, and tells what is allowed and probably not meant.
///
/// # Errors
/// As those of [`load`].
pub fn read(file: impl AsRef<[u8]>) -> Result<(Catalog, Vec<Problem>), Vec<Problem>> {
    let mut report = Report::default();
    let root = tree::parse(file.as_ref(), &mut report);
    let catalog = root.and_then(|root| {
        let catalog = document::catalog(&root, &mut report)?;
        check::check(&catalog, &root, &mut report);
        sold::check(&catalog, &root, &mut report);
        advice::advise(&catalog, &root, &mut report);
        Some(catalog)
    });
    report.conclude(catalog)
}

//! Reading a catalog file, YAML or JSON, into a [`Catalog`], with every problem that it has at once.
//!
//! The layers, each in its file: `tree` (text to nodes with positions), `scalar` and `fields` (nodes
//! to values), `model`, `pool`, `plan`, `extends` and `document` (values to the catalog). A catalog is
//! only given out when there is no problem at all.
//!
//! Deliberately absent: anchors, aliases, tags and merge keys of YAML (a plan builds on another with
//! `extends`), floats (numbers are exact decimals of the file's text), warnings.

mod document;
mod extends;
mod fields;
mod limits;
mod model;
mod plan;
mod pool;
mod problem;
mod scalar;
mod tree;

use crate::catalog::Catalog;
use problem::Report;

pub use limits::FILE_BYTES_MAX;
pub use problem::Problem;

/// Reads a catalog file's bytes: YAML 1.2, or JSON as its subset, in UTF-8, of at most
/// [`FILE_BYTES_MAX`].
///
/// # Errors
/// All problems of the file, in the order of their positions; never empty, and cut off after a
/// hundred.
pub fn load(file: impl AsRef<[u8]>) -> Result<Catalog, Vec<Problem>> {
    let mut report = Report::default();
    let catalog =
        tree::parse(file.as_ref(), &mut report).and_then(|root| document::catalog(&root, &mut report));
    report.conclude(catalog)
}

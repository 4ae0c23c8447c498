//! The life of an account on the price pages' terms, on the book with a clock of its own: years pass in milliseconds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

mod commitments;
mod home;
mod lapse;
mod modelstack;
mod pools_and_wallet;
mod support;

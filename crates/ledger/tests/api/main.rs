//! The HTTP API and the command line against the real engine on a SQLite file.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod access;
mod accounts;
mod auth;
mod catalogs;
mod command_line;
mod corrections;
mod credits;
mod edge;
mod explain;
mod failing;
mod hostile;
mod idempotency;
mod journal;
mod keys;
mod node;
mod openapi;
mod operations;
mod pages;
mod plan_changes;
mod process;
mod purchases;
mod reconcile;
mod settings;
mod shapes;
mod support;
mod verdicts;
mod webhooks;

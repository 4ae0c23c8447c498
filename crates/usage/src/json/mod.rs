//! JSON read in pieces: a tokenizer without buffer or recursion, and a walker that reports only the members
//! named in a tree.
//!
//! Nothing here builds a document. What a value means is the business of the visitor or sink.

mod fault;
mod number;
mod string;
mod tokenizer;
mod utf8;
mod walker;

#[cfg(test)]
mod tests;

pub(crate) use fault::Fault;
pub use fault::FaultKind;
pub(crate) use number::Number;
pub(crate) use string::Name;
pub(crate) use tokenizer::{Container, Literal, Tokenizer, Visitor};
pub(crate) use walker::{Grown, LEVELS_MAX, Node, Sink, Step, Twig, Walker};

/// Strings are checked: UTF-8, no raw control characters.
pub(crate) const STRICT: bool = true;

/// Strings are not checked: for answers, which pass through whatever they are.
pub(crate) const LENIENT: bool = false;

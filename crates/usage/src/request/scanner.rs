//! The scan of one request body: one pass, resumable at any byte, nothing kept but the facts.

use super::members::Members;
use super::{RequestDialect, RequestError, RequestFacts};
use crate::json::{STRICT, Tokenizer};

/// Reads one request body, piece by piece.
///
/// The body must be one JSON object in strict RFC 8259 syntax; escaped lone surrogates are tolerated
/// outside of `model`. Names are compared decoded. Its size is not limited here.
#[derive(Clone, Debug)]
pub struct RequestScanner {
    tokenizer: Tokenizer<STRICT>,
    members: Members,
    refused: Option<RequestError>,
}

impl RequestScanner {
    /// A scanner at the beginning of a body.
    #[must_use]
    pub fn new(dialect: RequestDialect) -> Self {
        Self { tokenizer: Tokenizer::new(), members: Members::new(dialect), refused: None }
    }

    /// Reads the next piece of the body; pieces may be cut at any byte.
    ///
    /// # Errors
    /// What makes the body unacceptable; every later call gives the same error.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        // No JSON text begins with this byte; a byte order mark does, and has an answer of its own.
        let result = if self.tokenizer.offset() == 0 && bytes.first() == Some(&MARK_FIRST) {
            Err(RequestError::ByteOrderMark)
        } else {
            self.tokenizer.feed(bytes, &mut self.members)
        };
        self.members.facts.body_bytes = self.tokenizer.offset();
        if let Err(error) = &result {
            self.refused = Some(error.clone());
        }
        result
    }

    /// Whether the body's object is closed; only white space may follow.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refused.is_none() && self.tokenizer.is_complete()
    }

    /// The facts, once the object is closed.
    #[must_use]
    pub fn facts(&self) -> Option<&RequestFacts> {
        self.is_complete().then_some(&self.members.facts)
    }

    /// The facts at the end of the body.
    ///
    /// # Errors
    /// As [`Self::feed`], and [`RequestError::Truncated`] where the object is not closed.
    pub fn finish(mut self) -> Result<RequestFacts, RequestError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        if !self.tokenizer.finish(&mut self.members)? {
            return Err(RequestError::Truncated { at: self.tokenizer.offset() });
        }
        Ok(self.members.facts)
    }
}

/// The first byte of a byte order mark in UTF-8.
const MARK_FIRST: u8 = 0xef;

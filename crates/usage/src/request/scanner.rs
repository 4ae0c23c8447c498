//! The scan of one request body: one pass, resumable at any byte, nothing kept but the facts.

use super::form::Form;
use super::form_head::Boundary;
use super::members::Members;
use super::{RequestDialect, RequestError, RequestFacts};
use crate::json::{STRICT, Tokenizer};

/// Reads one request body, piece by piece.
///
/// The body must be one JSON object in strict RFC 8259 syntax; escaped lone surrogates are tolerated
/// outside of `model`. Names are compared decoded. Or it is a form (RFC 7578), where its headers say so; see
/// [`FormFault`](super::FormFault) for what of them is refused. Its size is not limited here.
#[derive(Clone, Debug)]
pub struct RequestScanner {
    body: Body,
    refused: Option<RequestError>,
}

#[derive(Clone, Debug)]
enum Body {
    Json(Tokenizer<STRICT>, Members),
    Form(Form),
}

impl RequestScanner {
    /// A scanner at the beginning of a body.
    #[must_use]
    pub fn new(dialect: RequestDialect) -> Self {
        Self { body: Body::Json(Tokenizer::new(), Members::new(dialect)), refused: None }
    }

    /// A scanner at the beginning of a form.
    #[must_use]
    pub fn form(boundary: Boundary) -> Self {
        Self { body: Body::Form(Form::new(boundary)), refused: None }
    }

    /// Reads the next piece of the body; pieces may be cut at any byte.
    ///
    /// # Errors
    /// What makes the body unacceptable; every later call gives the same error.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let result = match &mut self.body {
            Body::Form(form) => form.feed(bytes),
            Body::Json(tokenizer, members) => {
                // No JSON text begins with this byte; a byte order mark does, and has an answer of its own.
                let result = if tokenizer.offset() == 0 && bytes.first() == Some(&MARK_FIRST) {
                    Err(RequestError::ByteOrderMark)
                } else {
                    tokenizer.feed(bytes, members)
                };
                members.facts.body_bytes = tokenizer.offset();
                result
            }
        };
        if let Err(error) = &result {
            self.refused = Some(error.clone());
        }
        result
    }

    /// Whether the body is closed: only white space may follow an object, a line break a form.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refused.is_none()
            && match &self.body {
                Body::Json(tokenizer, _) => tokenizer.is_complete(),
                Body::Form(form) => form.is_complete(),
            }
    }

    /// The facts, once the body is closed.
    #[must_use]
    pub fn facts(&self) -> Option<&RequestFacts> {
        self.is_complete().then_some(match &self.body {
            Body::Json(_, members) => &members.facts,
            Body::Form(form) => form.facts(),
        })
    }

    /// The facts at the end of the body.
    ///
    /// # Errors
    /// As [`Self::feed`], and [`RequestError::Truncated`] or [`RequestError::Form`] where it is not closed.
    pub fn finish(self) -> Result<RequestFacts, RequestError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        match self.body {
            Body::Json(mut tokenizer, mut members) => {
                if !tokenizer.finish(&mut members)? {
                    return Err(RequestError::Truncated { at: tokenizer.offset() });
                }
                Ok(members.facts)
            }
            Body::Form(form) => {
                form.finish()?;
                Ok(form.into_facts())
            }
        }
    }
}

/// The first byte of a byte order mark in UTF-8.
const MARK_FIRST: u8 = 0xef;

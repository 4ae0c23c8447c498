//! Why a request body is refused, in words fit for the answer to the client.

use super::form::FormFault;
use crate::json::{Fault, FaultKind};
use crate::limits;

/// A request body that is not read; its text is one short sentence for the client.
///
/// Names that come from the body are cut at [`limits::NAME_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON (RFC 8259), or nested deeper than [`limits::DEPTH_MAX`].
    #[error("The request body is not valid JSON: {kind} at offset {at}.")]
    Syntax {
        /// What is wrong.
        kind: FaultKind,
        /// Offset of the byte that shows it.
        at: u64,
    },
    /// The body ended before its object was closed.
    #[error("The request body ends at offset {at}, before its JSON object does.")]
    Truncated {
        /// How many bytes there were.
        at: u64,
    },
    /// The body begins with a byte order mark (RFC 8259 §8.1).
    #[error("The request body must not begin with a byte order mark.")]
    ByteOrderMark,
    /// No form that is read as one.
    #[error("The request body is not a valid form: {fault}, at offset {at}.")]
    Form {
        /// What is wrong.
        fault: FormFault,
        /// Offset of the byte that shows it.
        at: u64,
    },
    /// The body is JSON, but no object.
    #[error("The request body must be a JSON object.")]
    NotAnObject,
    /// A member stands twice where which one counts would decide the price.
    #[error("The request body has the member \"{member}\" twice.")]
    Duplicate {
        /// The member's decoded name; `stream_options.include_usage` for the one inside.
        member: Box<str>,
    },
    /// A member's name differs from a known one only in case, so that upstreams disagree on what it means.
    #[error("The member \"{member}\" must be written in lower case.")]
    Misspelled {
        /// The known name.
        member: &'static str,
    },
    /// More top-level members than are read.
    #[error("The request body has more than {} top-level members.", limits::MEMBERS_MAX)]
    TooManyMembers,
    /// A member's value is of the wrong type.
    #[error("\"{member}\" must be {expected}.")]
    WrongType {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A number out of range.
    #[error("\"{member}\" must be between {min} and {max}.")]
    OutOfRange {
        /// The member.
        member: &'static str,
        /// The smallest number allowed.
        min: u64,
        /// The largest number allowed.
        max: u64,
    },
    /// The model's name is longer than [`limits::MODEL_BYTES_MAX`].
    #[error("\"model\" must not be longer than {} bytes.", limits::MODEL_BYTES_MAX)]
    ModelTooLong,
    /// The model's name has a lone surrogate.
    #[error("\"model\" must be valid Unicode.")]
    ModelNotUnicode,
}

impl From<Fault> for RequestError {
    fn from(fault: Fault) -> Self {
        Self::Syntax { kind: fault.kind, at: fault.at }
    }
}

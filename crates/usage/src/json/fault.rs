//! Where and how a text is not JSON.

/// A violation of RFC 8259 (or of the depth limit) and the offset of the byte that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    pub at: u64,
}

/// What is wrong at that byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A byte that cannot stand where it stands.
    #[error("unexpected byte")]
    UnexpectedByte,
    /// A raw control character inside a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// A string that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// A backslash followed by none of JSON's escapes.
    #[error("invalid escape")]
    InvalidEscape,
    /// More objects and arrays within one another than are read.
    #[error("nested too deeply")]
    TooDeep,
}

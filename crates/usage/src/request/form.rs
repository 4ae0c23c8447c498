//! The scan of a `multipart/form-data` body (RFC 7578): its fields are noted as members of a JSON object would be, its
//! files are counted. One pass, resumable at any byte, nothing kept but the facts.
//!
//! Upstreams read forms more leniently than one another, so whatever two of them could read as different fields is
//! refused: text before the first boundary and behind the last, boundaries at ends of lines other than CRLF, names
//! that are escaped, values in another charset or encoding.

use super::form_head::{Boundary, Part, part};
use super::members::Members;
use super::{RequestDialect, RequestError, RequestFacts};
use crate::limits::{PART_HEAD_BYTES_MAX, PARTS_MAX};

/// Reads one form, piece by piece.
#[derive(Clone, Debug)]
pub(super) struct Form {
    boundary: Boundary,
    members: Members,
    state: State,
    /// The line break that may begin a boundary, and how much of `--boundary` was read behind it.
    line: Break,
    matched: usize,
    head: Vec<u8>,
    parts: usize,
    offset: u64,
}

/// Why a form is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// The body does not begin with its boundary.
    #[error("it does not begin with its boundary")]
    Preamble,
    /// Something stands behind the last boundary.
    #[error("something follows its last boundary")]
    Epilogue,
    /// A boundary stands at the beginning of a line that does not follow CRLF, or goes on.
    #[error("its boundary stands where it ends no part")]
    Boundary,
    /// More parts than [`PARTS_MAX`].
    #[error("it has more than {PARTS_MAX} parts")]
    Parts,
    /// The headers of a part are longer than [`PART_HEAD_BYTES_MAX`].
    #[error("the headers of a part are longer than {PART_HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// The headers of a part are not those of a field or file, or could be read in several ways.
    #[error("the headers of a part are not understood")]
    Head,
    /// A field that matters is sent as a file.
    #[error("a field is sent as a file")]
    FieldAsFile,
    /// It ended before its last boundary.
    #[error("it ends before its last boundary")]
    Unended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Begin,
    /// Behind a boundary; the first byte of the two that follow it, once it was read.
    Behind(Option<u8>),
    /// In the headers of a part.
    Head,
    /// In the value of a part.
    Value(Part),
    /// Behind the last boundary, so many bytes of a line break.
    End(u8),
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// What is read is in a line.
    None,
    /// The value begins.
    Start,
    Cr,
    Lf,
    CrLf,
}

impl Break {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::None | Self::Start => b"",
            Self::Cr => b"\r",
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }
}

impl Form {
    pub(super) fn new(boundary: Boundary) -> Self {
        let mut members = Members::new(RequestDialect::OpenAi);
        members.begin_form();
        Self {
            boundary,
            members,
            state: State::Begin,
            line: Break::None,
            matched: 0,
            head: Vec::new(),
            parts: 0,
            offset: 0,
        }
    }

    pub(super) fn facts(&self) -> &RequestFacts {
        &self.members.facts
    }

    pub(super) fn into_facts(self) -> RequestFacts {
        self.members.facts
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::End(_))
    }

    /// Reads the next piece.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let before = rest.len();
            rest = match self.state {
                State::Begin => self.begin(byte, after)?,
                State::Behind(first) => self.behind(first, byte, after)?,
                State::Head => self.head(byte, after)?,
                State::Value(part) => self.value(part, rest)?,
                State::End(read) => {
                    if b"\r\n".get(usize::from(read)) != Some(&byte) {
                        return Err(self.fault(FormFault::Epilogue));
                    }
                    self.state = State::End(read.saturating_add(1));
                    after
                }
            };
            self.offset = self.offset.saturating_add(before.saturating_sub(rest.len()) as u64);
            self.members.facts.body_bytes = self.offset;
        }
        Ok(())
    }

    /// The end of the body.
    pub(super) fn finish(&self) -> Result<(), RequestError> {
        if self.is_complete() { Ok(()) } else { Err(self.fault(FormFault::Unended)) }
    }

    fn fault(&self, fault: FormFault) -> RequestError {
        RequestError::Form { fault, at: self.offset }
    }

    fn begin<'a>(&mut self, byte: u8, after: &'a [u8]) -> Result<&'a [u8], RequestError> {
        if self.boundary.dashed().get(self.matched) != Some(&byte) {
            return Err(self.fault(FormFault::Preamble));
        }
        self.matched = self.matched.saturating_add(1);
        if self.matched == self.boundary.dashed().len() {
            self.state = State::Behind(None);
        }
        Ok(after)
    }

    /// A boundary is followed by CRLF, the last one by two dashes.
    fn behind<'a>(&mut self, first: Option<u8>, byte: u8, after: &'a [u8]) -> Result<&'a [u8], RequestError> {
        self.state = match (first, byte) {
            (None, b'\r' | b'-') => State::Behind(Some(byte)),
            (Some(b'-'), b'-') => State::End(0),
            (Some(b'\r'), b'\n') => {
                self.parts = self.parts.saturating_add(1);
                if self.parts > PARTS_MAX {
                    return Err(self.fault(FormFault::Parts));
                }
                self.head.clear();
                State::Head
            }
            _ => return Err(self.fault(FormFault::Boundary)),
        };
        Ok(after)
    }

    /// The headers of a part, up to the empty line behind them.
    fn head<'a>(&mut self, byte: u8, after: &'a [u8]) -> Result<&'a [u8], RequestError> {
        if self.head.len() >= PART_HEAD_BYTES_MAX {
            return Err(self.fault(FormFault::HeadTooLong));
        }
        self.head.push(byte);
        if let Some(lines) = self.head.strip_suffix(b"\r\n\r\n") {
            let part = part(lines).ok_or_else(|| self.fault(FormFault::Head))?;
            let is_read = self.members.begin_part(part.name)?;
            match part.kind {
                Part::File if is_read => return Err(self.fault(FormFault::FieldAsFile)),
                Part::File => self.members.begin_file(),
                Part::Field => self.members.begin_field(),
            }
            self.state = State::Value(part.kind);
            (self.line, self.matched) = (Break::Start, 0);
        }
        Ok(after)
    }

    /// The value of a part, up to the boundary behind it.
    fn value<'a>(&mut self, part: Part, rest: &'a [u8]) -> Result<&'a [u8], RequestError> {
        let Some((&byte, after)) = rest.split_first() else {
            return Ok(rest);
        };
        if self.line == Break::None {
            let plain = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (run, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            hand_on(&mut self.members, part, run);
            let Some((&byte, after)) = tail.split_first() else {
                return Ok(tail);
            };
            self.line = if byte == b'\r' { Break::Cr } else { Break::Lf };
            return Ok(after);
        }
        if self.line == Break::Cr && self.matched == 0 && byte == b'\n' {
            self.line = Break::CrLf;
            return Ok(after);
        }
        let dashed = self.boundary.dashed();
        if dashed.get(self.matched) == Some(&byte) {
            self.matched = self.matched.saturating_add(1);
            if self.matched < dashed.len() {
                return Ok(after);
            }
            // Some upstreams take it for a boundary there too, others for a part of the value.
            if self.line != Break::CrLf {
                return Err(self.fault(FormFault::Boundary));
            }
            self.end_value(part)?;
            return Ok(after);
        }
        // It was the value's after all. No boundary has a line break in it, so what was matched begins none.
        hand_on(&mut self.members, part, self.line.bytes());
        hand_on(&mut self.members, part, dashed.get(..self.matched).unwrap_or_default());
        (self.line, self.matched) = (Break::None, 0);
        Ok(rest)
    }

    fn end_value(&mut self, part: Part) -> Result<(), RequestError> {
        (self.line, self.matched) = (Break::None, 0);
        self.state = State::Behind(None);
        if part == Part::File {
            self.members.end_file();
            return Ok(());
        }
        self.members.end_field()
    }
}

/// Hands on a piece of a part's value.
fn hand_on(members: &mut Members, part: Part, piece: &[u8]) {
    if part == Part::File {
        members.file(piece.len());
    } else if !piece.is_empty() {
        members.field(piece);
    }
}

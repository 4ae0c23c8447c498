//! The fields of a form as facts: all are noted as members of an object would be, a few are read.

use super::RequestError;
use super::members::{Member, Members};
use super::noted::Value;
use crate::json::{Name, Number};
use crate::limits::MODEL_BYTES_MAX;

impl Members {
    /// A form is read, whose fields stand at the top.
    pub(super) fn begin_form(&mut self) {
        self.facts.noted.open(0, true);
        self.depth = TOP;
    }

    /// A part of that name begins; whether its value is read.
    ///
    /// # Errors
    /// It is there twice, or only some upstreams would take it for one that is read.
    pub(super) fn begin_part(&mut self, name: &str) -> Result<bool, RequestError> {
        let (bytes, whole) = (name.as_bytes(), true);
        // Some upstreams take `model[]` for `model`, and `size[]` for `size`.
        let base = bytes.split(|byte| *byte == b'[').next().unwrap_or(bytes);
        let dialect = self.dialect;
        let known = Member::recognise(Name { bytes: base, whole, hash: 0 }, dialect, &Member::form)?;
        if let Some(member) = known.filter(|_| base != bytes) {
            return Err(RequestError::Misspelled { member: member.name(dialect) });
        }
        self.member = known;
        self.once()?;
        self.facts.noted.name(base, whole);
        self.model.clear();
        Ok(known.is_some())
    }

    /// Its value is a field's.
    pub(super) fn begin_field(&mut self) {
        self.facts.noted.begin_text(TOP);
    }

    /// The next piece of a field's value.
    pub(super) fn field(&mut self, piece: &[u8]) {
        self.facts.noted.text(piece);
        if self.member.is_some() {
            self.keep(piece);
        }
    }

    /// A field's value has ended.
    ///
    /// # Errors
    /// It is read, and is none that it may have.
    pub(super) fn end_field(&mut self) -> Result<(), RequestError> {
        self.facts.noted.end_text();
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        if member == Member::Model {
            return self.end_model();
        }
        let wrong = || member.wrong_type(self.dialect);
        if self.model.len() > MODEL_BYTES_MAX {
            // Of a longer one the end was not kept.
            return Err(wrong());
        }
        let value = str::from_utf8(&self.model).map_err(|_| wrong())?.trim().to_ascii_lowercase();
        if member == Member::Stream {
            // As lenient as upstreams are.
            self.facts.stream = match value.as_str() {
                "true" | "1" | "on" | "yes" | "t" | "y" => true,
                "false" | "0" | "off" | "no" | "f" | "n" | "" => false,
                _ => return Err(wrong()),
            };
            return Ok(());
        }
        let number = value.parse().map_err(|_| wrong())?;
        self.facts.n = Some(member.number(Number::Integer(number), self.dialect)?);
        Ok(())
    }

    /// The value is a file's.
    pub(super) fn begin_file(&mut self) {
        // Where a catalog refers to it, it is no single value.
        self.facts.noted.scalar(TOP, Value::Object);
        self.file_bytes = 0;
    }

    /// So many bytes more of a file.
    pub(super) fn file(&mut self, bytes: usize) {
        self.file_bytes = self.file_bytes.saturating_add(bytes as u64);
    }

    /// A file has ended.
    pub(super) fn end_file(&mut self) {
        self.facts.file_bytes = self.facts.file_bytes.saturating_add(self.file_bytes);
        self.facts.add_media(self.file_bytes);
    }
}

/// The depth of fields.
const TOP: u32 = 1;

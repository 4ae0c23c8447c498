//! The tokenizer: RFC 8259 as a state machine that takes pieces cut at any byte.
//!
//! One byte is read once, runs inside strings by vector search. Its memory is fixed: the open containers are
//! bits of one number, a member's name has a small buffer, and values are handed on as they come. The visitor
//! says what it wants to see; the rest is checked and skipped.

use super::fault::{Fault, FaultKind};
use super::number::{Number, NumberReader, NumberStep};
use super::string::{Name, NameBuffer, Units, plain_len, short_escape, survey};
use super::utf8::Utf8Check;
use crate::limits::DEPTH_MAX;
use crate::request::Span;
use crate::work;

/// What the tokenizer reports to. Any error of the visitor ends the reading.
pub(crate) trait Visitor {
    /// What ends the reading.
    type Error: From<Fault>;

    /// Whether [`Name::hash`] is of use for the name that begins.
    fn hashes_name(&self) -> bool;
    /// Whether the name of the member that begins shall be reported.
    fn wants_name(&self) -> bool;
    /// A member's name; its value follows.
    fn name(&mut self, name: Name<'_>) -> Result<(), Self::Error>;
    /// An object or array begins; `at` is the offset of its bracket.
    fn open(&mut self, container: Container, at: u64) -> Result<(), Self::Error>;
    /// The innermost object or array ends; `end` is the offset after its bracket.
    fn close(&mut self, end: u64) -> Result<(), Self::Error>;
    /// A string value begins; whether its text shall be reported.
    fn begin_text(&mut self) -> bool;
    /// The next piece of a string's decoded text, cut anywhere.
    fn text(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
    /// A string value ended.
    fn string(&mut self) -> Result<(), Self::Error>;
    /// A number.
    fn number(&mut self, number: Number, span: Span) -> Result<(), Self::Error>;
    /// `true`, `false` or `null`.
    fn literal(&mut self, literal: Literal, span: Span) -> Result<(), Self::Error>;
}

/// The two kinds of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    Array,
}

/// The three words of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    True,
    False,
    Null,
}

/// Reads one JSON text. With `CHECKED` strings must be UTF-8 without raw control characters.
#[derive(Clone, Debug)]
pub(crate) struct Tokenizer<const CHECKED: bool> {
    state: State,
    /// Offset after the piece that is being read.
    piece_end: u64,
    /// Offset of the first byte of the number or literal that is being read.
    token_start: u64,
    /// One bit for each open container, the innermost lowest; 1 is an object.
    containers: u128,
    depth: u32,
    /// Whether the string that is being read is a name, and whether its text is wanted.
    in_name: bool,
    wanted: bool,
    utf8: Utf8Check,
    units: Units,
    name: NameBuffer,
}

/// What is expected next.
#[derive(Clone, Copy, Debug)]
enum State {
    Value,
    /// A value or `]`.
    FirstElement,
    Name,
    /// A name or `}`.
    FirstName,
    Colon,
    /// A comma or the end of the container.
    Separator,
    /// Nothing but white space.
    End,
    Text,
    Escape,
    /// Hexadecimal digits of `\u`: how many were read, and their value.
    Unicode(u8, u16),
    Number(NumberReader),
    /// A word, and how many of its bytes were read.
    Word(Literal, u8),
}

impl<const CHECKED: bool> Tokenizer<CHECKED> {
    /// A tokenizer at the beginning of a text.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Value,
            piece_end: 0,
            token_start: 0,
            containers: 0,
            depth: 0,
            in_name: false,
            wanted: false,
            utf8: Utf8Check::EMPTY,
            units: Units::EMPTY,
            name: NameBuffer::EMPTY,
        }
    }

    /// Goes back to the beginning of a text.
    pub(crate) fn restart(&mut self) {
        self.state = State::Value;
        self.piece_end = 0;
        self.containers = 0;
        self.depth = 0;
        self.utf8 = Utf8Check::EMPTY;
        self.units = Units::EMPTY;
    }

    /// Whether the top-level value is closed. A number at the top is not, before [`Self::finish`].
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.piece_end
    }

    /// Reads the next piece. After an error the tokenizer is not to be used any more.
    pub(crate) fn feed<V: Visitor>(&mut self, bytes: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        self.piece_end = self.piece_end.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            work::done(1);
            rest = match self.state {
                State::Text => self.text(rest, visitor)?,
                State::Number(number) => self.number(number, rest, visitor)?,
                State::Escape => {
                    self.escape(byte, after, visitor)?;
                    after
                }
                State::Unicode(digits, unit) => {
                    self.unicode(digits, unit, byte, after, visitor)?;
                    after
                }
                State::Word(word, read) => {
                    self.word(word, read, byte, after, visitor)?;
                    after
                }
                _ => {
                    self.structure(byte, after, visitor)?;
                    after
                }
            };
        }
        Ok(())
    }

    /// Tells the end of the text; whether it was whole. Only a number at the top is reported here.
    pub(crate) fn finish<V: Visitor>(&mut self, visitor: &mut V) -> Result<bool, V::Error> {
        if let State::Number(number) = self.state
            && self.depth == 0
            && number.may_end()
        {
            self.state = State::End;
            visitor.number(number.number(), Span { start: self.token_start, end: self.piece_end })?;
        }
        Ok(self.is_complete())
    }

    /// Brackets, commas, colons, white space, and the first byte of everything else.
    #[inline]
    fn structure<V: Visitor>(&mut self, byte: u8, after: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        match (self.state, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => {}
            (State::Name | State::FirstName, b'"') => self.begin_name(visitor.wants_name()),
            (State::Colon, b':') => self.state = State::Value,
            (State::Separator, b',') => {
                self.state = if self.in_object() { State::Name } else { State::Value };
            }
            (State::FirstName, b'}') => self.close(after, visitor)?,
            (State::FirstElement, b']') => self.close(after, visitor)?,
            (State::Separator, b'}') if self.in_object() => self.close(after, visitor)?,
            (State::Separator, b']') if !self.in_object() => self.close(after, visitor)?,
            (State::Value | State::FirstElement, _) => self.value(byte, after, visitor)?,
            _ => return Err(self.fault(FaultKind::UnexpectedByte, after).into()),
        }
        Ok(())
    }

    /// The first byte of a value.
    #[inline]
    fn value<V: Visitor>(&mut self, byte: u8, after: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        let start = self.before(after);
        match byte {
            b'"' => {
                self.in_name = false;
                self.wanted = visitor.begin_text();
                self.state = State::Text;
            }
            b'{' => self.open(Container::Object, start, visitor)?,
            b'[' => self.open(Container::Array, start, visitor)?,
            b't' => self.begin_word(Literal::True, start),
            b'f' => self.begin_word(Literal::False, start),
            b'n' => self.begin_word(Literal::Null, start),
            _ => {
                let Some(number) = NumberReader::begin(byte) else {
                    return Err(self.fault(FaultKind::UnexpectedByte, after).into());
                };
                self.token_start = start;
                self.state = State::Number(number);
            }
        }
        Ok(())
    }

    fn begin_name(&mut self, wanted: bool) {
        self.in_name = true;
        self.wanted = wanted;
        self.name.clear();
        self.state = State::Text;
    }

    fn begin_word(&mut self, word: Literal, start: u64) {
        self.token_start = start;
        self.state = State::Word(word, 1);
    }

    fn open<V: Visitor>(&mut self, container: Container, at: u64, visitor: &mut V) -> Result<(), V::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault { kind: FaultKind::TooDeep, at }.into());
        }
        self.depth = self.depth.saturating_add(1);
        let (bit, state) = match container {
            Container::Object => (1, State::FirstName),
            Container::Array => (0, State::FirstElement),
        };
        self.containers = (self.containers << 1) | bit;
        self.state = state;
        visitor.open(container, at)
    }

    fn close<V: Visitor>(&mut self, after: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        self.containers >>= 1;
        self.depth = self.depth.saturating_sub(1);
        self.end_value();
        visitor.close(self.before(after).saturating_add(1))
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.containers & 1 == 1
    }

    #[inline]
    fn end_value(&mut self) {
        self.state = if self.depth == 0 { State::End } else { State::Separator };
    }

    /// Bytes of a string up to its quote, an escape or the end of the piece.
    #[inline]
    fn text<'a, V: Visitor>(&mut self, rest: &'a [u8], visitor: &mut V) -> Result<&'a [u8], V::Error> {
        let (run, tail) = rest.split_at_checked(plain_len(rest)).unwrap_or((rest, &[]));
        work::done(run.len());
        if CHECKED {
            self.check(run, tail)?;
        }
        if self.in_name && self.wanted && self.name.is_empty() && !self.units.is_waiting() {
            // A name that stands here as it is need not be collected.
            if let Some((b'"', after)) = tail.split_first() {
                self.state = State::Colon;
                let hashed = visitor.hashes_name();
                visitor.name(Name::plain(run, hashed))?;
                return Ok(after);
            }
        }
        if self.wanted && !run.is_empty() {
            self.flush_units(visitor)?;
            self.hand_on(run, visitor)?;
        }
        let Some((&byte, after)) = tail.split_first() else {
            return Ok(tail);
        };
        if byte == b'\\' {
            self.state = State::Escape;
            return Ok(after);
        }
        if self.wanted {
            self.flush_units(visitor)?;
        }
        if !self.in_name {
            self.end_value();
            visitor.string()?;
            return Ok(after);
        }
        self.state = State::Colon;
        if self.wanted {
            visitor.name(self.name.name())?;
        }
        Ok(after)
    }

    /// Checks a run of a string; `tail` is what follows it in the piece, a quote or backslash if anything.
    #[inline]
    fn check(&mut self, run: &[u8], tail: &[u8]) -> Result<(), Fault> {
        let from = self.piece_end.saturating_sub(run.len() as u64).saturating_sub(tail.len() as u64);
        let (control, ascii) = survey(run);
        let control = if control { run.iter().position(|byte| *byte < b' ') } else { None };
        let control = control.map(|index| from.saturating_add(index as u64));
        let invalid = if ascii && !self.utf8.is_cut() { None } else { self.utf8.check(run, from).err() };
        // Whichever comes first is the one that any other cut of the text would find.
        let (kind, at) = match (invalid, control) {
            (Some(invalid), Some(control)) if control < invalid => (FaultKind::ControlCharacter, control),
            (Some(invalid), _) => (FaultKind::InvalidUtf8, invalid),
            (None, Some(control)) => (FaultKind::ControlCharacter, control),
            (None, None) if self.utf8.is_cut() && !tail.is_empty() => {
                let end = from.saturating_add(run.len() as u64);
                (FaultKind::InvalidUtf8, end.saturating_sub(self.utf8.cut_len() as u64))
            }
            (None, None) => return Ok(()),
        };
        Err(Fault { kind, at })
    }

    fn escape<V: Visitor>(&mut self, byte: u8, after: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        if byte == b'u' {
            self.state = State::Unicode(0, 0);
            return Ok(());
        }
        let Some(decoded) = short_escape(byte) else {
            return Err(self.fault(FaultKind::InvalidEscape, after).into());
        };
        self.state = State::Text;
        if self.wanted {
            self.flush_units(visitor)?;
            self.hand_on(&[decoded], visitor)?;
        }
        Ok(())
    }

    fn unicode<V: Visitor>(
        &mut self,
        digits: u8,
        unit: u16,
        byte: u8,
        after: &[u8],
        visitor: &mut V,
    ) -> Result<(), V::Error> {
        let Some(digit) = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok()) else {
            return Err(self.fault(FaultKind::InvalidEscape, after).into());
        };
        let unit = (unit << 4) | digit;
        if digits < 3 {
            self.state = State::Unicode(digits.saturating_add(1), unit);
            return Ok(());
        }
        self.state = State::Text;
        if self.wanted {
            let encoded = self.units.push(unit);
            self.hand_on(encoded.as_bytes(), visitor)?;
        }
        Ok(())
    }

    /// Hands on a high surrogate that stays alone.
    #[inline]
    fn flush_units<V: Visitor>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        if !self.units.is_waiting() {
            return Ok(());
        }
        let encoded = self.units.flush();
        self.hand_on(encoded.as_bytes(), visitor)
    }

    #[inline]
    fn hand_on<V: Visitor>(&mut self, piece: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.in_name {
            self.name.push(piece, visitor.hashes_name());
            return Ok(());
        }
        visitor.text(piece)
    }

    #[inline]
    fn number<'a, V: Visitor>(
        &mut self,
        mut number: NumberReader,
        rest: &'a [u8],
        visitor: &mut V,
    ) -> Result<&'a [u8], V::Error> {
        let mut rest = rest;
        while let Some((&byte, after)) = rest.split_first() {
            match number.step(byte) {
                NumberStep::Taken => rest = after,
                NumberStep::Broken => return Err(self.fault(FaultKind::UnexpectedByte, after).into()),
                NumberStep::Ended => {
                    let end = self.before(after);
                    self.end_value();
                    visitor.number(number.number(), Span { start: self.token_start, end })?;
                    return Ok(rest);
                }
            }
        }
        self.state = State::Number(number);
        Ok(rest)
    }

    fn word<V: Visitor>(
        &mut self,
        word: Literal,
        read: u8,
        byte: u8,
        after: &[u8],
        visitor: &mut V,
    ) -> Result<(), V::Error> {
        let spelling = word.spelling();
        if spelling.get(usize::from(read)) != Some(&byte) {
            return Err(self.fault(FaultKind::UnexpectedByte, after).into());
        }
        let read = read.saturating_add(1);
        if usize::from(read) < spelling.len() {
            self.state = State::Word(word, read);
            return Ok(());
        }
        self.end_value();
        let end = self.before(after).saturating_add(1);
        visitor.literal(word, Span { start: self.token_start, end })
    }

    /// Offset of the byte before `after` in the piece.
    #[inline]
    fn before(&self, after: &[u8]) -> u64 {
        self.piece_end.saturating_sub(after.len() as u64).saturating_sub(1)
    }

    #[cold]
    fn fault(&self, kind: FaultKind, after: &[u8]) -> Fault {
        Fault { kind, at: self.before(after) }
    }
}

impl Literal {
    const fn spelling(self) -> &'static [u8] {
        match self {
            Self::True => b"true",
            Self::False => b"false",
            Self::Null => b"null",
        }
    }
}

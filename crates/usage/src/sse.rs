//! Server-sent events (WHATWG HTML §9.2.6), cut at any byte: the data of events, and where events end.
//!
//! Data is handed on as it comes, lines of one event joined by a line feed, so that an event may be of any
//! size. `id` and `retry` mean nothing here and are skipped like comments.

use memchr::memchr2;

use crate::work;

/// Splits a stream into the data of its events.
#[derive(Clone, Debug)]
pub(crate) struct Framer {
    bom: Bom,
    line: Line,
    /// The last byte was a carriage return: a line feed next belongs to it.
    after_return: bool,
    /// The event has had a data line: a further one is joined by a line feed.
    has_data: bool,
    /// The event is named `error`.
    is_error: bool,
    /// Nothing but comments and blank lines have come.
    is_blank: bool,
}

/// What the framer found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Data of the event, cut anywhere.
    Data(&'a [u8]),
    /// The blank line that ends an event, with what is known of it; events without data are none to a client.
    End(Event),
}

/// An event that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Whether it had data lines.
    pub(crate) has_data: bool,
    /// Whether its name is `error`.
    pub(crate) is_error: bool,
}

/// Where in a line the framer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// In the field's name: how many bytes it has, and which known names it may still be.
    Name {
        len: u8,
        data: bool,
        event: bool,
    },
    /// Before the value, where one space is dropped.
    BeforeData,
    BeforeEvent,
    Data,
    /// In an event's name: how many bytes of `error` were read, all of them equal so far.
    Event(u8),
    /// Nothing that matters until the end of the line.
    Skipped,
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            bom: Bom::new(),
            line: Line::BEGIN,
            after_return: false,
            has_data: false,
            is_error: false,
            is_blank: true,
        }
    }

    /// Whether nothing but comments and blank lines have come.
    pub(crate) const fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// The next piece in `input` and what follows it; none where all of the input is read.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let mut rest = self.begin(input);
        loop {
            work::done(1);
            rest = self.skip_line_feed(rest);
            let (&byte, after) = rest.split_first()?;
            if self.line == Line::Data || self.line == Line::Skipped {
                let (run, tail) = cut_line(rest);
                work::done(run.len());
                rest = tail;
                if self.line == Line::Data && !run.is_empty() {
                    return Some((Piece::Data(run), rest));
                }
                if let Some((&byte, after)) = rest.split_first() {
                    self.after_return = byte == b'\r';
                    self.line = Line::BEGIN;
                    rest = after;
                }
                continue;
            }
            // A space is dropped and an empty value has no bytes: the first data byte is read again as data.
            if self.line == Line::BeforeData && byte != b' ' {
                self.line = Line::Data;
            } else {
                rest = after;
                if let Some(piece) = self.step(byte) {
                    return Some((piece, rest));
                }
            }
        }
    }

    /// Drops the line feed of a pair that the end of a piece, or of an event, has cut.
    pub(crate) fn skip_line_feed<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        match input.split_first() {
            Some((&b'\n', after)) if self.after_return => {
                self.after_return = false;
                after
            }
            Some(_) => {
                self.after_return = false;
                input
            }
            None => input,
        }
    }

    /// Drops a byte order mark at the beginning of the stream.
    fn begin<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let (rest, broken) = self.bom.skip(input);
        if broken {
            // The line begins with some bytes of the mark: no known field does.
            self.line = Line::Skipped;
        }
        rest
    }

    /// Reads a byte of a field's name or of an event's.
    fn step(&mut self, byte: u8) -> Option<Piece<'static>> {
        if matches!(byte, b'\r' | b'\n') {
            self.after_return = byte == b'\r';
            return self.end_line();
        }
        self.is_blank &= self.line != Line::BEGIN || byte == b':';
        self.line = match self.line {
            Line::Name { len, data: true, .. } if byte == b':' && usize::from(len) == DATA.len() => {
                return self.begin_data();
            }
            Line::Name { len, event: true, .. } if byte == b':' && usize::from(len) == EVENT.len() => {
                self.is_error = false;
                Line::BeforeEvent
            }
            Line::Name { len, data, event } => {
                let data = data && DATA.get(usize::from(len)) == Some(&byte);
                let event = event && EVENT.get(usize::from(len)) == Some(&byte);
                if data || event {
                    Line::Name { len: len.saturating_add(1), data, event }
                } else {
                    Line::Skipped
                }
            }
            Line::BeforeData => Line::Data,
            Line::BeforeEvent if byte == b' ' => Line::Event(0),
            Line::BeforeEvent if byte == b'e' => Line::Event(1),
            Line::Event(len) if ERROR.get(usize::from(len)) == Some(&byte) => {
                Line::Event(len.saturating_add(1))
            }
            Line::BeforeEvent | Line::Event(_) | Line::Data | Line::Skipped => Line::Skipped,
        };
        None
    }

    /// A data line begins.
    fn begin_data(&mut self) -> Option<Piece<'static>> {
        self.line = Line::BeforeData;
        let joined = self.has_data;
        self.has_data = true;
        joined.then_some(Piece::Data(b"\n"))
    }

    /// The end of a line that is not in its data.
    fn end_line(&mut self) -> Option<Piece<'static>> {
        let line = std::mem::replace(&mut self.line, Line::BEGIN);
        match line {
            Line::BEGIN => {
                let event = Event { has_data: self.has_data, is_error: self.is_error };
                self.has_data = false;
                self.is_error = false;
                Some(Piece::End(event))
            }
            // `data` without a colon is a data line without data.
            Line::Name { len, data: true, .. } if usize::from(len) == DATA.len() => {
                let piece = self.begin_data();
                self.line = Line::BEGIN;
                piece
            }
            Line::Event(len) => {
                self.is_error = usize::from(len) == ERROR.len();
                None
            }
            _ => None,
        }
    }
}

impl Line {
    const BEGIN: Self = Self::Name { len: 0, data: true, event: true };
}

/// Drops a byte order mark that may be cut.
#[derive(Clone, Debug)]
pub(crate) struct Bom {
    /// Bytes of the mark that were read; the length of the mark where the search is over.
    read: u8,
}

impl Bom {
    pub(crate) const fn new() -> Self {
        Self { read: 0 }
    }

    /// The input after the mark, and whether it began like one but is none.
    pub(crate) fn skip<'a>(&mut self, input: &'a [u8]) -> (&'a [u8], bool) {
        let mut rest = input;
        while let (Some(expected), Some((byte, after))) =
            (MARK.get(usize::from(self.read)), rest.split_first())
        {
            if byte != expected {
                let broken = self.read != 0;
                self.read = MARK_LEN;
                return (rest, broken);
            }
            self.read = self.read.saturating_add(1);
            rest = after;
        }
        (rest, false)
    }
}

/// The rest of a line, and what follows from its end on.
#[inline]
fn cut_line(input: &[u8]) -> (&[u8], &[u8]) {
    let len = memchr2(b'\r', b'\n', input).unwrap_or(input.len());
    input.split_at_checked(len).unwrap_or((input, &[]))
}

const DATA: &[u8] = b"data";
const EVENT: &[u8] = b"event";
const ERROR: &[u8] = b"error";
const MARK: &[u8] = b"\xef\xbb\xbf";
const MARK_LEN: u8 = 3;

//! Takes the usage-only event out of a stream again, where bursar asked for it and the client had not.
//!
//! An event can be judged only at its end, so the unfinished last event of a chunk is held back, but no
//! longer than it may still be the one: an event with a choice in it passes at once, and so does a long
//! one, and one whose data is whole and something else.
//!
//! Where a stream ends in trailers the host takes no more bytes, and [`UsageChunkFilter::finish`] has no use. What
//! is lost then is an unfinished event that no client can read: a line that is no data, or JSON that breaks off
//! before its choices.

use crate::document::{Document, Kind};
use crate::json::{Container, Literal, Node, Number, Sink, Step};
use crate::limits::HELD_BYTES_MAX;
use crate::sse::{Framer, Piece};

/// What becomes of one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// Forward the chunk as it is.
    Unchanged,
    /// Forward these bytes instead; they may be none.
    Replace(Vec<u8>),
}

/// Drops the events whose data is an object with an empty array as `choices` and an object as `usage`.
///
/// Every other byte passes in its order. An event longer than [`HELD_BYTES_MAX`] is never dropped. Azure's
/// first event (`choices` empty, `prompt_filter_results`, no usage) stays.
#[derive(Clone, Debug)]
pub struct UsageChunkFilter {
    framer: Framer,
    document: Document<Field>,
    marks: Marks,
    /// The unfinished event's bytes, held back.
    held: Vec<u8>,
    /// How many bytes the unfinished event has in all.
    event_bytes: usize,
    /// The unfinished event is to stay: its bytes pass as they come.
    passing: bool,
    /// The last event was dropped: a line feed next is the rest of its blank line.
    dropped: bool,
}

/// What makes an event the one to drop.
#[derive(Clone, Copy, Debug)]
enum Field {
    Choices,
    Choice,
    Usage,
}

/// What was seen of an event.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    has_choices: bool,
    has_usage: bool,
    /// Something that the usage-only event does not have.
    is_other: bool,
}

/// The chunk's way out: nothing is copied before a byte is dropped, held back or put before it.
#[derive(Debug)]
struct Output<'a> {
    chunk: &'a [u8],
    /// Up to where the chunk is dealt with.
    done: usize,
    copy: Option<Vec<u8>>,
}

impl UsageChunkFilter {
    /// A filter at the beginning of an event stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            framer: Framer::new(),
            document: Document::new(&TREE, b""),
            marks: Marks::default(),
            held: Vec::new(),
            event_bytes: 0,
            passing: false,
            dropped: false,
        }
    }

    /// Filters the next chunk of the stream.
    pub fn push(&mut self, chunk: &[u8]) -> Filtered {
        let mut output = Output { chunk, done: 0, copy: None };
        let mut rest = if self.event_bytes == 0 { self.end_blank_line(chunk, &mut output) } else { chunk };
        let mut begin = output.position(rest);
        while let Some((piece, after)) = self.framer.next(rest) {
            rest = after;
            match piece {
                Piece::Data(data) if !self.passing => self.document.feed(data, &mut self.marks),
                Piece::Data(_) => {}
                Piece::End(_) => {
                    let end = output.position(rest);
                    self.end_event(begin, end, &mut output);
                    rest = self.end_blank_line(rest, &mut output);
                    begin = output.position(rest);
                }
            }
        }
        self.hold(begin, &mut output);
        output.finish()
    }

    /// The bytes still held back, at the end of the stream; none where they are the event to drop.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let drop = self.is_usage_only();
        let held = std::mem::take(&mut self.held);
        (!drop && !held.is_empty()).then_some(held)
    }

    /// Whether the event so far is the one to drop.
    fn is_usage_only(&self) -> bool {
        let Marks { has_choices, has_usage, is_other } = self.marks;
        has_choices && has_usage && !is_other && self.document.kind() == Kind::Whole
    }

    /// The line feed after the carriage return that ended an event shares the event's fate.
    fn end_blank_line<'a>(&mut self, rest: &'a [u8], output: &mut Output<'_>) -> &'a [u8] {
        let after = self.framer.skip_line_feed(rest);
        if self.dropped && after.len() < rest.len() {
            output.skip(output.position(rest), output.position(after));
        }
        if !rest.is_empty() {
            self.dropped = false;
        }
        after
    }

    /// The event that began at `begin` of the chunk, or before it, ends at `end`.
    fn end_event(&mut self, begin: usize, end: usize, output: &mut Output<'_>) {
        let bytes = self.event_bytes.saturating_add(end.saturating_sub(begin));
        if !self.passing && bytes <= HELD_BYTES_MAX && self.is_usage_only() {
            self.held.clear();
            self.dropped = true;
            output.skip(begin, end);
        } else {
            output.put_before(&mut self.held);
        }
        self.event_bytes = 0;
        self.passing = false;
        self.marks = Marks::default();
        self.document.restart();
    }

    /// The chunk ends in the event that began at `begin` of it, or before it.
    fn hold(&mut self, begin: usize, output: &mut Output<'_>) {
        let tail = output.chunk.get(begin..).unwrap_or_default();
        self.event_bytes = self.event_bytes.saturating_add(tail.len());
        let is_other = match self.document.kind() {
            Kind::Broken => true,
            Kind::Whole => !self.is_usage_only(),
            _ => self.marks.is_other,
        };
        self.passing |= is_other || self.event_bytes > HELD_BYTES_MAX;
        if self.passing {
            output.put_before(&mut self.held);
        } else if !tail.is_empty() {
            self.held.extend_from_slice(tail);
            output.skip(begin, output.chunk.len());
        }
    }
}

impl Default for UsageChunkFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl Output<'_> {
    /// Where in the chunk its last bytes `rest` begin.
    fn position(&self, rest: &[u8]) -> usize {
        self.chunk.len().saturating_sub(rest.len())
    }

    /// Leaves out bytes of the chunk.
    fn skip(&mut self, begin: usize, end: usize) {
        let kept = self.chunk.get(self.done..begin).unwrap_or_default();
        self.copy.get_or_insert_default().extend_from_slice(kept);
        self.done = end;
    }

    /// Puts bytes that came before the chunk in front of it, and empties them.
    fn put_before(&mut self, held: &mut Vec<u8>) {
        if !held.is_empty() {
            self.copy.get_or_insert_default().append(held);
        }
    }

    fn finish(self) -> Filtered {
        let Some(mut copy) = self.copy else {
            return Filtered::Unchanged;
        };
        copy.extend_from_slice(self.chunk.get(self.done..).unwrap_or_default());
        Filtered::Replace(copy)
    }
}

impl Sink<Field> for Marks {
    fn open(&mut self, field: Field, container: Container) {
        match (field, container) {
            (Field::Choices, Container::Array) => self.has_choices = true,
            (Field::Usage, Container::Object) => self.has_usage = true,
            _ => self.is_other = true,
        }
    }

    fn close(&mut self, _field: Field) {}

    fn begin_text(&mut self, _field: Field) -> bool {
        false
    }

    fn text(&mut self, _field: Field, _piece: &[u8]) {}

    fn string(&mut self, _field: Field) {
        self.is_other = true;
    }

    fn number(&mut self, _field: Field, _number: Number) {
        self.is_other = true;
    }

    fn literal(&mut self, _field: Field, _literal: Literal) {
        self.is_other = true;
    }
}

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        Node {
            step: Step::Member("choices"),
            field: Some(Field::Choices),
            below: &[Node { step: Step::Element, field: Some(Field::Choice), below: &[] }],
        },
        Node { step: Step::Member("usage"), field: Some(Field::Usage), below: &[] },
    ],
};

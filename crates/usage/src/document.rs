//! One JSON text, or in its place the marker that ends a stream; read once or again for each event.

use std::rc::Rc;

use crate::json::{Grown, LENIENT, Node, Sink, Tokenizer, Walker};

/// Reads the texts of a stream one after the other and reports from each what is in the tree.
#[derive(Clone, Debug)]
pub(crate) struct Document<F: 'static> {
    tokenizer: Tokenizer<LENIENT>,
    walker: Walker<F>,
    marker: &'static [u8],
    phase: Phase,
}

/// What a text has turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing at all.
    Empty,
    /// The marker.
    Marker,
    /// A whole JSON text.
    Whole,
    /// JSON so far, but not whole.
    Unfinished,
    /// No JSON.
    Broken,
}

/// What the text is so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first bytes of the marker, as many as said.
    Marker(usize),
    Json,
    Broken,
}

impl<F: Copy> Document<F> {
    /// A reader of texts with `root` at their top. An empty `marker` is none.
    pub(crate) fn new(root: &'static Node<F>, marker: &'static [u8]) -> Self {
        Self { tokenizer: Tokenizer::new(), walker: Walker::new(root), marker, phase: Phase::Marker(0) }
    }

    /// The same with a tree that was made at run time.
    pub(crate) fn grown(tree: Rc<Grown<F>>, marker: &'static [u8]) -> Self {
        Self { tokenizer: Tokenizer::new(), walker: Walker::grown(tree), marker, phase: Phase::Marker(0) }
    }

    /// Reads the next piece of the text; cut at any byte.
    pub(crate) fn feed<S: Sink<F>>(&mut self, bytes: &[u8], sink: &mut S) {
        let rest = self.match_marker(bytes, sink);
        if self.phase == Phase::Json && !rest.is_empty() {
            self.read(rest, sink);
        }
    }

    /// What the text is so far. A number at the top is never whole: it is of no use here.
    pub(crate) fn kind(&self) -> Kind {
        match self.phase {
            Phase::Marker(0) => Kind::Empty,
            Phase::Marker(read) if read == self.marker.len() => Kind::Marker,
            Phase::Json if self.tokenizer.is_complete() => Kind::Whole,
            Phase::Marker(_) | Phase::Json => Kind::Unfinished,
            Phase::Broken => Kind::Broken,
        }
    }

    /// Goes on to the next text.
    pub(crate) fn restart(&mut self) {
        self.tokenizer.restart();
        self.walker.restart();
        self.phase = Phase::Marker(0);
    }

    /// Takes the bytes that are the marker's; what is left is JSON, if anything.
    fn match_marker<'a, S: Sink<F>>(&mut self, bytes: &'a [u8], sink: &mut S) -> &'a [u8] {
        let mut rest = bytes;
        while let (Phase::Marker(read), Some((&byte, after))) = (self.phase, rest.split_first()) {
            if self.marker.get(read) == Some(&byte) {
                self.phase = Phase::Marker(read.saturating_add(1));
            } else if read != self.marker.len() || read == 0 {
                self.phase = Phase::Json;
                self.read(self.marker.get(..read).unwrap_or_default(), sink);
                return rest;
            } else if !byte.is_ascii_whitespace() {
                self.phase = Phase::Broken;
            }
            rest = after;
        }
        rest
    }

    fn read<S: Sink<F>>(&mut self, bytes: &[u8], sink: &mut S) {
        if self.tokenizer.feed(bytes, &mut self.walker.with(sink)).is_err() {
            self.phase = Phase::Broken;
        }
    }
}

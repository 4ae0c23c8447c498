//! The walker: follows a tree of member names through a JSON text and reports what stands there.
//!
//! A provider's dialect is such a tree, so that a further dialect is data. Values outside the tree are
//! skipped whatever is in them: a member of the same name deeper down, or inside a string, is another
//! thing.

use super::fault::Fault;
use super::number::Number;
use super::string::Name;
use super::tokenizer::{Container, Literal, Visitor};
use crate::request::Span;

/// A place in the tree: how it is reached from the place above, what it is, and what is below.
#[derive(Debug)]
pub(crate) struct Node<F: 'static> {
    /// The way from the node above.
    pub(crate) step: Step,
    /// What the sink calls it; nothing is reported of a node without.
    pub(crate) field: Option<F>,
    /// The places below.
    pub(crate) below: &'static [Node<F>],
}

/// One step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the member of that name of an object.
    Member(&'static str),
    /// To every element of an array.
    Element,
}

/// What the walker reports to.
pub(crate) trait Sink<F> {
    /// An object or array begins at `field`.
    fn open(&mut self, field: F, container: Container);
    /// It ends.
    fn close(&mut self, field: F);
    /// A string begins at `field`; whether its text is wanted.
    fn begin_text(&mut self, field: F) -> bool;
    /// The next piece of its decoded text.
    fn text(&mut self, field: F, piece: &[u8]);
    /// It ends.
    fn string(&mut self, field: F);
    /// A number at `field`.
    fn number(&mut self, field: F, number: Number);
    /// `true`, `false` or `null` at `field`.
    fn literal(&mut self, field: F, literal: Literal);
}

/// Where in the tree the tokenizer is.
#[derive(Clone, Debug)]
pub(crate) struct Walker<F: 'static> {
    root: &'static Node<F>,
    levels: [Level<F>; LEVELS_MAX],
    /// Open containers that are in the tree.
    level: usize,
    /// Open containers below the last one that is.
    skipped: u32,
    /// The node of the member whose value comes next.
    member: Option<&'static Node<F>>,
    /// What the string that is being read is.
    string: Option<F>,
}

/// An open container that is in the tree.
#[derive(Clone, Copy, Debug)]
struct Level<F: 'static> {
    node: &'static Node<F>,
    container: Container,
}

impl<F: Copy> Walker<F> {
    /// A walker before the text's top-level value, which is `root`.
    pub(crate) fn new(root: &'static Node<F>) -> Self {
        let nowhere = Level { node: root, container: Container::Object };
        Self { root, levels: [nowhere; LEVELS_MAX], level: 0, skipped: 0, member: None, string: None }
    }

    /// Goes back to before the top-level value.
    pub(crate) fn restart(&mut self) {
        self.level = 0;
        self.skipped = 0;
        self.member = None;
        self.string = None;
    }

    /// A visitor that walks and reports to `sink`.
    pub(crate) fn with<'a, S: Sink<F>>(&'a mut self, sink: &'a mut S) -> Walk<'a, F, S> {
        Walk { walker: self, sink }
    }

    /// The container around what comes next, if that is in the tree.
    #[inline]
    fn innermost(&self) -> Option<&Level<F>> {
        if self.skipped != 0 {
            return None;
        }
        self.level.checked_sub(1).and_then(|top| self.levels.get(top))
    }

    /// The node of the value that begins.
    #[inline]
    fn value(&mut self) -> Option<&'static Node<F>> {
        if self.skipped != 0 {
            return None;
        }
        match self.innermost() {
            None => Some(self.root),
            Some(Level { container: Container::Object, .. }) => self.member.take(),
            Some(Level { container: Container::Array, node }) => {
                node.below.iter().find(|node| node.step == Step::Element)
            }
        }
    }

    #[inline]
    fn field(&mut self) -> Option<F> {
        self.value().and_then(|node| node.field)
    }
}

/// A walk that reports to a sink.
pub(crate) struct Walk<'a, F: 'static, S> {
    walker: &'a mut Walker<F>,
    sink: &'a mut S,
}

impl<F: Copy, S: Sink<F>> Visitor for Walk<'_, F, S> {
    type Error = Fault;
    const HASHES_NAMES: bool = false;

    #[inline]
    fn wants_name(&self) -> bool {
        self.walker.innermost().is_some_and(|level| !level.node.below.is_empty())
    }

    #[inline]
    fn name(&mut self, name: Name<'_>) -> Result<(), Fault> {
        let below = self.walker.innermost().map_or(&[][..], |level| level.node.below);
        self.walker.member = below.iter().find(|node| match node.step {
            Step::Member(member) => name.whole && member.as_bytes() == name.bytes,
            Step::Element => false,
        });
        Ok(())
    }

    fn open(&mut self, container: Container, _at: u64) -> Result<(), Fault> {
        let Some(node) = self.walker.value() else {
            self.walker.skipped = self.walker.skipped.saturating_add(1);
            return Ok(());
        };
        if let Some(field) = node.field {
            self.sink.open(field, container);
        }
        let Some(level) = self.walker.levels.get_mut(self.walker.level) else {
            self.walker.skipped = self.walker.skipped.saturating_add(1);
            return Ok(());
        };
        *level = Level { node, container };
        self.walker.level = self.walker.level.saturating_add(1);
        Ok(())
    }

    fn close(&mut self, _end: u64) -> Result<(), Fault> {
        if self.walker.skipped != 0 {
            self.walker.skipped = self.walker.skipped.saturating_sub(1);
            return Ok(());
        }
        let field = self.walker.innermost().and_then(|level| level.node.field);
        self.walker.level = self.walker.level.saturating_sub(1);
        if let Some(field) = field {
            self.sink.close(field);
        }
        Ok(())
    }

    #[inline]
    fn begin_text(&mut self) -> bool {
        self.walker.string = self.walker.field();
        self.walker.string.is_some_and(|field| self.sink.begin_text(field))
    }

    #[inline]
    fn text(&mut self, piece: &[u8]) -> Result<(), Fault> {
        if let Some(field) = self.walker.string {
            self.sink.text(field, piece);
        }
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<(), Fault> {
        if let Some(field) = self.walker.string.take() {
            self.sink.string(field);
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self, number: Number, _span: Span) -> Result<(), Fault> {
        if let Some(field) = self.walker.field() {
            self.sink.number(field, number);
        }
        Ok(())
    }

    #[inline]
    fn literal(&mut self, literal: Literal, _span: Span) -> Result<(), Fault> {
        if let Some(field) = self.walker.field() {
            self.sink.literal(field, literal);
        }
        Ok(())
    }
}

/// The deepest tree; what lies deeper is skipped.
const LEVELS_MAX: usize = 8;

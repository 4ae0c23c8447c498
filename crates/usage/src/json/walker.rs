//! The walker: follows a tree of member names through a JSON text and reports what stands there.
//!
//! A provider's dialect is such a tree, so that a further dialect is data. Values outside the tree are
//! skipped whatever is in them: a member of the same name deeper down, or inside a string, is another
//! thing. Most trees are constants; one that a configuration describes is a [`Grown`] one.

use std::rc::Rc;

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

/// A tree that was made at run time: its places by number, the root first.
#[derive(Debug)]
pub(crate) struct Grown<F> {
    places: Vec<Branch<F>>,
}

/// A place in a grown tree.
#[derive(Debug)]
struct Branch<F> {
    field: Option<F>,
    below: Vec<(Twig, u16)>,
}

/// One step down in a grown tree: to the member of that name of an object, to the element of that number of an array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Twig {
    pub(crate) name: Box<str>,
    pub(crate) index: Option<u32>,
}

impl<F: Copy> Grown<F> {
    pub(crate) fn new() -> Self {
        Self { places: vec![Branch { field: None, below: Vec::new() }] }
    }

    /// Puts a field at the end of a way; false where it would stand above or below another, or in its place.
    pub(crate) fn grow(&mut self, way: impl Iterator<Item = Twig>, field: F) -> bool {
        let (mut at, mut is_new) = (0_u16, false);
        for twig in way {
            let next = u16::try_from(self.places.len()).unwrap_or(u16::MAX);
            let Some(place) = self.places.get_mut(usize::from(at)) else { return false };
            if place.field.is_some() {
                return false;
            }
            let known = place.below.iter().find(|(own, _)| *own == twig).map(|(_, to)| *to);
            is_new = known.is_none();
            at = known.unwrap_or(next);
            if is_new {
                place.below.push((twig, next));
                self.places.push(Branch { field: None, below: Vec::new() });
            }
        }
        let end = self.places.get_mut(usize::from(at)).filter(|_| is_new);
        end.map(|end| end.field = Some(field)).is_some()
    }

    fn place(&self, at: u16) -> Option<&Branch<F>> {
        self.places.get(usize::from(at))
    }

    fn below(&self, at: u16, fits: impl Fn(&Twig) -> bool) -> Option<u16> {
        self.place(at)?.below.iter().find(|(twig, _)| fits(twig)).map(|(_, to)| *to)
    }
}

/// A place in either kind of tree.
#[derive(Debug)]
enum Place<F: 'static> {
    Fixed(&'static Node<F>),
    Grown(u16),
}

impl<F> Clone for Place<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Place<F> {}

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
    root: Place<F>,
    /// The tree that numbered places are in.
    grown: Option<Rc<Grown<F>>>,
    levels: [Level<F>; LEVELS_MAX],
    /// Open containers that are in the tree.
    level: usize,
    /// Open containers below the last one that is.
    skipped: u32,
    /// The place of the member whose value comes next.
    member: Option<Place<F>>,
    /// What the string that is being read is.
    string: Option<F>,
}

/// An open container that is in the tree.
#[derive(Clone, Copy, Debug)]
struct Level<F: 'static> {
    place: Place<F>,
    container: Container,
    /// Elements of an array that have begun.
    elements: u32,
}

impl<F: Copy> Walker<F> {
    /// A walker before the text's top-level value, which is `root`.
    pub(crate) fn new(root: &'static Node<F>) -> Self {
        Self::at(Place::Fixed(root), None)
    }

    /// The same with a tree that was made at run time.
    pub(crate) fn grown(tree: Rc<Grown<F>>) -> Self {
        Self::at(Place::Grown(0), Some(tree))
    }

    fn at(root: Place<F>, grown: Option<Rc<Grown<F>>>) -> Self {
        let nowhere = Level { place: root, container: Container::Object, elements: 0 };
        Self { root, grown, levels: [nowhere; LEVELS_MAX], level: 0, skipped: 0, member: None, string: None }
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

    /// The place of the value that begins.
    #[inline]
    fn value(&mut self) -> Option<Place<F>> {
        if self.skipped != 0 {
            return None;
        }
        match self.innermost() {
            None => Some(self.root),
            Some(Level { container: Container::Object, .. }) => self.member.take(),
            Some(Level { container: Container::Array, place: Place::Fixed(node), .. }) => {
                node.below.iter().find(|node| node.step == Step::Element).map(Place::Fixed)
            }
            Some(Level { container: Container::Array, place: Place::Grown(at), elements }) => {
                let (at, index) = (*at, *elements);
                if let Some(level) = self.levels.get_mut(self.level.saturating_sub(1)) {
                    level.elements = index.saturating_add(1);
                }
                let found = self.grown.as_ref()?.below(at, |twig| twig.index == Some(index));
                found.map(Place::Grown)
            }
        }
    }

    /// The place of the member of that name.
    #[inline]
    fn named(&self, name: Name<'_>) -> Option<Place<F>> {
        if !name.whole {
            return None;
        }
        match self.innermost()?.place {
            Place::Fixed(node) => {
                let is_it = |node: &&Node<F>| match node.step {
                    Step::Member(member) => member.as_bytes() == name.bytes,
                    Step::Element => false,
                };
                node.below.iter().find(is_it).map(Place::Fixed)
            }
            Place::Grown(at) => {
                let found = self.grown.as_ref()?.below(at, |twig| twig.name.as_bytes() == name.bytes);
                found.map(Place::Grown)
            }
        }
    }

    #[inline]
    fn field_at(&self, place: Place<F>) -> Option<F> {
        match place {
            Place::Fixed(node) => node.field,
            Place::Grown(at) => self.grown.as_ref()?.place(at)?.field,
        }
    }

    #[inline]
    fn field(&mut self) -> Option<F> {
        self.value().and_then(|place| self.field_at(place))
    }
}

/// A walk that reports to a sink.
pub(crate) struct Walk<'a, F: 'static, S> {
    walker: &'a mut Walker<F>,
    sink: &'a mut S,
}

impl<F: Copy, S: Sink<F>> Visitor for Walk<'_, F, S> {
    type Error = Fault;

    #[inline]
    fn hashes_name(&self) -> bool {
        false
    }

    #[inline]
    fn wants_name(&self) -> bool {
        self.walker.innermost().is_some_and(|level| match level.place {
            Place::Fixed(node) => !node.below.is_empty(),
            Place::Grown(_) => true,
        })
    }

    #[inline]
    fn name(&mut self, name: Name<'_>) -> Result<(), Fault> {
        self.walker.member = self.walker.named(name);
        Ok(())
    }

    fn open(&mut self, container: Container, _at: u64) -> Result<(), Fault> {
        let Some(place) = self.walker.value() else {
            self.walker.skipped = self.walker.skipped.saturating_add(1);
            return Ok(());
        };
        if let Some(field) = self.walker.field_at(place) {
            self.sink.open(field, container);
        }
        let Some(level) = self.walker.levels.get_mut(self.walker.level) else {
            self.walker.skipped = self.walker.skipped.saturating_add(1);
            return Ok(());
        };
        *level = Level { place, container, elements: 0 };
        self.walker.level = self.walker.level.saturating_add(1);
        Ok(())
    }

    fn close(&mut self, _end: u64) -> Result<(), Fault> {
        if self.walker.skipped != 0 {
            self.walker.skipped = self.walker.skipped.saturating_sub(1);
            return Ok(());
        }
        let field = self.walker.innermost().and_then(|level| self.walker.field_at(level.place));
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
pub(crate) const LEVELS_MAX: usize = 8;

//! APIs that no dialect is known of: where their answers state what they used, as a configuration says.
//!
//! A place is a JSON pointer (RFC 6901) in the document, in each event or in each line; the last value of each counts.
//! Counts are taken for what the configuration calls them: nothing is part of anything else.

use std::rc::Rc;

use tariff::{Meter, Usage};

use super::counts::{Counts, Native};
use super::normalise::Normalised;
use super::profile::{Field, Profile, Source};
use crate::json::{Grown, LEVELS_MAX, Node, Step, Twig};
use crate::limits::{NAME_BYTES_MAX, POINTERS_MAX};

/// Where answers state their usage.
#[derive(Clone, Debug)]
pub struct Pointers {
    pub(super) tree: Rc<Grown<Field>>,
    len: usize,
}

/// Why a pointer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It is no JSON pointer, or that of the whole document.
    #[error("must be a JSON pointer to a member, such as /usage/pages")]
    Syntax,
    /// It has more steps than are followed.
    #[error("may have at most {LEVELS_MAX} steps")]
    TooDeep,
    /// A name in it is longer than names that are compared.
    #[error("may have names of at most {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Another pointer leads to the same place, through it or beyond it.
    #[error("leads to, through or beyond the place of another pointer")]
    Crossed,
    /// There are more of them than are followed.
    #[error("is one of more than {POINTERS_MAX}")]
    TooMany,
    /// The meter is a sum, or counted by the edge itself.
    #[error("may not state this meter")]
    Meter,
}

impl Pointers {
    /// Pointers, each to the count of a meter.
    ///
    /// # Errors
    /// The pointer that is none, and why.
    pub fn new<'a>(
        pointers: impl Iterator<Item = (&'a str, Meter)>,
    ) -> Result<Self, (&'a str, PointerError)> {
        let mut tree = Grown::new();
        let mut len = 0_usize;
        for (pointer, meter) in pointers {
            len = len.saturating_add(1);
            grow(&mut tree, pointer, meter, len).map_err(|error| (pointer, error))?;
        }
        // Where a pointer leads there, it is no name.
        tree.grow([Twig { name: "model".into(), index: None }].into_iter(), Field::Model);
        Ok(Self { tree: Rc::new(tree), len })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn grow(tree: &mut Grown<Field>, pointer: &str, meter: Meter, len: usize) -> Result<(), PointerError> {
    if len > POINTERS_MAX {
        return Err(PointerError::TooMany);
    }
    let native = native(meter).ok_or(PointerError::Meter)?;
    let steps = pointer.strip_prefix('/').ok_or(PointerError::Syntax)?;
    if steps.split('/').count() > LEVELS_MAX {
        return Err(PointerError::TooDeep);
    }
    let twigs = steps.split('/').map(twig).collect::<Result<Vec<_>, _>>()?;
    // A length has a fraction with some APIs.
    let field = match meter {
        Meter::Seconds => Field::Measure(Source::Answer, native),
        _ => Field::Count(Source::Answer, native),
    };
    if tree.grow(twigs.into_iter(), field) { Ok(()) } else { Err(PointerError::Crossed) }
}

/// A step of a pointer, `~1` for a slash and `~0` for a tilde in it.
fn twig(step: &str) -> Result<Twig, PointerError> {
    let escapes_fit = step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !escapes_fit || step == "-" {
        return Err(PointerError::Syntax);
    }
    let name = step.replace("~1", "/").replace("~0", "~");
    if name.len() > NAME_BYTES_MAX {
        return Err(PointerError::TooLong);
    }
    let is_index = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    let index = if is_index { step.parse().ok() } else { None };
    Ok(Twig { name: name.into(), index })
}

/// The count that stands for a meter here; none for those that answers do not state.
pub(super) const fn native(meter: Meter) -> Option<Native> {
    Some(match meter {
        Meter::InputTokens => Native::Prompt,
        Meter::CachedTokens => Native::Cached,
        Meter::CacheWriteTokens => Native::CacheWrite,
        Meter::CacheWriteHourTokens => Native::CacheWriteHour,
        Meter::AudioInputTokens => Native::AudioInput,
        Meter::ImageInputTokens => Native::ImageInput,
        Meter::OutputTokens => Native::Completion,
        Meter::ReasoningTokens => Native::Reasoning,
        Meter::AudioOutputTokens => Native::AudioOutput,
        Meter::ImageOutputTokens => Native::ImageOutput,
        Meter::Images => Native::Images,
        Meter::Searches => Native::Searches,
        Meter::FileSearches => Native::FileSearches,
        Meter::CodeRuns => Native::CodeRuns,
        Meter::Pages => Native::Pages,
        Meter::Seconds => Native::Seconds,
        Meter::Characters => Native::Characters,
        Meter::Requests | Meter::Tokens => return None,
    })
}

pub(super) static POINTED: Profile =
    Profile { tree: &NOWHERE, wrapper: None, end_marker: b"[DONE]", normalise };

static NOWHERE: Node<Field> = Node { step: Step::Element, field: None, below: &[] };

/// What was stated; none where nothing was.
fn normalise(counts: &Counts) -> Option<Normalised> {
    let mut usage = Usage::new();
    for meter in Meter::ALL {
        if let Some(count) = native(*meter).and_then(|native| counts.value(native)) {
            usage.set(*meter, count);
        }
    }
    (!usage.is_empty()).then_some(Normalised { usage, consistent: true, total_mismatch: false })
}

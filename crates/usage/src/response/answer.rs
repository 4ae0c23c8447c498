//! What is known of an answer so far, gathered from the fields of its documents.

use tariff::Usage;

use super::Status;
use super::counts::Counts;
use super::normalise::Normalised;
use super::profile::{Field, Profile, Source};
use crate::json::{Container, Literal, Number, Sink};
use crate::limits::{CHOICES_MAX, MODEL_BYTES_MAX};

/// Gathers the fields of one answer, be it one document or many.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    counts: Counts,
    first_choice_counts: Counts,
    /// The document that is read has usage in it.
    reports_usage: bool,
    model: Option<Box<str>>,
    model_text: Vec<u8>,
    /// Choices of the document that is read that came before the one at hand.
    position: u32,
    choice: Choice,
    /// Choices by index, one bit each: those seen, and those that have ended.
    seen: u128,
    finished: u128,
    pub(super) content_bytes: u64,
    pub(super) items: Option<u64>,
    pub(super) malformed: u32,
    pub(super) is_error: bool,
}

/// The choice that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    index: Option<u32>,
    finished: bool,
}

impl Answer {
    /// A document ended, or the first one begins.
    pub(super) fn next_document(&mut self) {
        self.reports_usage = false;
        self.position = 0;
    }

    /// The document that is read is broken; what it said of usage stays, but in doubt.
    pub(super) fn broken_document(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
        self.counts.doubtful |= self.reports_usage;
    }

    /// Whether every choice that was seen has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.seen != 0 && self.seen == self.finished
    }

    pub(super) fn choices(&self) -> u32 {
        self.seen.count_ones()
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The disjoint counts, how sure they are, and whether the provider's total is at odds with its parts.
    pub(super) fn usage(&self, profile: &Profile, ended: bool) -> (Option<Usage>, Status, bool) {
        let counts = if self.counts.is_empty() { &self.first_choice_counts } else { &self.counts };
        let Some(Normalised { usage, consistent, total_mismatch }) = (profile.normalise)(counts) else {
            return (None, Status::Failed, false);
        };
        let doubtful = self.counts.doubtful || self.first_choice_counts.doubtful;
        let complete = consistent && ended && !doubtful && !self.is_error;
        (Some(usage), if complete { Status::Complete } else { Status::Partial }, total_mismatch)
    }

    /// The counts of a source; none where it is a choice other than the first.
    fn counts_of(&mut self, source: Source) -> Option<&mut Counts> {
        match source {
            Source::Answer => Some(&mut self.counts),
            Source::FirstChoice => (self.position == 0).then_some(&mut self.first_choice_counts),
        }
    }

    fn item(&mut self) {
        self.items = Some(self.items.unwrap_or(0).saturating_add(1));
    }

    /// Something stands where an object, a count or nothing should.
    fn misplaced(&mut self, field: Field) {
        let (Field::Usage(source) | Field::Details(source) | Field::Count(source, _)) = field else {
            return;
        };
        if let Some(counts) = self.counts_of(source) {
            counts.doubtful = true;
            self.malformed = self.malformed.saturating_add(1);
        }
    }
}

impl Sink<Field> for Answer {
    fn open(&mut self, field: Field, container: Container) {
        match (field, container) {
            (Field::Usage(_), Container::Object) => self.reports_usage = true,
            (Field::Details(_), Container::Object) => {}
            (Field::Choice, _) => self.choice = Choice::default(),
            (Field::Items, Container::Array) => self.items = Some(self.items.unwrap_or(0)),
            (Field::Item, _) => self.item(),
            (Field::Error, _) => self.is_error = true,
            _ => self.misplaced(field),
        }
    }

    fn close(&mut self, field: Field) {
        if field != Field::Choice {
            return;
        }
        let index = self.choice.index.unwrap_or(self.position).min(CHOICES_MAX.saturating_sub(1));
        let bit = 1_u128.checked_shl(index).unwrap_or(0);
        self.seen |= bit;
        if self.choice.finished {
            self.finished |= bit;
        }
        self.position = self.position.saturating_add(1);
    }

    #[inline]
    fn begin_text(&mut self, field: Field) -> bool {
        match field {
            Field::Content | Field::FinishReason => true,
            Field::Model => {
                self.model_text.clear();
                self.model.is_none()
            }
            _ => false,
        }
    }

    #[inline]
    fn text(&mut self, field: Field, piece: &[u8]) {
        match field {
            Field::Content => self.content_bytes = self.content_bytes.saturating_add(piece.len() as u64),
            // Some servers send an empty reason with every chunk.
            Field::FinishReason => self.choice.finished = true,
            Field::Model => {
                // One byte more than is kept shows that it is too long.
                let room = MODEL_BYTES_MAX.saturating_add(1).saturating_sub(self.model_text.len());
                self.model_text.extend_from_slice(piece.get(..room).unwrap_or(piece));
            }
            _ => {}
        }
    }

    fn string(&mut self, field: Field) {
        match field {
            Field::Model if self.model.is_none() => {
                let text = str::from_utf8(&self.model_text).unwrap_or_default();
                let usable = !text.is_empty() && text.len() <= MODEL_BYTES_MAX;
                self.model = usable.then(|| text.into());
            }
            Field::Error => self.is_error = true,
            Field::Item => self.item(),
            _ => self.misplaced(field),
        }
    }

    fn number(&mut self, field: Field, number: Number) {
        match (field, number) {
            (Field::Count(source, native), _) => {
                let stated = self.counts_of(source).is_none_or(|counts| counts.state(native, number));
                self.malformed = self.malformed.saturating_add(u32::from(!stated));
            }
            (Field::ChoiceIndex, Number::Integer(index)) => self.choice.index = u32::try_from(index).ok(),
            _ => self.misplaced(field),
        }
    }

    fn literal(&mut self, field: Field, literal: Literal) {
        match (field, literal) {
            (_, Literal::Null) => {}
            (Field::Error, Literal::True) => self.is_error = true,
            _ => self.misplaced(field),
        }
    }
}

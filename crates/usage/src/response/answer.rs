//! What is known of an answer so far, gathered from the fields of its documents.

use tariff::Usage;

use super::calls::Calls;
use super::choices::Choices;
use super::counts::{Counts, Native};
use super::gemini;
use super::normalise::Normalised;
use super::part::{Kind, Part};
use super::profile::{Field, Profile, Side, Source};
use super::rounds::Rounds;
use super::tier::Tier;
use super::word::Word;
use super::{Status, ToolCalls};
use crate::base64::Base64;
use crate::json::{Container, Literal, Number, Sink};
use crate::limits::{COST_MAX, MODEL_BYTES_MAX};

/// Gathers the fields of one answer, be it one document or many.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    counts: Counts,
    /// Those of places that count only where the dialect's own has none.
    elsewhere: Counts,
    /// Those are of a place that nobody bills by.
    unbilled: bool,
    rounds: Option<Box<Rounds>>,
    part: Part,
    /// Of the elements of the list that is read.
    sum: Option<u64>,
    pub(super) calls: Calls,
    /// The beginning of a word that is compared with some.
    word: Word,
    /// Said to be over, by an event or a member that stands nowhere else.
    over: bool,
    /// The document that is read has usage in it.
    reports_usage: bool,
    pub(super) tier: Tier,
    /// In millionths of millionths of a US dollar.
    pub(super) cost: Option<u64>,
    /// It counts output, more than none.
    counts_output: bool,
    /// Bytes of generated text up to the end of the last document that did.
    counted_bytes: u64,
    model: Option<Box<str>>,
    model_text: Vec<u8>,
    pub(super) choices: Choices,
    pub(super) content_bytes: u64,
    pub(super) items: Option<u64>,
    picture: Picture,
    /// Searches that the last document with any names.
    queries: u64,
    /// It is the one that is read.
    names_queries: bool,
    pub(super) malformed: u32,
    pub(super) is_error: bool,
    /// What the text that stands for another document says, as far as it was read and not taken.
    pub(super) unwrapped: Vec<u8>,
    base64: Base64,
}

/// The element that is read of a list with remarks in it.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    is_there: bool,
    has_remark: bool,
}

impl Answer {
    /// A document ended, or the first one begins.
    pub(super) fn next_document(&mut self) {
        if let Some(rounds) = &mut self.rounds {
            rounds.end_document(&self.counts);
        }
        self.calls.end_event();
        self.counted_bytes = self.content_bytes.saturating_sub(self.uncounted_bytes());
        self.counts_output = false;
        self.reports_usage = false;
        self.names_queries = false;
        self.choices.restart();
    }

    /// The document that is read is broken; what it said of usage stays, but in doubt.
    pub(super) fn broken_document(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
        self.counts.doubtful |= self.reports_usage;
    }

    /// Takes a count that stands beside the answer, as a decimal number.
    pub(super) fn state_beside(&mut self, native: Native, digits: &[u8]) {
        let stated = self.elsewhere.state(native, Number::of_digits(digits));
        self.malformed = self.malformed.saturating_add(u32::from(!stated));
    }

    /// A frame cannot be believed, and what it said was not taken.
    pub(super) fn broken_frame(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
        self.counts.doubtful = true;
    }

    /// Bytes of generated text that no count of output has followed.
    pub(super) fn uncounted_bytes(&self) -> u64 {
        if self.counts_output { 0 } else { self.content_bytes.saturating_sub(self.counted_bytes) }
    }

    /// Whether the document that is read counts output.
    pub(super) fn counts_output(&self) -> bool {
        self.counts_output
    }

    /// Whether it has said that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether any count was stated.
    pub(super) fn has_counts(&self) -> bool {
        !self.counts.is_empty()
    }

    /// Whether counts were stated beside the answer's own.
    pub(super) fn is_counted_elsewhere(&self) -> bool {
        !self.elsewhere.is_empty()
    }

    pub(super) fn model(&self) -> Option<&str> {
        let instead = self.rounds.as_ref().and_then(|rounds| rounds.instead());
        instead.or(self.model.as_deref())
    }

    /// The disjoint counts, how sure they are, and whether the provider's total is at odds with its parts.
    pub(super) fn usage(&self, profile: &Profile, ended: bool) -> (Option<Usage>, Status, bool) {
        let billed = self.rounds.as_ref().and_then(|rounds| rounds.billed(&self.counts, self.model()));
        let mut counts = match billed {
            Some(sum) => sum,
            None if self.counts.is_empty() && !(self.unbilled && self.counts.doubtful) => self.elsewhere,
            None => self.counts,
        };
        if profile.wrapper.is_some() {
            // What the model leaves out, the platform around it may know.
            for native in [Native::Prompt, Native::Completion] {
                if counts.value(native).is_none() {
                    counts.take(native, &self.elsewhere);
                }
            }
        }
        if self.queries > 0 {
            let searches = gemini::searches(self.queries, self.model());
            counts.state(Native::Searches, Number::Integer(searches));
        }
        self.calls.state_in(&mut counts);
        let Some(Normalised { usage, consistent, total_mismatch }) = (profile.normalise)(&counts) else {
            return (None, Status::Failed, false);
        };
        let is_doubtful = self.counts.doubtful || self.elsewhere.doubtful || counts.doubtful;
        // Rounds that are billed one by one tell what was used before a count of the answer's own went to zero.
        let is_zeroed = counts.zeroed || self.elsewhere.zeroed;
        let complete = consistent && ended && !is_doubtful && !is_zeroed && !self.is_error;
        (Some(usage), if complete { Status::Complete } else { Status::Partial }, total_mismatch)
    }

    /// Calls of tools as its items tell them, and the tokens of those that made images.
    pub(super) fn tool_calls(&self) -> ToolCalls {
        ToolCalls { image_tokens: self.counts.count(Native::ImageToolOutput), ..self.calls.found() }
    }

    /// The counts of a source; none where it is a choice other than the first.
    fn counts_of(&mut self, source: Source) -> Option<&mut Counts> {
        match source {
            Source::Answer => Some(&mut self.counts),
            Source::FirstChoice => self.choices.is_first().then_some(&mut self.elsewhere),
            Source::Aside | Source::Unbilled => Some(&mut self.elsewhere),
            Source::Iteration => self.rounds.as_mut().map(|rounds| &mut rounds.current),
        }
    }

    /// A search is named; one without words was not made.
    fn query(&mut self) {
        if self.word.text() != Some(b"") {
            let before = if self.names_queries { self.queries } else { 0 };
            (self.names_queries, self.queries) = (true, before.saturating_add(1));
        }
    }

    fn item(&mut self) {
        self.items = Some(self.items.unwrap_or(0).saturating_add(1));
    }

    /// A part of a count has ended.
    fn end_part(&mut self, side: Side) {
        let Part { count, .. } = self.part;
        if let (Some(native), Some(count)) = (self.part.native(side), count) {
            let stated = self.counts.state(native, count);
            self.malformed = self.malformed.saturating_add(u32::from(!stated));
        }
    }

    /// One of several counts that add up has ended.
    fn add(&mut self, native: Native) {
        let number = match self.part.count.or(self.part.elsewhere).map(Number::whole) {
            None => return,
            Some(Number::Integer(more)) => {
                let sum = self.sum.unwrap_or(0).saturating_add(more);
                self.sum = Some(sum);
                // None so far is stated at the end of the list: it is no zero after a count.
                if sum == 0 {
                    return;
                }
                Number::Integer(sum)
            }
            Some(none) => none,
        };
        self.number(Field::Count(Source::Answer, native), number);
    }

    /// Something stands where an object, a count or nothing should.
    fn misplaced(&mut self, field: Field) {
        let source = match field {
            Field::Usage(source)
            | Field::Details(source)
            | Field::Count(source, _)
            | Field::Whole(source, _)
            | Field::Measure(source, _) => source,
            Field::Sum(_)
            | Field::Summand(_)
            | Field::Part(_)
            | Field::PartCount
            | Field::PartCountElsewhere
            | Field::Iterations
            | Field::Iteration => Source::Answer,
            _ => return,
        };
        if let Some(counts) = self.counts_of(source) {
            counts.doubtful = true;
            self.malformed = self.malformed.saturating_add(1);
        }
    }
}

/// The event of OpenAI's responses that brings an item as it will stay.
const ITEM_DONE: &str = "response.output_item.done";

/// The name of a model; none where it is empty or too long.
fn name(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?;
    (1..=MODEL_BYTES_MAX).contains(&text.len()).then_some(text)
}

/// Whether its text is compared with some words.
#[inline]
const fn is_word(field: Field) -> bool {
    matches!(
        field,
        Field::EventType(_)
            | Field::ItemEvent(_)
            | Field::IterationKind
            | Field::Query
            | Field::PartKind
            | Field::CallKind
            | Field::CallStatus
            | Field::CallAction
            | Field::ServiceTier
            | Field::Region
            | Field::Speed
    )
}

impl Sink<Field> for Answer {
    fn open(&mut self, field: Field, container: Container) {
        match (field, container) {
            (Field::Usage(source), Container::Object) => {
                self.reports_usage = true;
                self.unbilled |= source == Source::Unbilled;
            }
            (Field::Details(_), Container::Object) => {}
            (Field::Choice, _) => self.choices.begin(),
            (Field::Document, _) => self.next_document(),
            (Field::Part(_) | Field::Summand(_), Container::Object) => self.part = Part::default(),
            (Field::Sum(_), Container::Array) => self.sum = None,
            (Field::Iterations, Container::Array) => {
                self.rounds.get_or_insert_default().begin();
            }
            (Field::Iteration, Container::Object) => {
                self.rounds.iter_mut().for_each(|rounds| rounds.begin_round());
            }
            (Field::Calls, _) => self.calls.begin_list(),
            (Field::Runs, _) => self.calls.begin_runs(),
            (Field::Call(_), _) => self.calls.begin(),
            (Field::Items, Container::Array) => self.items = Some(self.items.unwrap_or(0)),
            (Field::Item, _) => self.item(),
            (Field::Picture, _) => {
                self.picture = Picture::default();
                self.item();
            }
            (Field::PictureRemark, _) => self.picture.has_remark = true,
            (Field::Error, _) => self.is_error = true,
            (Field::Vectors, _) => {
                self.counts.state(Native::Completion, Number::Integer(0));
            }
            _ => self.misplaced(field),
        }
    }

    fn close(&mut self, field: Field) {
        match field {
            Field::Choice => self.choices.end(),
            Field::Part(side) => self.end_part(side),
            Field::Summand(native) => self.add(native),
            Field::Sum(native) if self.sum == Some(0) => {
                self.number(Field::Count(Source::Answer, native), Number::Integer(0));
            }
            Field::Iteration => self.rounds.iter_mut().for_each(|rounds| rounds.end_round()),
            Field::Iterations => self.rounds.iter_mut().for_each(|rounds| rounds.end()),
            Field::Call(place) => self.calls.end(place),
            Field::Picture if self.picture.has_remark && !self.picture.is_there => {
                self.items = self.items.map(|items| items.saturating_sub(1));
            }
            _ => {}
        }
    }

    #[inline]
    fn begin_text(&mut self, field: Field) -> bool {
        match field {
            Field::Content | Field::FinishReason => true,
            Field::Wrapped => {
                self.base64 = Base64::default();
                true
            }
            _ if is_word(field) => {
                self.word = Word::default();
                true
            }
            Field::CallContainer => {
                self.calls.begin_container();
                true
            }
            Field::Model => {
                self.model_text.clear();
                self.model.is_none()
            }
            Field::IterationModel => {
                self.model_text.clear();
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn text(&mut self, field: Field, piece: &[u8]) {
        match field {
            Field::Content => self.content_bytes = self.content_bytes.saturating_add(piece.len() as u64),
            // Some servers send an empty reason with every chunk.
            Field::FinishReason => self.choices.finish(),
            _ if is_word(field) => self.word.push(piece),
            Field::CallContainer => self.calls.container(piece),
            Field::Wrapped => self.base64.feed(piece, &mut self.unwrapped),
            Field::Model | Field::IterationModel => {
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
                self.model = name(&self.model_text).map(Box::from);
            }
            Field::Error => self.is_error = true,
            Field::Item | Field::Picture => self.item(),
            Field::PictureData => self.picture.is_there = true,
            Field::PictureRemark => self.picture.has_remark = true,
            Field::Ended => self.over = true,
            Field::Wrapped if !self.base64.is_sound() => self.broken_frame(),
            Field::EventType(last) => {
                self.over |= self.word.is_one(last);
                if self.word.is_one(&[ITEM_DONE]) {
                    self.calls.done();
                }
            }
            Field::CallKind => self.calls.kind(self.word),
            Field::CallStatus => self.calls.status(self.word),
            Field::CallAction => self.calls.action(self.word),
            Field::CallResult => self.calls.result(),
            Field::ItemEvent(last) if self.word.is_one(last) => {
                self.over = true;
                self.item();
            }
            Field::ItemEvent(_) => {}
            Field::PartKind => self.part.kind = Kind::of(&self.word),
            Field::ServiceTier => self.tier.serve(self.word),
            Field::Region => self.tier.place(self.word),
            Field::Speed => self.tier.speed(self.word),
            Field::IterationModel => {
                let name = name(&self.model_text);
                self.rounds.iter_mut().for_each(|rounds| rounds.name(name));
            }
            Field::IterationKind => self.rounds.iter_mut().for_each(|rounds| rounds.kind(&self.word)),
            Field::Query => self.query(),
            _ => self.misplaced(field),
        }
    }

    fn number(&mut self, field: Field, number: Number) {
        match (field, number) {
            (Field::Cost(power), _) => {
                let cost = number.times_ten_to(power).filter(|cost| *cost <= COST_MAX);
                self.cost = cost.or(self.cost);
            }
            (Field::Count(source, native), _) => {
                let stated = self.counts_of(source).is_none_or(|counts| counts.state(native, number));
                self.counts_output |= matches!(native, Native::Completion | Native::Reasoning)
                    && matches!(number, Number::Integer(1..));
                self.malformed = self.malformed.saturating_add(u32::from(!stated));
            }
            (Field::Whole(source, native), _) => self.number(Field::Count(source, native), number.whole()),
            (Field::Measure(source, native), _) => {
                self.number(Field::Count(source, native), number.rounded_up());
            }
            (Field::PartCount, _) => self.part.count = Some(number),
            (Field::PartCountElsewhere, _) => self.part.elsewhere = Some(number),
            (Field::CallIndex, Number::Integer(index)) => self.calls.index(index),
            (Field::ChoiceIndex, Number::Integer(index)) => self.choices.index(index),
            _ => self.misplaced(field),
        }
    }

    fn literal(&mut self, field: Field, literal: Literal) {
        match (field, literal) {
            (_, Literal::Null) => {}
            (Field::Error, Literal::True) => self.is_error = true,
            (Field::Ended, Literal::True) => self.over = true,
            _ => self.misplaced(field),
        }
    }
}

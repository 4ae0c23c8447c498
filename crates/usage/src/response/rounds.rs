//! Rounds of one answer that are billed one by one (Anthropic's iterations), beside the counts of the answer itself.
//!
//! The answer's counts are the sum of the rounds that made its message: a compaction's and an advisor's stand in the
//! list alone (Anthropic's documentation of compaction), and so does an attempt that was refused, after which another
//! model answered (of refusals and fallback). A list is as old as the event that it stands in: what the
//! answer's counts have come to since is added.

use super::counts::{Counts, Native};
use super::word::Word;

/// What is billed one by one.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    /// Of the last list that came to its end.
    told: Round,
    /// The answer's counts at the end of the document with that list; none while it is read.
    beside: Option<Counts>,
    /// Of the list that is read, as far as it has come.
    begun: Round,
    /// The one that is read.
    pub(super) current: Counts,
    current_model: Option<Box<str>>,
    current_kind: Kind,
}

/// Some rounds.
#[derive(Clone, Debug, Default)]
struct Round {
    sum: Counts,
    /// Attempts without output, as long as no other model was asked instead.
    without_output: Counts,
    /// The model that the first of them that names one names.
    model: Option<Box<str>>,
    /// The model that was asked instead of one that refused.
    instead: Option<Box<str>>,
}

/// What a round was for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// The message, or one that is not known.
    #[default]
    Message,
    /// The message, by another model than the one that refused it.
    Instead,
    /// Something beside the message: a compaction, an advisor's advice.
    Beside,
}

impl Rounds {
    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.begun = Round::default();
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self) {
        (self.current, self.current_model, self.current_kind) = (Counts::default(), None, Kind::Message);
    }

    /// The round that is read names its model; none where the name cannot be one.
    pub(super) fn name(&mut self, model: Option<&str>) {
        self.current.doubtful |= model.is_none();
        self.current_model = model.map(Box::from);
    }

    /// What the round that is read was for.
    pub(super) fn kind(&mut self, word: &Word) {
        self.current_kind = match word.text() {
            Some(b"fallback_message") => Kind::Instead,
            Some(b"compaction" | b"advisor_message") => Kind::Beside,
            _ => Kind::Message,
        };
    }

    pub(super) fn end_round(&mut self) {
        let (mut own, model) = (self.current, self.current_model.take());
        if self.current_kind == Kind::Instead {
            // What was refused before a word was said is told of, and not billed.
            self.begun.without_output = Counts::default();
            self.begun.instead.clone_from(&model);
        }
        if self.current_kind != Kind::Beside && own.value(Native::Completion) == Some(0) {
            return self.begun.without_output.add(&own);
        }
        match (model, &self.begun.model) {
            (None, _) => {}
            (model, None) => self.begun.model = model,
            // One of them is another one's, whose price is not known here.
            (Some(model), Some(first)) => own.doubtful |= model != *first,
        }
        self.begun.sum.add(&own);
    }

    /// A list ended. Stated again it replaces what was stated; one that breaks off replaces nothing.
    pub(super) fn end(&mut self) {
        self.told = std::mem::take(&mut self.begun);
        self.told.sum.add(&self.told.without_output);
        self.beside = None;
    }

    /// The model that answered in place of the one that had begun to.
    pub(super) fn instead(&self) -> Option<&str> {
        self.told.instead.as_deref()
    }

    /// A document ended, with these counts of the answer.
    pub(super) fn end_document(&mut self, counts: &Counts) {
        self.beside.get_or_insert(*counts);
    }

    /// What was billed in all, what is not of one of the rounds by the answer's own counts; none where those say it
    /// all.
    pub(super) fn billed(&self, counts: &Counts, model: Option<&str>) -> Option<Counts> {
        let Round { mut sum, model: named, .. } = self.told.clone();
        if sum.is_empty() {
            return None;
        }
        if let Some(then) = &self.beside {
            sum.follow(then, counts);
        }
        // Another model's price is not known here.
        sum.doubtful |= named.is_some() && named.as_deref() != model;
        let wholes = [Native::Prompt, Native::Completion, Native::Cached, Native::CacheWrite];
        if !sum.doubtful && wholes.into_iter().all(|whole| sum.count(whole) == counts.count(whole)) {
            // Told with less detail than the answer.
            return None;
        }
        for beside in [Native::Searches, Native::Reasoning, Native::Cached, Native::CacheWrite] {
            if sum.value(beside).is_none() {
                sum.take(beside, counts);
            }
        }
        // The lifetimes of what no round tells any of, unless they are of more than was written.
        let lifetimes = [Native::CacheWriteShort, Native::CacheWriteHour];
        let written = lifetimes.into_iter().fold(0_u64, |sum, own| sum.saturating_add(counts.count(own)));
        let is_told = lifetimes.into_iter().any(|lifetime| sum.value(lifetime).is_some());
        if !is_told && written <= sum.count(Native::CacheWrite) {
            lifetimes.into_iter().for_each(|lifetime| sum.take(lifetime, counts));
        }
        Some(sum)
    }
}

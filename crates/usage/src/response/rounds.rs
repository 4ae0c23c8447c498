//! Rounds of one answer that are billed one by one (Anthropic's iterations), beside the counts of the answer itself.
//!
//! The answer's counts are the sum of the rounds that made its message: a compaction's and an advisor's stand in the
//! list alone (Anthropic's documentation of compaction). A list is as old as the event that it stands in: what the
//! answer's counts have come to since is added.

use super::counts::{Counts, Native};

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
}

/// Some rounds.
#[derive(Clone, Debug, Default)]
struct Round {
    sum: Counts,
    /// The model that the first of them that names one names.
    model: Option<Box<str>>,
}

impl Rounds {
    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.begun = Round::default();
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self) {
        self.current = Counts::default();
    }

    /// The round that is read names its model; none where the name cannot be one.
    pub(super) fn name(&mut self, model: Option<&str>) {
        match (model, &self.begun.model) {
            (None, _) => self.current.doubtful = true,
            (Some(model), None) => self.begun.model = Some(model.into()),
            // One of them is another one's, whose price is not known here.
            (Some(model), Some(first)) => self.current.doubtful |= model != &**first,
        }
    }

    pub(super) fn end_round(&mut self) {
        self.begun.sum.add(&self.current);
    }

    /// A list ended. Stated again it replaces what was stated; one that breaks off replaces nothing.
    pub(super) fn end(&mut self) {
        self.told = std::mem::take(&mut self.begun);
        self.beside = None;
    }

    /// A document ended, with these counts of the answer.
    pub(super) fn end_document(&mut self, counts: &Counts) {
        self.beside.get_or_insert(*counts);
    }

    /// What was billed in all, what is not of one of the rounds by the answer's own counts; none where those say it
    /// all.
    pub(super) fn billed(&self, counts: &Counts, model: Option<&str>) -> Option<Counts> {
        let Round { mut sum, model: named } = self.told.clone();
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

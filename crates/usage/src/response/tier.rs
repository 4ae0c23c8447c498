//! Which tier of service an answer says that it was served in.

use super::word::Word;

/// What an answer has said of it so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tier {
    /// Empty where none was named.
    name: Word,
    /// What is said of it further does not matter.
    stands: bool,
    /// Where it was served, where that matters; empty where it does not.
    region: Word,
}

impl Tier {
    /// The platform's own, which stands beside the answer, whatever the model says inside.
    pub(super) fn beside(&mut self, text: &[u8]) {
        let mut word = Word::default();
        word.push(text);
        if word.is_tier() {
            (self.name, self.stands) = (word, true);
        }
    }

    pub(super) fn serve(&mut self, word: Word) {
        if !self.stands && word.is_tier() {
            self.name = word;
        }
    }

    /// How fast it was served; only `fast` is a tier.
    pub(super) fn speed(&mut self, word: Word) {
        if word.is_one(&["fast"]) {
            (self.name, self.stands) = (word, true);
        }
    }

    /// Where it was served, be it anywhere.
    pub(super) fn place(&mut self, word: Word) {
        if word.is_tier() && !word.is_one(&["global", "not_available"]) {
            self.region = word;
        }
    }

    /// The name of the tier, in small letters: the region's where it was the usual one.
    pub(super) fn name(&self) -> Option<Box<str>> {
        let region = if self.name.is_one(&["standard"]) { name(&self.region) } else { None };
        region.or_else(|| name(&self.name))
    }

    /// The region's where no tier was named.
    pub(super) fn region(&self) -> Option<Box<str>> {
        if name(&self.name).is_none() { name(&self.region) } else { None }
    }
}

fn name(word: &Word) -> Option<Box<str>> {
    let name = str::from_utf8(word.text()?).ok()?;
    (!name.is_empty()).then(|| name.to_ascii_lowercase().into())
}

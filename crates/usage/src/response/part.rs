//! Parts of a count, stated in a list with an element for each: by kind of content, or by lifetime.

use super::counts::Native;
use super::profile::Side;
use super::word::Word;
use crate::json::Number;

/// The part of a count that is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) count: Option<Number>,
    /// The same under another name; counts where the former is absent.
    pub(super) elsewhere: Option<Number>,
}

/// A kind of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or one that has no meter of its own.
    #[default]
    Other,
    Audio,
    Image,
    /// Five minutes.
    Short,
    Hour,
}

impl Part {
    /// The count that it is, where it has one of its own.
    pub(super) fn native(self, side: Side) -> Option<Native> {
        match (self.kind, side) {
            (Kind::Short, Side::CacheWrite) => Some(Native::CacheWriteShort),
            (Kind::Hour, Side::CacheWrite) => Some(Native::CacheWriteHour),
            (Kind::Audio, Side::Input) => Some(Native::AudioInput),
            (Kind::Image, Side::Input) => Some(Native::ImageInput),
            (Kind::Audio, Side::Output) => Some(Native::AudioOutput),
            (Kind::Image, Side::Output) => Some(Native::ImageOutput),
            (Kind::Audio, Side::Cached) => Some(Native::CachedAudio),
            (Kind::Image, Side::Cached) => Some(Native::CachedImage),
            _ => None,
        }
    }
}

impl Kind {
    /// What a word calls it.
    pub(super) fn of(word: &Word) -> Self {
        match word.text() {
            Some(b"AUDIO" | b"audio") => Self::Audio,
            Some(b"IMAGE" | b"image") => Self::Image,
            Some(b"5m") => Self::Short,
            Some(b"1h") => Self::Hour,
            _ => Self::Other,
        }
    }
}

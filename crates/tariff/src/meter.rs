//! Meters: what is counted, and the counts of one request.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! meters {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is counted. Token meters are disjoint: no token is in two of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Meter { $($(#[$doc])* $name,)* }

        impl Meter {
            /// Every meter, in the order of the type.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in catalogs, journal and API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

meters! {
    /// Requests admitted.
    Requests = "requests",
    /// Input tokens neither read from nor written to a cache.
    InputTokens = "input_tokens",
    /// Input tokens read from the provider's cache.
    CachedTokens = "cached_tokens",
    /// Input tokens written to the provider's cache (default lifetime).
    CacheWriteTokens = "cache_write_tokens",
    /// Input tokens written to the provider's cache for an hour (Anthropic).
    CacheWriteHourTokens = "cache_write_hour_tokens",
    /// Audio tokens of the input.
    AudioInputTokens = "audio_input_tokens",
    /// Image tokens of the input.
    ImageInputTokens = "image_input_tokens",
    /// Output tokens that are neither reasoning nor audio nor images.
    OutputTokens = "output_tokens",
    /// Output tokens spent on reasoning.
    ReasoningTokens = "reasoning_tokens",
    /// Audio tokens of the output.
    AudioOutputTokens = "audio_output_tokens",
    /// Image tokens of the output.
    ImageOutputTokens = "image_output_tokens",
    /// Images delivered.
    Images = "images",
    /// Searches that the provider made for the answer.
    Searches = "searches",
    /// Searches of the customer's own files that the provider made for the answer.
    FileSearches = "file_searches",
    /// Runs of code by the provider for the answer: containers, where it says which, else calls.
    CodeRuns = "code_runs",
    /// Pages processed.
    Pages = "pages",
    /// Seconds of media.
    Seconds = "seconds",
    /// Characters.
    Characters = "characters",
    /// All tokens, of input and output: the sum of what the other meters count of them, and never counted itself.
    Tokens = "tokens",
}

impl Meter {
    /// The meter of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|meter| meter.as_str() == text)
    }

    /// The meter whose price stands in where the catalog prices this one not separately; there may be one that
    /// stands in for that in turn.
    #[must_use]
    pub const fn priced_as(self) -> Option<Self> {
        match self {
            Self::CacheWriteHourTokens => Some(Self::CacheWriteTokens),
            Self::CachedTokens | Self::CacheWriteTokens | Self::AudioInputTokens | Self::ImageInputTokens => {
                Some(Self::InputTokens)
            }
            Self::ReasoningTokens | Self::AudioOutputTokens | Self::ImageOutputTokens => {
                Some(Self::OutputTokens)
            }
            Self::Requests
            | Self::InputTokens
            | Self::OutputTokens
            | Self::Images
            | Self::Searches
            | Self::FileSearches
            | Self::CodeRuns
            | Self::Pages
            | Self::Seconds
            | Self::Characters
            | Self::Tokens => None,
        }
    }

    /// The meter itself and those whose price stands in for it, in the order that they are asked in.
    pub fn stand_ins(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |meter| meter.priced_as())
    }

    /// The meter of that name that requests count themselves: any but [`Self::Tokens`].
    #[must_use]
    pub fn counted(text: &str) -> Option<Self> {
        Self::parse(text).filter(|meter| *meter != Self::Tokens)
    }

    /// Whether it counts tokens.
    #[must_use]
    pub fn is_of_tokens(self) -> bool {
        let base = self.stand_ins().last();
        matches!(base.unwrap_or(self), Self::InputTokens | Self::OutputTokens | Self::Tokens)
    }
}

/// The largest count that is believed: JSON's exact integers.
pub const COUNT_MAX: u64 = (1 << 53) - 1;

/// The counts of one request, by meter; absent means not counted.
///
/// JSON: an object of meter name to count. A fixed table, as every request has some: nothing is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    counts: [Option<u64>; METERS],
}

/// How many meters there are.
const METERS: usize = Meter::ALL.len();

impl Usage {
    /// No counts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one count; a sum of others cannot be set.
    pub fn set(&mut self, meter: Meter, count: u64) {
        if let Some(own) = self.counts.get_mut(meter as usize).filter(|_| meter != Meter::Tokens) {
            *own = Some(count);
        }
    }

    /// The same with one count set.
    #[must_use]
    pub fn with(mut self, meter: Meter, count: u64) -> Self {
        self.set(meter, count);
        self
    }

    /// The same with one count set where there is something to count.
    #[must_use]
    pub fn with_some(self, meter: Meter, count: u64) -> Self {
        if count == 0 { self } else { self.with(meter, count) }
    }

    /// One count, or a sum of some; 0 where nothing was counted.
    #[must_use]
    pub fn get(&self, meter: Meter) -> u64 {
        if meter == Meter::Tokens {
            let tokens = self.iter().filter(|(meter, _)| meter.is_of_tokens());
            return tokens.fold(0, |sum, (_, count)| sum.saturating_add(count));
        }
        self.counts.get(meter as usize).copied().flatten().unwrap_or(0)
    }

    /// All tokens of the input, however they are counted.
    #[must_use]
    pub fn input(&self) -> u64 {
        let input = self.iter().filter(|(meter, _)| meter.stand_ins().last() == Some(Meter::InputTokens));
        input.fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The counts, by meter.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        Meter::ALL.iter().zip(&self.counts).filter_map(|(meter, count)| Some((*meter, (*count)?)))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(Option::is_none)
    }
}

impl FromIterator<(Meter, u64)> for Usage {
    fn from_iter<I: IntoIterator<Item = (Meter, u64)>>(counts: I) -> Self {
        let mut usage = Self::new();
        counts.into_iter().for_each(|(meter, count)| usage.set(meter, count));
        usage
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;

        impl<'de> Visitor<'de> for Counts {
            type Value = Usage;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of meter names to counts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Usage, A::Error> {
                let mut usage = Usage::new();
                while let Some((meter, count)) = map.next_entry()? {
                    usage.set(meter, count);
                }
                Ok(usage)
            }
        }

        deserializer.deserialize_map(Counts)
    }
}

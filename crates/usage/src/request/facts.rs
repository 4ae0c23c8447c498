//! The facts of one request body, with the places where it may be edited.

use super::edit::OutputBound;
use super::media::Found;
use super::noted::{Member, Noted, Unclear};

/// Bytes of the body from `start` up to, but not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

/// An upper bound on output tokens as the client gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// Tokens, at most [`crate::limits::COUNT_MAX`].
    pub value: u64,
    /// Where the number stands.
    pub span: Span,
}

/// What a request body says, as far as price and admission need it.
///
/// `null` counts as absent for every member but `model`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model asked for, decoded; at most [`crate::limits::MODEL_BYTES_MAX`] bytes.
    pub model: Option<Box<str>>,
    /// The tier of service that stands beside the body, in a header.
    pub service_tier: Option<Box<str>>,
    /// The tier of service that the answers of its route are sold in, unless they name another.
    pub sold_tier: Option<Box<str>>,
    /// Whether the server of its route knows no `max_completion_tokens`.
    pub is_old_chat: bool,
    /// Whether the answer shall be streamed; absent means what the dialect makes of it.
    pub stream: bool,
    /// What the client said in `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// Where the value of `stream_options` stands, `null` included.
    pub stream_options_span: Option<Span>,
    /// Where the members of `stream_options` begin, just after its `{`; absent where it is no object.
    pub stream_options_start: Option<u64>,
    /// Whether `stream_options` is an object without members.
    pub stream_options_empty: bool,
    /// Where the value of `stream_options.include_usage` stands, `null` included.
    pub include_usage_span: Option<Span>,
    /// `max_tokens` (chat completions).
    pub max_tokens: Option<Bounded>,
    /// Where a `max_tokens` of `null` stands.
    pub max_tokens_null: Option<Span>,
    /// `max_completion_tokens` (chat completions, successor of `max_tokens`).
    pub max_completion_tokens: Option<Bounded>,
    /// `max_output_tokens` (responses), or its like in the object that a dialect has its bounds in.
    pub max_output_tokens: Option<Bounded>,
    /// Where a `null` in its place stands.
    pub max_output_tokens_null: Option<Span>,
    /// Where the members of that object begin, just after its `{`.
    pub config_start: Option<u64>,
    /// Whether it has no members.
    pub config_empty: bool,
    /// Where a `null` in its place stands.
    pub config_null: Option<Span>,
    /// Answers asked for, 1 to [`crate::limits::CHOICES_MAX`]: `n`, `generationConfig.candidateCount` (Gemini).
    pub n: Option<u64>,
    /// Answers generated to choose from, 1 to [`crate::limits::CHOICES_MAX`] (`best_of` of completions).
    pub best_of: Option<u64>,
    /// Bytes of the body so far; white space may still follow a complete one.
    pub body_bytes: u64,
    /// Of them those of pictures, sounds, films and a form's files that are sent with it, and what they and whatever it
    /// links to are taken for in tokens.
    pub media_bytes: u64,
    /// See [`Self::media_bytes`].
    pub media_tokens: u64,
    /// Bytes of the files of a form.
    pub file_bytes: u64,
    /// Offset just after the body's first `{`: where a member may be inserted.
    pub object_start: u64,
    /// Whether the body is an object without members.
    pub is_empty_object: bool,
    /// Whatever else a catalog may refer to.
    pub noted: Noted,
}

impl RequestFacts {
    /// The bounds on output tokens that the client gave, under whichever name.
    pub fn bounds(&self) -> impl Iterator<Item = Bounded> + '_ {
        [self.max_tokens, self.max_completion_tokens, self.max_output_tokens].into_iter().flatten()
    }

    /// The largest bound under a name that an API has for it: its servers do not look at others. Without such an API the
    /// largest of all. 0 where one of two is that: the server may look at it alone.
    #[must_use]
    pub fn own_bound(&self, of: Option<OutputBound>) -> Option<u64> {
        let own = match of {
            Some(OutputBound::MaxTokens | OutputBound::OldChat) => [self.max_tokens, None],
            Some(OutputBound::Chat) => [self.max_tokens, self.max_completion_tokens],
            Some(OutputBound::MaxOutputTokens | OutputBound::Within(..)) => [self.max_output_tokens, None],
            Some(OutputBound::Named) | None => return self.output_bound(),
        };
        let own = own.into_iter().flatten().map(|bound| bound.value);
        if own.clone().any(|value| value == 0) { Some(0) } else { own.max() }
    }

    /// How many texts stand in the list of a member of the top level, each of which is answered apart; numbers in it are
    /// tokens of one. 1 where there is no list.
    #[must_use]
    pub fn texts(&self, member: &str) -> u64 {
        self.noted.texts(member)
    }

    /// The member, if any, by which a request names other models to answer it instead of the one that it asks for; but
    /// for those that have a meaning of their own here.
    #[must_use]
    pub fn other_models(&self, is_own: impl Fn(&str) -> bool) -> Option<&'static str> {
        let nested = || self.noted.has("provideroptions") && self.member(VERCEL_MODELS) != Ok(Member::Absent);
        let named = OTHER_MODELS.into_iter().find(|name| self.noted.has(name) && !is_own(name));
        named.or_else(|| nested().then_some(VERCEL_MODELS))
    }

    /// How many answers are generated.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.n.unwrap_or(1).max(self.best_of.unwrap_or(1))
    }

    /// What stands under a path of members joined by dots.
    ///
    /// # Errors
    /// [`Unclear`] where upstreams could disagree on that.
    pub fn member(&self, path: &str) -> Result<Member<'_>, Unclear> {
        self.noted.member(path)
    }

    /// Input tokens as they are estimated before the provider counts them: a quarter of the bytes, what is no text
    /// apart.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        let text = self.body_bytes.saturating_sub(self.media_bytes).div_ceil(BYTES_PER_TOKEN);
        text.saturating_add(self.media_tokens)
    }

    /// What was found in a text of the body.
    pub(super) fn add_found(&mut self, found: Option<Found>) {
        match found {
            Some(Found::Data(bytes)) => self.add_media(bytes),
            // Of a picture, sound or document, which the provider fetches.
            Some(Found::Link) => self.media_tokens = self.media_tokens.saturating_add(MEDIA_TOKENS_MIN),
            None => {}
        }
    }

    /// A picture, sound, film or file of so many bytes is part of the body.
    pub(super) fn add_media(&mut self, bytes: u64) {
        self.media_bytes = self.media_bytes.saturating_add(bytes);
        self.media_tokens = self.media_tokens.saturating_add(media_tokens(bytes));
    }

    /// The largest bound given: which of several the provider obeys is not known, so the hold takes this one.
    #[must_use]
    pub fn output_bound(&self) -> Option<u64> {
        self.bounds().map(|bound| bound.value).max()
    }
}

/// By which gateways let a client name them: OpenRouter's and Perplexity's, Anthropic's and `LiteLLM`'s, `LiteLLM`'s
/// (<https://openrouter.ai/docs/guides/routing/model-fallbacks>,
/// <https://docs.litellm.ai/docs/proxy/client_side_fallbacks>).
const OTHER_MODELS: [&str; 4] =
    ["models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks"];
/// Vercel's, in an object of its own.
const VERCEL_MODELS: &str = "providerOptions.gateway.models";

/// Tokens that a picture, sound, film or file of so many bytes is taken for.
///
/// Providers count pictures by their size in pixels (up to some 1,600 tokens for most models), sound by its length (10
/// to 32 a second): none of it is known here. What is small enough is taken for text.
fn media_tokens(bytes: u64) -> u64 {
    let by_length = bytes.checked_div(MEDIA_BYTES_PER_TOKEN).unwrap_or(0).max(MEDIA_TOKENS_MIN);
    by_length.min(bytes.div_ceil(BYTES_PER_TOKEN))
}

/// Bytes of text to one token.
const BYTES_PER_TOKEN: u64 = 4;
/// Bytes of a picture, sound, film or file to one token, and the least that one is taken for.
const MEDIA_BYTES_PER_TOKEN: u64 = 256;
/// See [`MEDIA_BYTES_PER_TOKEN`].
const MEDIA_TOKENS_MIN: u64 = 1_600;

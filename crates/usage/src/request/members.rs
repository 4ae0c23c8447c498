//! The members of a request that matter: their types, their ranges, and that none stands twice.

use super::config::{Config, is_one_of};
use super::facts::{Bounded, RequestFacts, Span};
use super::media::Media;
use super::noted::Value;
use super::{RequestDialect, RequestError, unique::Unique};
use crate::json::{Container, Literal, Name, Number, Visitor};
use crate::limits::{CHOICES_MAX, COUNT_MAX, MODEL_BYTES_MAX, NAME_BYTES_MAX};

/// Collects the facts from the tokenizer's reports.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    pub(super) facts: RequestFacts,
    pub(super) dialect: RequestDialect,
    unique: Unique,
    pub(super) depth: u32,
    /// The member of the top level whose object is read, where its members matter.
    within: Option<Member>,
    /// Members that matter and have stood here, one bit each: two names may mean one.
    seen: u16,
    /// The member whose value comes next, where it matters.
    pub(super) member: Option<Member>,
    /// The model's name as far as it was read; of a form, the value of each field that matters.
    pub(super) model: Vec<u8>,
    /// Pictures and the like among messages.
    media: Media,
    /// Bytes of the file that is read.
    pub(super) file_bytes: u64,
}

/// A member that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
    BestOf,
    /// The object that a dialect has its bounds in.
    Config,
    /// The bound on output tokens in it.
    ConfigMaxTokens,
    /// The number of answers in it.
    ConfigAnswers,
}

impl Member {
    /// The top-level member of that name.
    fn openai(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"stream_options" => Self::StreamOptions,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"max_output_tokens" => Self::MaxOutputTokens,
            b"n" => Self::N,
            b"best_of" => Self::BestOf,
            _ => return None,
        })
    }

    /// The top-level member of that name of an invocation: models call the same thing each in its own way.
    fn invoke(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"max_tokens" | b"max_tokens_to_sample" | b"max_gen_len" | b"maxTokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"n" | b"num_generations" | b"numResults" => Self::N,
            _ => return None,
        })
    }

    /// The top-level member of that name.
    fn ollama(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            _ => return None,
        })
    }

    /// The field of a form of that name.
    pub(super) fn form(name: &[u8]) -> Option<Self> {
        matches!(name, b"model" | b"stream" | b"n").then(|| Self::openai(name)).flatten()
    }

    /// Its bit in a set.
    const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The member of `stream_options` of that name.
    fn option(name: &[u8]) -> Option<Self> {
        (name == b"include_usage").then_some(Self::IncludeUsage)
    }

    /// The member that a name means to any upstream.
    ///
    /// # Errors
    /// Where only some upstreams would take it for that member: Go's `encoding/json` compares names without
    /// case, so that `Model` beside `model` would decide there.
    pub(super) fn recognise(
        name: Name<'_>,
        dialect: RequestDialect,
        known: &dyn Fn(&[u8]) -> Option<Self>,
    ) -> Result<Option<Self>, RequestError> {
        if !name.whole {
            return Ok(None);
        }
        if let Some(member) = known(name.bytes) {
            return Ok(Some(member));
        }
        let mut folded = [0; NAME_BYTES_MAX];
        match known(fold_case(name.bytes, &mut folded)) {
            Some(member) => Err(RequestError::Misspelled { member: member.name(dialect) }),
            None => Ok(None),
        }
    }

    pub(super) const fn name(self, dialect: RequestDialect) -> &'static str {
        let [object, tokens, answers] = dialect.config().told;
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::IncludeUsage => INCLUDE_USAGE_PATH,
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::N => "n",
            Self::BestOf => "best_of",
            Self::Config => object,
            Self::ConfigMaxTokens => tokens,
            Self::ConfigAnswers => answers,
        }
    }

    pub(super) const fn wrong_type(self, dialect: RequestDialect) -> RequestError {
        let expected = match self {
            Self::Model => "a string",
            Self::Stream | Self::IncludeUsage => "true or false",
            Self::StreamOptions | Self::Config => "an object",
            Self::MaxTokens
            | Self::MaxCompletionTokens
            | Self::MaxOutputTokens
            | Self::N
            | Self::BestOf
            | Self::ConfigMaxTokens
            | Self::ConfigAnswers => "an integer without fraction or exponent",
        };
        RequestError::WrongType { member: self.name(dialect), expected }
    }

    /// The range of its number; none where it is no number.
    const fn range(self) -> Option<(u64, u64)> {
        match self {
            Self::MaxTokens | Self::MaxCompletionTokens | Self::MaxOutputTokens | Self::ConfigMaxTokens => {
                Some((0, COUNT_MAX))
            }
            Self::N | Self::BestOf | Self::ConfigAnswers => Some((1, CHOICES_MAX as u64)),
            Self::Model | Self::Stream | Self::StreamOptions | Self::IncludeUsage | Self::Config => None,
        }
    }

    /// Its number, checked.
    pub(super) fn number(self, number: Number, dialect: RequestDialect) -> Result<u64, RequestError> {
        let Some((min, max)) = self.range() else {
            return Err(self.wrong_type(dialect));
        };
        match number {
            Number::Integer(value) if (min..=max).contains(&value) => Ok(value),
            Number::Integer(_) | Number::TooLarge | Number::Negative => {
                Err(RequestError::OutOfRange { member: self.name(dialect), min, max })
            }
            Number::Fraction(_) => Err(self.wrong_type(dialect)),
        }
    }
}

impl Members {
    /// Before the first byte.
    pub(super) fn new(dialect: RequestDialect) -> Self {
        // It streams unless it is told not to.
        let facts = RequestFacts { stream: dialect == RequestDialect::Ollama, ..RequestFacts::default() };
        Self { dialect, facts, ..Self::default() }
    }

    /// A scalar value at the top makes the body no object.
    fn scalar(&mut self) -> Result<Option<Member>, RequestError> {
        if self.depth == 0 {
            return Err(RequestError::NotAnObject);
        }
        Ok(self.member.take())
    }

    /// The top level's member of that name.
    fn top(&mut self, name: Name<'_>) -> Result<(), RequestError> {
        self.facts.is_empty_object = false;
        self.unique.insert(name)?;
        let dialect = self.dialect;
        let is_config = |name: &[u8]| is_one_of(name, dialect.config().object).then_some(Member::Config);
        let recognise = |own: fn(&[u8]) -> Option<Member>| {
            Member::recognise(name, dialect, &|name| own(name).or_else(|| is_config(name)))
        };
        self.member = match dialect {
            RequestDialect::OpenAi => recognise(Member::openai)?,
            RequestDialect::BedrockInvoke => recognise(Member::invoke)?,
            RequestDialect::Ollama => recognise(Member::ollama)?,
            // Other cases of a name are other names to Google and Amazon.
            RequestDialect::Gemini | RequestDialect::BedrockConverse => {
                is_config(name.bytes).filter(|_| name.whole)
            }
        };
        self.once()
    }

    /// A member of an object whose members matter.
    fn inner(&mut self, name: Name<'_>) -> Result<(), RequestError> {
        match self.within {
            Some(Member::Config) => {
                self.facts.config_empty = false;
                let Config { tokens, answers, .. } = self.dialect.config();
                let member = if is_one_of(name.bytes, tokens) {
                    Some(Member::ConfigMaxTokens)
                } else {
                    is_one_of(name.bytes, answers).then_some(Member::ConfigAnswers)
                };
                self.member = member.filter(|_| name.whole);
            }
            Some(_) => {
                self.facts.stream_options_empty = false;
                self.member = Member::recognise(name, self.dialect, &Member::option)?;
            }
            None => return Ok(()),
        }
        self.once()
    }

    /// Keeps what is read of the model's name.
    pub(super) fn keep(&mut self, piece: &[u8]) {
        // One byte more than allowed shows that it is too long; said at its end, after what is worse.
        let room = MODEL_BYTES_MAX.saturating_add(1).saturating_sub(self.model.len());
        self.model.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    /// The model's name has ended.
    pub(super) fn end_model(&mut self) -> Result<(), RequestError> {
        if self.model.len() > MODEL_BYTES_MAX {
            return Err(RequestError::ModelTooLong);
        }
        let model = str::from_utf8(&self.model).map_err(|_| RequestError::ModelNotUnicode)?;
        self.facts.model = Some(model.into());
        Ok(())
    }

    /// No member that matters stands twice.
    pub(super) fn once(&mut self) -> Result<(), RequestError> {
        let Some(member) = self.member else { return Ok(()) };
        if self.seen & member.bit() != 0 {
            return Err(RequestError::Duplicate { member: member.name(self.dialect).into() });
        }
        self.seen |= member.bit();
        Ok(())
    }
}

impl Visitor for Members {
    type Error = RequestError;

    #[inline]
    fn hashes_name(&self) -> bool {
        self.depth == 1
    }

    #[inline]
    fn wants_name(&self) -> bool {
        true
    }

    fn name(&mut self, name: Name<'_>) -> Result<(), RequestError> {
        self.media.name(name.bytes);
        if self.facts.noted.follows(self.depth) {
            self.facts.noted.name(name.bytes, name.whole);
        }
        match self.depth {
            1 => self.top(name),
            2 => self.inner(name),
            _ => Ok(()),
        }
    }

    fn open(&mut self, container: Container, at: u64) -> Result<(), RequestError> {
        let begin = at.saturating_add(1);
        self.facts.noted.open(self.depth, container == Container::Object);
        self.media.open(self.depth, container);
        match (self.depth, self.member.take()) {
            (0, _) if container == Container::Object => {
                self.facts.object_start = begin;
                self.facts.is_empty_object = true;
            }
            (0, _) => return Err(RequestError::NotAnObject),
            (_, Some(member @ Member::StreamOptions)) if container == Container::Object => {
                self.within = Some(member);
                self.facts.stream_options_start = Some(begin);
                self.facts.stream_options_empty = true;
            }
            (_, Some(member @ Member::Config)) if container == Container::Object => {
                self.within = Some(member);
                self.facts.config_start = Some(begin);
                self.facts.config_empty = true;
            }
            (_, Some(member)) => return Err(member.wrong_type(self.dialect)),
            (_, None) => {}
        }
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn close(&mut self, end: u64) -> Result<(), RequestError> {
        self.facts.noted.close(self.depth);
        let found = self.media.close(self.depth);
        self.facts.add_found(found);
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 1 && self.within.take() == Some(Member::StreamOptions) {
            let start = self.facts.stream_options_start.map(|start| start.saturating_sub(1));
            self.facts.stream_options_span = start.map(|start| Span { start, end });
        }
        Ok(())
    }

    #[inline]
    fn begin_text(&mut self) -> bool {
        let is_media = self.media.begin_text(self.depth);
        self.member == Some(Member::Model) || self.facts.noted.begin_text(self.depth) || is_media
    }

    fn text(&mut self, piece: &[u8]) -> Result<(), RequestError> {
        if self.member != Some(Member::Model) {
            self.facts.noted.text(piece);
            self.media.text(piece);
            return Ok(());
        }
        self.keep(piece);
        Ok(())
    }

    fn string(&mut self) -> Result<(), RequestError> {
        self.facts.noted.end_text();
        let found = self.media.end_text();
        self.facts.add_found(found);
        match self.scalar()? {
            None => Ok(()),
            Some(Member::Model) => self.end_model(),
            Some(member) => Err(member.wrong_type(self.dialect)),
        }
    }

    fn number(&mut self, number: Number, span: Span) -> Result<(), RequestError> {
        let value = match number {
            Number::Integer(value) => Value::Whole(value),
            Number::TooLarge | Number::Negative | Number::Fraction(_) => Value::OtherNumber,
        };
        self.facts.noted.scalar(self.depth, value);
        let Some(member) = self.scalar()? else {
            return Ok(());
        };
        let is_none = matches!(number, Number::Negative | Number::Integer(0));
        if self.dialect == RequestDialect::Ollama && is_none {
            // As much as there is room for, or without end: no bound.
            self.facts.max_output_tokens_null = Some(span).filter(|_| member == Member::ConfigMaxTokens);
            return Ok(());
        }
        let value = member.number(number, self.dialect)?;
        let bounded = Some(Bounded { value, span });
        match member {
            Member::MaxTokens => self.facts.max_tokens = bounded,
            Member::MaxCompletionTokens => self.facts.max_completion_tokens = bounded,
            Member::MaxOutputTokens | Member::ConfigMaxTokens => self.facts.max_output_tokens = bounded,
            Member::N | Member::ConfigAnswers => self.facts.n = Some(value),
            Member::BestOf => self.facts.best_of = Some(value),
            Member::Model
            | Member::Stream
            | Member::StreamOptions
            | Member::IncludeUsage
            | Member::Config => {}
        }
        Ok(())
    }

    fn literal(&mut self, literal: Literal, span: Span) -> Result<(), RequestError> {
        let said = match literal {
            Literal::True => Some(true),
            Literal::False => Some(false),
            Literal::Null => None,
        };
        self.facts.noted.scalar(self.depth, said.map_or(Value::Null, Value::Flag));
        let Some(member) = self.scalar()? else {
            return Ok(());
        };
        match member {
            Member::Stream => self.facts.stream = said.unwrap_or(self.facts.stream),
            Member::IncludeUsage => {
                self.facts.include_usage = said;
                self.facts.include_usage_span = Some(span);
            }
            Member::Model => return Err(member.wrong_type(self.dialect)),
            _ if said.is_some() => return Err(member.wrong_type(self.dialect)),
            Member::StreamOptions => self.facts.stream_options_span = Some(span),
            Member::MaxTokens => self.facts.max_tokens_null = Some(span),
            Member::MaxOutputTokens | Member::ConfigMaxTokens => {
                self.facts.max_output_tokens_null = Some(span);
            }
            Member::Config => self.facts.config_null = Some(span),
            Member::MaxCompletionTokens | Member::N | Member::BestOf | Member::ConfigAnswers => {}
        }
        Ok(())
    }
}

/// The name in lower case, with the two characters beyond ASCII that Unicode folds to ASCII letters.
fn fold_case<'a>(name: &[u8], into: &'a mut [u8; NAME_BYTES_MAX]) -> &'a [u8] {
    let mut len = 0_usize;
    for (slot, byte) in into.iter_mut().zip(folded(name)) {
        *slot = byte;
        len = len.saturating_add(1);
    }
    into.get(..len).unwrap_or_default()
}

/// The bytes of a name in lower case.
pub(super) fn folded(name: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = name;
    std::iter::from_fn(move || {
        let byte;
        (byte, rest) = match rest {
            [] => return None,
            [0xc5, 0xbf, after @ ..] => (b's', after), // U+017F, long s
            [0xe2, 0x84, 0xaa, after @ ..] => (b'k', after), // U+212A, Kelvin sign
            [byte, after @ ..] => (byte.to_ascii_lowercase(), after),
        };
        Some(byte)
    })
}

const INCLUDE_USAGE_PATH: &str = "stream_options.include_usage";

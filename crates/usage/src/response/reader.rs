//! The reader of one answer: takes its framing off and gathers what its documents say.

use std::rc::Rc;

use tariff::Meter;

use super::answer::Answer;
use super::pointers::{self, Pointers};
use super::profile::{Field, Profile, Source};
use super::{
    Delivered, Dialect, Format, Reading, anthropic, audio, embeddings, gemini, items, openai, rerank,
    responses,
};
use crate::document::{Document, Kind};
use crate::json::{Number, Sink};
use crate::sse::{Bom, Framer, Piece};

/// Reads one answer, piece by piece, as it passes by.
///
/// Documents and events may be of any size and are never held: memory is fixed but for the model's name.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    profile: &'static Profile,
    framing: Framing,
    document: Document<Field>,
    answer: Answer,
    delivered: Delivered,
    /// Content before the event that is read.
    content_before: u64,
    /// The end marker was seen.
    marked: bool,
    /// What is read is where pointers lead to.
    is_pointed: bool,
}

/// What is around the documents of an answer.
#[derive(Clone, Debug)]
enum Framing {
    Json(Bom),
    EventStream(Framer),
    Opaque,
}

impl ResponseReader {
    /// A reader at the beginning of an answer.
    #[must_use]
    pub fn new(dialect: Dialect, format: Format) -> Self {
        let profile = match dialect {
            Dialect::OpenAiChat => &openai::CHAT,
            Dialect::OpenAiResponses => &responses::RESPONSES,
            Dialect::Embeddings => &embeddings::EMBEDDINGS,
            Dialect::Anthropic => &anthropic::MESSAGES,
            Dialect::Gemini => &gemini::GENERATE_CONTENT,
            Dialect::Items => &items::ITEMS,
            Dialect::Transcript => &audio::TRANSCRIPT,
            Dialect::Speech => &audio::SPEECH,
            Dialect::Rerank => &rerank::RERANK,
        };
        Self::of(profile, format, |marker| Document::new(profile.tree, marker))
    }

    /// The same of an answer that states its usage where pointers lead to.
    #[must_use]
    pub fn pointed(pointers: &Pointers, format: Format) -> Self {
        let document = |marker| Document::grown(Rc::clone(&pointers.tree), marker);
        Self { is_pointed: true, ..Self::of(&pointers::POINTED, format, document) }
    }

    fn of(
        profile: &'static Profile,
        format: Format,
        document: impl FnOnce(&'static [u8]) -> Document<Field>,
    ) -> Self {
        let (framing, marker) = match format {
            Format::Json => (Framing::Json(Bom::new()), &[][..]),
            Format::EventStream => (Framing::EventStream(Framer::new()), profile.end_marker),
            Format::Opaque => (Framing::Opaque, &[][..]),
        };
        Self {
            profile,
            framing,
            document: document(marker),
            answer: Answer::default(),
            delivered: Delivered::default(),
            content_before: 0,
            marked: false,
            is_pointed: false,
        }
    }

    /// Takes a count that a header states, in digits.
    pub fn state(&mut self, meter: Meter, digits: &[u8]) {
        let Some(native) = pointers::native(meter) else { return };
        let number = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
        let number = number.and_then(|digits| digits.parse().ok()).map_or(Number::TooLarge, Number::Integer);
        self.answer.number(Field::Count(Source::Answer, native), number);
    }

    /// Reads the next piece of the answer; pieces may be cut at any byte.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.delivered.bytes = self.delivered.bytes.saturating_add(bytes.len() as u64);
        match &mut self.framing {
            Framing::Json(bom) => {
                let (rest, _) = bom.skip(bytes);
                self.feed_document(rest);
            }
            Framing::EventStream(_) => self.feed_events(bytes),
            Framing::Opaque => {}
        }
    }

    /// What has been seen so far; at the end of the stream, what there was.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let ended = match self.framing {
            Framing::Json(_) => self.document.kind() == Kind::Whole,
            Framing::EventStream(_) => {
                let kind = self.document.kind();
                // What else the event that says so has to say may still be missing.
                let over = self.answer.is_over() && kind != Kind::Unfinished;
                // Nobody knows what ends the streams of an API that is not known.
                let stated = self.is_pointed && self.answer.has_counts() && kind != Kind::Unfinished;
                self.marked || kind == Kind::Marker || self.answer.is_finished() || over || stated
            }
            Framing::Opaque => true,
        };
        let (usage, status, total_mismatch) = self.answer.usage(self.profile, ended);
        Reading {
            usage,
            status,
            answered_model: self.answer.model().map(Box::from),
            service_tier: self.answer.service_tier(),
            provider_cost: self.answer.cost,
            total_mismatch,
            malformed: self.answer.malformed,
            ended,
            streamed: matches!(self.framing, Framing::EventStream(_)),
            delivered: Delivered {
                content_bytes: self.answer.content_bytes,
                choices: self.answer.choices(),
                items: self.answer.items,
                ..self.delivered
            },
            error_event: self.answer.is_error,
        }
    }

    fn feed_events(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Framing::EventStream(framer) = &mut self.framing
            && let Some((piece, after)) = framer.next(rest)
        {
            rest = after;
            match piece {
                Piece::Data(data) => self.feed_document(data),
                Piece::End(event) => {
                    self.answer.is_error |= event.has_data && event.is_error;
                    self.end_event();
                }
            }
        }
    }

    fn feed_document(&mut self, bytes: &[u8]) {
        if self.document.kind() == Kind::Broken {
            return;
        }
        self.document.feed(bytes, &mut self.answer);
        if self.document.kind() == Kind::Broken {
            self.answer.broken_document();
        }
    }

    fn end_event(&mut self) {
        match self.document.kind() {
            Kind::Empty => return,
            Kind::Marker => self.marked = true,
            Kind::Unfinished => self.answer.broken_document(),
            Kind::Whole | Kind::Broken => {}
        }
        if self.document.kind() != Kind::Marker {
            self.delivered.events = self.delivered.events.saturating_add(1);
            let has_content = self.answer.content_bytes > self.content_before;
            self.delivered.content_events =
                self.delivered.content_events.saturating_add(u64::from(has_content));
            self.content_before = self.answer.content_bytes;
        }
        self.answer.next_document();
        self.document.restart();
    }
}

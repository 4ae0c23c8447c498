//! The reader of one answer: takes its framing off and gathers what its documents say.

use std::rc::Rc;

use tariff::Meter;

use super::answer::Answer;
use super::pointers::{self, Pointers};
use super::profile::{Field, Profile, Source};
use super::{Delivered, Dialect, Format, Reading};
use super::{
    anthropic, audio, bedrock, cohere, embeddings, gemini, items, ollama, openai, rerank, responses,
};
use crate::document::{Document, Kind};
use crate::frames::{Frames, Piece as FramePiece};
use crate::json::{Number, Sink};
use crate::limits::WRAPPED_BYTES_MAX;
use crate::sse::{Bom, Framer, Piece};
use crate::work;
use memchr::memchr;

/// Reads one answer, piece by piece, as it passes by.
///
/// Documents and events may be of any size and are never held: memory is fixed but for the model's name.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    profile: &'static Profile,
    framing: Framing,
    document: Document<Field>,
    /// The document that stands encoded inside of each event's, where the dialect has one.
    inner: Option<Box<Document<Field>>>,
    answer: Answer,
    /// What was known before the frame that is read: its checksum comes last.
    before: Option<Box<Answer>>,
    delivered: Delivered,
    /// Content before the event that is read.
    content_before: u64,
    /// Events with content up to the last one that counted output.
    counted_events: u64,
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
    Lines(Bom),
    AwsEventStream(Box<Frames>),
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
            Dialect::BedrockConverse => &bedrock::CONVERSE,
            Dialect::BedrockInvoke => &bedrock::INVOKE,
            Dialect::CohereChat => &cohere::CHAT,
            Dialect::CohereEmbed => &cohere::EMBED,
            Dialect::OllamaChat => &ollama::CHAT,
            Dialect::OllamaEmbed => &ollama::EMBED,
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
            Format::Lines => (Framing::Lines(Bom::new()), &[][..]),
            Format::AwsEventStream => (Framing::AwsEventStream(Box::new(Frames::new())), &[][..]),
        };
        let wrapper = profile.wrapper.filter(|_| format == Format::AwsEventStream);
        let of_frames = format == Format::AwsEventStream;
        Self {
            profile,
            framing,
            document: wrapper.map_or_else(|| document(marker), |tree| Document::new(tree, &[])),
            inner: wrapper.map(|_| Box::new(Document::new(profile.tree, &[]))),
            answer: Answer::default(),
            before: of_frames.then(Box::default),
            delivered: Delivered::default(),
            content_before: 0,
            counted_events: 0,
            marked: false,
            is_pointed: false,
        }
    }

    /// Takes a count that a header states, in digits.
    pub fn state(&mut self, meter: Meter, digits: &[u8]) {
        let Some(native) = pointers::native(meter) else { return };
        self.answer.number(Field::Count(Source::Answer, native), Number::of_digits(digits));
    }

    /// The headers of an answer in this format that matter.
    pub fn headers(dialect: Dialect, format: Format) -> impl Iterator<Item = &'static str> {
        let counts = bedrock::HEADERS.iter().filter(move |_| format != Format::AwsEventStream);
        let all = counts.map(|(name, _)| *name).chain([bedrock::TIER_HEADER]);
        all.filter(move |_| dialect == Dialect::BedrockInvoke)
    }

    /// Takes the value of one of [`Self::headers`]: a count where the body states none, the tier whatever it states.
    /// Whether it is of a count.
    pub fn state_header(&mut self, name: &str, value: &[u8]) -> bool {
        if name == bedrock::TIER_HEADER {
            // Not of any frame, and believed before the first.
            let answers = std::iter::once(&mut self.answer).chain(self.before.as_deref_mut());
            answers.for_each(|answer| answer.tier.beside(value));
            return false;
        }
        let count = bedrock::HEADERS.iter().find(|(own, _)| *own == name);
        if let Some((_, native)) = count {
            self.answer.state_beside(*native, value);
        }
        count.is_some()
    }

    /// Reads the next piece of the answer; pieces may be cut at any byte.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.delivered.bytes = self.delivered.bytes.saturating_add(bytes.len() as u64);
        match &mut self.framing {
            Framing::Json(bom) => {
                let (rest, _) = bom.skip(bytes);
                self.feed_line(rest);
            }
            Framing::EventStream(_) => self.feed_events(bytes),
            Framing::Opaque => {}
            Framing::Lines(bom) => {
                let (rest, _) = bom.skip(bytes);
                self.feed_lines(rest);
            }
            Framing::AwsEventStream(_) => self.feed_frames(bytes),
        }
    }

    /// What has been seen so far; at the end of the stream, what there was.
    #[must_use]
    pub fn reading(&self) -> Reading {
        // What a frame says counts once its checksum is known.
        let between = matches!(&self.framing, Framing::AwsEventStream(frames) if frames.is_between());
        let answer = self.before.as_deref().filter(|_| !between).unwrap_or(&self.answer);
        let kind = self.document.kind();
        let ended = match self.framing {
            Framing::Json(_) => kind == Kind::Whole,
            Framing::EventStream(_) | Framing::Lines(_) => {
                // What else the event that says so has to say may still be missing.
                let over = answer.is_over() && kind != Kind::Unfinished;
                // Nobody knows what ends the streams of an API that is not known.
                let stated = self.is_pointed && answer.has_counts() && kind != Kind::Unfinished;
                self.marked || kind == Kind::Marker || answer.choices.are_finished() || over || stated
            }
            Framing::AwsEventStream(_) => {
                // What is counted around an invocation comes last.
                let counted = self.inner.is_some() && answer.is_counted_elsewhere();
                answer.is_over() || answer.choices.are_finished() || counted
            }
            Framing::Opaque => true,
        };
        let (usage, status, total_mismatch) = answer.usage(self.profile, ended);
        Reading {
            usage,
            status,
            answered_model: answer.model().map(Box::from),
            service_tier: answer.tier.name(),
            region_tier: answer.tier.region(),
            provider_cost: answer.cost,
            total_mismatch,
            malformed: answer.malformed,
            ended,
            streamed: !matches!(self.framing, Framing::Json(_) | Framing::Opaque),
            delivered: Delivered {
                content_bytes: answer.content_bytes,
                uncounted_bytes: answer.uncounted_bytes(),
                uncounted_events: self.uncounted_events(answer),
                choices: answer.choices.count(),
                items: answer.items,
                calls: answer.tool_calls(),
                ..self.delivered
            },
            error_event: answer.is_error,
            is_blank: match &self.framing {
                Framing::Json(_) => self.document.kind() == Kind::Empty,
                Framing::Lines(_) => self.document.kind() == Kind::Empty && self.delivered.events == 0,
                Framing::EventStream(framer) => framer.is_blank(),
                Framing::AwsEventStream(_) | Framing::Opaque => false,
            },
        }
    }

    fn uncounted_events(&self, answer: &Answer) -> u64 {
        if answer.counts_output() {
            return 0;
        }
        self.delivered.content_events.saturating_sub(self.counted_events)
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

    fn feed_lines(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((line, after)) = memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end)) {
            work::done(line.len());
            self.feed_line(line);
            self.end_event();
            rest = after.get(1..).unwrap_or_default();
        }
        self.feed_line(rest);
    }

    /// White space before a document is none of it; a line of nothing else has none.
    fn feed_line(&mut self, bytes: &[u8]) {
        let is_empty = self.document.kind() == Kind::Empty;
        self.feed_document(if is_empty { bytes.trim_ascii_start() } else { bytes });
    }

    fn feed_frames(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Framing::AwsEventStream(frames) = &mut self.framing
            && let Some((piece, after)) = frames.next(rest)
        {
            rest = after;
            match piece {
                FramePiece::Payload(payload) => self.feed_payload(payload),
                FramePiece::End(frame) if frame.is_sound => {
                    self.answer.is_error |= frame.is_error;
                    self.end_event();
                    self.keep();
                }
                FramePiece::End(_) => {
                    // Its clients do not get to see it either.
                    self.answer = self.before.as_deref().cloned().unwrap_or_default();
                    self.document.restart();
                    self.inner.iter_mut().for_each(|inner| inner.restart());
                    self.answer.broken_frame();
                    self.keep();
                }
                FramePiece::Lost => self.before.iter_mut().for_each(|before| before.broken_frame()),
            }
        }
    }

    /// What is known is believed from here on.
    fn keep(&mut self) {
        if let Some(before) = &mut self.before {
            (**before).clone_from(&self.answer);
        }
    }

    /// A part of a frame's payload, which may have the document that matters encoded in it.
    fn feed_payload(&mut self, payload: &[u8]) {
        for piece in payload.chunks(WRAPPED_BYTES_MAX) {
            self.feed_document(piece);
            let Some(inner) = &mut self.inner else { continue };
            let mut unwrapped = std::mem::take(&mut self.answer.unwrapped);
            if inner.kind() != Kind::Broken {
                inner.feed(&unwrapped, &mut self.answer);
            }
            unwrapped.clear();
            self.answer.unwrapped = unwrapped;
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
        if let Some(inner) = &mut self.inner {
            if matches!(inner.kind(), Kind::Unfinished | Kind::Broken) {
                self.answer.broken_document();
            }
            inner.restart();
        }
        if self.document.kind() != Kind::Marker {
            self.delivered.events = self.delivered.events.saturating_add(1);
            let has_content = self.answer.content_bytes > self.content_before;
            self.delivered.content_events =
                self.delivered.content_events.saturating_add(u64::from(has_content));
            self.content_before = self.answer.content_bytes;
            if self.answer.counts_output() {
                self.counted_events = self.delivered.content_events;
            }
        }
        self.answer.next_document();
        self.document.restart();
    }
}

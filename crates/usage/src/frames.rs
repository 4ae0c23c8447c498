//! Frames of Amazon's event streams (`application/vnd.amazon.eventstream`), cut at any byte: payloads, where frames
//! end, and whether they can be believed.
//!
//! A frame is two lengths with their checksum, headers, a payload, and a checksum of all of it. Payloads are handed on
//! as they come, so that a frame may be as large as the format allows; whether it was sound is known at its end. Where
//! the lengths cannot be believed, nothing behind them can be found again, and the rest of the stream is skipped.

use crate::crc32::Crc32;
use crate::limits::{FRAME_HEADERS_MAX, FRAME_PAYLOAD_MAX};
use crate::work;

/// Splits a stream into the payloads of its frames.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    part: Part,
    /// Bytes of the part that are still to come.
    left: u32,
    crc: Crc32,
    /// The number that is read, as far as it has come: a length or a checksum.
    number: u32,
    headers_len: u32,
    payload_len: u32,
    header: Header,
}

/// What the framer found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of the frame's payload, cut anywhere.
    Payload(&'a [u8]),
    /// The end of a frame.
    End(Frame),
    /// Lengths that cannot be believed: nothing more will be found.
    Lost,
}

/// A frame that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Whether its checksum is right and its headers can be read.
    pub(crate) is_sound: bool,
    /// Whether its headers say that it is an exception, or an error, in place of an event.
    pub(crate) is_error: bool,
}

/// Parts of a frame, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    FrameLength,
    HeadersLength,
    PreludeChecksum,
    Headers,
    Payload,
    Checksum,
    /// The stream has lost its framing.
    Lost,
}

/// The header that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    at: Place,
    /// Bytes of the place that are still to come.
    left: u16,
    /// The text that is read, its first bytes, and how long it is so far.
    text: [u8; TEXT_BYTES],
    len: u8,
    /// The header says what kind of message the frame is.
    is_message_type: bool,
    /// Some header says that the frame is no event.
    says_error: bool,
    /// Some header cannot be read.
    is_broken: bool,
}

/// Where in a header the framer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    NameLength,
    Name,
    Type,
    /// The two bytes of a value's length.
    ValueLength,
    Value,
}

impl Frames {
    /// A framer at the beginning of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            part: Part::FrameLength,
            left: NUMBER_BYTES,
            crc: Crc32::new(),
            number: 0,
            headers_len: 0,
            payload_len: 0,
            header: Header::NEW,
        }
    }

    /// Whether the stream may end here: between two frames, none of them lost.
    pub(crate) fn is_between(&self) -> bool {
        self.part == Part::FrameLength && self.left == NUMBER_BYTES
    }

    /// The next piece in `input` and what follows it; none where all of the input is read.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let mut rest = input;
        loop {
            work::done(1);
            if self.left == 0
                && let Some(piece) = self.end_part()
            {
                return Some((piece, rest));
            }
            if rest.is_empty() || self.part == Part::Lost {
                return None;
            }
            if self.left == 0 {
                continue;
            }
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
            let (bytes, after) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
            rest = after;
            self.left = self.left.saturating_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            match self.part {
                Part::Headers => {
                    self.crc.update(bytes);
                    bytes.iter().for_each(|byte| self.header.step(*byte));
                }
                Part::Payload => {
                    self.crc.update(bytes);
                    return Some((Piece::Payload(bytes), rest));
                }
                Part::FrameLength | Part::HeadersLength => {
                    self.crc.update(bytes);
                    self.push_number(bytes);
                }
                Part::PreludeChecksum | Part::Checksum => self.push_number(bytes),
                Part::Lost => return None,
            }
        }
    }

    fn push_number(&mut self, bytes: &[u8]) {
        self.number = bytes.iter().fold(self.number, |number, byte| (number << 8) | u32::from(*byte));
    }

    /// Goes on to the next part; what there is to say of the one that ended.
    fn end_part(&mut self) -> Option<Piece<'static>> {
        let number = std::mem::take(&mut self.number);
        (self.part, self.left) = match self.part {
            Part::FrameLength => {
                self.payload_len = number;
                (Part::HeadersLength, NUMBER_BYTES)
            }
            Part::HeadersLength => {
                self.headers_len = number;
                (Part::PreludeChecksum, NUMBER_BYTES)
            }
            Part::PreludeChecksum => {
                let around = AROUND_BYTES.saturating_add(self.headers_len);
                let payload_len = self.payload_len.checked_sub(around);
                let payload_len = payload_len.filter(|payload_len| {
                    number == self.crc.value()
                        && self.headers_len <= FRAME_HEADERS_MAX
                        && *payload_len <= FRAME_PAYLOAD_MAX
                });
                let Some(payload_len) = payload_len else {
                    (self.part, self.left) = (Part::Lost, u32::MAX);
                    return Some(Piece::Lost);
                };
                self.payload_len = payload_len;
                self.header = Header::NEW;
                // The checksum of the frame goes over that of its lengths too.
                self.crc.update(&number.to_be_bytes());
                (Part::Headers, self.headers_len)
            }
            Part::Headers => (Part::Payload, self.payload_len),
            Part::Payload => (Part::Checksum, NUMBER_BYTES),
            Part::Checksum => {
                let is_sound = number == self.crc.value() && self.header.is_whole();
                let frame = Frame { is_sound, is_error: self.header.says_error };
                *self = Self::new();
                return Some(Piece::End(frame));
            }
            Part::Lost => (Part::Lost, u32::MAX),
        };
        None
    }
}

impl Header {
    const NEW: Self = Self {
        at: Place::NameLength,
        left: 0,
        text: [0; TEXT_BYTES],
        len: 0,
        is_message_type: false,
        says_error: false,
        is_broken: false,
    };

    /// Whether the headers ended where one of them does.
    fn is_whole(&self) -> bool {
        self.at == Place::NameLength && !self.is_broken
    }

    fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn step(&mut self, byte: u8) {
        match self.at {
            Place::NameLength => {
                self.is_broken |= byte == 0;
                self.begin(Place::Name, byte.into());
            }
            Place::Name | Place::Value => {
                if let Some(slot) = self.text.get_mut(usize::from(self.len)) {
                    *slot = byte;
                }
                // One more than is kept shows that it is longer.
                self.len = self.len.saturating_add(1).min(TEXT_BYTES_AND_ONE);
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.end_text();
                }
            }
            Place::Type => match byte {
                // True and false.
                0 | 1 => self.at = Place::NameLength,
                2 => self.begin(Place::Value, 1),
                3 => self.begin(Place::Value, 2),
                4 => self.begin(Place::Value, 4),
                // A long number, or a time.
                5 | 8 => self.begin(Place::Value, 8),
                // Bytes and texts say how long they are.
                6 | 7 => (self.at, self.left, self.len) = (Place::ValueLength, 0, 0),
                // A UUID.
                9 => self.begin(Place::Value, 16),
                _ => self.is_broken = true,
            },
            Place::ValueLength => {
                self.left = (self.left << 8) | u16::from(byte);
                self.len = self.len.saturating_add(1);
                if self.len == 2 {
                    self.begin(Place::Value, self.left);
                }
            }
        }
    }

    fn begin(&mut self, at: Place, left: u16) {
        (self.at, self.left, self.len) = (at, left, 0);
        if left == 0 {
            self.end_text();
        }
    }

    fn end_text(&mut self) {
        if self.at == Place::Name {
            self.is_message_type = self.text() == MESSAGE_TYPE;
            self.says_error |= self.text() == EXCEPTION_TYPE;
            self.at = Place::Type;
        } else {
            self.says_error |= self.is_message_type && self.text() != EVENT;
            self.at = Place::NameLength;
        }
    }
}

const NUMBER_BYTES: u32 = 4;
/// Bytes of a frame beside its headers and its payload: two lengths and two checksums.
const AROUND_BYTES: u32 = 16;
/// Bytes of the longest name that is known.
const TEXT_BYTES: usize = 15;
const TEXT_BYTES_AND_ONE: u8 = 16;

const MESSAGE_TYPE: &[u8] = b":message-type";
const EXCEPTION_TYPE: &[u8] = b":exception-type";
const EVENT: &[u8] = b"event";
const _: () = assert!(EXCEPTION_TYPE.len() == TEXT_BYTES);

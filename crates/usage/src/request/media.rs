//! Pictures, sounds and documents inside of a JSON body, which are long and no text: found by where they stand, so that the
//! estimate of what is read does not take them for text.
//!
//! They are known by the names of their members (`data`, `url`, …) in objects that only the names of messages and their
//! parts lead to: what a tool was called with, or a schema, is read as text by the model, whatever its members are
//! called. A text in such a place is one of them where all of it is Base64; behind a link there is one as well.

use crate::json::Container;

/// Where in a body media may stand, and the text that may be one.
#[derive(Clone, Debug, Default)]
pub(super) struct Media {
    /// What the name means that came last.
    named: Named,
    /// Open containers, one bit each, the innermost lowest; 1 is a list.
    lists: u128,
    /// The depth inside of the outermost object or list that messages do not have; 0 where there is none.
    foreign: u32,
    /// The depth inside of the innermost object or list that has media; 0 where there is none.
    source: u32,
    reading: Reading,
    /// Bytes of the text so far, and the first of them.
    len: u64,
    begin: [u8; 4],
    /// Something in it is no Base64.
    is_other: bool,
}

/// What a name means for the value behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Named {
    /// Nothing.
    #[default]
    Other,
    /// Messages, or a part of one.
    Part,
    /// The same of a list; as an object, what a tool was called with.
    List,
    /// An object that has media, or the link to one, or a list of media; as a text one of both.
    Source,
    /// Media, as Base64.
    Data,
    /// A link.
    Link,
    /// Either, in an object of media.
    Url,
}

/// What the text that is read may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Nothing,
    Data,
    Link,
    /// One or the other.
    Either,
}

/// What a text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Media of so many bytes, as they are sent.
    Data(u64),
    /// A link to some.
    Link,
}

impl Named {
    fn of(name: &[u8]) -> Self {
        match name {
            b"messages"
            | b"content"
            | b"contents"
            | b"parts"
            | b"output"
            | b"system"
            | b"toolResult"
            | b"systemInstruction"
            | b"system_instruction"
            | b"functionResponse"
            | b"function_response" => Self::Part,
            b"input" => Self::List,
            b"source" | b"image_url" | b"video_url" | b"audio_url" | b"input_audio" | b"inlineData"
            | b"inline_data" | b"fileData" | b"file" | b"image" | b"audio" | b"video" | b"document"
            | b"images" => Self::Source,
            b"data" | b"bytes" => Self::Data,
            // Of Gemini an object, of OpenAI's a text.
            b"file_data" => Self::Source,
            b"fileUri" | b"file_uri" | b"file_url" | b"file_id" => Self::Link,
            b"url" => Self::Url,
            _ => Self::Other,
        }
    }
}

impl Media {
    /// A member's name.
    #[inline]
    pub(super) fn name(&mut self, name: &[u8]) {
        self.named = if self.foreign == 0 { Named::of(name) } else { Named::Other };
    }

    /// An object or list begins, in so many others.
    pub(super) fn open(&mut self, depth: u32, container: Container) {
        let named = std::mem::take(&mut self.named);
        let (inside, is_list) = (depth.saturating_add(1), container == Container::Array);
        let is_element = self.lists & 1 == 1 || depth == 0;
        self.lists = (self.lists << 1) | u128::from(is_list);
        if self.foreign != 0 {
            return;
        }
        match named {
            Named::Part => {}
            Named::Source => self.source = inside,
            Named::List if is_list => {}
            Named::Other if is_element => {}
            _ => self.foreign = inside,
        }
    }

    /// The innermost of so many ends.
    pub(super) fn close(&mut self, depth: u32) {
        self.lists >>= 1;
        self.named = Named::Other;
        for own in [&mut self.foreign, &mut self.source] {
            if *own == depth {
                *own = 0;
            }
        }
    }

    /// A text begins at this depth; whether it is to be read.
    #[inline]
    pub(super) fn begin_text(&mut self, depth: u32) -> bool {
        let named = std::mem::take(&mut self.named);
        let in_source = self.source == depth && depth > 0;
        self.reading = match named {
            Named::Data => Reading::Data,
            Named::Link => Reading::Link,
            Named::Source => Reading::Either,
            Named::Url if in_source => Reading::Either,
            Named::Other if in_source && self.lists & 1 == 1 => Reading::Data,
            _ => return false,
        };
        (self.len, self.is_other) = (0, false);
        true
    }

    /// The next piece of a text.
    #[inline]
    pub(super) fn text(&mut self, piece: &[u8]) {
        if self.reading == Reading::Nothing {
            return;
        }
        let so_far = usize::try_from(self.len).unwrap_or(usize::MAX);
        for (slot, byte) in self.begin.iter_mut().skip(so_far).zip(piece) {
            *slot = *byte;
        }
        self.len = self.len.saturating_add(piece.len() as u64);
        let prefix = PREFIX_BYTES_MAX.saturating_sub(so_far);
        if let (false, Some(piece)) = (self.is_other, piece.get(prefix..)) {
            self.is_other = piece.iter().fold(false, |other, byte| other | !is_base64(*byte));
        }
    }

    /// The text has ended.
    #[inline]
    pub(super) fn end_text(&mut self) -> Option<Found> {
        let reading = std::mem::take(&mut self.reading);
        let is_link = match reading {
            Reading::Nothing => return None,
            Reading::Data => false,
            Reading::Link => self.len > 0,
            Reading::Either => self.len >= 4 && LINKS.contains(&&self.begin),
        };
        if is_link {
            return Some(Found::Link);
        }
        (self.len >= DATA_BYTES_MIN && !self.is_other).then_some(Found::Data(self.len))
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\r' | b'\n')
}

/// What links begin with.
const LINKS: &[&[u8; 4]] = &[b"http", b"gs:/", b"s3:/"];
/// Bytes that may stand before the Base64 of a `data:` URL.
const PREFIX_BYTES_MAX: usize = 128;
/// Shorter texts are taken for text.
const DATA_BYTES_MIN: u64 = 1_024;

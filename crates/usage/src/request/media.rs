//! Pictures, sounds and films inside of a JSON body, which are long and no text: found by where they stand, so that the
//! estimate of what is read does not take them for text.
//!
//! They are known by the names of their members (`data`, `url`, …) in objects that only the names of messages and their
//! parts lead to: what a tool was called with, or a schema, is read as text by the model, whatever its members are
//! called. A text in such a place is one of them where all of it is Base64 and its type is known: by the name of the
//! member (`image_url`), a `data:` URL or the type beside it (`media_type`), which may come later. Documents are taken for
//! text, as Base64 may be of one. Behind a link there is something as well.

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
    /// What that has.
    kind: Kind,
    /// Bytes of Base64 among its members.
    sent: u64,
    reading: Reading,
    /// What the text is that is read, where no members beside it say more.
    own: Option<Kind>,
    /// Bytes of the text so far, and the first of them.
    len: u64,
    begin: [u8; BEGIN_BYTES],
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
    /// An object that has media or a document, or the link to one, or a list of them; as a text one of both.
    Source(Kind),
    /// What it has, as Base64.
    Data,
    /// The type of that.
    Type,
    /// A link.
    Link,
    /// Either, in an object of media.
    Url,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Not known: it is taken for text.
    #[default]
    Unknown,
    /// A picture, a sound or a film.
    Media,
    /// Text, or a document, which may be one.
    Text,
}

/// What the text that is read may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Nothing,
    Data,
    Type,
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

impl Kind {
    /// By what two places say; where one of them says text, it may be read as such.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Text, _) | (_, Self::Text) => Self::Text,
            (Self::Media, _) | (_, Self::Media) => Self::Media,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
        }
    }

    /// That of a type (RFC 6838).
    fn of_type(begin: &[u8]) -> Self {
        let is_media = MEDIA.iter().any(|kind| {
            begin.split_at_checked(kind.len()).is_some_and(|(begin, _)| begin.eq_ignore_ascii_case(kind))
        });
        if is_media { Self::Media } else { Self::Text }
    }

    /// That of a `data:` URL (RFC 2397).
    fn of_data(begin: &[u8]) -> Self {
        match begin.split_at_checked(DATA.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(DATA) => Self::of_type(rest),
            _ => Self::Unknown,
        }
    }
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
            b"image_url" | b"video_url" | b"audio_url" | b"input_audio" | b"image" | b"audio" | b"video"
            | b"images" => Self::Source(Kind::Media),
            b"source" | b"inlineData" | b"inline_data" => Self::Source(Kind::Unknown),
            // `file_data` is an object of Gemini's, a text of OpenAI's.
            b"fileData" | b"file_data" | b"file" | b"document" => Self::Source(Kind::Text),
            b"data" | b"bytes" => Self::Data,
            b"media_type" | b"mimeType" | b"mime_type" => Self::Type,
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
            Named::Source(kind) => {
                let outer = if self.source == depth { self.kind } else { Kind::Unknown };
                (self.source, self.kind, self.sent) = (inside, outer.and(kind), 0);
            }
            Named::List if is_list => {}
            Named::Other if is_element => {}
            _ => self.foreign = inside,
        }
    }

    /// The innermost of so many ends; what it had, as its members may come in any order.
    pub(super) fn close(&mut self, depth: u32) -> Option<Found> {
        self.lists >>= 1;
        self.named = Named::Other;
        if self.foreign == depth {
            self.foreign = 0;
        }
        if self.source != depth {
            return None;
        }
        self.source = 0;
        (self.kind == Kind::Media && self.sent > 0).then_some(Found::Data(self.sent))
    }

    /// A text begins at this depth; whether it is to be read.
    #[inline]
    pub(super) fn begin_text(&mut self, depth: u32) -> bool {
        let named = std::mem::take(&mut self.named);
        let in_source = self.source == depth && depth > 0;
        self.own = None;
        self.reading = match named {
            Named::Data if in_source => Reading::Data,
            Named::Type if in_source => Reading::Type,
            Named::Link => Reading::Link,
            Named::Source(kind) => {
                self.own = Some(if in_source { self.kind.and(kind) } else { kind });
                Reading::Either
            }
            Named::Url if in_source => Reading::Either,
            Named::Other if in_source && self.lists & 1 == 1 => {
                self.own = Some(self.kind);
                Reading::Data
            }
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
        let begin =
            usize::try_from(self.len).ok().and_then(|len| self.begin.get(..len)).unwrap_or(&self.begin);
        let is_link = match reading {
            Reading::Nothing => return None,
            Reading::Type => {
                self.kind = self.kind.and(Kind::of_type(begin));
                return None;
            }
            Reading::Data => false,
            Reading::Link => self.len > 0,
            Reading::Either => LINKS.iter().any(|link| begin.starts_with(*link)),
        };
        if is_link {
            return Some(Found::Link);
        }
        if self.len < DATA_BYTES_MIN || self.is_other {
            return None;
        }
        let said = Kind::of_data(begin);
        if let Some(own) = self.own {
            return (own.and(said) == Kind::Media).then_some(Found::Data(self.len));
        }
        self.kind = self.kind.and(said);
        self.sent = self.sent.saturating_add(self.len);
        None
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\r' | b'\n')
}

/// What links begin with.
const LINKS: &[&[u8; 4]] = &[b"http", b"gs:/", b"s3:/"];
/// What the types of media begin with, and `data:` URLs.
const MEDIA: &[&[u8]; 3] = &[b"image/", b"audio/", b"video/"];
const DATA: &[u8] = b"data:";
/// Bytes of a text by which its kind is known: `data:image/`.
const BEGIN_BYTES: usize = 11;
/// Bytes that may stand before the Base64 of a `data:` URL.
const PREFIX_BYTES_MAX: usize = 128;
/// Shorter texts are taken for text.
const DATA_BYTES_MIN: u64 = 1_024;

//! Members of a request that a catalog's parameters may refer to: noted by their paths while the body passes.
//!
//! Which of them matter is known once the account and its catalog are, which may be after the body was read;
//! so all scalars and lists are noted that a path of object members leads to, within bounds. Nothing below a
//! list is.

use super::members::folded;
use crate::limits::{NOTED_BYTES_MAX, NOTED_DEPTH, NOTED_MAX, NOTED_PATH_MAX, NOTED_TEXT_MAX};

/// What stands in a request under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member<'a> {
    /// Nothing, or `null`.
    Absent,
    /// A text of at most [`NOTED_TEXT_MAX`] bytes.
    Text(&'a str),
    /// A longer text, or one that is not Unicode: how many characters it has.
    LongText(u64),
    /// An integer that is not negative, without fraction or exponent.
    Whole(u64),
    /// Another number.
    OtherNumber,
    /// `true` or `false`.
    Flag(bool),
    /// A list, with so many items.
    List(u64),
    /// An object.
    Object,
}

/// Why it is not clear what stands under a path: upstreams could disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// It, or an object on the way to it, is there twice.
    #[error("stands there twice")]
    Twice,
    /// Its name is written with other letters' case: only some upstreams take it for the same.
    #[error("must be written with the same upper and lower case letters")]
    Misspelled,
    /// There are more nested members than are noted.
    #[error("cannot be found among so many nested members")]
    Lost,
}

/// The members noted of one body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Paths and texts, as the entries say.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Members below the top.
    nested: usize,
    /// Some below the top were not noted.
    lost: bool,
    /// The path of the member whose value comes next, and what of it each followed object adds.
    path: Vec<u8>,
    prefixes: [usize; NOTED_DEPTH],
    /// Objects around what is read, as far as all of them lie on a path.
    followed: u32,
    /// The name that came last can be part of a path.
    named: bool,
    /// The list that is read.
    list: Option<usize>,
    /// The text that is read: its entry.
    text: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    path: (usize, usize),
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Text(usize, usize),
    LongText(u64),
    Whole(u64),
    OtherNumber,
    Flag(bool),
    /// Items, and how many of them are numbers and the like.
    List(u64, u64),
    Object,
}

/// What no name has in it: it is not part of any UTF-8 text.
const SEPARATOR: u8 = 0xff;

// === impl Noted ===

impl Noted {
    /// Whether what is read at this depth lies on a path.
    #[inline]
    pub(super) fn follows(&self, depth: u32) -> bool {
        self.followed == depth && depth > 0
    }

    /// The name of a member of a followed object.
    #[inline]
    pub(super) fn name(&mut self, name: &[u8], whole: bool) {
        let prefix = self.prefix();
        self.path.truncate(prefix);
        self.named = whole && prefix.saturating_add(name.len()) <= NOTED_PATH_MAX;
        if self.named {
            self.path.extend_from_slice(name);
        }
    }

    fn prefix(&self) -> usize {
        let level = usize::try_from(self.followed.saturating_sub(1)).unwrap_or(usize::MAX);
        self.prefixes.get(level).copied().unwrap_or(0)
    }

    /// A value begins that may be an item of the list at hand.
    #[inline]
    fn count(&mut self, depth: u32, is_scalar: bool) {
        if depth != self.followed.saturating_add(1) {
            return;
        }
        let list = self.list.and_then(|list| self.entries.get_mut(list));
        if let Some(Entry { value: Value::List(items, scalars), .. }) = list {
            *items = items.saturating_add(1);
            *scalars = scalars.saturating_add(u64::from(is_scalar));
        }
    }

    /// A scalar that is no text.
    #[inline]
    pub(super) fn scalar(&mut self, depth: u32, value: Value) {
        if self.follows(depth) {
            self.enter(value);
        } else {
            self.count(depth, true);
        }
    }

    /// A text begins; whether it is to be read.
    #[inline]
    pub(super) fn begin_text(&mut self, depth: u32) -> bool {
        if !self.follows(depth) {
            self.count(depth, false);
            return false;
        }
        self.text = self.enter(Value::Null);
        if let Some(entry) = self.text.and_then(|text| self.entries.get_mut(text)) {
            entry.value = Value::Text(self.bytes.len(), 0);
        }
        self.text.is_some()
    }

    #[inline]
    pub(super) fn text(&mut self, piece: &[u8]) {
        let entry = self.text.and_then(|text| self.entries.get_mut(text));
        let Some(Entry { value, .. }) = entry else { return };
        let (start, length) = match value {
            Value::Text(start, length) => (start, length),
            Value::LongText(so_far) => {
                *so_far = so_far.saturating_add(characters(piece));
                return;
            }
            _ => return,
        };
        let longer = length.saturating_add(piece.len());
        if longer > NOTED_TEXT_MAX {
            let so_far = characters(self.bytes.get(*start..).unwrap_or_default());
            self.bytes.truncate(*start);
            *value = Value::LongText(so_far.saturating_add(characters(piece)));
            return;
        }
        *length = longer;
        self.bytes.extend_from_slice(piece);
    }

    #[inline]
    pub(super) fn end_text(&mut self) {
        self.text = None;
    }

    /// An object or list begins, at this depth.
    pub(super) fn open(&mut self, depth: u32, is_object: bool) {
        if depth == 0 {
            self.followed = u32::from(is_object);
            return;
        }
        if !self.follows(depth) {
            self.count(depth, false);
            return;
        }
        let entry = self.enter(if is_object { Value::Object } else { Value::List(0, 0) });
        if !is_object {
            self.list = entry;
            return;
        }
        let level = usize::try_from(self.followed).unwrap_or(usize::MAX);
        // No path is longer or deeper than what is followed.
        if let (Some(_), Some(prefix)) = (entry, self.prefixes.get_mut(level)) {
            self.path.push(SEPARATOR);
            *prefix = self.path.len();
            self.followed = self.followed.saturating_add(1);
        }
    }

    /// An object or list ends, which had this depth inside.
    pub(super) fn close(&mut self, depth: u32) {
        if self.follows(depth) {
            self.followed = self.followed.saturating_sub(1);
            self.path.truncate(self.prefix());
        } else if depth == self.followed.saturating_add(1) {
            self.list = None;
        }
    }

    #[inline]
    fn enter(&mut self, value: Value) -> Option<usize> {
        if !std::mem::take(&mut self.named) {
            return None;
        }
        if self.followed > 1 {
            self.nested = self.nested.saturating_add(1);
            if self.nested > NOTED_MAX || self.bytes.len() > NOTED_BYTES_MAX {
                self.lost = true;
                return None;
            }
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.path);
        self.entries.push(Entry { path: (start, self.path.len()), value });
        self.entries.len().checked_sub(1)
    }

    /// What stands under a path of names joined by dots; `x[]` of forms is noted as `x`, and found by both.
    pub(super) fn member(&self, path: &str) -> Result<Member<'_>, Unclear> {
        let path = path.strip_suffix("[]").unwrap_or(path);
        let steps = path.split('.').count();
        if (self.lost && steps > 1) || steps > NOTED_DEPTH || path.len() > NOTED_PATH_MAX {
            return Err(Unclear::Lost);
        }
        let above = path.match_indices('.').filter_map(|(end, _)| path.get(..end));
        for path in above {
            if self.matching(path).count() > 1 {
                return Err(Unclear::Twice);
            }
        }
        let mut matching = self.matching(path);
        let (Some(entry), None) = (matching.next(), matching.next()) else {
            return if self.matching(path).next().is_some() {
                Err(Unclear::Twice)
            } else {
                Ok(Member::Absent)
            };
        };
        if !self.path(entry).iter().copied().eq(separated(path)) {
            return Err(Unclear::Misspelled);
        }
        Ok(match entry.value {
            Value::Null => Member::Absent,
            Value::Text(start, length) => {
                let text = self.slice(start, length);
                str::from_utf8(text).map_or_else(|_| Member::LongText(characters(text)), Member::Text)
            }
            Value::LongText(characters) => Member::LongText(characters),
            Value::Whole(number) => Member::Whole(number),
            Value::OtherNumber => Member::OtherNumber,
            Value::Flag(flag) => Member::Flag(flag),
            Value::List(items, _) => Member::List(items),
            Value::Object => Member::Object,
        })
    }

    /// Texts, lists and objects in the list under a path, at least one; 1 where there is no list.
    pub(super) fn texts(&self, path: &str) -> u64 {
        let lists = self.matching(path).map(|entry| match entry.value {
            Value::List(items, scalars) => items.saturating_sub(scalars),
            _ => 1,
        });
        lists.max().unwrap_or(1).max(1)
    }

    /// Whether something stands at the top level under a name in lower case, however it is written and how often; `null`,
    /// `false` and an empty list are nothing.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_nothing = |value| matches!(value, Value::Null | Value::Flag(false) | Value::List(0, _));
        let mut entries = self.entries.iter().filter(|entry| !is_nothing(entry.value));
        entries.any(|entry| folded(self.path(entry)).eq(name.bytes()))
    }

    /// The entries that an upstream might take for that path.
    fn matching<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| {
            let wanted: Vec<u8> = separated(path).collect();
            folded(self.path(entry)).eq(folded(&wanted))
        })
    }

    fn path(&self, entry: &Entry) -> &[u8] {
        let (start, length) = entry.path;
        self.slice(start, length)
    }

    fn slice(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    }
}

/// How many characters (code points) a text in UTF-8 has: its bytes without those that continue one.
fn characters(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks();
    // In the lowest bit of each byte: whether its highest bits are 10.
    let continuing = |word: u64| ((word >> 7) & !(word >> 6) & 0x0101_0101_0101_0101).count_ones();
    let of_words = words.iter().map(|word| u64::from(continuing(u64::from_le_bytes(*word))));
    let of_rest = rest.iter().map(|byte| u64::from(continuing(u64::from(*byte))));
    let continuing = of_words.chain(of_rest).fold(0_u64, u64::saturating_add);
    u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_sub(continuing)
}

/// A path as entries have it.
fn separated(path: &str) -> impl Iterator<Item = u8> {
    path.bytes().map(|byte| if byte == b'.' { SEPARATOR } else { byte })
}

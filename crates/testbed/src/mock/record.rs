//! The provider's own record of every request: what came, what was sent, how it ended.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::script::Tokens;

/// Bodies up to this size are kept as text.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// One request, from the provider's side.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Its number, from 0.
    pub seq: usize,
    /// The test's own name for it.
    pub tag: Option<String>,
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Came over HTTP/2.
    pub http2: bool,
    /// The headers as they came.
    pub headers: Vec<(String, String)>,
    /// The request has come to its end.
    pub complete: bool,
    /// The body's length so far.
    pub body_bytes: usize,
    /// A hash of the body, for comparisons within this run.
    pub body_hash: u64,
    /// The body, where it is small text.
    pub text: Option<String>,
    /// The model that it asked for.
    pub model: Option<String>,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// What the answer took, whether reported or not; none for what is no completion.
    pub tokens: Option<Tokens>,
    /// The tokens that were reported in full; none where usage was absent, malformed or cut off.
    pub reported: Option<Tokens>,
    /// The status that was sent; 0 = none.
    pub status: u16,
    /// Bytes of the answer's body that were handed over.
    pub sent_bytes: usize,
    /// How the answer ended.
    pub ended: Ended,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Not yet.
    #[default]
    Open,
    /// All of it was sent.
    Complete,
    /// The script broke it off.
    Broken,
    /// The other side went away.
    Abandoned,
}

/// The record of one mock provider.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// The number of the first line: those before it were forgotten.
    base: usize,
    lines: Vec<Seen>,
}

impl Record {
    /// Begins the line of a request and returns its number.
    pub fn begin(&self, mut seen: Seen) -> usize {
        let mut record = self.lock();
        seen.seq = record.base.saturating_add(record.lines.len());
        let seq = seen.seq;
        record.lines.push(seen);
        seq
    }

    /// Adds to the line of a request; nothing where it was forgotten meanwhile.
    pub fn update(&self, seq: usize, change: impl FnOnce(&mut Seen)) {
        let mut record = self.lock();
        let line = seq.checked_sub(record.base);
        if let Some(seen) = line.and_then(|line| record.lines.get_mut(line)) {
            change(seen);
        }
    }

    /// All lines.
    #[must_use]
    pub fn all(&self) -> Vec<Seen> {
        self.lock().lines.clone()
    }

    /// How many requests have come, forgotten ones included.
    #[must_use]
    pub fn count(&self) -> usize {
        let record = self.lock();
        record.base.saturating_add(record.lines.len())
    }

    /// The lines of the test's own name for a request.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Vec<Seen> {
        self.lock().lines.iter().filter(|seen| seen.tag.as_deref() == Some(tag)).cloned().collect()
    }

    /// Forgets everything.
    pub fn reset(&self) {
        let mut record = self.lock();
        record.base = record.base.saturating_add(record.lines.len());
        record.lines.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Notes the body as it is so far.
    pub fn note_body(&mut self, body: &[u8], complete: bool) {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        self.body_hash = hasher.finish();
        self.body_bytes = body.len();
        self.complete = complete;
        let small = body.len() <= TEXT_BYTES_MAX;
        self.text = std::str::from_utf8(body).ok().filter(|_| small).map(str::to_owned);
    }

    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

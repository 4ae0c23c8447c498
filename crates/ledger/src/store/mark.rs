//! How far the books had come, as a file beside them knows it: so that older books in their place are noticed.
//!
//! The mark is in the file that keeps other processes out. It names the run and its last entry; books that are
//! behind it, or of another run, were restored from a copy or came from elsewhere.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The most bytes that are read of the file.
const BYTES_MAX: usize = 256;

/// A mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// A random name of the ledger's run.
    pub run: String,
    /// The last entry that it had committed, or an earlier one.
    pub entry: u64,
}

// === impl Mark ===

impl Mark {
    /// Reads a mark; nothing where there is none.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; BYTES_MAX];
        let length = file.read_at(&mut bytes, 0)?;
        let text = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        let mut words = text.split_whitespace();
        Ok(match (words.next(), words.next().and_then(|entry| entry.parse().ok())) {
            (Some(run), Some(entry)) => Some(Self { run: run.to_owned(), entry }),
            _ => None,
        })
    }

    /// Writes it. Not synced: a mark that is behind notices less, and nothing wrong.
    pub fn write(&self, file: &File) -> io::Result<()> {
        // The number has always the same width: nothing of an earlier mark is left.
        file.write_all_at(format!("{} {:020}\n", self.run, self.entry).as_bytes(), 0)
    }

    /// Whether books of this run and entry may be the ones that the mark was made of.
    pub fn fits(&self, run: &str, entry: u64) -> bool {
        self.run == run && self.entry <= entry
    }
}

//! UTF-8 checked in pieces: a character may be cut anywhere.

/// A check that remembers the bytes of a character cut by the end of a piece.
#[derive(Clone, Debug)]
pub(super) struct Utf8Check {
    cut: [u8; 4],
    cut_len: usize,
}

impl Utf8Check {
    pub(super) const EMPTY: Self = Self { cut: [0; 4], cut_len: 0 };

    /// Whether a character is cut: the text must not end here.
    pub(super) fn is_cut(&self) -> bool {
        self.cut_len != 0
    }

    /// How many bytes of a cut character were read.
    pub(super) fn cut_len(&self) -> usize {
        self.cut_len
    }

    /// Checks the next run, which begins at offset `from`; the error is the offset where the character that
    /// is none begins, be it in this run or before.
    pub(super) fn check(&mut self, run: &[u8], from: u64) -> Result<(), u64> {
        let rest = self.complete(run, from)?;
        let Err(error) = str::from_utf8(rest) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            let valid = run.len().saturating_sub(rest.len()).saturating_add(error.valid_up_to());
            return Err(from.saturating_add(valid as u64));
        }
        let tail = rest.get(error.valid_up_to()..).unwrap_or_default();
        for (slot, byte) in self.cut.iter_mut().zip(tail) {
            *slot = *byte;
        }
        self.cut_len = tail.len();
        Ok(())
    }

    /// Completes the cut character; what follows it.
    fn complete<'a>(&mut self, run: &'a [u8], from: u64) -> Result<&'a [u8], u64> {
        let begin = from.saturating_sub(self.cut_len as u64);
        let mut rest = run;
        while self.is_cut() {
            let Some((&byte, after)) = rest.split_first() else {
                break;
            };
            let Some(slot) = self.cut.get_mut(self.cut_len) else {
                return Err(begin);
            };
            *slot = byte;
            self.cut_len = self.cut_len.saturating_add(1);
            match str::from_utf8(self.cut.get(..self.cut_len).unwrap_or_default()) {
                Ok(_) => self.cut_len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(begin),
            }
            rest = after;
        }
        Ok(rest)
    }
}

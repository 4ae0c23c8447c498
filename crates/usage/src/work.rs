//! How much reading works, counted in tests: every turn of a loop that reads, and every byte that one searches.

/// So much work is done.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn done(_steps: usize) {}

/// So much work is done.
#[cfg(test)]
pub(crate) fn done(steps: usize) {
    tests::STEPS.with(|sum| sum.set(sum.get().saturating_add(steps)));
}

#[cfg(test)]
#[path = "../tests/corpus/mod.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::corpus::samples;
    use crate::response::{Dialect, Format, ResponseReader};

    thread_local! {
        pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Steps for one byte: each layer (framing, encoding, document) looks at it a few times at most.
    const STEPS_FOR_A_BYTE: usize = 8;
    /// Steps for a piece, whatever is in it.
    const STEPS_FOR_A_PIECE: usize = 8;

    fn assert_linear(what: &str, mut reader: ResponseReader, body: &[u8], piece: usize) {
        STEPS.set(0);
        body.chunks(piece).for_each(|piece| reader.feed(piece));
        let most = STEPS_FOR_A_BYTE
            .saturating_mul(body.len())
            .saturating_add(STEPS_FOR_A_PIECE.saturating_mul(body.len().div_ceil(piece)));
        let steps = STEPS.get();
        assert!(steps <= most, "{what} in pieces of {piece}: {steps} steps for {} bytes", body.len());
    }

    #[test]
    fn work_grows_with_the_bytes_alone() {
        let (mut steps, mut bytes) = (0_usize, 0_usize);
        for sample in samples().iter().filter(|sample| !sample.body.is_empty()) {
            for piece in [1, 2, 7, 100, 4096] {
                assert_linear(&sample.name, sample.reader(), &sample.body, piece);
                steps = steps.saturating_add(STEPS.get());
                bytes = bytes.saturating_add(sample.body.len());
            }
        }
        assert!(steps > bytes, "{steps} steps for {bytes} bytes: not all is counted");
    }

    #[test]
    fn no_endless_answer_costs_more_with_its_length() {
        let endless =
            ["data: ", "{\"usage\":", "{\"a\":\"x", "[", "9", "\\u00e9", "x", "\n", ": c", "\"a", " ", "\r"];
        for format in [Format::Json, Format::EventStream, Format::Lines, Format::AwsEventStream] {
            for begin in ["", "data: {\"a\":\"", "{\"choices\":[\""] {
                for part in endless {
                    let body = format!("{begin}{}", part.repeat(60_000 / part.len()));
                    for piece in [1, 3, 1000] {
                        let reader = ResponseReader::new(Dialect::OpenAiChat, format);
                        assert_linear(part, reader, body.as_bytes(), piece);
                    }
                }
            }
        }
    }
}

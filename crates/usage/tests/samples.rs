//! The samples of real providers' answers: what they come to, whole, cut anywhere, followed by anything, and what
//! becomes of them when bytes are changed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

mod corpus;

use std::sync::LazyLock;

use corpus::{Sample, recordings, samples};
use proptest::prelude::*;
use proptest::sample::Index;

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(samples);

/// Heap of one reader: the model's name twice, and the rounds of an answer that are billed one by one.
const HEAP_MAX: u64 = 4096;

/// Samples above this many bytes are cut at their end and at some places elsewhere.
const CUT_EVERYWHERE: usize = 6000;

#[test]
fn every_sample_comes_to_what_its_provider_says() {
    assert!(recordings().is_some() || SAMPLES.len() > 80, "{} samples", SAMPLES.len());
    for sample in SAMPLES.iter() {
        sample.assert_expected(&sample.read(&sample.body, &[]));
    }
}

#[test]
fn no_cut_in_two_matters() {
    for sample in SAMPLES.iter() {
        let whole = sample.read(&sample.body, &[]);
        let mut before = sample.reader();
        for (at, byte) in sample.body.iter().enumerate() {
            let near_the_end = sample.body.len() - at < CUT_EVERYWHERE / 10;
            if sample.body.len() <= CUT_EVERYWHERE || near_the_end || at % 97 == 0 {
                assert_eq!(sample.read(&sample.body, &[at]), whole, "{} cut at {at}", sample.name);
                let mut bytewise = before.clone();
                bytewise.feed(&sample.body[at..]);
                assert_eq!(bytewise.reading(), whole, "{} in single bytes to {at}", sample.name);
            }
            before.feed(&[*byte]);
        }
        assert_eq!(before.reading(), whole, "{} in single bytes", sample.name);
    }
}

/// What some proxies put behind an answer does not change what it comes to.
#[test]
fn white_space_and_comments_behind_an_answer_mean_nothing() {
    for sample in SAMPLES.iter().filter(|sample| sample.expected.status == "complete") {
        let behind: &[&str] = match sample.expected.content_type.as_str() {
            "text/event-stream" => &["\n", "\r\n\r\n", ": done\n\n", "data: [DONE]\n\n", "id: 1\n\n"],
            "application/json" => &["\n", "\r\n \t\n"],
            _ => continue,
        };
        for tail in behind {
            // A marker that only some dialects have is no JSON to the others; the counts stand all the same.
            let body = [&sample.body, tail.as_bytes()].concat();
            sample.assert_expected(&sample.read(&body, &[]));
        }
    }
}

/// The sample at an index, and cuts of a body in ascending order.
fn pick(index: Index) -> &'static Sample {
    index.get(&SAMPLES)
}

fn places(body: &[u8], cuts: &[Index]) -> Vec<usize> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.sort_unstable();
    places
}

/// What may happen to a body.
#[derive(Clone, Debug)]
enum Change {
    Byte(Index, u8),
    Flip(Index, u8),
    Delete(Index, usize),
    Repeat(Index, usize),
    Insert(Index, &'static str),
    Splice(Index, Index, Index),
}

impl Change {
    fn apply(&self, body: &mut Vec<u8>) {
        let run = |at: &Index, len: usize| {
            let at = at.index(body.len() + 1);
            at..(at + len).min(body.len())
        };
        let len = body.len();
        match self {
            _ if len == 0 => {}
            Self::Byte(at, byte) => body[at.index(len)] = *byte,
            Self::Flip(at, bit) => body[at.index(len)] ^= 1 << (bit % 8),
            Self::Delete(at, len) => drop(body.drain(run(at, *len))),
            Self::Repeat(at, len) => {
                let run = run(at, *len);
                let again = body[run.clone()].to_vec();
                body.splice(run.end..run.end, again);
            }
            Self::Insert(at, text) => {
                let at = at.index(len + 1);
                body.splice(at..at, text.bytes());
            }
            Self::Splice(at, other, from) => {
                let other = pick(*other);
                body.truncate(at.index(len + 1));
                body.extend_from_slice(&other.body[from.index(other.body.len() + 1)..]);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let inserted = prop::sample::select(vec![
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n\n",
        "\r",
        "data: ",
        "\u{feff}",
        "null",
        "-",
        "e9",
        "\\ud800",
        "\"usage\":{",
        "[DONE]",
        "event: error\n",
        "9007199254740992",
        "0",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), 1..80_usize).prop_map(|(at, len)| Change::Delete(at, len)),
        (any::<Index>(), 1..300_usize).prop_map(|(at, len)| Change::Repeat(at, len)),
        (any::<Index>(), inserted).prop_map(|(at, text)| Change::Insert(at, text)),
        any::<(Index, Index, Index)>().prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_cuts_matter(sample: Index, cuts in prop::collection::vec(any::<Index>(), 2..40)) {
        let sample = pick(sample);
        sample.assert_expected(&sample.read(&sample.body, &places(&sample.body, &cuts)));
    }

    /// No panic, no growth, and the same to the last field however it is cut.
    #[test]
    fn changed_answers_are_survived(
        sample: Index,
        changes in prop::collection::vec(change(), 1..6),
        cuts in prop::collection::vec(any::<Index>(), 1..12),
    ) {
        let sample = pick(sample);
        let mut body = sample.body.clone();
        changes.iter().for_each(|change| change.apply(&mut body));
        let places = places(&body, &cuts);
        let mut readings = None;
        let heap = allocation_counter::measure(|| {
            readings = Some((sample.read(&body, &[]), sample.read(&body, &places)));
        });
        let (whole, cut) = readings.unwrap();
        prop_assert_eq!(whole, cut);
        prop_assert!(heap.bytes_max <= 2 * HEAP_MAX, "{} bytes", heap.bytes_max);
    }
}

/// Names, texts, numbers, lists, events and lines without an end.
#[test]
fn no_endless_answer_makes_a_reader_grow() {
    let endless = [
        "data: ",
        "{\"usage\":",
        "{\"model\":\"m",
        "[",
        "{\"choices\":[",
        "9",
        "\\u00e9",
        "x",
        "\n",
        ": c",
        "\"a",
    ];
    for sample in SAMPLES.iter() {
        for part in endless {
            let mut reader = sample.reader();
            reader.feed(&sample.body[..sample.body.len() / 2]);
            let piece = part.repeat(4096 / part.len());
            let heap = allocation_counter::measure(|| (0..16).for_each(|_| reader.feed(piece.as_bytes())));
            assert!(heap.bytes_max <= HEAP_MAX, "{}: {part:?} took {} bytes", sample.name, heap.bytes_max);
        }
    }
}

//! The fuzz targets on the corpus that fuzzing has found, and on every sample: no fuzzer, any compiler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a panic here is a finding"
)]

mod corpus;
#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::Path;

/// Runs a target on every input of its corpus; how many there were.
fn replay(target: &str, run: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let inputs = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    inputs.map(|input| run(&fs::read(input.unwrap().path()).unwrap())).count()
}

/// Runs a target on every sample, with each choice of dialect and framing.
fn replay_samples(run: fn(&[u8])) {
    for sample in corpus::samples() {
        for dialect in 0..fuzz::DIALECTS.len() {
            for format in 0..fuzz::FORMATS.len() {
                let choices = [dialect as u8, format as u8, sample.body.len() as u8];
                run(&[&choices[..], &sample.body].concat());
            }
        }
    }
}

#[test]
fn responses() {
    assert!(replay("response", fuzz::response) >= 20);
    replay_samples(fuzz::response);
}

#[test]
fn requests() {
    assert!(replay("request", fuzz::request) >= 20);
    replay_samples(fuzz::request);
}

#[test]
fn forms() {
    assert!(replay("form", fuzz::form) >= 20);
}

#[test]
fn filtered_chunks() {
    assert!(replay("chunk_filter", fuzz::chunk_filter) >= 20);
    replay_samples(fuzz::chunk_filter);
}

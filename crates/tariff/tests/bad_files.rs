//! One file per mistake, `tests/bad/NAME.yaml`, and beside it what is said of it, `NAME.txt`.
//!
//! With `BLESS=1` in the environment the texts are written instead of compared; read the difference.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use tariff::source;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// What is said of a file; nothing where it was taken.
fn said(file: &Path) -> String {
    let name = file.file_name().unwrap().to_string_lossy();
    let problems = source::load(fs::read(file).unwrap()).err().unwrap_or_default();
    problems.iter().map(|problem| format!("{}\n", problem.in_file(&name))).collect()
}

#[test]
fn every_mistake_is_refused_with_its_place_and_reason() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let (expected, said) = (file.with_extension("txt"), said(&file));
        if bless {
            fs::write(expected, said).unwrap();
        } else if fs::read_to_string(expected).unwrap_or_default() != said || said.is_empty() {
            wrong.push(format!("{}:\n{said}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_text_belongs_to_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    for entry in fs::read_dir(folder).unwrap() {
        assert!(entry.as_ref().unwrap().path().with_extension("yaml").exists(), "{entry:?}");
    }
    assert!(files().len() > 110);
}

//! Files that commands read, or standard input in their place.

use std::io::Read as _;
use std::path::Path;

use super::failure::{Failure, Outcome};

/// The text of a file, `-` = standard input, up to so many bytes.
///
/// # Errors
/// Where it cannot be read.
pub fn text(path: &Path, bytes_max: u64) -> Outcome<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(bytes_max).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|error| wrong(path, &error))
}

/// A file does not hold what is expected.
pub fn wrong(path: &Path, what: &dyn std::fmt::Display) -> Failure {
    Failure::BadInput(format!("bursar: {}: {what}", path.display()))
}

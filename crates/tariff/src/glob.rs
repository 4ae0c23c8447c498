//! Patterns for model names: literal text and `*` for any run of characters.

/// Whether `text` matches `pattern`.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    // Leftmost matches of the inner pieces, then the last piece at the end.
    while let Some((piece, tail)) = rest.split_once('*') {
        let Some((_, after)) = text.split_once(piece) else {
            return false;
        };
        text = after;
        rest = tail;
    }
    text.ends_with(rest)
}

/// Whether `text` matches any of the patterns.
#[must_use]
pub fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

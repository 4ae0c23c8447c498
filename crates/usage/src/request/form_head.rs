//! What the headers around a form and its parts say: the boundary, and each part's name.

use crate::limits::BOUNDARY_BYTES_MAX;

/// What separates the parts of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Two dashes, and the boundary.
    dashed: Box<[u8]>,
}

/// A `content-type` of a form whose boundary is missing, malformed, there twice or beside other parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the boundary in its content-type is not understood")]
pub struct BadBoundary;

/// Whose the bytes of a part are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Field,
    File,
}

/// What the headers of a part say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartHead<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Part,
}

impl Boundary {
    /// The boundary of a form; nothing where the type is another.
    ///
    /// # Errors
    /// [`BadBoundary`]; RFC 2046 §5.1.1 says what a boundary may be, and RFC 7578 knows no other parameter.
    pub fn of(content_type: &[u8]) -> Option<Result<Self, BadBoundary>> {
        let mut parameters = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_form = parameters.next()?.eq_ignore_ascii_case(b"multipart/form-data");
        is_form.then(|| Self::among(parameters).ok_or(BadBoundary))
    }

    fn among<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut found = None;
        for parameter in parameters {
            let (name, value) = halves(parameter, b'=')?;
            let value = unquoted(value)?;
            if name.eq_ignore_ascii_case(b"charset") && value.eq_ignore_ascii_case(b"utf-8") {
                continue;
            }
            let fits = (1..=BOUNDARY_BYTES_MAX).contains(&value.len()) && value.iter().all(is_boundary);
            if !name.eq_ignore_ascii_case(b"boundary") || !fits || found.is_some() {
                return None;
            }
            found = Some(Self { dashed: [b"--", value].concat().into() });
        }
        found
    }

    pub(super) fn dashed(&self) -> &[u8] {
        &self.dashed
    }
}

fn is_boundary(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(byte)
}

/// What stands before and behind the first of these bytes.
fn halves(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == at)?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// A value without its quotes; nothing where one is missing, or within.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.strip_suffix(b"\"")?,
        None => value,
    };
    (!inner.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(inner)
}

/// What the headers of a part say, lines with CRLF between them; nothing where upstreams could disagree on that.
pub(super) fn part(lines: &[u8]) -> Option<PartHead<'_>> {
    let mut disposition = None;
    let mut charset_fits = true;
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // No line break but CRLF, nor what some upstreams take for one, no line that continues another.
        let breaks = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if line.iter().any(breaks) || line.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        let (name, value) = halves(line, b':')?;
        // Some upstreams take `name : …` for `name: …`.
        if !is_token(name) {
            return None;
        }
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if disposition.replace(disposed(value)?).is_some() {
                return None;
            }
        } else if hides_name(value) {
            return None;
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let plain = [&b"binary"[..], b"8bit", b"7bit"];
            if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"content-type") {
            charset_fits &= is_plain_text(value);
        }
    }
    // Every line before the last ended in CRLF, or a lone line feed would have been read as one.
    let crlf = lines.iter().filter(|byte| **byte == b'\n').count();
    let pairs = lines.windows(2).filter(|pair| pair == b"\r\n").count();
    let part: PartHead<'_> = disposition.filter(|_| crlf == pairs)?;
    (part.kind == Part::File || charset_fits).then_some(part)
}

/// RFC 9110 §5.6.2.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether a type names no charset, or UTF-8 or ASCII.
fn is_plain_text(content_type: &[u8]) -> bool {
    let lower = content_type.to_ascii_lowercase();
    let named = lower.windows(CHARSET.len()).filter(|window| *window == CHARSET).count();
    let plain = [&b"charset=utf-8"[..], b"charset=\"utf-8\"", b"charset=us-ascii"];
    named == 0 || (named == 1 && plain.iter().any(|plain| lower.ends_with(plain)))
}

const CHARSET: &[u8] = b"charset";

/// `form-data; name="…"`, for a file with `filename`.
fn disposed(value: &[u8]) -> Option<PartHead<'_>> {
    // Whether a backslash escapes what follows, upstreams disagree on.
    if value.contains(&b'\\') {
        return None;
    }
    let mut rest = value.strip_prefix(b"form-data")?;
    let (mut name, mut kind) = (None, Part::Field);
    while !rest.is_empty() {
        let parameter = rest.trim_ascii_start().strip_prefix(b";")?.trim_ascii_start();
        let (key, after) = halves(parameter, b'=')?;
        let (value, after) = quoted_or_token(after)?;
        rest = after;
        if hides_parameter(value) {
            return None;
        }
        if key.eq_ignore_ascii_case(b"name") {
            if name.replace(value).is_some() {
                return None;
            }
        } else if name.is_none() {
            // Every client writes the name first, and to some upstreams `filename=` has a `name=` in it.
            return None;
        } else if key.eq_ignore_ascii_case(b"filename") || key.eq_ignore_ascii_case(b"filename*") {
            kind = Part::File;
        } else {
            return None;
        }
    }
    // Escapes are undone by some upstreams only, and `_charset_` changes how the others are read.
    let name = str::from_utf8(name?).ok()?;
    let is_plain = !name.is_empty() && !name.contains(['%', '"']) && !name.contains(char::is_control);
    (is_plain && name != "_charset_").then_some(PartHead { name, kind })
}

/// Whether some upstreams could find a parameter within a value: they look for one without regard to quotes.
fn hides_parameter(value: &[u8]) -> bool {
    value.contains(&b';') || hides_name(value)
}

/// Whether some upstreams could find a name in a value: they look for one without regard to whose it is.
fn hides_name(value: &[u8]) -> bool {
    value.windows(NAMING.len()).any(|window| window.eq_ignore_ascii_case(NAMING))
}

const NAMING: &[u8] = b"name=";

/// The value of a parameter, and what follows it.
fn quoted_or_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        return halves(quoted, b'"');
    }
    let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    let (token, rest) = text.split_at_checked(end)?;
    let token = token.trim_ascii_end();
    let is_token = !token.is_empty() && token.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
    is_token.then_some((token, rest))
}

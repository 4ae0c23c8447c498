//! The request's headers, as far as the edge cares, read in one pass.

use std::rc::Rc;

use usage::limits::TIER_BYTES_MAX;

use usage::request::Boundary;

use crate::reply::Refusal;
use crate::reply::refuse;

/// What the request's headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`, with the query.
    pub path: &'a [u8],
    /// `content-length`, where it is a number.
    pub content_length: Option<u64>,
    /// `content-type`; empty where it is there twice.
    pub content_type: Option<&'a [u8]>,
    /// The tier of service that an invocation on Amazon Bedrock asks for.
    pub service_tier: Option<&'a str>,
    /// `content-encoding`, unless `identity`.
    pub encoded: bool,
    /// An upgrade or tunnel is asked for.
    pub upgrade: bool,
    /// Headers under the edge's own prefix, which clients may not send.
    pub forged: Vec<&'a [u8]>,
    /// Headers that credentials are looked for in, by their configured name.
    pub credentials: Vec<(&'a Rc<str>, &'a [u8])>,
}

impl<'a> Head<'a> {
    /// Reads name and value pairs; names are in lower case, as Envoy hands them out. `credentials` are the names
    /// that credentials are looked for in.
    pub fn read(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, credentials: &'a [Rc<str>]) -> Self {
        let mut head = Self::default();
        for (name, value) in pairs {
            if let Some(known) = credentials.iter().find(|known| known.as_bytes() == name) {
                head.credentials.push((known, value));
            }
            match name {
                b":method" => {
                    head.method = value;
                    head.upgrade |= value == b"CONNECT";
                }
                b":path" => head.path = value,
                b":protocol" | b"upgrade" => head.upgrade = true,
                b"content-length" => head.content_length = decimal(value),
                b"content-type" => {
                    head.content_type = Some(if head.content_type.is_none() { value } else { b"" });
                }
                b"content-encoding" => {
                    head.encoded |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
                }
                // No tier has a longer name.
                b"x-amzn-bedrock-service-tier" if value.len() <= TIER_BYTES_MAX => {
                    head.service_tier = str::from_utf8(value).ok();
                }
                _ if name.starts_with(b"x-bursar-") => head.forged.push(name),
                _ => {}
            }
        }
        head
    }

    /// The boundary of a form; nothing where the body is none.
    ///
    /// # Errors
    /// The body's type is one that an upstream could read other fields by than those that JSON or the form has.
    pub fn form(&self) -> Result<Option<Boundary>, Refusal> {
        let Some(kind) = self.content_type else {
            return Ok(None);
        };
        if kind.windows(URL_ENCODED.len()).any(|window| window.eq_ignore_ascii_case(URL_ENCODED)) {
            let told = "it is application/x-www-form-urlencoded; send JSON or multipart/form-data";
            return Err(refuse::unreadable(told));
        }
        match Boundary::of(kind) {
            // Envoy joins headers of one name by commas.
            None if kind.is_empty() || kind.contains(&b',') => {
                Err(refuse::unreadable("its content-type is empty or there twice"))
            }
            boundary => boundary.transpose().map_err(refuse::unreadable),
        }
    }
}

/// Whatever JSON holds may be fields to who reads it so.
const URL_ENCODED: &[u8] = b"application/x-www-form-urlencoded";

/// A plain decimal number.
#[must_use]
pub fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        // 19 digits fit.
        Some(sum.wrapping_mul(10).wrapping_add(u64::from(digit)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain() {
        assert_eq!(decimal(b"120"), Some(120));
        for bad in ["", "-1", "+1", "1.0", "0x1", " 1", "99999999999999999999"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }
}

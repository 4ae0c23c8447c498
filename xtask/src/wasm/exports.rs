//! Checks what a module exports.
//!
//! The host calls each callback that is exported, for each request, and a call into the module costs more than an
//! empty function behind it does: a callback too many makes every request dearer, one too few lets it pass
//! unmetered.

use anyhow::{Context, Result, bail};

/// What the host needs to run the module, and the callbacks that the filter handles (`src/exports.rs`).
const EXPORTS: [&str; 17] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_log",
    "proxy_on_delete",
];

const PREAMBLE: &[u8] = b"\0asm\x01\0\0\0";
const EXPORT_SECTION: u8 = 7;

/// Checks that the module exports what it has to, and nothing else.
///
/// # Errors
///
/// Not a WebAssembly module, an export that is not one of [`EXPORTS`], or one of these that is missing.
pub fn check(module: &[u8]) -> Result<()> {
    let mut reader = Reader { bytes: module };
    if reader.take(PREAMBLE.len())? != PREAMBLE {
        bail!("not a WebAssembly module");
    }
    let mut found = Vec::new();
    while !reader.bytes.is_empty() {
        let id = reader.byte()?;
        let length = reader.number()?;
        let content = reader.take(length)?;
        if id == EXPORT_SECTION {
            found.extend(names(content)?);
        }
    }
    if let Some(missing) = EXPORTS.iter().find(|name| !found.contains(name)) {
        bail!("the module does not export {missing}");
    }
    if let Some(further) = found.iter().find(|name| !EXPORTS.contains(name)) {
        bail!("the module exports {further}, and nobody has said whether the filter uses it");
    }
    Ok(())
}

/// The names in an export section.
fn names(content: &[u8]) -> Result<Vec<&str>> {
    let mut reader = Reader { bytes: content };
    let count = reader.number()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let length = reader.number()?;
        names.push(
            std::str::from_utf8(reader.take(length)?).context("an export has a name that is not UTF-8")?,
        );
        let _kind = reader.byte()?;
        let _index = reader.number()?;
    }
    if !reader.bytes.is_empty() {
        bail!("the export section is longer than its entries");
    }
    Ok(names)
}

/// Reads the module's bytes from front to back.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).context("the module ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        let taken = self.take(1)?;
        taken.first().copied().context("the module ends too early")
    }

    /// An unsigned 32-bit number in LEB128.
    fn number(&mut self) -> Result<usize> {
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(u32::try_from(number)?).map_err(Into::into);
            }
        }
        bail!("a number in the module has more than 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
        while number > 0x7f {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    /// A module of a custom section, an export section with these names, and a code section.
    fn module(names: &[&str]) -> Vec<u8> {
        let mut content = Vec::new();
        push_number(&mut content, names.len());
        for (index, name) in names.iter().enumerate() {
            push_number(&mut content, name.len());
            content.extend_from_slice(name.as_bytes());
            content.push(if *name == "memory" { 2 } else { 0 });
            // Two bytes in LEB128, so that an entry is not always of one shape.
            push_number(&mut content, index + 200);
        }
        let mut bytes = PREAMBLE.to_vec();
        for (id, content) in [(0, [1, b'x', 9].as_slice()), (EXPORT_SECTION, &content), (10, &[1, 2, 0, 11])]
        {
            bytes.push(id);
            push_number(&mut bytes, content.len());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    #[test]
    fn the_listed_exports_and_no_others_are_right() {
        let error = |names: &[&str]| check(&module(names)).unwrap_err().to_string();
        assert!(check(&module(&EXPORTS)).is_ok());
        let mut names = EXPORTS.to_vec();
        names.push("proxy_on_comet");
        assert!(error(&names).contains("proxy_on_comet"));
        let names: Vec<_> = EXPORTS.into_iter().filter(|name| *name != "proxy_on_log").collect();
        assert!(error(&names).contains("does not export proxy_on_log"));
    }

    #[test]
    fn truncated_modules_are_errors() {
        let whole = module(&EXPORTS);
        // Without its last section it is still a module.
        let boundaries = [whole.len() - 6, whole.len()];
        for length in (0..whole.len()).filter(|length| !boundaries.contains(length)) {
            assert!(check(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(check(PREAMBLE).is_err());
        assert!(check(&[PREAMBLE, &[7, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat()).is_err());
    }
}

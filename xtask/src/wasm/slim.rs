//! Takes callbacks out of a module's exports that the filter has no use for.
//!
//! The SDK exports every callback of the ABI. The host calls each one that is exported, for each request, and a call
//! into the module costs more than the empty function behind it does. Only the export section is rewritten; the
//! functions stay in the module, unreachable. An export that stands in neither list below is an error: a later
//! SDK may bring callbacks that someone has to decide on.

use anyhow::{Context, Result, bail};

/// What the host needs to run the module, and the callbacks that the filter handles.
const KEPT: [&str; 17] = [
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

/// What goes, and why nothing is lost with it.
const DROPPED: [(&str, &str); 12] = [
    ("proxy_on_done", "the host takes a missing callback for done; nothing waits for the end of a context"),
    ("proxy_on_response_trailers", "usage never stands in trailers; settling happens in the log callback"),
    ("proxy_on_foreign_function", "no foreign function calls back"),
    ("proxy_on_grpc_close", "the ledger is spoken to over plain HTTP"),
    ("proxy_on_grpc_receive", "the ledger is spoken to over plain HTTP"),
    ("proxy_on_grpc_receive_initial_metadata", "the ledger is spoken to over plain HTTP"),
    ("proxy_on_grpc_receive_trailing_metadata", "the ledger is spoken to over plain HTTP"),
    ("proxy_on_new_connection", "an HTTP filter sees no connections"),
    ("proxy_on_downstream_data", "an HTTP filter sees no connections"),
    ("proxy_on_downstream_connection_close", "an HTTP filter sees no connections"),
    ("proxy_on_upstream_data", "an HTTP filter sees no connections"),
    ("proxy_on_upstream_connection_close", "an HTTP filter sees no connections"),
];

const PREAMBLE: &[u8] = b"\0asm\x01\0\0\0";
const EXPORT_SECTION: u8 = 7;

/// A module without the exports of [`DROPPED`].
#[derive(Debug)]
pub struct Slim {
    /// The bytes of the module.
    pub module: Vec<u8>,
    /// Exports of the module as it was built.
    pub exports_before: usize,
    /// Exports of [`Slim::module`].
    pub exports_after: usize,
}

/// Rewrites the export section; everything else is copied byte for byte.
///
/// # Errors
///
/// Not a WebAssembly module, an export that no list knows, or a module that lacks one of [`KEPT`].
pub fn slim(module: &[u8]) -> Result<Slim> {
    let mut reader = Reader { bytes: module };
    if reader.take(PREAMBLE.len())? != PREAMBLE {
        bail!("not a WebAssembly module");
    }
    let mut slim = Slim { module: PREAMBLE.to_vec(), exports_before: 0, exports_after: 0 };
    while !reader.bytes.is_empty() {
        let id = reader.byte()?;
        let length = reader.number()?;
        let content = reader.take(length)?;
        let rewritten;
        let content = if id == EXPORT_SECTION {
            let exports = exports(content)?;
            let kept = kept(&exports)?;
            (slim.exports_before, slim.exports_after) = (exports.len(), kept.len());
            rewritten = section(&kept);
            rewritten.as_slice()
        } else {
            content
        };
        slim.module.push(id);
        push_number(&mut slim.module, content.len());
        slim.module.extend_from_slice(content);
    }
    if slim.exports_before == 0 {
        bail!("the module exports nothing: this is not a proxy-wasm filter");
    }
    Ok(slim)
}

/// One entry of the export section.
struct Export<'a> {
    name: &'a str,
    /// The whole entry as it is encoded.
    encoded: &'a [u8],
}

fn exports(content: &[u8]) -> Result<Vec<Export<'_>>> {
    let mut reader = Reader { bytes: content };
    let count = reader.number()?;
    let mut exports = Vec::new();
    for _ in 0..count {
        let from = reader.bytes;
        let length = reader.number()?;
        let name =
            std::str::from_utf8(reader.take(length)?).context("an export has a name that is not UTF-8")?;
        let _kind = reader.byte()?;
        let _index = reader.number()?;
        let (encoded, _) = from.split_at(from.len() - reader.bytes.len());
        exports.push(Export { name, encoded });
    }
    if !reader.bytes.is_empty() {
        bail!("the export section is longer than its entries");
    }
    Ok(exports)
}

fn kept<'e, 'a>(exports: &'e [Export<'a>]) -> Result<Vec<&'e Export<'a>>> {
    if let Some(missing) = KEPT.iter().find(|name| exports.iter().all(|export| export.name != **name)) {
        bail!("the module does not export {missing}");
    }
    let mut kept = Vec::new();
    for export in exports {
        if KEPT.contains(&export.name) {
            kept.push(export);
        } else if DROPPED.iter().all(|(name, _)| *name != export.name) {
            bail!("the module exports {}, and nobody has said whether the filter uses it", export.name);
        }
    }
    Ok(kept)
}

fn section(exports: &[&Export<'_>]) -> Vec<u8> {
    let mut content = Vec::new();
    push_number(&mut content, exports.len());
    for export in exports {
        content.extend_from_slice(export.encoded);
    }
    content
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

/// Writes a number in LEB128.
fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn all_names() -> Vec<&'static str> {
        let mut names: Vec<_> = DROPPED.iter().map(|(name, _)| *name).collect();
        names.splice(1..1, KEPT);
        names
    }

    #[test]
    fn only_the_listed_exports_go() {
        let names = all_names();
        let slim = slim(&module(&names)).unwrap();
        assert_eq!((slim.exports_before, slim.exports_after), (29, 17));
        let (custom, rest) = slim.module[8..].split_at(5);
        assert_eq!(custom, [0, 3, 1, b'x', 9]);
        assert_eq!(rest[0], EXPORT_SECTION);
        let mut reader = Reader { bytes: &rest[1..] };
        let length = reader.number().unwrap();
        let found = exports(reader.take(length).unwrap()).unwrap();
        for export in &found {
            let index = names.iter().position(|name| *name == export.name).unwrap();
            let mut tail = vec![if export.name == "memory" { 2 } else { 0 }];
            push_number(&mut tail, index + 200);
            assert!(export.encoded.ends_with(&tail), "{} points elsewhere", export.name);
        }
        assert_eq!(found.len(), 17);
        assert_eq!(reader.bytes, [10, 4, 1, 2, 0, 11]);
    }

    #[test]
    fn slimming_again_changes_nothing() {
        let once = slim(&module(&all_names())).unwrap();
        let twice = slim(&once.module).unwrap();
        assert_eq!(once.module, twice.module);
        assert_eq!(twice.exports_before, 17);
    }

    #[test]
    fn an_unknown_export_needs_a_decision() {
        let mut names = all_names();
        names.push("proxy_on_comet");
        assert!(slim(&module(&names)).unwrap_err().to_string().contains("proxy_on_comet"));
    }

    #[test]
    fn a_missing_callback_is_an_error() {
        let names: Vec<_> = all_names().into_iter().filter(|name| *name != "proxy_on_log").collect();
        assert!(slim(&module(&names)).unwrap_err().to_string().contains("proxy_on_log"));
    }

    #[test]
    fn truncated_modules_are_errors() {
        let whole = module(&all_names());
        let boundaries = [8, 13, whole.len() - 6, whole.len()];
        for length in (0..whole.len()).filter(|length| !boundaries.contains(length)) {
            assert!(slim(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(slim(PREAMBLE).is_err());
        assert!(slim(&[PREAMBLE, &[7, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat()).is_err());
    }
}

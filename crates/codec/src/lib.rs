//! The JSON documents that the edge exchanges with the ledger and stores for its other workers.
//!
//! A crate of its own because of how serde works: its code is generated where a document's type meets the format,
//! and the module compiles this crate for size and the edge, which requests run through, for speed. So what is
//! generic may not leave this crate: [`Read`] and [`Write`] are implemented for concrete types alone.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod lean;

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tariff::{EdgeCatalog, Policy};
use wire::{Event, KeyEntry, Snapshot, SyncRequest, SyncResponse};

use lean::Lean;

/// Something with the position of the ledger's change feed that it was true at, as it stands in shared data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At<T> {
    /// What it names.
    pub name: Rc<str>,
    /// The node generation that learned it; another one's is void, as positions of the feed may be another
    /// ledger's.
    pub node: u64,
    /// The position in the change feed.
    pub cursor: u64,
    /// Until when it is good, in microseconds on the monotonic clock.
    pub fresh_until_us: u64,
    /// What it is; nothing where all that is known is that an older one is void.
    pub value: Option<T>,
}

/// A document that is read as JSON.
pub trait Read: Sized {
    /// The document; nothing where the bytes are not one.
    fn read(json: &[u8]) -> Option<Self>;
}

/// A document that is written as JSON.
pub trait Write {
    /// Writes the document behind what `out` has. All of these are made of strings, integers and lists of such:
    /// they always serialise, and a vector takes any of it.
    fn write(&self, out: &mut Vec<u8>);

    /// The document's bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// Whether these bytes are one JSON value, of whatever kind.
#[must_use]
#[inline(never)]
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// As `serde_json::from_slice`, in less code.
fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let document = T::deserialize(Lean(&mut deserializer)).ok()?;
    deserializer.end().ok()?;
    Some(document)
}

macro_rules! read {
    ($($document:ty),* $(,)?) => {$(
        impl Read for $document {
            #[inline(never)]
            fn read(json: &[u8]) -> Option<Self> {
                read(json)
            }
        }
    )*};
}

macro_rules! write {
    ($($document:ty),* $(,)?) => {$(
        impl Write for $document {
            #[inline(never)]
            fn write(&self, out: &mut Vec<u8>) {
                let _ = serde_json::to_writer(out, self);
            }
        }
    )*};
}

read!(SyncResponse, EdgeCatalog, Event, Vec<At<KeyEntry>>, Vec<At<Snapshot>>);
write!(SyncRequest, Event, Policy, Vec<At<KeyEntry>>, Vec<At<Snapshot>>);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wire::{Digest, EventBody, VerdictKind};

    use super::*;

    fn read_value<T: Read>(value: &Value) -> Option<T> {
        T::read(value.to_string().as_bytes())
    }

    fn settlement() -> Value {
        let settle = json!({"request": "r", "account": "a", "key": "k", "term": 3, "model": "m",
            "operation": "chat", "outcome": "lost", "usage": {"input_tokens": 5}, "lease": 9,
            "takes": [{"bucket": "credits", "held": 10, "used": 4}], "at": 1});
        json!({"seq": 7, "body": {"settle": settle}})
    }

    #[test]
    fn documents_are_read_as_serde_json_reads_them() {
        let event = settlement();
        let own: Event = read_value(&event).expect("an event");
        assert_eq!(own, serde_json::from_value(event).expect("an event"));
        assert_eq!(Event::read(&own.bytes()), Some(own.clone()));
        assert!(matches!(own.body, EventBody::Settle(settle) if settle.takes.len() == 1));
        let verdict = json!({"account": "a", "request": "r", "version": 2, "kind": {"wait": 250}});
        let answer = json!({"v": 1, "generation": "g\n", "node_open": true, "unknown": ["0".repeat(64)],
            "verdicts": [verdict], "changes": [{"account": {"account": "a", "version": 2}}], "cursor": 4,
            "catalog": 1, "unheard_of": [{"x": [1, null, 2.5]}]});
        let own: SyncResponse = read_value(&answer).expect("an answer");
        assert_eq!(own, serde_json::from_value(answer).expect("an answer"));
        assert_eq!(own.unknown, [Digest([0; 32])]);
        assert_eq!(own.verdicts.first().map(|verdict| &verdict.kind), Some(&VerdictKind::Wait(250)));
    }

    #[test]
    fn structs_are_objects_and_nothing_else() {
        let at = json!([{"name": "n", "node": 1, "cursor": 2, "fresh_until_us": 3, "value": null}]);
        assert!(read_value::<Vec<At<KeyEntry>>>(&at).is_some());
        let list = json!([["n", 1, 2, 3, null]]);
        assert!(serde_json::from_value::<Vec<At<KeyEntry>>>(list.clone()).is_ok());
        assert_eq!(read_value::<Vec<At<KeyEntry>>>(&list), None);
        for wrong in ["", "{", "[]]", "[] x", "null", "{\"v\":1}", "\"\\ud800\""] {
            assert_eq!(SyncResponse::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

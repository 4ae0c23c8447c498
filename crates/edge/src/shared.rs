//! The host's shared data as the edge uses it, and the keys that it uses there.
//!
//! Keys can never be deleted while the process lives, so every key here comes from a fixed set.

pub mod directory;
pub mod node;
pub mod open;
pub mod tables;

/// Process-wide storage with compare-and-swap, and the clock-free rest of what the core asks of its host.
pub trait SharedData {
    /// The value and its version; `(None, Some(_))` is an emptied key.
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>);
    /// Stores a value: always (`None`), or only if the version is still the given one.
    ///
    /// # Errors
    /// [`Stale`] when somebody else was faster; nothing was stored.
    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale>;
}

/// A compare-and-swap lost its race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// The version that makes [`SharedData::set`] an insert-if-absent: the host ignores a version on a missing
/// key and never hands this one out.
pub const ABSENT: u32 = u32::MAX;

/// Version of the layout of everything stored under the keys below; part of each key. Raised with every change of
/// what a value's bytes mean: VMs of two versions of the module run beside each other in one process.
pub const LAYOUT: u32 = 2;

/// Names of the keys, under the configured prefix.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys under `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: format!("{prefix}/{LAYOUT}") }
    }

    /// The node's identity.
    #[must_use]
    pub fn node(&self) -> String {
        format!("{}/node", self.prefix)
    }

    /// The sizes of the tables.
    #[must_use]
    pub fn tables(&self) -> String {
        format!("{}/tables", self.prefix)
    }

    /// The catalog last fetched.
    #[must_use]
    pub fn catalog(&self) -> String {
        format!("{}/catalog", self.prefix)
    }

    /// A worker's slot.
    #[must_use]
    pub fn slot(&self, slot: u32) -> String {
        format!("{}/slot/{slot}", self.prefix)
    }

    /// One place of a lane's ring.
    #[must_use]
    pub fn ring(&self, slot: u32, place: u64) -> String {
        self.numbered("ring", u64::from(slot), Some(place))
    }

    /// One place of a lane's table of open requests.
    #[must_use]
    pub fn open(&self, slot: u32, place: usize) -> String {
        self.numbered("open", u64::from(slot), u64::try_from(place).ok())
    }

    /// One value of account records.
    #[must_use]
    pub fn shard(&self, shard: u64) -> String {
        self.numbered("acct", shard, None)
    }

    /// One value of keys.
    #[must_use]
    pub fn key_shard(&self, shard: u64) -> String {
        self.numbered("key", shard, None)
    }

    /// One value of snapshots.
    #[must_use]
    pub fn snapshot_shard(&self, shard: u64) -> String {
        self.numbered("snap", shard, None)
    }

    /// When the node last heard from the ledger, and since when that has counted rates.
    #[must_use]
    pub fn live(&self) -> String {
        format!("{}/live", self.prefix)
    }

    fn numbered(&self, kind: &str, first: u64, second: Option<u64>) -> String {
        let mut key = String::with_capacity(self.prefix.len().saturating_add(48));
        key.push_str(&self.prefix);
        key.push('/');
        key.push_str(kind);
        let mut digits = itoa::Buffer::new();
        for number in std::iter::once(first).chain(second) {
            key.push('/');
            key.push_str(digits.format(number));
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{HEADER_BYTES, PLACE_HEAD_BYTES};
    use crate::record::RECORD_BYTES;

    #[test]
    fn a_layout_of_other_sizes_has_another_number() {
        let sizes = (LAYOUT, RECORD_BYTES, HEADER_BYTES, PLACE_HEAD_BYTES);
        assert_eq!(sizes, (2, 920, 69, 21), "raise the layout with whatever is stored");
    }
}

//! How large the tables of a worker and of its process are: from the configuration, agreed once a process.
//!
//! Places in shared data are found by a remainder of the number of values, so that all workers of a process must
//! reckon with the same number, whichever configuration they began with: the first one stands until the process
//! ends.

use crate::limits::{ACCOUNTS_MAX, ENTRIES_PER_SHARD, KEYS_MAX, RECORDS_PER_SHARD};
use crate::shared::{ABSENT, Keys, SharedData};

/// Sizes of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// API keys that a worker remembers, and that its process does.
    pub keys: usize,
    /// Accounts whose snapshot a worker remembers, and its process.
    pub accounts: usize,
}

impl Default for Tables {
    fn default() -> Self {
        Self { keys: KEYS_MAX, accounts: ACCOUNTS_MAX }
    }
}

impl Tables {
    /// The sizes that this process goes by: those that stand in its shared data, else these.
    #[must_use]
    pub fn agreed(self, shared: &dyn SharedData, prefix: &str) -> Self {
        let key = Keys::new(prefix).tables();
        if shared.set(&key, &self.encode(), Some(ABSENT)).is_ok() {
            return self;
        }
        shared.get(&key).0.as_deref().and_then(Self::decode).unwrap_or(self)
    }

    /// Values of account records: places for 2.5 times as many accounts, so that seldom more than
    /// [`RECORDS_PER_SHARD`] busy ones meet in one value.
    #[must_use]
    pub fn record_shards(self) -> u64 {
        values(self.accounts.saturating_mul(5).div_ceil(2), RECORDS_PER_SHARD)
    }

    /// Values of keys.
    #[must_use]
    pub fn key_shards(self) -> u64 {
        values(self.keys, ENTRIES_PER_SHARD)
    }

    /// Values of snapshots.
    #[must_use]
    pub fn snapshot_shards(self) -> u64 {
        values(self.accounts, ENTRIES_PER_SHARD)
    }

    fn encode(self) -> Vec<u8> {
        let word = |n: usize| u64::try_from(n).unwrap_or(u64::MAX).to_le_bytes();
        [word(self.keys), word(self.accounts)].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (keys, accounts) = bytes.split_first_chunk::<8>()?;
        let number = |bytes: [u8; 8]| usize::try_from(u64::from_le_bytes(bytes)).ok();
        Some(Self { keys: number(*keys)?, accounts: number(accounts.try_into().ok()?)? })
    }
}

fn values(entries: usize, each: usize) -> u64 {
    u64::try_from(entries.div_ceil(each.max(1)).max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn the_first_configuration_of_a_process_decides() {
        let memory = Memory::default();
        let (small, large) = (Tables { keys: 8, accounts: 4 }, Tables::default());
        assert_eq!(small.agreed(&memory, "t"), small);
        assert_eq!(large.agreed(&memory, "t"), small);
        assert_eq!(large.agreed(&memory, "other"), large);
    }

    #[test]
    fn the_numbers_of_values_follow_from_the_sizes() {
        let shards = |tables: Tables| (tables.record_shards(), tables.key_shards(), tables.snapshot_shards());
        assert_eq!(shards(Tables::default()), (4_096, 4_096, 1_024));
        assert_eq!(shards(Tables { keys: 1, accounts: 1 }), (1, 1, 1));
        assert_eq!(shards(Tables { keys: 100, accounts: 100 }), (50, 13, 13));
    }
}

//! Keys and snapshots in shared data: what one worker has learned serves the others, also while the ledger is
//! down and after a VM was swapped.
//!
//! A fixed number of values with a few entries each. Every entry carries the position of the change feed that
//! it was true at; the higher position wins, so that an answer overtaken by a revocation cannot bring a key
//! back: a worker that reads a change leaves a marker of its position in the entry's place.

use codec::{At, Read, Write};
use wire::id::tag;
use wire::{Digest, KeyEntry, Snapshot};

use crate::limits::{ENTRIES_PER_SHARD, SHARD_BYTES_MAX, SWAP_TRIES};
use crate::shared::tables::Tables;
use crate::shared::{ABSENT, Keys, SharedData};

/// Keys and snapshots that all workers of a node share.
#[derive(Clone, Debug)]
pub struct Directory {
    keys: Keys,
    key_shards: u64,
    snapshot_shards: u64,
}

impl Directory {
    /// The directory under these keys, of these sizes.
    #[must_use]
    pub fn new(keys: Keys, tables: Tables) -> Self {
        Self { keys, key_shards: tables.key_shards(), snapshot_shards: tables.snapshot_shards() }
    }

    /// A key, with the feed position it was true at.
    #[must_use]
    pub fn key(&self, shared: &dyn SharedData, node: u64, digest: &Digest) -> Option<(KeyEntry, u64)> {
        let found: At<KeyEntry> = self.load(shared, &self.key_place(digest), node, &digest.to_string())?;
        Some((found.value?, found.cursor))
    }

    /// Stores what the ledger said of a key at a feed position.
    pub fn store_key(&self, shared: &dyn SharedData, node: u64, entry: &KeyEntry, cursor: u64) {
        let name = entry.digest.to_string().into();
        let at = At { name, node, cursor, fresh_until_us: 0, value: Some(entry.clone()) };
        self.store(shared, &self.key_place(&entry.digest), at, |old, new| old.cursor > new.cursor);
    }

    /// Notes that a key changed at a feed position: what was said of it before is void, what was true at that
    /// position already has the change in it.
    pub fn void_key(&self, shared: &dyn SharedData, node: u64, digest: &Digest, cursor: u64) {
        let name = digest.to_string().into();
        let at = At::<KeyEntry> { name, node, cursor, fresh_until_us: 0, value: None };
        self.store(shared, &self.key_place(digest), at, |old, new| old.cursor >= new.cursor);
    }

    /// Notes that a key was unknown at a feed position, where it stands here; unknown keys leave no trace.
    pub fn void_known_key(&self, shared: &dyn SharedData, node: u64, digest: &Digest, cursor: u64) {
        if self.key(shared, node, digest).is_some() {
            self.void_key(shared, node, digest, cursor.saturating_add(1));
        }
    }

    /// A snapshot, with its feed position and how long it is good.
    #[must_use]
    pub fn snapshot(&self, shared: &dyn SharedData, node: u64, account: &str) -> Option<At<Snapshot>> {
        self.load(shared, &self.snapshot_place(account), node, account)
    }

    /// Stores a snapshot; a lower version never replaces a higher one (I11).
    pub fn store_snapshot(
        &self,
        shared: &dyn SharedData,
        node: u64,
        snapshot: &Snapshot,
        cursor: u64,
        now_us: u64,
    ) {
        let fresh_until_us = now_us.saturating_add(snapshot.valid_for_ms.saturating_mul(1_000));
        let name = snapshot.account.as_str().into();
        let at = At { name, node, cursor, fresh_until_us, value: Some(snapshot.clone()) };
        let version = |at: &At<Snapshot>| at.value.as_ref().map_or(0, |snapshot| snapshot.version);
        self.store(shared, &self.snapshot_place(&snapshot.account), at, |old, new| {
            version(old) > version(new)
        });
    }

    fn load<T>(&self, shared: &dyn SharedData, place: &str, node: u64, name: &str) -> Option<At<T>>
    where
        Vec<At<T>>: Read,
    {
        let entries = Vec::<At<T>>::read(&shared.get(place).0?)?;
        entries.into_iter().find(|entry| entry.node == node && *entry.name == *name)
    }

    fn store<T>(
        &self,
        shared: &dyn SharedData,
        place: &str,
        entry: At<T>,
        keeps: impl Fn(&At<T>, &At<T>) -> bool,
    ) where
        Vec<At<T>>: Read + Write,
    {
        let mut entry = Some(entry);
        for _ in 0..SWAP_TRIES {
            let (value, version) = shared.get(place);
            let mut entries = value.and_then(|value| Vec::<At<T>>::read(&value)).unwrap_or_default();
            let Some(own) = entry.take() else {
                return;
            };
            entries.retain(|old| old.node >= own.node);
            if entries.iter().any(|old| old.name == own.name && (old.node > own.node || keeps(old, &own))) {
                return;
            }
            entries.retain(|old| old.name != own.name);
            if entries.len() >= ENTRIES_PER_SHARD {
                drop_oldest(&mut entries);
            }
            entries.push(own);
            let mut stored = entries.bytes();
            while stored.len() > SHARD_BYTES_MAX {
                let Some(own) = entries.pop() else {
                    return;
                };
                // One that is too long alone is not kept for others.
                if !drop_oldest(&mut entries) {
                    return;
                }
                entries.push(own);
                stored = entries.bytes();
            }
            if shared.set(place, &stored, Some(version.unwrap_or(ABSENT))).is_ok() {
                return;
            }
            entry = entries.pop();
        }
    }

    fn key_place(&self, digest: &Digest) -> String {
        let (first, _) = digest.0.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        self.keys.key_shard(u64::from_le_bytes(*first).checked_rem(self.key_shards).unwrap_or_default())
    }

    fn snapshot_place(&self, account: &str) -> String {
        self.keys.snapshot_shard(tag(account).checked_rem(self.snapshot_shards).unwrap_or_default())
    }
}

/// Drops the entry that was true at the lowest feed position; false where there is none.
fn drop_oldest<T>(entries: &mut Vec<At<T>>) -> bool {
    let oldest = entries.iter().enumerate().min_by_key(|(_, old)| old.cursor).map(|(at, _)| at);
    oldest.map(|at| entries.swap_remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    fn entry(byte: u8) -> KeyEntry {
        let (account, key_id, auth_class) = ("a".into(), "k".into(), "api".into());
        KeyEntry { digest: Digest([byte; 32]), account, key_id, auth_class, models: None, expires_at: None }
    }

    fn setup() -> (Memory, Directory) {
        (Memory::default(), Directory::new(Keys::new("t"), Tables::default()))
    }

    #[test]
    fn what_one_worker_learned_serves_another() {
        let (memory, directory) = setup();
        directory.store_key(&memory, 1, &entry(1), 7);
        assert_eq!(directory.key(&memory, 1, &Digest([1; 32])), Some((entry(1), 7)));
        assert_eq!(directory.key(&memory, 1, &Digest([2; 32])), None);
    }

    #[test]
    fn an_answer_that_a_revocation_overtook_cannot_bring_the_key_back() {
        let (memory, directory) = setup();
        directory.store_key(&memory, 1, &entry(1), 7);
        directory.void_key(&memory, 1, &Digest([1; 32]), 9);
        assert_eq!(directory.key(&memory, 1, &Digest([1; 32])), None);
        directory.store_key(&memory, 1, &entry(1), 8);
        assert_eq!(
            directory.key(&memory, 1, &Digest([1; 32])),
            None,
            "it was true at 8, before the change at 9"
        );
        directory.store_key(&memory, 1, &entry(1), 9);
        assert!(directory.key(&memory, 1, &Digest([1; 32])).is_some());
    }

    #[test]
    fn what_an_older_node_learned_is_void() {
        let (memory, directory) = setup();
        directory.store_key(&memory, 1, &entry(1), 7);
        assert_eq!(directory.key(&memory, 2, &Digest([1; 32])), None);
        directory.store_key(&memory, 2, &entry(1), 3);
        assert_eq!(directory.key(&memory, 2, &Digest([1; 32])), Some((entry(1), 3)));
        directory.store_key(&memory, 1, &entry(1), 9);
        assert_eq!(
            directory.key(&memory, 2, &Digest([1; 32])),
            Some((entry(1), 3)),
            "a worker that is behind"
        );
    }

    #[test]
    fn memory_is_bounded_by_the_shards_not_by_the_keys_seen() {
        let (memory, directory) = setup();
        for n in 0..(ENTRIES_PER_SHARD as u64 + 8) {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(n * Tables::default().key_shards()).to_le_bytes());
            directory.store_key(&memory, 1, &KeyEntry { digest: Digest(digest), ..entry(0) }, n);
        }
        assert_eq!(memory.keys(), 1);
        let stored: Vec<At<KeyEntry>> =
            serde_json::from_slice(&memory.get(&directory.key_place(&Digest([0; 32]))).0.expect("value"))
                .expect("JSON");
        assert_eq!(stored.len(), ENTRIES_PER_SHARD);
    }

    #[test]
    fn a_value_stays_short_whatever_its_entries_are() {
        let (memory, directory) = setup();
        let place = directory.key_place(&Digest([0; 32]));
        let with = |n: u8, models: usize| {
            let mut digest = [0; 32];
            digest[31] = n;
            KeyEntry { digest: Digest(digest), models: Some(vec!["m".repeat(64); models].into()), ..entry(0) }
        };
        let length = || memory.get(&place).0.map_or(0, |value| value.len());
        for n in 1..=8 {
            directory.store_key(&memory, 1, &with(n, 50), n.into());
            assert!(length() <= SHARD_BYTES_MAX, "{n}: {}", length());
        }
        assert_eq!(directory.key(&memory, 1, &with(8, 50).digest), Some((with(8, 50), 8)));
        assert_eq!(directory.key(&memory, 1, &with(1, 50).digest), None, "the oldest made room");
        directory.store_key(&memory, 1, &with(9, 500), 9);
        assert_eq!(directory.key(&memory, 1, &with(9, 500).digest), None, "too long for any value");
        assert_eq!(directory.key(&memory, 1, &with(8, 50).digest), Some((with(8, 50), 8)));
    }

    #[test]
    fn i11_a_lower_version_never_replaces_a_higher_one() {
        let (memory, directory) = setup();
        let snapshot = |version| Snapshot {
            account: "a".to_owned(),
            version,
            term: 1,
            catalog: 1,
            valid_for_ms: 5,
            starts_in_ms: 0,
            status: wire::AccountStatus::Active,
            policy: tariff::Policy::default(),
            deny: Vec::new(),
        };
        directory.store_snapshot(&memory, 1, &snapshot(3), 1, 10);
        directory.store_snapshot(&memory, 1, &snapshot(2), 2, 20);
        let found = directory.snapshot(&memory, 1, "a").expect("snapshot");
        assert_eq!((found.value.map(|s| s.version), found.fresh_until_us), (Some(3), 5_010));
    }
}

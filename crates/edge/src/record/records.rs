//! Account records in shared data: a fixed number of values of a few records each, changed under
//! compare-and-swap.
//!
//! Memory is bounded by configuration, never by the accounts seen: keys in shared data can not be freed, so an
//! account that finds its value full takes the place of a record at rest, or is refused as overloaded.

use wire::id::tag;

use crate::limits::{RECORDS_PER_SHARD, SWAP_TRIES};
use crate::record::{RECORD_BYTES, Record, is_of};
use crate::shared::{ABSENT, Keys, SharedData};

/// What to do with a record that was looked at.
pub enum Fate {
    /// Store it as it is now.
    Store,
    /// Leave it as it was.
    Leave,
}

/// Why a record could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// There is none.
    Missing,
    /// No place and nothing that may make room.
    Full,
    /// Others were faster too many times.
    Contended,
}

/// The records of one node generation.
#[derive(Clone, Debug)]
pub struct Records {
    keys: Keys,
    shards: u64,
}

/// What a change did.
#[derive(Debug)]
pub struct Changed<R> {
    /// What the closure said.
    pub result: R,
    /// A record that made room; its leases end here.
    pub evicted: Option<Record>,
}

impl Records {
    /// The records under these keys, in so many values.
    #[must_use]
    pub fn new(keys: Keys, shards: u64) -> Self {
        Self { keys, shards }
    }

    /// The record of an account, if there is one of this node generation.
    pub fn read(&self, shared: &dyn SharedData, account: &str, node: u64) -> Option<Record> {
        let (value, _) = shared.get(&self.place(account));
        let value = value?;
        value.chunks_exact(RECORD_BYTES).find(|bytes| is_of(bytes, account, node)).and_then(Record::decode)
    }

    /// Changes the record of an account, if there is one.
    ///
    /// # Errors
    /// [`RecordError::Missing`] or, after `tries`, [`RecordError::Contended`].
    pub fn change<R>(
        &self,
        shared: &dyn SharedData,
        account: &str,
        node: u64,
        tries: usize,
        mut change: impl FnMut(&mut Record) -> (R, Fate),
    ) -> Result<R, RecordError> {
        let key = self.place(account);
        for _ in 0..tries {
            let (value, version) = shared.get(&key);
            let mut value = value.unwrap_or_default();
            let place = value.chunks_exact(RECORD_BYTES).position(|bytes| is_of(bytes, account, node));
            let place = place.ok_or(RecordError::Missing)?;
            let bytes = slice_of(&mut value, place).ok_or(RecordError::Missing)?;
            let mut record = Record::decode(bytes).ok_or(RecordError::Missing)?;
            let (result, fate) = change(&mut record);
            if matches!(fate, Fate::Leave) {
                return Ok(result);
            }
            record.encode_over(bytes);
            if shared.set(&key, &value, version).is_ok() {
                return Ok(result);
            }
        }
        Err(RecordError::Contended)
    }

    /// Changes the record of an account, making it first where there is none.
    ///
    /// # Errors
    /// [`RecordError::Full`] or [`RecordError::Contended`].
    pub fn change_or_create<R>(
        &self,
        shared: &dyn SharedData,
        account: &str,
        node: u64,
        now_us: u64,
        mut change: impl FnMut(&mut Record) -> R,
    ) -> Result<Changed<R>, RecordError> {
        let key = self.place(account);
        for _ in 0..SWAP_TRIES {
            let (value, version) = shared.get(&key);
            let mut value = value.unwrap_or_default();
            let mut evicted = None;
            let place = match value.chunks_exact(RECORD_BYTES).position(|bytes| is_of(bytes, account, node)) {
                Some(place) => place,
                None => {
                    let (place, old) = place_for(&value, node, now_us).ok_or(RecordError::Full)?;
                    evicted = old;
                    let bytes = Record::new(account, node, now_us).encode();
                    put(&mut value, place, &bytes);
                    place
                }
            };
            let bytes = slice_of(&mut value, place).ok_or(RecordError::Full)?;
            let mut record = Record::decode(bytes).ok_or(RecordError::Full)?;
            let result = change(&mut record);
            record.encode_over(bytes);
            if shared.set(&key, &value, Some(version.unwrap_or(ABSENT))).is_ok() {
                return Ok(Changed { result, evicted });
            }
        }
        Err(RecordError::Contended)
    }

    fn place(&self, account: &str) -> String {
        self.keys.shard(tag(account).checked_rem(self.shards).unwrap_or_default())
    }
}

/// A free place, or the record that was at rest for longest, which is evicted.
fn place_for(value: &[u8], node: u64, now_us: u64) -> Option<(usize, Option<Record>)> {
    let records: Vec<_> = value.chunks_exact(RECORD_BYTES).map(Record::decode).collect();
    // A record of a later node is none of a worker that has not heard of the node's end yet.
    let void = |record: &Option<Record>| record.as_ref().is_none_or(|record| record.node < node);
    if let Some(place) = records.iter().position(void) {
        return Some((place, None));
    }
    if records.len() < RECORDS_PER_SHARD {
        return Some((records.len(), None));
    }
    let candidates = records.into_iter().enumerate().filter_map(|(place, record)| Some((place, record?)));
    let evictable = candidates.filter(|(_, record)| record.node == node && record.evictable(now_us));
    evictable.min_by_key(|(_, record)| record.touched_us).map(|(place, record)| (place, Some(record)))
}

fn put(value: &mut Vec<u8>, place: usize, bytes: &[u8]) {
    match slice_of(value, place) {
        Some(old) => old.copy_from_slice(bytes),
        None => value.extend_from_slice(bytes),
    }
}

fn slice_of(value: &mut [u8], place: usize) -> Option<&mut [u8]> {
    value.chunks_exact_mut(RECORD_BYTES).nth(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Need;
    use crate::testing::Memory;

    const SHARDS: u64 = 4_096;

    fn records() -> Records {
        Records::new(Keys::new("t"), SHARDS)
    }

    /// Names that fall into one shard.
    fn crowd(n: usize) -> Vec<String> {
        let names = (0..).map(|i| format!("acct_{i}"));
        names.filter(|name| records().place(name) == records().place("acct_0")).take(n).collect()
    }

    #[test]
    fn a_full_shard_evicts_the_record_longest_at_rest() {
        let (memory, records) = (Memory::default(), records());
        let names = crowd(RECORDS_PER_SHARD + 1);
        for (n, name) in names.iter().enumerate().take(RECORDS_PER_SHARD) {
            let changed = records.change_or_create(&memory, name, 1, 1_000 + n as u64, |_| ()).expect("room");
            assert!(changed.evicted.is_none());
        }
        let last = names.last().expect("name");
        let changed = records.change_or_create(&memory, last, 1, 9_000, |_| ()).expect("room");
        assert_eq!(changed.evicted.map(|record| record.account), names.first().cloned());
        assert!(records.read(&memory, last, 1).is_some());
        assert!(records.read(&memory, names.first().expect("name"), 1).is_none());
    }

    #[test]
    fn a_record_that_holds_is_never_evicted() {
        let (memory, records) = (Memory::default(), records());
        let names = crowd(RECORDS_PER_SHARD + 1);
        for name in names.iter().take(RECORDS_PER_SHARD) {
            records
                .change_or_create(&memory, name, 1, 1_000, |record| {
                    record.hold(&[Need { tag: 3, amount: 1, unlimited: false }], 1_000)
                })
                .expect("room");
        }
        let refused = records.change_or_create(&memory, names.last().expect("name"), 1, 9_000, |_| ());
        assert_eq!(refused.map(|_| ()), Err(RecordError::Full));
    }

    #[test]
    fn records_of_an_older_node_generation_are_void() {
        let (memory, records) = (Memory::default(), records());
        records.change_or_create(&memory, "a", 1, 1_000, |record| record.open = 1).expect("room");
        assert!(records.read(&memory, "a", 2).is_none());
        let open =
            records.change_or_create(&memory, "a", 2, 2_000, |record| record.open).expect("room").result;
        assert_eq!(open, 0);
    }

    #[test]
    fn a_worker_that_is_behind_does_not_void_the_next_node_s_records() {
        let (memory, records) = (Memory::default(), records());
        records.change_or_create(&memory, "a", 2, 1_000, |record| record.open = 1).expect("room");
        records.change_or_create(&memory, "a", 1, 2_000, |_| ()).expect("room");
        assert_eq!(records.read(&memory, "a", 2).map(|record| record.open), Some(1));
    }

    #[test]
    fn a_lost_race_is_tried_again() {
        let (memory, records) = (Memory::default(), records());
        records.change_or_create(&memory, "a", 1, 1_000, |_| ()).expect("room");
        let mut first = true;
        let tries = records.change(&memory, "a", 1, 8, |record| {
            if std::mem::take(&mut first) {
                let other = records.change(&memory, "a", 1, 8, |other| {
                    other.open += 1;
                    ((), Fate::Store)
                });
                assert_eq!(other, Ok(()));
            }
            record.open += 1;
            (record.open, Fate::Store)
        });
        assert_eq!(tries, Ok(2));
    }
}

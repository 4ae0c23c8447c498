//! Shared data of a simulated process: the rules of the host's, watched, and contended when somebody asks for it.

use std::cell::{Cell, RefCell};

use edge::shared::{SharedData, Stale};
use edge::testing::Memory;

use crate::random::Random;

/// Keys and values in the order of their storing.
type Stored = Vec<(String, Vec<u8>)>;

/// Shared data.
#[derive(Debug, Default)]
pub struct Shared {
    memory: Memory,
    /// What was stored in rings and records since it was last asked for, where that is watched.
    watched: RefCell<Option<Stored>>,
    /// Draws whether a compare-and-swap finds that another VM was faster.
    contention: Cell<Option<(Random, u64)>>,
}

impl Shared {
    /// Notes what is stored in rings and records from here on.
    pub fn watch(&self) {
        self.watched.borrow_mut().get_or_insert_default();
    }

    /// What was stored since, in order: keys and values.
    pub fn take_watched(&self) -> Stored {
        self.watched.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Lets so many of a thousand compare-and-swaps on records lose their race, as though another VM had stored
    /// the same value in between.
    pub fn contend(&self, random: Random, per_mille: u64) {
        self.contention.set(Some((random, per_mille)));
    }

    /// Lets the caller trap in place of the call of shared data after so many; nothing = never.
    pub fn burn(&self, calls: Option<usize>) {
        self.memory.fuse.set(calls);
    }

    /// The values of the keys that begin so.
    pub fn values(&self, prefix: &str) -> Vec<Vec<u8>> {
        self.memory.values(prefix)
    }

    /// The keys that begin so, with their values.
    pub fn entries(&self, prefix: &str) -> Stored {
        self.memory.entries(prefix)
    }

    /// Empties the keys that begin so, unwatched.
    pub fn erase(&self, prefix: &str) {
        for (key, _) in self.entries(prefix) {
            let _ = self.memory.set(&key, &[], None);
        }
    }

    /// The number of keys ever set.
    pub fn keys(&self) -> usize {
        self.memory.keys()
    }

    fn loses_race(&self, key: &str) -> bool {
        let Some((mut random, per_mille)) = self.contention.get().filter(|_| key.contains("/acct/")) else {
            return false;
        };
        let loses = random.happens(per_mille);
        self.contention.set(Some((random, per_mille)));
        loses
    }
}

impl SharedData for Shared {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.memory.get(key)
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        if version.is_some() && self.loses_race(key) {
            return Err(Stale);
        }
        self.memory.set(key, value, version)?;
        if let Some(watched) = &mut *self.watched.borrow_mut()
            && (key.contains("/ring/") || key.contains("/acct/"))
        {
            watched.push((key.to_owned(), value.to_vec()));
        }
        Ok(())
    }
}

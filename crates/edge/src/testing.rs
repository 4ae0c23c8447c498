//! A stand-in for the host's shared data, with its rules for versions.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::shared::{ABSENT, SharedData, Stale};

/// Shared data in memory.
#[derive(Debug, Default)]
pub struct Memory {
    values: RefCell<(u32, Values)>,
    /// Calls after which the caller traps, as a VM does: it unwinds with [`Trap`] instead of making the next one.
    pub fuse: Cell<Option<usize>>,
}

/// What a caller unwinds with whose fuse has burnt down.
#[derive(Clone, Copy, Debug)]
pub struct Trap;

/// Values and their versions, by key.
type Values = BTreeMap<String, (Vec<u8>, u32)>;

impl SharedData for Memory {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.burn();
        self.values
            .borrow()
            .1
            .get(key)
            .map_or((None, None), |(value, version)| (Some(value.clone()), Some(*version)))
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        self.burn();
        let (counter, values) = &mut *self.values.borrow_mut();
        let current = values.get(key).map(|(_, version)| *version);
        // As the host does: a version on a missing key is ignored; 0 and none mean "always".
        let wanted = version.filter(|version| *version != 0);
        if current.zip(wanted).is_some_and(|(current, wanted)| current != wanted) {
            return Err(Stale);
        }
        *counter = counter.checked_add(1).filter(|next| *next != ABSENT).unwrap_or(1);
        values.insert(key.to_owned(), (value.to_vec(), *counter));
        Ok(())
    }
}

impl Memory {
    fn burn(&self) {
        match self.fuse.get() {
            None => {}
            Some(0) => {
                self.fuse.set(None);
                std::panic::resume_unwind(Box::new(Trap));
            }
            Some(left) => self.fuse.set(left.checked_sub(1)),
        }
    }

    /// The values of the keys that begin so.
    #[must_use]
    pub fn values(&self, prefix: &str) -> Vec<Vec<u8>> {
        let values = self.values.borrow();
        let begins = values.1.iter().filter(|(key, _)| key.starts_with(prefix));
        begins.map(|(_, (value, _))| value.clone()).collect()
    }

    /// The number of keys ever set.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.values.borrow().1.len()
    }
}

//! A map with a fixed capacity: what was not used lately makes room (second chance).

use std::hash::Hash;

use hashbrown::HashMap;

/// A map that holds at most `capacity` entries.
#[derive(Debug)]
pub struct Bounded<K, V> {
    entries: HashMap<K, Slot<V>>,
    /// The keys in the order of the clock's hand.
    order: std::collections::VecDeque<K>,
    capacity: usize,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    used: bool,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    /// An empty map for at most `capacity` entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: std::collections::VecDeque::new(), capacity }
    }

    /// The entry, marked as used.
    pub fn fetch<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        Q: Hash + Eq + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        let slot = self.entries.get_mut(key)?;
        slot.used = true;
        Some(&mut slot.value)
    }

    /// Stores an entry; where the map is full, one that was not used lately is dropped.
    pub fn insert(&mut self, key: K, value: V) {
        if let Some(slot) = self.entries.get_mut(&key) {
            slot.value = value;
            return;
        }
        while self.entries.len() >= self.capacity {
            self.drop_one();
        }
        self.order.push_back(key.clone());
        self.entries.insert(key, Slot { value, used: false });
    }

    /// Drops an entry.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: Hash + Eq + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        let slot = self.entries.remove(key)?;
        self.order.retain(|other| other.borrow() != key);
        Some(slot.value)
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, in the clock's order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, slot)| (key, &mut slot.value))
    }

    fn drop_one(&mut self) {
        while let Some(key) = self.order.pop_front() {
            match self.entries.get_mut(&key) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.order.push_back(key);
                }
                Some(_) => {
                    self.entries.remove(&key);
                    return;
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn a_full_map_drops_what_was_not_used() {
        let mut map = Bounded::new(3);
        for n in 0..3 {
            map.insert(n, n);
        }
        assert_eq!(map.fetch(&0), Some(&mut 0));
        map.insert(3, 3);
        assert_eq!((map.len(), map.fetch(&0).is_some(), map.fetch(&1).is_some()), (3, true, false));
    }

    #[test]
    fn it_never_grows_beyond_its_capacity() {
        let mut map = Bounded::new(16);
        for n in 0..10_000_u32 {
            map.insert(n, ());
            map.fetch(&(n / 2));
            assert!(map.len() <= 16 && map.order.len() <= 16);
        }
    }
}

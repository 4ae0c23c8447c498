//! A map with a fixed capacity: what was not used lately makes room (second chance).

use std::hash::Hash;

use hashbrown::HashMap;

/// A map that holds at most `capacity` entries.
#[derive(Debug)]
pub struct Bounded<K, V> {
    entries: HashMap<K, Slot<V>>,
    /// The keys in the order of the clock's hand, each with the turn at which it was stored; one that is not its
    /// entry's belongs to an entry that was dropped.
    order: std::collections::VecDeque<(K, u64)>,
    turns: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    used: bool,
    turn: u64,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    /// An empty map for at most `capacity` entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: std::collections::VecDeque::new(), turns: 0, capacity }
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
        if self.order.len() >= self.capacity.saturating_mul(2) {
            let entries = &self.entries;
            self.order.retain(|(key, turn)| entries.get(key).is_some_and(|slot| slot.turn == *turn));
        }
        self.turns = self.turns.saturating_add(1);
        self.order.push_back((key.clone(), self.turns));
        self.entries.insert(key, Slot { value, used: false, turn: self.turns });
    }

    /// Drops an entry.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: Hash + Eq + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        self.entries.remove(key).map(|slot| slot.value)
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
        while let Some((key, turn)) = self.order.pop_front() {
            match self.entries.get_mut(&key).filter(|slot| slot.turn == turn) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.order.push_back((key, turn));
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

    #[test]
    fn what_was_dropped_and_stored_again_is_one_entry() {
        let mut map = Bounded::new(4);
        for n in 0..1_000_u32 {
            map.insert(n % 3, n);
            assert_eq!(map.remove(&(n % 3)), Some(n));
            map.insert(n % 3, n);
            assert!(map.len() <= 3 && map.order.len() <= 9, "{} {}", map.len(), map.order.len());
        }
        map.insert(7, 7);
        map.insert(8, 8);
        assert_eq!(map.len(), 4, "one of the older ones made room");
        assert!(map.fetch(&7).is_some() && map.fetch(&8).is_some());
    }
}

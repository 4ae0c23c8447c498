//! The node's identity: one Envoy process, 128 random bits put into shared data once, whichever VM is first.

use wire::NodeId;

use crate::shared::{ABSENT, Keys, SharedData};

/// The node as a VM knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id on the wire.
    pub id: NodeId,
    /// Raised whenever the ledger closed the node and it took a new id; records of another one are void.
    pub generation: u64,
}

impl Node {
    /// The node's identity, made from `random` if there is none.
    pub fn claim(shared: &dyn SharedData, keys: &Keys, random: [u8; 16]) -> Self {
        let key = keys.node();
        let own = Self { id: NodeId(random), generation: 1 };
        if shared.set(&key, &own.encode(), Some(ABSENT)).is_ok() {
            return own;
        }
        Self::read(shared, keys).unwrap_or(own)
    }

    /// What stands in shared data.
    pub fn read(shared: &dyn SharedData, keys: &Keys) -> Option<Self> {
        Self::decode(&shared.get(&keys.node()).0?)
    }

    /// Takes a new id after the ledger closed this one; whichever VM is first decides.
    #[must_use]
    pub fn renew(self, shared: &dyn SharedData, keys: &Keys, random: [u8; 16]) -> Self {
        let (value, version) = shared.get(&keys.node());
        let current = value.as_deref().and_then(Self::decode).unwrap_or(self);
        if current != self {
            return current;
        }
        let next = Self { id: NodeId(random), generation: self.generation.saturating_add(1) };
        match shared.set(&keys.node(), &next.encode(), version) {
            Ok(()) => next,
            Err(_) => Self::read(shared, keys).unwrap_or(next),
        }
    }

    fn encode(self) -> Vec<u8> {
        [self.id.0.as_slice(), &self.generation.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, generation) = bytes.split_first_chunk::<16>()?;
        Some(Self { id: NodeId(*id), generation: u64::from_le_bytes(generation.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn the_first_vm_names_the_node_and_all_agree() {
        let (memory, keys) = (Memory::default(), Keys::new("t"));
        let first = Node::claim(&memory, &keys, [1; 16]);
        assert_eq!(Node::claim(&memory, &keys, [2; 16]), first);
        let next = first.renew(&memory, &keys, [3; 16]);
        assert_eq!((next.id, next.generation), (NodeId([3; 16]), 2));
        assert_eq!(first.renew(&memory, &keys, [4; 16]), next, "a late VM takes what the first one chose");
    }
}

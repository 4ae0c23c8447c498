//! The node's identity: one Envoy process, 128 random bits put into shared data once, whichever VM is first.

use wire::NodeId;
use wire::id::tag;

use crate::limits::SWAP_TRIES;
use crate::shared::{ABSENT, Keys, SharedData};

/// The node as a VM knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id on the wire.
    pub id: NodeId,
    /// Raised whenever the node took a new id, as the ledger had closed it or was restored; records of another
    /// one are void.
    pub generation: u64,
    /// Tag of the ledger generation that its leases are of; 0 = the ledger has not answered yet.
    ///
    /// It stands here and not in a VM's memory, as a VM that has just begun uses the leases that it finds.
    pub ledger: u64,
}

/// Why a node takes a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The ledger has closed it.
    Closed,
    /// The ledger is not the one that its leases are of.
    Restored,
}

impl Node {
    /// The node's identity, made from `random` if there is none.
    pub fn claim(shared: &dyn SharedData, keys: &Keys, random: [u8; 16]) -> Self {
        let key = keys.node();
        let own = Self { id: NodeId(random), generation: 1, ledger: 0 };
        if shared.set(&key, &own.encode(""), Some(ABSENT)).is_ok() {
            return own;
        }
        Self::read(shared, keys).unwrap_or(own)
    }

    /// What stands in shared data.
    pub fn read(shared: &dyn SharedData, keys: &Keys) -> Option<Self> {
        Self::decode(&shared.get(&keys.node()).0?)
    }

    /// Takes a new id, with leases of the ledger generation of that tag; whichever VM is first decides.
    #[must_use]
    pub fn renew(
        self,
        shared: &dyn SharedData,
        keys: &Keys,
        (ended, ledger): (Ended, &str),
        random: [u8; 16],
    ) -> Self {
        self.change(shared, keys, ledger, |current| {
            let is_renewed = match ended {
                Ended::Closed => current.id != self.id,
                Ended::Restored => current.ledger == tag(ledger),
            };
            (!is_renewed).then(|| (NodeId(random), current.generation.saturating_add(1)))
        })
    }

    /// Notes the ledger generation of the node's leases, where none is noted.
    #[must_use]
    pub fn note_ledger(self, shared: &dyn SharedData, keys: &Keys, ledger: &str) -> Self {
        self.change(shared, keys, ledger, |current| {
            (current.ledger == 0).then_some((current.id, current.generation))
        })
    }

    /// The ledger generation that the node's leases are of, as it stands in shared data.
    pub fn read_ledger(shared: &dyn SharedData, keys: &Keys) -> Option<String> {
        let value = shared.get(&keys.node()).0?;
        let ledger = value.get(HEAD_BYTES..).filter(|ledger| !ledger.is_empty())?;
        String::from_utf8(ledger.to_vec()).ok()
    }

    /// Puts another id or generation into shared data, where the closure says so; gives what stands there then.
    fn change(
        self,
        shared: &dyn SharedData,
        keys: &Keys,
        ledger: &str,
        next: impl Fn(Self) -> Option<(NodeId, u64)>,
    ) -> Self {
        let mut current = self;
        for _ in 0..SWAP_TRIES {
            let (value, version) = shared.get(&keys.node());
            current = value.as_deref().and_then(Self::decode).unwrap_or(self);
            let Some((id, generation)) = next(current) else {
                return current;
            };
            let next = Self { id, generation, ledger: tag(ledger) };
            if shared.set(&keys.node(), &next.encode(ledger), version).is_ok() {
                return next;
            }
        }
        current
    }

    fn encode(self, ledger: &str) -> Vec<u8> {
        [self.id.0.as_slice(), &self.generation.to_le_bytes(), ledger.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (generation, ledger) = rest.split_first_chunk::<8>()?;
        let ledger = std::str::from_utf8(ledger).ok()?;
        Some(Self {
            id: NodeId(*id),
            generation: u64::from_le_bytes(*generation),
            ledger: if ledger.is_empty() { 0 } else { tag(ledger) },
        })
    }
}

/// Bytes before the ledger's generation: id, generation.
const HEAD_BYTES: usize = 16 + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn the_first_vm_names_the_node_and_all_agree() {
        let (memory, keys) = (Memory::default(), Keys::new("t"));
        let first = Node::claim(&memory, &keys, [1; 16]);
        assert_eq!(Node::claim(&memory, &keys, [2; 16]), first);
        let closed = (Ended::Closed, "one");
        let next = first.renew(&memory, &keys, closed, [3; 16]);
        assert_eq!((next.id, next.generation), (NodeId([3; 16]), 2));
        assert_eq!(
            first.renew(&memory, &keys, closed, [4; 16]),
            next,
            "a late VM takes what the first one chose"
        );
    }

    #[test]
    fn a_vm_that_has_just_begun_knows_which_ledger_the_leases_are_of() {
        let (memory, keys) = (Memory::default(), Keys::new("t"));
        let first = Node::claim(&memory, &keys, [1; 16]);
        assert_eq!(Node::read_ledger(&memory, &keys), None);
        let first = first.note_ledger(&memory, &keys, "one");
        assert_eq!(Node::claim(&memory, &keys, [2; 16]).ledger, tag("one"));
        assert_eq!(Node::read_ledger(&memory, &keys).as_deref(), Some("one"));
        assert_eq!(first.note_ledger(&memory, &keys, "two"), first, "noted once");
        let next = first.renew(&memory, &keys, (Ended::Restored, "two"), [3; 16]);
        assert_eq!((next.id, next.ledger), (NodeId([3; 16]), tag("two")));
        let late = first.renew(&memory, &keys, (Ended::Restored, "two"), [4; 16]);
        assert_eq!(late, next, "a late VM takes what the first one chose");
        let closed = next.renew(&memory, &keys, (Ended::Closed, "two"), [5; 16]);
        let again = first.renew(&memory, &keys, (Ended::Restored, "three"), [6; 16]);
        assert_eq!(
            (closed.generation, again.generation),
            (3, 4),
            "renewed as closed, its leases are of the old ledger still"
        );
    }
}

//! Lanes: a VM's slot in shared data, its numbered events, and the ring that keeps them beyond the VM.
//!
//! A slot's header says who owns it and when that VM was last heard of; a ring place holds one event with its
//! incarnation and number, so that stale places are recognised and nothing needs erasing. The VM keeps a copy
//! of what is not yet acknowledged; shared data is read back only when a silent lane is adopted (`adopt`).

mod adopt;

use std::collections::VecDeque;
use std::rc::Rc;

use wire::{Gap, Lane, NodeId};

pub use self::adopt::{Adopted, HalfSettled, Looks, Orphan, adopt};
use crate::limits::{EVENT_BYTES_MAX, RING, SLOTS};
use crate::metric::Gauges;
use crate::settle::freeze::ROOM;
use crate::shared::node::Node;
use crate::shared::open::{OpenPlace, OpenTable, Stamp};
use crate::shared::{ABSENT, Keys, SharedData};

/// What a slot's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The node that the lane belongs to.
    pub node: NodeId,
    /// Raised by every VM that claims the slot.
    pub incarnation: u32,
    /// Raised by every VM that adopts the lane.
    pub adoptions: u32,
    /// The queue that wakes its VM; 0 = none.
    pub queue: u32,
    /// When its VM was last heard of, in microseconds.
    pub heard_us: u64,
    /// The last acknowledged number.
    pub acked: u64,
    /// True: nothing is left to send; the slot may be claimed.
    pub closed: bool,
    /// What the host's gauges hold of this lane: taken off them by whoever adopts it.
    pub told: Gauges,
}

/// A frozen event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Its number.
    pub seq: u64,
    /// Its ring place: the head, then the event.
    place: Vec<u8>,
}

/// A lane that this VM writes, or one that it adopted.
#[derive(Clone, Debug)]
pub struct LaneQueue {
    /// The lane.
    pub lane: Lane,
    /// How the access log names it: written once, not for every request.
    pub name: Rc<str>,
    /// The number of the next event.
    next: u64,
    /// The last acknowledged number.
    acked: u64,
    /// The same as the slot's header has it: where a VM begins to read that adopts the lane.
    acked_in_header: u64,
    /// Events that are not acknowledged.
    pending: VecDeque<Frozen>,
    /// Numbers that the ledger still expects and that are lost for good.
    gap: Option<Gap>,
    /// True: its VM is gone, or has left it; it ends when all is acknowledged and nothing of it is open.
    pub adopted: bool,
    /// The requests admitted under it and not settled, as shared data has them.
    pub open: OpenTable,
    /// The requests that its VM left open, latest operation last; settled by the VM that adopted it.
    pub orphans: Vec<Orphan>,
    /// How often it was adopted.
    adoptions: u32,
    /// What the header says of the host's gauges.
    pub told: Gauges,
    /// The number of its last operation on a record.
    op: u64,
    /// The number of its last settlement among those.
    settled: u64,
    /// True: its node is of another ledger than the one that answers, which may refuse its events.
    pub strange: bool,
    /// True: another VM has taken it. What is pending is still sent: numbers make that harmless.
    foreign: bool,
    /// True: the header says that its slot may be claimed.
    closed: bool,
}

/// Why an event could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// Everything in the ring is unacknowledged.
    Full,
    /// Larger than a ring place.
    TooLarge,
    /// All slots are taken: the VM has no lane.
    NoLane,
}

/// Claims a free slot for a VM; `None` where all are taken.
pub fn claim(shared: &dyn SharedData, keys: &Keys, node: Node, queue: u32, now_us: u64) -> Option<LaneQueue> {
    for slot in 0..SLOTS {
        let key = keys.slot(slot);
        let (value, version) = shared.get(&key);
        let old = value.as_deref().and_then(Header::decode);
        if old.is_some_and(|old| !old.closed) {
            continue;
        }
        let header = Header {
            node: node.id,
            incarnation: old.map_or(0, |old| old.incarnation).saturating_add(1),
            adoptions: 0,
            queue,
            heard_us: now_us,
            acked: 0,
            closed: false,
            told: Gauges::default(),
        };
        if shared.set(&key, &header.encode(), Some(version.unwrap_or(ABSENT))).is_ok() {
            return Some(LaneQueue::new(slot, &header));
        }
    }
    None
}

/// The queue that wakes the VM of a slot.
pub fn queue_of(shared: &dyn SharedData, keys: &Keys, slot: u32) -> Option<u32> {
    let header = Header::decode(&shared.get(&keys.slot(slot)).0?)?;
    Some(header.queue).filter(|queue| *queue != 0 && !header.closed)
}

impl Frozen {
    /// The event's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.place.get(PLACE_HEAD_BYTES..).unwrap_or_default()
    }
}

impl LaneQueue {
    /// The lane of a slot as its header says, without events.
    fn new(slot: u32, header: &Header) -> Self {
        let lane = Lane { node: header.node, slot, incarnation: header.incarnation };
        Self {
            lane,
            name: name_of(lane),
            next: header.acked.saturating_add(1),
            acked: header.acked,
            acked_in_header: header.acked,
            pending: VecDeque::new(),
            gap: None,
            adopted: false,
            open: OpenTable::default(),
            orphans: Vec::new(),
            adoptions: header.adoptions,
            told: header.told,
            op: 0,
            settled: 0,
            strange: false,
            foreign: false,
            closed: header.closed,
        }
    }

    /// Whether an open request is of this lane.
    #[must_use]
    pub fn has(&self, place: OpenPlace) -> bool {
        (place.slot, place.incarnation) == (self.lane.slot, self.lane.incarnation)
    }

    /// The number of the next operation on a record.
    pub fn next_op(&mut self) -> u64 {
        self.op = self.op.saturating_add(1);
        self.op
    }

    /// Whether another VM has taken it.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Whether nothing is left to do for a lane whose VM is gone.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_ending() && self.pending.is_empty()
    }

    /// Whether it need not be kept: there is nothing left to do, and its header says so where it is still its own.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_done() && (self.closed || self.foreign)
    }

    /// Whether no further event will be put into it.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.adopted && (self.foreign || (self.open.is_empty() && self.orphans.is_empty()))
    }

    /// Another VM has taken the lane, with what was open in it; gives what the host's gauges held of it.
    pub fn lose(&mut self) -> Gauges {
        (self.foreign, self.adopted) = (true, true);
        self.open.forget();
        self.orphans.clear();
        std::mem::take(&mut self.told)
    }

    /// How many events are not acknowledged.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.pending.len()
    }

    /// How many events can be kept before one would be overwritten that an adopting VM would miss: one that is
    /// not acknowledged, or whose acknowledgement is not in the header yet.
    #[must_use]
    pub fn room(&self) -> u64 {
        let last = self.next.saturating_sub(1);
        RING.saturating_sub(last.saturating_sub(self.acked_in_header))
    }

    /// Whether another event would overwrite one that is not acknowledged.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Keeps a settlement under the next number, with the mark that its record will have where it changes one.
    ///
    /// # Errors
    /// [`RingError`]; nothing was overwritten.
    pub fn push_settlement(
        &mut self,
        shared: &dyn SharedData,
        keys: &Keys,
        mark: Option<bool>,
        freeze: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Result<u64, RingError> {
        self.settled = self.next_op();
        self.put(shared, keys, mark, freeze)
    }

    /// Keeps an event under the next number; `freeze` writes it behind what it finds.
    ///
    /// # Errors
    /// [`RingError`]; nothing was overwritten.
    pub fn push(
        &mut self,
        shared: &dyn SharedData,
        keys: &Keys,
        freeze: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Result<u64, RingError> {
        self.put(shared, keys, None, freeze)
    }

    fn put(
        &mut self,
        shared: &dyn SharedData,
        keys: &Keys,
        mark: Option<bool>,
        freeze: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Result<u64, RingError> {
        if self.is_full() {
            return Err(RingError::Full);
        }
        let seq = self.next;
        let mut place = Vec::with_capacity(ROOM.saturating_add(PLACE_HEAD_BYTES));
        place.extend_from_slice(&self.lane.incarnation.to_le_bytes());
        place.extend_from_slice(&seq.to_le_bytes());
        place.extend_from_slice(&self.settled.to_le_bytes());
        place.push(mark.map_or(0, |mark| 1 | u8::from(mark) << 1));
        freeze(seq, &mut place);
        if place.len().saturating_sub(PLACE_HEAD_BYTES) > EVENT_BYTES_MAX {
            return Err(RingError::TooLarge);
        }
        // An unconditional set of one's own place cannot be stale.
        let _ = shared.set(&keys.ring(self.lane.slot, place_of(seq)), &place, None);
        self.pending.push_back(Frozen { seq, place });
        self.next = seq.saturating_add(1);
        Ok(seq)
    }

    /// The events that are not acknowledged, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &Frozen> {
        self.pending.iter()
    }

    /// Forgets what the ledger has acknowledged.
    pub fn acknowledge(&mut self, last: u64) {
        self.acked = self.acked.max(last.min(self.next.saturating_sub(1)));
        // By what this ledger says: after a restore it may know less than the one before has acknowledged.
        let next = last.saturating_add(1);
        self.gap =
            self.gap.filter(|gap| gap.to > last).map(|gap| Gap { from: gap.from.max(next), to: gap.to });
        while self.pending.front().is_some_and(|event| event.seq <= self.acked) {
            self.pending.pop_front();
        }
    }

    /// The ledger expects a number before the oldest event that is left: what lies between is lost.
    pub fn expect(&mut self, expected: u64) {
        self.acknowledge(expected.saturating_sub(1));
        let first = self.pending.front().map_or(self.next, |event| event.seq);
        // Also what was acknowledged once: a ledger that was restored asks for it again.
        self.gap = (expected < first).then(|| Gap { from: expected, to: first.saturating_sub(1) });
    }

    /// The first numbers of a gap that is too wide to be declared at once.
    #[must_use]
    pub fn gap_ahead(&self) -> Option<Gap> {
        let from = self.gap?.from;
        let to = from.saturating_add(wire::SEQ_AHEAD_MAX).saturating_sub(1);
        self.gap.filter(|gap| gap.to > to).map(|_| Gap { from, to })
    }

    /// Numbers to declare as lost with the next batch.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// Writes the header: still here, acknowledged so far, and what the host's gauges are about to hold of it.
    /// False where somebody else has taken the lane.
    pub fn beat(&mut self, shared: &dyn SharedData, keys: &Keys, told: Gauges, now_us: u64) -> bool {
        if self.foreign {
            return false;
        }
        let key = keys.slot(self.lane.slot);
        let (value, version) = shared.get(&key);
        let Some(mut header) = value.as_deref().and_then(Header::decode) else {
            return false;
        };
        if (header.incarnation, header.adoptions) != (self.lane.incarnation, self.adoptions) {
            return false;
        }
        (header.heard_us, header.acked, header.told) = (now_us, self.acked, told);
        // Who claims the slot takes nothing off the host's gauges: that is done before.
        header.closed = self.is_done() && told == Gauges::default();
        let stored = shared.set(&key, &header.encode(), version).is_ok();
        if stored {
            (self.acked_in_header, self.told, self.closed) = (self.acked, told, header.closed);
        }
        stored
    }

    /// As [`LaneQueue::beat`] for a lane whose VM is gone, or has left it: nothing but its events is counted under it.
    pub fn beat_left(&mut self, shared: &dyn SharedData, keys: &Keys, now_us: u64) -> bool {
        self.beat(shared, keys, Gauges::of_depth(self.depth()), now_us)
    }

    /// As [`LaneQueue::beat`] where the gauges have not been told anything else.
    pub fn beat_again(&mut self, shared: &dyn SharedData, keys: &Keys, now_us: u64) -> bool {
        self.beat(shared, keys, self.told, now_us)
    }
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&self.node.0);
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.adoptions.to_le_bytes());
        out.extend_from_slice(&self.queue.to_le_bytes());
        out.extend_from_slice(&self.heard_us.to_le_bytes());
        out.extend_from_slice(&self.acked.to_le_bytes());
        out.push(u8::from(self.closed));
        self.told.0.iter().for_each(|gauge| out.extend_from_slice(&gauge.to_le_bytes()));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (node, rest) = bytes.split_first_chunk::<16>()?;
        let (incarnation, rest) = rest.split_first_chunk::<4>()?;
        let (adoptions, rest) = rest.split_first_chunk::<4>()?;
        let (queue, rest) = rest.split_first_chunk::<4>()?;
        let (heard_us, rest) = rest.split_first_chunk::<8>()?;
        let (acked, rest) = rest.split_first_chunk::<8>()?;
        let (closed, rest) = rest.split_first()?;
        let gauges: [[u8; 8]; 3] = rest.as_chunks::<8>().0.try_into().ok()?;
        Some(Self {
            node: NodeId(*node),
            incarnation: u32::from_le_bytes(*incarnation),
            adoptions: u32::from_le_bytes(*adoptions),
            queue: u32::from_le_bytes(*queue),
            heard_us: u64::from_le_bytes(*heard_us),
            acked: u64::from_le_bytes(*acked),
            closed: *closed != 0,
            told: Gauges(gauges.map(i64::from_le_bytes)),
        })
    }
}

fn name_of(lane: Lane) -> Rc<str> {
    lane.to_string().into()
}

fn place_of(seq: u64) -> u64 {
    seq.checked_rem(RING).unwrap_or_default()
}

/// Bytes of a ring place before its event: incarnation, number, last settlement's operation, mark.
pub(crate) const PLACE_HEAD_BYTES: usize = 4 + 8 + 8 + 1;
/// Bytes of a slot's header.
pub(crate) const HEADER_BYTES: usize = 16 + 3 * 4 + 2 * 8 + 1 + 3 * 8;

/// The event of a ring place, if it is that of that number, and what the lane had done when it was written.
fn event_of(place: &[u8], incarnation: u32, seq: u64) -> Option<(Stamp, &[u8])> {
    let (own, rest) = place.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (op, rest) = rest.split_first_chunk::<8>()?;
    let (flags, bytes) = rest.split_first()?;
    let stamp = Stamp { op: u64::from_le_bytes(*op), mark: (flags & 1 != 0).then_some(flags & 2 != 0) };
    let is_it = u32::from_le_bytes(*own) == incarnation && u64::from_le_bytes(*number) == seq;
    is_it.then_some((stamp, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LANE_SILENT_US;
    use crate::testing::Memory;

    const NODE: Node = Node { id: NodeId([7; 16]), generation: 1, ledger: 0 };

    fn setup() -> (Memory, Keys) {
        (Memory::default(), Keys::new("t"))
    }

    /// Adopts as a VM does that has looked often enough.
    fn adopted(memory: &Memory, keys: &Keys, now_us: u64) -> Option<Adopted> {
        let mut looks = Looks::default();
        for _ in 1..crate::limits::LANE_LOOKS {
            assert!(looks.silent(memory, keys, None, now_us).is_empty(), "too few looks");
        }
        let silent = looks.silent(memory, keys, None, now_us);
        silent.first().and_then(|slot| adopt(memory, keys, *slot, now_us))
    }

    #[test]
    fn whoever_slept_through_the_silence_adopts_nothing() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        let mut looks = Looks::default();
        // All VMs of a process stand still for a minute, again and again.
        for minute in 1..10 {
            assert!(looks.silent(&memory, &keys, None, minute * 60_000_000).is_empty());
            assert!(lane.beat_again(&memory, &keys, minute * 60_000_000));
        }
    }

    #[test]
    fn of_two_that_adopt_one_after_the_other_the_first_finds_that_it_has_lost_the_lane() {
        let (memory, keys) = setup();
        claim(&memory, &keys, NODE, 5, 0)
            .expect("slot")
            .push(&memory, &keys, |_, out| out.push(1))
            .expect("room");
        let mut first = adopted(&memory, &keys, LANE_SILENT_US).expect("silent").lane;
        assert!(first.beat_again(&memory, &keys, LANE_SILENT_US));
        let mut second = adopted(&memory, &keys, 2 * LANE_SILENT_US).expect("silent").lane;
        assert!(!first.beat_again(&memory, &keys, 2 * LANE_SILENT_US));
        assert!(second.beat_again(&memory, &keys, 2 * LANE_SILENT_US));
    }

    #[test]
    fn a_silent_lane_is_adopted_with_its_events_and_its_numbers() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        for n in 1..=3_u8 {
            assert_eq!(lane.push(&memory, &keys, |_, out| out.push(b'0' + n)), Ok(u64::from(n)));
        }
        lane.acknowledge(1);
        assert!(lane.beat_again(&memory, &keys, 1_000_000));
        assert!(adopted(&memory, &keys, 3_999_999).is_none(), "it was heard of 3 s ago");
        let adopted = adopted(&memory, &keys, 4_000_000).expect("silent").lane;
        assert_eq!(adopted.lane, lane.lane);
        let events: Vec<_> = adopted.pending().map(|event| (event.seq, event.bytes().to_vec())).collect();
        assert_eq!(events, [(2, b"2".to_vec()), (3, b"3".to_vec())]);
        assert!(!lane.beat_again(&memory, &keys, 4_000_001), "the owner finds that it has lost the lane");
    }

    #[test]
    fn an_adopted_lane_that_is_sent_frees_its_slot_for_the_next_incarnation() {
        let (memory, keys) = setup();
        claim(&memory, &keys, NODE, 5, 0)
            .expect("slot")
            .push(&memory, &keys, |_, out| out.push(1))
            .expect("room");
        let mut adopted = adopted(&memory, &keys, LANE_SILENT_US).expect("silent").lane;
        adopted.acknowledge(1);
        assert!(adopted.beat_again(&memory, &keys, LANE_SILENT_US));
        let next = claim(&memory, &keys, NODE, 6, LANE_SILENT_US).expect("slot");
        assert_eq!((next.lane.slot, next.lane.incarnation), (0, 2));
        assert_eq!(
            adopt::read_ring(&memory, &keys, &next).len(),
            0,
            "places of the last incarnation are stale"
        );
    }

    #[test]
    fn a_full_ring_refuses_and_overwrites_nothing() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        for _ in 0..RING {
            lane.push(&memory, &keys, |_, out| out.push(1)).expect("room");
        }
        assert!(lane.is_full());
        assert_eq!(lane.push(&memory, &keys, |_, out| out.push(2)), Err(RingError::Full));
        lane.acknowledge(1);
        assert!(lane.is_full(), "whoever adopts the lane would still begin to read at 1");
        assert!(lane.beat_again(&memory, &keys, 1));
        assert_eq!(lane.push(&memory, &keys, |_, out| out.push(2)), Ok(RING + 1));
        assert_eq!(lane.depth() as u64, RING);
    }

    #[test]
    fn a_place_holds_an_event_to_its_last_byte_and_the_mark_of_its_record() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        let of = |bytes: usize| move |_, out: &mut Vec<u8>| out.extend(std::iter::repeat_n(b'x', bytes));
        assert_eq!(lane.push(&memory, &keys, of(EVENT_BYTES_MAX + 1)), Err(RingError::TooLarge));
        assert_eq!(lane.push(&memory, &keys, of(EVENT_BYTES_MAX)), Ok(1));
        for (seq, mark) in [(2, None), (3, Some(false)), (4, Some(true))] {
            assert_eq!(lane.push_settlement(&memory, &keys, mark, of(1)), Ok(seq));
            let place = memory.get(&keys.ring(lane.lane.slot, place_of(seq))).0.expect("written");
            let (stamp, bytes) = event_of(&place, 1, seq).expect("its own");
            assert_eq!((stamp.op, stamp.mark, bytes), (seq - 1, mark, &b"x"[..]));
            assert_eq!((event_of(&place, 2, seq), event_of(&place, 1, seq + 1)), (None, None));
        }
    }

    #[test]
    fn a_hole_is_declared_ahead_only_as_far_as_the_ledger_believes() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        for (next, ahead) in
            [(wire::SEQ_AHEAD_MAX + 1, None), (wire::SEQ_AHEAD_MAX + 2, Some(wire::SEQ_AHEAD_MAX))]
        {
            lane.next = next;
            lane.expect(1);
            assert_eq!(lane.gap(), Some(Gap { from: 1, to: next - 1 }));
            assert_eq!(lane.gap_ahead(), ahead.map(|to| Gap { from: 1, to }));
        }
    }

    #[test]
    fn an_adopted_ring_that_went_round_has_all_that_was_not_acknowledged() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        let (mut pushed, mut acked) = (0, 0);
        for _ in 0..5 {
            while !lane.is_full() {
                pushed = lane.push(&memory, &keys, |_, out| out.push(1)).expect("room");
            }
            acked = pushed - 10;
            lane.acknowledge(acked);
            lane.beat_again(&memory, &keys, 1);
        }
        lane.push(&memory, &keys, |_, out| out.push(1)).expect("room");
        let adopted = adopted(&memory, &keys, LANE_SILENT_US + 1).expect("silent").lane;
        let seqs: Vec<u64> = adopted.pending().map(|event| event.seq).collect();
        assert_eq!(seqs, (acked + 1..=pushed + 1).collect::<Vec<_>>());
    }

    #[test]
    fn a_hole_of_a_restored_ledger_is_declared_though_it_was_acknowledged_once() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        for _ in 0..3 {
            lane.push(&memory, &keys, |_, out| out.push(1)).expect("room");
        }
        lane.acknowledge(2);
        lane.expect(1);
        assert_eq!(lane.gap(), Some(Gap { from: 1, to: 2 }));
        lane.acknowledge(3);
        assert_eq!((lane.gap(), lane.depth()), (None, 0));
    }

    #[test]
    fn slots_are_bounded_and_keys_recycled() {
        let (memory, keys) = setup();
        let lanes: Vec<_> = (0..=SLOTS).map(|_| claim(&memory, &keys, NODE, 1, 0).is_some()).collect();
        assert_eq!(lanes.iter().filter(|claimed| **claimed).count(), SLOTS as usize);
        assert_eq!(lanes.last(), Some(&false));
    }

    #[test]
    fn what_an_older_ledger_lacks_is_declared_lost_in_steps_that_it_takes() {
        let (memory, keys) = setup();
        let mut lane = claim(&memory, &keys, NODE, 5, 0).expect("slot");
        lane.next = 3 * wire::SEQ_AHEAD_MAX + 10;
        lane.acknowledge(lane.next - 1);
        // The books were restored to where this lane stood at 4.
        lane.acknowledge(4);
        lane.expect(5);
        let mut last = 4;
        while let Some(step) = lane.gap_ahead() {
            assert_eq!(step.from, last + 1);
            assert!(step.to - last <= wire::SEQ_AHEAD_MAX);
            last = step.to;
            lane.acknowledge(last);
        }
        assert_eq!(lane.gap(), Some(Gap { from: last + 1, to: lane.next - 1 }));
        lane.acknowledge(lane.next - 1);
        assert_eq!(lane.gap(), None);
    }
}

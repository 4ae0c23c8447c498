//! Adopting a lane whose VM has gone: its ring, and the requests that it left open.
//!
//! A VM does one thing at a time, so of all that a lane left behind only its last operation can be half done:
//! a hold that was announced in the table and perhaps not taken, or a settlement that is in the ring while its
//! hold is perhaps still in the record. The slot's mark in that record tells which.

use std::collections::VecDeque;

use codec::{Read, is_json};
use wire::{Event, EventBody, Settle};

use super::{Frozen, Header, LaneQueue, PLACE_HEAD_BYTES, event_of, place_of};
use crate::limits::{LANE_LOOKS, LANE_SILENT_US, OPEN, RING, SLOTS};
use crate::shared::open::{OpenEntry, OpenState, Stamp};
use crate::shared::{Keys, SharedData};

/// What this VM has seen of the other slots.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// By slot: incarnation, adoptions, when last heard of, and how often that was seen.
    seen: Vec<((u32, u32, u64), u8)>,
}

/// A request that its VM left open.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// Its place in the table.
    pub place: usize,
    /// Its entry.
    pub entry: OpenEntry,
    /// True: the VM may have ended before the hold was taken; the mark in the record tells.
    pub doubtful: bool,
}

/// A settlement that is in the ring, while its request is still in the table.
#[derive(Clone, Debug)]
pub struct HalfSettled {
    /// The request's entry.
    pub orphan: Orphan,
    /// How the record is marked once the settlement has reached it.
    pub mark: Option<bool>,
    /// The settlement.
    pub settle: Box<Settle>,
}

/// A lane that was adopted.
#[derive(Debug)]
pub struct Adopted {
    /// The lane, with its events and orphans.
    pub lane: LaneQueue,
    /// A settlement that its VM did not bring to an end.
    pub half_settled: Option<HalfSettled>,
}

/// Takes over the lane of a slot that was found silent; `None` where it is not, or somebody else was faster.
pub fn adopt(shared: &dyn SharedData, keys: &Keys, slot: u32, now_us: u64) -> Option<Adopted> {
    let key = keys.slot(slot);
    let (value, version) = shared.get(&key);
    let mut header = value.as_deref().and_then(Header::decode).filter(|header| header.is_silent(now_us))?;
    header.adoptions = header.adoptions.saturating_add(1);
    (header.heard_us, header.queue) = (now_us, 0);
    shared.set(&key, &header.encode(), version).ok()?;
    let mut lane = LaneQueue::new(slot, &header);
    lane.adopted = true;
    lane.pending = read_ring(shared, keys, &lane);
    lane.next = lane.pending.back().map_or(header.acked, |last| last.seq).saturating_add(1);
    let half_settled = read_open(shared, keys, &mut lane);
    Some(Adopted { lane, half_settled })
}

impl Header {
    /// Whether its VM has not been heard of for too long.
    fn is_silent(&self, now_us: u64) -> bool {
        !self.closed && now_us.saturating_sub(self.heard_us) >= LANE_SILENT_US
    }
}

impl Looks {
    /// Looks once at each slot but one's own: gives those that were seen unchanged often enough and are silent.
    pub fn silent(
        &mut self,
        shared: &dyn SharedData,
        keys: &Keys,
        own: Option<u32>,
        now_us: u64,
    ) -> Vec<u32> {
        let mut silent = Vec::new();
        for slot in (0..SLOTS).filter(|slot| Some(*slot) != own) {
            // Slots are claimed in order: the first that was never used ends the search.
            let Some(header) = shared.get(&keys.slot(slot)).0.as_deref().and_then(Header::decode) else {
                break;
            };
            if !header.closed && self.are_enough(slot, &header) && header.is_silent(now_us) {
                silent.push(slot);
            }
        }
        silent
    }

    /// Looks at a slot; true where it was seen unchanged often enough.
    fn are_enough(&mut self, slot: u32, header: &Header) -> bool {
        let Ok(slot) = usize::try_from(slot) else {
            return false;
        };
        if self.seen.len() <= slot {
            self.seen.resize(slot.saturating_add(1), ((0, 0, 0), 0));
        }
        let Some((seen, times)) = self.seen.get_mut(slot) else {
            return false;
        };
        let state = (header.incarnation, header.adoptions, header.heard_us);
        *times = if *seen == state { times.saturating_add(1) } else { 1 };
        *seen = state;
        *times >= LANE_LOOKS
    }
}

pub(super) fn read_ring(shared: &dyn SharedData, keys: &Keys, lane: &LaneQueue) -> VecDeque<Frozen> {
    let mut pending = VecDeque::new();
    let first = lane.acked.saturating_add(1);
    for seq in first..first.saturating_add(RING) {
        let Some(mut place) = shared.get(&keys.ring(lane.lane.slot, place_of(seq))).0 else {
            break;
        };
        let Some((_, bytes)) = event_of(&place, lane.lane.incarnation, seq) else {
            break;
        };
        // Should a place have been damaged, the ledger refuses the placeholder alone and the numbers go on.
        if !is_json(bytes) {
            place.truncate(PLACE_HEAD_BYTES);
            place.extend_from_slice(b"null");
        }
        pending.push_back(Frozen { seq, place });
    }
    pending
}

/// Reads the table of open requests: what is to be settled as lost goes into the lane; a request whose
/// settlement is the ring's last event is given.
fn read_open(shared: &dyn SharedData, keys: &Keys, lane: &mut LaneQueue) -> Option<HalfSettled> {
    let (last, settled) = last_event(shared, keys, lane);
    let mut half_settled = None;
    for place in 0..OPEN {
        let (value, version) = shared.get(&keys.open(lane.lane.slot, place));
        if version.is_none() {
            // Places are used from the lowest on: no request was ever in this one or behind it.
            break;
        }
        let Some(entry) = value.and_then(|value| OpenEntry::of(value, lane.lane.incarnation)) else {
            continue;
        };
        let orphan = Orphan { place, entry, doubtful: false };
        match settled.as_ref().filter(|settle| Some(&*settle.request) == orphan.request()) {
            Some(settle) => {
                half_settled = Some(HalfSettled { orphan, mark: last.mark, settle: settle.clone() });
            }
            None => {
                // Few and rare: the library's sort is ten kilobytes of the module.
                let at = lane.orphans.partition_point(|other| other.op() <= orphan.op());
                lane.orphans.insert(at, orphan);
            }
        }
    }
    // Only the lane's very last operation can be half done. Those before it were released latest first by a
    // VM that adopted the lane earlier, each turning the mark back, so that theirs are true still.
    if let Some(latest) = lane.orphans.last_mut().filter(|latest| latest.op() > last.op) {
        latest.doubtful = true;
    }
    half_settled
}

/// The lane's last settlement so far, as its last event says, and that event where it is a settlement.
fn last_event(shared: &dyn SharedData, keys: &Keys, lane: &LaneQueue) -> (Stamp, Option<Box<Settle>>) {
    let last = lane.next.saturating_sub(1);
    let place = shared.get(&keys.ring(lane.lane.slot, place_of(last))).0;
    let event = place.as_deref().and_then(|place| event_of(place, lane.lane.incarnation, last));
    let Some((stamp, bytes)) = event else {
        return (Stamp { op: 0, mark: None }, None);
    };
    let settle = match Event::read(bytes).map(|event| event.body) {
        Some(EventBody::Settle(settle)) => Some(settle),
        Some(EventBody::LeaseClosed(_)) | None => None,
    };
    (stamp, settle)
}

impl Orphan {
    fn request(&self) -> Option<&str> {
        self.entry.open().map(|open| open.request)
    }

    fn op(&self) -> u64 {
        self.entry.open().map_or(0, |open| open.stamp.op)
    }

    /// Whether another VM has begun to release its hold.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        self.entry.open().is_some_and(|open| open.state == OpenState::Releasing)
    }
}

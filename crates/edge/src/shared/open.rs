//! The table of open requests: what a VM has admitted and not settled, kept in shared data so that another VM
//! can settle it as lost when this one ends without a word.
//!
//! One value per open request, under a fixed set of keys of the lane's slot; the lowest free place is taken
//! first, so that no more keys are ever used than requests were open at once. An entry is written before its
//! hold is taken and emptied after it is settled: one plain set each, and no call that returns anything.

use tariff::Unit;

use crate::limits::OPEN;
use crate::request::Held;
use crate::shared::{Keys, SharedData};

/// The places of one lane's table.
#[derive(Clone, Debug, Default)]
pub struct OpenTable {
    /// Keys of the places used so far: written once, not for every request.
    keys: Vec<Box<str>>,
    /// One bit per place: taken.
    taken: Vec<u64>,
    count: usize,
    /// What is written, again and again.
    buffer: Vec<u8>,
}

/// Where an open request stands in shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenPlace {
    /// The slot of its lane.
    pub slot: u32,
    /// The incarnation of its lane.
    pub incarnation: u32,
    /// Its place in the table.
    pub place: usize,
}

/// Which of a lane's operations on records something belongs to, and how its slot's mark in the record stands
/// once that operation is done; none where no record is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The operation's number in its lane: holds and settlements count together.
    pub op: u64,
    /// The mark, once done.
    pub mark: Option<bool>,
}

/// How far an open request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenState {
    /// Its hold is being taken, or taken.
    Open,
    /// A VM that adopted the lane is releasing its hold, or has: the mark tells.
    Releasing,
}

/// What is needed to settle a request that its VM has not settled.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// The incarnation of the lane.
    pub incarnation: u32,
    /// How far it has come.
    pub state: OpenState,
    /// The operation that takes its hold, or that releases it.
    pub stamp: Stamp,
    /// Node generation of the record.
    pub node: u64,
    /// The record's epoch; 0 = nothing is held of it.
    pub epoch: u64,
    /// The account's term.
    pub term: u64,
    /// The catalog version that the term prices by.
    pub catalog: u64,
    /// Input tokens as estimated.
    pub input_estimate: u64,
    /// The node's wall clock when it began, in milliseconds since 1970.
    pub at: i64,
    /// Its id.
    pub request: &'a str,
    /// Its account.
    pub account: &'a str,
    /// Its key's id.
    pub key: &'a str,
    /// What it is charged as.
    pub model: &'a str,
    /// The operation's name.
    pub operation: &'a str,
}

/// An entry that was read.
#[derive(Clone, Debug)]
pub struct OpenEntry {
    bytes: Vec<u8>,
}

/// What an open request holds of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTake {
    /// The bucket's tag.
    pub tag: u64,
    /// Held.
    pub held: i64,
    /// Whether in credits.
    pub credits: bool,
}

// === impl OpenTable ===

impl OpenTable {
    /// Whether nothing is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The lowest free place, taken; `None` where all are taken.
    pub fn take(&mut self) -> Option<usize> {
        if self.count >= OPEN {
            return None;
        }
        let word = self.taken.iter().position(|word| *word != u64::MAX).unwrap_or(self.taken.len());
        if word == self.taken.len() {
            self.taken.push(0);
        }
        let bits = self.taken.get_mut(word)?;
        let bit = bits.trailing_ones();
        *bits |= 1_u64.checked_shl(bit)?;
        self.count = self.count.saturating_add(1);
        word.checked_mul(64)?.checked_add(usize::try_from(bit).ok()?)
    }

    /// Gives a place back that was never written.
    pub fn free(&mut self, place: usize) {
        let bit = 1_u64.checked_shl(u32::try_from(place % 64).unwrap_or(0)).unwrap_or(0);
        if let Some(word) = self.taken.get_mut(place / 64).filter(|word| **word & bit != 0) {
            *word &= !bit;
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Writes an entry.
    pub fn write(
        &mut self,
        shared: &dyn SharedData,
        keys: &Keys,
        (slot, place): (u32, usize),
        open: &Open<'_>,
        takes: &[Held],
    ) {
        while self.keys.len() <= place {
            self.keys.push(keys.open(slot, self.keys.len()).into());
        }
        self.buffer.clear();
        open.encode(takes, &mut self.buffer);
        if let Some(key) = self.keys.get(place) {
            // An unconditional set of one's own place cannot be stale.
            let _ = shared.set(key, &self.buffer, None);
        }
    }

    /// Empties a place and gives it back.
    pub fn clear(&mut self, shared: &dyn SharedData, place: usize) {
        if let Some(key) = self.keys.get(place) {
            let _ = shared.set(key, &[], None);
        }
        self.free(place);
    }

    /// Forgets all places, which are somebody else's.
    pub fn forget(&mut self) {
        (self.count, self.taken) = (0, Vec::new());
    }
}

// === encoding ===

const WORDS: usize = 7;
const HEAD_BYTES: usize = 4 + 4;
const TAKE_BYTES: usize = 16;
const RELEASING: u8 = 0x80;

impl Open<'_> {
    fn encode(&self, takes: &[Held], out: &mut Vec<u8>) {
        let credits =
            takes.iter().rev().fold(0_u8, |bits, take| bits << 1 | u8::from(take.unit == Unit::Credits));
        let mark = self.stamp.mark.map_or(0, |mark| 1 | u8::from(mark) << 1);
        let state = if self.state == OpenState::Releasing { RELEASING } else { 0 };
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&[state | mark, u8::try_from(takes.len()).unwrap_or(0), credits, 0]);
        for word in [self.stamp.op, self.node, self.epoch, self.term, self.catalog, self.input_estimate] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.at.to_le_bytes());
        for take in takes {
            out.extend_from_slice(&take.tag.to_le_bytes());
            out.extend_from_slice(&take.amount.to_le_bytes());
        }
        for text in [self.request, self.account, self.key, self.model, self.operation] {
            out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

impl OpenEntry {
    /// An entry's bytes, if they are one of that incarnation.
    #[must_use]
    pub fn of(bytes: Vec<u8>, incarnation: u32) -> Option<Self> {
        let entry = Self { bytes };
        (entry.open()?.incarnation == incarnation).then_some(entry)
    }

    /// What it says.
    #[must_use]
    pub fn open(&self) -> Option<Open<'_>> {
        let (incarnation, rest) = self.bytes.split_first_chunk::<4>()?;
        let ([flags, takes, _, _], rest) = rest.split_first_chunk::<4>()?;
        let (words, rest) = rest.split_at_checked(WORDS * 8)?;
        let mut words = words.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next();
        let (op, node, epoch) = (word()?, word()?, word()?);
        let (term, catalog, input_estimate, at) = (word()?, word()?, word()?, word()?.cast_signed());
        let mut rest = rest.get(usize::from(*takes).checked_mul(TAKE_BYTES)?..)?;
        let mut text = || {
            let (length, tail) = rest.split_first_chunk::<2>()?;
            let (text, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = tail;
            std::str::from_utf8(text).ok()
        };
        let (request, account, key, model, operation) = (text()?, text()?, text()?, text()?, text()?);
        Some(Open {
            incarnation: u32::from_le_bytes(*incarnation),
            state: if flags & RELEASING != 0 { OpenState::Releasing } else { OpenState::Open },
            stamp: Stamp { op, mark: (flags & 1 != 0).then_some(flags & 2 != 0) },
            node,
            epoch,
            term,
            catalog,
            input_estimate,
            at,
            request,
            account,
            key,
            model,
            operation,
        })
    }

    /// What it holds of each bucket.
    #[must_use]
    pub fn takes(&self) -> Vec<OpenTake> {
        let (count, credits) = match self.bytes.get(5..7) {
            Some([count, credits]) => (usize::from(*count), *credits),
            _ => return Vec::new(),
        };
        let takes = self.bytes.get(HEAD_BYTES + WORDS * 8..).unwrap_or_default();
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let take = |(n, words): (usize, &[[u8; 8]; 2])| OpenTake {
            tag: word(&words[0]),
            held: word(&words[1]).cast_signed(),
            credits: credits >> n & 1 != 0,
        };
        takes.as_chunks::<8>().0.as_chunks::<2>().0.iter().take(count).enumerate().map(take).collect()
    }

    /// The same, being released by an operation that leaves its slot's mark like this.
    #[must_use]
    pub fn releasing(&self, mark: bool) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(flags) = bytes.get_mut(4) {
            *flags = RELEASING | 1 | u8::from(mark) << 1;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;
    use proptest::prelude::*;

    fn open<'a>(texts: &'a [String; 5], numbers: [u64; 7], mark: Option<bool>) -> Open<'a> {
        let [op, node, epoch, term, catalog, input_estimate, at] = numbers;
        let [request, account, key, model, operation] = texts.each_ref().map(String::as_str);
        Open {
            incarnation: 7,
            state: OpenState::Open,
            stamp: Stamp { op, mark },
            node,
            epoch,
            term,
            catalog,
            input_estimate,
            at: at.cast_signed(),
            request,
            account,
            key,
            model,
            operation,
        }
    }

    fn held() -> impl Strategy<Value = Vec<Held>> {
        let held = (any::<u64>(), any::<i64>(), any::<bool>()).prop_map(|(tag, amount, credits)| Held {
            bucket: "b".into(),
            tag,
            amount,
            unit: if credits { Unit::Credits } else { Unit::Cost },
            admitted: false,
            unlimited: false,
        });
        proptest::collection::vec(held, 0..=tariff::policy::BUCKETS_MAX)
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            texts in proptest::array::uniform5(".{0,64}"), numbers: [u64; 7], mark: Option<bool>, takes in held(),
        ) {
            let written = open(&texts, numbers, mark);
            let mut bytes = Vec::new();
            written.encode(&takes, &mut bytes);
            let entry = OpenEntry::of(bytes.clone(), 7).expect("an entry");
            prop_assert_eq!(format!("{:?}", entry.open().expect("whole")), format!("{written:?}"));
            let read: Vec<_> = entry.takes().iter().map(|take| (take.tag, take.held, take.credits)).collect();
            let wrote: Vec<_> = takes.iter().map(|take| (take.tag, take.amount, take.unit == Unit::Credits)).collect();
            prop_assert_eq!(read, wrote);
            let releasing = OpenEntry::of(entry.releasing(true), 7).expect("an entry");
            let state = releasing.open().map(|open| (open.state, open.stamp.mark));
            prop_assert_eq!(state, Some((OpenState::Releasing, Some(true))));
            prop_assert_eq!(releasing.takes(), entry.takes());
            prop_assert!(OpenEntry::of(bytes.clone(), 8).is_none(), "another incarnation's");
            for cut in 0..bytes.len() {
                prop_assert!(OpenEntry::of(bytes[..cut].to_vec(), 7).is_none(), "half an entry is none");
            }
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            if let Some(entry) = OpenEntry::of(bytes, 7) {
                let _ = entry.takes();
            }
        }
    }

    #[test]
    fn the_lowest_free_place_is_taken_and_there_is_a_last_one() {
        let mut table = OpenTable::default();
        for place in 0..OPEN {
            assert_eq!(table.take(), Some(place));
        }
        assert_eq!(table.take(), None);
        for place in [70, 3, 1_000] {
            table.free(place);
            table.free(place);
        }
        assert_eq!([(); 4].map(|()| table.take()), [Some(3), Some(70), Some(1_000), None]);
    }

    #[test]
    fn no_more_keys_are_used_than_requests_were_open_at_once() {
        let (memory, keys) = (Memory::default(), Keys::new("t"));
        let (mut table, texts) = (OpenTable::default(), std::array::from_fn(|_| "x".to_owned()));
        for _ in 0..100 {
            let places: Vec<usize> = (0..5).filter_map(|_| table.take()).collect();
            for place in &places {
                table.write(&memory, &keys, (0, *place), &open(&texts, [1; 7], None), &[]);
            }
            places.into_iter().for_each(|place| table.clear(&memory, place));
        }
        assert!(table.is_empty());
        assert_eq!(memory.keys(), 5);
    }
}

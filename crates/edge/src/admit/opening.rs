//! An admission's entry in the table of open requests: announced before the hold is taken, withdrawn where it is
//! not.

use crate::lane::LaneQueue;
use crate::record::Record;
use crate::request::{Hold, Request};
use crate::shared::open::{Open, OpenPlace, OpenState, Stamp};
use crate::shared::{Keys, SharedData};

/// An entry that is being made.
pub(crate) struct Opening<'a> {
    lane: &'a mut LaneQueue,
    keys: &'a Keys,
    request: &'a Request,
    hold: &'a Hold,
    place: usize,
    op: u64,
    /// What was announced last: the record's epoch and mark.
    noted: Option<(u64, Option<bool>)>,
}

// === impl Opening ===

impl<'a> Opening<'a> {
    /// Takes a place in the lane's table; `None` where there is none.
    pub fn begin(
        lane: &'a mut Option<LaneQueue>,
        keys: &'a Keys,
        request: &'a Request,
        hold: &'a Hold,
    ) -> Option<Self> {
        let lane = lane.as_mut()?;
        let place = lane.open.take()?;
        let op = lane.next_op();
        Some(Self { lane, keys, request, hold, place, op, noted: None })
    }

    /// Announces the hold and marks the record for it, before the record is stored; without a record, that
    /// nothing is held.
    pub fn note(&mut self, shared: &dyn SharedData, record: Option<&mut Record>) {
        let slot = self.lane.lane.slot;
        let noted = match record {
            Some(record) => {
                let mark = record.next_mark(slot);
                record.set_mark(slot, mark);
                (record.epoch, Some(mark))
            }
            None => (0, None),
        };
        // Another try of the same swap announces the same, unless the record was made anew.
        if self.noted == Some(noted) {
            return;
        }
        self.noted = Some(noted);
        let ((epoch, mark), request) = (noted, self.request);
        let account = request.account.as_ref();
        let open = Open {
            incarnation: self.lane.lane.incarnation,
            state: OpenState::Open,
            stamp: Stamp { op: self.op, mark },
            node: self.hold.node,
            epoch,
            term: account.map_or(0, |account| account.term),
            catalog: account.map_or(0, |account| account.catalog),
            input_estimate: self.hold.input_estimate,
            at: request.began.wall_ms,
            request: &request.id,
            account: account.map_or("", |account| &account.id),
            key: request.key.as_ref().map_or("", |key| &key.key_id),
            model: &self.hold.model.name,
            operation: request.operation.name(),
        };
        self.lane.open.write(shared, self.keys, (slot, self.place), &open, &self.hold.takes);
    }

    /// Ends it: where the hold was taken the place is the request's, else it is given back.
    pub fn end(self, shared: &dyn SharedData, held: bool) -> Option<OpenPlace> {
        if held {
            let (slot, incarnation) = (self.lane.lane.slot, self.lane.lane.incarnation);
            return Some(OpenPlace { slot, incarnation, place: self.place });
        }
        match self.noted {
            Some(_) => self.lane.open.clear(shared, self.place),
            None => self.lane.open.free(self.place),
        }
        None
    }
}

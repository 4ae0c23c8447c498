//! The line between nodes and ledger: calls and answers that are lost, doubled, late, spoilt.

use edge::{CallAnswer, CallKind};

use super::report::Broken;
use super::{Cluster, Event};
use crate::node::Call;
use crate::random::Random;

/// A call that its worker waits for.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    process: u64,
    node: usize,
    vm: usize,
    kind: CallKind,
}

/// A request on its way to the ledger.
#[derive(Clone, Debug)]
pub struct Parcel {
    call: u64,
    path: String,
    body: Vec<u8>,
    back_us: u64,
    answer_lost: bool,
    spoil: u64,
}

/// The usual time limit of calls, in microseconds.
const TIMEOUT_US: u64 = 1_000_000;

impl Cluster {
    /// Sends what a node has in its outbox.
    pub(super) fn send_calls(&mut self, node: usize) {
        let Some(site) = &mut self.sites[node] else { return };
        let (process, cut, slow) =
            (site.process, site.cut_until_us > self.now_us, site.slow_until_us > self.now_us);
        if !site.node.outbox.is_empty() {
            site.called_us = self.now_us;
        }
        for Call { worker, kind, path, body } in std::mem::take(&mut site.node.outbox) {
            self.calls += 1;
            self.counts.calls += 1;
            let call = self.calls;
            self.pending.insert(call, Pending { process, node, vm: worker, kind });
            let mut random = Random::of(self.schedule.seed, 2, call);
            self.at(TIMEOUT_US, Event::Answer(call, None));
            let mut line = self.schedule.line;
            if self.is_healed {
                line = super::schedule::Line { latency_us: 1_000, ..Default::default() };
            }
            let mut one_way = |late: bool| {
                let top = if late { 3_000_000 } else { line.latency_us.max(1) };
                random.between(line.latency_us.min(100), top.max(101))
            };
            let (there_us, back_us) = (one_way(slow), one_way(slow));
            let (late_there, late_back) = (one_way(true), one_way(true));
            let is_lost = random.happens(line.drop_request);
            let is_late = random.happens(line.late);
            let parcel = Parcel {
                call,
                path,
                body,
                back_us: if is_late { late_back } else { back_us },
                answer_lost: random.happens(line.drop_answer),
                spoil: random.next(),
            };
            let is_double = random.happens(line.duplicate);
            self.counts.mishaps += u64::from(is_lost || cut) + u64::from(is_late) + u64::from(is_double);
            self.counts.mishaps += u64::from(parcel.answer_lost);
            self.trace.note(self.now_us, || {
                let fate = (cut || is_lost, is_double, is_late, parcel.answer_lost);
                format!("node {node} vm {worker} calls {kind:?} #{call} (lost, double, late, answer lost: {fate:?})")
            });
            if is_double {
                // The second copy may come when everybody has forgotten the first.
                let after = random.spread(1_000, 60_000_000);
                let copy = Parcel { answer_lost: true, ..parcel.clone() };
                self.at(there_us + after, Event::Arrive(Box::new(copy)));
            }
            if !is_lost && !cut {
                let there_us = if is_late { late_there } else { there_us };
                self.at(there_us, Event::Arrive(Box::new(parcel)));
            }
        }
    }

    /// A call arrives at the ledger.
    pub(super) fn arrive(&mut self, parcel: Box<Parcel>) -> Result<(), Broken> {
        if self.ledger.frozen_until_us > self.now_us {
            let wait = self.ledger.frozen_until_us - self.now_us;
            self.at(wait, Event::Arrive(parcel));
            return Ok(());
        }
        if self.ledger.down_until_us > self.now_us {
            // The connection is refused: the host says so.
            self.at(parcel.back_us, Event::Answer(parcel.call, None));
            return Ok(());
        }
        let Some(answer) = self.ledger.answer(self.now_us, &parcel.path, &parcel.body)? else {
            self.at(parcel.back_us, Event::Answer(parcel.call, None));
            return Ok(());
        };
        self.trace.note(self.now_us, || {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("ledger #{}: {} -> {}", parcel.call, text(&parcel.body), text(&answer))
        });
        if !parcel.answer_lost {
            let answer = self.spoil(answer, parcel.spoil);
            self.at(parcel.back_us, Event::Answer(parcel.call, Some(answer)));
        }
        Ok(())
    }

    /// While answers are spoilt: half of one, garbage, or a good one with a bad status.
    fn spoil(&mut self, answer: Vec<u8>, how: u64) -> (u32, Vec<u8>) {
        if self.garbage_until_us <= self.now_us || how.is_multiple_of(3) {
            return (200, answer);
        }
        self.counts.mishaps += 1;
        match how / 3 % 4 {
            0 => (200, answer[..answer.len() / 2].to_vec()),
            1 => (200, b"<html>welcome to the hotel</html>".to_vec()),
            2 => (500, answer),
            _ => (200, Vec::new()),
        }
    }

    /// The host tells a worker what became of its call, once.
    pub(super) fn answered(&mut self, call: u64, answer: Option<&(u32, Vec<u8>)>) {
        let Some(pending) = self.pending.get(&call).copied() else { return };
        let Some(site) = self.sites[pending.node].as_mut().filter(|site| site.process == pending.process)
        else {
            self.pending.remove(&call);
            return;
        };
        if site.stopped_until_us > self.now_us {
            let wait = site.stopped_until_us - self.now_us;
            self.at(wait, Event::Answer(call, answer.cloned()));
            return;
        }
        self.pending.remove(&call);
        let heard = answer.map(|(status, body)| CallAnswer { status: *status, marked: true, body });
        self.trace.note(self.now_us, || {
            let how = answer.map(|(status, body)| (*status, body.len()));
            format!("node {} vm {} hears of #{call}: {how:?}", pending.node, pending.vm)
        });
        site.node.hear(pending.vm, pending.kind, heard);
        self.touch(pending.node);
    }

    /// Nobody will hear of the calls of a VM (or all of a node's) any more.
    pub(super) fn forget_calls(&mut self, node: usize, vm: Option<usize>) {
        self.pending.retain(|_, pending| pending.node != node || vm.is_some_and(|vm| pending.vm != vm));
    }
}

//! Charges that only Envoy's access log knows of: what a killed Envoy took with it, what a restore took back.
//!
//! A request is charged once (I3), whoever tells of it first: its event that comes later is a duplicate and
//! accounts with its leases alone.

use tariff::Micros;
use wire::{Lane, NodeId, Reported};

use super::settle::{self, Caller};
use crate::command::touch;
use crate::entry::EntryKind;
use crate::error::StoreError;
use crate::tx::{LaneState, Now, Tx};

/// What may be recovered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Also requests of nodes and keys that these books do not know: after a restore to before they were made.
    pub unknown_nodes: bool,
    /// Change nothing, say what would be.
    pub preview: bool,
}

/// What became of a reported settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was charged, or would be.
    Charged {
        /// The entry; absent in a preview.
        entry: Option<u64>,
        /// The charge.
        amount: Micros,
        /// What of it no lot could pay.
        debt: Micros,
    },
    /// The request was charged before.
    Known,
    /// It cannot be charged.
    Refused(&'static str),
}

/// Where a settlement is booked that never had a place in a ring: no node has this id.
const NO_LANE: Lane = Lane { node: NodeId([0; 16]), slot: 0, incarnation: 0 };

/// Charges what a report tells, unless it is charged.
///
/// The leases of the request are settled with it only where its event can no longer come: else that event does
/// it, or the end of its node.
///
/// # Errors
/// Where the store fails.
pub fn recover(tx: &mut impl Tx, now: Now, reported: &Reported, scope: Scope) -> Result<Outcome, StoreError> {
    let settle = &reported.settle;
    let (lane, seq) = reported.place.unwrap_or((NO_LANE, 0));
    tx.lock(Some(lane), &[&settle.account])?;
    if !settle::is_sound(settle) {
        return Ok(Outcome::Refused("invalid"));
    }
    let Some(account) = tx.account(&settle.account)?.map(|account| account.id.clone()) else {
        return Ok(Outcome::Refused("unknown_account"));
    };
    if tx.is_charged(&settle.account, &settle.request)? {
        return Ok(Outcome::Known);
    }
    if !scope.unknown_nodes && tx.node(reported.node)?.is_none() {
        return Ok(Outcome::Refused("unknown_node"));
    }
    if !scope.unknown_nodes && tx.key_by_id(account.as_str(), &settle.key)?.is_none() {
        return Ok(Outcome::Refused("unknown_key"));
    }
    // However far ahead: nothing moves the lane here, and restored books may lack any number of its events.
    let LaneState { last, .. } = tx.lane(lane)?;
    let caller = Caller { node: reported.node, clock: now.wall, knew_others: false };
    if scope.preview {
        return Ok(match settle::preview(tx, settle)? {
            Some((amount, debt)) => Outcome::Charged { entry: None, amount, debt },
            None => Outcome::Refused("unknown_term"),
        });
    }
    let Some(mut charge) = settle::charge(tx, now, caller, (lane, seq), reported.node, settle)? else {
        return Ok(Outcome::Refused("unknown_term"));
    };
    charge.recovered = true;
    if seq > last || reported.place.is_none() {
        charge.takes.clear();
    }
    let (amount, debt) = (charge.amount, charge.debt);
    let ids = crate::notice::append(tx, &account, now, [EntryKind::Charge(Box::new(charge))])?;
    let counters = tx.counters();
    counters.recovered = counters.recovered.saturating_add(1);
    touch(tx, account.as_str(), now)?;
    Ok(Outcome::Charged { entry: ids.first().copied(), amount, debt })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use wire::SEQ_AHEAD_MAX;

    use crate::suite::world::{BLANK, CREDIT, Stands, Worker, World, credits, settled};

    const CHANGE: Scope = Scope { unknown_nodes: false, preview: false };

    fn charged(outcome: Outcome) -> (bool, Micros, Micros) {
        match outcome {
            Outcome::Charged { entry, amount, debt } => (entry.is_some(), amount, debt),
            other => unreachable!("{other:?}"),
        }
    }

    /// An account with two credits, a node that holds both, and a request of five that only the log knows.
    fn lost() -> (World<Memory>, Worker, Reported) {
        let mut world = World::new(Memory::new, "topup_only");
        world.top_up(2, "p1");
        let worker = Worker::new(1);
        world.send(worker.want(world.now, Stands { ask: CREDIT, ..BLANK }, &[("r1", 2 * CREDIT)]));
        let settle = world.use_of("r1", credits(5));
        let key = crate::command::key::NewKey {
            account: settle.account.clone(),
            id: settle.key.clone(),
            digest: wire::Digest([7; 32]),
            name: None,
            auth_class: None,
            models: None,
            expires_at: None,
        };
        crate::command::key::create(&mut world.subject, world.now, &key).unwrap();
        let reported = Reported { node: worker.lane.node, place: Some((worker.lane, 1)), settle };
        (world, worker, reported)
    }

    #[test]
    fn a_preview_says_what_would_be_and_changes_nothing() {
        let (mut world, _, reported) = lost();
        let before = (world.account(), world.subject.journal.len());
        let scope = Scope { preview: true, ..CHANGE };
        let outcome = recover(&mut world.subject, world.now, &reported, scope).unwrap();
        assert_eq!(charged(outcome), (false, credits(5), credits(3)));
        assert_eq!((world.account(), world.subject.journal.len()), before);
        let outcome = recover(&mut world.subject, world.now, &reported, CHANGE).unwrap();
        assert_eq!(charged(outcome), (true, credits(5), credits(3)));
    }

    #[test]
    fn whoever_tells_first_is_charged_and_the_event_settles_its_lease() {
        let (mut world, mut worker, reported) = lost();
        recover(&mut world.subject, world.now, &reported, CHANGE).unwrap();
        assert_eq!(recover(&mut world.subject, world.now, &reported, CHANGE).unwrap(), Outcome::Known);
        assert_eq!(world.account().outstanding("credits"), credits(2), "its event may yet come");
        let ack = world.deliver(&mut worker, vec![settled(reported.settle)]);
        assert_eq!(ack.rejected[0].code, "duplicate_request");
        let account = world.account();
        assert_eq!((account.totals.charged, account.outstanding("credits")), (credits(5), Micros::ZERO));
    }

    #[test]
    fn where_the_event_can_no_longer_come_the_lease_is_settled_at_once() {
        let (mut world, worker, reported) = lost();
        world.send(worker.gap(world.now, 1, 1, &[]));
        recover(&mut world.subject, world.now, &reported, CHANGE).unwrap();
        assert_eq!(world.account().outstanding("credits"), Micros::ZERO);
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        let (mut world, worker, reported) = lost();
        let at = |node: u8, seq| {
            let lane = Lane { node: NodeId([node; 16]), ..worker.lane };
            Reported { node: lane.node, place: Some((lane, seq)), ..reported.clone() }
        };
        let mut tell =
            |reported: &Reported, scope| recover(&mut world.subject, world.now, reported, scope).unwrap();
        assert_eq!(tell(&at(7, 1), CHANGE), Outcome::Refused("unknown_node"));
        let mut unsound = at(1, 1);
        unsound.settle.takes[0].used = Micros(-1);
        assert_eq!(tell(&unsound, CHANGE), Outcome::Refused("invalid"));
        let mut nobody = at(1, 1);
        nobody.settle.account = "nobody".to_owned();
        assert_eq!(tell(&nobody, CHANGE), Outcome::Refused("unknown_account"));
        let mut keyless = at(1, 1);
        keyless.settle.key = "key_of_another".to_owned();
        assert_eq!(tell(&keyless, CHANGE), Outcome::Refused("unknown_key"));
        let placeless = Reported { place: None, ..at(7, 1) };
        assert_eq!(tell(&placeless, CHANGE), Outcome::Refused("unknown_node"));
        let far = at(1, SEQ_AHEAD_MAX + 2);
        assert!(charged(tell(&far, CHANGE)).0, "the books were restored to long before");
        let mut placeless = Reported { place: None, ..reported.clone() };
        placeless.settle.request = "r2".to_owned();
        assert!(charged(tell(&placeless, CHANGE)).0, "one that never had a place");
        let mut stranger = at(7, 1);
        stranger.settle.request = "r3".to_owned();
        assert!(
            charged(tell(&stranger, Scope { unknown_nodes: true, ..CHANGE })).0,
            "where the books are older"
        );
    }
}

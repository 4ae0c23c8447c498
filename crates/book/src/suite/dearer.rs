//! Credits that buy more than before: what was admitted under a dearer term still costs what it costs there, so that
//! no more may be leased than it leaves (M4, I2).

use tariff::{Catalog, Micros};
use wire::{Change, VerdictKind};

use super::world::{BLANK, CREDIT, Stands, Subject, Worker, World, credits, settled};
use crate::balance::balance;
use crate::limits::WAIT_MS;

/// 100 top-up credits, of which one request may take 60, admitted where they buy 100; since a switch they buy 166.67,
/// beside 3,000 that are included.
fn switched<S: Subject>(make: impl FnOnce(Catalog) -> S) -> (World<S>, Worker) {
    let mut world = World::new(make, "topup_only");
    world.top_up(100, "p");
    let one = Worker::new(1);
    let answer = world.send(one.want(world.now, BLANK, &[("old", 60 * CREDIT)]));
    assert_eq!(answer.verdicts, Vec::new());
    world.switch("max");
    (world, one)
}

pub fn what_old_requests_may_take_at_their_price_is_leased_to_nobody<S: Subject>(
    make: impl FnOnce(Catalog) -> S,
) {
    let (mut world, mut one) = switched(make);
    // The old request draws top-ups alone, one for one: 40 are left, worth 66.67.
    assert_eq!(world.account().capacity(), Micros(3_066_666_666));
    let (free, idle) = (Micros(3_106_666_666), credits(60));
    assert_eq!(balance(&world.account()).available, crate::amount::plus(free, idle), "what the owner has");
    let mut two = Worker::new(2);
    let want = |world: &mut World<S>, need: i64| world.send(two.want(world.now, BLANK, &[("new", need)]));
    let answer = want(&mut world, 3_066_666_667);
    assert!(matches!(answer.verdicts[0].kind, VerdictKind::Wait(_)), "{answer:?}");
    let answer = want(&mut world, 3_066_666_666);
    assert_eq!(answer.verdicts, Vec::new());
    // Whoever settles first: nothing is owed.
    let new = world.use_of("new", Micros(3_066_666_666));
    let old = wire::Settle { term: 1, ..world.use_of("old", credits(60)) };
    world.charge(&mut two, new);
    world.charge(&mut one, old);
    let account = world.account();
    assert_eq!((account.debt, account.capacity()), (Micros::ZERO, Micros::ZERO));
    assert!(account.remaining() <= Micros(1), "rounding alone: {}", account.remaining());
}

pub fn with_the_last_old_request_the_old_price_is_forgotten<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, mut one) = switched(make);
    let old = wire::Settle {
        term: 1,
        takes: vec![wire::Take { bucket: "credits".to_owned(), held: credits(60), used: credits(30) }],
        ..world.use_of("old", credits(30))
    };
    world.deliver(&mut one, vec![settled(old)]);
    // 70 are left; 30 are free on the node, and it may not have heard of the switch yet.
    assert_eq!(world.account().capacity(), Micros(3_066_666_666));
    let stands = Stands { free: 30 * CREDIT, ..BLANK };
    let worth = 3_116_666_666;
    one.cursor = Some(world.send(one.call(world.now)).cursor);
    let answer = world.send(one.want(world.now, stands, &[("new", worth)]));
    assert_eq!(answer.verdicts[0].kind, VerdictKind::Wait(WAIT_MS));
    let answer = world.send(one.call(world.now));
    assert_eq!(answer.changes, [Change::Recall { account: super::world::ACCOUNT.to_owned() }]);
    world.send(one.give_back(world.now, 1, 30 * CREDIT));
    let back = Stands { returned: 30 * CREDIT, ..BLANK };
    let answer = world.send(one.want(world.now, back, &[("new", worth)]));
    assert_eq!(answer.verdicts, Vec::new(), "all of it can be spent");
    assert_eq!(world.account().capacity(), Micros::ZERO);
    let new = world.use_of("new", Micros(worth));
    world.charge(&mut one, new);
    assert_eq!(world.account().debt, Micros::ZERO);
}

pub fn a_term_as_dear_as_any_before_ends_the_difference<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let (mut world, _) = switched(make);
    world.switch("topup_only");
    let account = world.account();
    assert_eq!((account.worth(), account.capacity()), (credits(100), credits(40)));
    assert!(account.leases.iter().all(|lease| lease.since == account.term().unwrap().no));
    // And of a term between two the dearest counts.
    world.switch("pro");
    world.switch("max");
    assert_eq!(world.account().capacity(), Micros(3_066_666_666));
}

//! Boundaries: thousands of lots, amounts near the end of their range, factors of a dozen digits, and what
//! the order of settlements may change.

use tariff::{Catalog, Meter, Micros, Period, Pool, Prices, Ratio, Usage};
use wire::{EventBody, LeaseClosed, Settle, SyncRequest};

use super::world::{
    ACCOUNT, BLANK, CREDIT, Command, DAY, Stands, Subject, Worker, World, credits, lease_closed, raw, settled,
};
use crate::command::grant::NewGrant;
use crate::command::key::NewKey;
use crate::entry::EntryKind;
use crate::error::{Error, Refusal};
use crate::limits::{
    AMOUNT_MAX, CYCLES_ROLLED_MAX, LEASES_MAX, LOTS_MAX, LOTS_SPENT_KEPT, RECALL_MS, TERMS_KEPT, TOTAL_MAX,
};

fn grant<S: Subject>(
    world: &mut World<S>,
    amount: Micros,
    reference: &str,
    ends: Option<i64>,
) -> Result<(), Error> {
    let (account, pool) = (ACCOUNT.to_owned(), "topup".to_owned());
    let new = NewGrant { account, pool, amount, expires_at: ends, reference: reference.to_owned() };
    // The fold is compared at the end: of thousands of entries, at each would take minutes.
    world.subject.call(world.now, &Command::Grant(new)).map(|_| ())
}

/// A settlement of so many tokens, whatever it held.
fn of_tokens(mut settle: Settle, amount: Micros) -> Settle {
    settle.usage = Usage::new().with(Meter::InputTokens, u64::try_from(amount.get()).unwrap());
    settle
}

pub fn a_thousand_lots_are_drawn_in_order_and_end_together<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let ends = world.now.wall + 10 * DAY;
    for number in 0..LOTS_MAX {
        grant(&mut world, credits(1), &format!("p{number}"), Some(ends)).unwrap();
    }
    let more = grant(&mut world, credits(1), "more", None);
    assert!(matches!(more, Err(Error::Refused(Refusal::LimitReached { resource: "lots", .. }))), "{more:?}");
    let mut worker = Worker::new(1);
    let settle = world.use_of("r1", Micros(700 * CREDIT + 1));
    world.charge(&mut worker, settle);
    let account = world.account();
    assert_eq!(account.remaining(), Micros(324 * CREDIT - 1));
    let open: Vec<Micros> = account.lots.values().map(|lot| lot.remaining).collect();
    assert!(open[..700].iter().all(|left| *left == Micros::ZERO), "the oldest first");
    assert_eq!((open[700], open[701]), (Micros(CREDIT - 1), credits(1)));
    // What is spent makes room.
    grant(&mut world, credits(5), "more", None).unwrap();
    assert_eq!(world.account().lots.len(), LOTS_SPENT_KEPT + 324 + 1, "few of the spent ones are kept");
    world.pass(10 * DAY);
    let account = world.account();
    assert_eq!((account.remaining(), account.totals.expired), (credits(5), Micros(324 * CREDIT - 1)));
    assert_eq!(account.term().unwrap().no, 2, "one term for all that ended at one instant");
}

pub fn no_account_is_granted_more_than_the_bound<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let rich = |mut catalog: Catalog| {
        let plan = &mut catalog.plans[1];
        plan.grants[0].amount = AMOUNT_MAX;
        plan.cycle = Period::new(0, 1, 0).unwrap();
        make(catalog)
    };
    let mut world = World::new(rich, "starter");
    let cycles = TOTAL_MAX.get() / AMOUNT_MAX.get();
    for _ in 0..cycles + 3 {
        world.pass(DAY);
        assert!(world.account().totals.granted <= TOTAL_MAX);
    }
    let account = world.account();
    assert_eq!((account.totals.granted, account.remaining()), (TOTAL_MAX, Micros::ZERO));
    assert!(account.cycle.is_some(), "cycles go on");
    let refused = grant(&mut world, Micros(1), "p1", None);
    assert!(matches!(refused, Err(Error::Refused(Refusal::Invalid { member: "amount", .. }))), "{refused:?}");
}

pub fn the_last_micro_credit_of_the_bound_can_be_granted<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    grant(&mut world, Micros(1), "first", None).unwrap();
    for number in 1..TOTAL_MAX.get() / AMOUNT_MAX.get() {
        grant(&mut world, AMOUNT_MAX, &format!("p{number}"), None).unwrap();
    }
    assert!(grant(&mut world, AMOUNT_MAX, "beyond", None).is_err());
    grant(&mut world, Micros(AMOUNT_MAX.get() - 1), "last", None).unwrap();
    assert!(grant(&mut world, Micros(1), "beyond", None).is_err());
    let account = world.account();
    assert_eq!((account.totals.granted, account.capacity()), (TOTAL_MAX, TOTAL_MAX));
}

pub fn debt_stops_at_its_bound_and_is_repaid<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let unbounded = |mut catalog: Catalog| {
        catalog.max_charge_per_request = None;
        make(catalog)
    };
    let mut world = World::new(unbounded, "topup_only");
    let mut worker = Worker::new(1);
    let most = Micros(AMOUNT_MAX.get() - 1);
    let charges = TOTAL_MAX.get() / most.get() + 2;
    for number in 0..charges {
        let settle = of_tokens(world.use_of(&format!("r{number}"), Micros(1)), most);
        world.charge(&mut worker, settle);
    }
    let account = world.account();
    assert_eq!((account.debt, account.totals.charged, account.worth()), (TOTAL_MAX, TOTAL_MAX, Micros::ZERO));
    for number in 0..TOTAL_MAX.get() / AMOUNT_MAX.get() {
        grant(&mut world, AMOUNT_MAX, &format!("p{number}"), None).unwrap();
    }
    let account = world.account();
    assert_eq!(
        (account.debt, account.remaining(), account.totals.repaid),
        (Micros::ZERO, Micros::ZERO, TOTAL_MAX)
    );
}

pub fn what_nodes_say_never_overflows<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(10_000, "p1");
    let mut worker = Worker::new(1);
    let epochs: Vec<u64> = (1..=LEASES_MAX as u64).collect();
    let want = |worker: &Worker, now, lease| {
        worker.want(now, Stands { lease, ..BLANK }, &[("r1", CREDIT)]).wants.remove(0)
    };
    for epochs in epochs.chunks(wire::WANTS_MAX) {
        let wants = epochs.iter().map(|epoch| want(&worker, world.now, *epoch)).collect();
        let answer = world.send(SyncRequest { wants, ..worker.call(world.now) });
        assert!(answer.grants.iter().all(|grant| grant.granted == credits(1)));
    }
    // One record more, though there are credits: it must wait.
    let more = LEASES_MAX as u64 + 1;
    let answer =
        world.send(SyncRequest { wants: vec![want(&worker, world.now, more)], ..worker.call(world.now) });
    assert_eq!((answer.grants[0].granted, answer.verdicts.len()), (Micros::ZERO, 1));
    for epochs in epochs.chunks(wire::BATCH_EVENTS_MAX) {
        let bodies = epochs.iter().map(|epoch| lease_closed(*epoch, AMOUNT_MAX.get())).collect();
        assert_eq!(world.deliver(&mut worker, bodies).rejected, []);
    }
    // It says that it used far more than there is: nothing can be leased, and nothing breaks.
    assert_eq!(world.account().leases.len(), LEASES_MAX);
    assert_eq!(world.account().capacity(), Micros::ZERO);
    let other = Worker::new(2);
    let answer = world.send(other.want(world.now, BLANK, &[("r2", 1)]));
    assert_eq!(answer.grants[0].granted, Micros::ZERO);
    world.pass_up(wire::NODE_OPEN_MS as i64);
    assert_eq!(world.account().capacity(), credits(10_000), "with the node its word is gone");
}

pub fn factors_of_a_dozen_digits_are_right_to_a_micro_credit<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    // Factors of 1 - k / 10^12: their product does not fit 128 bits.
    let short = [11_i128, 39, 63, 101];
    let amount = 1_000_000_000_007;
    let odd = |mut catalog: Catalog| {
        let pool = catalog.pools[1].clone();
        for (order, short) in (10..).zip(short) {
            let name = format!("pool{order}");
            catalog.pools.push(Pool { name: name.clone(), order, ..pool.clone() });
            let factor = Ratio::new(10_u128.pow(12) - short as u128, 10_u128.pow(12)).unwrap();
            catalog.plans[0].factors.push((name, factor));
        }
        let price = Ratio::parse_decimal("1.000000000039").unwrap();
        catalog.models[3].prices = Prices::new([(Meter::InputTokens, price)]);
        catalog.max_charge_per_request = None;
        make(catalog)
    };
    let mut world = World::new(odd, "topup_only");
    for order in 10..14 {
        let (account, reference) = (ACCOUNT.to_owned(), format!("p{order}"));
        let (pool, amount) = (format!("pool{order}"), Micros(amount));
        world.call(Command::Grant(NewGrant { account, pool, amount, expires_at: None, reference })).unwrap();
    }
    let mut worker = Worker::new(1);
    let tokens = 4_000_000_000_500;
    let settle = of_tokens(world.use_of("r1", Micros(1)), Micros(tokens));
    world.charge(&mut worker, settle);
    let account = world.account();
    assert_eq!(account.remaining(), Micros::ZERO);
    // In millionths of a micro-credit: the price, less what each lot pays at base price.
    let price = i128::from(tokens) * 1_000_000_000_039 / 1_000_000;
    let paid = short.map(|short| i128::from(amount) * 10_i128.pow(18) / (10_i128.pow(12) - short));
    let debt = price - paid.iter().sum::<i128>();
    let off = (i128::from(account.debt.get()) * 1_000_000 - debt).abs();
    assert!(off <= 1_500_000, "{off} millionths");
}

/// Makes something of a settlement as long as it may be, and so much longer.
type Stretch<'a> = &'a dyn Fn(&mut Settle, usize);

/// Each bound itself is believed, one more is not, and nothing else suffers (I13).
pub fn what_is_believed_has_these_bounds<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    let stretches: [Stretch<'_>; 10] = [
        &|settle, more| settle.request = "x".repeat(128 + more),
        &|settle, more| settle.key = "x".repeat(64 + more),
        &|settle, more| settle.model = "x".repeat(256 + more),
        &|settle, more| settle.answered_model = Some("x".repeat(256 + more)),
        &|settle, more| settle.operation = "x".repeat(64 + more),
        &|settle, more| settle.takes[0].bucket = "x".repeat(128 + more),
        &|settle, more| settle.takes = vec![settle.takes[0].clone(); 8 + more],
        &|settle, more| settle.takes[0].held = Micros(AMOUNT_MAX.get() + more as i64),
        &|settle, more| settle.takes[0].used = Micros(AMOUNT_MAX.get() + more as i64),
        &|settle, more| settle.usage.set(Meter::InputTokens, tariff::meter::COUNT_MAX + more as u64),
    ];
    for (number, stretch) in stretches.iter().enumerate() {
        for more in [0, 1] {
            let mut settle = world.use_of(&format!("r{number}-{more}"), credits(1));
            stretch(&mut settle, more);
            let ack = world.deliver(&mut worker, vec![settled(settle)]);
            assert_eq!(ack.rejected.len(), more, "{number}");
        }
    }
    let used = |amount| wire::Used { bucket: "credits".to_owned(), used: amount };
    for (count, more) in [(8, 0), (8, 1), (9, 0)] {
        let used = vec![used(Micros(AMOUNT_MAX.get() + more)); count];
        let closed = LeaseClosed { account: ACCOUNT.to_owned(), lease: 1, used };
        let ack = world.deliver(&mut worker, vec![EventBody::LeaseClosed(closed)]);
        assert_eq!(ack.rejected.len(), usize::from(count > 8 || more > 0));
    }
}

pub fn lanes_reach_this_far_ahead<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let event = settled(world.use_of("r1", credits(1)));
    let far = wire::SEQ_AHEAD_MAX + 1;
    // Behind a hole that may still be filled: nothing to look at.
    let ack = world.send(worker.batch(world.now, far, std::slice::from_ref(&event))).ack.unwrap();
    assert_eq!((ack.last, ack.expected, world.subject.incidents().len()), (0, Some(1), 0));
    world.send(worker.batch(world.now, far + 1, &[event]));
    assert_eq!(world.subject.incidents().len(), 1);
    let ack = world.send(worker.gap(world.now, 1, far, &[])).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (0, Some(1)));
    // A gap must join what is known with what comes.
    let mut loose = worker.gap(world.now, 1, 5, &[]);
    loose.batch.as_mut().unwrap().first = 7;
    assert_eq!(world.send(loose).ack.unwrap().last, 0);
    let ack = world.send(worker.gap(world.now, 1, wire::SEQ_AHEAD_MAX, &[])).ack.unwrap();
    assert_eq!((ack.last, ack.expected), (wire::SEQ_AHEAD_MAX, None));
    assert_eq!(world.subject.counters().gaps, wire::SEQ_AHEAD_MAX);
    // One that is known already, or begins too late, is none.
    for (from, to) in [(1, 9), (far + 1, far + 2)] {
        let ack = world.send(worker.gap(world.now, from, to, &[])).ack.unwrap();
        assert_eq!(ack.last, wire::SEQ_AHEAD_MAX);
    }
    assert_eq!(world.subject.counters().gaps, wire::SEQ_AHEAD_MAX);
}

pub fn calls_at_the_bounds_are_answered<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    let worker = Worker::new(1);
    let calm = worker.call(world.now);
    let want = worker.want(world.now, BLANK, &[]).wants.remove(0);
    let parked = worker.want(world.now, BLANK, &[("r1", 1)]).wants.remove(0).requests.remove(0);
    let given = worker.give_back(world.now, 1, 1).returns.remove(0);
    let sized = |more: usize| {
        let asks = vec![want.asks[0].clone(); 8 + more];
        let requests = vec![parked.clone(); wire::WANT_REQUESTS_MAX + more];
        let bodies = vec![lease_closed(1, 0); wire::BATCH_EVENTS_MAX + more];
        [
            SyncRequest { label: "x".repeat(253 + more), ..calm.clone() },
            SyncRequest { lookups: vec![wire::Digest([0; 32]); wire::LOOKUPS_MAX + more], ..calm.clone() },
            SyncRequest { refresh: vec![ACCOUNT.to_owned(); wire::REFRESH_MAX + more], ..calm.clone() },
            SyncRequest { wants: vec![want.clone(); wire::WANTS_MAX + more], ..calm.clone() },
            SyncRequest { returns: vec![given.clone(); wire::RETURNS_MAX + more], ..calm.clone() },
            SyncRequest { wants: vec![wire::Want { asks, ..want.clone() }], ..calm.clone() },
            SyncRequest { wants: vec![wire::Want { requests, ..want.clone() }], ..calm.clone() },
            worker.batch(world.now, 1, &bodies),
        ]
    };
    for (more, requests) in [(1, sized(1)), (0, sized(0))] {
        for (number, request) in requests.into_iter().enumerate() {
            let answer = world.call(Command::Sync(Box::new(request)));
            assert_eq!(answer.is_ok(), more == 0, "{number}: {answer:?}");
        }
    }
}

pub fn names_of_grants_and_keys_have_bounds<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    for more in [0, 1] {
        assert_eq!(grant(&mut world, credits(1), &"p".repeat(128 + more), None).is_ok(), more == 0);
        let key = NewKey {
            account: ACCOUNT.to_owned(),
            id: "k".repeat(64 + more),
            digest: wire::Digest([more as u8; 32]),
            name: None,
            auth_class: None,
            models: None,
            expires_at: None,
        };
        assert_eq!(world.call(Command::CreateKey(key)).is_ok(), more == 0);
    }
    let now = world.now.wall;
    assert!(grant(&mut world, credits(1), "ended", Some(now)).is_err());
    grant(&mut world, credits(1), "ends", Some(now + 1)).unwrap();
}

/// Of terms that are no longer kept, the oldest kept one stands in.
pub fn late_settlements_find_the_nearest_term<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    for number in 2..=TERMS_KEPT as u64 + 9 {
        let to = if number.is_multiple_of(2) { "pro" } else { "topup_only" };
        world.switch(to);
    }
    world.top_up(100, "p1");
    let account = world.account();
    assert_eq!((account.terms.len(), account.terms[0].no), (TERMS_KEPT, 10));
    let mut worker = Worker::new(1);
    for (term, plan_pays, incidents) in [(10, 75, 0), (9, 75, 1), (11, 100, 1), (99_999, 100, 2)] {
        let before = world.account().totals.charged.get();
        let mut settle = world.use_of(&format!("r{term}"), credits(1));
        settle.term = term;
        world.charge(&mut worker, settle);
        assert_eq!((world.account().totals.charged.get() - before) * 100, plan_pays * CREDIT, "{term}");
        assert_eq!(world.subject.incidents().len(), incidents, "{term}");
    }
}

/// After a long rest each missed cycle is granted and ends, up to a bound; beyond it the one that runs.
pub fn a_rest_is_caught_up_with_to_a_bound<S: Subject>(make: impl Fn(Catalog) -> S) {
    let rolled = CYCLES_ROLLED_MAX + 1;
    for (cycles, granted) in [(rolled, rolled + 1), (rolled + 1, 2)] {
        let mut world = World::new(&make, "starter");
        let to = super::days::after(world.now.wall, Period::MONTH, cycles);
        world.pass(to - world.now.wall);
        let account = world.account();
        assert_eq!(account.totals.granted, credits(500 * granted as i64), "{cycles}");
        assert_eq!((account.remaining(), account.cycle.unwrap().number), (credits(500), cycles));
    }
}

/// Only distances of a node's clock are believed, and none into the future.
pub fn requests_began_by_the_ledgers_clock<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let clock = 5_000_000;
    let ats = [clock, clock - 7_000, clock + 7_000, i64::MIN];
    for (number, at) in (1..).zip(ats) {
        let mut settle = world.use_of(&format!("r{number}"), credits(1));
        settle.at = at;
        let call = SyncRequest { now: clock, ..worker.batch(world.now, number, &[settled(settle)]) };
        world.send(call);
    }
    let began = world.subject.journal().into_iter().filter_map(|entry| match entry.kind {
        EntryKind::Charge(charge) => Some(charge.began_at),
        _ => None,
    });
    let now = world.now.wall;
    assert_eq!(began.collect::<Vec<_>>(), [now, now - 7_000, now, 0]);
}

/// What is kept of a refused event ends before the character that passes the bound.
pub fn incidents_keep_the_beginning_of_what_was_refused<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let worker = Worker::new(1);
    let mut call = worker.batch(world.now, 1, &[]);
    let events = &mut call.batch.as_mut().unwrap().events;
    events.push(raw(&"ä".repeat(3_000)));
    events.push(raw(&"ab"));
    world.send(call);
    let details: Vec<String> =
        world.subject.incidents().into_iter().map(|incident| incident.detail).collect();
    assert_eq!(details, [format!("\"{}", "ä".repeat(2_047)), "\"ab\"".to_owned()]);
}

/// Nodes are not called back more often than twice a second.
pub fn recalls_keep_their_distance<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.top_up(6, "p1");
    let (one, mut other) = (Worker::new(1), Worker::new(2));
    world.send(one.want(world.now, BLANK, &[("r1", 6 * CREDIT)]));
    let answer = world.send(one.want(world.now, Stands { free: 6 * CREDIT, ..BLANK }, &[]));
    other.cursor = Some(answer.cursor);
    let mut recalls = Vec::new();
    for _ in 0..12 {
        world.send(other.want(world.now, BLANK, &[("r2", CREDIT)]));
        let answer = world.send(other.call(world.now));
        recalls.push(answer.changes.len());
        other.cursor = Some(answer.cursor);
        world.now.up += RECALL_MS / 5;
    }
    assert_eq!(recalls, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
}

/// The same settlements in two orders, over two lanes of two nodes (I12).
pub fn settlements_in_any_order_come_to_the_same<S: Subject>(
    make: impl Fn(Catalog) -> S,
    amounts: &[(u64, u8)],
    order: &[u32],
) {
    let play = |order: &[u32]| {
        let mut world = World::new(
            |mut catalog| {
                catalog.plans[1].grants[0].amount = Micros(3_000);
                catalog.plans[1].factors = vec![("topup".to_owned(), Ratio::new(4, 7).unwrap())];
                make(catalog)
            },
            "starter",
        );
        grant(&mut world, Micros(2_001), "p1", None).unwrap();
        grant(&mut world, Micros(1_999), "p2", None).unwrap();
        let mut lanes = [Worker::new(1), Worker::slot(1, 1), Worker::new(2)];
        let mut events: Vec<(u32, usize)> =
            (0..amounts.len()).map(|i| (order[i % order.len()] ^ i as u32, i)).collect();
        if order.len() > 1 {
            events.sort_unstable();
        }
        for (_, index) in events {
            let (tokens, how) = amounts[index];
            let mut settle = world.use_of(&format!("r{index}"), Micros(1));
            settle.model = if how.is_multiple_of(3) { "unit".to_owned() } else { "deepseek".to_owned() };
            settle.usage = Usage::new().with(Meter::InputTokens, tokens);
            let lane = &mut lanes[usize::from(how) % 3];
            let first = lane.next;
            lane.next += 1;
            let call = lane.batch(world.now, first, &[settled(settle)]);
            world.send(call);
        }
        let account = world.account();
        assert_eq!(account.leases.len(), 0);
        (account.totals.charged.get(), account.debt.get(), account.remaining().get())
    };
    let (charged, debt, left) = play(&[0]);
    let (other_charged, other_debt, other_left) = play(order);
    let lines = amounts.len() as i64;
    assert!((charged - other_charged).abs() <= lines, "{charged} and {other_charged} of {lines} lines");
    assert!((debt - other_debt).abs() <= 2 * lines && (left - other_left).abs() <= lines);
}

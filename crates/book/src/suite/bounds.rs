//! Boundaries: thousands of lots, amounts near the end of their range, factors of a dozen digits, and what
//! the order of settlements may change.

use tariff::{Catalog, Meter, Micros, Period, Pool, Prices, Ratio, Usage};
use wire::{Settle, SyncRequest};

use super::world::{
    ACCOUNT, BLANK, CREDIT, Command, DAY, Stands, Subject, Worker, World, credits, lease_closed, settled,
};
use crate::command::grant::NewGrant;
use crate::error::{Error, Refusal};
use crate::limits::{AMOUNT_MAX, LEASES_MAX, LOTS_MAX, TOTAL_MAX};

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

//! What is forgotten of lanes, and that nothing is charged twice for it.

use book::suite::world::{DAY, Worker, World, credits, settled};
use book::suite::{Subject as _, catalog};

use super::super::cache::KnownLane;
use super::super::lanes::{DIGESTS_KEPT_DAYS, LANES_CACHED_MAX, LANES_FORGOTTEN_AT_ONCE};
use super::Sqlite;

/// A day passes, and what may be forgotten is.
fn pass_days(world: &mut World<Sqlite>, days: i64) {
    world.now.wall += days * DAY;
    let now = world.now.wall;
    let mut tx = world.subject.store().begin().unwrap();
    tx.prune(now, now).unwrap();
    tx.commit().unwrap();
}

fn number(world: &World<Sqlite>, select: &str) -> i64 {
    let connection = super::super::read::connect(&world.subject.path).unwrap();
    connection.query_row(select, [], |row| row.get(0)).unwrap()
}

fn digests(world: &World<Sqlite>) -> i64 {
    number(world, "SELECT count(*) FROM batch")
}

#[test]
fn replays_of_a_lane_are_known_when_its_digests_are_forgotten() {
    let mut world = World::new(Sqlite::new, "topup_only");
    world.top_up(100, "p");
    let mut worker = Worker::new(1);
    let used = |world: &mut World<Sqlite>, request: &str| settled(world.use_of(request, credits(2)));
    let (one, two) = (used(&mut world, "one"), used(&mut world, "two"));
    world.deliver(&mut worker, vec![one.clone(), two]);
    let forged = used(&mut world, "forged");
    let replay = |world: &mut World<Sqlite>, event: &wire::EventBody| {
        let ack = world.send(worker.batch(world.now, 1, std::slice::from_ref(event))).ack.unwrap();
        assert_eq!((ack.last, ack.rejected), (2, Vec::new()));
        let counters = world.subject.counters();
        (counters.applied, counters.replayed, counters.conflicts)
    };
    pass_days(&mut world, DIGESTS_KEPT_DAYS);
    assert_eq!(digests(&world), 1, "not yet");
    assert_eq!(replay(&mut world, &forged), (2, 0, 1));
    pass_days(&mut world, 1);
    assert_eq!(digests(&world), 0);
    assert_eq!(replay(&mut world, &one), (2, 1, 1));
    // What it brings under a number that is known is passed over, whatever it is; only the telling is gone.
    assert_eq!(replay(&mut world, &forged), (2, 2, 1));
    world.crash();
    assert_eq!(replay(&mut world, &forged), (2, 3, 1));
    assert_eq!(world.account().remaining(), credits(96));
    // A lane that goes on is remembered anew.
    world.deliver(&mut worker, vec![forged.clone()]);
    assert_eq!((digests(&world), world.account().remaining()), (1, credits(94)));
    let again = used(&mut world, "again");
    let ack = world.send(worker.batch(world.now, 3, &[again])).ack.unwrap();
    assert_eq!((ack.last, world.subject.counters().conflicts), (3, 2));
    pass_days(&mut world, DIGESTS_KEPT_DAYS + 1);
    assert_eq!(
        (digests(&world), number(&world, "SELECT count(*) FROM lane")),
        (0, 1),
        "the journal names it"
    );
}

#[test]
fn a_round_forgets_so_many_lanes_and_the_next_one_goes_on() {
    let mut world = World::new(Sqlite::new, "topup_only");
    world.top_up(1_000, "p");
    let lanes = LANES_FORGOTTEN_AT_ONCE + 5;
    for slot in 0..u32::try_from(lanes).unwrap() {
        let event = settled(world.use_of(&format!("r{slot}"), credits(1)));
        world.deliver(&mut Worker::slot(1, slot), vec![event]);
    }
    assert_eq!(digests(&world), lanes);
    pass_days(&mut world, DIGESTS_KEPT_DAYS + 1);
    assert_eq!(digests(&world), 5);
    pass_days(&mut world, 0);
    assert_eq!(digests(&world), 0);
}

#[test]
fn the_memory_of_lanes_is_bounded() {
    let mut world = World::new(Sqlite::new, "topup_only");
    world.top_up(100, "p");
    let mut worker = Worker::new(1);
    let event = settled(world.use_of("one", credits(2)));
    world.deliver(&mut worker, vec![event.clone()]);
    let known = |world: &mut World<Sqlite>| world.subject.store().cache.lanes.len();
    let strangers = u32::try_from(LANES_CACHED_MAX - known(&mut world)).unwrap();
    for slot in 0..strangers {
        let lane = KnownLane { row: 0, state: book::LaneState::default(), day: None };
        world.subject.store().cache.lanes.insert(Worker::slot(9, slot).lane, lane);
    }
    let other = settled(world.use_of("other", credits(2)));
    world.deliver(&mut Worker::new(2), vec![other]);
    assert!(known(&mut world) < 3, "begun anew");
    let ack = world.send(worker.batch(world.now, 1, &[event])).ack.unwrap();
    assert_eq!((ack.last, world.account().remaining()), (1, credits(96)), "read again from its row");
}

#[test]
fn lanes_of_an_older_schema_are_forgotten_in_their_time() {
    let mut world = World::new(Sqlite::new, "topup_only");
    world.top_up(100, "p");
    let event = settled(world.use_of("one", credits(2)));
    world.deliver(&mut Worker::new(1), vec![event]);
    world.subject.store = None;
    let connection = rusqlite::Connection::open(&world.subject.path).unwrap();
    let older = "DROP INDEX lane_day; ALTER TABLE lane DROP COLUMN day; ALTER TABLE lane DROP COLUMN forgotten; \
                 PRAGMA user_version = 2;";
    connection.execute_batch(older).unwrap();
    drop(connection);
    world.subject.catalog = catalog();
    world.crash();
    pass_days(&mut world, DIGESTS_KEPT_DAYS);
    assert_eq!(digests(&world), 1);
    pass_days(&mut world, 1);
    assert_eq!(digests(&world), 0);
}

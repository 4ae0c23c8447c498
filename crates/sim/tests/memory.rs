//! More accounts and keys than the tables have places: memory stays where the configuration puts it, leases of
//! those that make room go home, and nobody's money is touched.
#![expect(clippy::panic, reason = "tests may fail loudly")]

use edge::limits::RECORDS_PER_SHARD;
use edge::record::RECORD_BYTES;
use sim::{CATALOG, Seen, World, ask, ask_stream, config, usage};

const SONNET: &str = "claude-sonnet-4.5";
/// Four values of records, two of keys, one of snapshots.
const SMALL: &str = r#","accounts_max":8,"keys_max":16"#;
/// How long a rate of the plan needs to be full again after one request, and the ledger to hear of it.
const AT_REST_MS: u64 = 1_500;

fn small(workers: usize, mode: &str) -> World {
    World::with(workers, &config(mode, SMALL), CATALOG)
}

fn forwarded(world: &World, stream: usize) -> bool {
    world.streams[stream].seen == Some(Seen::Forwarded)
}

fn refusal(world: &World, stream: usize) -> (u32, String) {
    match &world.streams[stream].seen {
        Some(Seen::Reply(status, body)) => (*status, body["code"].as_str().unwrap_or_default().to_owned()),
        other => panic!("expected a reply, saw {other:?}"),
    }
}

/// One request from its headers to its settlement.
fn serve(world: &mut World, worker: usize, account: &str) {
    let stream = world.chat(worker, account, &ask(SONNET, 10));
    assert!(forwarded(world, stream), "{account}: {:?} {:?}", world.streams[stream].seen, world.warnings);
    world.answer(stream, 200, &usage(10, 10));
}

/// The number of values, and the longest.
fn values(world: &World, kind: &str) -> (usize, usize) {
    let values = world.node.shared.values(&format!("t/2/{kind}/"));
    (values.len(), values.iter().map(Vec::len).max().unwrap_or(0))
}

/// The number of keys ever set, but for the rings: those fill up to their 8,192 places each.
fn beside_rings(world: &World) -> usize {
    world.node.shared.keys() - values(world, "ring").0
}

#[test]
fn accounts_beyond_the_tables_come_and_go() {
    for mode in ["hold", "stream"] {
        let mut world = small(2, mode);
        for name in ["hot", "held"] {
            world.account(name, "max");
        }
        let held = world.chat(0, "held", &ask_stream(SONNET, 1_000));
        assert!(forwarded(&world, held), "{mode}");
        let (mut hot, mut keys) = (0, 0);
        for n in 0..120 {
            let name = format!("acct_{n}");
            world.account(&name, "max");
            serve(&mut world, n % 2, &name);
            if n % 10 == 0 {
                serve(&mut world, (n / 10) % 2, "hot");
                hot += 1;
            }
            world.pass(AT_REST_MS);
            if n == 60 {
                keys = beside_rings(&world);
            }
        }
        assert_eq!(beside_rings(&world), keys, "{mode}: no key is added once the tables are full");
        assert_eq!(values(&world, "acct"), (4, RECORDS_PER_SHARD * RECORD_BYTES), "{mode}");
        assert_eq!((values(&world, "key").0, values(&world, "snap").0), (2, 1), "{mode}");

        assert_eq!(world.record("held").open, 1, "{mode}: what holds something never makes room");
        world.answer(held, 200, "data: [DONE]\n\n");
        world.pass(3_000);
        assert_eq!(world.charges("hot"), hot, "{mode}");
        let here: Vec<String> = world.records().into_iter().map(|record| record.account).collect();
        let mut home = 0;
        for n in 0..120 {
            let name = format!("acct_{n}");
            assert_eq!(world.charges(&name), 1, "{mode}: {name}");
            if !here.contains(&name) {
                assert_eq!(world.book.accounts[name.as_str()].leases, [], "{mode}: {name}");
                home += 1;
            }
        }
        assert!(home >= 100, "{mode}: only {home} have made room");
        world.check_at_rest();
    }
}

#[test]
fn unknown_keys_leave_nothing_behind() {
    let mut world = small(1, "hold");
    world.account("a", "max");
    serve(&mut world, 0, "a");
    let before = world.node.shared.keys();
    for n in 0..500 {
        let key = format!("nobody-{n}");
        let headers = [(":method", "GET"), (":path", "/v1/search"), ("x-api-key", key.as_str())];
        let stream = world.open(0, &headers, true, Vec::new());
        world.pass(20);
        let (status, code) = refusal(&world, stream);
        assert_eq!((status, code.as_str()), (401, "invalid_api_key"), "{n}");
    }
    assert_eq!(world.node.shared.keys(), before);
    // Known keys did not make room for them.
    let calls = world.calls;
    serve(&mut world, 0, "a");
    assert_eq!(world.calls, calls, "the key was looked up again");
    world.pass(2_000);
    world.check_at_rest();
}

#[test]
fn an_account_without_a_place_is_refused_until_one_is_free() {
    let mut world = small(1, "hold");
    let tables = world.config.tables();
    let value_of = |name: &str| wire::id::tag(name) % tables.record_shards();
    let names: Vec<String> = (0..)
        .map(|n| format!("acct_{n}"))
        .filter(|name| value_of(name) == value_of("acct_0"))
        .take(RECORDS_PER_SHARD + 1)
        .collect();
    for name in &names {
        world.account(name, "max");
    }
    let open: Vec<usize> =
        names.iter().take(RECORDS_PER_SHARD).map(|name| world.chat(0, name, &ask(SONNET, 10))).collect();
    assert!(open.iter().all(|stream| forwarded(&world, *stream)));
    let last = names.last().map(String::as_str).unwrap_or_default();
    let refused = world.chat(0, last, &ask(SONNET, 10));
    assert_eq!(refusal(&world, refused), (503, "overloaded".to_owned()));
    world.answer(open[0], 200, &usage(10, 10));
    world.pass(AT_REST_MS);
    serve(&mut world, 0, last);
    for stream in &open[1..] {
        world.answer(*stream, 200, &usage(10, 10));
    }
    world.pass(2_000);
    for name in &names {
        assert_eq!(world.charges(name), 1, "{name}");
    }
    world.check_at_rest();
}

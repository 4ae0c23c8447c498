//! How fast settlements post; run by hand:
//! `cargo test --release -p ledger --lib speed -- --ignored --nocapture`.

use std::time::Instant;

use book::Now;
use book::suite::world::{self, Worker, settled};
use book::suite::{Command, execute};
use tariff::Micros;
use wire::EventBody;

use super::Store;

const ACCOUNTS: usize = 100_000;
const BATCHES: usize = 400;
const BATCH: usize = 500;
/// Calls that share one commit, as under load.
const CALLS_PER_COMMIT: usize = 8;

#[test]
#[ignore = "a measurement, by hand"]
fn speed_of_settlements() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let mut store = Store::open(&path, world::catalog(), "speed", world::BEGIN).unwrap();
    let mut now = Now { wall: world::BEGIN, up: 0 };
    let began = Instant::now();
    for chunk in (0..ACCOUNTS).collect::<Vec<_>>().chunks(1_000) {
        let mut tx = store.begin().unwrap();
        for number in chunk {
            let id = format!("acct_{number}");
            let new = book::command::open::NewAccount {
                id,
                plan: "pro".to_owned(),
                ..book::command::open::NewAccount::default()
            };
            execute(&mut tx, now, &Command::Open(new)).unwrap();
        }
        tx.commit().unwrap();
    }
    println!("{ACCOUNTS} accounts opened in {:?}", began.elapsed());

    let mut workers: Vec<Worker> = (0..CALLS_PER_COMMIT as u32).map(|slot| Worker::slot(1, slot)).collect();
    let mut calls = Vec::new();
    for number in 0..BATCHES {
        let worker = &mut workers[number % CALLS_PER_COMMIT];
        let bodies: Vec<EventBody> = (0..BATCH).map(|event| body(number * BATCH + event, now.wall)).collect();
        calls.push(worker.batch(now, worker.next, &bodies));
        worker.next += BATCH as u64;
    }
    let before = bytes(&path);
    let began = Instant::now();
    let mut quarter = Instant::now();
    for (commit, together) in calls.chunks(CALLS_PER_COMMIT).enumerate() {
        let quarters = BATCHES / CALLS_PER_COMMIT / 4;
        if commit > 0 && commit.is_multiple_of(quarters) {
            // History grows: the rate is to stay.
            let rate = (quarters * CALLS_PER_COMMIT * BATCH) as f64 / quarter.elapsed().as_secs_f64();
            println!("  commits to {commit}: {rate:.0} settlements/s");
            quarter = Instant::now();
        }
        now.wall += 100;
        let mut tx = store.begin().unwrap();
        for call in together {
            execute(&mut tx, now, &Command::Sync(Box::new(call.clone()))).unwrap();
        }
        tx.flush(now.wall).unwrap();
        tx.commit().unwrap();
    }
    let took = began.elapsed();
    let settlements = BATCHES * BATCH;
    println!("{settlements} settlements in {took:?}: {:.0}/s", settlements as f64 / took.as_secs_f64());
    store.begin().and_then(|mut tx| tx.flush_now().and_then(|_| tx.commit())).unwrap();
    println!("{} bytes a settlement in the file", (bytes(&path) - before) / settlements as u64);
    let began = Instant::now();
    drop(store);
    let store = Store::open(&path, world::catalog(), "speed", world::BEGIN).unwrap();
    println!("opened again in {:?}", began.elapsed());
    drop(store);
    let began = Instant::now();
    let report = super::verify(&path).unwrap();
    println!("{} entries verified in {:?}", report.entries, began.elapsed());
    assert_eq!(report.problems, []);
}

/// What the books take on disk, once the log beside them is written back; and what rows of accounts and entries take.
fn bytes(path: &std::path::Path) -> u64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mean = |of: &str| -> f64 {
        let mean =
            connection.query_row(&format!("SELECT avg(length({of}"), [], |row| row.get::<_, Option<f64>>(0));
        mean.unwrap().unwrap_or(0.0)
    };
    println!("  account rows {:.0} bytes", mean("state)) FROM account"));
    println!("  charges' bodies {:.0} bytes", mean("body)) FROM entry WHERE kind = 'charge'"));
    std::fs::metadata(path).unwrap().len()
}

fn body(number: usize, at: i64) -> EventBody {
    let tokens = 200 + number as u64 % 1_000;
    settled(wire::Settle {
        request: format!("01JDQ{number:021}"),
        account: format!("acct_{}", number.wrapping_mul(7_919) % ACCOUNTS),
        key: "key_4Kd0fYz2QxT7".to_owned(),
        term: 1,
        model: "sonnet".to_owned(),
        answered_model: None,
        service_tier: None,
        provider_cost: None,
        operation: "chat".to_owned(),
        outcome: wire::Outcome::Settled,
        source: Some(wire::UsageSource::Reported),
        status: Some(wire::UsageStatus::Complete),
        usage: tariff::Usage::new()
            .with(tariff::Meter::InputTokens, tokens)
            .with(tariff::Meter::OutputTokens, tokens / 2),
        lease: 1,
        takes: vec![wire::Take {
            bucket: "credits".to_owned(),
            held: Micros(1_000_000),
            used: Micros((tokens * 30 + tokens / 2 * 150) as i64),
        }],
        at,
    })
}

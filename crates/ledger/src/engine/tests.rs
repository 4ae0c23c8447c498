//! The writer under many callers, and its end where the store fails.

use std::future::Future as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use book::suite::world;
use tariff::Micros;

use super::*;
use crate::dto;
use crate::service::{Idempotency, NewAccount, ServiceError, Shop as _, Written};

fn start(store: &Path, on_fatal: fn()) -> Arc<Engine> {
    let options = Options {
        store: store.to_owned(),
        catalog: world::catalog(),
        metrics: Arc::new(Metrics::default()),
        delivery: Delivery::default(),
    };
    Engine::start(options, Arc::new(SystemClock::default()), on_fatal).unwrap()
}

fn never() {
    unreachable!("the writer failed");
}

async fn open_account(engine: &Engine) {
    let new = NewAccount { id: "acme".to_owned(), plan: "topup_only".to_owned(), ..NewAccount::default() };
    engine.create_account(None, new).await.unwrap();
}

fn grant(reference: usize) -> dto::Grant {
    dto::Grant {
        pool: "topup".to_owned(),
        amount: Micros(1_000_000).into(),
        expires_at: None,
        reference: format!("p{reference}"),
    }
}

async fn available(engine: &Engine) -> Micros {
    engine.balance("acme".to_owned()).await.unwrap().available.0
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_commits_and_each_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("ledger.db");
    let engine = start(&store, never);
    open_account(&engine).await;
    let calls = (0..200).map(|number| {
        let engine = Arc::clone(&engine);
        // Every reference is granted by two callers: one of them finds it there.
        tokio::spawn(
            async move { engine.create_grant(None, "acme".to_owned(), grant(number / 2)).await.unwrap() },
        )
    });
    let mut done = 0;
    for call in calls.collect::<Vec<_>>() {
        done += usize::from(matches!(call.await.unwrap(), Written::Done(_)));
    }
    assert_eq!((done, available(&engine).await), (100, world::credits(100)));
    let gauges = engine.gauges().await.unwrap();
    assert_eq!((gauges.accounts, gauges.queue), (1, 0));
    engine.close().await.unwrap();
    assert!(matches!(engine.ready().await, Err(ServiceError::Unavailable(_))));
    assert_eq!(crate::store::verify(&store).unwrap().problems, []);
}

#[tokio::test]
async fn an_idempotency_key_answers_with_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(&folder.path().join("ledger.db"), never);
    open_account(&engine).await;
    let write = |fingerprint| Some(Idempotency { key: "k".to_owned(), fingerprint: [fingerprint; 32] });
    let Written::Done(lot) = engine.create_grant(write(1), "acme".to_owned(), grant(1)).await.unwrap() else {
        unreachable!("it is the first")
    };
    let again = engine.create_grant(write(1), "acme".to_owned(), grant(2)).await.unwrap();
    assert_eq!(again, Written::Replayed(serde_json::to_vec(&lot).unwrap()));
    let other = engine.create_grant(write(2), "acme".to_owned(), grant(2)).await;
    assert!(matches!(other, Err(ServiceError::IdempotencyMismatch)));
    assert_eq!(available(&engine).await, world::credits(1));
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_keys_are_looked_up_beside_the_writer_and_not_without_bound() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(&folder.path().join("ledger.db"), never);
    open_account(&engine).await;
    let digest = wire::Digest([7; 32]);
    let new = crate::service::NewKey {
        account: "acme".to_owned(),
        id: "key_1".to_owned(),
        digest,
        name: None,
        auth_class: None,
        models: None,
        expires_at: None,
    };
    engine.create_key(None, new).await.unwrap();
    // The writer is busy until somebody lets it go.
    let (go, held) = std::sync::mpsc::channel::<()>();
    let busy = Arc::clone(&engine);
    let busy =
        tokio::spawn(async move { busy.writer.run(move |_, _| Ok(Ok(held.recv().is_err()))).await.unwrap() });
    assert_eq!(engine.customer(digest).await.unwrap(), Some(("acme".to_owned(), "key_1".to_owned())));
    assert_eq!(engine.customer(wire::Digest([8; 32])).await.unwrap(), None);
    // A connection that is busy is waited for by so many and no more.
    let (wait, waited) = std::sync::mpsc::channel::<()>();
    let (held, is_held) = tokio::sync::oneshot::channel();
    let reading = engine.customers.hold(move || {
        held.send(()).unwrap();
        let _ = waited.recv();
    });
    is_held.await.unwrap();
    let mut lookups: Vec<_> = (0..100).map(|_| Box::pin(engine.customer(digest))).collect();
    let mut put_off = 0;
    for lookup in &mut lookups {
        // Each has taken its place, or none, once it was asked.
        let asked = std::future::poll_fn(|context| std::task::Poll::Ready(lookup.as_mut().poll(context)));
        put_off += usize::from(matches!(asked.await, std::task::Poll::Ready(Err(ServiceError::Overloaded))));
    }
    assert_eq!(put_off, 100 - customers::LOOKUPS_MAX);
    drop((wait, lookups));
    reading.await.unwrap();
    drop(go);
    assert!(busy.await.unwrap());
    assert_eq!(engine.customer(digest).await.unwrap(), Some(("acme".to_owned(), "key_1".to_owned())));
    engine.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_commit_ends_the_writer_and_nothing_of_it_stays() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("ledger.db");
    let engine = start(&store, || {
        ENDED.fetch_add(1, Ordering::SeqCst);
    });
    open_account(&engine).await;
    engine.create_grant(None, "acme".to_owned(), grant(1)).await.unwrap();
    let other = rusqlite::Connection::open(&store).unwrap();
    let fault = "CREATE TRIGGER fault BEFORE INSERT ON change BEGIN SELECT RAISE(ABORT, 'disk'); END";
    other.execute_batch(fault).unwrap();
    let failed = engine.create_grant(None, "acme".to_owned(), grant(2)).await;
    assert!(matches!(failed, Err(ServiceError::Unavailable(_))), "{failed:?}");
    let after = engine.balance("acme".to_owned()).await;
    assert!(
        matches!(after, Err(ServiceError::Unavailable(_))),
        "nothing is served from memory ahead of the disk"
    );
    while ENDED.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(engine);
    other.execute_batch("DROP TRIGGER fault").unwrap();
    drop(other);

    let engine = start(&store, never);
    assert_eq!(available(&engine).await, world::credits(1));
    engine.create_grant(None, "acme".to_owned(), grant(2)).await.unwrap();
    assert_eq!(available(&engine).await, world::credits(2));
    engine.close().await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_job_ends_the_writer() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    let folder = tempfile::tempdir().unwrap();
    let engine = start(&folder.path().join("ledger.db"), || {
        ENDED.fetch_add(1, Ordering::SeqCst);
    });
    let failed: Result<(), ServiceError> = engine.writer.run(|_, _| panic!("a fault in a job")).await;
    assert!(matches!(failed, Err(ServiceError::Unavailable(_))));
    while ENDED.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(engine.ready().await, Err(ServiceError::Unavailable(_))));
}

/// A clock that stands until it is moved.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn wall(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn what_a_catalog_states_from_a_date_on_is_a_version_from_that_date_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = |first: &str| {
        let text = format!(
            "name: Dated\nmodels:\n  m:\n    price: {{per_request: {first}}}\n    price_changes:\n\
             \x20     - {{from: 2026-03-01, price: {{per_request: 2}}}}\n\
             \x20     - {{from: 2026-04-01, price: {{per_request: 3}}}}\n\
             pools: {{main: {{order: 1, expiry: never}}}}\nplans: {{p: {{}}}}\n"
        );
        tariff::source::load(text).unwrap()
    };
    // 2026-03-01 and 2026-04-01, 00:00 UTC.
    let (march, april) = (1_772_323_200_000, 1_775_001_600_000);
    let clock = Arc::new(Hand(AtomicI64::new(march - 1)));
    let options = || Options {
        store: folder.path().join("ledger.db"),
        catalog: file("1"),
        metrics: Arc::new(Metrics::default()),
        delivery: Delivery::default(),
    };
    let engine = Engine::start(options(), Arc::clone(&clock) as Arc<dyn Clock>, never).unwrap();
    let in_force = async |engine: &Engine| {
        engine.tick(1).await.unwrap();
        let catalog = engine.edge_catalog(None).await.unwrap();
        let price = catalog.model("m").unwrap().prices.unit(tariff::Meter::Requests).unwrap();
        (catalog.version, price.floor().unwrap() / 1_000_000)
    };
    assert_eq!(in_force(&engine).await, (1, 1));
    clock.0.store(march, Ordering::Relaxed);
    assert_eq!(in_force(&engine).await, (2, 2));
    // A file that is put in force has its own dates, those ahead among them.
    assert!(!engine.publish(file("5")).await.unwrap().changed, "what it says otherwise is past");
    assert_eq!(in_force(&engine).await, (2, 2));
    clock.0.store(april + 1, Ordering::Relaxed);
    assert_eq!(in_force(&engine).await, (3, 3));
    assert_eq!(in_force(&engine).await, (3, 3), "each date once");
    engine.close().await.unwrap();
    drop(engine);
    // A start finds what holds at its instant in force already.
    let engine = Engine::start(options(), Arc::clone(&clock) as Arc<dyn Clock>, never).unwrap();
    assert_eq!(in_force(&engine).await, (3, 3));
    engine.close().await.unwrap();
}

//! The SQLite store under the suite, and dying at arbitrary points.

mod lanes;
mod tampered;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use book::command::open::NewAccount;
use book::entry::Entry;
use book::suite::gusts::GUST_KINDS;
use book::suite::play::{STEP_KINDS, play};
use book::suite::storm::storm;
use book::suite::{Command, Reply, Subject, execute, world};
use book::{Account, AccountId, Counters, Error, Incident, Now, Tx as _};
use proptest::prelude::*;
use tariff::Catalog;

use super::{Store, rows, verify};

/// A store in a directory of its own.
struct Sqlite {
    path: PathBuf,
    catalog: Catalog,
    store: Option<Store>,
    counters: Counters,
    /// Writes all accounts down every so many calls; never where 0.
    flush_every: u64,
    calls: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Sqlite {
    fn new(catalog: Catalog) -> Self {
        Self::flushing(catalog, 0)
    }

    fn flushing(catalog: Catalog, flush_every: u64) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("bursar-store-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("ledger.db");
        let mut subject =
            Self { path, catalog, store: None, counters: Counters::default(), flush_every, calls: 0 };
        subject.reopen();
        subject
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Store::open(&self.path, self.catalog.clone(), "suite", world::BEGIN).unwrap());
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }
}

impl Sqlite {
    /// The past of this moment, read from the lines and what stands beside them, is the account as it is.
    fn check_past(&mut self) {
        let Some(account) = Subject::account(self, world::ACCOUNT) else { return };
        let reader = super::Reader::open(&self.path).unwrap();
        let past =
            reader.account_at(&account.id, account.last_line, i64::MAX - 1, usize::MAX).unwrap().unwrap();
        let of = |account: &Account| {
            (account.lots.clone(), account.debt, account.totals, account.cycle.clone(), account.terms.clone())
        };
        assert_eq!(of(&past), of(&account));
        assert_eq!((past.status, past.receivable), (account.status, account.receivable));
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.store.is_some() {
            self.check_past();
        }
        self.store = None;
        if !std::thread::panicking() {
            let report = verify(&self.path).unwrap();
            assert_eq!(report.problems, []);
        }
        std::fs::remove_dir_all(self.path.parent().unwrap()).unwrap();
    }
}

impl Subject for Sqlite {
    fn call(&mut self, now: Now, command: &Command) -> Result<Reply, Error> {
        self.calls += 1;
        let flush = self.flush_every > 0 && self.calls.is_multiple_of(self.flush_every);
        let mut tx = self.store().begin().unwrap();
        let reply = execute(&mut tx, now, command);
        assert!(!matches!(reply, Err(Error::Store(_))), "{reply:?}");
        if flush {
            tx.flush_now().unwrap();
        }
        let counted = tx.commit().unwrap();
        let all = &mut self.counters;
        all.applied += counted.applied;
        all.replayed += counted.replayed;
        all.conflicts += counted.conflicts;
        all.gaps += counted.gaps;
        all.disputed += counted.disputed;
        all.price_mismatches += counted.price_mismatches;
        all.overshoot += counted.overshoot;
        all.provider_cost += counted.provider_cost;
        all.card_cost += counted.card_cost;
        all.cost_mismatches += counted.cost_mismatches;
        all.nodes_closed += counted.nodes_closed;
        all.closed_leases += counted.closed_leases;
        reply
    }

    fn account(&mut self, id: &str) -> Option<Account> {
        let mut tx = self.store().begin().unwrap();
        let account = tx.account(id).unwrap().cloned();
        tx.commit().unwrap();
        account
    }

    fn rebuilt(&mut self, id: &str) -> Option<Account> {
        let id = AccountId::parse(id).unwrap();
        let mut account = Account::empty(id.clone());
        self.journal().iter().filter(|entry| entry.account == id).for_each(|entry| account.apply(entry));
        (account.last_entry > 0).then_some(account)
    }

    fn journal(&mut self) -> Vec<Entry> {
        let connection = super::read::connect(&self.path).unwrap();
        let select = format!("SELECT {} FROM {} ORDER BY entry.id", rows::COLUMNS, rows::FROM);
        let mut select = connection.prepare(&select).unwrap();
        let mut found = select.query([]).unwrap();
        let mut journal = Vec::new();
        while let Some(row) = found.next().unwrap() {
            journal.push(rows::decode(row).unwrap());
        }
        journal
    }

    fn incidents(&mut self) -> Vec<Incident> {
        let connection = super::read::connect(&self.path).unwrap();
        let mut select =
            connection.prepare("SELECT at, account, code, detail FROM incident ORDER BY id").unwrap();
        let incident = |row: &rusqlite::Row<'_>| {
            let (at, account) = (row.get(0)?, row.get(1)?);
            Ok(Incident { at, account, event: None, code: row.get(2)?, detail: row.get(3)? })
        };
        select.query_map([], incident).unwrap().map(Result::unwrap).collect()
    }

    fn notices(&mut self) -> Vec<serde_json::Value> {
        let connection = super::read::connect(&self.path).unwrap();
        let mut select = connection.prepare("SELECT body FROM notice ORDER BY id").unwrap();
        let bodies = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        bodies.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
    }

    fn counters(&mut self) -> Counters {
        self.counters
    }

    fn publish(&mut self, catalog: Catalog) {
        self.catalog = catalog;
        self.reopen();
    }

    fn crash(&mut self) {
        self.reopen();
    }
}

book::suite!(super::Sqlite::new);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_happens_the_book_is_right(
        steps in prop::collection::vec((0..STEP_KINDS, any::<u32>(), any::<u32>()), 1..60),
        flush_every in 0_u64..5,
    ) {
        play(|catalog| Sqlite::flushing(catalog, flush_every), &steps);
    }

    #[test]
    fn in_any_storm_the_book_is_what_the_facts_say(
        gusts in prop::collection::vec((0..GUST_KINDS, any::<u32>(), any::<u32>(), any::<u32>()), 1..40),
        flush_every in 0_u64..5,
    ) {
        storm(|catalog| Sqlite::flushing(catalog, flush_every), &gusts);
    }
}

/// Its row still says when it was due before.
#[test]
fn an_account_that_is_not_written_down_again_is_due_by_what_it_is() {
    let mut subject = Sqlite::flushing(book::suite::catalog(), 2);
    let id = "acme".to_owned();
    let open = NewAccount { id: id.clone(), plan: "starter".to_owned(), ..NewAccount::default() };
    let now = Now { wall: world::BEGIN, up: 0 };
    subject.call(now, &Command::Open(open)).unwrap();
    // Written down with this call, and not with the next.
    subject.call(now, &Command::Tick).unwrap();
    let end = Subject::account(&mut subject, &id).unwrap().cycle.unwrap().end;
    let due = |subject: &mut Sqlite| {
        let mut tx = subject.store().begin().unwrap();
        let due = tx.due(end, 10).unwrap();
        tx.commit().unwrap();
        due.len()
    };
    assert_eq!(due(&mut subject), 1);
    subject.call(Now { wall: end, up: 0 }, &Command::Tick).unwrap();
    assert_eq!(due(&mut subject), 0);
}

#[test]
fn a_store_is_open_once() {
    let subject = Sqlite::new(book::suite::catalog());
    let again = Store::open(&subject.path, subject.catalog.clone(), "suite", world::BEGIN);
    assert!(matches!(again, Err(super::OpenError::InUse)));
}

#[test]
fn a_later_schema_is_refused() {
    let mut subject = Sqlite::new(book::suite::catalog());
    subject.store = None;
    let connection = rusqlite::Connection::open(&subject.path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let again = Store::open(&subject.path, subject.catalog.clone(), "suite", world::BEGIN);
    assert!(matches!(again, Err(super::OpenError::TooNew { found: 99, known: 3 })));
}

#[test]
fn the_generation_and_the_catalog_version_outlive_the_process() {
    let mut subject = Sqlite::new(book::suite::catalog());
    assert_eq!(&*subject.store().generation(), "suite");
    subject.store = None;
    let reopened = Store::open(&subject.path, subject.catalog.clone(), "other", world::BEGIN).unwrap();
    assert_eq!(&*reopened.generation(), "suite");
    assert_eq!(reopened.catalogs().1, 1);
}

#[test]
fn books_that_are_older_or_from_elsewhere_get_another_generation() {
    let mut world = book::suite::World::new(Sqlite::new, "starter");
    let path = world.subject.path.clone();
    let lock = path.with_extension("db.lock");
    let copy = path.with_extension("copy");
    let open = |fresh: &str| Store::open(&path, world::catalog(), fresh, world::BEGIN).unwrap();
    let stop = |store: Store| {
        let generation = store.generation();
        store.close().unwrap();
        generation
    };
    stop(world.subject.store.take().unwrap());
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(&*stop(open("second")), "suite", "nothing happened to it");
    // The copy is of the run before.
    std::fs::copy(&copy, &path).unwrap();
    assert_eq!(&*stop(open("third")), "third");
    assert_eq!(&*stop(open("fourth")), "third");
    // A copy of this very run, older by an entry.
    std::fs::copy(&path, &copy).unwrap();
    let mark = std::fs::read_to_string(&lock).unwrap();
    let (run, entry) = mark.trim().split_once(' ').unwrap();
    let entry: u64 = entry.parse().unwrap();
    std::fs::write(&lock, format!("{run} {:020}\n", entry + 1)).unwrap();
    assert_eq!(&*stop(open("fifth")), "fifth");
    // From another machine: without the file beside it.
    std::fs::remove_file(&lock).unwrap();
    assert_eq!(&*stop(open("sixth")), "sixth");
    // By hand.
    assert_eq!(super::renew_generation(&path, "by-hand").unwrap().as_deref(), Some("sixth"));
    assert_eq!(super::generation(&path).unwrap().as_deref(), Some("by-hand"));
    let running = open("seventh");
    assert_eq!(&*running.generation(), "by-hand");
    assert!(matches!(super::renew_generation(&path, "x"), Err(super::OpenError::InUse)));
    drop(running);
}

//! The ledger of a simulation: the real book behind a process that dies, stands still and comes back older.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use book::command::{grant, key, node, open, plan, run_due};
use book::memory::Memory as Book;
use book::suite::Subject as _;
use book::{Now, Tx as _};
use wire::{AccountStatus, SyncRequest, SyncResponse};

use super::market;
use super::report::{Broken, ensure};
use super::tamper::{self, Tamper};
use crate::BEGIN_MS;

/// The longest stretch between two looks at the clock that counts as uptime, in microseconds (the engine's rule).
const STRETCH_MAX_US: u64 = 5_000_000;

/// The ledger.
pub struct Ledger {
    /// Its book.
    pub book: Book,
    /// Until when it is down, in microseconds.
    pub down_until_us: u64,
    /// Until when it stands still.
    pub frozen_until_us: u64,
    /// What its wall clock is off, in milliseconds.
    pub wall_offset_ms: i64,
    /// How often it was restored: its generation.
    pub restored: u64,
    /// What restores may take: copies of the book, by number.
    pub copies: Vec<Rc<Book>>,
    /// Changes answers and requests: what a broken ledger would do.
    pub tamper: Tamper,
    clip: bool,
    wall_ms: i64,
    up_us: u64,
    looked_us: u64,
    grants: u64,
}

impl Ledger {
    /// A ledger under the first version of the catalog.
    pub fn new(clip: bool) -> Self {
        Self {
            book: Book::new(parsed(1, clip)),
            down_until_us: 0,
            frozen_until_us: 0,
            wall_offset_ms: 0,
            restored: 0,
            copies: Vec::new(),
            tamper: Tamper::Nothing,
            clip,
            wall_ms: BEGIN_MS,
            up_us: 0,
            looked_us: 0,
            grants: 0,
        }
    }

    /// The moment as the ledger has it: its wall clock never falls, and its stalls are no uptime.
    pub fn now(&mut self, now_us: u64) -> Now {
        let ms = |us: u64| i64::try_from(us / 1_000).expect("a time of this age");
        self.wall_ms = self.wall_ms.max(BEGIN_MS + ms(now_us) + self.wall_offset_ms);
        self.up_us += now_us.saturating_sub(self.looked_us).min(STRETCH_MAX_US);
        self.looked_us = now_us;
        Now { wall: self.wall_ms, up: ms(self.up_us) }
    }

    /// Its generation, as it tells nodes.
    pub fn generation(&self) -> String {
        format!("{}-{}", self.book.generation(), self.restored)
    }

    /// What it does by itself, every second.
    pub fn tick(&mut self, now_us: u64) {
        let now = self.now(now_us);
        run_due(&mut self.book, now, 100).expect("due");
        for id in node::close_silent(&mut self.book, now).expect("nodes") {
            node::take_home(&mut self.book, now, id, usize::MAX).expect("leases");
        }
    }

    /// Answers a call; nothing where it is refused.
    pub fn answer(&mut self, now_us: u64, path: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        let now = self.now(now_us);
        if path != wire::SYNC_PATH {
            let version: Option<u64> = path.rsplit('=').next().and_then(|text| text.parse().ok());
            let catalog = version.and_then(|version| Some((version, self.book.catalog(version).ok()??)));
            return Ok(catalog.map(|(version, catalog)| json(&catalog.edge(version))));
        }
        let mut request: SyncRequest = serde_json::from_slice(body)
            .map_err(|error| Broken::new("host", format!("the edge sends no sync call: {error}")))?;
        let known = request.generation.as_ref().is_none_or(|generation| *generation == self.generation());
        request.generation = request
            .generation
            .map(|_| if known { self.book.generation().to_owned() } else { "another".to_owned() });
        let mut response = self.sync(now, &mut request)?;
        response.generation = self.generation();
        Ok(Some(json(&response)))
    }

    fn sync(&mut self, now: Now, request: &mut SyncRequest) -> Result<SyncResponse, Broken> {
        let refused = |error| Broken::new("host", format!("the ledger refuses a call of the edge: {error}"));
        let ahead = tamper::before(self, now, request);
        let mut response = book::sync::sync(&mut self.book, now, request).map_err(refused)?;
        tamper::after(self.tamper, ahead, &mut response);
        Ok(response)
    }

    /// The process dies; it is back after a time.
    pub fn restart(&mut self, now_us: u64, ms: u64) {
        self.down_until_us = self.down_until_us.max(now_us + ms * 1_000);
        self.book.crash();
        (self.up_us, self.looked_us) = (0, self.down_until_us);
    }

    /// The process dies and comes back with a copy of its book, as another generation.
    pub fn restore(&mut self, now_us: u64, ms: u64, copy: usize) {
        self.book = Book::clone(&self.copies[copy]);
        self.restored += 1;
        self.restart(now_us, ms);
    }

    /// Opens an account with a key of the same name.
    pub fn open(&mut self, now_us: u64, id: &str, plan: &str, created_at: Option<i64>) {
        let now = self.now(now_us);
        let new = open::NewAccount {
            id: id.to_owned(),
            plan: plan.to_owned(),
            created_at,
            ..open::NewAccount::default()
        };
        open::open(&mut self.book, now, &new).expect("account");
        self.add_key(now_us, id, 1);
    }

    /// Gives an account a key; the first one is named like the account.
    pub fn add_key(&mut self, now_us: u64, id: &str, number: u64) {
        let now = self.now(now_us);
        let digest = edge::request::credential::digest(format!("key-{id}").as_bytes()).expect("digest");
        let mut new = key::NewKey {
            account: id.to_owned(),
            id: format!("k{number}-{id}"),
            digest,
            name: None,
            auth_class: None,
            models: None,
            expires_at: None,
        };
        // A digest is a key's for ever: later ones have another secret, which no client of ours uses.
        if number > 1 {
            new.digest =
                edge::request::credential::digest(format!("key-{id}-{number}").as_bytes()).expect("digest");
        }
        let _ = key::create(&mut self.book, now, &new);
    }

    /// Revokes an account's first key.
    pub fn revoke(&mut self, now_us: u64, id: &str) {
        let now = self.now(now_us);
        let _ = key::revoke(&mut self.book, now, id, &format!("k1-{id}"));
    }

    /// Grants top-up credits.
    pub fn top_up(&mut self, now_us: u64, id: &str, micros: i64) {
        let now = self.now(now_us);
        self.grants += 1;
        let new = grant::NewGrant {
            account: id.to_owned(),
            pool: "topup".to_owned(),
            amount: tariff::Micros(micros),
            expires_at: None,
            reference: format!("t{}-{}", self.grants, self.restored),
        };
        grant::grant(&mut self.book, now, &new).expect("grant");
    }

    /// Switches a plan, unless it is the account's already.
    pub fn switch(&mut self, now_us: u64, id: &str, to: &str) {
        let now = self.now(now_us);
        let _ = plan::switch(&mut self.book, now, id, to, false);
    }

    /// Suspends an account, or lifts that.
    pub fn suspend(&mut self, now_us: u64, id: &str) {
        let now = self.now(now_us);
        let active =
            self.book.accounts.get(id).is_some_and(|account| account.status == AccountStatus::Active);
        let status = if active { AccountStatus::Suspended } else { AccountStatus::Active };
        open::set_status(&mut self.book, now, id, status).expect("status");
    }

    /// Puts the next version of the catalog in force, as far as there is one.
    pub fn publish(&mut self) {
        let next = self.book.catalog_version() + 1;
        if next <= market::VERSIONS {
            self.book.publish(parsed(next, self.clip));
        }
    }

    /// Asserts what the book itself promises (I1), for one account.
    pub fn check(&self, id: &str) -> Result<(), Broken> {
        let Some(account) = self.book.accounts.get(id) else { return Ok(()) };
        let broken = book::invariant::broken(account);
        ensure("I1", broken.is_none(), || format!("{id}: {}", broken.clone().unwrap_or_default()))
    }
}

fn parsed(version: u64, clip: bool) -> tariff::Catalog {
    thread_local! {
        // Reading one takes longer than many a run.
        static READ: RefCell<HashMap<(u64, bool), tariff::Catalog>> = RefCell::default();
    }
    let read = || tariff::source::load(market::catalog(version, clip)).expect("the simulated catalog");
    READ.with_borrow_mut(|known| known.entry((version, clip)).or_insert_with(read).clone())
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("an answer serialises")
}

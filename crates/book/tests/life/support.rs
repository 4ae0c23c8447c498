//! One account on the store in memory, a clock, and words for what is done with it.

use book::command::plan::{Confirmation, NewSwitch, Switch};
use book::command::{self, open, plan, settings};
use book::memory::Memory;
use book::{Account, Error, Now, Refusal, Settings, Tx as _, posting};
use jiff::Timestamp;
use tariff::{Catalog, Grant, Micros, Plan, Ratio};

pub const ACCOUNT: &str = "acme";
pub const DAY: i64 = 86_400_000;

pub struct World {
    pub store: Memory,
    pub now: Now,
}

pub fn ratio(text: &str) -> Ratio {
    Ratio::parse_decimal(text).unwrap()
}

pub const fn credits(amount: i64) -> Micros {
    Micros(amount * 1_000_000)
}

pub const fn usd(dollars: i64) -> Micros {
    Micros(dollars * 1_000_000)
}

pub const fn cents(cents: i64) -> Micros {
    Micros(cents * 10_000)
}

pub fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// A plan with a price and one grant per cycle and pool.
pub fn priced(name: &str, price: Micros, grants: &[(&str, i64)]) -> Plan {
    let grant = |(pool, amount): &(&str, i64)| Grant::every_cycle((*pool).to_owned(), credits(*amount));
    Plan { price_usd: Some(price), grants: grants.iter().map(grant).collect(), ..Plan::named(name) }
}

impl World {
    /// An account on a plan, opened at an instant.
    pub fn open(catalog: Catalog, begin: &str, plan: &str) -> Self {
        Self::open_with(
            catalog,
            begin,
            open::NewAccount { plan: plan.to_owned(), ..open::NewAccount::default() },
        )
    }

    pub fn open_with(catalog: Catalog, begin: &str, new: open::NewAccount) -> Self {
        let mut world = Self { store: Memory::new(catalog), now: Now { wall: at(begin), up: 0 } };
        let new = open::NewAccount { id: ACCOUNT.to_owned(), ..new };
        open::open(&mut world.store, world.now, &new).unwrap();
        world.check();
        world
    }

    /// Time passes; the due work is done at the end of it.
    pub fn until(&mut self, instant: &str) {
        self.now.wall = at(instant);
        command::run_due(&mut self.store, self.now, 10).unwrap();
        command::touch(&mut self.store, ACCOUNT, self.now).unwrap();
        self.check();
        assert_eq!(self.store.due(self.now.wall, 10).unwrap(), Vec::new(), "work that is never done");
    }

    pub fn account(&self) -> &Account {
        self.store.accounts.values().next().unwrap()
    }

    pub fn settings(&self) -> &Settings {
        &self.account().settings
    }

    /// What is left in a pool.
    pub fn left(&self, pool: &str) -> Micros {
        let open = self.account().lots.values().filter(|lot| &*lot.pool == pool && lot.closing.is_none());
        Micros(open.map(|lot| lot.remaining.get()).sum())
    }

    /// The billing cycle, as instants.
    pub fn cycle(&self) -> Option<(String, String)> {
        let text = |instant| book::calendar::rfc3339(instant).unwrap();
        self.account().cycle.as_ref().map(|cycle| (text(cycle.start), text(cycle.end)))
    }

    pub fn switch(&mut self, to: &str) -> Switch {
        self.change(&NewSwitch { to: to.to_owned(), ..NewSwitch::default() }).unwrap()
    }

    pub fn change(&mut self, new: &NewSwitch) -> Result<Switch, Error> {
        let switch = plan::change(&mut self.store, self.now, ACCOUNT, new);
        self.check();
        switch
    }

    pub fn confirm(&mut self, change: u64, reference: &str) -> Result<bool, Error> {
        let (provider, reference) = ("creem".to_owned(), reference.to_owned());
        let new = Confirmation { change, provider, reference, usd: None };
        let confirmed = plan::confirm(&mut self.store, self.now, ACCOUNT, &new);
        self.check();
        confirmed
    }

    pub fn set(&mut self, change: &settings::SettingsChange) {
        settings::change(&mut self.store, self.now, ACCOUNT, change).unwrap();
        self.check();
    }

    /// What was used of a pool, as an operator's correction would take it: the lots have so much less.
    pub fn use_up(&mut self, pool: &str, amount: Micros, reference: &str) {
        let new = command::correct::NewAdjustment {
            account: ACCOUNT.to_owned(),
            pool: pool.to_owned(),
            amount: Micros(-amount.get()),
            expires_at: None,
            allow_debt: false,
            reason: "use".to_owned(),
            reference: reference.to_owned(),
        };
        command::correct::adjust(&mut self.store, self.now, &new).unwrap();
        self.check();
    }

    /// The fold is the journal, and every entry's postings sum to zero.
    pub fn check(&self) {
        assert_eq!(self.store.rebuilt(ACCOUNT).as_ref(), Some(self.account()));
        assert_eq!(book::invariant::broken(self.account()), None);
        for entry in &self.store.journal {
            assert_eq!(posting::balance(entry), 0, "{entry:?}");
        }
    }
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
pub fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    match refused(result) {
        Refusal::Conflict { code, .. } => code,
        Refusal::Invalid { member, .. } => member,
        other => panic!("{other:?}"),
    }
}

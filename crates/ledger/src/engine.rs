//! The engine: the book on a store, behind [`Service`].
//!
//! One thread writes; whatever changes the book, and every read that must be current, is a job for it.
//! Pages of the journal are read beside it. A ticker brings the due work in.

mod access;
mod clock;
mod customers;
mod dates;
mod deliver;
mod explain;
mod journal;
mod life;
mod operator;
mod recover;
mod report;
mod serve;
mod shelf;
mod shop;
mod sign;
#[cfg(test)]
mod tests;
mod view;
mod webhooks;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use book::{StoreError, command};
use tariff::Catalog;
use tokio::task::JoinHandle;

pub use self::clock::{Clock, SystemClock};
use self::dates::Dates;
pub use self::deliver::Delivery;
use self::shelf::Shelf;
pub use self::sign::fresh_secret;
pub use self::write::Writer;
use crate::keys::{RandomnessError, fresh_token};
use crate::metrics::Metrics;
use crate::service::{IDEMPOTENCY_KEPT_HOURS, Service};
use crate::store::{OpenError, Reader, SqliteTx, Store};

/// What the engine runs with.
pub struct Options {
    /// The SQLite file.
    pub store: PathBuf,
    /// The catalog to put in force.
    pub catalog: Catalog,
    /// What it counts into.
    pub metrics: Arc<Metrics>,
    /// How webhooks are delivered.
    pub delivery: Delivery,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// No thread could be started.
    #[error("the writer's thread: {0}")]
    Thread(std::io::Error),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

/// The engine.
pub struct Engine {
    writer: Writer,
    reader: Arc<Reader>,
    long: journal::LongReads,
    customers: customers::Customers,
    generation: Arc<str>,
    shelf: Arc<Shelf>,
    dates: Arc<Dates>,
    tokens: access::TokenShelf,
    /// What goes on until the engine closes.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// How often due work is looked for.
const TICK: Duration = Duration::from_secs(1);
/// The most accounts brought up to date in one tick.
const DUE_PER_TICK: usize = 1_000;
/// The most accounts whose leases are taken home in one tick.
const HOME_PER_TICK: usize = 1_000;
/// How far the clock may be behind the journal before it is worth a word, in milliseconds.
const CLOCK_BEHIND_MAX_MS: i64 = 1_000;
/// Ticks between two looks for what may be forgotten.
const TICKS_PER_PRUNE: u64 = 60;

/// Opens the store and starts the engine; within a Tokio runtime.
///
/// Where a commit fails the process ends: what is in memory is ahead of the disk then, and the next
/// start brings back what was committed.
///
/// # Errors
/// [`EngineError`].
pub fn open(options: Options) -> Result<Arc<dyn Service>, EngineError> {
    let (delivery, metrics) = (options.delivery.clone(), Arc::clone(&options.metrics));
    let engine = Engine::start(options, Arc::new(SystemClock::default()), write::end_process)?;
    engine.tick_from_now_on();
    engine.deliver_from_now_on(delivery, metrics);
    Ok(engine)
}

// === impl Engine ===

impl Engine {
    /// Opens the store and starts the writer, without a ticker.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn start(options: Options, clock: Arc<dyn Clock>, on_fatal: fn()) -> Result<Arc<Self>, EngineError> {
        let generation = fresh_token()?;
        let (dates, catalog) = Dates::new(options.catalog, clock.wall());
        let store = Store::open(&options.store, catalog, &generation, clock.wall())?;
        let ahead = store.last_at().saturating_sub(clock.wall());
        if ahead > CLOCK_BEHIND_MAX_MS {
            tracing::warn!(
                ahead_ms = ahead,
                "the journal is ahead of the clock: time stands still until it is reached"
            );
        }
        let reader = Arc::new(Reader::open(&options.store)?);
        let long = journal::LongReads::new(Reader::open(&options.store)?);
        let customers = customers::Customers::new(Reader::open(&options.store)?);
        let generation = store.generation();
        let (catalogs, catalog_version) = store.catalogs();
        let shelf = Arc::new(Shelf::new(catalogs, catalog_version));
        let writer = Writer::start(store, clock, options.metrics, on_fatal).map_err(EngineError::Thread)?;
        let (tokens, tasks) = (access::load(&reader)?, Mutex::default());
        let dates = Arc::new(dates);
        Ok(Arc::new(Self { writer, reader, long, customers, generation, shelf, dates, tokens, tasks }))
    }

    /// Does what is due: silent nodes are closed, their leases come home, cycles roll.
    ///
    /// # Errors
    /// Where the writer is gone.
    pub async fn tick(&self, count: u64) -> Result<(), crate::service::ServiceError> {
        self.keep_dates().await?;
        self.writer.run(move |tx, now| tick(tx, now, count).map(Ok)).await
    }

    /// Puts what the catalog states from a date on in force, once the date has come.
    async fn keep_dates(&self) -> Result<(), crate::service::ServiceError> {
        if !self.dates.any_ahead() {
            return Ok(());
        }
        let dates = Arc::clone(&self.dates);
        let job = move |tx: &mut SqliteTx<'_>, now: book::Now| {
            let Some(catalog) = dates.due(now.wall) else { return Ok(Ok(None)) };
            let kept = Arc::new(catalog.clone());
            let (version, changed) = tx.publish(catalog, now.wall)?;
            Ok(Ok(changed.then_some((version, kept))))
        };
        if let Some((version, catalog)) = self.writer.run(job).await? {
            tracing::info!(version, "catalog in force: one of its dates has come");
            self.shelf.add(version, catalog);
        }
        Ok(())
    }

    fn tick_from_now_on(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        let ticker = tokio::spawn(async move {
            let mut interval = tokio::time::interval(TICK);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for count in 0_u64.. {
                interval.tick().await;
                let Some(engine) = engine.upgrade() else { return };
                if let Err(error) = engine.tick(count).await {
                    tracing::warn!(%error, "tick");
                }
            }
        });
        self.keep(ticker);
    }

    fn deliver_from_now_on(&self, delivery: Delivery, metrics: Arc<Metrics>) {
        let dispatcher =
            deliver::Dispatcher::new(self.writer.clone(), Arc::clone(&self.reader), delivery, metrics);
        self.keep(tokio::spawn(dispatcher.run()));
    }

    fn keep(&self, task: JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
    }

    fn stop_tasks(&self) {
        for task in self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

fn tick(tx: &mut SqliteTx<'_>, now: book::Now, count: u64) -> Result<(), StoreError> {
    for node in command::node::close_silent(tx, now)? {
        tracing::warn!(%node, "node closed: no call within {} ms", wire::NODE_OPEN_MS);
    }
    let mut left = HOME_PER_TICK;
    for node in tx.closed_holders() {
        let taken = command::node::take_home(tx, now, node, left)?;
        left = left.saturating_sub(taken);
        if left == 0 {
            break;
        }
    }
    command::run_due(tx, now, DUE_PER_TICK)?;
    if count.is_multiple_of(TICKS_PER_PRUNE) {
        tx.prune(now.wall, now.wall.saturating_sub(kept_ms()))?;
    }
    Ok(())
}

/// How long answers are kept under idempotency keys, in milliseconds.
const fn kept_ms() -> i64 {
    IDEMPOTENCY_KEPT_HOURS.saturating_mul(3_600_000)
}

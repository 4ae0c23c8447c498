//! The writer: one thread, jobs in order, group commit.
//!
//! Jobs that wait together share a transaction; each is answered after the commit. A job may refuse,
//! and has changed nothing then; a job or a commit that fails in the store is the end of the process,
//! because the memory may be ahead of the disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use book::{Counters, Now, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::clock::{Clock, Timeline};
use crate::metrics::{EventLabels, EventResult, Metrics};
use crate::service::ServiceError;
use crate::store::{SqliteTx, Store};

/// The way to the writer.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

/// The most jobs that wait.
const QUEUE_MAX: usize = 4_096;
/// The most jobs of one transaction: bounds how long the first of them waits.
const JOBS_PER_COMMIT: usize = 256;
/// Time for the last answers to leave before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

type Job = Box<dyn FnOnce(&mut SqliteTx<'_>, Now) -> Result<Answer, StoreError> + Send>;
/// Sends a job's answer, after the commit.
type Answer = Box<dyn FnOnce() + Send>;

enum Message {
    Job(Job),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

// === impl Writer ===

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(
        store: Store,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        on_fatal: fn(),
    ) -> Result<Self, io::Error> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let timeline = Timeline::new(&*clock, store.last_at());
        let thread = Thread { jobs, clock, timeline, metrics, waiting: Arc::clone(&waiting) };
        std::thread::Builder::new().name("writer".to_owned()).spawn(move || thread.run(store, on_fatal))?;
        Ok(Self { queue, waiting })
    }

    /// Runs a job in a transaction and waits for its commit. A caller that stops waiting does not take
    /// the job back.
    ///
    /// # Errors
    /// What the job refuses with; [`ServiceError::Overloaded`] where too many wait,
    /// [`ServiceError::Unavailable`] where the writer is gone.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut SqliteTx<'_>, Now) -> Result<Result<T, ServiceError>, StoreError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |tx, now| {
            let answer = job(tx, now)?;
            // Nobody may wait any more; the effect stands.
            Ok(Box::new(move || drop(sender.send(answer))))
        });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.queue.try_send(Message::Job(job)) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(match error {
                mpsc::error::TrySendError::Full(_) => ServiceError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => gone(),
            });
        }
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Ends the jobs that wait, writes everything down, closes the store.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] where the writer is gone, or what the store says.
    pub async fn close(&self) -> Result<(), ServiceError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.send(Message::Close(sender)).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?.map_err(ServiceError::internal)
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }
}

struct Thread {
    jobs: mpsc::Receiver<Message>,
    clock: Arc<dyn Clock>,
    timeline: Timeline,
    metrics: Arc<Metrics>,
    waiting: Arc<AtomicUsize>,
}

// === impl Thread ===

impl Thread {
    fn run(mut self, store: Store, on_fatal: fn()) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work(store)));
        // Whoever waits learns that nobody will answer.
        drop(self);
        match worked {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "the store failed: the next start begins from the disk")
            }
            Err(_) => tracing::error!("the writer panicked: the next start begins from the disk"),
        }
        on_fatal();
    }

    fn work(&mut self, mut store: Store) -> Result<(), StoreError> {
        while let Some(message) = self.jobs.blocking_recv() {
            let first = match message {
                Message::Job(job) => job,
                Message::Close(sender) => {
                    // Nobody may wait for it; the log has the error then.
                    let closed = store.close();
                    drop(sender.send(closed));
                    return Ok(());
                }
            };
            if let Some(sender) = self.commit(&mut store, first)? {
                drop(sender.send(store.close()));
                return Ok(());
            }
        }
        store.close()
    }

    /// Runs what waits in one transaction; gives whoever asked to close behind it.
    fn commit(
        &mut self,
        store: &mut Store,
        first: Job,
    ) -> Result<Option<oneshot::Sender<Result<(), StoreError>>>, StoreError> {
        let began = Instant::now();
        let now = self.timeline.now(&*self.clock);
        let mut tx = store.begin()?;
        let mut answers = vec![first(&mut tx, now)?];
        let mut closing = None;
        while answers.len() < JOBS_PER_COMMIT {
            match self.jobs.try_recv() {
                Ok(Message::Job(job)) => answers.push(job(&mut tx, now)?),
                Ok(Message::Close(sender)) => {
                    closing = Some(sender);
                    break;
                }
                Err(_) => break,
            }
        }
        tx.flush(now.wall)?;
        let counters = tx.commit()?;
        store.mark(now.wall);
        self.waiting.fetch_sub(answers.len(), Ordering::Relaxed);
        self.count(&counters, answers.len(), began.elapsed());
        for answer in answers {
            answer();
        }
        Ok(closing)
    }

    fn count(&self, counters: &Counters, jobs: usize, took: Duration) {
        let metrics = &self.metrics;
        let events = [
            (EventResult::applied, counters.applied),
            (EventResult::replayed, counters.replayed),
            (EventResult::conflict, counters.conflicts),
            (EventResult::rejected, counters.rejected),
            (EventResult::gap, counters.gaps),
            (EventResult::recovered, counters.recovered),
        ];
        for (result, count) in events.into_iter().filter(|(_, count)| *count > 0) {
            metrics.events.get_or_create(&EventLabels { result }).inc_by(count);
        }
        let amount = |amount: i128| u64::try_from(amount).unwrap_or(u64::MAX);
        metrics.charged.inc_by(amount(counters.charged));
        metrics.disputed.inc_by(amount(counters.disputed));
        metrics.debt_charged.inc_by(amount(counters.debt_charged));
        metrics.price_mismatches.inc_by(counters.price_mismatches);
        metrics.overshoot.inc_by(amount(counters.overshoot));
        metrics.provider_cost.inc_by(amount(counters.provider_cost));
        metrics.card_cost.inc_by(amount(counters.card_cost));
        metrics.cost_mismatches.inc_by(counters.cost_mismatches);
        metrics.closed_leases.inc_by(amount(counters.closed_leases));
        metrics.nodes_closed.inc_by(counters.nodes_closed);
        metrics.commits.inc();
        metrics.commit_seconds.observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a histogram's sample, at most 256")]
        metrics.commit_commands.observe(jobs as f64);
    }
}

/// Ends the process after a moment for the last answers (503) to leave.
pub fn end_process() {
    std::thread::sleep(LAST_WORDS);
    std::process::exit(1);
}

fn gone() -> ServiceError {
    ServiceError::Unavailable("the writer is gone".to_owned())
}

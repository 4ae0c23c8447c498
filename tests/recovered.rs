//! What nobody could deliver, charged after all: `kill -9` of an Envoy, of the ledger in the midst of many
//! requests, books restored from an older copy, a wrong ledger at the right address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{funded, openai_refusal, setup, still_serves};
use serde_json::Value;
use testbed::gateway::Headers;
use testbed::link::Fault;
use testbed::request::Chat;
use testbed::{Account, Stack, wait};

/// How soon things are normal after a fault ends.
const HEALED_WITHIN: Duration = Duration::from_secs(15);
/// A ledger that finds a node gone under another id takes its lane once it has closed it.
const CLOSED_WITHIN: Duration = Duration::from_secs(90);

fn small() -> Chat {
    Chat::new("gpt-5-mini").max_tokens(200).takes(100, 150)
}

fn number(summary: &Value, name: &str) -> u64 {
    summary.get(name).and_then(Value::as_u64).unwrap_or(u64::MAX)
}

/// Requests from several clients at once until one cannot be sent any more, or so many were served.
async fn load(stack: &Stack, account: &Account, clients: usize, requests: usize) -> Result<Load> {
    let (served, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (client, key) = (stack.client()?, account.key.clone());
        let (served, sent) = (served.clone(), sent.clone());
        tasks.push(tokio::spawn(async move {
            while sent.fetch_add(1, Ordering::Relaxed) < requests {
                // The Envoy may have been killed.
                let Ok(answer) = client.send(small().request(&key)).await else { return Ok(()) };
                if answer.status == 200 {
                    served.fetch_add(1, Ordering::Relaxed);
                } else {
                    openai_refusal(&answer, 503, "ledger_unavailable")?;
                }
            }
            Ok::<(), anyhow::Error>(())
        }));
    }
    Ok(Load { served, tasks })
}

/// Clients at work.
struct Load {
    served: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Load {
    async fn served(&self, count: usize) -> Result<()> {
        wait::until_true("requests are served", Duration::from_secs(30), || async {
            Ok(self.served.load(Ordering::Relaxed) >= count)
        })
        .await
    }

    /// Waits for all clients; how many requests were served.
    async fn ended(self) -> Result<usize> {
        for task in self.tasks {
            task.await??;
        }
        Ok(self.served.load(Ordering::Relaxed))
    }
}

async fn heals(stack: &Stack, account: &Account) -> Result<()> {
    wait::until_true("requests pass again", HEALED_WITHIN, || async {
        let answer = stack.chat(account, small()).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(true)
    })
    .await
}

/// Sends a request and waits until access log and journal have it.
async fn charged(stack: &Stack, account: &Account) -> Result<()> {
    let chat = small();
    let tag = chat.tag.clone();
    stack.chat(account, chat).await?.expect(200)?;
    e2e::charge(stack, account, &tag).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_killed_under_load_with_settlements_on_board() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let mut stack = setup("killed-envoy").headers(headers).start().await?;
        let account = funded(&stack, "800").await?;
        testbed::warm::lease(&stack, &account, 5_000_000, || {
            Chat::new("gpt-5-mini").max_tokens(20_000).takes(9, 9)
        })
        .await?;
        stack.settled(wait::SETTLED_WITHIN).await?;
        // From here on nothing is delivered any more.
        stack.fault(Fault::Refuse).await?;
        let load = load(&stack, &account, 4, 100_000).await?;
        load.served(40).await?;
        // Only what is on the disk can be recovered.
        let served_lines = |stack: &Stack| -> Result<usize> {
            let lines = stack.gateway()?.access_log()?;
            Ok(lines.iter().filter(|line| line.status() == 200).count())
        };
        let before = served_lines(&stack)?;
        wait::until_true("the access log has most of it", wait::SETTLED_WITHIN, || async {
            Ok(served_lines(&stack)? > before.max(40))
        })
        .await?;
        stack.kill_gateway()?;
        let served = load.ended().await?;
        // The line went with its Envoy; the next one has a line of its own.
        stack.add_gateway().await?;
        still_serves(&stack, &account).await?;

        let log = stack
            .killed
            .first()
            .and_then(|gateway| gateway.access_log_file())
            .context("a log")?
            .to_path_buf();
        let dry = stack.ledger.reconcile(&log, &["--dry-run"]).await?;
        let posted = stack.ledger.reconcile(&log, &[]).await?;
        ensure!(number(&posted, "posted") == number(&dry, "posted"), "{dry} {posted}");
        ensure!(number(&posted, "refused") == 0, "{posted}");
        // The log's last lines may have been on their way to the disk.
        ensure!(number(&posted, "posted") > 30, "of {served} served: {posted}");
        let again = stack.ledger.reconcile(&log, &[]).await?;
        ensure!(number(&again, "posted") == 0 && number(&again, "known") > 30, "{again}");
        let summary = testbed::reconcile::reconcile(&stack).await?;
        let posted = number(&posted, "posted");
        eprintln!(
            "{headers:?}: {served} served while cut off, {posted} recovered, {} of {} at the provider the log never saw",
            summary.unseen, summary.provider_requests
        );
        ensure!(summary.unseen < served, "the log saw nothing: {summary:?}");
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_killed_in_the_midst_of_a_thousand_requests() -> Result<()> {
    let mut stack = setup("kill-1000").start().await?;
    let account = funded(&stack, "8000").await?;
    testbed::warm::lease(&stack, &account, 5_000_000, || {
        Chat::new("gpt-5-mini").max_tokens(20_000).takes(9, 9)
    })
    .await?;
    let load = load(&stack, &account, 8, 1_000).await?;
    for at in [150, 400, 650] {
        load.served(at).await?;
        stack.kill_ledger()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        stack.restart_ledger().await?;
    }
    let served = load.ended().await?;
    ensure!(served > 700, "{served} of 1,000 were served");
    heals(&stack, &account).await?;
    stack.finish().await
}

/// Puts a copy in the place of the books, as an operator would.
async fn restore(stack: &mut Stack, copy: &std::path::Path, by_hand: bool) -> Result<()> {
    stack.kill_ledger()?;
    let books = stack.ledger.books()?;
    for beside in ["-wal", "-shm"] {
        let file = std::path::PathBuf::from(format!("{}{beside}", books.display()));
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
    }
    std::fs::copy(copy, &books)?;
    if by_hand {
        stack.ledger.run(&["generation", "renew"]).await?;
    }
    stack.restart_ledger().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_restored_from_an_older_copy() -> Result<()> {
    for by_hand in [true, false] {
        let mut stack = setup("restored").start().await?;
        let account = funded(&stack, "800").await?;
        charged(&stack, &account).await?;
        // A cold copy: what is in the write-ahead log is in it.
        stack.ledger.stop().await?;
        let copy = stack.folder().join("copy.sqlite");
        std::fs::copy(stack.ledger.books()?, &copy)?;
        stack.restart_ledger().await?;
        let before = stack.ledger.run(&["generation", "show"]).await?;

        // Delivered, acknowledged and forgotten by the rings; then some that are still in them.
        heals(&stack, &account).await?;
        ensure!(load(&stack, &account, 4, 60).await?.ended().await? == 60, "all are served");
        testbed::reconcile::reconcile(&stack).await?;
        stack.fault(Fault::Refuse).await?;
        let late = load(&stack, &account, 2, 10).await?.ended().await?;
        restore(&mut stack, &copy, by_hand).await?;
        stack.fault(Fault::None).await?;
        ensure!(stack.ledger.run(&["generation", "show"]).await? != before, "the generation is renewed");
        heals(&stack, &account).await?;
        charged(&stack, &account).await?;
        wait::until_true("the rings have sent what they held", HEALED_WITHIN, || async {
            let entries = stack.api().entries(&account.id).await?;
            let charges = entries.iter().filter(|entry| entry.kind == "charge").count();
            ensure!(charges >= 1 + late + 2, "{charges} charges");
            Ok(true)
        })
        .await?;

        let log = stack.gateway()?.access_log_file().context("a log")?.to_path_buf();
        let summary = stack.ledger.reconcile(&log, &["--unknown-nodes"]).await?;
        ensure!(number(&summary, "posted") >= 60, "{summary}");
        ensure!(number(&summary, "known") as usize >= late, "{summary}");
        eprintln!("renewed by hand: {by_hand}, {late} served while cut off, recovered: {summary}");
        ensure!(number(&stack.ledger.reconcile(&log, &[]).await?, "posted") == 0, "twice is once");
        stack.finish().await?;
    }
    Ok(())
}

/// Another ledger at the right address, with the right token: it knows none of the accounts, and whatever
/// reaches it is lost to these books but for the access log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_of_another_ledger() -> Result<()> {
    let mut stack = setup("another").start().await?;
    let account = funded(&stack, "800").await?;
    testbed::warm::lease(&stack, &account, 5_000_000, || {
        Chat::new("gpt-5-mini").max_tokens(20_000).takes(9, 9)
    })
    .await?;
    let other = stack.another_ledger().await?;
    let link = stack.links.first().context("a link")?;
    link.lead_to(other.address);
    stack.fault(Fault::Refuse).await?;
    ensure!(load(&stack, &account, 2, 10).await?.ended().await? > 0, "leases serve");
    stack.fault(Fault::None).await?;
    // The other one takes this node for a new one, and its events for nobody's.
    wait::until_true("the other ledger is asked", HEALED_WITHIN, || async {
        let answer = stack.chat(&account, small()).await?;
        ensure!(answer.status == 401, "{} {}", answer.status, answer.text());
        Ok(true)
    })
    .await?;
    let link = stack.links.first().context("a link")?;
    link.lead_to(stack.ledger.address);
    stack.fault(Fault::Refuse).await?;
    stack.fault(Fault::None).await?;
    heals(&stack, &account).await?;
    stack.settled(CLOSED_WITHIN).await?;
    let log = stack.gateway()?.access_log_file().context("a log")?.to_path_buf();
    let summary = stack.ledger.reconcile(&log, &["--unknown-nodes"]).await?;
    eprintln!("recovered: {summary}");
    stack.finish().await
}

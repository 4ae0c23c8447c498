//! VMs that are swapped and VMs that trap, under load, with the ledger up and with the ledger down: every ring is
//! adopted, every settlement arrives once, no hold is left, and what a trap cut is settled as lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{funded, hold, setup, still_serves};
use serde_json::json;
use testbed::gateway::{Headers, Stats};
use testbed::http::Client;
use testbed::request::Chat;
use testbed::tools::Tools;
use testbed::{Account, Setup, Stack, Updates, wait};
use tokio::task::JoinHandle;

const MODEL: &str = "gpt-5-mini";
/// Longer than a drain, the search for silent lanes and the calls after it.
const HEALED_WITHIN: Duration = Duration::from_secs(20);
/// Clients that send one request after the other.
const CLIENTS: usize = 6;

/// What is put in the place of what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swap {
    /// The same module with another configuration: the VM stays, another root comes.
    Configuration,
    /// Another module: another VM comes.
    Module,
}

/// The same module with other bytes: a custom section more.
fn other_bytes(module: &Path, folder: &Path) -> Result<PathBuf> {
    let mut bytes = std::fs::read(module)?;
    bytes.extend_from_slice(b"\x00\x05\x04next");
    let path = folder.join("next.wasm");
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// A request of this kind: plain, or a stream of `ms` milliseconds.
fn chat(stream_ms: Option<u64>) -> Chat {
    let chat = if stream_ms.is_some() { Chat::stream(MODEL) } else { Chat::new(MODEL) };
    chat.max_tokens(50).takes(40, 30).script(|script| match stream_ms {
        Some(ms) => (script.chunks, script.chunk_delay_ms) = (Some(10), ms / 10),
        None => script.head_delay_ms = 20,
    })
}

/// Clients that send requests, plain ones and streams, until told to end; how many were served. A client may be cut
/// once: Envoy cuts what has not ended by the end of the drain, and counts that from before it compiled the module.
fn load(stack: &Stack, account: &Account, end: &Arc<AtomicBool>) -> Result<Vec<JoinHandle<Result<usize>>>> {
    let client = stack.client()?;
    let clients = (0..CLIENTS).map(|n| {
        let (key, end) = (account.key.clone(), Arc::clone(end));
        tokio::spawn(async move {
            let (mut served, mut cut) = (0, 0);
            while !end.load(Ordering::Relaxed) {
                let answer = match client.send(chat((n % 2 == 0).then_some(300)).request(&key)).await {
                    Ok(answer) => answer,
                    Err(error) if cut > 0 => return Err(error),
                    Err(_) => {
                        cut += 1;
                        continue;
                    }
                };
                // A lease may run out while the ledger is down.
                ensure!([200, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
                served += usize::from(answer.status == 200);
            }
            Ok(served)
        })
    });
    Ok(clients.collect())
}

/// Streams of so many milliseconds each.
fn streams(client: &Client, account: &Account, count: usize, ms: u64) -> Vec<JoinHandle<()>> {
    let stream = |_| {
        let (client, request) = (*client, chat(Some(ms)).request(&account.key));
        tokio::spawn(async move {
            // Whether its end came is what the books are asked about.
            let _ = client.send(request).await;
        })
    };
    (0..count).map(stream).collect()
}

/// What a lease is made of that serves for a while without a ledger.
fn costly() -> Chat {
    Chat::new(MODEL).max_tokens(20_000).takes(100, 200)
}

async fn swapped(setup: Setup, swap: Swap, ledger_up: bool) -> Result<()> {
    let what = format!("{:?} {swap:?} ledger up: {ledger_up}", setup.updates);
    let mut stack = setup.start().await?;
    let account = funded(&stack, "800").await?;
    testbed::warm::lease(&stack, &account, 5_000_000, costly).await?;
    let before = stack.gateway()?.stats().await?;
    let end = Arc::new(AtomicBool::new(false));
    let clients = load(&stack, &account, &end)?;
    // Some that end while the old VM drains, and some that are cut when it is done.
    let short = streams(&stack.client()?, &account, 4, 1_200);
    let long = streams(&stack.client()?, &account, 4, 6_000);
    tokio::time::sleep(Duration::from_millis(700)).await;
    if !ledger_up {
        stack.kill_ledger()?;
    }
    let next = match swap {
        Swap::Configuration => stack.setup().clone().plugin(json!({"label": "next"})),
        Swap::Module => {
            let module = other_bytes(stack.setup().tools.wasm()?, stack.folder())?;
            stack.setup().clone().wasm(&module)
        }
    };
    stack.update(next).await.context(what.clone())?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    if !ledger_up {
        stack.restart_ledger().await?;
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    end.store(true, Ordering::Relaxed);
    let mut served = 0;
    for client in clients {
        served += client.await?.context(what.clone())?;
    }
    ensure!(served > 2 * CLIENTS, "{what}: {served} were served");
    for stream in short.into_iter().chain(long) {
        stream.await?;
    }
    stack.settled(HEALED_WITHIN).await.context(what.clone())?;
    let summary = testbed::reconcile::reconcile(&stack).await.context(what.clone())?;
    stack.gateway()?.healthy().await?;
    let after = stack.gateway()?.stats().await?;
    ensure!(after.get("wasmcustom.bursar.lost") == 0, "{what}: {} lost", after.get("wasmcustom.bursar.lost"));
    let made = after.vms_created() - before.vms_created();
    // A new plugin is tried in a VM of its own first.
    ensure!((made > 1) == (swap == Swap::Module), "{what}: {made} VMs were made");
    if swap == Swap::Module {
        let adopted = adopted(&stack)?;
        ensure!(adopted > 0, "{what}: no lane was adopted");
    }
    eprintln!("{what}: {served} served and {} charged once, {} exactly", summary.charges, summary.exact);
    still_serves(&stack, &account).await?;
    stack.close().await
}

fn adopted(stack: &Stack) -> Result<usize> {
    let log = std::fs::read_to_string(stack.gateway()?.log())?;
    Ok(log.matches("adopted lane").count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_s_update_with_the_same_module() -> Result<()> {
    for (headers, ledger_up) in [(Headers::Hold, true), (Headers::Stream, false)] {
        let setup = setup("swap-lds-same").headers(headers).updates(Updates::Listener);
        swapped(setup, Swap::Configuration, ledger_up).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_s_update_with_another_module() -> Result<()> {
    for (headers, ledger_up) in [(Headers::Stream, true), (Headers::Hold, false)] {
        let setup = setup("swap-lds-other").headers(headers).updates(Updates::Listener);
        swapped(setup, Swap::Module, ledger_up).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_s_update_with_the_same_module() -> Result<()> {
    for ledger_up in [true, false] {
        let setup = setup("swap-ecds-same").updates(Updates::Filter);
        swapped(setup, Swap::Configuration, ledger_up).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_s_update_with_another_module() -> Result<()> {
    for ledger_up in [true, false] {
        let setup = setup("swap-ecds-other").updates(Updates::Filter);
        swapped(setup, Swap::Module, ledger_up).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_module_on_the_oldest_envoy() -> Result<()> {
    for updates in [Updates::Listener, Updates::Filter] {
        swapped(setup("swap-old").old_envoy().updates(updates), Swap::Module, false).await?;
    }
    Ok(())
}

// === traps ===

/// Where a request makes its VM trap: in a phase, after so many calls of shared data.
const TRAPS: [&str; 8] = ["answer", "log", "log:1", "log:2", "log:3", "body:1", "body:2", "body:3"];
/// A VM that traps again soon after it was made anew is not made anew at once.
const BACKOFF: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_with_the_ledger_up() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        trapped(setup("trap-up").headers(headers), &TRAPS, true).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_with_the_ledger_down() -> Result<()> {
    trapped(setup("trap-down"), &["answer", "log:2", "body:2"], false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_on_the_oldest_envoy() -> Result<()> {
    trapped(setup("trap-old").old_envoy(), &["answer", "log:2", "body:2"], true).await
}

#[test]
fn the_shipped_module_cannot_be_made_to_trap() -> Result<()> {
    let tools = Tools::from_env();
    let mark = b"x-bursar-trap";
    for (module, can) in [(tools.wasm()?, false), (tools.wasm_trap()?, true)] {
        let bytes = std::fs::read(module)?;
        let found = bytes.windows(mark.len()).any(|window| window == mark);
        ensure!(found == can, "{}: {found}", module.display());
    }
    Ok(())
}

async fn trapped(setup: Setup, traps: &[&str], ledger_up: bool) -> Result<()> {
    let module = setup.tools.wasm_trap()?.to_path_buf();
    let mut stack = setup.wasm(&module).start().await?;
    let account = funded(&stack, "800").await?;
    testbed::warm::lease(&stack, &account, 5_000_000, costly).await?;
    let mut trapping = BTreeMap::new();
    for (n, trap) in (0_u64..).zip(traps) {
        if !ledger_up {
            stack.kill_ledger()?;
        }
        let others = streams(&stack.client()?, &account, 8, 1_000);
        tokio::time::sleep(Duration::from_millis(400)).await;
        // Its usage is its own, so that the journal's entry can be told from the others.
        let chat = Chat::new(MODEL).max_tokens(50).takes(1_000 + n, 30);
        trapping.insert(chat.tag.clone(), 1_000 + n);
        let request = chat.request(&account.key).header("x-bursar-trap", trap);
        let answer = stack.client()?.send(request).await;
        for other in others {
            other.await?;
        }
        let failures = stack.gateway()?.stats().await?;
        tokio::time::sleep(BACKOFF).await;
        if !ledger_up {
            stack.restart_ledger().await?;
        }
        heals(&stack, &account)
            .await
            .with_context(|| format!("{trap}: {answer:?} {:?}", failures.vm_failures()))?;
    }
    // What the last VM left is adopted some seconds later.
    let reloads = wait::until("the books agree", HEALED_WITHIN, || async {
        check_traps(&stack, &account, &trapping).await.map(Some)
    })
    .await?;
    stack.settled(HEALED_WITHIN).await?;
    ensure!(reloads == traps.len(), "{reloads} VMs were made anew after {} traps", traps.len());
    stack.close().await
}

/// Requests pass on every worker again.
async fn heals(stack: &Stack, account: &Account) -> Result<()> {
    wait::until_true("requests pass again", HEALED_WITHIN, || async {
        for _ in 0..6 {
            let answer = stack.chat(account, chat(None)).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        }
        Ok(true)
    })
    .await
}

/// Each request that the provider got has one charge: by its report where it was logged, else as lost, or by its
/// usage where its VM ended after its settlement was safe. Gives how many VMs were made anew.
async fn check_traps(stack: &Stack, account: &Account, trapping: &BTreeMap<String, u64>) -> Result<usize> {
    let lines = stack.gateway()?.access_log()?.into_iter();
    let lines: BTreeMap<String, testbed::gateway::Line> =
        lines.filter_map(|line| Some((line.text("tag")?.to_owned(), line))).collect();
    let reached: BTreeSet<String> = stack
        .mock
        .record
        .all()
        .into_iter()
        .filter(|seen| seen.complete)
        .filter_map(|seen| seen.tag)
        .collect();
    let unlogged = reached.iter().filter(|tag| lines.get(*tag).is_none_or(|line| line.bursar.is_none()));
    let unlogged: BTreeSet<&String> = unlogged.collect();
    let stayed = trapping.keys().filter(|tag| !reached.contains(*tag)).count();
    let by_request: BTreeMap<&str, &testbed::gateway::Line> =
        lines.values().filter_map(|line| Some((line.report("request")?, line))).collect();

    let estimate = hold(MODEL, &chat(Some(100)).body(), 0)?;
    let entries = stack.api().entries(&account.id).await?;
    let charges: Vec<_> = entries.iter().filter(|entry| entry.kind == "charge").collect();
    let requests: BTreeSet<_> = charges.iter().map(|entry| &entry.request).collect();
    ensure!(requests.len() == charges.len(), "a request was charged twice");
    let (mut lost, mut safe) = (0, 0);
    for entry in charges {
        let outcome = entry.text("outcome");
        let line = entry.request.as_deref().and_then(|request| by_request.get(request));
        match (line, outcome) {
            (Some(line), Some("settled")) => {
                ensure!(line.report("outcome") == Some("settled"), "{} {}", line.json, entry.json);
            }
            (None, Some("lost")) => {
                let own = hold(MODEL, &Chat::new(MODEL).max_tokens(50).body(), 0)?;
                ensure!([-estimate, -own].contains(&entry.amount), "{estimate} or {own}: {}", entry.json);
                lost += 1;
            }
            (None, Some("settled")) => {
                let used = entry.used("input_tokens");
                ensure!(trapping.values().any(|prompt| *prompt == used), "whose is it? {}", entry.json);
                safe += 1;
            }
            _ => anyhow::bail!("{outcome:?} {}", entry.json),
        }
    }
    let expected = unlogged.len()..=unlogged.len() + stayed;
    ensure!(expected.contains(&(lost + safe)), "{lost} lost and {safe} safe, {expected:?} expected");
    ensure!(lost > 0 && safe > 0, "{lost} lost, {safe} safe");
    for (tag, line) in &lines {
        let settled = line.report("outcome") == Some("settled");
        let request = line.report("request").map(str::to_owned);
        ensure!(!settled || requests.contains(&request), "{tag} is served and not charged");
    }
    let balance = stack.api().balance(&account.id).await?;
    ensure!(balance.in_flight == 0, "{balance:?}");
    let stats = stack.gateway()?.stats().await?;
    let counted = stats.get("wasmcustom.bursar.lost");
    ensure!(usize::try_from(counted).is_ok_and(|counted| counted == lost), "{lost} lost, {counted} counted");
    eprintln!(
        "{lost} lost and {safe} safe of {} requests that {} traps cut",
        unlogged.len() + stayed,
        trapping.len()
    );
    reloads(&stats)
}

/// How many VMs were made anew; nothing else has failed.
fn reloads(stats: &Stats) -> Result<usize> {
    let failures = stats.vm_failures();
    let other = failures.keys().find(|name| !name.contains("vm_reload"));
    ensure!(other.is_none(), "{failures:?}");
    let made = failures.iter().filter(|(name, _)| name.ends_with("vm_reload_success"));
    Ok(usize::try_from(made.map(|(_, count)| count).sum::<i64>())?)
}

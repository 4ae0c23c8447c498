//! More accounts and keys than an Envoy has places for: its memory stays where the configuration puts it, leases
//! of accounts that made room go home, and who is served all the time does not notice.
//!
//! The usual run is small, with small tables. `BURSAR_SOAK=1` runs 10^5 accounts and 10^6 unknown keys on the
//! default tables, for some minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{funded, refusal, resident, setup, still_serves};
use serde_json::{Value, json};
use testbed::http::{Client, Request};
use testbed::ledger::Api;
use testbed::request::Chat;
use testbed::session::Session;
use testbed::{Stack, keys, wait};
use tokio::task::JoinSet;

/// Look-ups of keys that one worker makes in a second.
const LOOKUPS_PER_SECOND: usize = 2_000;
/// Worker threads of the Envoy, each with a VM.
const WORKERS: usize = 2;
/// What one request of an account costs, in micro-credits.
const PRICE: i64 = 500_000;
/// What an account has at first, in micro-credits.
const INCLUDED: i64 = 10_000_000;
/// How often a request is tried that finds all places of its account's value busy.
const TRIES: usize = 50;

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Scale {
    accounts: usize,
    unknown: usize,
    /// `accounts_max` and `keys_max`.
    tables: [usize; 2],
    /// Requests at once.
    at_once: usize,
    /// Accounts whose books are looked at in the end.
    sample: usize,
    /// How much Envoy may grow once its tables are full, in KiB: what its rings have still free, and what its
    /// allocator keeps.
    growth_kib: u64,
}

const SMALL: Scale = Scale {
    accounts: 2_000,
    unknown: 20_000,
    tables: [128, 256],
    at_once: 32,
    sample: 2_000,
    growth_kib: 24 << 10,
};

const BIG: Scale = Scale {
    accounts: 100_000,
    unknown: 1_000_000,
    tables: [8_192, 32_768],
    at_once: 64,
    sample: 5_000,
    growth_kib: 24 << 10,
};

/// How a kind of requests fared.
#[derive(Debug, Default)]
struct Fared {
    served: AtomicUsize,
    unknown: AtomicUsize,
    overloaded: AtomicUsize,
    late: AtomicUsize,
}

/// Makes accounts, each with a key; the keys.
async fn accounts(api: Api, count: usize, at_once: usize) -> Result<Vec<String>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut makers = JoinSet::new();
    for _ in 0..at_once {
        let (api, next) = (api.clone(), Arc::clone(&next));
        makers.spawn(async move {
            let mut session = Session::connect(api.client()).await?;
            let mut made = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(made);
                }
                let account = json!({"id": format!("crowd-{n}"), "plan": "crowd"});
                session.send(api.request("POST", "/v1/accounts", Some(&account))).await?.expect(201)?;
                let path = format!("/v1/accounts/crowd-{n}/keys");
                let key = session.send(api.request("POST", &path, Some(&json!({})))).await?.expect(201)?;
                let key = key.json()?.get("key").and_then(Value::as_str).map(str::to_owned);
                made.push(key.context("no key")?);
            }
        });
    }
    let mut keys = Vec::new();
    while let Some(made) = makers.join_next().await {
        keys.extend(made??);
    }
    Ok(keys)
}

/// Sends one request for each key, so many at once.
async fn send_all(
    client: Client,
    keys: Arc<dyn Fn(usize) -> String + Send + Sync>,
    count: usize,
    at_once: usize,
    again: bool,
    fared: Arc<Fared>,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..at_once {
        let (keys, next, fared) = (Arc::clone(&keys), Arc::clone(&next), Arc::clone(&fared));
        senders.spawn(async move {
            let mut session = Session::connect(client).await?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(());
                }
                let key = keys(n);
                for _ in 0..TRIES {
                    if !session.is_open().await {
                        session = Session::connect(client).await?;
                    }
                    let answer = session.send(Request::get("/v1/search").bearer(&key)).await?;
                    match answer.status {
                        200 => fared.served.fetch_add(1, Ordering::Relaxed),
                        401 => fared.unknown.fetch_add(1, Ordering::Relaxed),
                        _ => {
                            // Look-ups beyond the cap, or one that took the ledger more than a second.
                            let late = refusal(&answer, 503, "ledger_unavailable").is_ok();
                            ensure!(late || refusal(&answer, 503, "overloaded").is_ok(), "{answer:?}");
                            let count = if late { &fared.late } else { &fared.overloaded };
                            count.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                    if answer.status != 503 || !again {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(())
}

/// Serves one account again and again until told to stop; how long each request took.
async fn hot(client: Client, key: String, stop: Arc<AtomicBool>) -> Result<Vec<Duration>> {
    let mut session = Session::connect(client).await?;
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let chat = Chat::new("gpt-5-mini").max_tokens(10).takes(10, 5);
        let start = Instant::now();
        let answer = session.send(chat.request(&key)).await?;
        ensure!(
            answer.status == 200,
            "the hot key, after {}: {} {}",
            took.len(),
            answer.status,
            answer.text()
        );
        took.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took.sort_unstable();
    Ok(took)
}

/// Streams on one account again and again until told to stop, so that its record holds something nearly all the
/// time; how many there were.
async fn patient(client: Client, key: String, stop: Arc<AtomicBool>) -> Result<usize> {
    let mut streams = 0;
    while !stop.load(Ordering::Relaxed) {
        let chat = Chat::stream("gpt-5-mini").max_tokens(80).takes(50, 80).script(|script| {
            (script.chunks, script.chunk_delay_ms) = (Some(20), 100);
        });
        let answer = client.send(chat.request(&key)).await?.expect(200)?;
        ensure!(answer.events().last().map(String::as_str) == Some("[DONE]"), "{}", answer.text());
        streams += 1;
    }
    Ok(streams)
}

fn at(took: &[Duration], percent: usize) -> Duration {
    took.get(took.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

/// Says how far the run is.
async fn tell(stack: &Stack, what: &str, begun: Instant) -> Result<()> {
    let (mib, time) = (resident(stack.gateway()?.pid())? >> 10, begun.elapsed().as_secs_f64());
    let calls = stack.gateway()?.stats().await?.sum("wasmcustom.bursar.ledger_calls");
    println!("{what:>22}: {time:>6.1} s, {mib:>4} MiB, {calls} ledger calls");
    Ok(())
}

/// What the ledger says of accounts: leased and in flight in all, and how many have something leased.
async fn books(api: &Api, accounts: usize, sample: usize) -> Result<(i64, usize)> {
    let mut session = Session::connect(api.client()).await?;
    let (mut in_flight, mut leased) = (0, 0);
    for n in (0..accounts).step_by(accounts.div_ceil(sample)) {
        let path = format!("/v1/accounts/crowd-{n}/balance");
        let balance = session.send(api.request("GET", &path, None)).await?.expect(200)?.json()?;
        let amount = |name: &str| {
            let text = balance.get(name).and_then(Value::as_str).and_then(testbed::money::micros);
            text.with_context(|| format!("no {name}: {balance}"))
        };
        ensure!(amount("available")? == INCLUDED - PRICE, "crowd-{n}: {balance}");
        in_flight += amount("in_flight")?;
        leased += usize::from(amount("leased")? > 0);
    }
    Ok((in_flight, leased))
}

async fn soak(scale: Scale) -> Result<()> {
    let [accounts_max, keys_max] = scale.tables;
    let tables = json!({"accounts_max": accounts_max, "keys_max": keys_max});
    let mut setup = setup("soak").concurrency(2).plugin(tables);
    setup.access_log = false;
    let stack = setup.start().await?;
    let (client, pid) = (stack.client()?, stack.gateway()?.pid());
    let hot_account = funded(&stack, "1000").await?;
    still_serves(&stack, &hot_account).await?;
    let begun = Instant::now();
    tell(&stack, "at start", begun).await?;
    let keys = accounts(stack.api(), scale.accounts, scale.at_once).await?;
    tell(&stack, "accounts made", begun).await?;

    let stop = Arc::new(AtomicBool::new(false));
    let hot = tokio::spawn(hot(client, hot_account.key.clone(), Arc::clone(&stop)));
    let holding = funded(&stack, "1000").await?;
    let patient = tokio::spawn(patient(client, holding.key.clone(), Arc::clone(&stop)));
    let keys = Arc::new(keys);
    let known = |from: usize| {
        let keys = Arc::clone(&keys);
        Arc::new(move |n: usize| keys.get(from + n).cloned().unwrap_or_default()) as Arc<_>
    };
    let (crowd, strangers) = (Arc::new(Fared::default()), Arc::new(Fared::default()));
    let half = scale.accounts / 2;
    send_all(client, known(0), half, scale.at_once, true, Arc::clone(&crowd)).await?;
    tell(&stack, "half of the accounts", begun).await?;
    let full = resident(pid)?;
    send_all(client, known(half), scale.accounts - half, scale.at_once, true, Arc::clone(&crowd)).await?;
    tell(&stack, "all accounts", begun).await?;
    let storm = Instant::now();
    let unknown: Arc<dyn Fn(usize) -> String + Send + Sync> = Arc::new(|_| keys::unknown());
    send_all(client, unknown, scale.unknown, scale.at_once, false, Arc::clone(&strangers)).await?;
    let storm = storm.elapsed();
    tell(&stack, "unknown keys", begun).await?;
    stop.store(true, Ordering::Relaxed);
    let took = hot.await??;
    let streams = patient.await??;
    stack.settled(wait::SETTLED_WITHIN).await?;

    let per_second = |n: usize, time: Duration| n as f64 / time.as_secs_f64();
    println!("accounts: {crowd:?}");
    println!("unknown keys: {strangers:?}, {:.0} a second", per_second(scale.unknown, storm));
    println!("hot key: {} requests, median {:?}, 99 % {:?}", took.len(), at(&took, 50), at(&took, 99));

    ensure!(crowd.served.load(Ordering::Relaxed) == scale.accounts, "{crowd:?}");
    let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    ensure!(of(&strangers.served) == 0, "{strangers:?}");
    let answered = [&strangers.unknown, &strangers.overloaded, &strangers.late].map(of).iter().sum::<usize>();
    ensure!(answered == scale.unknown, "{strangers:?}");
    // Each 401 is a look-up: no key is asked for twice here.
    let seconds = usize::try_from(storm.as_secs())?.saturating_add(2);
    ensure!(of(&strangers.unknown) <= LOOKUPS_PER_SECOND * WORKERS * seconds, "{strangers:?} in {storm:?}");
    ensure!(stack.mock.record.count() == scale.accounts + took.len() + streams + 1);
    let grown = resident(pid)?.saturating_sub(full);
    ensure!(grown <= scale.growth_kib, "Envoy grew by {grown} KiB after its tables were full");

    let places = accounts_max * 5 / 2;
    wait::until_true("the leases of those that made room are home", Duration::from_secs(30), || async {
        let (in_flight, leased) = books(&stack.api(), scale.accounts, scale.sample).await?;
        ensure!(in_flight == 0 && leased <= places, "{in_flight} in flight, {leased} accounts with leases");
        Ok(true)
    })
    .await?;
    // 50 x 12.5 + 80 x 100, and 10 x 12.5 + 5 x 100.
    e2e::available(&stack, &holding, 1_000_000_000 - 8_625 * i64::try_from(streams)?).await?;
    e2e::available(&stack, &hot_account, 1_000_000_000 - 625 * i64::try_from(took.len() + 1)?).await?;
    still_serves(&stack, &hot_account).await?;
    stack.finish_unreconciled().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_accounts_and_keys_than_places() -> Result<()> {
    let big = std::env::var_os("BURSAR_SOAK").is_some();
    soak(if big { BIG } else { SMALL }).await
}

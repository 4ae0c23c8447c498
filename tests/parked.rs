//! Requests of several workers that wait for one refill of one account.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::funded;
use e2e::ground::{Ground, PROTOCOLS, Part, client, nothing_held, together};
use testbed::link::Fault;
use testbed::request::Chat;
use testbed::session::Session;
use testbed::{Account, Stack, wait};

/// Requests at once: each worker gets some.
const REQUESTS: usize = 16;
/// How long the ledger takes.
const SLOW: Duration = Duration::from_millis(200);
/// Calls that the ledger may get meanwhile: for each worker a look-up, a snapshot, refills and reports.
const CALLS_MAX: i64 = 24;

/// What is known of the account when the requests come.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// Nothing.
    Cold,
    /// All, but its lease does not reach for one of them.
    Leased,
}

/// Connections, of which every worker has some.
async fn connections(stack: &Stack, http2: bool) -> Result<Vec<Session>> {
    let before = stack.gateway()?.stats().await?;
    let mut sessions = Vec::new();
    for _ in 0..REQUESTS {
        sessions.push(Session::connect(client(stack, http2)?).await?);
    }
    wait::until_true("each worker has connections", wait::SETTLED_WITHIN, || async {
        let after = stack.gateway()?.stats().await?;
        let before = before.accepted_by_worker();
        let grew = |(worker, count): (&&str, &i64)| before.get(worker).copied().unwrap_or(0) < *count;
        Ok(after.accepted_by_worker().iter().all(grew))
    })
    .await?;
    Ok(sessions)
}

async fn run(stack: &mut Stack, known: Known, http2: bool) -> Result<Account> {
    let account = funded(stack, "400").await?;
    if let Known::Leased = known {
        let small = || Chat::new("gpt-5-mini").max_tokens(10).takes(10, 5);
        testbed::warm::lease(stack, &account, 1_000, small).await?;
    }
    let mut sessions = connections(stack, http2).await?;
    stack.fault(Fault::Delay(SLOW)).await?;
    let calls = async || anyhow::Ok(stack.gateway()?.stats().await?.sum("wasmcustom.bursar.ledger_calls"));
    let before = calls().await?;
    // 100,000 tokens of output are 10 credits.
    let requests = sessions.iter_mut().map(|session| {
        let chat = Chat::stream("gpt-5-mini").max_tokens(100_000).takes(10, 5);
        let request = chat.request(&account.key);
        Box::pin(async move { session.send(request).await?.expect(200).map(drop) }) as Part<'_, ()>
    });
    together(requests.collect()).await?;
    let made = calls().await?.saturating_sub(before);
    ensure!(made <= CALLS_MAX, "{made} calls for {REQUESTS} requests of one account");
    stack.fault(Fault::None).await?;
    Ok(account)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_requests_wait_for_one_refill() -> Result<()> {
    for ground in Ground::MODES.into_iter().chain(Ground::OLDEST) {
        let mut stack = ground.setup("parked").concurrency(2).start().await?;
        let mut accounts = Vec::new();
        for known in [Known::Cold, Known::Leased] {
            for http2 in PROTOCOLS {
                let ended = run(&mut stack, known, http2).await;
                accounts.push(ended.with_context(|| format!("{ground:?} {known:?} http2 {http2}"))?);
            }
        }
        e2e::ground::recovered(&stack).await?;
        nothing_held(&stack, &accounts.iter().collect::<Vec<_>>()).await?;
        stack.finish().await?;
    }
    Ok(())
}

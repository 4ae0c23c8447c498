//! The ledger down, slow, or answering nonsense: leased credits serve on, then 503 with Retry-After;
//! nothing hangs, nothing is lost, nothing is charged twice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{funded, openai_refusal, setup, stack, still_serves};
use testbed::gateway::Headers;
use testbed::link::Fault;
use testbed::request::Chat;
use testbed::{Account, Stack, wait};

/// How soon things are normal after a fault ends.
const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// More requests than any lease here can pay.
const REQUESTS_MAX: usize = 190;

/// A request whose hold is large enough that a lease is soon used up.
fn costly() -> Chat {
    // 20,000 output tokens are 2 credits.
    Chat::new("gpt-5-mini").max_tokens(20_000).takes(100, 20_000)
}

/// Brings this Envoy to where it can serve the account for a while alone.
async fn leased(stack: &Stack, account: &Account) -> Result<()> {
    testbed::warm::lease(stack, account, 5_000_000, costly).await
}

/// Sends requests until one is refused; how many were served before, and the refusal.
async fn until_refused(stack: &Stack, account: &Account) -> Result<usize> {
    for served in 0..REQUESTS_MAX {
        let answer = stack.chat(account, costly()).await?;
        if answer.status != 200 {
            openai_refusal(&answer, 503, "ledger_unavailable")?;
            return Ok(served);
        }
    }
    anyhow::bail!("{REQUESTS_MAX} requests were served without a ledger")
}

async fn heals(stack: &Stack, account: &Account) -> Result<()> {
    wait::until_true("requests pass again", HEALED_WITHIN, || async {
        let answer = stack.chat(account, costly()).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(true)
    })
    .await
}

#[tokio::test]
async fn a_killed_ledger() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let mut stack = setup("killed").headers(headers).start().await?;
        let account = funded(&stack, "800").await?;
        leased(&stack, &account).await?;
        stack.kill_ledger()?;
        let served = until_refused(&stack, &account).await?;
        ensure!(served > 0, "{headers:?}: no leased credits served");
        stack.restart_ledger().await?;
        heals(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

/// A plan that fails open: so much beyond the lease and no more, all of it charged when the ledger is back.
#[tokio::test]
async fn a_plan_that_fails_open() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let mut stack = setup("fail-open").headers(headers).start().await?;
        let account = stack.account("trusted").await?;
        stack.top_up(&account, "800").await?;
        leased(&stack, &account).await?;
        stack.fault(Fault::Refuse).await?;
        // The first that its lease does not cover may still be refused: it takes a moment to know an outage.
        let mut refused = 0;
        for _ in 0..REQUESTS_MAX {
            let answer = stack.chat(&account, costly()).await?;
            if answer.status != 200 {
                openai_refusal(&answer, 503, "ledger_unavailable")?;
                refused += 1;
            }
            if refused == 4 {
                break;
            }
        }
        ensure!(refused == 4, "{headers:?}: it is not bounded");
        let beyond = wait::until("the metric is flushed", HEALED_WITHIN, || async {
            let held = stack.gateway()?.stats().await?.get("wasmcustom.bursar.fail_open_microcredits");
            Ok((held > 0).then_some(held))
        })
        .await?;
        ensure!(beyond <= 6_000_000, "{headers:?}: {beyond} were held beyond the lease");
        stack.fault(Fault::None).await?;
        heals(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

/// For each fault: leases serve, then 503, also for those who were never seen; afterwards all is as before.
async fn bad_line<const N: usize>(name: &str, faults: [Fault; N]) -> Result<()> {
    let mut stack = stack(name).await?;
    for fault in faults {
        let account = funded(&stack, "800").await?;
        let cold = funded(&stack, "10").await?;
        leased(&stack, &account).await?;
        stack.fault(fault.clone()).await?;
        let served = until_refused(&stack, &account).await.with_context(|| format!("{fault:?}"))?;
        ensure!(served > 0, "{fault:?}: no leased credits served");
        // An account that this Envoy has never seen cannot be admitted, and is told so.
        let answer = stack.chat(&cold, Chat::new("gpt-5-mini")).await?;
        openai_refusal(&answer, 503, "ledger_unavailable").with_context(|| format!("{fault:?}, cold"))?;
        stack.fault(Fault::None).await?;
        heals(&stack, &account).await.with_context(|| format!("{fault:?}"))?;
        heals(&stack, &cold).await.with_context(|| format!("{fault:?}, cold"))?;
        testbed::reconcile::reconcile(&stack).await.with_context(|| format!("{fault:?}"))?;
    }
    stack.finish().await
}

#[tokio::test]
async fn a_line_that_is_cut() -> Result<()> {
    bad_line("cut", [Fault::Refuse, Fault::Reset, Fault::Silence]).await
}

/// The ledger has applied what it was sent; the node does not know and sends it again.
#[tokio::test]
async fn a_line_that_loses_answers() -> Result<()> {
    bad_line("lossy", [Fault::LoseAnswers, Fault::HalveAnswers]).await
}

#[tokio::test]
async fn somebody_else_answers() -> Result<()> {
    let bytes = Fault::Answer(b"\x00\xff not even HTTP \r\n\r\n".to_vec());
    bad_line("somebody", [Fault::status(500), Fault::status(200), bytes]).await
}

#[tokio::test]
async fn the_ledger_answers_nonsense() -> Result<()> {
    let nonsense = ["not json", "{}", "[[[[[[", r#"{"v":99,"generation":5,"node_open":"yes","cursor":-1}"#];
    bad_line("nonsense", nonsense.map(Fault::garbage)).await
}

#[tokio::test]
async fn a_slow_ledger_delays_only_those_who_need_it() -> Result<()> {
    let mut stack = stack("slow").await?;
    let account = funded(&stack, "800").await?;
    still_serves(&stack, &account).await?;
    stack.fault(Fault::Delay(Duration::from_millis(400))).await?;
    for _ in 0..5 {
        still_serves(&stack, &account).await?;
    }
    stack.fault(Fault::Delay(Duration::from_millis(100))).await?;
    let cold = funded(&stack, "10").await?;
    still_serves(&stack, &cold).await?;
    stack.fault(Fault::None).await?;
    stack.finish().await
}

#[tokio::test]
async fn a_frozen_ledger() -> Result<()> {
    let stack = stack("frozen").await?;
    let account = funded(&stack, "800").await?;
    leased(&stack, &account).await?;
    stack.ledger.freeze()?;
    let served = until_refused(&stack, &account).await;
    stack.ledger.thaw()?;
    ensure!(served? > 0, "no leased credits served");
    heals(&stack, &account).await?;
    stack.finish().await
}

#[tokio::test]
async fn requests_that_wait_are_answered_when_the_ledger_dies() -> Result<()> {
    let mut stack = stack("waiting").await?;
    let account = funded(&stack, "800").await?;
    stack.fault(Fault::Silence).await?;
    let client = stack.client()?;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let request = Chat::new("gpt-5-mini").request(&account.key);
            tokio::spawn(async move { client.send(request).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stack.kill_ledger()?;
    for answer in waiting {
        openai_refusal(&answer.await??, 503, "ledger_unavailable")?;
    }
    stack.restart_ledger().await?;
    stack.fault(Fault::None).await?;
    heals(&stack, &account).await?;
    stack.finish().await
}

/// `kill -9` of the ledger at many moments under load: no acknowledged write is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_killed_again_and_again_under_load() -> Result<()> {
    let mut stack = stack("kill-loop").await?;
    let account = funded(&stack, "800").await?;
    still_serves(&stack, &account).await?;
    let (client, key) = (stack.client()?, account.key.clone());
    let load = tokio::spawn(async move {
        let mut served = 0_usize;
        for _ in 0..300 {
            let chat = Chat::new("gpt-5-mini").max_tokens(200).takes(100, 150);
            let answer = client.send(chat.request(&key)).await?;
            ensure!(answer.status == 200 || answer.status == 503, "{} {}", answer.status, answer.text());
            served += usize::from(answer.status == 200);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(served)
    });
    let mut grants = 0;
    for round in 0_u64..6 {
        // A grant that was acknowledged must be there after the kill.
        stack.top_up(&account, "1").await?;
        grants += 1;
        tokio::time::sleep(Duration::from_millis(150 + 90 * round)).await;
        stack.kill_ledger()?;
        stack.restart_ledger().await?;
    }
    ensure!(load.await?? > 0, "nothing was served");
    let entries = stack.api().entries(&account.id).await?;
    let granted = entries.iter().filter(|entry| entry.kind == "grant").count();
    ensure!(granted == grants + 1, "{granted} of {} grants survived", grants + 1);
    heals(&stack, &account).await?;
    stack.finish().await
}

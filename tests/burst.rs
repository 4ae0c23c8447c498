//! Many at once against little money.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{funded, openai_refusal, setup, stack, still_serves};
use serde_json::Value;
use testbed::gateway::Headers;
use testbed::request::Chat;

/// 200 streams at once against credits for 10: nobody is served for free, the account is overdrawn by at
/// most one clipped request, and the journal is the provider's record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_against_credits_for_ten() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("burst").headers(headers).concurrency(2).start().await?;
        // 10 tokens of input and 10,000 of output are 1.000125 credits; ten of them are 10.00125.
        let account = funded(&stack, "10.00125").await?;
        let price = 1_000_125;
        let client = stack.client()?;
        let streams: Vec<_> = (0..200)
            .map(|_| {
                let chat = Chat::stream("gpt-5-mini").max_tokens(10_000).takes(10, 10_000).script(|script| {
                    (script.chunks, script.chunk_delay_ms) = (Some(10), 50);
                });
                let request = chat.request(&account.key);
                tokio::spawn(async move { client.send(request).await })
            })
            .collect();
        let counts = e2e::stream_counts(streams).await.with_context(|| format!("{headers:?}"))?;
        let served = counts.get(&200).copied().unwrap_or(0);
        ensure!((9..=10).contains(&served), "{headers:?}: {counts:?}");
        let sums = testbed::reconcile::reconcile(&stack).await?;
        ensure!(sums.charges == served && sums.exact == served, "{headers:?}: {sums:?}");
        ensure!(sums.charged == price * i64::try_from(served)?, "{headers:?}: {sums:?}");
        let balance = stack.api().balance(&account.id).await?;
        ensure!(balance.debt <= price, "{headers:?}: {balance:?}");
        ensure!(stack.mock.record.all().len() >= served, "{headers:?}");
        stack.finish().await?;
    }
    Ok(())
}

/// The last credit can be spent, whatever it was leased to before.
#[tokio::test]
async fn credits_run_out_exactly() -> Result<()> {
    let stack = stack("run-out").await?;
    let account = funded(&stack, "0.5").await?;
    // 5,000 micro-credits each. What another worker has used and not reported yet is waited for, not refused.
    let mut served = 0;
    let last = loop {
        let answer = stack.chat(&account, Chat::new("gpt-5-mini").max_tokens(50).takes(0, 50)).await?;
        if answer.status == 200 {
            served += 1;
            ensure!(served <= 100, "more than was paid for");
            continue;
        }
        break openai_refusal(&answer, 402, "insufficient_credits")?;
    };
    let source = last.get("limit_source").and_then(Value::as_str);
    ensure!(served == 100 && source == Some("pool"), "{served} of 100 were served, then {last}");
    let balance = stack.api().balance(&account.id).await?;
    ensure!(balance.available == 0 && balance.debt == 0, "{balance:?}");
    stack.finish().await
}

/// Two workers, steady load: the ledger is hardly asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steady_path_does_not_ask_the_ledger() -> Result<()> {
    let stack = stack("steady").await?;
    let account = funded(&stack, "1000").await?;
    for _ in 0..50 {
        still_serves(&stack, &account).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let calls = async || anyhow::Ok(stack.gateway()?.stats().await?.sum("wasmcustom.bursar.ledger_calls"));
    let (before, start) = (calls().await?, std::time::Instant::now());
    let client = stack.client()?;
    for _ in 0..1_000 {
        let chat = Chat::new("gpt-5-mini").max_tokens(10).takes(10, 5);
        client.send(chat.request(&account.key)).await?.expect(200)?;
    }
    let made = calls().await?.saturating_sub(before);
    // One call per worker and second, and a refill now and then.
    let most =
        i64::try_from(start.elapsed().as_secs())?.saturating_add(2).saturating_mul(2).saturating_add(10);
    ensure!(made <= most, "{made} calls for 1,000 requests, at most {most} expected");
    stack.finish().await
}

/// Two Envoys share an account; together they spend what it has, no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_envoys_spend_one_purse() -> Result<()> {
    let stack = setup("two-envoys").envoys(2).concurrency(1).start().await?;
    let account = funded(&stack, "0.5").await?;
    let mut served = 0;
    let mut refused = 0;
    while refused < 4 {
        for gateway in &stack.gateways {
            let client = testbed::http::Client::http1(gateway.listeners[0]);
            let chat = Chat::new("gpt-5-mini").max_tokens(50).takes(0, 50);
            let answer = client.send(chat.request(&account.key)).await?;
            match answer.status {
                200 => served += 1,
                402 => refused += 1,
                other => anyhow::bail!("{other} {}", answer.text()),
            }
        }
        ensure!(served <= 100, "more than was paid for");
    }
    ensure!(served == 100, "{served} of 100 were served");
    stack.finish().await
}

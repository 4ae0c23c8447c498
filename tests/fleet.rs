//! Three Envoys of two workers each on one ledger: one account's credits and rates are shared by all.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{funded, openai_refusal, setup};
use testbed::http::Answer;
use testbed::link::Fault;
use testbed::request::Chat;
use testbed::{Account, Setup, Stack, wait};

/// How soon things are normal after a fault ends.
const HEALED_WITHIN: Duration = Duration::from_secs(10);
const ENVOYS: usize = 3;

fn fleet(name: &str) -> Setup {
    setup(name).envoys(ENVOYS).concurrency(2)
}

/// 5,000 micro-credits, held and used.
fn small() -> Chat {
    Chat::new("gpt-5-mini").max_tokens(50).takes(0, 50)
}

async fn send(stack: &Stack, envoy: usize, account: &Account, chat: Chat) -> Result<Answer> {
    stack.client_of(envoy)?.send(chat.request(&account.key)).await
}

/// Whatever the others have had of it, each Envoy can spend the last credit.
#[tokio::test]
async fn the_last_credit_is_spent_from_whichever_envoy() -> Result<()> {
    let stack = fleet("fleet-last").start().await?;
    for last in 0..ENVOYS {
        let account = funded(&stack, "0.5").await?;
        let mut served = 0;
        for n in 0..60 {
            send(&stack, n % ENVOYS, &account, small()).await?.expect(200)?;
            served += 1;
        }
        loop {
            let answer = send(&stack, last, &account, small()).await?;
            if answer.status != 200 {
                openai_refusal(&answer, 402, "insufficient_credits")?;
                break;
            }
            served += 1;
            ensure!(served <= 100, "more than was paid for");
        }
        wait::until_true("all is reported", HEALED_WITHIN, || async {
            let balance = stack.api().balance(&account.id).await?;
            // A hold is more than the price by the bytes of the body: what is left is less than one.
            ensure!(balance.debt == 0 && balance.in_flight == 0 && balance.available < 5_100, "{balance:?}");
            Ok(true)
        })
        .await
        .with_context(|| format!("Envoy {last}, {served} served"))?;
        ensure!(served >= 99, "Envoy {last}: {served}");
    }
    stack.finish().await
}

/// 200 streams at once over three Envoys against credits for 10: the overspend is at most one clipped request, and
/// the journal is the provider's record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_over_three_envoys_against_credits_for_ten() -> Result<()> {
    let stack = fleet("fleet-burst").start().await?;
    let account = funded(&stack, "10.00125").await?;
    let price = 1_000_125;
    let streams: Vec<_> = (0..200)
        .map(|n| {
            let chat = Chat::stream("gpt-5-mini").max_tokens(10_000).takes(10, 10_000).script(|script| {
                (script.chunks, script.chunk_delay_ms) = (Some(10), 50);
            });
            let (client, request) = (stack.client_of(n % ENVOYS)?, chat.request(&account.key));
            Ok(tokio::spawn(async move { client.send(request).await }))
        })
        .collect::<Result<_>>()?;
    let counts = e2e::stream_counts(streams).await?;
    let served = counts.get(&200).copied().unwrap_or(0);
    ensure!((9..=10).contains(&served), "{counts:?}");
    let sums = testbed::reconcile::reconcile(&stack).await?;
    ensure!(sums.charges == served && sums.charged == price * i64::try_from(served)?, "{sums:?}");
    let balance = stack.api().balance(&account.id).await?;
    ensure!(balance.debt <= price, "{balance:?}");
    println!("{counts:?}, {balance:?}");
    stack.finish().await
}

/// Sixty a minute are sixty a minute, over all six workers, and the refusals say when.
#[tokio::test]
async fn a_rate_holds_over_three_envoys() -> Result<()> {
    let stack = fleet("fleet-rate").start().await?;
    let account = stack.account("minute").await?;
    let began = Instant::now();
    let (mut served, mut refused) = (0_u64, 0);
    while began.elapsed() < Duration::from_secs(20) {
        for envoy in 0..ENVOYS {
            let answer = send(&stack, envoy, &account, small()).await?;
            if answer.status == 200 {
                served += 1;
            } else {
                openai_refusal(&answer, 429, "rate_limited")?;
                refused += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let bound = 60 + began.elapsed().as_secs() + 2;
    println!("{served} served, {refused} refused in {:?}", began.elapsed());
    ensure!(served <= bound, "{served} were served, {bound} are allowed");
    // The first Envoy is waited for when the second one comes; nothing is lost by that.
    ensure!(served * 100 >= bound * 90 && refused > 0, "{served} of {bound}");
    stack.finish().await
}

/// Cut off for 30 s: an Envoy serves on from its leases; then all is as before, and nothing is lost.
#[tokio::test]
async fn an_envoy_cut_off_for_half_a_minute_serves_on_and_heals() -> Result<()> {
    let mut stack = fleet("fleet-cut").start().await?;
    let account = funded(&stack, "800").await?;
    for n in 0..60 {
        send(&stack, n % ENVOYS, &account, small()).await?.expect(200)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stack.fault_of(0, Fault::Silence).await?;
    let began = Instant::now();
    let (mut own, mut others) = (0, 0);
    while began.elapsed() < Duration::from_secs(30) {
        let answer = send(&stack, 0, &account, small()).await?;
        match answer.status {
            200 => own += 1,
            _ => drop(openai_refusal(&answer, 503, "ledger_unavailable")?),
        }
        send(&stack, 1, &account, small()).await?.expect(200)?;
        others += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("cut off: {own} of {others} served");
    ensure!(own > 0, "no leased credits served");
    stack.fault_of(0, Fault::None).await?;
    heals(&stack, 0, &account).await?;
    stack.finish().await
}

/// A killed Envoy's successor serves at once, under its rate and with what the others leave; the dead one's leases
/// come home when it is closed.
#[tokio::test]
async fn a_restarted_envoy_is_another_node_and_the_old_one_s_leases_come_home() -> Result<()> {
    let mut stack = fleet("fleet-kill").start().await?;
    let (rated, account) = (stack.account("minute").await?, funded(&stack, "2").await?);
    for _ in 0..10 {
        send(&stack, 0, &rated, small()).await?.expect(200)?;
        send(&stack, 0, &account, small()).await?.expect(200)?;
    }
    stack.settled(HEALED_WITHIN).await?;
    stack.kill_gateway()?;
    stack.add_gateway().await?;
    let successor = ENVOYS - 1;
    heals(&stack, successor, &rated).await?;
    heals(&stack, successor, &account).await?;
    let leased = stack.api().balance(&account.id).await?.leased;
    ensure!(leased > 0, "the dead Envoy has leases still");
    // 65 s after its last call.
    wait::until_true("the leases come home", Duration::from_secs(80), || async {
        // All there is can be spent again, from another Envoy too.
        let chat = Chat::new("gpt-5-mini").max_tokens(15_000).takes(0, 100);
        let answer = send(&stack, 0, &account, chat).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(true)
    })
    .await?;
    stack.settled(HEALED_WITHIN).await?;
    stack.finish_unreconciled().await
}

/// Cut off for 90 s: after 58 s it admits nothing, after 65 s it is closed; then it goes on under another id and
/// settles what it had.
#[tokio::test]
async fn an_envoy_cut_off_for_a_minute_and_a_half_comes_back_under_another_id() -> Result<()> {
    let mut stack = fleet("fleet-long-cut").start().await?;
    let account = funded(&stack, "800").await?;
    let slow = |stack: &Stack, seconds: u64| -> Result<_> {
        let chat = Chat::stream("gpt-5-mini").max_tokens(50).takes(0, 50).script(|script| {
            (script.chunks, script.chunk_delay_ms) = (Some(10), seconds * 100);
        });
        let (client, request) = (stack.client_of(0)?, chat.request(&account.key));
        Ok(tokio::spawn(async move { client.send(request).await }))
    };
    for n in 0..60 {
        send(&stack, n % ENVOYS, &account, small()).await?.expect(200)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One that ends while the line is cut, one that ends when another node's id is in force.
    let streams = [slow(&stack, 20)?, slow(&stack, 95)?];
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    stack.fault_of(0, Fault::Refuse).await?;
    let mut last_served = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(90) {
        let answer = send(&stack, 0, &account, small()).await?;
        if answer.status == 200 {
            last_served = began.elapsed();
        } else {
            openai_refusal(&answer, 503, "ledger_unavailable")?;
        }
        // So few that the leases last.
        tokio::time::sleep(Duration::from_millis(1_900)).await;
    }
    println!("last served {last_served:?} after the cut");
    ensure!(last_served > Duration::from_secs(20), "served from leases for {last_served:?} only");
    ensure!(last_served < Duration::from_secs(59), "I10: admitted {last_served:?} after the cut");
    stack.fault_of(0, Fault::None).await?;
    heals(&stack, 0, &account).await?;
    for stream in streams {
        stream.await??.expect(200)?;
    }
    stack.finish().await
}

async fn heals(stack: &Stack, envoy: usize, account: &Account) -> Result<()> {
    wait::until_true("requests pass again", HEALED_WITHIN, || async {
        let answer = send(stack, envoy, account, small()).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(true)
    })
    .await
}

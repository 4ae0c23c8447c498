//! Clients that go away, at every moment of a request and in every way: charged is what had been delivered,
//! nothing stays held, and who shares the connection does not notice.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::ground::{Ground, PROTOCOLS, Part, client, nothing_held, recovered, serves_on, together};
use e2e::{charge, funded, hold, reached_provider, report};
use serde_json::json;
use testbed::http::Request;
use testbed::link::Fault;
use testbed::pace::Step;
use testbed::request::Chat;
use testbed::session::Session;
use testbed::{Account, Stack, wait};

/// How long the slow ledger takes.
const SLOW: Duration = Duration::from_millis(250);
/// Longer than any client here stays, in milliseconds.
const NEVER_MS: u64 = 60_000;
/// 50 tokens of input and 80 of output: 50 x 12.5 + 80 x 100.
const PRICE: i64 = 8_625;

/// When the client goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// Half of the body is sent.
    Sending,
    /// The body is sent, and the ledger has been asked so many milliseconds ago.
    Waiting(u64),
    /// The provider has it and thinks.
    Thinking,
    /// So many pieces of the answer have come.
    Between(usize),
    /// All but the chunk with the usage and `[DONE]` has come.
    BeforeUsage,
    /// All but `[DONE]` has come.
    AfterUsage,
    /// All has come.
    End,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaving {
    /// It resets this stream of its connection.
    Stream,
    /// It closes the connection.
    Close,
    /// It resets the connection.
    Reset,
}

/// What may be charged.
#[derive(Clone, Copy, Debug)]
enum Charge {
    Nothing,
    /// Nothing, or an estimate within the hold: it depends on what Envoy had read.
    AtMostHeld,
    /// An estimate within the hold.
    Estimated,
    /// What the provider reported.
    Exact,
}

const CASES: &[(Moment, bool, Charge)] = &[
    (Moment::Sending, false, Charge::Nothing),
    (Moment::Sending, true, Charge::Nothing),
    (Moment::Thinking, false, Charge::Nothing),
    (Moment::Thinking, true, Charge::Nothing),
    (Moment::Between(0), true, Charge::AtMostHeld),
    (Moment::Between(1), true, Charge::Estimated),
    (Moment::Between(4), true, Charge::Estimated),
    (Moment::BeforeUsage, true, Charge::Estimated),
    (Moment::AfterUsage, true, Charge::Exact),
    (Moment::End, true, Charge::Exact),
    (Moment::End, false, Charge::Exact),
];

/// While the slow ledger is asked: before its answer, about when it comes, and after it.
const WAITING: &[u64] = &[20, 120, 240, 260, 300];

fn ways(http2: bool) -> &'static [Leaving] {
    if http2 { &[Leaving::Stream, Leaving::Close, Leaving::Reset] } else { &[Leaving::Close, Leaving::Reset] }
}

fn chat(moment: Moment, stream: bool) -> Chat {
    let chat = if stream { Chat::stream("gpt-5-mini") } else { Chat::new("gpt-5-mini") };
    let chat = chat.max_tokens(200).takes(50, 80);
    match moment {
        Moment::Sending | Moment::Waiting(_) | Moment::End => chat,
        Moment::Thinking => chat.script(|script| script.head_delay_ms = NEVER_MS),
        Moment::Between(_) => chat.script(|script| {
            (script.chunks, script.chunk_delay_ms, script.usage_delay_ms) = (Some(8), 100, NEVER_MS);
        }),
        Moment::BeforeUsage => chat.script(|script| script.usage_delay_ms = NEVER_MS),
        Moment::AfterUsage => chat
            .member("stream_options", json!({"include_usage": true}))
            .script(|script| script.done_delay_ms = NEVER_MS),
    }
}

fn request(chat: &Chat, moment: Moment, key: &str) -> Request {
    if moment != Moment::Sending {
        return chat.request(key);
    }
    let body = chat.body();
    let half = body.as_bytes().get(..body.len() / 2).unwrap_or_default().to_vec();
    chat.request(key).steps(vec![Step::Data(half.into()), Step::Wait(Duration::from_secs(30))])
}

/// Sends a request, goes at the moment and in the way; leaves the connection where that is still there.
async fn leave(
    stack: &Stack,
    mut session: Session,
    (chat, key): (&Chat, &str),
    (moment, leaving): (Moment, Leaving),
) -> Result<Option<Session>> {
    let request = request(chat, moment, key);
    let reply = match moment {
        Moment::Sending | Moment::Waiting(_) | Moment::Thinking => {
            tokio::select! {
                answer = session.open(request) => bail!("answered too early: {}", answer?.status),
                moment = come(stack, chat, moment) => moment?,
            }
            None
        }
        Moment::Between(_) | Moment::BeforeUsage | Moment::AfterUsage | Moment::End => {
            let mut reply = session.open(request).await?;
            ensure!(reply.status == 200, "{}", reply.status);
            let (mut read, mut pieces) = (Vec::new(), 0);
            let done = |read: &[u8], pieces: usize| {
                let has = |text: &str| String::from_utf8_lossy(read).contains(text);
                match moment {
                    Moment::Between(n) => pieces >= n,
                    Moment::BeforeUsage => has(r#""finish_reason":"stop""#),
                    Moment::AfterUsage => has(r#""prompt_tokens""#),
                    _ => false,
                }
            };
            while !done(&read, pieces) {
                let Some(piece) = reply.piece().await? else { break };
                read.extend_from_slice(&piece);
                pieces += 1;
            }
            Some(reply)
        }
    };
    match leaving {
        Leaving::Stream => {
            drop(reply);
            Ok(Some(session))
        }
        Leaving::Close => Ok(None),
        Leaving::Reset => session.reset().map(|()| None),
    }
}

/// The moment before an answer.
async fn come(stack: &Stack, chat: &Chat, moment: Moment) -> Result<()> {
    match moment {
        Moment::Waiting(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(())
        }
        Moment::Thinking => {
            wait::until_true("the provider has it", wait::SETTLED_WITHIN, || async {
                Ok(reached_provider(stack, &chat.tag))
            })
            .await
        }
        _ => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        }
    }
}

async fn check(stack: &Stack, account: &Account, chat: &Chat, expected: Charge) -> Result<()> {
    if let Charge::Nothing = expected {
        return Ok(());
    }
    let line = report(stack, &chat.tag).await?;
    let settled = line.report("outcome") == Some("settled");
    let most = hold("gpt-5-mini", &chat.body(), 200)?;
    match expected {
        Charge::Nothing => {}
        Charge::AtMostHeld if !settled => {}
        Charge::AtMostHeld | Charge::Estimated => {
            let entry = charge(stack, account, &chat.tag).await?;
            ensure!((-most..0).contains(&entry.amount), "hold {most}: {}", entry.json);
            ensure!(entry.text("usage_source") == Some("estimated"), "{}", entry.json);
        }
        Charge::Exact => {
            let entry = charge(stack, account, &chat.tag).await?;
            ensure!(entry.amount == -PRICE, "{}", entry.json);
        }
    }
    Ok(())
}

/// Checks that none of these requests was charged; Envoy may never have seen some of them.
fn uncharged(stack: &Stack, tags: &[String]) -> Result<()> {
    for line in stack.gateway()?.access_log()? {
        let own = line.text("tag").is_some_and(|tag| tags.iter().any(|own| own == tag));
        ensure!(!own || line.report("outcome") != Some("settled"), "{}", line.json);
    }
    Ok(())
}

async fn on(ground: Ground) -> Result<()> {
    let stack = ground.setup("gone").start().await?;
    let account = funded(&stack, "50").await?;
    e2e::still_serves(&stack, &account).await?;
    let mut parts: Vec<Part<'_, Option<String>>> = Vec::new();
    for (moment, stream, expected) in CASES {
        for http2 in PROTOCOLS {
            for leaving in ways(http2) {
                let (stack, account) = (&stack, &account);
                parts.push(Box::pin(async move {
                    let case = async {
                        let client = client(stack, http2)?;
                        let session = Session::connect(client).await?;
                        let chat = chat(*moment, *stream);
                        let own = (&chat, account.key.as_str());
                        let left = leave(stack, session, own, (*moment, *leaving)).await?;
                        check(stack, account, &chat, *expected).await?;
                        if let Some(mut session) = left {
                            let kept = serves_on(&mut session, client, account).await?;
                            ensure!(kept, "one stream's end cost the connection");
                        }
                        anyhow::Ok(Some(chat.tag).filter(|_| matches!(expected, Charge::Nothing)))
                    };
                    case.await
                        .with_context(|| format!("{moment:?} stream {stream} http2 {http2} {leaving:?}"))
                }));
            }
        }
    }
    let tags: Vec<String> = together(parts).await?.into_iter().flatten().collect();
    nothing_held(&stack, &[&account]).await?;
    uncharged(&stack, &tags)?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_at_any_moment() -> Result<()> {
    for ground in Ground::ALL.into_iter().chain(Ground::OLDEST) {
        on(ground).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

/// The check that all of these tests end with can fail: a request that is still open holds something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_seen() -> Result<()> {
    let stack = Ground::ALL[0].setup("held").start().await?;
    let account = funded(&stack, "50").await?;
    let chat = chat(Moment::BeforeUsage, true);
    let mut session = Session::connect(client(&stack, true)?).await?;
    let reply = session.open(chat.request(&account.key)).await?;
    ensure!(nothing_held(&stack, &[&account]).await.is_err(), "a hold was not seen");
    drop(reply);
    nothing_held(&stack, &[&account]).await?;
    stack.finish().await
}

/// What the account of a waiting request has: enough, nothing, or less than the request may hold, which the
/// ledger answers with a clip.
const CREDITS: &[&str] = &["1", "0", "0.002"];

async fn waiting_on(ground: Ground) -> Result<()> {
    let mut stack = ground.setup("gone-waiting").start().await?;
    let rich = funded(&stack, "50").await?;
    e2e::still_serves(&stack, &rich).await?;
    stack.fault(Fault::Delay(SLOW)).await?;
    let mut parts: Vec<Part<'_, (Account, String)>> = Vec::new();
    for credits in CREDITS {
        for wait in WAITING {
            for http2 in PROTOCOLS {
                for leaving in ways(http2) {
                    let (stack, rich) = (&stack, &rich);
                    parts.push(Box::pin(async move {
                        let case = async {
                            let account = if *credits == "0" {
                                stack.account("topup_only").await?
                            } else {
                                funded(stack, credits).await?
                            };
                            let client = client(stack, http2)?;
                            let session = Session::connect(client).await?;
                            let moment = Moment::Waiting(*wait);
                            let chat = chat(moment, true).script(|script| script.head_delay_ms = NEVER_MS);
                            let own = (&chat, account.key.as_str());
                            let left = leave(stack, session, own, (moment, *leaving)).await;
                            // A slow ledger's denial may be faster than the client.
                            let left = if *credits == "0" { left.unwrap_or(None) } else { left? };
                            if let Some(mut session) = left {
                                serves_on(&mut session, client, rich).await?;
                            }
                            anyhow::Ok((account, chat.tag))
                        };
                        case.await.with_context(|| {
                            format!("{credits} credits, {wait} ms, http2 {http2} {leaving:?}")
                        })
                    }));
                }
            }
        }
    }
    let (accounts, tags): (Vec<_>, Vec<_>) = together(parts).await?.into_iter().unzip();
    stack.fault(Fault::None).await?;
    recovered(&stack).await?;
    let funded = accounts.iter().filter(|account| account.plan == "bulk");
    nothing_held(&stack, &funded.chain([&rich]).collect::<Vec<_>>()).await?;
    uncharged(&stack, &tags)?;
    stack.finish().await
}

/// What the ledger grants to a request that has gone is free again, clips too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_while_its_request_waits_for_the_ledger() -> Result<()> {
    for ground in Ground::MODES.into_iter().chain(Ground::OLDEST) {
        waiting_on(ground).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

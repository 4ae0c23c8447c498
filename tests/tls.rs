//! The same money behind TLS: the protocol is agreed on by ALPN, and nothing else changes for filter and ledger.

use anyhow::{Context, Result, ensure};
use e2e::ground::{PROTOCOLS, Part, client, together};
use e2e::{available, charge, funded, openai_refusal, report, setup};
use serde_json::json;
use testbed::gateway::{Headers, Provider};
use testbed::http::Answer;
use testbed::mock::Mock;
use testbed::request::Chat;
use testbed::session::Session;
use testbed::tls::{Front, Tls};
use testbed::tools::run_folder;

/// What an answer takes here, and its price: 100 x 12.5 + 40 x 100.
const TAKES: (u64, u64, i64) = (100, 40, -5_250);
/// Streams on one connection at once.
const AT_ONCE: usize = 20;

#[tokio::test]
async fn the_money_is_the_same_behind_tls() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("tls").headers(headers).tls().start().await?;
        let account = funded(&stack, "10").await?;
        let poor = stack.account("topup_only").await?;
        for http2 in PROTOCOLS {
            let client = client(&stack, http2)?;
            let usage = json!({"include_usage": true});
            for chat in [
                Chat::new("gpt-5-mini"),
                Chat::stream("gpt-5-mini"),
                Chat::stream("gpt-5-mini").member("stream_options", usage),
            ] {
                let chat = chat.max_tokens(50).takes(TAKES.0, TAKES.1);
                client.send(chat.request(&account.key)).await?.expect(200)?;
                let entry = charge(&stack, &account, &chat.tag).await?;
                ensure!(entry.amount == TAKES.2, "{}", entry.json);
                let protocol = report(&stack, &chat.tag).await?;
                let protocol = protocol.text("protocol").context("no protocol")?.to_owned();
                ensure!(protocol == if http2 { "HTTP/2" } else { "HTTP/1.1" }, "{protocol}");
            }
            let answer = client.send(Chat::new("gpt-5-mini").request(&poor.key)).await?;
            openai_refusal(&answer, 402, "insufficient_credits")?;
        }
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn streams_share_a_tls_connection_and_one_that_is_left_is_charged_alone() -> Result<()> {
    let stack = setup("tls-streams").tls().start().await?;
    let account = funded(&stack, "10").await?;
    let mut session = Session::connect(client(&stack, true)?).await?;
    let chat = || Chat::stream("gpt-5-mini").max_tokens(50).takes(TAKES.0, TAKES.1);
    let left = chat().script(|script| script.chunk_delay_ms = 60_000);
    let mut reply = session.open(left.request(&account.key)).await?;
    ensure!(reply.piece().await?.is_some(), "nothing came");
    let chats: Vec<Chat> = (0..AT_ONCE).map(|_| chat()).collect();
    let mut replies = Vec::new();
    for chat in &chats {
        replies.push(session.open(chat.request(&account.key)).await?);
    }
    reply.hang_up();
    let wholes = replies.into_iter().map(|reply| Box::pin(reply.whole()) as Part<'_, Answer>);
    for answer in together(wholes.collect()).await? {
        let answer = answer.expect(200)?;
        ensure!(answer.events().last().map(String::as_str) == Some("[DONE]"), "{}", answer.text());
    }
    for chat in &chats {
        let entry = charge(&stack, &account, &chat.tag).await?;
        ensure!(entry.amount == TAKES.2, "{}", entry.json);
    }
    let entry = charge(&stack, &account, &left.tag).await?;
    ensure!(entry.text("usage_source") == Some("estimated"), "{}", entry.json);
    stack.finish().await
}

/// One try of a provider behind TLS: the status, and what was charged.
async fn provided(mock: &Mock, host: &str, shown: &Tls, trusted: &Tls) -> Result<(u16, i64)> {
    let front = Front::start(shown, mock.address).await?;
    let address = format!("https://{host}:{}", front.address.port());
    let provider = Provider {
        authorities: Some(trusted.authority.clone()),
        headers: vec!["Authorization: Bearer the-provider's-own%".parse()?],
        ..address.parse()?
    };
    let mut setup = setup("tls-provider");
    setup.provider = Some(provider);
    let stack = setup.start().await?;
    let account = funded(&stack, "10").await?;
    let chat = Chat::stream("gpt-5-mini").max_tokens(50).takes(TAKES.0, TAKES.1);
    let answer = stack.chat(&account, chat.clone()).await?;
    let charged = match (answer.status, mock.record.tagged(&chat.tag).as_slice()) {
        (200, [seen]) => {
            ensure!(seen.header("authorization") == Some("Bearer the-provider's-own%"), "{seen:?}");
            ensure!(seen.http2, "ALPN was not followed: {seen:?}");
            charge(&stack, &account, &chat.tag).await?.amount
        }
        (_, seen) => {
            ensure!(seen.is_empty(), "sent to a server that is not the one named: {seen:?}");
            ensure!(report(&stack, &chat.tag).await?.report("outcome") == Some("no_upstream"));
            available(&stack, &account, 10_000_000).await?;
            0
        }
    };
    stack.finish_unreconciled().await?;
    Ok((answer.status, charged))
}

#[tokio::test]
async fn a_provider_behind_tls_gets_its_own_key_and_must_be_the_one_that_was_named() -> Result<()> {
    let (mock, folder) = (Mock::start().await?, run_folder("tls-provider")?);
    let sub = |name: &str| {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).map(|()| folder)
    };
    let own = Tls::make(&sub("own")?)?;
    let (stranger, elsewhere) =
        (Tls::make(&sub("stranger")?)?, Tls::make_for(&sub("elsewhere")?, &["elsewhere.example"])?);
    for host in ["localhost", "127.0.0.1"] {
        ensure!(provided(&mock, host, &own, &own).await? == (200, TAKES.2), "{host}");
    }
    ensure!(provided(&mock, "localhost", &own, &stranger).await? == (503, 0), "signed by a stranger");
    ensure!(provided(&mock, "localhost", &elsewhere, &elsewhere).await? == (503, 0), "for another name");
    Ok(std::fs::remove_dir_all(folder)?)
}

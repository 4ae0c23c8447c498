//! Clients that go away, at every moment of a request.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{charge, funded, hold, setup, stack, still_serves};
use testbed::gateway::Headers;
use testbed::http::Client;
use testbed::link::Fault;
use testbed::mock::TAG_HEADER;
use testbed::raw::Raw;
use testbed::request::{CHAT_PATH, Chat};
use testbed::wait;

/// A completion request as bytes.
fn bytes(chat: &Chat, key: &str) -> Vec<u8> {
    let body = chat.body();
    format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{TAG_HEADER}: {}\r\nx-mock: {}\r\n\
         content-length: {}\r\n\r\n{body}",
        chat.tag,
        chat.script.header(),
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn while_the_request_is_sent() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("gone-sending").headers(headers).start().await?;
        let account = funded(&stack, "10").await?;
        for reset in [false, true] {
            let request = bytes(&Chat::new("gpt-5-mini"), &account.key);
            for sent in (1..request.len()).step_by(40) {
                let mut raw = Raw::connect(stack.address()?).await?;
                raw.write(&request[..sent]).await?;
                tokio::time::sleep(Duration::from_millis(3)).await;
                if reset {
                    raw.reset()?;
                }
            }
        }
        still_serves(&stack, &account).await?;
        ensure!(
            stack.mock.record.all().iter().filter(|seen| seen.complete).count() == 1,
            "half a request went on"
        );
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn while_it_waits_for_admission() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let mut stack = setup("gone-waiting").headers(headers).start().await?;
        let account = funded(&stack, "10").await?;
        stack.fault(Fault::Delay(Duration::from_millis(400))).await?;
        for wait in [20, 100, 300, 390, 410, 430, 800] {
            let (account_id, key) = (account.id.clone(), stack.api().create_key(&account.id, None).await?.1);
            let mut raw = Raw::connect(stack.address()?).await?;
            raw.write(&bytes(&Chat::new("gpt-5-mini").takes(10, 5), &key)).await?;
            tokio::time::sleep(Duration::from_millis(wait)).await;
            raw.reset()?;
            ensure!(!account_id.is_empty());
        }
        stack.fault(Fault::None).await?;
        still_serves(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn while_the_provider_thinks() -> Result<()> {
    let stack = stack("gone-thinking").await?;
    let account = funded(&stack, "10").await?;
    let chat =
        Chat::new("gpt-5-mini").max_tokens(100).takes(50, 80).script(|script| script.head_delay_ms = 3_000);
    let most = hold("gpt-5-mini", &chat.body(), 100)?;
    let mut raw = Raw::connect(stack.address()?).await?;
    raw.write(&bytes(&chat, &account.key)).await?;
    wait::until_true("the provider has it", wait::SETTLED_WITHIN, || async {
        Ok(e2e::reached_provider(&stack, &chat.tag))
    })
    .await?;
    raw.reset()?;
    still_serves(&stack, &account).await?;
    testbed::reconcile::reconcile(&stack).await?;
    let charged: i64 =
        stack.api().entries(&account.id).await?.iter().filter(|e| e.kind == "charge").map(|e| e.amount).sum();
    // One good request and at most one hold.
    ensure!((-(most + 625)..=-625).contains(&charged), "charged {charged}, hold {most}");
    stack.finish().await
}

#[tokio::test]
async fn in_the_middle_of_a_stream() -> Result<()> {
    let stack = stack("gone-streaming").await?;
    let account = funded(&stack, "10").await?;
    for http2 in [false, true] {
        let client = Client { http2, ..stack.client()? };
        let mut charges = Vec::new();
        for pieces in [0, 1, 4, 8] {
            let chat = Chat::stream("gpt-5-mini").max_tokens(200).takes(50, 200).script(|script| {
                (script.chunks, script.chunk_delay_ms) = (Some(10), 60);
            });
            let most = hold("gpt-5-mini", &chat.body(), 200)?;
            let mut reply = client.open(chat.request(&account.key)).await?;
            ensure!(reply.status == 200);
            for _ in 0..pieces {
                reply.piece().await?;
            }
            reply.hang_up();
            let entry = charge(&stack, &account, &chat.tag).await?;
            ensure!((-most..0).contains(&entry.amount), "after {pieces} pieces: hold {most}: {}", entry.json);
            ensure!(entry.text("usage_source") == Some("estimated"), "{}", entry.json);
            charges.push(-entry.amount);
        }
        // What was delivered decides: by far the most for the one who stayed by far the longest.
        let (last, earlier) = (charges[3], &charges[..3]);
        ensure!(earlier.iter().all(|charge| *charge < last), "http2 {http2}: {charges:?}");
    }
    still_serves(&stack, &account).await?;
    stack.finish().await
}

#[tokio::test]
async fn after_the_last_byte() -> Result<()> {
    let stack = stack("gone-after").await?;
    let account = funded(&stack, "10").await?;
    let mut tags = Vec::new();
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.takes(50, 80);
        let mut raw = Raw::connect(stack.address()?).await?;
        raw.write(&bytes(&chat, &account.key)).await?;
        raw.answer().await?;
        raw.reset()?;
        tags.push(chat.tag);
    }
    for tag in tags {
        ensure!(charge(&stack, &account, &tag).await?.amount == -8_625);
    }
    stack.finish().await
}

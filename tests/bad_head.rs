//! Bad request heads: bytes that are no text, doubled and oversized headers, upgrades, unknown keys in
//! great number. After each a good request is served.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{funded, resident, setup, stack, still_serves};
use serde_json::json;
use testbed::http::{Client, Request};
use testbed::link::Fault;
use testbed::raw::Raw;
use testbed::request::{CHAT_PATH, Chat, tag};
use testbed::{Account, Stack, keys};

/// A completion request as bytes, with these header lines.
fn request(chat: &Chat, headers: &[u8]) -> Vec<u8> {
    let body = chat.body();
    let mut bytes = format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-tag: {}\r\ncontent-length: {}\r\n",
        chat.tag,
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

async fn status(stack: &Stack, bytes: &[u8]) -> Result<u16> {
    let mut raw = Raw::connect(stack.address()?).await?;
    raw.write(bytes).await?;
    Ok(raw.answer().await?.status)
}

#[tokio::test]
async fn bytes_that_are_no_text() -> Result<()> {
    let stack = stack("no-text").await?;
    let account = funded(&stack, "10").await?;
    let key = format!("authorization: Bearer {}\r\n", account.key).into_bytes();
    // Every byte that a header value may carry on the wire, in a header that nobody reads.
    for range in [0x80..=0xbf_u8, 0xc0..=0xff] {
        let value: Vec<u8> = range.collect();
        for name in ["x-bin", "cookie", "user-agent", "x-tag", "x-bursar-x"] {
            let header = [key.as_slice(), name.as_bytes(), b": ", &value, b"\r\n"].concat();
            let status = status(&stack, &request(&Chat::new("gpt-5-mini"), &header)).await?;
            ensure!(status == 200, "{name}: {status}");
        }
        for name in ["authorization: Bearer", "x-api-key:", "api-key:", "content-encoding:"] {
            let mine = if name.starts_with("content") { key.clone() } else { Vec::new() };
            let header = [mine.as_slice(), name.as_bytes(), b" bsr_", &value, b"\r\n"].concat();
            let status = status(&stack, &request(&Chat::new("gpt-5-mini"), &header)).await?;
            ensure!(status == 401 || status == 400, "{name}: {status}");
        }
        still_serves(&stack, &account).await?;
    }
    // Those requests have no tag of their own that could be joined.
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn odd_lines_and_many_headers() -> Result<()> {
    let stack = stack("odd-lines").await?;
    let account = funded(&stack, "10").await?;
    let key = format!("authorization: Bearer {}\r\n", account.key);
    let many: String = (0..90).map(|n| format!("x-many-{n}: {n}\r\n")).collect();
    for (name, headers, expected) in [
        ("underscore twins", format!("{key}x_api_key: a\r\n"), 400),
        ("many headers", format!("{key}{many}"), 200),
        ("too many headers", format!("{key}{}", many.repeat(12)), 431),
        ("a long value", format!("{key}x-long: {}\r\n", "a".repeat(40_000)), 200),
        ("an empty value", format!("{key}x-empty:\r\n"), 200),
        ("bearer in capitals", key.replace("Bearer", "BEARER"), 200),
    ] {
        let status =
            status(&stack, &request(&Chat::new("gpt-5-mini").takes(10, 5), headers.as_bytes())).await?;
        ensure!(status == expected, "{name}: {status}");
        still_serves(&stack, &account).await?;
    }
    stack.finish().await
}

#[tokio::test]
async fn expect_continue_is_answered_once() -> Result<()> {
    let stack = stack("expect").await?;
    let account = funded(&stack, "10").await?;
    let chat = Chat::new("gpt-5-mini").takes(10, 5);
    let header = format!("authorization: Bearer {}\r\nexpect: 100-continue\r\n", account.key);
    let mut raw = Raw::connect(stack.address()?).await?;
    raw.write(&request(&chat, header.as_bytes())).await?;
    let mut answer = raw.answer().await?;
    if answer.status == 100 {
        answer = raw.answer().await?;
    }
    ensure!(answer.status == 200, "{}", answer.head);
    stack.finish().await
}

#[tokio::test]
async fn upgrades_are_refused_unless_exempt() -> Result<()> {
    let stack = setup("upgrade").start().await?;
    let account = funded(&stack, "10").await?;
    for (path, expected) in
        [(CHAT_PATH, 403), ("/v1/realtime", 403), ("/v1/search", 403), ("/public/socket", 101)]
    {
        let upgrade = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nx-tag: {}\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            tag(),
            account.key
        );
        let status = status(&stack, upgrade.as_bytes()).await?;
        ensure!(status == expected, "{path}: {status}");
        let upgraded = stack.mock.record.all().iter().any(|seen| seen.path == path);
        ensure!(upgraded == (expected == 101), "{path} reached the provider: {upgraded}");
        still_serves(&stack, &account).await?;
    }
    stack.finish().await
}

#[tokio::test]
async fn a_bad_checksum_is_refused_without_the_ledger() -> Result<()> {
    let mut stack = stack("checksum").await?;
    let account = funded(&stack, "10").await?;
    still_serves(&stack, &account).await?;
    stack.fault(Fault::Refuse).await?;
    let client = stack.client()?;
    let ask = |key: String| async move { client.send(Chat::new("gpt-5-mini").request(&key)).await };
    ensure!(ask(keys::with_bad_checksum(&account.key)).await?.status == 401, "a bad checksum");
    ensure!(ask(keys::unknown()).await?.status == 503, "a key that only the ledger could know");
    stack.fault(Fault::None).await?;
    stack.finish().await
}

async fn unknown_keys(client: Client, times: usize) -> Result<[usize; 2]> {
    let mut counts = [0; 2];
    for _ in 0..times {
        let answer = client
            .send(Request::post(CHAT_PATH, &json!({"model": "gpt-5-mini"})).bearer(&keys::unknown()))
            .await?;
        match answer.status {
            401 => counts[0] += 1,
            503 => counts[1] += 1,
            other => anyhow::bail!("an unknown key got {other}: {}", answer.text()),
        }
    }
    Ok(counts)
}

async fn good_requests(client: Client, account: Account) -> Result<usize> {
    for served in 0..40 {
        let chat = Chat::new("gpt-5-mini").max_tokens(10).takes(10, 5);
        let answer = client.send(chat.request(&account.key)).await?;
        ensure!(answer.status == 200, "the good key got {} after {served}: {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(40)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_unknown_keys_cost_little_and_hurt_nobody() -> Result<()> {
    let stack = stack("unknown-keys").await?;
    let account = funded(&stack, "10").await?;
    still_serves(&stack, &account).await?;
    unknown_keys(stack.client()?, 500).await?;
    let before = resident(stack.gateway()?.pid())?;
    let good = tokio::spawn(good_requests(stack.client()?, account.clone()));
    let client = stack.client()?;
    let storm: Vec<_> = (0..20).map(|_| tokio::spawn(unknown_keys(client, 475))).collect();
    let mut total = [0; 2];
    for part in storm {
        let counts = part.await??;
        total = [total[0] + counts[0], total[1] + counts[1]];
    }
    good.await??;
    ensure!(total[0] + total[1] == 9_500 && total[0] > 0, "{total:?}");
    let grown = resident(stack.gateway()?.pid())?.saturating_sub(before);
    ensure!(grown < 32 << 10, "Envoy grew by {grown} KiB over 9,500 unknown keys");
    still_serves(&stack, &account).await?;
    stack.finish().await
}

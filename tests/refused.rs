//! Requests that are refused: the status, the body, and that the provider never gets them whole.

use anyhow::{Result, ensure};
use e2e::{funded, openai_refusal, reached_provider, report, stack, still_serves};
use serde_json::Value;
use testbed::http::Answer;
use testbed::request::Chat;
use testbed::{Account, Stack, keys};

/// Sends a request that must be refused and checks all that is the same for every refusal.
async fn refused(stack: &Stack, account: &Account, chat: Chat, status: u16, code: &str) -> Result<Value> {
    let tag = chat.tag.clone();
    let answer = stack.chat(account, chat).await?;
    checked(stack, &answer, &tag, status, code).await
}

async fn checked(stack: &Stack, answer: &Answer, tag: &str, status: u16, code: &str) -> Result<Value> {
    let body = openai_refusal(answer, status, code)?;
    ensure!(!reached_provider(stack, tag), "{code} reached the provider");
    let line = report(stack, tag).await?;
    ensure!(line.text("details") == Some(&format!("bursar_{code}")), "{}", line.json);
    ensure!(line.report("outcome") == Some(code) || line.report("code") == Some(code), "{}", line.json);
    ensure!(answer.header("x-bursar-credits-remaining").is_none(), "{:?}", answer.headers);
    Ok(body)
}

#[tokio::test]
async fn without_a_valid_key() -> Result<()> {
    let stack = stack("no-key").await?;
    let account = funded(&stack, "1").await?;
    let bearer = |key: &str| format!("Bearer {key}");
    let key = account.key.as_str();
    let cases: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("none", vec![]),
        ("empty", vec![("authorization", String::new())]),
        ("empty bearer", vec![("authorization", bearer(""))]),
        ("another scheme", vec![("authorization", "Basic dXNlcjpwYXNz".to_owned())]),
        ("unknown", vec![("authorization", bearer(&keys::unknown()))]),
        ("foreign and unknown", vec![("x-api-key", "sk-0123456789abcdef".to_owned())]),
        ("bad checksum", vec![("authorization", bearer(&keys::with_bad_checksum(key)))]),
        ("cut short", vec![("authorization", bearer(&key[..20]))]),
        ("twice the same header", vec![("x-api-key", key.to_owned()), ("x-api-key", keys::unknown())]),
        ("in two headers", vec![("authorization", bearer(key)), ("x-api-key", keys::unknown())]),
        ("two in authorization", vec![("authorization", bearer(key)), ("authorization", bearer(key))]),
        ("100 kB", vec![("x-api-key", "k".repeat(50_000))]),
    ];
    for (name, headers) in cases {
        let chat = Chat::new("gpt-5-mini");
        let request =
            headers.iter().fold(chat.bare(chat.body()), |request, (name, value)| request.header(name, value));
        let answer = stack.client()?.send(request).await?;
        checked(&stack, &answer, &chat.tag, 401, "invalid_api_key")
            .await
            .map_err(|error| error.context(name))?;
        ensure!(answer.header("www-authenticate").is_some(), "{name}: {:?}", answer.headers);
    }
    still_serves(&stack, &account).await?;
    stack.finish().await
}

#[tokio::test]
async fn without_credits() -> Result<()> {
    let stack = stack("no-credits").await?;
    let account = stack.account("topup_only").await?;
    let body =
        refused(&stack, &account, Chat::new("gpt-5-mini").max_tokens(100), 402, "insufficient_credits")
            .await?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(text("available") == "0.000000", "{body}");
    ensure!(testbed::money::micros(text("required")).is_some_and(|micros| micros > 0), "{body}");
    ensure!(text("limit_source") == "pool" && text("top_up_url").starts_with("https://"), "{body}");
    ensure!(body.get("affordable_tokens").and_then(Value::as_u64) == Some(0), "{body}");
    // Remembered: the ledger is not asked again, the answer is the same.
    refused(&stack, &account, Chat::stream("gpt-5-mini"), 402, "insufficient_credits").await?;
    stack.finish().await
}

#[tokio::test]
async fn beyond_the_plan() -> Result<()> {
    let stack = stack("gate").await?;
    let account = stack.account("starter").await?;
    let body = refused(&stack, &account, Chat::new("early-preview"), 402, "plan_required").await?;
    ensure!(body.pointer("/unlocks/0/plan").and_then(Value::as_str) == Some("max"), "{body}");
    ensure!(body.get("limit_source").and_then(Value::as_str) == Some("gate"), "{body}");
    let open = stack.account("max").await?;
    let chat = Chat::new("early-preview");
    stack.chat(&open, chat).await?.expect(200)?;
    still_serves(&stack, &account).await?;
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn beyond_the_key() -> Result<()> {
    let stack = stack("key-models").await?;
    let mut account = funded(&stack, "1").await?;
    (account.key_id, account.key) = stack.api().create_key(&account.id, Some(&["gpt-5-mini"])).await?;
    refused(&stack, &account, Chat::new("gpt-5"), 403, "forbidden_model").await?;
    still_serves(&stack, &account).await?;
    stack.finish().await
}

#[tokio::test]
async fn a_suspended_account() -> Result<()> {
    let stack = stack("suspended").await?;
    let account = funded(&stack, "1").await?;
    stack.api().set_status(&account.id, "suspended").await?;
    refused(&stack, &account, Chat::new("gpt-5-mini"), 403, "account_suspended").await?;
    stack.finish().await
}

#[tokio::test]
async fn faster_than_the_plan() -> Result<()> {
    let stack = stack("rate").await?;
    let account = stack.account("starter").await?;
    for _ in 0..15 {
        still_serves(&stack, &account).await?;
    }
    let body = refused(&stack, &account, Chat::new("gpt-5-mini"), 429, "rate_limited").await?;
    ensure!(body.get("limit_source").and_then(Value::as_str) == Some("rate"), "{body}");
    ensure!(body.get("violated-policies").is_some(), "{body}");
    // The rate is the account's: another key changes nothing.
    let mut other = account.clone();
    (other.key_id, other.key) = stack.api().create_key(&account.id, None).await?;
    refused(&stack, &other, Chat::new("gpt-5-mini"), 429, "rate_limited").await?;
    stack.finish().await
}

#[tokio::test]
async fn more_than_is_left_names_what_can_be_had() -> Result<()> {
    let stack = stack("affordable").await?;
    let account = funded(&stack, "0.01").await?;
    // While one request runs on all that is left, the next one is told so.
    let slow =
        Chat::new("gpt-5-mini").max_tokens(1_000).takes(20, 60).script(|script| script.head_delay_ms = 1_500);
    let (client, key) = (stack.client()?, account.key.clone());
    let running = tokio::spawn(async move { client.send(slow.request(&key)).await });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let body =
        refused(&stack, &account, Chat::new("gpt-5-mini").max_tokens(1_000), 402, "insufficient_credits")
            .await?;
    ensure!(body.get("limit_source").and_then(Value::as_str) == Some("in_flight"), "{body}");
    running.await??.expect(200)?;
    stack.finish().await
}

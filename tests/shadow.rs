//! Shadow mode: everything is decided, counted and logged, nothing is refused.

use anyhow::{Result, ensure};
use e2e::{charge, report, setup, stack};
use serde_json::json;
use testbed::request::Chat;
use testbed::{Account, Stack};

async fn shadowed(stack: &Stack, account: &Account, chat: Chat, code: &str) -> Result<()> {
    let answer = stack.chat(account, chat.clone()).await?;
    ensure!(answer.status == 200, "{code}: {} {}", answer.status, answer.text());
    let line = report(stack, &chat.tag).await?;
    ensure!(line.report("outcome") == Some(&format!("shadow_{code}")), "{}", line.json);
    ensure!(line.text("details") == Some("via_upstream"), "{}", line.json);
    Ok(())
}

#[tokio::test]
async fn nothing_is_refused_and_everything_is_told() -> Result<()> {
    let stack = setup("shadow").plugin(json!({"enforce": false})).start().await?;
    let starter = stack.account("starter").await?;
    let empty = stack.account("topup_only").await?;
    shadowed(&stack, &empty, Chat::new("gpt-5-mini"), "insufficient_credits").await?;
    let closed = Chat::new("early-preview").takes(50, 80);
    shadowed(&stack, &starter, closed.clone(), "plan_required").await?;
    ensure!(charge(&stack, &starter, &closed.tag).await?.amount < 0, "what passes is charged");
    shadowed(&stack, &starter, Chat::new("gpt-99"), "unknown_model").await?;
    let mut nobody = starter.clone();
    nobody.key = testbed::keys::unknown();
    shadowed(&stack, &nobody, Chat::new("gpt-5-mini"), "invalid_api_key").await?;
    let mut last = None;
    for _ in 0..20 {
        let chat = Chat::new("gpt-5-mini").takes(50, 80);
        stack.chat(&starter, chat.clone()).await?.expect(200)?;
        last = Some(report(&stack, &chat.tag).await?);
    }
    let last = last.as_ref().and_then(|line| line.report("outcome"));
    ensure!(last == Some("shadow_rate_limited"), "{last:?}");
    let broken = Chat::new("gpt-5-mini");
    let answer = stack.client()?.send(broken.bare("no JSON").bearer(&starter.key)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn a_plan_alone_can_be_in_shadow() -> Result<()> {
    let stack = stack("shadow-plan").await?;
    let account = stack.account("watched").await?;
    stack.top_up(&account, "1").await?;
    let first = Chat::new("gpt-5-mini").takes(50, 80);
    stack.chat(&account, first.clone()).await?.expect(200)?;
    ensure!(charge(&stack, &account, &first.tag).await?.amount == -8_625);
    shadowed(&stack, &account, Chat::new("gpt-5-mini"), "rate_limited").await?;
    let enforced = stack.account("topup_only").await?;
    stack.chat(&enforced, Chat::new("gpt-5-mini")).await?.expect(402)?;
    stack.finish_unreconciled().await
}

//! Changes at the ledger count at the edge within two seconds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{funded, stack, still_serves};
use testbed::http::Request;
use testbed::request::Chat;
use testbed::{Account, Stack, wait};

/// One tick and a round trip, with room to spare.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(2);

/// Waits until a request with this key gets this status.
async fn becomes(stack: &Stack, key: &str, model: &str, status: u16) -> Result<()> {
    let client = stack.client()?;
    wait::until_true(&format!("status {status}"), EFFECTIVE_WITHIN, || async {
        let chat = Chat::new(model).max_tokens(10).takes(10, 5);
        let answer = client.send(chat.request(key)).await?;
        ensure!(answer.status == status, "{} {}", answer.status, answer.text());
        Ok(true)
    })
    .await
}

#[tokio::test]
async fn a_top_up_counts() -> Result<()> {
    let stack = stack("top-up").await?;
    let account = stack.account("bulk").await?;
    becomes(&stack, &account.key, "gpt-5-mini", 402).await?;
    stack.top_up(&account, "1").await?;
    becomes(&stack, &account.key, "gpt-5-mini", 200).await?;
    stack.finish().await
}

#[tokio::test]
async fn a_key_counts_when_made_and_no_longer_when_revoked() -> Result<()> {
    let stack = stack("keys").await?;
    let account = funded(&stack, "1").await?;
    still_serves(&stack, &account).await?;
    let (id, key) = stack.api().create_key(&account.id, None).await?;
    becomes(&stack, &key, "gpt-5-mini", 200).await.context("new key")?;
    stack.api().revoke_key(&account.id, &id).await?;
    becomes(&stack, &key, "gpt-5-mini", 401).await.context("revoked key")?;
    // The account's other key is as good as before.
    still_serves(&stack, &account).await?;
    stack.finish().await
}

#[tokio::test]
async fn a_suspension_counts_and_its_end() -> Result<()> {
    let stack = stack("suspension").await?;
    let account = funded(&stack, "1").await?;
    still_serves(&stack, &account).await?;
    stack.api().set_status(&account.id, "suspended").await?;
    becomes(&stack, &account.key, "gpt-5-mini", 403).await?;
    stack.api().set_status(&account.id, "active").await?;
    becomes(&stack, &account.key, "gpt-5-mini", 200).await?;
    stack.finish().await
}

#[tokio::test]
async fn an_upgrade_opens_its_models() -> Result<()> {
    let stack = stack("upgrade-plan").await?;
    let account = stack.account("starter").await?;
    becomes(&stack, &account.key, "early-preview", 402).await?;
    stack.api().switch_plan(&account.id, "max").await?;
    becomes(&stack, &account.key, "early-preview", 200).await?;
    let balance = stack.api().balance(&account.id).await?;
    ensure!(balance.available > 2_900_000_000, "{balance:?}");
    stack.finish_unreconciled().await
}

/// Customers' own calls pass Envoy to the ledger with their own key, and nothing else of the ledger does.
#[tokio::test]
async fn l15_a_customer_reads_its_billing_through_envoy() -> Result<()> {
    let stack = stack("manage").await?;
    let account = stack.account("starter").await?;
    let client = stack.client()?;
    let billing = || Request::get("/manage/v1/billing");
    let shown = client.send(billing().bearer(&account.key)).await?.expect(200)?.json()?;
    ensure!(shown["plan"] == "starter" && shown["account"] == *account.id, "{shown}");
    let plans = client.send(Request::get("/manage/v1/plans").bearer(&account.key)).await?.expect(200)?;
    ensure!(plans.text().contains("\"pro\""), "{}", plans.text());
    let message = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_billing"}});
    let told = client
        .send(Request::post("/manage/v1/mcp", &message).bearer(&account.key))
        .await?
        .expect(200)?
        .json()?;
    ensure!(told["result"]["structuredContent"] == shown, "{told}");
    client.send(billing()).await?.expect(401)?;
    client.send(billing().bearer("bsr_not_a_key")).await?.expect(401)?;
    // The management API is not there, whatever the key.
    let accounts = client.send(Request::get("/v1/accounts").bearer(&account.key)).await?;
    ensure!(accounts.status == 403, "{} {}", accounts.status, accounts.text());
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn a_catalog_counts_without_a_restart() -> Result<()> {
    let stack = stack("catalog").await?;
    let account = stack.account("starter").await?;
    becomes(&stack, &account.key, "early-preview", 402).await?;
    becomes(&stack, &account.key, "claude-opus-4.6", 200).await?;
    let old = std::fs::read_to_string(testbed::setup::default_catalog())?;
    let open = old.replace("    feature: early_access\n", "");
    ensure!(open != old, "the catalog has changed: mend this test");
    stack.api().publish_catalog(&open).await?;
    becomes(&stack, &account.key, "early-preview", 200).await?;
    stack.api().publish_catalog(&old).await?;
    becomes(&stack, &account.key, "early-preview", 402).await?;
    // The page has no price for the preview.
    stack.finish_unreconciled().await
}

/// Included credits at base price first, then top-ups at the plan's rate (M3, M4), through the real
/// gateway.
#[tokio::test]
async fn a_request_across_the_border_of_two_pools() -> Result<()> {
    let stack = stack("straddle").await?;
    let account: Account = stack.account("starter").await?;
    stack.top_up(&account, "50").await?;
    // 500 included: 498 in one go, then the page's example of 6 credits with 2 left.
    let large = Chat::new("claude-opus-4.6").max_tokens(2_000_000).takes(0, 1_992_000);
    stack.chat(&account, large).await?.expect(200)?;
    let straddling = Chat::new("claude-sonnet-4.5").max_tokens(20_000).takes(100_000, 20_000);
    stack.chat(&account, straddling.clone()).await?.expect(200)?;
    let entry = e2e::charge(&stack, &account, &straddling.tag).await?;
    let expected = [("included".to_owned(), -2_000_000), ("topup".to_owned(), -3_400_000)];
    ensure!(entry.pools == expected, "{}", entry.json);
    ensure!(entry.amount == -5_400_000, "{}", entry.json);
    stack.finish().await
}

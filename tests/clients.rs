//! Stock clients: the `OpenAI` package for Python, unchanged. The scripts are in `clients/`.

use anyhow::{Result, ensure};
use e2e::{funded, stack};
use testbed::tools::{Tools, repository};
use testbed::{Account, Stack};

/// Runs a script, which ends with status 1 where something does not hold.
async fn run(stack: &Stack, account: &Account, script: &str) -> Result<()> {
    let run = tokio::process::Command::new(Tools::from_env().python()?)
        .arg(repository().join("tests/clients").join(script))
        .env("OPENAI_BASE_URL", format!("http://{}/v1", stack.address()?))
        .env("OPENAI_API_KEY", &account.key)
        .output()
        .await?;
    let (out, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    ensure!(run.status.success(), "{script}:\n{out}{errors}");
    Ok(())
}

#[tokio::test]
async fn plain_streamed_and_parallel() -> Result<()> {
    let stack = stack("sdk").await?;
    let account = funded(&stack, "50").await?;
    for script in ["plain.py", "stream.py", "parallel.py"] {
        run(&stack, &account, script).await?;
    }
    stack.settled(testbed::wait::SETTLED_WITHIN).await?;
    let entries = stack.api().entries(&account.id).await?;
    let charges: Vec<_> = entries.iter().filter(|entry| entry.kind == "charge").collect();
    // 1 plain, 2 streams, 40 in parallel; 12 x 12.5 + 5 x 100 each.
    ensure!(charges.len() == 43 && charges.iter().all(|entry| entry.amount == -650), "{charges:?}");
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn a_402_is_an_exception_and_not_retried() -> Result<()> {
    let stack = stack("sdk-402").await?;
    let account = stack.account("topup_only").await?;
    run(&stack, &account, "refused.py").await?;
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn a_429_is_retried_after_its_time() -> Result<()> {
    let stack = stack("sdk-429").await?;
    let account = stack.account("brisk").await?;
    stack.top_up(&account, "50").await?;
    run(&stack, &account, "retried.py").await?;
    stack.finish_unreconciled().await
}

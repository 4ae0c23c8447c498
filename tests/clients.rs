//! Stock clients, unchanged: the packages of `OpenAI`, Anthropic, Google, Amazon, Cohere and Ollama for Python. The scripts
//! are in `clients/`.

use anyhow::{Result, ensure};
use e2e::{funded, setup, stack};
use testbed::tools::{Tools, repository};
use testbed::{Account, Setup, Stack};

/// The variables that the packages take a key from.
const KEYS: [&str; 6] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CO_API_KEY",
    "OLLAMA_API_KEY",
];

/// Runs a script, which ends with status 1 where something does not hold. Each package's own variables say where
/// to and with which key.
async fn run(stack: &Stack, account: &Account, script: &str, more: &[(&str, String)]) -> Result<()> {
    let gateway = stack.url()?;
    let run = tokio::process::Command::new(Tools::from_env().python()?)
        .arg(repository().join("tests/clients").join(script))
        .env("OPENAI_BASE_URL", format!("{gateway}/v1"))
        .env("ANTHROPIC_BASE_URL", &gateway)
        .env("GOOGLE_GEMINI_BASE_URL", &gateway)
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &gateway)
        .env("CO_API_URL", &gateway)
        .env("OLLAMA_HOST", &gateway)
        .envs(KEYS.map(|name| (name, &account.key)))
        .envs(stack.authority().map(|file| ("AWS_CA_BUNDLE", file)))
        .env("TAG", script)
        .envs(more.iter().cloned())
        .output()
        .await?;
    let (out, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    ensure!(run.status.success(), "{script}:\n{out}{errors}");
    Ok(())
}

/// A stack, a script that shows every refusal as its client's exception, and what it was charged: as the provider
/// reported it, to the micro-credit.
async fn whole(setup: Setup, script: &str, charges: usize) -> Result<()> {
    let stack = setup.start().await?;
    let account = funded(&stack, "50").await?;
    let poor = stack.account("topup_only").await?;
    let mut keys = vec![("KEY_POOR", poor.key)];
    for (variable, plan) in [("KEY_TIGHT", "tight"), ("KEY_BRISK", "brisk")] {
        let rated = stack.account(plan).await?;
        stack.top_up(&rated, "50").await?;
        keys.push((variable, rated.key));
    }
    keys.push(("KEY_LIMITED", stack.api().create_key(&account.id, Some(&["gpt-5.2"])).await?.1));
    run(&stack, &account, script, &keys).await?;
    stack.settled(testbed::wait::SETTLED_WITHIN).await?;
    let entries = stack.api().entries(&account.id).await?;
    let reported = |entry: &&testbed::ledger::Entry| {
        entry.kind == "charge" && entry.text("usage_source") == Some("reported")
    };
    let found = entries.iter().filter(reported).count();
    ensure!(found == charges, "{charges} charges expected: {entries:?}");
    stack.finish().await
}

#[tokio::test]
async fn openai_beyond_chat() -> Result<()> {
    whole(setup("sdk-openai"), "openai_others.py", 6).await
}

#[tokio::test]
async fn anthropic_messages() -> Result<()> {
    whole(setup("sdk-anthropic"), "anthropic_messages.py", 14).await
}

#[tokio::test]
async fn google_genai() -> Result<()> {
    whole(setup("sdk-genai"), "genai_content.py", 13).await
}

#[tokio::test]
async fn boto3_bedrock_runtime() -> Result<()> {
    whole(setup("sdk-boto3").tls(), "bedrock_runtime.py", 4).await
}

#[tokio::test]
async fn cohere_both_versions() -> Result<()> {
    whole(setup("sdk-cohere"), "cohere_clients.py", 12).await
}

#[tokio::test]
async fn ollama_chat_generate_and_embed() -> Result<()> {
    whole(setup("sdk-ollama"), "ollama_chat.py", 11).await
}

#[tokio::test]
async fn plain_streamed_and_parallel() -> Result<()> {
    let stack = stack("sdk").await?;
    let account = funded(&stack, "50").await?;
    for script in ["plain.py", "stream.py", "parallel.py"] {
        run(&stack, &account, script, &[]).await?;
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
    run(&stack, &account, "refused.py", &[]).await?;
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn a_429_is_retried_after_its_time() -> Result<()> {
    let stack = stack("sdk-429").await?;
    let account = stack.account("brisk").await?;
    stack.top_up(&account, "50").await?;
    run(&stack, &account, "retried.py", &[]).await?;
    stack.finish_unreconciled().await
}

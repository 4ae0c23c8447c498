//! Stock clients, unchanged: the packages of `OpenAI`, Anthropic, Google, Amazon, Cohere and Ollama for Python. The scripts
//! are in `clients/`.

use anyhow::{Context, Result, ensure};
use e2e::{charge, funded, setup, stack};
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
/// to and with which key. Returns what it says.
async fn run(stack: &Stack, account: &Account, script: &str, more: &[(&str, String)]) -> Result<String> {
    let gateway = stack.url()?;
    let run = tokio::process::Command::new(Tools::from_env().python()?)
        .arg(repository().join("tests/clients").join(script))
        .env("OPENAI_BASE_URL", format!("{gateway}/v1"))
        .env("GATEWAY", &gateway)
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
    Ok(out.into_owned())
}

/// A stack that sells media, and a script that says beside each request what it must be charged (`COSTS TAG MICROS`).
#[tokio::test]
async fn media_azure_and_rerankers() -> Result<()> {
    let mut setup = setup("sdk-media").catalog(&repository().join("tests/clients/media.yaml"));
    setup.plans.clear();
    let stack = setup.start().await?;
    let (account, poor) = (funded(&stack, "50").await?, stack.account("topup_only").await?);
    let samples = repository().join("crates/usage/samples").display().to_string();
    let said =
        run(&stack, &account, "openai_media.py", &[("KEY_POOR", poor.key), ("SAMPLES", samples)]).await?;
    let costs: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("COSTS ")).collect();
    ensure!(costs.len() == 21, "{said}");
    for line in &costs {
        let (tag, micros) = line.split_once(' ').context("no amount")?;
        let entry = charge(&stack, &account, tag).await?;
        ensure!(-entry.amount == micros.parse::<i64>()?, "{micros} expected: {}", entry.json);
        ensure!(entry.text("usage_source") != Some("estimated"), "{}", entry.json);
    }
    stack.settled(testbed::wait::SETTLED_WITHIN).await?;
    let entries = stack.api().entries(&account.id).await?;
    ensure!(entries.iter().filter(|entry| entry.kind == "charge").count() == costs.len(), "{entries:?}");
    stack.finish_unreconciled().await
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
async fn anthropic_on_bedrock_and_vertex() -> Result<()> {
    whole(setup("sdk-platforms"), "anthropic_platforms.py", 4).await
}

#[tokio::test]
async fn google_genai() -> Result<()> {
    whole(setup("sdk-genai"), "genai_content.py", 16).await
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

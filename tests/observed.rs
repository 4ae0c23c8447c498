//! What operators see: access log, filter state, metrics with tags.

use anyhow::{Context, Result, ensure};
use e2e::{funded, report, stack};
use serde_json::Value;
use testbed::request::Chat;
use testbed::{keys, wait};

#[tokio::test]
async fn the_access_log_tells_who_what_and_how_much() -> Result<()> {
    let stack = stack("access-log").await?;
    let account = stack.account("starter").await?;
    let chat = Chat::new("gpt-5-mini").takes(50, 80);
    let answer = stack.chat(&account, chat.clone()).await?.expect(200)?;
    let line = report(&stack, &chat.tag).await?;
    for (name, expected) in [
        ("account", account.id.as_str()),
        ("key", &account.key_id),
        ("plan", "starter"),
        ("model", "gpt-5-mini"),
        ("operation", "chat"),
        ("outcome", "settled"),
        ("source", "reported"),
        ("status", "complete"),
        ("request", answer.header("x-bursar-request-id").unwrap_or_default()),
    ] {
        ensure!(line.report(name) == Some(expected), "{name} should be {expected}: {}", line.json);
    }
    let report = line.bursar.as_ref().context("no report")?;
    let charge = report.get("charge");
    let charge =
        charge.and_then(|charge| charge.as_str().and_then(testbed::money::micros).or(charge.as_i64()));
    ensure!(charge == Some(8_625), "{report}");
    let usage = |meter: &str| report.pointer(&format!("/usage/{meter}")).and_then(Value::as_u64);
    ensure!((usage("input_tokens"), usage("output_tokens")) == (Some(50), Some(80)), "{report}");
    ensure!(report.get("lane").is_some() && report.get("seq").and_then(Value::as_u64).is_some(), "{report}");
    stack.finish().await
}

#[tokio::test]
async fn secrets_and_contents_are_in_no_log_and_no_metric() -> Result<()> {
    let mut setup = e2e::setup("secrets");
    "info".clone_into(&mut setup.level);
    let stack = setup.start().await?;
    let account = funded(&stack, "1").await?;
    let unknown = keys::unknown();
    let chat = Chat::new("gpt-5-mini").member("user", Value::from("a-very-private-word"));
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    stack.client()?.send(Chat::new("gpt-5-mini").request(&unknown)).await?;
    let broken = Chat::new("gpt-5-mini").bare("{\"a-very-private-word").bearer(&account.key);
    stack.client()?.send(broken).await?.expect(400)?;
    report(&stack, &chat.tag).await?;
    let gateway = stack.gateway()?;
    let mut texts = vec![gateway.ask("GET", "/stats").await?];
    for file in std::fs::read_dir(stack.folder())? {
        let path = file?.path();
        if path.extension().is_some_and(|kind| kind == "log" || kind == "access") {
            texts.push(String::from_utf8_lossy(&std::fs::read(path)?).into_owned());
        }
    }
    for text in texts {
        for secret in [account.key.as_str(), &unknown, "a-very-private-word", &stack.admin_token] {
            let at = text.find(secret);
            ensure!(
                at.is_none(),
                "{secret} is in a log: {:?}",
                at.and_then(|at| text.get(at.saturating_sub(200)..at))
            );
        }
    }
    // Books and memory files hold digests only.
    for file in std::fs::read_dir(stack.folder())? {
        let path = file?.path();
        if path.to_string_lossy().contains("books") {
            let bytes = std::fs::read(&path)?;
            let found = bytes.windows(account.key.len()).any(|window| window == account.key.as_bytes());
            ensure!(!found, "the key is in {}", path.display());
        }
    }
    stack.finish().await
}

#[tokio::test]
async fn metrics_have_tags_and_bounded_names() -> Result<()> {
    let stack = stack("metrics").await?;
    let rich = stack.account("starter").await?;
    let poor = stack.account("topup_only").await?;
    for _ in 0..3 {
        stack.chat(&rich, Chat::new("gpt-5-mini").takes(50, 80)).await?.expect(200)?;
    }
    stack.chat(&poor, Chat::new("gpt-5-mini")).await?.expect(402)?;
    stack.client()?.send(Chat::new("gpt-5-mini").bare("{}")).await?.expect(401)?;
    let text = wait::until("metrics are flushed", wait::SETTLED_WITHIN, || async {
        let text = stack.gateway()?.prometheus().await?;
        let line = |tags: [&str; 2], count: &str| {
            let own = text.lines().filter(|line| line.starts_with("bursar_requests{"));
            own.clone().any(|line| tags.iter().all(|tag| line.contains(tag)) && line.ends_with(count))
        };
        let settled = line([r#"plan="starter""#, r#"outcome="settled""#], " 3");
        let refused = line([r#"plan="topup_only""#, r#"outcome="insufficient_credits""#], " 1");
        let unknown = line([r#"outcome="invalid_api_key""#, "plan="], " 1");
        ensure!(settled && refused && unknown, "{settled} {refused} {unknown}");
        Ok(Some(text))
    })
    .await?;
    for metric in ["bursar_charged_microcredits", r#"bursar_ledger_calls{result="ok"}"#] {
        let line =
            text.lines().find(|line| line.starts_with(metric)).with_context(|| format!("no {metric}"))?;
        ensure!(!line.ends_with(" 0"), "{line}");
    }
    let charged =
        text.lines().find(|line| line.starts_with("bursar_charged_microcredits")).unwrap_or_default();
    ensure!(charged.ends_with(" 25875"), "{charged}");
    ensure!(!text.contains(&rich.id), "an account's name became a metric");
    stack.finish().await
}

//! The scenes of everyday life: metered, limited, gated, spent, topped up.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::transcript::{Transcript, shortened};
use crate::http::Answer;
use crate::ledger::Entry;
use crate::mock::Tokens;
use crate::money::credits;
use crate::prices::price;
use crate::request::Chat;
use crate::stack::{Account, Stack};
use crate::tools::repository;
use crate::wait::{self, SETTLED_WITHIN};

/// How soon a change at the ledger counts at the edge.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(2);

/// A plain and a streamed completion, charged to the micro-credit.
pub async fn metered(stack: &Stack, told: &mut Transcript, account: &Account) -> Result<()> {
    told.scene("A customer on Starter asks for completions");
    let before = stack.api().balance(&account.id).await?.available;
    told.say(format!(
        "{} has {} credits; its key is {}…",
        account.id,
        credits(before),
        account.key.get(..8).unwrap_or_default()
    ));

    let plain = Chat::new("claude-sonnet-4.5").max_tokens(400).takes(1_200, 340);
    told.request("POST /v1/chat/completions  claude-sonnet-4.5, max_tokens 400");
    let answer = stack.chat(account, plain).await?;
    told.answer(answer.status, &answer.text());
    for name in ["x-bursar-credits-remaining", "ratelimit-policy", "ratelimit", "x-bursar-request-id"] {
        told.sum(format!("{name}: {}", answer.header(name).unwrap_or("(missing)")));
    }
    let held = answer.header("x-bursar-credits-remaining").is_some() && answer.header("ratelimit").is_some();
    told.check(
        "the answer passes, with balance and rate in its headers",
        answer.status == 200 && held,
        answer.text(),
    );
    charge(
        stack,
        told,
        account,
        &answer,
        "claude-sonnet-4.5",
        Tokens { prompt: 1_200, completion: 340, ..Tokens::default() },
    )
    .await?;

    let stream = Chat::stream("gpt-5-mini").takes(901, 77).script(|script| script.chunk_delay_ms = 30);
    told.request("POST /v1/chat/completions  gpt-5-mini, streamed");
    let answer = stack.chat(account, stream).await?;
    let events = answer.events();
    told.answer(
        answer.status,
        &format!("{} events, the last one {}", events.len(), events.last().map_or("", String::as_str)),
    );
    let hidden = events.iter().all(|event| !event.contains("prompt_tokens"));
    told.check(
        "a stream passes, without the usage event that only the filter asked for",
        answer.status == 200 && hidden,
        answer.text(),
    );
    charge(
        stack,
        told,
        account,
        &answer,
        "gpt-5-mini",
        Tokens { prompt: 901, completion: 77, ..Tokens::default() },
    )
    .await?;

    let after = stack.api().balance(&account.id).await?.available;
    told.say(format!("balance {} → {}", credits(before), credits(after)));
    Ok(())
}

/// Shows and checks what a request was charged.
async fn charge(
    stack: &Stack,
    told: &mut Transcript,
    account: &Account,
    answer: &Answer,
    model: &str,
    tokens: Tokens,
) -> Result<Entry> {
    let request = answer.header("x-bursar-request-id").context("no x-bursar-request-id")?.to_owned();
    let entry = posted(stack, account, &request).await?;
    let expected = price(model, tokens)?.rounded();
    let Tokens { prompt, completion, .. } = tokens;
    told.sum(format!(
        "{prompt} prompt + {completion} completion tokens of {model} = {} credits; the journal says {}",
        credits(expected),
        credits(entry.amount.saturating_neg())
    ));
    let held = entry.amount == expected.saturating_neg();
    told.check("it is charged to the micro-credit", held, &entry.json);
    Ok(entry)
}

/// What a request was charged, and what is left, for people.
async fn charged(stack: &Stack, account: &Account, answer: &Answer) -> Result<String> {
    let Some(request) = answer.header("x-bursar-request-id") else { return Ok(answer.text()) };
    let entry = posted(stack, account, request).await?;
    let left = stack.api().balance(&account.id).await?.available;
    Ok(format!("charged {}, left {}", credits(entry.amount.saturating_neg()), credits(left)))
}

async fn posted(stack: &Stack, account: &Account, request: &str) -> Result<Entry> {
    wait::until("the charge is posted", SETTLED_WITHIN, || async {
        let entries = stack.api().entries(&account.id).await?;
        Ok(entries.into_iter().find(|entry| entry.request.as_deref() == Some(request)))
    })
    .await
}

/// More requests than the plan's rate allows.
pub async fn limited(stack: &Stack, told: &mut Transcript) -> Result<()> {
    told.scene("Another customer on Starter sends sixteen requests at once; 15 a minute are allowed");
    let account = stack.account_named("hasty", "starter").await?;
    let mut statuses = Vec::new();
    let mut last = None;
    for _ in 0..16 {
        let answer = stack.chat(&account, Chat::new("gpt-5-mini").max_tokens(20)).await?;
        statuses.push(answer.status.to_string());
        last = Some(answer);
    }
    let last = last.context("no answer")?;
    told.request("POST /v1/chat/completions  × 16");
    told.say(statuses.join(" "));
    told.refusal(&last);
    let wait = last.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    told.sum(format!("retry-after: {}", last.header("retry-after").unwrap_or("(missing)")));
    let passed = statuses.iter().filter(|status| *status == "200").count();
    let held = passed == 15 && last.status == 429 && wait.is_some_and(|seconds| (1..=60).contains(&seconds));
    told.check(
        "15 pass, the sixteenth gets 429 with Retry-After",
        held,
        format!("{statuses:?} {}", last.text()),
    );
    Ok(())
}

/// A model that the plan does not open.
pub async fn gated(stack: &Stack, told: &mut Transcript, account: &Account) -> Result<()> {
    told.scene("The first customer tries a model that is not in its plan");
    let chat = Chat::new("early-preview");
    let tag = chat.tag.clone();
    told.request("POST /v1/chat/completions  early-preview");
    let answer = stack.chat(account, chat).await?;
    told.refusal(&answer);
    let body = answer.json()?;
    let plan = body.pointer("/unlocks/0/plan").and_then(Value::as_str).unwrap_or_default();
    told.sum(format!("the plan that opens it: {plan}"));
    let code = body.get("code").and_then(Value::as_str);
    let held = answer.status == 402 && code == Some("plan_required") && plan == "max";
    told.check("402, and it names the plan that opens the model", held, answer.text());
    let reached = stack.mock.record.tagged(&tag).iter().any(|seen| seen.complete);
    told.check("the provider never got the refused request", !reached, tag);
    Ok(())
}

/// Down to the last credit, and what stock clients make of the answer.
pub async fn spent(stack: &Stack, told: &mut Transcript, account: &Account) -> Result<()> {
    told.scene("It spends all its credits");
    told.request("POST /v1/chat/completions  claude-opus-4.6, two very long answers");
    for _ in 0..2 {
        let answer = stack
            .chat(account, Chat::new("claude-opus-4.6").max_tokens(960_000).takes(2_000, 960_000))
            .await?;
        told.answer(answer.status, &charged(stack, account, &answer).await?);
    }
    // The last one takes what is left and at most one output token's price more.
    let left = stack.api().balance(&account.id).await?.available;
    let tokens = u64::try_from(left.saturating_sub(100_000).max(0) / 250).unwrap_or(0).saturating_add(1);
    told.request("POST /v1/chat/completions  claude-opus-4.6, with a larger max_tokens than it can pay");
    let last = Chat::new("claude-opus-4.6").max_tokens(900_000).takes(2_000, tokens);
    let answer = stack.chat(account, last).await?;
    told.answer(answer.status, &charged(stack, account, &answer).await?);
    let owed = stack.api().balance(&account.id).await?;
    let held = answer.status == 200 && owed.available == 0 && owed.debt <= 250;
    told.check(
        "the last credits can be spent, on one request that may cost more than is left",
        held,
        format!("{owed:?}"),
    );

    told.request("POST /v1/chat/completions  claude-opus-4.6");
    let refused = stack.chat(account, Chat::new("claude-opus-4.6").max_tokens(100)).await?;
    told.refusal(&refused);
    let body = refused.json()?;
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let shaped = text("/code") == "insufficient_credits" && !text("/error/message").is_empty();
    let held = refused.status == 402 && shaped && refused.header("retry-after").is_none();
    told.check("at zero the answer is 402, in OpenAI's shape, without Retry-After", held, refused.text());

    told.say("The same through the stock OpenAI client for Python:");
    let script = repository().join("tests/clients/refused.py");
    let python = stack.setup().tools.python()?;
    let run = tokio::process::Command::new(python)
        .arg(script)
        .env("OPENAI_BASE_URL", format!("http://{}/v1", stack.address()?))
        .env("OPENAI_API_KEY", &account.key)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .await?;
    let (out, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    for line in out.lines().chain(errors.lines()) {
        told.sum(shortened(line));
    }
    told.check(
        "it raises its own APIStatusError, and does not retry",
        run.status.success(),
        format!("{out}{errors}"),
    );
    Ok(())
}

/// A top-up, and its discount.
pub async fn topped_up(stack: &Stack, told: &mut Transcript, account: &Account) -> Result<()> {
    told.scene("It buys 10 credits; Starter uses them 15 % off");
    let owed = stack.api().balance(&account.id).await?.debt;
    stack.top_up(account, "10").await?;
    let since = Instant::now();
    told.request("POST /v1/accounts/acme/grants  10 credits into topup");
    let answer = wait::until("the next request passes", EFFECTIVE_WITHIN, || async {
        let chat = Chat::new("claude-sonnet-4.5").max_tokens(2_000).takes(20_000, 2_000);
        Ok(Some(stack.chat(account, chat).await?).filter(|answer| answer.status == 200))
    })
    .await;
    let took = since.elapsed();
    let passed = answer.as_ref().is_ok_and(|answer| answer.status == 200);
    told.check("the next request passes within two seconds", passed, format!("{answer:?}"));
    let answer = answer?;
    told.answer(answer.status, &format!("{} ms after the top-up", took.as_millis()));
    let request = answer.header("x-bursar-request-id").context("no x-bursar-request-id")?.to_owned();
    let entry = posted(stack, account, &request).await?;
    let base = price("claude-sonnet-4.5", Tokens { prompt: 20_000, completion: 2_000, ..Tokens::default() })?;
    let mut purse = crate::prices::Purse { included: 0, top_up: 10_000_000, debt: 0 };
    let due = purse.draw("starter", base);
    told.sum(format!(
        "20000 + 2000 tokens = {} credits at base price, × 0.85 = {}; the journal says {}",
        credits(base.rounded()),
        credits(due.top_up),
        credits(entry.amount.saturating_neg())
    ));
    told.sum(format!("owed before the top-up: {}", credits(owed)));
    told.check(
        "it is charged at the plan's discount",
        entry.amount == due.top_up.saturating_neg(),
        &entry.json,
    );
    Ok(())
}

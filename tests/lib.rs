//! End-to-end tests live beside this file, one file a subject; what they share is here and in `testbed`.

pub mod ground;
pub mod samples;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::http::Answer;
use testbed::request::Chat;
use testbed::wait::{self, SETTLED_WITHIN};
use testbed::{Account, Setup, Stack};

/// A plan without rates for tests that send many requests, and one whose rate is soon reached and soon
/// refilled; both beside those of the ModelStack page.
const FURTHER_PLANS: &str = "
  bulk:
    title: Bulk
  brisk:
    title: Brisk
    rates:
      - { id: rps, max: 2, per: second }
  tight:
    title: Tight
    rates:
      - { id: rpm, max: 1, per: minute }
  minute:
    title: Sixty a minute
    grants: { included: 1000 }
    rates:
      - { id: rpm, max: 60, per: minute }
  crowd:
    title: Crowd
    grants: { included: 10 }
  trusted:
    title: Trusted
    fail_open: { credits: 6 }
  watched:
    title: Watched
    enforce: false
    rates:
      - { id: rpm, max: 1, per: minute }
";

/// The usual stack of these tests: the usual setup with the further plans and a flat-price route.
#[must_use]
pub fn setup(name: &str) -> Setup {
    let plugin = json!({
        "routes": [
            {"path": "/v1/search", "methods": ["POST", "GET", "HEAD"], "action": {"flat": "search"}},
            {"prefix": "/public/", "action": "exempt"},
            {"prefix": "/internal/", "action": "deny"},
        ],
    });
    Setup::new(name).plans(FURTHER_PLANS).plugin(plugin)
}

/// Starts the usual stack.
///
/// # Errors
/// It does not start.
pub async fn stack(name: &str) -> Result<Stack> {
    setup(name).start().await
}

/// An account without rates that has these credits.
///
/// # Errors
/// The ledger refuses.
pub async fn funded(stack: &Stack, credits: &str) -> Result<Account> {
    let account = stack.account("bulk").await?;
    stack.top_up(&account, credits).await?;
    Ok(account)
}

/// Checks that an answer is a refusal as documented, and returns its body.
///
/// # Errors
/// It is not.
pub fn refusal(answer: &Answer, status: u16, code: &str) -> Result<Value> {
    ensure!(answer.status == status, "expected {status} {code}, got {}: {}", answer.status, answer.text());
    let kind = answer.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("application/problem+json"), "{status} as {kind}: {}", answer.text());
    let body = answer.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(text("code") == code, "expected {code}: {body}");
    ensure!(body.get("status").and_then(Value::as_u64) == Some(status.into()), "status: {body}");
    for name in ["type", "title", "detail"] {
        ensure!(!text(name).is_empty(), "no {name}: {body}");
    }
    let retry = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    let waiting_helps = [429, 502, 503].contains(&status);
    let told = retry.is_some_and(|seconds| seconds >= 1);
    ensure!(told == waiting_helps, "retry-after {retry:?} with {status}");
    Ok(body)
}

/// Checks a refusal on an OpenAI-shaped route: the same with OpenAI's error object inside.
///
/// # Errors
/// It is not.
pub fn openai_refusal(answer: &Answer, status: u16, code: &str) -> Result<Value> {
    let body = refusal(answer, status, code)?;
    for path in ["/error/message", "/error/type"] {
        let text = body.pointer(path).and_then(Value::as_str);
        ensure!(text.is_some_and(|text| !text.is_empty()), "no {path}: {body}");
    }
    ensure!(body.pointer("/error/code").and_then(Value::as_str) == Some(code), "error code: {body}");
    Ok(body)
}

/// Waits for streams that were begun at once against little money: how many were told which status. Those that
/// are served end whole, the others are refused as documented.
///
/// # Errors
/// One is neither.
pub async fn stream_counts(
    streams: Vec<tokio::task::JoinHandle<Result<Answer>>>,
) -> Result<BTreeMap<u16, usize>> {
    let mut counts = BTreeMap::new();
    for stream in streams {
        let answer = stream.await??;
        *counts.entry(answer.status).or_default() += 1;
        match answer.status {
            200 => ensure!(answer.events().last().map(String::as_str) == Some("[DONE]")),
            402 => drop(openai_refusal(&answer, 402, "insufficient_credits")?),
            503 => drop(openai_refusal(&answer, 503, "overloaded")?),
            other => anyhow::bail!("{other} {}", answer.text()),
        }
    }
    Ok(counts)
}

/// Sends a good request and checks that it is served: what is done after every bad one.
///
/// # Errors
/// It is not served.
pub async fn still_serves(stack: &Stack, account: &Account) -> Result<()> {
    let answer = stack.chat(account, Chat::new("gpt-5-mini").max_tokens(10).takes(10, 5)).await?;
    answer.expect(200).context("a good request afterwards").map(drop)
}

/// The report of the filter about the request of this name, from the access log.
///
/// # Errors
/// There is none within a few seconds.
pub async fn report(stack: &Stack, tag: &str) -> Result<testbed::gateway::Line> {
    wait::until("the access log has the request", SETTLED_WITHIN, || async {
        for gateway in &stack.gateways {
            let found = gateway.access_log()?.into_iter().find(|line| line.text("tag") == Some(tag));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    })
    .await
}

/// The journal's charge for the request of this name.
///
/// # Errors
/// There is none within a few seconds.
pub async fn charge(stack: &Stack, account: &Account, tag: &str) -> Result<testbed::ledger::Entry> {
    let line = report(stack, tag).await?;
    let request = line.report("request").with_context(|| format!("no request id: {}", line.json))?.to_owned();
    wait::until("the journal has the charge", SETTLED_WITHIN, || async {
        let entries = stack.api().entries(&account.id).await?;
        Ok(entries.into_iter().find(|entry| entry.request.as_deref() == Some(&request)))
    })
    .await
}

/// Checks that an account has this much to spend, in micro-credits, once everything is reported.
///
/// # Errors
/// It has something else.
pub async fn available(stack: &Stack, account: &Account, expected: i64) -> Result<()> {
    wait::until_true("the balance is as expected", SETTLED_WITHIN, || async {
        let balance = stack.api().balance(&account.id).await?;
        ensure!(balance.available == expected && balance.in_flight == 0, "{expected} expected: {balance:?}");
        Ok(true)
    })
    .await
}

/// Whether the provider got the whole request of this name.
#[must_use]
pub fn reached_provider(stack: &Stack, tag: &str) -> bool {
    stack.mock.record.tagged(tag).iter().any(|seen| seen.complete)
}

/// What a request may hold at most, in micro-credits: a quarter of its bytes as input tokens, and
/// `max_tokens` of output.
///
/// # Errors
/// The page has no price for the model.
pub fn hold(model: &str, body: &str, max_tokens: u64) -> Result<i64> {
    let prompt = (body.len() as u64).div_ceil(4);
    let tokens = testbed::mock::Tokens { prompt, completion: max_tokens, ..Default::default() };
    Ok(testbed::prices::price(model, tokens)?.rounded())
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// The process has gone.
pub fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

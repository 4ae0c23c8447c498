//! The core of it all, in both header modes on the oldest and the latest supported Envoy: the same
//! charges and the same refusals everywhere.

use anyhow::{Context, Result, ensure};
use e2e::{charge, funded, reached_provider, setup};
use serde_json::json;
use testbed::Stack;
use testbed::gateway::Headers;
use testbed::http::{Client, Request};
use testbed::mock::{Cut, CutPoint, TAG_HEADER};
use testbed::request::{Chat, tag};

/// What happened to each request of the story: name, status, code of the refusal, charge.
type Story = Vec<(&'static str, u16, String, i64)>;

async fn story(stack: &Stack) -> Result<Story> {
    let rich = funded(stack, "50").await?;
    let poor = stack.account("topup_only").await?;
    let starter = stack.account("starter").await?;
    let mut told = Story::new();
    let usage = json!({"include_usage": true});
    let requests = [
        ("plain", &rich, Chat::new("claude-sonnet-4.5").max_tokens(90).takes(1_000, 77)),
        ("stream", &rich, Chat::stream("deepseek-v3.2").max_tokens(90).takes(1_001, 33)),
        ("stream with usage", &rich, Chat::stream("gpt-5").member("stream_options", usage).takes(10, 10)),
        ("error", &rich, Chat::new("gpt-5").script(|script| script.status = Some(500))),
        (
            "no upstream",
            &rich,
            Chat::new("gpt-5").script(|script| {
                script.cut = Some(Cut { before: CutPoint::Head, fin: false });
            }),
        ),
        ("no credits", &poor, Chat::new("gpt-5")),
        ("no credits, stream", &poor, Chat::stream("gpt-5")),
        ("gate", &starter, Chat::new("early-preview")),
        ("unknown model", &rich, Chat::new("gpt-99")),
        ("bad number", &rich, Chat::new("gpt-5").member("max_tokens", json!(-1))),
        (
            "absent usage",
            &rich,
            Chat::new("gpt-5").max_tokens(40).script(|script| {
                script.usage = testbed::mock::UsageShape::Absent;
            }),
        ),
    ];
    for (name, account, chat) in requests {
        let answer = stack.chat(account, chat.clone()).await.context(name)?;
        let refused = answer.header("content-type") == Some("application/problem+json");
        let code = if refused {
            answer.json()?["code"].as_str().unwrap_or_default().to_owned()
        } else {
            String::new()
        };
        ensure!(
            !(refused && reached_provider(stack, &chat.tag)),
            "{name} was refused but reached the provider"
        );
        let amount = if answer.status == 200 { charge(stack, account, &chat.tag).await?.amount } else { 0 };
        told.push((name, answer.status, code, amount));
    }
    for (name, key, path) in [
        ("flat", rich.key.as_str(), "/v1/search"),
        ("denied", &rich.key, "/internal/x"),
        ("unmatched", &rich.key, "/elsewhere"),
        ("exempt", "", "/v1/models"),
        ("no key", "", "/v1/search"),
        ("bad key", "bsr_nonsense", "/v1/search"),
    ] {
        let mark = tag();
        let request = Request::get(path).header(TAG_HEADER, &mark);
        let request = if key.is_empty() { request } else { request.bearer(key) };
        let answer = stack.client()?.send(request).await.context(name)?;
        let amount = if name == "flat" { charge(stack, &rich, &mark).await?.amount } else { 0 };
        told.push((name, answer.status, String::new(), amount));
    }
    let http2 = Client::http2(stack.address()?);
    let chat = Chat::new("gpt-5-mini").takes(50, 80);
    let answer = http2.send(chat.request(&rich.key)).await?;
    told.push(("http2", answer.status, String::new(), charge(stack, &rich, &chat.tag).await?.amount));
    let chat = Chat::new("gpt-5-mini");
    let answer = http2.send(chat.request(&poor.key)).await?;
    ensure!(!reached_provider(stack, &chat.tag), "http2: refused but reached the provider");
    told.push(("http2, no credits", answer.status, String::new(), 0));
    Ok(told)
}

#[tokio::test]
async fn the_same_story_everywhere() -> Result<()> {
    let mut first: Option<Story> = None;
    for old in [false, true] {
        for headers in [Headers::Hold, Headers::Stream] {
            let mut setup = setup("matrix").headers(headers);
            setup.old_envoy = old;
            let stack = setup.start().await?;
            let told = story(&stack).await.with_context(|| format!("old {old} {headers:?}"))?;
            stack.finish().await.with_context(|| format!("old {old} {headers:?}"))?;
            match &first {
                None => first = Some(told),
                Some(first) => {
                    ensure!(*first == told, "old {old} {headers:?}:\n{told:#?}\ninstead of\n{first:#?}")
                }
            }
        }
    }
    let first = first.context("no story")?;
    let find = |name: &str| {
        first
            .iter()
            .find(|(own, ..)| *own == name)
            .map(|(_, status, code, amount)| (*status, code.as_str(), *amount))
    };
    for (name, expected) in [
        // 1000 x 30 + 77 x 150
        ("plain", (200, "", -41_550)),
        // 1001 x 2.8 + 33 x 4.2 = 2941.4
        ("stream", (200, "", -2_941)),
        // 10 x 12.5 + 10 x 100
        ("stream with usage", (200, "", -1_125)),
        ("error", (500, "", 0)),
        ("no upstream", (503, "", 0)),
        ("no credits", (402, "insufficient_credits", 0)),
        ("no credits, stream", (402, "insufficient_credits", 0)),
        ("gate", (402, "plan_required", 0)),
        ("unknown model", (400, "unknown_model", 0)),
        ("bad number", (400, "invalid_request", 0)),
        ("flat", (200, "", -500_000)),
        ("denied", (403, "", 0)),
        ("unmatched", (403, "", 0)),
        ("exempt", (200, "", 0)),
        ("no key", (401, "", 0)),
        ("bad key", (401, "", 0)),
        ("http2", (200, "", -8_625)),
        ("http2, no credits", (402, "", 0)),
    ] {
        ensure!(find(name) == Some(expected), "{name}: {:?} instead of {expected:?}", find(name));
    }
    Ok(())
}

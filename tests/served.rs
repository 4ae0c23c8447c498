//! Requests that are served: metered, streamed, exempt, flat, unmatched.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{charge, funded, refusal, setup, stack};
use serde_json::{Value, json};
use testbed::http::{Client, Request};
use testbed::mock::TAG_HEADER;
use testbed::request::{CHAT_PATH, Chat, tag};
use testbed::wait;

#[tokio::test]
async fn a_plain_completion_is_charged_to_the_micro_credit() -> Result<()> {
    let stack = stack("plain").await?;
    let account = stack.account("starter").await?;
    let chat = Chat::new("deepseek-v3.2").max_tokens(50).takes(1_001, 33);
    let answer = stack.chat(&account, chat.clone()).await?.expect(200)?;
    ensure!(answer.json()?.pointer("/usage/prompt_tokens").and_then(Value::as_u64) == Some(1_001));
    let entry = charge(&stack, &account, &chat.tag).await?;
    // 1001 x 2.8 + 33 x 4.2 = 2941.4
    ensure!(entry.amount == -2_941, "{}", entry.json);
    ensure!((entry.used("input_tokens"), entry.used("output_tokens")) == (1_001, 33), "{}", entry.json);
    ensure!(entry.text("usage_source") == Some("reported"), "{}", entry.json);
    ensure!(entry.text("usage_status") == Some("complete"), "{}", entry.json);
    ensure!(entry.text("key") == Some(&account.key_id), "{}", entry.json);
    ensure!(answer.header("x-bursar-request-id") == entry.request.as_deref(), "{:?}", answer.headers);
    stack.finish().await
}

#[tokio::test]
async fn success_carries_balance_and_rate() -> Result<()> {
    let stack = stack("headers").await?;
    let account = stack.account("starter").await?;
    let answer = stack.chat(&account, Chat::new("gpt-5-mini").max_tokens(20)).await?.expect(200)?;
    let remaining = answer.header("x-bursar-credits-remaining").and_then(testbed::money::micros);
    ensure!(remaining.is_some_and(|micros| (0..=500_000_000).contains(&micros)), "{:?}", answer.headers);
    let policy = answer.header("ratelimit-policy").unwrap_or_default();
    ensure!(policy.contains("q=15") && policy.contains("w=60"), "{policy}");
    let left = answer.header("ratelimit").unwrap_or_default();
    ensure!(left.contains("r=14"), "{left}");
    stack.finish().await
}

#[tokio::test]
async fn the_usage_event_is_asked_for_and_kept_from_clients_that_did_not() -> Result<()> {
    let stack = stack("include-usage").await?;
    let account = funded(&stack, "10").await?;
    let (silent, asking, refusing) = (
        Chat::stream("gpt-5-mini"),
        Chat::stream("gpt-5-mini").member("stream_options", json!({"include_usage": true})),
        Chat::stream("gpt-5-mini").member("stream_options", json!({"include_usage": false})),
    );
    for (chat, shown) in [(silent, false), (asking, true), (refusing, false)] {
        let chat = chat.takes(100, 40);
        let answer = stack.chat(&account, chat.clone()).await?.expect(200)?;
        let events = answer.events();
        ensure!(events.last().map(String::as_str) == Some("[DONE]"), "{}", answer.text());
        ensure!(answer.text().contains("prompt_tokens") == shown, "{}", answer.text());
        let contents = events.iter().filter(|event| event.contains("tok ")).count();
        ensure!(contents == 5, "{contents} content events: {}", answer.text());
        let parsed =
            events.iter().filter(|event| *event != "[DONE]").map(|event| serde_json::from_str(event));
        let parsed: Vec<Value> = parsed.collect::<Result<_, _>>()?;
        let choiceless = parsed.iter().filter(|event| event.pointer("/choices/0").is_none()).count();
        ensure!(choiceless == usize::from(shown), "{}", answer.text());
        let seen = stack.mock.record.tagged(&chat.tag);
        let body: Value = serde_json::from_str(seen[0].text.as_deref().unwrap_or_default())?;
        ensure!(body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)), "{body}");
        ensure!(
            body.get("messages") == serde_json::from_str::<Value>(&chat.body())?.get("messages"),
            "{body}"
        );
        let entry = charge(&stack, &account, &chat.tag).await?;
        // 100 x 12.5 + 40 x 100
        ensure!(entry.amount == -5_250, "{}", entry.json);
    }
    stack.finish().await
}

#[tokio::test]
async fn a_stream_passes_as_it_comes() -> Result<()> {
    let stack = stack("as-it-comes").await?;
    let account = funded(&stack, "10").await?;
    let chat = Chat::stream("gpt-5-mini").script(|script| {
        script.chunks = Some(3);
        script.chunk_delay_ms = 400;
    });
    let mut reply = stack.open(&account, chat.clone()).await?;
    let first = reply.piece().await?;
    ensure!(first.is_some(), "no piece");
    // The first event is here while the provider still waits to send the rest.
    let seen = stack.mock.record.tagged(&chat.tag);
    ensure!(seen[0].ended == testbed::mock::Ended::Open, "{seen:?}");
    reply.whole().await?;
    stack.finish().await
}

#[tokio::test]
async fn cached_and_reasoning_tokens_are_counted_apart_and_once() -> Result<()> {
    let stack = stack("details").await?;
    let account = funded(&stack, "10").await?;
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.takes(1_000, 200).script(|script| {
            (script.cached, script.reasoning) = (Some(600), Some(150));
        });
        stack.chat(&account, chat.clone()).await?.expect(200)?;
        let entry = charge(&stack, &account, &chat.tag).await?;
        let used =
            ["input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"].map(|m| entry.used(m));
        ensure!(used == [400, 600, 50, 150], "{}", entry.json);
    }
    stack.finish().await
}

#[tokio::test]
async fn the_provider_gets_neither_the_key_nor_forged_headers() -> Result<()> {
    let stack = stack("stripped").await?;
    let account = funded(&stack, "10").await?;
    for header in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
        let chat = Chat::new("gpt-5-mini");
        let value =
            if header == "authorization" { format!("Bearer {}", account.key) } else { account.key.clone() };
        let request = chat.bare(chat.body()).header(header, &value).header("x-bursar-plan", "max");
        let request = request.header("accept-encoding", "gzip, br");
        stack.client()?.send(request).await?.expect(200)?;
        let seen = &stack.mock.record.tagged(&chat.tag)[0];
        let key = seen.headers.iter().find(|(_, value)| value.contains(&account.key));
        ensure!(key.is_none(), "the key went upstream: {key:?}");
        let forged = seen.headers.iter().find(|(name, _)| name.starts_with("x-bursar-"));
        ensure!(forged.is_none(), "{forged:?}");
        let coding = seen.header("accept-encoding").unwrap_or("identity");
        ensure!(coding == "identity", "accept-encoding {coding}");
    }
    stack.finish().await
}

#[tokio::test]
async fn the_key_can_be_kept_or_come_in_the_query() -> Result<()> {
    let stack =
        setup("kept").plugin(json!({"credentials": {"keep": true, "query": ["key"]}})).start().await?;
    let account = funded(&stack, "10").await?;
    let chat = Chat::new("gpt-5-mini");
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    let seen = &stack.mock.record.tagged(&chat.tag)[0];
    ensure!(seen.header("authorization") == Some(&format!("Bearer {}", account.key)), "{:?}", seen.headers);
    let path = format!("{CHAT_PATH}?key={}", account.key);
    let chat = Chat::new("gpt-5-mini");
    let request = Request::post(&path, &serde_json::from_str(&chat.body())?).header(TAG_HEADER, &chat.tag);
    stack.client()?.send(request).await?.expect(200)?;
    stack.finish().await
}

#[tokio::test]
async fn models_are_listed_without_key_or_charge() -> Result<()> {
    let stack = stack("models").await?;
    for path in ["/v1/models", "/v1/models/gpt-5-mini", "/public/anything?x=1"] {
        let request = Request::get(path).header(TAG_HEADER, &tag());
        stack.client()?.send(request).await?.expect(200)?;
    }
    stack.finish().await
}

#[tokio::test]
async fn a_flat_price_is_charged_once_per_answered_request() -> Result<()> {
    let stack = stack("flat").await?;
    let account = funded(&stack, "2").await?;
    let client = stack.client()?;
    let search = |method: &str, tag: &str| {
        Request::new(method, "/v1/search").bearer(&account.key).header(TAG_HEADER, tag)
    };
    let posted = tag();
    let body = json!({"query": "anything", "model": "not looked at"});
    let answer = client.send(search("POST", &posted).body(body.to_string())).await?.expect(200)?;
    ensure!(answer.header("x-bursar-charge") == Some("0.500000"), "{:?}", answer.headers);
    ensure!(charge(&stack, &account, &posted).await?.amount == -500_000);
    // A provider's error costs nothing.
    let failing = tag();
    let request = search("GET", &failing).header("x-mock", r#"{"status":500}"#);
    ensure!(client.send(request).await?.status == 500);
    // 2.0 is four searches; one is spent, an error cost nothing.
    for _ in 0..3 {
        client.send(search("GET", &tag())).await?.expect(200)?;
    }
    // Until the last charge is posted its credits count as in flight.
    let body = wait::until("the credits are gone", Duration::from_secs(2), || async {
        let body = refusal(&client.send(search("GET", &tag())).await?, 402, "insufficient_credits")?;
        Ok((body.get("limit_source").and_then(Value::as_str) == Some("pool")).then_some(body))
    })
    .await?;
    ensure!(body.pointer("/error/code") == body.get("code"), "unreadable for stock clients: {body}");
    ensure!(body.get("required").and_then(Value::as_str) == Some("0.500000"), "{body}");
    stack.finish().await
}

#[tokio::test]
async fn unmatched_paths_follow_the_configuration() -> Result<()> {
    for (action, status) in [(json!("deny"), 403), (json!("exempt"), 200), (json!({"flat": "search"}), 200)] {
        let stack = setup("unmatched").plugin(json!({"unmatched": action})).start().await?;
        let account = funded(&stack, "2").await?;
        let request = Request::get("/somewhere/else").bearer(&account.key).header(TAG_HEADER, &tag());
        let answer = stack.client()?.send(request).await?;
        ensure!(answer.status == status, "{action}: {} {}", answer.status, answer.text());
        if status == 403 {
            refusal(&answer, 403, "route_denied")?;
        }
        let denied = stack.client()?.send(Request::get("/internal/x").bearer(&account.key)).await?;
        refusal(&denied, 403, "route_denied")?;
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn http2_is_served_on_both_sides() -> Result<()> {
    let stack = setup("http2").upstream_http2().start().await?;
    let account = funded(&stack, "10").await?;
    let client = Client::http2(stack.address()?);
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let answer = client.send(chat.takes(10, 5).request(&account.key)).await?.expect(200)?;
        ensure!(answer.header("x-bursar-request-id").is_some(), "{:?}", answer.headers);
    }
    let seen = stack.mock.record.all();
    ensure!(seen.iter().all(|seen| seen.http2 && seen.complete), "{seen:?}");
    stack.finish().await
}

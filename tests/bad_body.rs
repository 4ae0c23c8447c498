//! Bad request bodies: each gets a clear answer, never reaches the provider whole, and hurts nobody.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{funded, openai_refusal, reached_provider, setup, stack, still_serves};
use serde_json::{Value, json};
use testbed::gateway::Headers;
use testbed::http::{Client, Request};
use testbed::mock::TAG_HEADER;
use testbed::pace::Step;
use testbed::raw::Raw;
use testbed::request::{CHAT_PATH, Chat, tag};

/// Bodies that cannot be read where they must be: 400 `invalid_request`.
fn invalid() -> Vec<(&'static str, String)> {
    let with = |member: &str| format!(r#"{{"model":"gpt-5-mini",{member},"messages":[]}}"#);
    let deep = "[".repeat(10_000);
    let mut cases = vec![
        ("empty", String::new()),
        ("white space", "  \n ".to_owned()),
        ("text", "hello".to_owned()),
        ("truncated", r#"{"model":"gpt-5-mini","messages":[{"role":"us"#.to_owned()),
        ("null", "null".to_owned()),
        ("an array", r#"[{"model":"gpt-5-mini"}]"#.to_owned()),
        ("two objects", r#"{"model":"gpt-5-mini"}{"model":"gpt-5-mini"}"#.to_owned()),
        ("trailing text", r#"{"model":"gpt-5-mini"} x"#.to_owned()),
        ("a trailing comma", r#"{"model":"gpt-5-mini",}"#.to_owned()),
        ("single quotes", "{'model':'gpt-5-mini'}".to_owned()),
        ("a comment", "{/*x*/\"model\":\"gpt-5-mini\"}".to_owned()),
        ("a byte order mark", "\u{feff}{\"model\":\"gpt-5-mini\"}".to_owned()),
        ("a raw newline in a string", "{\"model\":\"gpt-5\n-mini\"}".to_owned()),
        ("NaN", with(r#""temperature":NaN"#)),
        ("a leading zero", with(r#""temperature":01"#)),
        ("10,000 deep", with(&format!(r#""metadata":{deep}{}"#, "]".repeat(10_000)))),
        ("10,000 deep and open", format!(r#"{{"model":"gpt-5-mini","metadata":{deep}"#)),
        (
            "the model twice",
            r#"{"model":"deepseek-v3.2","messages":[],"model":"claude-opus-4.6"}"#.to_owned(),
        ),
        (
            "the model twice, escaped",
            r#"{"model":"deepseek-v3.2","mod\u0065l":"claude-opus-4.6"}"#.to_owned(),
        ),
        ("max_tokens twice", with(r#""max_tokens":1,"max_tokens":100000"#)),
        ("stream twice", with(r#""stream":false,"stream":true"#)),
        ("no model", r#"{"messages":[]}"#.to_owned()),
        ("an empty object", "{}".to_owned()),
        ("an empty model", r#"{"model":""}"#.to_owned()),
        ("a number for a model", r#"{"model":5}"#.to_owned()),
        ("null for a model", r#"{"model":null}"#.to_owned()),
        ("a lone surrogate", r#"{"model":"\ud800"}"#.to_owned()),
        ("a text for stream", with(r#""stream":"true""#)),
        ("a list for stream_options", with(r#""stream":true,"stream_options":[]"#)),
        ("a model of 100 kB", format!(r#"{{"model":"{}"}}"#, "m".repeat(100_000))),
    ];
    for bound in ["max_tokens", "max_completion_tokens", "n"] {
        for value in ["-1", "1.5", "1e3", "\"10\"", "true", "[]", "9007199254740993", "1e400", "-0.5"] {
            cases.push((bound, with(&format!(r#""{bound}":{value}"#))));
        }
    }
    cases
}

/// Those of [`invalid`] that can be read but name no model.
const NO_MODEL: &[&str] = &["no model", "an empty object", "an empty model"];

#[tokio::test]
async fn bodies_that_cannot_be_read() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("bad-body").headers(headers).start().await?;
        let account = funded(&stack, "50").await?;
        for (name, body) in invalid() {
            let chat = Chat::new("gpt-5-mini");
            let request = chat.bare(body.clone()).bearer(&account.key);
            let answer =
                stack.client()?.send(request).await.with_context(|| format!("{headers:?} {name}"))?;
            let case = || format!("{headers:?} {name}: {}", body.chars().take(120).collect::<String>());
            let code = if NO_MODEL.contains(&name) { "unknown_model" } else { "invalid_request" };
            openai_refusal(&answer, 400, code).with_context(case)?;
            ensure!(!reached_provider(&stack, &chat.tag), "{name} reached the provider");
        }
        still_serves(&stack, &account).await?;
        ensure!(stack.api().balance(&account.id).await?.debt == 0);
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_no_text_in_a_body() -> Result<()> {
    let stack = stack("body-bytes").await?;
    let account = funded(&stack, "50").await?;
    for bytes in [
        &b"{\"model\":\"gpt-5-mini\xff\"}"[..],
        b"\x00\x01\x02",
        b"\xff\xfe{\x00}\x00",
        b"{\"mod\xc3\"el\":1}",
    ] {
        let chat = Chat::new("gpt-5-mini");
        let request = chat.bare(bytes.to_vec()).bearer(&account.key);
        let answer = stack.client()?.send(request).await?;
        openai_refusal(&answer, 400, "invalid_request").with_context(|| format!("{bytes:?}"))?;
        still_serves(&stack, &account).await?;
    }
    stack.finish().await
}

#[tokio::test]
async fn a_model_without_a_price() -> Result<()> {
    let stack = stack("no-price").await?;
    let account = funded(&stack, "50").await?;
    for model in ["gpt-99", "search ", "GPT-5-MINI", "*", "gpt-5-min\\u0069x"] {
        let chat = Chat::new("gpt-5-mini");
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let answer = stack.client()?.send(chat.bare(body).bearer(&account.key)).await?;
        openai_refusal(&answer, 400, "unknown_model").with_context(|| model.to_owned())?;
        ensure!(!reached_provider(&stack, &chat.tag), "{model} reached the provider");
    }
    // An escape in a known name is that name.
    let chat = Chat::new("gpt-5-mini");
    let body = r#"{"messages":[],"model":"gpt-5-min\u0069","max_tokens":5}"#;
    stack.client()?.send(chat.bare(body).bearer(&account.key)).await?.expect(200)?;
    stack.finish().await
}

/// A completion request of about this many bytes.
fn large(bytes: usize) -> String {
    json!({"model": "gpt-5-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "x".repeat(bytes)}]})
        .to_string()
}

fn in_pieces(body: &str) -> Vec<Step> {
    let pieces = body.as_bytes().chunks(50_000);
    pieces.map(|piece| Step::Data(piece.to_vec().into())).collect()
}

#[tokio::test]
async fn a_body_above_the_limit() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("too-large").headers(headers).start().await?;
        let account = funded(&stack, "500").await?;
        for http2 in [false, true] {
            let client = Client { http2, ..stack.client()? };
            for announced in [true, false] {
                let send = async |bytes: usize| {
                    let chat = Chat::new("gpt-5-mini").takes(10, 5);
                    let request = chat.bare(large(bytes)).bearer(&account.key);
                    let request = if announced { request } else { request.steps(in_pieces(&large(bytes))) };
                    anyhow::Ok((client.send(request).await?, chat.tag))
                };
                let case = || format!("{headers:?} http2 {http2} announced {announced}");
                let (answer, _) = send(1_000_000).await.with_context(case)?;
                ensure!(answer.status == 200, "{}: {} {}", case(), answer.status, answer.text());
                for bytes in [1_100_000, 3_000_000] {
                    let (answer, tag) = send(bytes).await.with_context(case)?;
                    openai_refusal(&answer, 413, "request_too_large").with_context(case)?;
                    ensure!(!reached_provider(&stack, &tag), "{} reached the provider", case());
                }
                still_serves(&stack, &account).await?;
            }
        }
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_compressed_body() -> Result<()> {
    let stack = stack("compressed").await?;
    let account = funded(&stack, "50").await?;
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, identity"] {
        let chat = Chat::new("gpt-5-mini");
        let request = chat.bare("anything").header("content-encoding", coding).bearer(&account.key);
        let answer = stack.client()?.send(request).await?;
        openai_refusal(&answer, 400, "invalid_request").with_context(|| coding.to_owned())?;
        ensure!(!reached_provider(&stack, &chat.tag));
    }
    let chat = Chat::new("gpt-5-mini").takes(10, 5);
    let request = chat.bare(chat.body()).header("content-encoding", "identity").bearer(&account.key);
    stack.client()?.send(request).await?.expect(200)?;
    stack.finish().await
}

#[tokio::test]
async fn a_header_alone_where_a_body_must_be() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("no-body").headers(headers).start().await?;
        let account = funded(&stack, "50").await?;
        for http2 in [false, true] {
            let client = Client { http2, ..stack.client()? };
            let name = tag();
            let request = Request::new("POST", CHAT_PATH).bearer(&account.key).header(TAG_HEADER, &name);
            openai_refusal(&client.send(request).await?, 400, "invalid_request")?;
            ensure!(!reached_provider(&stack, &name));
        }
        still_serves(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

/// Request trailers end a body without any "end of stream" on it; a filter that does not handle them
/// lets the held request go.
#[tokio::test]
async fn request_trailers_end_a_body_and_let_nothing_past() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("trailers").headers(headers).start().await?;
        let account = funded(&stack, "50").await?;
        let poor = stack.account("topup_only").await?;
        let trailers = || {
            Step::Trailers(
                [("x-end", "1")]
                    .into_iter()
                    .filter_map(|(n, v)| Some((n.parse().ok()?, v.parse().ok()?)))
                    .collect(),
            )
        };
        for http2 in [true, false] {
            let client = Client { http2, ..stack.client()? };
            let send = async |key: &str, body: &str| {
                let chat = Chat::new("gpt-5-mini").takes(10, 5);
                let steps = vec![
                    Step::Data(body.as_bytes().to_vec().into()),
                    Step::Wait(Duration::from_millis(20)),
                    trailers(),
                ];
                // HTTP/1 announces trailers, or its library leaves them out.
                let request = chat.bare("").steps(steps).bearer(key).header("trailer", "x-end");
                anyhow::Ok((client.send(request).await?, chat.tag))
            };
            let case = || format!("{headers:?} http2 {http2}");
            let good = Chat::new("gpt-5-mini").max_tokens(5).body();
            let (answer, tag) = send(&account.key, &good).await.with_context(case)?;
            ensure!(answer.status == 200, "{}: {} {}", case(), answer.status, answer.text());
            ensure!(reached_provider(&stack, &tag), "{}", case());
            let (answer, tag) = send(&poor.key, &good).await.with_context(case)?;
            openai_refusal(&answer, 402, "insufficient_credits").with_context(case)?;
            ensure!(!reached_provider(&stack, &tag), "{}: 402 reached the provider", case());
            let (answer, tag) = send(&account.key, "{\"model\":").await.with_context(case)?;
            openai_refusal(&answer, 400, "invalid_request").with_context(case)?;
            ensure!(!reached_provider(&stack, &tag), "{}: 400 reached the provider", case());
        }
        stack.finish().await?;
    }
    Ok(())
}

/// Framing is rewritten where the body grows by `include_usage`: what the provider gets is one request.
#[tokio::test]
async fn a_rewritten_body_is_framed_right() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("framing").headers(headers).start().await?;
        let account = funded(&stack, "50").await?;
        let mut raw = Raw::connect(stack.address()?).await?;
        let mut sent = Vec::new();
        for chunked in [false, true] {
            let chat = Chat::stream("gpt-5-mini").takes(10, 5);
            let body = chat.body();
            let framing = if chunked {
                "transfer-encoding: chunked".to_owned()
            } else {
                format!("content-length: {}", body.len())
            };
            let body = if chunked { format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()) } else { body };
            let head = format!(
                "POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-tag: {}\r\n{framing}\r\n\r\n",
                account.key, chat.tag
            );
            // Two requests on one connection, the second right behind the first.
            raw.write(format!("{head}{body}").as_bytes()).await?;
            sent.push(chat);
        }
        for chat in &sent {
            let answer = raw.answer().await?;
            ensure!(answer.status == 200, "{headers:?}: {}", answer.head);
            let seen = stack.mock.record.tagged(&chat.tag);
            ensure!(seen.len() == 1 && seen[0].complete, "{headers:?}: {seen:?}");
            let body: Value = serde_json::from_str(seen[0].text.as_deref().unwrap_or_default())?;
            ensure!(body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)), "{body}");
            if let Some(length) = seen[0].header("content-length") {
                ensure!(length.parse::<usize>()? == seen[0].body_bytes, "{headers:?}: {seen:?}");
            }
        }
        ensure!(stack.mock.record.all().len() == 2, "a request was split");
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_body_and_one_byte_at_a_time() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("slow-body").headers(headers).start().await?;
        let account = funded(&stack, "50").await?;
        let chat = Chat::stream("gpt-5-mini").takes(10, 5);
        let steps =
            chat.body().bytes().flat_map(|byte| [Step::Data(vec![byte].into()), Step::Yield]).collect();
        let request = chat.bare("").steps(steps).bearer(&account.key);
        stack.client()?.send(request).await?.expect(200)?;
        ensure!(reached_provider(&stack, &chat.tag));
        stack.finish().await?;
    }
    Ok(())
}

//! Upstreams that answer oddly: errors, resets, too early, without a body, with trailers, compressed.

use anyhow::{Context, Result, ensure};
use e2e::{available, charge, funded, hold, refusal, report, setup, stack, still_serves};
use testbed::gateway::Headers;
use testbed::http::Request;
use testbed::mock::{Cut, CutPoint, TAG_HEADER};
use testbed::request::{Chat, tag};

#[tokio::test]
async fn errors_pass_and_cost_nothing() -> Result<()> {
    let stack = stack("errors").await?;
    let account = funded(&stack, "10").await?;
    for status in [400, 404, 429, 500, 503] {
        for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
            let chat = chat.script(|script| {
                (script.status, script.retry_after) = (Some(status), (status == 429).then_some(2));
            });
            let answer = stack.chat(&account, chat.clone()).await?;
            ensure!(answer.status == status, "{} {}", answer.status, answer.text());
            ensure!(answer.text().contains("mock provider"), "the provider's own body: {}", answer.text());
            ensure!((answer.header("retry-after") == Some("2")) == (status == 429), "{:?}", answer.headers);
            let line = report(&stack, &chat.tag).await?;
            ensure!(line.report("outcome") == Some("released"), "{}", line.json);
        }
    }
    available(&stack, &account, 10_000_000).await?;
    stack.finish().await
}

#[tokio::test]
async fn nothing_is_charged_where_the_upstream_gave_nothing() -> Result<()> {
    for upstream_http2 in [false, true] {
        let mut setup = setup("no-head");
        setup.upstream_http2 = upstream_http2;
        let stack = setup.start().await?;
        let account = funded(&stack, "10").await?;
        let chat = Chat::new("gpt-5-mini").script(|script| {
            script.cut = Some(Cut { before: CutPoint::Head, fin: false });
        });
        let answer = stack.chat(&account, chat.clone()).await?;
        ensure!(answer.status == 503, "{} {}", answer.status, answer.text());
        ensure!(answer.header("x-bursar-credits-remaining").is_none(), "{:?}", answer.headers);
        let line = report(&stack, &chat.tag).await?;
        ensure!(line.report("outcome") == Some("no_upstream"), "{}", line.json);
        still_serves(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_in_mid_answer_is_charged_for_what_came() -> Result<()> {
    for upstream_http2 in [false, true] {
        let mut setup = setup("mid-answer");
        setup.upstream_http2 = upstream_http2;
        let stack = setup.start().await?;
        let account = funded(&stack, "10").await?;
        for (stream, before, fin) in [
            (true, CutPoint::Chunk(3), false),
            (true, CutPoint::Chunk(3), true),
            (false, CutPoint::Chunk(0), false),
        ] {
            let chat = if stream { Chat::stream("gpt-5-mini") } else { Chat::new("gpt-5-mini") };
            let chat =
                chat.max_tokens(100).takes(50, 100).script(|script| script.cut = Some(Cut { before, fin }));
            let most = hold("gpt-5-mini", &chat.body(), 100)?;
            let answer = stack.chat(&account, chat.clone()).await?;
            ensure!(answer.status == 200 && answer.broken.is_some(), "{before:?}: {answer:?}");
            let entry = charge(&stack, &account, &chat.tag).await?;
            ensure!((-most..0).contains(&entry.amount), "{before:?}: hold {most}, {}", entry.json);
            ensure!(entry.text("usage_source") == Some("estimated"), "{before:?}: {}", entry.json);
            ensure!(entry.text("usage_status") != Some("complete"), "{before:?}: {}", entry.json);
        }
        still_serves(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_head_without_a_body_delivers_nothing() -> Result<()> {
    let stack = stack("head-only").await?;
    let account = funded(&stack, "10").await?;
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.script(|script| script.cut = Some(Cut { before: CutPoint::Body, fin: false }));
        let answer = stack.chat(&account, chat.clone()).await?;
        ensure!(answer.status == 200 && answer.broken.is_some(), "{answer:?}");
        let line = report(&stack, &chat.tag).await?;
        ensure!(line.report("outcome") == Some("released"), "{}", line.json);
    }
    available(&stack, &account, 10_000_000).await?;
    stack.finish().await
}

#[tokio::test]
async fn usage_that_came_before_the_reset_counts() -> Result<()> {
    let stack = stack("late-reset").await?;
    let account = funded(&stack, "10").await?;
    let chat = Chat::stream("gpt-5-mini").takes(50, 80).script(|script| {
        script.cut = Some(Cut { before: CutPoint::End, fin: false });
    });
    stack.chat(&account, chat.clone()).await?;
    let entry = charge(&stack, &account, &chat.tag).await?;
    // 50 x 12.5 + 80 x 100
    ensure!(entry.amount == -8_625 && entry.text("usage_source") == Some("reported"), "{}", entry.json);
    stack.finish().await
}

#[tokio::test]
async fn an_answer_before_the_request_is_whole() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = setup("early").headers(headers).start().await?;
        let account = funded(&stack, "10").await?;
        let poor = stack.account("topup_only").await?;
        // Without credits an early success must not get through, in whichever order things happen.
        let chat = Chat::new("gpt-5-mini").takes(50, 10).script(|script| script.early = true);
        let answer = stack.chat(&poor, chat.clone()).await?;
        ensure!(
            answer.status == 402 || answer.status == 502,
            "{headers:?}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.status == 502 {
            refusal(&answer, 502, "upstream_answered_early")?;
        }
        // With credits it is either admitted in time and charged, or refused; never free.
        let chat = Chat::new("gpt-5-mini").takes(50, 10).script(|script| script.early = true);
        let answer = stack.chat(&account, chat.clone()).await?;
        match answer.status {
            200 => ensure!(charge(&stack, &account, &chat.tag).await?.amount < 0, "{headers:?}: free"),
            502 => drop(refusal(&answer, 502, "upstream_answered_early")?),
            other => anyhow::bail!("{headers:?}: {other} {}", answer.text()),
        }
        still_serves(&stack, &account).await?;
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn answers_without_a_body() -> Result<()> {
    let stack = stack("bodyless").await?;
    let account = funded(&stack, "10").await?;
    for status in [204, 304] {
        for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
            let chat = chat.script(|script| script.status = Some(status));
            let answer = stack.chat(&account, chat).await?;
            ensure!(answer.status == status && answer.body.is_empty(), "{answer:?}");
        }
        still_serves(&stack, &account).await?;
    }
    let request = Request::new("HEAD", "/v1/search").bearer(&account.key).header(TAG_HEADER, &tag());
    let answer = stack.client()?.send(request).await?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
    let refused = Request::new("HEAD", "/v1/search").header(TAG_HEADER, &tag());
    let answer = stack.client()?.send(refused).await?;
    ensure!(answer.status == 401 && answer.body.is_empty(), "{answer:?}");
    stack.finish().await
}

#[tokio::test]
async fn response_trailers_pass_and_the_usage_before_them_counts() -> Result<()> {
    let stack = setup("response-trailers").upstream_http2().start().await?;
    let account = funded(&stack, "10").await?;
    let client = testbed::http::Client::http2(stack.address()?);
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.takes(50, 80).script(|script| script.trailers = true);
        let answer = client.send(chat.request(&account.key)).await?.expect(200)?;
        ensure!(
            answer.trailers.is_some_and(|trailers| trailers.contains_key("x-mock-trailer")),
            "no trailers"
        );
        let entry = charge(&stack, &account, &chat.tag).await?;
        ensure!(entry.amount == -8_625, "{}", entry.json);
        ensure!(!answer.body.is_empty());
    }
    stack.finish().await
}

/// The held-back last event of a stream must come out where the stream ends in trailers.
#[tokio::test]
async fn a_stream_that_ends_in_trailers_loses_nothing() -> Result<()> {
    let stack = setup("stream-trailers").upstream_http2().start().await?;
    let account = funded(&stack, "10").await?;
    let client = testbed::http::Client::http2(stack.address()?);
    for no_done in [false, true] {
        let chat = Chat::stream("gpt-5-mini").takes(50, 80).script(|script| {
            (script.trailers, script.no_done) = (true, no_done);
        });
        let events = client.send(chat.request(&account.key)).await?.expect(200)?.events();
        let done = events.last().map(String::as_str) == Some("[DONE]");
        ensure!(done != no_done, "{events:?}");
        let finished = events.iter().any(|event| event.contains(r#""finish_reason":"stop""#));
        ensure!(finished, "the last event is missing: {events:?}");
    }
    // An event whose blank line never comes is none by the standard, but some clients read it all the same.
    for tail in ["data: [DONE]", "data: [DONE]\n", "data: {\"error\":{\"message\":\"overloaded\"}}\n"] {
        let body =
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"so\"}}}}]}}\n\n{tail}");
        let chat = Chat::stream("gpt-5-mini").max_tokens(100).script(|script| {
            (script.trailers, script.body) = (true, Some(body.clone()));
        });
        let answer = client.send(chat.request(&account.key)).await?.expect(200)?;
        ensure!(
            answer.trailers.is_some() && answer.text() == body,
            "{:?} instead of {body:?}",
            answer.text()
        );
    }
    stack.finish().await
}

#[tokio::test]
async fn a_compressed_answer_is_passed_and_not_free() -> Result<()> {
    let stack = stack("gzip").await?;
    let account = funded(&stack, "10").await?;
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.max_tokens(100).takes(50, 80).script(|script| script.gzip = true);
        let most = hold("gpt-5-mini", &chat.body(), 100)?;
        let answer = stack.chat(&account, chat.clone()).await?.expect(200)?;
        ensure!(answer.header("content-encoding") == Some("gzip"), "{:?}", answer.headers);
        ensure!(answer.body.starts_with(&[0x1f, 0x8b]), "the body was changed");
        let entry = charge(&stack, &account, &chat.tag).await.context("gzip")?;
        ensure!((-most..0).contains(&entry.amount), "hold {most}: {}", entry.json);
        ensure!(entry.text("usage_source") == Some("estimated"), "{}", entry.json);
    }
    // The gzip of a provider hides its usage from the filter, not from the reconciliation.
    stack.finish_unreconciled().await
}

#[tokio::test]
async fn a_large_answer_passes_untouched() -> Result<()> {
    let stack = stack("large-answer").await?;
    let account = funded(&stack, "10").await?;
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.takes(50, 80).script(|script| (script.pad, script.chunks) = (8 << 20, Some(64)));
        let answer = stack.chat(&account, chat.clone()).await?.expect(200)?;
        ensure!(answer.body.len() > 8 << 20, "{} bytes", answer.body.len());
        ensure!(charge(&stack, &account, &chat.tag).await?.amount == -8_625);
    }
    stack.finish().await
}

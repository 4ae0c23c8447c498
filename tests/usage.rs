//! Usage as providers report it, should report it, and should not.

use anyhow::{Context, Result, ensure};
use e2e::{charge, funded, hold, stack, still_serves};
use testbed::mock::UsageShape;
use testbed::request::Chat;

/// Usage that cannot be believed.
const MALFORMED: &[(&str, &str)] = &[
    ("negative", r#"{"prompt_tokens":-5,"completion_tokens":-7,"total_tokens":-12}"#),
    ("fractional", r#"{"prompt_tokens":5.5,"completion_tokens":7.25,"total_tokens":12.75}"#),
    ("beyond 2^53", r#"{"prompt_tokens":9007199254740993,"completion_tokens":9007199254740993}"#),
    ("beyond 64 bits", r#"{"prompt_tokens":99999999999999999999999,"completion_tokens":1e300}"#),
    ("text", r#"{"prompt_tokens":"5","completion_tokens":"7"}"#),
    ("nulls", r#"{"prompt_tokens":null,"completion_tokens":null}"#),
    ("null", "null"),
    ("a number", "12"),
    ("a list", "[5,7]"),
    ("empty", "{}"),
    ("other names", r#"{"tokens_in":5,"tokens_out":7}"#),
];

#[tokio::test]
async fn usage_that_cannot_be_believed_is_estimated_and_never_above_the_hold() -> Result<()> {
    let stack = stack("malformed").await?;
    let account = funded(&stack, "50").await?;
    for (name, usage) in MALFORMED {
        for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
            let chat = chat.max_tokens(100).takes(50, 80).script(|script| {
                script.usage = UsageShape::Literal((*usage).to_owned());
            });
            let most = hold("gpt-5-mini", &chat.body(), 100)?;
            stack.chat(&account, chat.clone()).await?.expect(200)?;
            let entry = charge(&stack, &account, &chat.tag).await.context(*name)?;
            ensure!((-most..0).contains(&entry.amount), "{name}: hold {most}: {}", entry.json);
            ensure!(entry.text("usage_source") == Some("estimated"), "{name}: {}", entry.json);
            ensure!(entry.text("usage_status") != Some("complete"), "{name}: {}", entry.json);
        }
    }
    still_serves(&stack, &account).await?;
    let metric = stack.gateway()?.stats().await?.get("wasmcustom.bursar.unmetered_responses");
    ensure!(metric > 0, "nobody can see that answers were not metered");
    stack.finish().await
}

#[tokio::test]
async fn absent_usage_is_estimated() -> Result<()> {
    let stack = stack("absent").await?;
    let account = funded(&stack, "50").await?;
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let chat = chat.max_tokens(100).takes(50, 80).script(|script| script.usage = UsageShape::Absent);
        let most = hold("gpt-5-mini", &chat.body(), 100)?;
        stack.chat(&account, chat.clone()).await?.expect(200)?;
        let entry = charge(&stack, &account, &chat.tag).await?;
        ensure!((-most..0).contains(&entry.amount), "hold {most}: {}", entry.json);
        ensure!(entry.text("usage_source") == Some("estimated"), "{}", entry.json);
    }
    stack.finish().await
}

#[tokio::test]
async fn one_believable_half_is_kept_and_marked() -> Result<()> {
    let stack = stack("half").await?;
    let account = funded(&stack, "50").await?;
    let chat = Chat::new("gpt-5-mini").max_tokens(100).script(|script| {
        script.usage = UsageShape::Literal(r#"{"prompt_tokens":40,"completion_tokens":-1}"#.to_owned());
    });
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    let entry = charge(&stack, &account, &chat.tag).await?;
    ensure!(entry.text("usage_status") == Some("partial"), "{}", entry.json);
    ensure!(entry.amount < 0, "{}", entry.json);
    stack.finish().await
}

#[tokio::test]
async fn usage_above_the_hold_is_charged_in_full() -> Result<()> {
    let stack = stack("above-hold").await?;
    let account = funded(&stack, "50").await?;
    let chat = Chat::new("gpt-5-mini").max_tokens(10).takes(1_000, 5_000);
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    // 1000 x 12.5 + 5000 x 100
    let entry = charge(&stack, &account, &chat.tag).await?;
    ensure!(entry.amount == -512_500, "{}", entry.json);
    stack.settled(testbed::wait::SETTLED_WITHIN).await?;
    let over = stack.gateway()?.stats().await?.get("wasmcustom.bursar.overshoot_microcredits");
    ensure!(over > 0, "the overshoot is not counted");
    stack.finish().await
}

#[tokio::test]
async fn a_claim_beyond_the_catalogs_bound_is_disputed() -> Result<()> {
    let stack = stack("disputed").await?;
    let account = funded(&stack, "1000").await?;
    let chat = Chat::new("gpt-5-mini").max_tokens(10).takes(1_000_000_000, 1_000_000_000);
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    let entry = charge(&stack, &account, &chat.tag).await?;
    ensure!(entry.amount == -500_000_000, "{}", entry.json);
    ensure!(entry.text("disputed").is_some_and(|amount| amount != "0.000000"), "{}", entry.json);
    stack.finish().await
}

#[tokio::test]
async fn growing_usage_counts_once() -> Result<()> {
    let stack = stack("cumulative").await?;
    let account = funded(&stack, "50").await?;
    for usage in [UsageShape::Cumulative, UsageShape::InChoice] {
        let chat = Chat::stream("gpt-5-mini").takes(50, 80).script(|script| {
            (script.usage, script.always_usage) = (usage.clone(), true);
        });
        stack.chat(&account, chat.clone()).await?.expect(200)?;
        let entry = charge(&stack, &account, &chat.tag).await?;
        ensure!(entry.amount == -8_625, "{usage:?}: {}", entry.json);
    }
    stack.finish().await
}

#[tokio::test]
async fn a_literal_zero_is_zero() -> Result<()> {
    let stack = stack("zero").await?;
    let account = funded(&stack, "50").await?;
    let chat = Chat::new("gpt-5-mini").max_tokens(100).takes(0, 0);
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    let entry = charge(&stack, &account, &chat.tag).await?;
    ensure!(entry.amount == 0 && entry.text("usage_source") == Some("reported"), "{}", entry.json);
    stack.finish().await
}

/// Cut at every byte of the usage event, and at a spread of other places: the charge is the same, and so
/// is what the client gets.
#[tokio::test]
async fn usage_split_at_any_byte() -> Result<()> {
    let stack = stack("split").await?;
    let account = funded(&stack, "50").await?;
    for chat in [Chat::new("gpt-5-mini"), Chat::stream("gpt-5-mini")] {
        let ask = |cuts: Vec<usize>| {
            let mut chat = chat.clone().takes(50, 80).script(|script| script.cuts = cuts);
            chat.tag = testbed::request::tag();
            chat
        };
        let whole = ask(Vec::new());
        let expected = stack.chat(&account, whole.clone()).await?.expect(200)?;
        let seen = &stack.mock.record.tagged(&whole.tag)[0];
        let end = seen.sent_bytes;
        let from = end.saturating_sub(400);
        let mut tags = Vec::new();
        for cut in (from..end).step_by(3).chain((1..from).step_by(97)) {
            let chat = ask(vec![cut, cut + 1]);
            let answer = stack.chat(&account, chat.clone()).await?.expect(200)?;
            ensure!(same(&answer.text()) == same(&expected.text()), "cut at {cut}: {}", answer.text());
            tags.push((cut, chat.tag));
        }
        for (cut, tag) in tags {
            let entry = charge(&stack, &account, &tag).await.with_context(|| format!("cut at {cut}"))?;
            ensure!(entry.amount == -8_625, "cut at {cut}: {}", entry.json);
        }
    }
    stack.finish().await
}

/// An answer without its own number.
fn same(text: &str) -> String {
    let parts =
        text.split("chatcmpl-mock-").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    parts.collect()
}

#[tokio::test]
async fn the_charge_is_for_the_model_that_was_asked_for() -> Result<()> {
    let stack = stack("answered-model").await?;
    let account = funded(&stack, "50").await?;
    let chat = Chat::new("gpt-5-mini").takes(50, 80).script(|script| {
        script.answered_model = Some("gpt-5-mini-2026-01-01".to_owned());
    });
    stack.chat(&account, chat.clone()).await?.expect(200)?;
    let entry = charge(&stack, &account, &chat.tag).await?;
    ensure!(entry.text("model") == Some("gpt-5-mini"), "{}", entry.json);
    ensure!(entry.text("answered_model") == Some("gpt-5-mini-2026-01-01"), "{}", entry.json);
    stack.finish().await
}

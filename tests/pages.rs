//! The price pages through a real Envoy, each on its own catalog file: what the edge enforces of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::ground::{Part, together};
use e2e::{charge, openai_refusal};
use serde_json::{Value, json};
use testbed::gateway::Headers;
use testbed::http::{Answer, Request};
use testbed::mock::{SCRIPT_HEADER, Script, TAG_HEADER};
use testbed::request::{Chat, tag};
use testbed::{Account, Setup, Stack, wait};

/// A change at the ledger counts within two seconds.
const SOON: Duration = Duration::from_secs(2);

async fn page(catalog: &str, headers: Headers) -> Result<Stack> {
    let file = testbed::setup::default_catalog().with_file_name(format!("{catalog}.yaml"));
    let items = |path: &str| json!({"path": path, "action": {"meter": "items"}});
    let plugin = json!({"routes": [items("/v1/videos"), items("/v1/training"), items("/v1/document-parse")]});
    // One worker: a change that one request has seen counts for the next.
    Setup::new(catalog).catalog(&file).headers(headers).concurrency(1).plugin(plugin).start().await
}

/// A request on a path, with what the provider shall answer.
#[derive(Clone)]
struct Ask {
    path: &'static str,
    body: Value,
    script: Script,
    tag: String,
}

impl Ask {
    fn new(path: &'static str, body: Value) -> Self {
        Self { path, body, script: Script::default(), tag: tag() }
    }

    fn images(body: Value) -> Self {
        Self::new("/v1/images/generations", body)
    }

    fn chat(model: &str, tokens: u64) -> Self {
        let script = Script { prompt: Some(0), completion: Some(tokens), ..Script::default() };
        let body = json!({"model": model, "max_tokens": tokens, "messages": []});
        Self { script, ..Self::new("/v1/chat/completions", body) }
    }

    fn answered(mut self, body: Value) -> Self {
        self.script.body = Some(body.to_string());
        self
    }

    async fn send(&self, stack: &Stack, key: &str) -> Result<Answer> {
        let request = Request::new("POST", self.path)
            .bearer(key)
            .header("content-type", "application/json")
            .header(TAG_HEADER, &self.tag)
            .header(SCRIPT_HEADER, &self.script.header())
            // What a client might make up.
            .header("x-generation-speed", "instant")
            .body(self.body.to_string());
        stack.client()?.send(request).await
    }

    /// Served; what the journal says of it.
    async fn charged(&self, stack: &Stack, account: &Account) -> Result<testbed::ledger::Entry> {
        self.send(stack, &account.key).await?.expect(200).with_context(|| self.body.to_string())?;
        charge(stack, account, &self.tag).await
    }

    /// Refused as documented; the body.
    async fn refused(&self, stack: &Stack, key: &str, status: u16, code: &str) -> Result<Value> {
        let body = openai_refusal(&self.send(stack, key).await?, status, code)?;
        ensure!(!e2e::reached_provider(stack, &self.tag), "a refused request went on: {body}");
        Ok(body)
    }
}

/// What was told of an account: the data of its events of a type, oldest first, once there are so many.
async fn told(stack: &Stack, account: &Account, kind: &str, count: usize) -> Result<Vec<Value>> {
    wait::until("it is told", Duration::from_secs(5), || async {
        let path = format!("/v1/events?account={}&type={kind}", account.id);
        let events = stack.api().call("GET", &path, None).await?.json()?;
        let all = events.get("data").and_then(Value::as_array).context("no list")?;
        let data = all.iter().rev().filter_map(|event| event.get("data").cloned()).collect::<Vec<_>>();
        ensure!(data.len() == count, "{count} {kind}: {events}");
        Ok(Some(data))
    })
    .await
}

fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Image credits: prices by parameter, batches, limits by parameter, levels as headers, trainings as an asset, and
/// what helps when they are gone.
#[tokio::test]
async fn w3_w4_w5_w6_w7_w8_images_are_priced_bounded_and_paid_as_the_page_says() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = page("image-credits", headers).await?;
        let (free, pro) = (stack.account("free").await?, stack.account("pro").await?);
        // W3: by size, N held, as many charged as were delivered.
        let mut batch =
            Ask::images(json!({"model": "flux-schnell", "prompt": "a cat", "n": 4, "size": "2048x2048"}));
        batch.script.items = Some(3);
        let entry = batch.charged(&stack, &pro).await?;
        ensure!(
            (entry.amount, entry.text("model")) == (-75_000_000, Some("flux-schnell@xlarge")),
            "{}",
            entry.json
        );
        ensure!(entry.used("images") == 3 && entry.text("usage_source") == Some("counted"), "{}", entry.json);
        let film =
            Ask::new("/v1/videos", json!({"model": "video-standard", "resolution": "720p", "seconds": 6}));
        let entry = film.answered(json!({"id": "job", "status": "queued"})).charged(&stack, &pro).await?;
        ensure!((entry.amount, entry.used("seconds")) == (-96_000_000, 6), "{}", entry.json);
        // W7: the level goes upstream, whatever the client says.
        for (account, level) in [(&free, "standard"), (&pro, "priority")] {
            let one = Ask::images(json!({"model": "flux-schnell"}));
            ensure!(one.charged(&stack, account).await?.amount == -10_000_000);
            let seen = stack.mock.record.tagged(&one.tag);
            ensure!(seen[0].header("x-generation-speed") == Some(level), "{:?}", seen[0].headers);
        }
        // W4: a batch over the cap names the plan that unlocks it.
        let two = Ask::images(json!({"model": "flux-schnell", "n": 2}));
        let body = two.refused(&stack, &free.key, 402, "limit_reached").await?;
        ensure!((text(&body, "/limit"), text(&body, "/unlocks/0/plan")) == ("batch", "starter"), "{body}");
        // W7: gates.
        let gated = Ask::images(json!({"model": "uncensored-xl"}));
        let body = gated.refused(&stack, &free.key, 402, "plan_required").await?;
        ensure!(text(&body, "/unlocks/0/plan") == "pro", "{body}");
        // W5, W6: one training a week, of at most thirty images.
        let training = |images: usize| {
            let body = json!({"model": "flux-training", "images": vec!["i"; images]});
            Ask::new("/v1/training", body).answered(json!({"id": "training"}))
        };
        let body = training(31).refused(&stack, &pro.key, 402, "limit_reached").await?;
        ensure!(text(&body, "/limit") == "training_images", "{body}");
        let entry = training(30).charged(&stack, &pro).await?;
        ensure!(entry.pools == [("train_week".to_owned(), -1_000_000)], "{}", entry.json);
        training(1).refused(&stack, &pro.key, 402, "insufficient_credits").await?;
        // W3: what upstreams could read in two ways is refused.
        let twice = Ask::images(json!({"model": "flux-schnell", "Size": "2048x2048"}));
        openai_refusal(&twice.send(&stack, &pro.key).await?, 400, "invalid_request")?;
        // W8: Free has 10 of its 50 less, Pro 181 of 450; the last of it pays for a whole picture.
        for (account, model, times, offered, waiting) in
            [(&free, "flux-schnell", 4, "starter", false), (&pro, "uncensored-xl", 3, "ultra", true)]
        {
            for _ in 0..times {
                Ask::images(json!({"model": model})).charged(&stack, account).await?;
            }
            let body = Ask::images(json!({"model": "flux-schnell"}));
            let body = body.refused(&stack, &account.key, 402, "insufficient_credits").await?;
            ensure!(text(&body, "/unlocks/0/plan") == offered, "{body}");
            ensure!(text(&body, "/resets_at").ends_with('Z') == waiting, "{body}");
            told(&stack, account, "credits.low", 1).await?;
            told(&stack, account, "credits.exhausted", 1).await?;
        }
        stack.finish_unreconciled().await?;
    }
    Ok(())
}

/// Pools and wallet: rates, caps that skip a pool, the wallet's bypass, models on no plan.
#[tokio::test]
async fn p4_p5_p7_p10_pools_caps_and_the_wallet_s_bypass() -> Result<()> {
    for headers in [Headers::Hold, Headers::Stream] {
        let stack = page("pools-and-wallet", headers).await?;
        let (free, starter) = (stack.account("free").await?, stack.account("starter").await?);
        // P7: one a minute, free models only; what the wallet could pay is told so.
        Ask::chat("spark-free", 50).send(&stack, &free.key).await?.expect(200)?;
        Ask::chat("spark-free", 50).refused(&stack, &free.key, 429, "rate_limited").await?;
        // P5: a day's cap of 100 is skipped, the backup goes on.
        for _ in 0..8 {
            Ask::chat("atlas-large", 10_000).charged(&stack, &starter).await?;
        }
        let pools = |entries: &[testbed::ledger::Entry], pool: &str| {
            entries
                .iter()
                .flat_map(|entry| &entry.pools)
                .filter(|(own, _)| own == pool)
                .map(|(_, by)| by)
                .sum::<i64>()
        };
        let entries: Vec<_> = stack
            .api()
            .entries(&starter.id)
            .await?
            .into_iter()
            .filter(|entry| entry.request.is_some())
            .collect();
        let drawn = ["main", "backup", "wallet"].map(|pool| pools(&entries, pool));
        ensure!(drawn == [-100_000_000, -20_000_000, 0], "{drawn:?}");
        // P10: a model on no plan is paid from the wallet alone, and is not gated.
        let body =
            Ask::chat("frontier-max", 100).refused(&stack, &starter.key, 402, "insufficient_credits").await?;
        ensure!(text(&body, "/top_up_url") == "https://pools.example/wallet", "{body}");
        let path = format!("/v1/accounts/{}", starter.id);
        stack.api().call("PATCH", &path, Some(&json!({"opted_in": ["wallet"]}))).await?.expect(200)?;
        stack.api().grant(&starter.id, "wallet", "0.76", "wallet-1").await?;
        wait::until_true("the wallet counts", SOON, || async {
            let answer = Ask::chat("atlas-mini", 10).send(&stack, &starter.key).await?;
            ensure!(answer.status == 200 && answer.header("ratelimit").is_none(), "{:?}", answer.headers);
            Ok(true)
        })
        .await?;
        for n in 0..25 {
            let answer = Ask::chat("atlas-mini", 10).send(&stack, &starter.key).await?;
            ensure!(answer.status == 200, "{n}: the wallet lifts the rate: {}", answer.text());
        }
        let entry = Ask::chat("frontier-max", 100).charged(&stack, &starter).await?;
        ensure!(entry.pools == [("wallet".to_owned(), -750_000)], "{}", entry.json);
        stack.finish_unreconciled().await?;
    }
    Ok(())
}

/// Limits against features: the cap of requests, what is told of it, gates, traffic that does not count.
#[tokio::test]
async fn l2_l3_l5_l8_l11_l13_limits_and_features() -> Result<()> {
    let stack = page("modelux", Headers::Hold).await?;
    let text_of_catalog = std::fs::read_to_string(&stack.setup().catalog)?;
    let small = text_of_catalog.replace("window: cycle, max: 10000", "window: cycle, max: 5");
    ensure!(small != text_of_catalog, "the catalog has changed: mend this test");
    stack.api().publish_catalog(&small).await?;
    let free = stack.account("free").await?;
    let path = format!("/v1/accounts/{}/keys", free.id);
    let made = stack.api().call("POST", &path, Some(&json!({"auth_class": "dashboard"}))).await?;
    let own = text(&made.json()?, "/key").to_owned();
    ensure!(!own.is_empty(), "{}", made.text());
    for key in [&own, &free.key, &own].repeat(5) {
        Ask::chat("gpt-5", 100)
            .send(&stack, key)
            .await?
            .expect(200)
            .context("five are allowed, own ones do not count")?;
    }
    let body = Ask::chat("gpt-5", 100).refused(&stack, &free.key, 402, "limit_reached").await?;
    ensure!((text(&body, "/limit"), text(&body, "/unlocks/0/plan")) == ("requests/cycle", "pro"), "{body}");
    ensure!(text(&body, "/resets_at").ends_with('Z') && text(&body, "/limit_source") == "limit", "{body}");
    Ask::chat("gpt-5", 100).send(&stack, &own).await?.expect(200).context("own traffic at the limit")?;
    // L8: at four fifths and at the end, once each, however often it is refused since.
    let told = told(&stack, &free, "limit.threshold", 2).await?;
    for (told, (percent, used)) in told.iter().zip([(80, 4), (100, 5)]) {
        let said = (told.get("percent").and_then(Value::as_u64), text(told, "/used"));
        ensure!(said == (Some(percent), format!("{used}.000000").as_str()), "{told}");
    }
    // L3: the cheapest public plan, or whom to ask.
    let body = Ask::chat("ensemble/best-of-3", 10).refused(&stack, &free.key, 402, "plan_required").await?;
    ensure!(text(&body, "/unlocks/0/plan") == "team", "{body}");
    let body = Ask::chat("scim", 10).refused(&stack, &free.key, 402, "plan_required").await?;
    ensure!(text(&body, "/contact_url") == "https://modelux.example/contact-sales", "{body}");
    // L5: at once, in both directions.
    for (plan, status) in [("team", 200), ("pro", 402)] {
        stack.api().switch_plan(&free.id, plan).await?;
        wait::until_true("the switch counts", SOON, || async {
            let answer = Ask::chat("ensemble/best-of-3", 10).send(&stack, &free.key).await?;
            ensure!(answer.status == status, "{plan}: {}", answer.text());
            Ok(true)
        })
        .await?;
    }
    Ask::chat("gpt-5", 100).send(&stack, &free.key).await?.expect(200).context("Pro has more")?;
    stack.finish_unreconciled().await
}

/// Commitment tiers: rates by model and tier, pages, overage, a programme, and rates from before the tiers.
#[tokio::test]
async fn c3_c8_c9_c11_tiers_pages_overage_cohorts_and_programmes() -> Result<()> {
    let stack = page("upstage", Headers::Hold).await?;
    let explore = stack.account("explore").await?;
    // C8: without a payment method zero credits are the end.
    let body = pages("document-parse", 1).refused(&stack, &explore.key, 402, "insufficient_credits").await?;
    ensure!(text(&body, "/top_up_url").starts_with("https://"), "{body}");
    let path = format!("/v1/accounts/{}", explore.id);
    stack.api().call("PATCH", &path, Some(&json!({"card_on_file": true}))).await?.expect(200)?;
    wait::until_true("the card counts", SOON, || async {
        Ok(pages("document-parse", 1).send(&stack, &explore.key).await?.status == 200)
    })
    .await?;
    let entry = pages("document-parse", 12).charged(&stack, &explore).await?;
    ensure!((entry.used("pages"), entry.amount) == (12, -120_000), "{}", entry.json);
    // C3: ten a second and no more; the other model has a rate of its own.
    let tries = (0..14).map(|_| {
        let ask = pages("information-extract", 1);
        let (stack, key) = (&stack, &explore.key);
        async move { anyhow::Ok(ask.send(stack, key).await?.status) }
    });
    let mut statuses = Vec::new();
    for one in tries {
        statuses.push(one.await?);
    }
    // Some are refilled on the way, in a second at most ten.
    let passed = statuses.iter().filter(|status| **status == 200).count();
    ensure!(statuses.iter().take(10).all(|status| *status == 200), "{statuses:?}");
    ensure!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    ensure!(passed >= 10, "{statuses:?}");
    Ask::chat("solar-pro-2", 10).send(&stack, &explore.key).await?.expect(200)?;
    // C11: an enrolled account has its models for nothing.
    let school = stack.account("no_tier").await?;
    let path = format!("/v1/accounts/{}/programmes/education", school.id);
    stack.api().call("PUT", &path, Some(&json!({}))).await?.expect(200)?;
    let entry = pages("document-parse", 5).charged(&stack, &school).await?;
    ensure!(entry.amount == 0 && entry.used("pages") == 5, "{}", entry.json);
    Ask::chat("solar-pro-2", 10).refused(&stack, &school.key, 402, "insufficient_credits").await?;
    legacy_rates(&stack).await?;
    stack.finish_unreconciled().await
}

/// A document of so many pages.
fn pages(model: &str, pages: u64) -> Ask {
    let ask = Ask::new("/v1/document-parse", json!({"model": model, "document": "x"}));
    ask.answered(json!({"content": {}, "usage": {"pages": pages}}))
}

/// C9: who was there before the tiers keeps the old rate for a time.
async fn legacy_rates(stack: &Stack) -> Result<()> {
    let text_of_catalog = std::fs::read_to_string(&stack.setup().catalog)?;
    let early = text_of_catalog.replace("until: 2026-01-06", "until: 2126-01-06");
    ensure!(early != text_of_catalog, "the catalog has changed: mend this test");
    stack.api().publish_catalog(&early).await?;
    let mut keys = Vec::new();
    for (id, created_at) in [("old", "2025-11-03T23:59:59Z"), ("newer", "2025-11-04T00:00:00Z")] {
        let new = json!({"id": id, "plan": "explore", "created_at": created_at});
        stack.api().call("POST", "/v1/accounts", Some(&new)).await?.expect(201)?;
        let path = format!("/v1/accounts/{id}");
        stack.api().call("PATCH", &path, Some(&json!({"card_on_file": true}))).await?.expect(200)?;
        keys.push(stack.api().create_key(id, None).await?.1);
    }
    let extract = || pages("information-extract", 1);
    let has_rate = |answer: &Answer, rate: &str| {
        let policies = answer.header("ratelimit-policy").unwrap_or_default();
        policies.split(", ").any(|policy| policy == format!("\"information-extract\";{rate}"))
    };
    for (key, rate) in keys.iter().zip(["q=5;w=1", "q=10;w=1"]) {
        let answer = extract().send(stack, key).await?.expect(200)?;
        ensure!(has_rate(&answer, rate), "{rate}: {:?}", answer.headers);
    }
    // Five a second are far less than thirty at once.
    let ask = |key| Box::pin(async move { extract().send(stack, key).await }) as Part<'_, Answer>;
    let answers = together((0..30).map(|_| ask(&keys[0])).collect()).await?;
    let refused = answers.iter().find(|answer| answer.status != 200).context("nothing was refused")?;
    ensure!(text(&openai_refusal(refused, 429, "rate_limited")?, "/detail").contains("information-extract"));
    // Its time is over: the tier's rate, as for everybody.
    stack.api().publish_catalog(&text_of_catalog).await?;
    wait::until_true("the tier counts", SOON, || async {
        let answer = extract().send(stack, &keys[0]).await?;
        Ok(answer.status == 200 && has_rate(&answer, "q=10;w=1"))
    })
    .await
}

/// Subscription credits: models per stack are bounded by a list in the request, and top-ups alone work.
#[tokio::test]
async fn m6_m7_m14_models_per_stack_follow_the_plan_and_top_ups_alone_work() -> Result<()> {
    let stack = page("modelstack", Headers::Stream).await?;
    let (topup_only, starter) = (stack.account_with("10").await?, stack.account("starter").await?);
    let of = |count: usize| {
        let chat = Chat::new("gpt-5-mini").max_tokens(10).member("models", json!(vec!["gpt-5-mini"; count]));
        chat.takes(10, 5)
    };
    for (account, most) in [(&topup_only, 3), (&starter, 2)] {
        stack.chat(account, of(most)).await?.expect(200)?;
        let refused = of(most + 1);
        let body = openai_refusal(&stack.chat(account, refused.clone()).await?, 402, "limit_reached")?;
        ensure!(text(&body, "/limit") == "models_per_stack", "{body}");
        ensure!(text(&body, "/unlocks/0/plan") == if most == 3 { "pro" } else { "topup_only" }, "{body}");
        let seen = stack.mock.record.tagged(&refused.tag);
        ensure!(seen.iter().all(|seen| !seen.complete), "the upstream got a refused request");
    }
    // M14: at base price, on the base entitlements; without any the way to some is named.
    let chat = of(1);
    let answer = stack.chat(&topup_only, chat.clone()).await?.expect(200)?;
    ensure!(answer.header("ratelimit-policy") == Some("\"rpm\";q=40;w=60"), "{:?}", answer.headers);
    let entry = charge(&stack, &topup_only, &chat.tag).await?;
    ensure!(entry.pools == [("topup".to_owned(), -625)], "{}", entry.json);
    let nothing = stack.account("topup_only").await?;
    let body = openai_refusal(&stack.chat(&nothing, of(1)).await?, 402, "insufficient_credits")?;
    ensure!(text(&body, "/top_up_url").starts_with("https://"), "{body}");
    stack.finish().await
}

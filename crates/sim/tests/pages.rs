//! The five price pages, as the edge enforces them against the real book: limits, pools, wallet, overage, gates.
#![expect(clippy::panic, clippy::expect_used, reason = "tests may fail loudly")]

use book::command::settings::{self, SettingsChange};
use book::command::{grant, key, plan};
use serde_json::Value;
use sim::{Seen, World, ask, config, usage};

const POOLS: &str = include_str!("../../../envoy/catalogs/pools-and-wallet.yaml");
const MODELUX: &str = include_str!("../../../envoy/catalogs/modelux.yaml");
const IMAGES: &str = include_str!("../../../envoy/catalogs/image-credits.yaml");
const SPEECH: &str = include_str!("../../tariff/tests/sixth/speech.yaml");
const UPSTAGE: &str = include_str!("../../../envoy/catalogs/upstage.yaml");

const DAY_MS: u64 = 86_400_000;

fn world(mode: &str, catalog: &str) -> World {
    let items = r#""action":{"meter":"items"}"#;
    let routes =
        ["videos", "training", "document-parse"].map(|path| format!(r#"{{"path":"/v1/{path}",{items}}}"#));
    let routes = format!(r#""routes":[{},"#, routes.join(","));
    World::with(2, &config(mode, "").replace(r#""routes":["#, &routes), catalog)
}

/// A day or more later: nodes forget, windows end.
fn days(world: &mut World, days: u64) {
    // In one leap, so that a test does not tick for days; then a few seconds as they are.
    world.now_us += days * DAY_MS * 1_000;
    world.pass(3_000);
}

fn reply(world: &World, stream: usize) -> (u16, Value) {
    match world.streams[stream].seen.clone() {
        Some(Seen::Reply(status, body)) => (u16::try_from(status).expect("a status"), body),
        other => panic!("expected a reply, saw {other:?} {:?}", world.warnings),
    }
}

fn is_served(world: &mut World, stream: usize, answer: &str) -> bool {
    let served = world.streams[stream].seen == Some(Seen::Forwarded);
    if served {
        world.answer(stream, 200, answer);
    }
    served
}

/// A completion of so many tokens, answered; else its refusal.
fn chat(world: &mut World, account: &str, model: &str, tokens: u64) -> Result<(), (u16, Value)> {
    let stream = world.chat(0, account, &ask(model, tokens));
    if is_served(world, stream, &usage(0, tokens)) { Ok(()) } else { Err(reply(world, stream)) }
}

fn post(world: &mut World, account: &str, path: &str, body: &str) -> usize {
    world.post(account, path, &[], body.as_bytes())
}

fn set(world: &mut World, account: &str, change: SettingsChange) {
    let now = world.book_now();
    settings::change(&mut world.book, now, account, &change).expect("settings");
}

fn deposit(world: &mut World, account: &str, pool: &str, credits: &str) {
    let new = grant::NewGrant {
        account: account.to_owned(),
        pool: pool.to_owned(),
        amount: tariff::Micros::parse(credits).expect("an amount"),
        expires_at: None,
        reference: format!("{pool}-{credits}-{}", world.now_us),
    };
    let now = world.book_now();
    grant::grant(&mut world.book, now, &new).expect("a grant");
    world.pass(2_000);
}

/// A wallet with so much in it.
fn wallet(world: &mut World, account: &str, credits: &str) {
    set(
        world,
        account,
        SettingsChange { opted_in: Some(vec!["wallet".to_owned()]), ..SettingsChange::default() },
    );
    deposit(world, account, "wallet", credits);
}

fn code(refused: &(u16, Value)) -> (u16, &str) {
    (refused.0, refused.1["code"].as_str().unwrap_or_default())
}

fn drawn(world: &World, account: &str) -> Vec<(String, i64)> {
    let mut pools: Vec<(String, i64)> = Vec::new();
    for slice in world.charge_entries(account).flat_map(|charge| &charge.slices) {
        let name = slice.pool.to_string();
        match pools.iter_mut().find(|(own, _)| *own == name) {
            Some((_, sum)) => *sum += slice.amount.get(),
            None => pools.push((name, slice.amount.get())),
        }
    }
    pools
}

// === limits against features ===

const SMALL: &str = "meter: requests, window: cycle, max: 10000";

#[test]
fn l2_l9_l13_a_request_limit_is_402_until_the_renewal_day() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode, &MODELUX.replace(SMALL, "meter: requests, window: cycle, max: 5"));
        world.account("a", "free");
        for n in 0..5 {
            assert_eq!(chat(&mut world, "a", "gpt-5", 100), Ok(()), "{mode} {n}");
        }
        let calls = world.calls;
        let refused = chat(&mut world, "a", "gpt-5", 100).expect_err("five are allowed");
        assert_eq!(code(&refused), (402, "limit_reached"), "{mode}: {}", refused.1);
        assert_eq!(
            (refused.1["limit"].as_str(), refused.1["unlocks"][0]["plan"].as_str()),
            (Some("requests/cycle"), Some("pro"))
        );
        assert!(refused.1["resets_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{}", refused.1);
        assert_eq!(
            (&refused.1["required"], &refused.1["available"]),
            (&"1.000000".into(), &"0.000000".into())
        );
        world.pass(3_000);
        for _ in 0..5 {
            chat(&mut world, "a", "gpt-5", 100).expect_err("remembered");
        }
        assert!(world.calls <= calls + 6, "{mode}: {} calls for refusals", world.calls - calls);
        days(&mut world, 31);
        assert_eq!(chat(&mut world, "a", "gpt-5", 100), Ok(()), "{mode}: counted anew");
        world.check();
    }
}

#[test]
fn l5_an_upgrade_lifts_a_limit_at_once_and_a_downgrade_takes_features_away() {
    let mut world = world("hold", &MODELUX.replace(SMALL, "meter: requests, window: cycle, max: 1"));
    world.account("a", "free");
    assert_eq!(chat(&mut world, "a", "gpt-5", 10), Ok(()));
    let refused = chat(&mut world, "a", "ensemble/best-of-3", 10).expect_err("not on free");
    assert_eq!(
        (code(&refused), refused.1["unlocks"][0]["plan"].as_str()),
        ((402, "plan_required"), Some("team"))
    );
    assert_eq!(
        code(&chat(&mut world, "a", "gpt-5", 10).expect_err("one is allowed")),
        (402, "limit_reached")
    );
    for (to, model, served) in
        [("team", "ensemble/best-of-3", true), ("pro", "ensemble/best-of-3", false), ("pro", "gpt-5", true)]
    {
        let now = world.book_now();
        // The second time it is on the plan already.
        let _ = plan::switch(&mut world.book, now, "a", to, false);
        world.pass(2_000);
        assert_eq!(chat(&mut world, "a", model, 10).is_ok(), served, "{to} {model}");
    }
    world.check_at_rest();
}

#[test]
fn l11_traffic_of_the_product_s_own_keys_is_not_counted() {
    let mut world = world("stream", &MODELUX.replace(SMALL, "meter: requests, window: cycle, max: 2"));
    world.account("a", "free");
    let new = key::NewKey {
        account: "a".to_owned(),
        id: "k-own".to_owned(),
        digest: edge::request::credential::digest(b"key-own").expect("digest"),
        name: None,
        auth_class: Some("dashboard".to_owned()),
        models: None,
        expires_at: None,
    };
    let now = world.book_now();
    key::create(&mut world.book, now, &new).expect("a key");
    for _ in 0..5 {
        assert_eq!(chat(&mut world, "own", "gpt-5", 10), Ok(()));
    }
    assert_eq!(chat(&mut world, "a", "gpt-5", 10), Ok(()));
    assert_eq!(chat(&mut world, "a", "gpt-5", 10), Ok(()));
    chat(&mut world, "a", "gpt-5", 10).expect_err("the third of the API's own");
    assert_eq!(chat(&mut world, "own", "gpt-5", 10), Ok(()), "also once the limit is reached");
    world.check_at_rest();
}

#[test]
fn l3_a_feature_that_no_public_plan_has_names_whom_to_ask() {
    let mut world = world("hold", MODELUX);
    world.account("a", "free");
    let refused = chat(&mut world, "a", "scim", 10).expect_err("enterprise only");
    assert_eq!(code(&refused), (402, "plan_required"));
    assert_eq!(refused.1["contact_url"], "https://modelux.example/contact-sales");
}

#[test]
fn a_limit_that_only_time_lifts_is_429_with_the_time() {
    let catalog = MODELUX.replace(SMALL, "meter: requests, window: day, max: 1, on_exceed: deny429");
    let mut world = world("hold", &catalog);
    world.account("a", "free");
    assert_eq!(chat(&mut world, "a", "gpt-5", 10), Ok(()));
    let refused = chat(&mut world, "a", "gpt-5", 10).expect_err("one a day");
    assert_eq!(code(&refused), (429, "rate_limited"), "{}", refused.1);
    assert_eq!(refused.1["violated-policies"][0], "requests/day");
    days(&mut world, 1);
    assert_eq!(chat(&mut world, "a", "gpt-5", 10), Ok(()));
}

// === pools and wallet ===

#[test]
fn p7_free_reaches_free_models_once_a_minute() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode, POOLS);
        world.account("a", "free");
        assert_eq!(chat(&mut world, "a", "spark-free", 50), Ok(()), "{mode}");
        assert_eq!(
            code(&chat(&mut world, "a", "spark-free", 50).expect_err("one a minute")),
            (429, "rate_limited")
        );
        world.pass(61_000);
        let refused = chat(&mut world, "a", "atlas-mini", 50).expect_err("not paid");
        assert_eq!(code(&refused), (402, "insufficient_credits"), "{mode}: {}", refused.1);
        assert_eq!(refused.1["top_up_url"], "https://pools.example/wallet");
        assert_eq!(world.charged("a"), 0);
        world.check_at_rest();
    }
}

#[test]
fn p10_a_positive_wallet_lifts_the_rate_and_opens_every_model() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode, POOLS);
        world.account("a", "starter");
        let refused = chat(&mut world, "a", "frontier-max", 10).expect_err("on no plan");
        assert_eq!(code(&refused), (402, "insufficient_credits"), "{mode}: {}", refused.1);
        wallet(&mut world, "a", "0.000001");
        for n in 0..30 {
            assert_eq!(chat(&mut world, "a", "atlas-mini", 10), Ok(()), "{mode}: {n} of 20 a minute");
        }
        wallet(&mut world, "a", "5");
        assert_eq!(chat(&mut world, "a", "frontier-max", 100), Ok(()), "{mode}");
        world.pass(3_000);
        let pools = drawn(&world, "a");
        assert!(pools.contains(&("wallet".to_owned(), 750_000)), "{mode}: {pools:?}");
        // 30 requests of 10 tokens at 60 credits a million.
        assert!(pools.contains(&("main".to_owned(), 18_000)), "{mode}: {pools:?}");
        world.check_at_rest();
    }
}

#[test]
fn p5_a_cap_skips_main_and_a_cap_that_denies_is_402_with_the_time() {
    let mut world = world("hold", POOLS);
    world.account("a", "starter");
    // 120 credits: a day's cap of 100 from main, the rest from the backup.
    for _ in 0..8 {
        assert_eq!(chat(&mut world, "a", "atlas-large", 10_000), Ok(()));
        world.pass(4_000);
    }
    assert_eq!(drawn(&world, "a"), [("main".to_owned(), 100_000_000), ("backup".to_owned(), 20_000_000)]);
    world.check_at_rest();

    // The page's other reading: both pools bound, and denied at the cap.
    let bounds = "window: day, max: 100, pools: [main], on_exceed: skip_pool";
    let denying = POOLS.replace(bounds, "window: day, max: 100, pools: [main, backup], on_exceed: deny402");
    let mut world = self::world("stream", &denying);
    world.account("a", "starter");
    let mut served = 0;
    let refused = loop {
        match chat(&mut world, "a", "atlas-large", 10_000) {
            Ok(()) => served += 1,
            Err(refused) => break refused,
        }
        world.pass(4_000);
        assert!(served < 20, "never denied");
    };
    assert_eq!(code(&refused), (402, "limit_reached"), "{}", refused.1);
    assert_eq!(refused.1["limit"], "credits/day");
    assert!(refused.1["resets_at"].as_str().is_some_and(|at| at.ends_with("T00:00:00Z")), "{}", refused.1);
    assert_eq!(served, 6, "of 15 credits each; a seventh would go beyond 100");
    days(&mut world, 1);
    assert_eq!(chat(&mut world, "a", "atlas-large", 10_000), Ok(()), "the next day");
}

#[test]
fn p8_at_the_end_of_the_cost_budget_only_the_wallet_pays() {
    let mut world = world("hold", &POOLS.replace("window: cycle, max: 100,", "window: cycle, max: 0.5,"));
    world.account("a", "starter");
    let mut served = 0;
    let refused = loop {
        // 15 credits, and 0.12 dollars to the provider.
        match chat(&mut world, "a", "atlas-large", 10_000) {
            Ok(()) => served += 1,
            Err(refused) => break refused,
        }
        world.pass(4_000);
        assert!(served < 20, "never denied");
    };
    // The last one is clipped to the two cents that are left.
    assert_eq!((refused.0, served), (402, 5), "{}", refused.1);
    wallet(&mut world, "a", "40");
    assert_eq!(chat(&mut world, "a", "atlas-large", 100), Ok(()), "{}", refused.1);
    world.pass(3_000);
    world.check_at_rest();
}

// === image credits ===

#[test]
fn w7_limited_is_a_count_of_its_own() {
    let mut world = world("hold", IMAGES);
    world.account("a", "free");
    let one = r#"{"data":[{}]}"#;
    let dev = r#"{"model":"flux-dev","n":1}"#;
    let stream = post(&mut world, "a", "/v1/images/generations", dev);
    assert!(is_served(&mut world, stream, one), "{:?}", reply(&world, stream));
    let stream = post(&mut world, "a", "/v1/images/generations", r#"{"model":"uncensored-xl"}"#);
    let (status, body) = reply(&world, stream);
    assert_eq!((status, &body["unlocks"][0]["plan"]), (402, &"pro".into()), "{body}");

    let plenty =
        IMAGES.replace("grants: { welcome: { amount: 50, once: true } }", "grants: { welcome: 5000 }");
    let mut world = self::world("hold", &plenty);
    world.account("a", "free");
    for n in 0..3 {
        let stream = post(&mut world, "a", "/v1/images/generations", dev);
        assert!(is_served(&mut world, stream, one), "{n}");
        world.pass(2_000);
    }
    let stream = post(&mut world, "a", "/v1/images/generations", dev);
    let (status, body) = reply(&world, stream);
    assert_eq!(
        (status, &body["code"], &body["limit"]),
        (402, &"limit_reached".into(), &"flux-dev/day".into())
    );
    assert_eq!(body["unlocks"][0]["plan"], "starter", "{body}");
    let stream = post(&mut world, "a", "/v1/images/generations", r#"{"model":"flux-schnell"}"#);
    assert!(is_served(&mut world, stream, one), "another model is not counted");
    days(&mut world, 1);
    let stream = post(&mut world, "a", "/v1/images/generations", dev);
    assert!(is_served(&mut world, stream, one), "a day later");
}

#[test]
fn w5_trainings_are_paid_in_trainings() {
    let mut world = world("hold", IMAGES);
    for plan in ["free", "starter", "pro"] {
        world.account(plan, plan);
    }
    let job = r#"{"model":"flux-training","images":["a","b"]}"#;
    let stream = post(&mut world, "free", "/v1/training", job);
    assert_eq!(reply(&world, stream).1["code"], "plan_required");
    let stream = post(&mut world, "starter", "/v1/training", job);
    let (status, body) = reply(&world, stream);
    assert_eq!(
        (status, &body["code"]),
        (402, &"insufficient_credits".into()),
        "weekly Starter has none: {body}"
    );
    let stream = post(&mut world, "pro", "/v1/training", job);
    assert!(is_served(&mut world, stream, r#"{"id":"t1"}"#));
    world.pass(2_000);
    assert_eq!(drawn(&world, "pro"), [("train_week".to_owned(), 1_000_000)]);
    let stream = post(&mut world, "pro", "/v1/training", job);
    assert_eq!(reply(&world, stream).0, 402, "one a week");
    let stream = post(&mut world, "pro", "/v1/images/generations", r#"{"model":"flux-schnell"}"#);
    assert!(is_served(&mut world, stream, r#"{"data":[{}]}"#), "credits are there");
    days(&mut world, 7);
    let stream = post(&mut world, "pro", "/v1/training", job);
    assert!(is_served(&mut world, stream, r#"{"id":"t2"}"#), "the next week");
    world.check();
}

// === commitment tiers ===

#[test]
fn c8_at_zero_credits_the_api_goes_on_where_a_card_is_registered() {
    for mode in ["hold", "stream"] {
        let mut world = world(mode, UPSTAGE);
        world.account("a", "explore");
        let refused = chat(&mut world, "a", "solar-pro-2", 100).expect_err("no credits, no card");
        assert_eq!(code(&refused), (402, "insufficient_credits"), "{mode}");
        set(&mut world, "a", SettingsChange { card_on_file: Some(true), ..SettingsChange::default() });
        world.pass(2_000);
        for n in 0..20 {
            assert_eq!(chat(&mut world, "a", "solar-pro-2", 100_000), Ok(()), "{mode} {n}");
            world.pass(500);
        }
        set(&mut world, "a", SettingsChange { card_on_file: Some(false), ..SettingsChange::default() });
        world.pass(2_000);
        // What had been leased is served.
        let refused = (0..60).find_map(|_| chat(&mut world, "a", "solar-pro-2", 100_000).err());
        assert_eq!(refused.as_ref().map(code), Some((402, "insufficient_credits")), "{mode}");
        world.check_at_rest();
    }
}

#[test]
fn c3_rates_are_per_model_and_tier() {
    let mut world = world("hold", UPSTAGE);
    for (plan, solar, extract) in [("explore", 30, 10), ("build", 50, 20), ("scale", 80, 40)] {
        world.account(plan, plan);
        deposit(&mut world, plan, "paid", "100");
        let passed = |world: &mut World, model: &str, path: &str| {
            let body = format!(r#"{{"model":"{model}","max_tokens":1}}"#);
            (0..100)
                .take_while(|_| {
                    let stream = post(world, plan, path, &body);
                    is_served(
                        world,
                        stream,
                        r#"{"usage":{"pages":1,"prompt_tokens":1,"completion_tokens":1}}"#,
                    )
                })
                .count()
        };
        assert_eq!(passed(&mut world, "solar-pro-2", "/v1/chat/completions"), solar, "{plan}");
        assert_eq!(passed(&mut world, "information-extract", "/v1/document-parse"), extract, "{plan}");
        assert_eq!(passed(&mut world, "document-parse", "/v1/document-parse"), 100, "no rate counts it");
    }
    world.check_at_rest();
}

#[test]
fn c3_a_rate_on_pages_goes_below_zero_and_refuses_until_it_is_refilled() {
    let pages = "{ id: pages, meter: pages, max: 60, per: minute, models: [document-parse] }";
    let first = "      - { id: solar-pro-2, max: 30, per: second, models: [solar-pro-2] }";
    let catalog = UPSTAGE.replace(first, &format!("{first}\n      - {pages}"));
    assert_ne!(catalog, UPSTAGE);
    for mode in ["hold", "stream"] {
        let mut world = world(mode, &catalog);
        world.account("a", "explore");
        deposit(&mut world, "a", "paid", "100");
        let parse = |world: &mut World, pages: u64| {
            let stream = post(world, "a", "/v1/document-parse", r#"{"model":"document-parse"}"#);
            is_served(world, stream, &format!(r#"{{"usage":{{"pages":{pages}}}}}"#))
        };
        assert!(parse(&mut world, 59), "{mode}");
        assert!(parse(&mut world, 40), "{mode}: one page is left");
        // 39 more than there were: a page is back after 40 seconds.
        assert!(!parse(&mut world, 1), "{mode}");
        let stream = post(&mut world, "a", "/v1/document-parse", r#"{"model":"document-parse"}"#);
        let (status, body) = reply(&world, stream);
        assert_eq!((status, &body["violated-policies"][0]), (429, &"pages".into()), "{mode} {body}");
        world.pass(38_000);
        assert!(!parse(&mut world, 1), "{mode}");
        world.pass(3_000);
        assert!(parse(&mut world, 1), "{mode}");
        world.pass(2_000);
        assert_eq!(world.charged("a"), 100 * 10_000, "{mode}: 100 pages at 0.01");
        world.check_at_rest();
    }
}

#[test]
fn c11_an_enrolled_account_has_its_models_for_nothing() {
    let mut world = world("hold", UPSTAGE);
    world.account("a", "no_tier");
    let parse = r#"{"model":"document-parse"}"#;
    let stream = post(&mut world, "a", "/v1/document-parse", parse);
    assert_eq!(reply(&world, stream).0, 402);
    let now = world.book_now();
    settings::enrol(&mut world.book, now, "a", "education", None).expect("enrolled");
    world.pass(2_000);
    let stream = post(&mut world, "a", "/v1/document-parse", parse);
    assert!(is_served(&mut world, stream, r#"{"usage":{"pages":7}}"#), "{:?}", world.streams[stream].seen);
    assert_eq!(chat(&mut world, "a", "solar-pro", 100), Ok(()));
    assert_eq!(
        code(&chat(&mut world, "a", "solar-pro-2", 100).expect_err("not of the programme")),
        (402, "insufficient_credits")
    );
    world.pass(2_000);
    assert_eq!((world.charged("a"), world.charges("a")), (0, 2));
    world.check_at_rest();
}

#[test]
fn another_page_sells_speech_by_the_character_until_the_months_are_used_up() {
    let mut world = world("hold", SPEECH);
    world.account("free", "free");
    world.account("studio", "studio");
    let speech = |characters: usize, more: &str| {
        format!(r#"{{"model":"voice-standard","input":"{}"{more}}}"#, "ß".repeat(characters))
    };
    let charge = |world: &mut World, account: &str, body: &str| {
        world.pass(1_000);
        let stream = post(world, account, "/v1/videos", body);
        if world.streams[stream].seen != Some(Seen::Forwarded) {
            return Err(reply(world, stream));
        }
        let line: Value = serde_json::from_str(&world.answer(stream, 200, "ID3")).expect("a line");
        Ok(line["charge"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        charge(&mut world, "studio", &speech(800, r#","quality":"hd""#)).as_deref(),
        Ok("1600.000000")
    );
    assert_eq!(charge(&mut world, "studio", &speech(800, "")).as_deref(), Ok("800.000000"));
    let (status, body) = charge(&mut world, "free", &speech(501, "")).expect_err("too long");
    assert_eq!(
        (status, body["limit"].as_str(), &body["unlocks"][0]["plan"]),
        (402, Some("text"), &"creator".into())
    );
    for _ in 0..20 {
        assert_eq!(charge(&mut world, "free", &speech(500, "")).as_deref(), Ok("500.000000"));
    }
    let (status, body) = charge(&mut world, "free", &speech(1, "")).expect_err("used up");
    assert_eq!((status, body["code"].as_str()), (402, Some("insufficient_credits")), "{body}");
    world.check_at_rest();
}

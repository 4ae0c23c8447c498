//! Recorded answers through a real Envoy, re-framed and cut at random: each is charged what the provider's own
//! numbers cost, none goes unmetered in silence, and the client gets the bytes as they were.
//!
//! `BURSAR_RECORDINGS` plays another folder of the same layout (`crates/usage/samples`), `BURSAR_SEED` other cuts.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::ground::{Ground, Part, client, together};
use e2e::samples::{Sample, is_usage_only, samples, selling};
use serde_json::Value;
use testbed::gateway::Line;
use testbed::http::Answer;
use testbed::ledger::Entry;
use testbed::wait::SETTLED_WITHIN;
use testbed::{Account, Stack};

/// How often each recording is played on each ground.
const TIMES: usize = 3;
/// Cuts of one answer at most.
const CUTS_MAX: usize = 24;
/// Answers that are on their way at once.
const AT_ONCE: usize = 24;
/// The seed unless `BURSAR_SEED` says another.
const SEED: u64 = 1;

/// A small generator (`splitmix64`): the same seed is the same run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// One playing of a recording.
struct Play<'a> {
    sample: &'a Sample,
    tag: String,
    cuts: Vec<usize>,
    chunked: bool,
    client_http2: bool,
    asks_for_usage: bool,
}

impl<'a> Play<'a> {
    fn new(sample: &'a Sample, random: &mut Random) -> Self {
        let mut cuts: Vec<usize> =
            (0..random.below(CUTS_MAX + 1)).map(|_| random.below(sample.body.len())).collect();
        if random.below(2) == 0 {
            // The usage stands near the end more often than not.
            let tail = sample.body.len().min(300);
            cuts.extend((0..CUTS_MAX / 2).map(|_| sample.body.len() - 1 - random.below(tail.max(1))));
        }
        Self {
            sample,
            tag: testbed::request::tag(),
            cuts,
            chunked: random.below(2) == 0,
            client_http2: random.below(2) == 0,
            asks_for_usage: sample.is_asked_for() && random.below(2) == 0,
        }
    }

    async fn run(&self, stack: &Stack, account: &Account) -> Result<()> {
        let script =
            testbed::mock::Script { cuts: self.cuts.clone(), chunked: self.chunked, ..self.sample.script() };
        let request = self.sample.request(&account.key, &self.tag, &script, self.asks_for_usage);
        let answer = client(stack, self.client_http2)?.send(request).await?.expect(200);
        let what = || format!("{}, cut at {:?}, chunked: {}", self.sample.name, self.cuts, self.chunked);
        answer.and_then(|answer| self.check_answer(&answer)).with_context(what)
    }

    /// The client gets what the provider sent, but for the events with usage that it has not asked for.
    fn check_answer(&self, answer: &Answer) -> Result<()> {
        let kept =
            |event: &&String| self.asks_for_usage || !self.sample.is_asked_for() || !is_usage_only(event);
        let sent = events(&self.sample.body);
        if sent.iter().filter(kept).count() == sent.len() {
            ensure!(answer.body == self.sample.body, "changed on the way: {}", answer.text());
            return Ok(());
        }
        let (expected, found) = (sent.iter().filter(kept).collect::<Vec<_>>(), events(&answer.body));
        ensure!(found.iter().collect::<Vec<_>>() == expected, "changed on the way: {}", answer.text());
        Ok(())
    }

    /// Whether it had to be estimated, and all that is wrong with its charge.
    fn check_charge(&self, line: &Line, entry: Option<&Entry>) -> Result<bool> {
        let Some(entry) =
            entry.filter(|entry| entry.text("outcome").is_none_or(|outcome| outcome == "settled"))
        else {
            // An error instead of an answer is free; whatever else was delivered is not.
            let body = String::from_utf8_lossy(&self.sample.body);
            ensure!(self.sample.usage.is_none() && body.contains("error"), "not charged: {}", line.json);
            return Ok(false);
        };
        let found = counts(entry);
        ensure!(
            -entry.amount == Sample::price(&found),
            "the charge is not the price of its usage: {}",
            entry.json
        );
        let is_estimated = entry.text("usage_source") == Some("estimated");
        let Some(expected) = &self.sample.usage else {
            ensure!(is_estimated && entry.text("usage_status") == Some("failed"), "made up: {}", entry.json);
            return Ok(true);
        };
        let expected: BTreeMap<String, u64> = expected
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (name.clone(), *count))
            .collect();
        ensure!(entry.text("usage_status") == Some(&*self.sample.status), "status: {}", entry.json);
        let mismatch = self.sample.total_mismatch.unwrap_or_else(|| is_mismatch(line));
        ensure!(is_mismatch(line) == mismatch, "total: {}", line.json);
        if is_estimated && self.sample.status == "partial" {
            // It broke off before its output was counted: what was delivered of it counts for more.
            let less = expected.iter().find(|(name, count)| found.get(*name).unwrap_or(&0) < count);
            ensure!(less.is_none(), "less than the provider said: {expected:?} {}", entry.json);
            return Ok(false);
        }
        ensure!(!is_estimated, "estimated: {}", entry.json);
        ensure!(found == expected, "{expected:?} expected: {}", entry.json);
        let answered = line.report("answered_model");
        ensure!(answered.is_none() || answered == self.sample.model.as_deref(), "model: {}", line.json);
        Ok(false)
    }
}

/// Whether the report says that the provider's total is not the sum of its parts.
fn is_mismatch(line: &Line) -> bool {
    let report = line.bursar.as_ref();
    report.and_then(|report| report.get("total_mismatch")).and_then(Value::as_bool) == Some(true)
}

/// What an entry counts, without the request itself and without zeros.
fn counts(entry: &Entry) -> BTreeMap<String, u64> {
    let usage = entry.json.get("usage").and_then(Value::as_object).into_iter().flatten();
    let count = |(name, count): (&String, &Value)| Some((name.clone(), count.as_u64()?));
    usage.filter_map(count).filter(|(name, count)| name != "requests" && *count > 0).collect()
}

/// The events of a stream with their line ends made one.
fn events(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    text.split("\n\n").map(str::to_owned).filter(|event| !event.trim().is_empty()).collect()
}

#[tokio::test]
async fn recorded_answers_are_charged_what_the_provider_says() -> Result<()> {
    let seed = std::env::var("BURSAR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut random = Random(seed);
    let samples = samples()?;
    for ground in Ground::MIXED {
        play_all(ground, &samples, &mut random).await.with_context(|| format!("{ground:?}, seed {seed}"))?;
    }
    Ok(())
}

async fn play_all(ground: Ground, samples: &[Sample], random: &mut Random) -> Result<()> {
    let (stack, account) = selling("replay", ground, samples).await?;
    let plays: Vec<Play<'_>> =
        (0..TIMES).flat_map(|_| samples).map(|sample| Play::new(sample, &mut *random)).collect();
    for some in plays.chunks(AT_ONCE) {
        let runs = some.iter().map(|play| Box::pin(play.run(&stack, &account)) as Part<'_, ()>);
        together(runs.collect()).await?;
    }
    stack.settled(SETTLED_WITHIN).await?;
    let lines = lines(&stack, &plays).await?;
    let entries = stack.api().entries(&account.id).await?;
    let (mut wrong, mut estimated) = (Vec::new(), 0);
    for play in &plays {
        let line = lines.get(play.tag.as_str()).context("no line in the access log")?;
        let of_this =
            |entry: &&Entry| entry.request.is_some() && entry.request.as_deref() == line.report("request");
        match play.check_charge(line, entries.iter().find(of_this)) {
            Ok(made_up) => estimated += i64::from(made_up),
            Err(error) => wrong.push(format!("{}: {error:#}", play.sample.name)),
        }
    }
    ensure!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
    let stats = stack.gateway()?.stats().await?;
    let unmetered = stats.get("wasmcustom.bursar.unmetered_responses");
    ensure!(unmetered == estimated, "{estimated} answers had no usage, {unmetered} were reported as such");
    let told = lines.values().filter(|line| is_mismatch(line)).count();
    let counted = stats.get("wasmcustom.bursar.total_mismatches");
    ensure!(
        i64::try_from(told) == Ok(counted),
        "{told} totals were said to be at odds, {counted} were counted"
    );
    stack.finish_unreconciled().await
}

/// The access log's lines by tag, once there is one for each.
async fn lines(stack: &Stack, plays: &[Play<'_>]) -> Result<BTreeMap<String, Line>> {
    testbed::wait::until("the access log is written", SETTLED_WITHIN, || async {
        let lines = stack.gateway()?.access_log()?;
        let by_tag: BTreeMap<String, Line> =
            lines.into_iter().filter_map(|line| Some((line.text("tag")?.to_owned(), line))).collect();
        Ok(plays.iter().all(|play| by_tag.contains_key(&play.tag)).then_some(by_tag))
    })
    .await
}

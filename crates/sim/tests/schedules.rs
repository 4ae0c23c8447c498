//! Random schedules of requests, clients, outages and time on one node, against the real book.
//!
//! Whatever happens in whatever order: when all has healed, every request that was delivered is charged once,
//! to the micro-credit by an arithmetic that is not ours, nobody else is, and nothing is held or undecided.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

use std::collections::BTreeMap;

use edge::Origin;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sim::{Ledger, Seen, World};

const ACCOUNTS: [(&str, &str); 4] =
    [("max", "max"), ("tiny", "topup_only"), ("small", "topup_only"), ("new", "starter")];
/// Models with their prices in tenths of a micro-credit per token: input, output.
const MODELS: [(&str, i64, i64); 2] = [("claude-sonnet-4.5", 300, 1_500), ("deepseek-v3.2", 28, 42)];

/// Parts that a request is sent in, after its headers.
const PARTS: usize = 3;

/// What the upstream answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Document { prompt: i64, completion: i64 },
    Events { prompt: i64, completion: i64 },
    NoUsage,
    Error,
    Failure,
}

/// How the host says that a body has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    WithData,
    Apart,
    InTrailers,
}

/// What a client asks for.
#[derive(Clone, Debug)]
struct Plan {
    account: usize,
    worker: usize,
    model: usize,
    max_tokens: u64,
    flat: bool,
    bad: bool,
    /// Where the body is cut in two.
    cut: usize,
    end: End,
    answer: Answer,
}

#[derive(Clone, Debug)]
enum Step {
    Open(Plan),
    /// The stream of that number, of those that run, goes one step on.
    Move(usize),
    /// Its client leaves.
    Leave(usize),
    /// Its upstream answers before it has been sent, where headers go ahead.
    Early(usize),
    Pass(u64),
    Ledger(Ledger),
    Delay(u64),
    TopUp(usize),
}

fn answer() -> impl Strategy<Value = Answer> {
    let counts = (0..3_000_i64, 0..3_000_i64);
    prop_oneof![
        4 => counts.clone().prop_map(|(prompt, completion)| Answer::Document { prompt, completion }),
        4 => counts.prop_map(|(prompt, completion)| Answer::Events { prompt, completion }),
        1 => Just(Answer::NoUsage),
        1 => Just(Answer::Error),
        1 => Just(Answer::Failure),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let tokens = prop_oneof![4 => 1..2_000_u64, 1 => 2_000..200_000_u64];
    let is = |weight| proptest::bool::weighted(weight);
    let end = prop_oneof![Just(End::WithData), Just(End::Apart), Just(End::InTrailers)];
    (0..ACCOUNTS.len(), 0..3_usize, 0..2_usize, tokens, is(0.1), is(0.1), 1..60_usize, end, answer())
        .prop_map(|(account, worker, model, max_tokens, flat, bad, cut, end, answer)| Plan {
            account,
            worker,
            model,
            max_tokens,
            flat,
            bad,
            cut,
            end,
            answer,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let ledger = prop_oneof![
        4 => Just(Ledger::Up), 1 => Just(Ledger::Down), 1 => Just(Ledger::Deaf), 1 => Just(Ledger::Silent),
    ];
    prop_oneof![
        6 => plan().prop_map(Step::Open),
        16 => (0..8_usize).prop_map(Step::Move),
        1 => (0..8_usize).prop_map(Step::Leave),
        1 => (0..8_usize).prop_map(Step::Early),
        3 => (1..700_u64).prop_map(Step::Pass),
        1 => prop_oneof![6 => Just(3_000_u64), 1 => Just(70_000)].prop_map(Step::Pass),
        1 => ledger.prop_map(Step::Ledger),
        1 => prop_oneof![Just(0_u64), 1_000..300_000_u64].prop_map(Step::Delay),
        1 => (1..3_usize).prop_map(Step::TopUp),
    ]
}

/// What a stream must come to, by its client's and its upstream's own record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Nothing,
    Exactly(i64),
    /// Delivered without usage: something, at most this.
    AtMost(i64),
}

/// A stream that runs.
struct Run {
    plan: Plan,
    stream: usize,
    /// Parts of the request sent, then of the answer.
    sent: usize,
    answered: usize,
    due: Due,
}

struct Play {
    world: World,
    workers: usize,
    runs: Vec<Run>,
    /// What ended requests must come to, by account and id.
    due: Vec<(usize, String, Due)>,
    top_ups: usize,
}

impl Plan {
    fn body(&self) -> String {
        if self.bad {
            return sim::ask("no-such-model", self.max_tokens);
        }
        let ask = if let Answer::Events { .. } = self.answer { sim::ask_stream } else { sim::ask };
        ask(MODELS[self.model].0, self.max_tokens)
    }

    /// The price of counts, rounded half up once.
    fn price(&self, prompt: i64, completion: i64) -> i64 {
        let (_, input, output) = MODELS[self.model];
        (prompt * input + completion * output + 5) / 10
    }

    /// The most that an estimate can come to: what was held.
    fn held(&self) -> i64 {
        self.price(self.body().len().div_ceil(4) as i64, self.max_tokens as i64)
    }
}

impl Play {
    fn new(workers: usize, mode: &str) -> Self {
        let mut world = World::new(workers, mode);
        for (account, plan) in ACCOUNTS {
            world.account(account, plan);
        }
        world.top_up("tiny", "0.2", "t0");
        world.top_up("small", "5", "t0");
        Self { world, workers, runs: Vec::new(), due: Vec::new(), top_ups: 1 }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Open(plan) => self.open(plan.clone()),
            Step::Move(n) => self.with(*n, Self::go_on),
            Step::Leave(n) => self.with(*n, |play, run| play.end(run, Origin::Cut)),
            Step::Early(n) => self.with(*n, Self::answer_early),
            Step::Pass(ms) => self.world.pass(*ms),
            Step::Ledger(ledger) => self.world.ledger = *ledger,
            Step::Delay(us) => self.world.delay_us = *us,
            Step::TopUp(account) => {
                let reference = format!("t{}", self.top_ups);
                self.top_ups += 1;
                self.world.top_up(ACCOUNTS[*account].0, "0.3", &reference);
            }
        }
    }

    fn with(&mut self, n: usize, act: impl Fn(&mut Self, &mut Run)) {
        // The filter may have ended some.
        let streams = &self.world.streams;
        self.runs.retain(|run| !streams[run.stream].over);
        if self.runs.is_empty() {
            return;
        }
        let mut run = self.runs.remove(n % self.runs.len());
        act(self, &mut run);
        if !self.world.streams[run.stream].over {
            self.runs.push(run);
        }
    }

    fn open(&mut self, plan: Plan) {
        let (worker, account) = (plan.worker % self.workers, ACCOUNTS[plan.account].0);
        let stream = if plan.flat {
            self.world.get(worker, account, "/v1/search")
        } else {
            self.world.chat_headers(worker, account, &plan.body())
        };
        let sent = if plan.flat { PARTS } else { 0 };
        if !self.world.streams[stream].over {
            self.runs.push(Run { plan, stream, sent, answered: 0, due: Due::Nothing });
        }
    }

    /// The next thing happens that client or upstream do by themselves.
    fn go_on(&mut self, run: &mut Run) {
        if run.sent < PARTS {
            return self.send(run);
        }
        if self.world.streams[run.stream].seen == Some(Seen::Forwarded) {
            self.answer(run);
        }
    }

    fn send(&mut self, run: &mut Run) {
        let body = run.plan.body().into_bytes();
        let (first, rest) = body.split_at(run.plan.cut.min(body.len()));
        run.sent += 1;
        match (run.sent, run.plan.end) {
            (1, _) => self.world.piece(run.stream, first, false),
            (2, end) => self.world.piece(run.stream, rest, end == End::WithData),
            (_, End::WithData) => {}
            (_, End::Apart) => self.world.piece(run.stream, b"", true),
            (_, End::InTrailers) => self.world.trailers(run.stream),
        }
    }

    fn answer(&mut self, run: &mut Run) {
        run.answered += 1;
        let (world, stream, plan) = (&mut self.world, run.stream, &run.plan);
        if run.answered == 1 {
            let status = if let Answer::Failure = plan.answer { 503 } else { 200 };
            let events = matches!(plan.answer, Answer::Events { .. });
            world.answer_headers(
                stream,
                status,
                if events { "text/event-stream" } else { "application/json" },
            );
            if plan.flat && status == 200 {
                run.due = Due::Exactly(500_000);
            }
            return;
        }
        let first = run.answered == 2;
        let (piece, due) = match (plan.answer, first) {
            (Answer::Failure, true) => ("{}".to_owned(), Due::Nothing),
            (Answer::Error, true) => (r#"{"error":{"message":"no"}}"#.to_owned(), Due::Nothing),
            (Answer::NoUsage, true) => {
                (r#"{"choices":[{"message":{"content":"text"}}]}"#.to_owned(), Due::AtMost(plan.held()))
            }
            (Answer::Document { .. }, true) => {
                (r#"{"choices":[{"message":{"content":"te"#.to_owned(), Due::AtMost(plan.held()))
            }
            (Answer::Events { .. }, true) => (
                "data: {\"choices\":[{\"delta\":{\"content\":\"text\"}}]}\n\n".to_owned(),
                Due::AtMost(plan.held()),
            ),
            (Answer::Document { prompt, completion }, false) => {
                let usage = format!(r#""prompt_tokens":{prompt},"completion_tokens":{completion}"#);
                (format!("xt\"}}}}],\"usage\":{{{usage}}}}}"), Due::Exactly(plan.price(prompt, completion)))
            }
            (Answer::Events { prompt, completion }, false) => {
                let usage = format!(r#""prompt_tokens":{prompt},"completion_tokens":{completion}"#);
                let last = format!("data: {{\"choices\":[],\"usage\":{{{usage}}}}}\n\ndata: [DONE]\n\n");
                (last, Due::Exactly(plan.price(prompt, completion)))
            }
            (Answer::NoUsage | Answer::Error | Answer::Failure, false) => (String::new(), run.due),
        };
        world.answer_piece(stream, piece.as_bytes(), !first);
        if !plan.flat {
            run.due = due;
        }
        if !first {
            self.end(run, Origin::Upstream);
        }
    }

    /// The upstream answers though the request has not been sent whole.
    fn answer_early(&mut self, run: &mut Run) {
        let client = &self.world.streams[run.stream];
        if client.headers_sent && client.seen.is_none() && client.upstream.is_empty() {
            self.world.answer_headers(run.stream, 200, "application/json");
            assert!(matches!(self.world.streams[run.stream].seen, Some(Seen::Reply(502, _))));
            self.end(run, Origin::Host);
        }
    }

    fn end(&mut self, run: &mut Run, origin: Origin) {
        let line = self.world.log(run.stream, origin);
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line for the access log");
        let id = line["request"].as_str().unwrap().to_owned();
        self.due.push((run.plan.account, id, run.due));
    }

    /// The ledger is back, clients and upstreams finish what they have begun.
    fn heal(&mut self) {
        self.world.ledger = Ledger::Up;
        self.world.delay_us = 0;
        while let Some(mut run) = self.runs.pop() {
            while run.sent < PARTS && !self.world.streams[run.stream].over {
                self.send(&mut run);
            }
            // At most two waits of a second each: for its key, and for its credits.
            self.world.pass(2_500);
            let seen = self.world.streams[run.stream].seen.clone();
            assert!(seen.is_some(), "undecided: {:?} {:?}", run.plan, self.world.warnings);
            while !self.world.streams[run.stream].over {
                self.answer(&mut run);
            }
        }
        self.world.pass(6_000);
    }

    fn check(&self) {
        self.world.check_at_rest();
        for (n, (account, _)) in ACCOUNTS.iter().enumerate() {
            let mut charges: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
            for charge in self.world.charge_entries(account) {
                charges.entry(&charge.request).or_default().push(charge.amount.get());
            }
            for (_, id, due) in self.due.iter().filter(|(account, ..)| *account == n) {
                let posted = charges.remove(id.as_str()).unwrap_or_default();
                match (due, posted.as_slice()) {
                    (Due::Nothing, []) => {}
                    (Due::Exactly(amount), [posted]) if amount == posted => {}
                    (Due::AtMost(amount), [posted]) if posted <= amount => {}
                    _ => panic!("{account} {id}: {due:?}, but posted {posted:?}"),
                }
            }
            assert!(charges.is_empty(), "{account}: charged without delivery: {charges:?}");
        }
        let rejected: Vec<_> =
            self.world.warnings.iter().filter(|text| text.contains("refused event")).collect();
        assert!(rejected.is_empty(), "{rejected:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_delivery_is_charged_once_and_exactly_and_nothing_stays_held(
        workers in 1..4_usize, hold in any::<bool>(), steps in proptest::collection::vec(step(), 1..160),
    ) {
        let mut play = Play::new(workers, if hold { "hold" } else { "stream" });
        for step in &steps {
            play.play(step);
        }
        play.heal();
        play.check();
    }
}

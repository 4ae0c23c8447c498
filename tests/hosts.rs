//! What happens between Envoy and the upstream: Envoy answers by itself, times out, tries again; the upstream
//! breaks off, answers early, or with something that is no completion. Never charged wrongly, nothing left held,
//! and the connection to the client goes on where HTTP lets it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::ground::{Ground, PROTOCOLS, Part, client, nothing_held, recovered, send, serves_on, together};
use e2e::{charge, funded, hold, report};
use testbed::gateway::{Headers, ROUTE_HEADER, Route, To};
use testbed::link::Fault;
use testbed::mock::{Cut, CutPoint, Failing, Script, UsageShape};
use testbed::request::Chat;
use testbed::{Account, Stack};

/// 50 tokens of input and 80 of output: 50 x 12.5 + 80 x 100.
const PRICE: i64 = 8_625;

/// How long a route waits, in milliseconds: time enough for what is not delayed, on a busy machine too.
const PATIENCE_MS: u64 = 1_500;
/// How long the provider takes where it is too long, in milliseconds.
const LONG_MS: u64 = 5_000;

/// Where the requests of these tests are led.
fn routes() -> Vec<Route> {
    let upstream = |timeout_ms, idle_ms, retries| To::Upstream { timeout_ms, idle_ms, retries };
    let route = |name, to| Route { name, to };
    vec![
        route("direct", To::Direct(200)),
        route("direct-403", To::Direct(403)),
        route("redirect", To::Redirect),
        route("nobody", To::Nobody),
        route("closed", To::Closed),
        route("timeout", upstream(PATIENCE_MS, 0, 0)),
        route("idle", upstream(0, PATIENCE_MS, 0)),
        // Less than the second that a request may wait for the ledger.
        route("impatient", upstream(0, 300, 0)),
        route("retries", upstream(0, 0, 2)),
        route("retries-timeout", upstream(PATIENCE_MS, 0, 2)),
    ]
}

/// What may be charged.
#[derive(Clone, Copy, Debug)]
enum Charge {
    Nothing,
    /// An estimate within the hold.
    Estimated,
    /// What the provider reported.
    Exact,
}

/// Which requests a case is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Stream,
    Both,
}

/// One thing that happens.
struct Case {
    name: &'static str,
    route: &'static str,
    kind: Kind,
    script: fn(&mut Script),
    /// The status for the client, in `hold` and in `stream` mode.
    status: [u16; 2],
    /// Whether the answer breaks off.
    broken: bool,
    charge: Charge,
    /// How often the provider gets the whole request.
    tries: usize,
}

impl Case {
    const fn new(name: &'static str, route: &'static str, script: fn(&mut Script)) -> Self {
        let (status, broken) = ([200, 200], false);
        Self { name, route, kind: Kind::Both, script, status, broken, charge: Charge::Exact, tries: 1 }
    }

    /// Envoy answers by itself: nothing reaches the provider, nothing is charged.
    const fn envoy(name: &'static str, route: &'static str, hold: u16, stream: u16) -> Self {
        let case = Self::new(name, route, |_| ());
        Self { status: [hold, stream], charge: Charge::Nothing, tries: 0, ..case }
    }

    const fn fails(self, status: u16) -> Self {
        Self { status: [status, status], charge: Charge::Nothing, ..self }
    }

    const fn breaks(self, charge: Charge) -> Self {
        Self { broken: true, charge, ..self }
    }

    const fn only(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    const fn charged(self, charge: Charge) -> Self {
        Self { charge, ..self }
    }

    const fn tries(self, tries: usize) -> Self {
        Self { tries, ..self }
    }
}

const fn failing(times: usize, status: Option<u16>) -> Option<Failing> {
    Some(Failing { times, status })
}

const fn cut(before: CutPoint) -> Option<Cut> {
    Some(Cut { before, fin: false })
}

/// What the provider says when it answers 200 and has failed all the same.
const ERROR: &str = r#"{"error":{"message":"overloaded","type":"server_error"}}"#;

const CASES: &[Case] = &[
    Case::new("a good day", "", |_| ()),
    // In `stream` mode Envoy's own success comes before admission, as a provider's would.
    Case::envoy("direct_response", "direct", 200, 502),
    Case::envoy("direct_response with an error", "direct-403", 403, 403),
    Case::envoy("a redirect", "redirect", 301, 502),
    Case::envoy("no healthy upstream", "nobody", 503, 503),
    Case::envoy("nobody listens", "closed", 503, 503),
    Case::new("a timeout before the first byte", "timeout", |s| s.head_delay_ms = LONG_MS).fails(504),
    Case::new("a timeout in mid-stream", "timeout", |s| {
        (s.chunks, s.chunk_delay_ms) = (Some(20), LONG_MS / 20);
    })
    .only(Kind::Stream)
    .breaks(Charge::Estimated),
    Case::new("an idle upstream before the first byte", "idle", |s| s.head_delay_ms = LONG_MS).fails(504),
    Case::new("an idle upstream in mid-stream", "idle", |s| {
        (s.chunks, s.chunk_delay_ms, s.usage_delay_ms) = (Some(3), 20, LONG_MS);
    })
    .only(Kind::Stream)
    .breaks(Charge::Estimated),
    Case::new("an idle upstream after the usage", "idle", |s| s.done_delay_ms = LONG_MS)
        .only(Kind::Stream)
        .breaks(Charge::Exact),
    Case::new("retries exhausted by errors", "retries", |s| s.failing = failing(9, Some(503)))
        .fails(503)
        .tries(3),
    Case::new("retries exhausted by resets", "retries", |s| s.failing = failing(9, None)).fails(503).tries(3),
    Case::new("retries out of time", "retries-timeout", |s| s.head_delay_ms = LONG_MS).fails(504),
    Case::new("one error, then an answer", "retries", |s| s.failing = failing(1, Some(503))).tries(2),
    Case::new("two resets, then an answer", "retries", |s| s.failing = failing(2, None)).tries(3),
    Case::new("one error, then a break", "retries", |s| {
        (s.failing, s.cut) = (failing(1, Some(500)), cut(CutPoint::Chunk(3)));
    })
    .only(Kind::Stream)
    .breaks(Charge::Estimated)
    .tries(2),
    Case::new("a reset before the head", "", |s| s.cut = cut(CutPoint::Head)).fails(503),
    Case::new("a reset after the head", "", |s| s.cut = cut(CutPoint::Body)).breaks(Charge::Nothing),
    Case::new("a reset in mid-answer", "", |s| s.cut = cut(CutPoint::Chunk(0)))
        .only(Kind::Plain)
        .breaks(Charge::Estimated),
    Case::new("a reset in mid-stream", "", |s| s.cut = cut(CutPoint::Chunk(3)))
        .only(Kind::Stream)
        .breaks(Charge::Estimated),
    Case::new("a reset after the usage", "", |s| s.cut = cut(CutPoint::End))
        .only(Kind::Stream)
        .breaks(Charge::Exact),
    Case::new("an error", "", |s| s.status = Some(500)).fails(500),
    Case::new("too many requests", "", |s| s.status = Some(429)).fails(429),
    Case::new("200 with an error object", "", |s| s.body = Some(ERROR.to_owned()))
        .only(Kind::Plain)
        .charged(Charge::Nothing),
    Case::new("200 with an error event", "", |s| s.body = Some(format!("data: {ERROR}\n\n")))
        .only(Kind::Stream)
        .charged(Charge::Nothing),
    Case::new("no content", "", |s| s.status = Some(204)).fails(204),
    Case::new("not modified", "", |s| s.status = Some(304)).fails(304),
    Case::new("without usage", "", |s| s.usage = UsageShape::Absent).charged(Charge::Estimated),
    Case::new("trailers", "", |s| (s.trailers, s.chunked) = (true, true)),
    Case::new("an unfinished last event before trailers", "", |s| (s.trailers, s.no_done) = (true, true)),
    Case::new("compressed", "", |s| s.gzip = true).charged(Charge::Estimated),
];

impl Case {
    fn chats(&self) -> Vec<Chat> {
        let kinds = [(Kind::Plain, Chat::new("gpt-5-mini")), (Kind::Stream, Chat::stream("gpt-5-mini"))];
        let own = kinds.into_iter().filter(|(kind, _)| self.kind == Kind::Both || self.kind == *kind);
        own.map(|(_, chat)| chat.max_tokens(200).takes(50, 80).script(self.script)).collect()
    }

    async fn run(&self, stack: &Stack, account: &Account, http2: bool, chat: Chat) -> Result<()> {
        let client = client(stack, http2)?;
        let request = chat.request(&account.key).header(ROUTE_HEADER, self.route);
        let (answer, mut session) = send(client, request).await?;
        let at = usize::from(stack.setup().headers == Headers::Stream);
        ensure!(self.status.get(at) == Some(&answer.status), "{} {}", answer.status, answer.text());
        ensure!(answer.broken.is_some() == self.broken, "{answer:?}");
        let told = answer.header("x-bursar-credits-remaining").is_some();
        let admitted = answer.status < 400;
        ensure!(told == admitted, "{:?}", answer.headers);
        let kept = serves_on(&mut session, client, account).await?;
        // HTTP/1 cannot end an answer that breaks off, and a request that was not read to its end.
        let early = self.tries == 0 && at == 1;
        ensure!(kept || !http2 && (self.broken || early || self.tries == 0), "the connection was lost");
        let whole = stack.mock.record.tagged(&chat.tag).iter().filter(|seen| seen.complete).count();
        ensure!(whole == self.tries, "the provider got it {whole} times");
        self.check(stack, account, &chat).await
    }

    async fn check(&self, stack: &Stack, account: &Account, chat: &Chat) -> Result<()> {
        let line = report(stack, &chat.tag).await?;
        let settled = line.report("outcome") == Some("settled");
        match self.charge {
            Charge::Nothing => ensure!(!settled, "{}", line.json),
            Charge::Estimated => {
                let entry = charge(stack, account, &chat.tag).await?;
                let most = hold("gpt-5-mini", &chat.body(), 200)?;
                ensure!((-most..0).contains(&entry.amount), "hold {most}: {}", entry.json);
                ensure!(entry.text("usage_source") == Some("estimated"), "{}", entry.json);
            }
            Charge::Exact => {
                let entry = charge(stack, account, &chat.tag).await?;
                ensure!(entry.amount == -PRICE, "{}", entry.json);
            }
        }
        Ok(())
    }
}

async fn on(ground: Ground) -> Result<()> {
    let mut setup = ground.setup("hosts");
    setup.routes = routes();
    let stack = setup.start().await?;
    let account = funded(&stack, "50").await?;
    e2e::still_serves(&stack, &account).await?;
    let mut parts: Vec<Part<'_, ()>> = Vec::new();
    for case in CASES {
        for http2 in PROTOCOLS {
            for chat in case.chats() {
                let (stack, account) = (&stack, &account);
                parts.push(Box::pin(async move {
                    let body = chat.body();
                    let ended = case.run(stack, account, http2, chat).await;
                    ended.with_context(|| format!("{} http2 {http2}: {body}", case.name))
                }));
            }
        }
    }
    together(parts).await?;
    nothing_held(&stack, &[&account]).await?;
    // The reconciliation cannot read what the provider has compressed.
    stack.finish_unreconciled().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_envoy_or_the_upstream_does() -> Result<()> {
    for ground in Ground::ALL.into_iter().chain(Ground::OLDEST) {
        on(ground).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

/// A provider that answers before it has the request: what it can have done for it is nothing, and what it says
/// is not passed on as a success before the request is admitted.
async fn early_on(ground: Ground) -> Result<()> {
    let mut stack = ground.setup("early").start().await?;
    let rich = funded(&stack, "50").await?;
    e2e::still_serves(&stack, &rich).await?;
    let mut cold = Vec::new();
    for fault in [Fault::None, Fault::Delay(Duration::from_millis(100))] {
        stack.fault(fault).await?;
        let mut parts: Vec<Part<'_, Account>> = Vec::new();
        for http2 in PROTOCOLS {
            for status in [200, 500] {
                for stream in [false, true] {
                    for credits in ["", "1", "0"] {
                        let (stack, rich) = (&stack, &rich);
                        parts.push(Box::pin(async move {
                            let ended = early(stack, rich, http2, status, stream, credits).await;
                            ended.with_context(|| {
                                format!("http2 {http2} {status} stream {stream} {credits:?}")
                            })
                        }));
                    }
                }
            }
        }
        cold.extend(together(parts).await?);
    }
    stack.fault(Fault::None).await?;
    recovered(&stack).await?;
    let accounts = cold.iter().filter(|account| account.plan == "bulk" && account.id != rich.id);
    nothing_held(&stack, &accounts.chain([&rich]).collect::<Vec<_>>()).await?;
    stack.finish().await
}

async fn early(
    stack: &Stack,
    rich: &Account,
    http2: bool,
    status: u16,
    stream: bool,
    credits: &str,
) -> Result<Account> {
    let account = match credits {
        "" => rich.clone(),
        "0" => stack.account("topup_only").await?,
        credits => funded(stack, credits).await?,
    };
    let chat = if stream { Chat::stream("gpt-5-mini") } else { Chat::new("gpt-5-mini") };
    let chat = chat.max_tokens(20).takes(50, 10).script(|script| {
        (script.early, script.status) = (true, (status != 200).then_some(status));
    });
    let client = client(stack, http2)?;
    let (answer, mut session) = send(client, chat.request(&account.key)).await?;
    match (answer.status, status, credits) {
        // Admitted before the answer came.
        (200, 200, "" | "1") => ensure!(charge(stack, &account, &chat.tag).await?.amount < 0, "free"),
        (502, 200, _) => drop(e2e::refusal(&answer, 502, "upstream_answered_early")?),
        (402, _, "0") => drop(e2e::refusal(&answer, 402, "insufficient_credits")?),
        // An error passes, admitted or not.
        (500, 500, _) => ensure!(answer.text().contains("mock provider"), "{}", answer.text()),
        (other, ..) => anyhow::bail!("{other} {}", answer.text()),
    }
    serves_on(&mut session, client, rich).await?;
    Ok(account)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_answers_before_the_body() -> Result<()> {
    for ground in Ground::ALL.into_iter().chain(Ground::OLDEST) {
        early_on(ground).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

/// A request that waits for a silent ledger when its route's patience ends is answered by Envoy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_route_is_less_patient_than_the_filter() -> Result<()> {
    for ground in Ground::MODES {
        let mut setup = ground.setup("impatient");
        setup.routes = routes();
        let mut stack = setup.start().await?;
        let rich = funded(&stack, "50").await?;
        e2e::still_serves(&stack, &rich).await?;
        let cold = funded(&stack, "1").await?;
        stack.fault(Fault::Silence).await?;
        for http2 in PROTOCOLS {
            let client = client(&stack, http2)?;
            let chat = Chat::new("gpt-5-mini").max_tokens(20);
            let request = chat.request(&cold.key).header(ROUTE_HEADER, "impatient");
            let answer = client.send(request).await?;
            ensure!(answer.status == 504, "{ground:?}: {} {}", answer.status, answer.text());
            ensure!(!e2e::reached_provider(&stack, &chat.tag), "{ground:?}: it reached the provider");
        }
        stack.fault(Fault::None).await?;
        recovered(&stack).await?;
        nothing_held(&stack, &[&cold, &rich]).await?;
        stack.finish().await?;
    }
    Ok(())
}

//! A trailer ends a request's body, and no body callback says so (HTTP/2, and HTTP/1 with chunks): on every
//! kind of request, while the ledger is well, slow, or gone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::ground::{Ground, PROTOCOLS, Part, client, nothing_held, send, serves_on, together};
use e2e::{funded, reached_provider, refusal};
use testbed::http::Request;
use testbed::link::Fault;
use testbed::mock::TAG_HEADER;
use testbed::pace::Step;
use testbed::request::Chat;
use testbed::session::Session;
use testbed::{Account, Stack, keys};

/// How long the slow ledger takes.
const SLOW: Duration = Duration::from_millis(100);

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// The account that has a lease on this Envoy.
    Rich,
    /// An account that this Envoy has never seen, with credits.
    Cold,
    /// The same without.
    Poor,
    /// An account whose only request of this minute has been served.
    Spent,
    /// A suspended account.
    Suspended,
    /// A key that nobody has.
    Unknown,
    /// A key that cannot be one.
    BadChecksum,
}

/// What it asks for.
#[derive(Clone, Copy, Debug)]
enum What {
    Plain,
    Stream,
    /// Of a model that the plan does not offer.
    Gated,
    /// Of a model without a price.
    Unpriced,
    /// JSON that breaks off.
    Truncated,
    /// No body at all before the trailers.
    Nothing,
    /// More than the body cap.
    TooLarge,
    /// A route with a flat price.
    Flat,
    /// A route that is not offered.
    Denied,
    /// A route that is not metered.
    Exempt,
}

/// When the trailers come.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Right behind the body.
    Behind,
    /// When the body has been read.
    Apart,
    /// When a slow ledger has answered all that could be asked before.
    Late,
}

/// How the ledger is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ledger {
    Well,
    Slow,
    Refuses,
    Silent,
}

type Case = (Ledger, Who, What, u16, &'static str);

/// Every kind of request; the code is that of the refusal.
const CASES: &[Case] = &[
    (Ledger::Well, Who::Rich, What::Plain, 200, ""),
    (Ledger::Well, Who::Rich, What::Stream, 200, ""),
    (Ledger::Well, Who::Rich, What::Flat, 200, ""),
    (Ledger::Well, Who::Rich, What::Exempt, 200, ""),
    (Ledger::Well, Who::Cold, What::Plain, 200, ""),
    (Ledger::Well, Who::Rich, What::Unpriced, 400, "unknown_model"),
    (Ledger::Well, Who::Rich, What::Truncated, 400, "invalid_request"),
    (Ledger::Well, Who::Rich, What::Nothing, 400, "invalid_request"),
    (Ledger::Well, Who::Rich, What::TooLarge, 413, "request_too_large"),
    (Ledger::Well, Who::Rich, What::Denied, 403, "route_denied"),
    (Ledger::Well, Who::Poor, What::Plain, 402, "insufficient_credits"),
    (Ledger::Well, Who::Poor, What::Stream, 402, "insufficient_credits"),
    (Ledger::Well, Who::Poor, What::Flat, 402, "insufficient_credits"),
    (Ledger::Well, Who::Spent, What::Plain, 429, "rate_limited"),
    (Ledger::Well, Who::Cold, What::Gated, 402, "plan_required"),
    (Ledger::Well, Who::Suspended, What::Plain, 403, "account_suspended"),
    (Ledger::Well, Who::Unknown, What::Plain, 401, "invalid_api_key"),
    (Ledger::Well, Who::BadChecksum, What::Plain, 401, "invalid_api_key"),
    (Ledger::Slow, Who::Cold, What::Plain, 200, ""),
    (Ledger::Slow, Who::Cold, What::Stream, 200, ""),
    (Ledger::Slow, Who::Cold, What::Flat, 200, ""),
    (Ledger::Slow, Who::Cold, What::Truncated, 400, "invalid_request"),
    (Ledger::Slow, Who::Cold, What::Nothing, 400, "invalid_request"),
    (Ledger::Slow, Who::Poor, What::Plain, 402, "insufficient_credits"),
    (Ledger::Slow, Who::Poor, What::Stream, 402, "insufficient_credits"),
    (Ledger::Slow, Who::Poor, What::Flat, 402, "insufficient_credits"),
    (Ledger::Slow, Who::Unknown, What::Plain, 401, "invalid_api_key"),
    (Ledger::Slow, Who::Unknown, What::Flat, 401, "invalid_api_key"),
    (Ledger::Refuses, Who::Rich, What::Plain, 200, ""),
    (Ledger::Refuses, Who::Rich, What::Stream, 200, ""),
    (Ledger::Refuses, Who::Cold, What::Plain, 503, "ledger_unavailable"),
    (Ledger::Refuses, Who::Cold, What::Flat, 503, "ledger_unavailable"),
    (Ledger::Refuses, Who::Unknown, What::Plain, 503, "ledger_unavailable"),
    (Ledger::Silent, Who::Rich, What::Plain, 200, ""),
    (Ledger::Silent, Who::Cold, What::Plain, 503, "ledger_unavailable"),
    (Ledger::Silent, Who::Cold, What::Flat, 503, "ledger_unavailable"),
    (Ledger::Silent, Who::Unknown, What::Plain, 503, "ledger_unavailable"),
];

impl Ledger {
    const fn fault(self) -> Fault {
        match self {
            Self::Well => Fault::None,
            Self::Slow => Fault::Delay(SLOW),
            Self::Refuses => Fault::Refuse,
            Self::Silent => Fault::Silence,
        }
    }
}

impl Who {
    /// The account, and the key that is sent.
    async fn account(self, stack: &Stack, rich: &Account) -> Result<(Option<Account>, String)> {
        let account = match self {
            Self::Rich => rich.clone(),
            Self::Cold => funded(stack, "1").await?,
            Self::Poor => stack.account("topup_only").await?,
            Self::Spent => {
                let account = stack.account("tight").await?;
                stack.top_up(&account, "1").await?;
                stack.chat(&account, Chat::new("gpt-5-mini").takes(1, 1)).await?.expect(200)?;
                account
            }
            Self::Suspended => {
                let account = funded(stack, "1").await?;
                stack.api().set_status(&account.id, "suspended").await?;
                account
            }
            Self::Unknown => return Ok((None, keys::unknown())),
            Self::BadChecksum => return Ok((None, keys::with_bad_checksum(&rich.key))),
        };
        let key = account.key.clone();
        Ok((Some(account), key))
    }
}

fn request(what: What, when: When, key: &str) -> (Request, Chat) {
    let chat = match what {
        What::Stream => Chat::stream("gpt-5-mini"),
        What::Gated => Chat::new("early-preview"),
        What::Unpriced => Chat::new("gpt-99"),
        _ => Chat::new("gpt-5-mini"),
    };
    let chat = chat.max_tokens(10).takes(10, 5);
    let body = match what {
        What::Truncated => r#"{"model":"gpt-5-mini","#.to_owned(),
        What::Nothing => String::new(),
        What::TooLarge => {
            let filler = "x".repeat(1_100_000);
            chat.clone().member("user", filler.into()).body()
        }
        _ => chat.body(),
    };
    let pause = match when {
        When::Behind => None,
        When::Apart => Some(Duration::from_millis(30)),
        When::Late => Some(2 * SLOW),
    };
    let pieces = body.as_bytes().chunks(60_000).map(|piece| Step::Data(piece.to_vec().into()));
    let mut steps: Vec<Step> = pieces.collect();
    steps.extend(pause.map(Step::Wait));
    let trailers = [("x-end", "1")].into_iter().filter_map(|(n, v)| Some((n.parse().ok()?, v.parse().ok()?)));
    steps.push(Step::Trailers(trailers.collect()));
    let path = match what {
        What::Flat => "/v1/search",
        What::Denied => "/internal/x",
        What::Exempt => "/public/x",
        _ => testbed::request::CHAT_PATH,
    };
    // HTTP/1 announces trailers, or its library leaves them out.
    let request = Request::new("POST", path)
        .header("content-type", "application/json")
        .header(TAG_HEADER, &chat.tag)
        .header(testbed::mock::SCRIPT_HEADER, &chat.script.header())
        .header("trailer", "x-end")
        .bearer(key);
    (request.steps(steps), chat)
}

/// One case with one protocol and one moment of the trailers; the account that it used.
async fn run(stack: &Stack, rich: &Account, case: Case, http2: bool, when: When) -> Result<Option<Account>> {
    let (_, who, what, status, code) = case;
    let (account, key) = who.account(stack, rich).await?;
    let (request, chat) = request(what, when, &key);
    let client = client(stack, http2)?;
    let (answer, mut session) = send(client, request).await?;
    let reached = reached_provider(stack, &chat.tag);
    if status == 200 {
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        ensure!(reached, "the provider did not get it whole");
    } else {
        refusal(&answer, status, code)?;
        ensure!(!reached, "refused, and whole at the provider");
    }
    if matches!(what, What::TooLarge) {
        // Refused before its end: trailers that are still on their way cost an HTTP/2 client its connection on
        // Envoy 1.36 (it takes them for a stream with a number that is used up).
        drop(session);
        session = Session::connect(client).await?;
    }
    serves_on(&mut session, client, rich).await?;
    Ok(account.filter(|_| !matches!(who, Who::Rich | Who::Spent | Who::Poor | Who::Suspended)))
}

async fn on(ground: Ground, ledgers: &[Ledger]) -> Result<()> {
    let mut stack = ground.setup("trailers").start().await?;
    let rich = funded(&stack, "500").await?;
    testbed::warm::lease(&stack, &rich, 1_000_000, || Chat::new("gpt-5-mini").max_tokens(2_000)).await?;
    let mut used = Vec::new();
    for ledger in ledgers {
        // Accounts are made where the ledger is asked without the line in between.
        stack.fault(ledger.fault()).await?;
        let (stack, rich) = (&stack, &rich);
        for http2 in PROTOCOLS {
            let mut parts: Vec<Part<'_, Option<Account>>> = Vec::new();
            for case in CASES.iter().filter(|case| case.0 == *ledger) {
                for when in [When::Behind, When::Apart, When::Late] {
                    parts.push(Box::pin(async move {
                        let ended = run(stack, rich, *case, http2, when).await;
                        ended.with_context(|| format!("{case:?} http2 {http2} {when:?}"))
                    }));
                }
            }
            used.extend(together(parts).await?.into_iter().flatten());
        }
    }
    stack.fault(Fault::None).await?;
    e2e::ground::recovered(&stack).await?;
    let accounts: Vec<&Account> = used.iter().chain([&rich]).collect();
    nothing_held(&stack, &accounts).await?;
    stack.finish().await
}

const LEDGERS: &[Ledger] = &[Ledger::Well, Ledger::Slow, Ledger::Refuses, Ledger::Silent];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trailer_on_every_kind_of_request() -> Result<()> {
    for ground in Ground::ALL {
        on(ground, LEDGERS).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trailer_on_the_oldest_envoy() -> Result<()> {
    for ground in Ground::OLDEST {
        on(ground, &[Ledger::Well, Ledger::Slow]).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

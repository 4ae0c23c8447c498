//! What a refusal costs the client's connection. On HTTP/2 nothing. On HTTP/1 Envoy closes it where the answer
//! is sent before the body has come: the filter waits for the end of the body where the host lets it.

use anyhow::{Context, Result, ensure};
use e2e::ground::{Ground, PROTOCOLS, Part, client, send, together};
use e2e::{funded, reached_provider, refusal};
use testbed::gateway::Headers;
use testbed::http::Request;
use testbed::mock::TAG_HEADER;
use testbed::pace::Step;
use testbed::request::{CHAT_PATH, Chat, tag};
use testbed::{Account, Stack, keys};

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    /// Its length is announced.
    Announced,
    /// It is not.
    Chunked,
}

/// Who or what is refused.
#[derive(Clone, Copy, Debug)]
enum Refused {
    Unknown,
    BadChecksum,
    Suspended,
    Route,
    /// Known before the body is: the denial is remembered.
    NoCredits,
    TooFast,
    UnknownModel,
    BadBody,
    TooLarge,
}

/// What becomes of an HTTP/1 connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Kept,
    Lost,
    /// Kept where the body has come while the ledger was asked.
    Either,
    /// Lost, but once for each worker: one that has the denial from another worker asks the ledger, for which it
    /// waits in the body's phase, and knows from then on.
    LostOnceAsked,
}

use Then::{Either, Kept, Lost, LostOnceAsked};

type Case = (Refused, u16, &'static str, [Then; 3]);

/// Status, code, and what becomes of an HTTP/1 connection: in `hold` mode with an announced body, in `hold` mode
/// with a chunked one, in `stream` mode.
const CASES: &[Case] = &[
    (Refused::Unknown, 401, "invalid_api_key", [Kept, Either, Either]),
    (Refused::BadChecksum, 401, "invalid_api_key", [Kept, Lost, Lost]),
    (Refused::Suspended, 403, "account_suspended", [Kept, Either, Either]),
    (Refused::Route, 403, "route_denied", [Kept, Lost, Lost]),
    (Refused::NoCredits, 402, "insufficient_credits", [Kept, Kept, LostOnceAsked]),
    (Refused::TooFast, 429, "rate_limited", [Kept, Kept, Lost]),
    (Refused::UnknownModel, 422, "unknown_model", [Kept, Kept, Kept]),
    // Envoy takes its own 400 for the end of an HTTP/1 connection, whoever sends it.
    (Refused::BadBody, 400, "invalid_request", [Lost, Lost, Lost]),
    (Refused::TooLarge, 413, "request_too_large", [Lost, Lost, Lost]),
];

/// Refusals per case: enough that one lost connection shows.
const TIMES: usize = 3;

impl Refused {
    async fn key(self, stack: &Stack, rich: &Account) -> Result<String> {
        Ok(match self {
            Self::Unknown => keys::unknown(),
            Self::BadChecksum => keys::with_bad_checksum(&rich.key),
            Self::Suspended => {
                let account = funded(stack, "1").await?;
                stack.api().set_status(&account.id, "suspended").await?;
                account.key
            }
            Self::NoCredits => {
                let account = stack.account("topup_only").await?;
                refusal(&stack.chat(&account, Chat::new("gpt-5-mini")).await?, 402, "insufficient_credits")?;
                account.key
            }
            Self::TooFast => {
                let account = stack.account("tight").await?;
                stack.top_up(&account, "1").await?;
                stack.chat(&account, Chat::new("gpt-5-mini").takes(1, 1)).await?.expect(200)?;
                account.key
            }
            Self::Route | Self::UnknownModel | Self::BadBody | Self::TooLarge => rich.key.clone(),
        })
    }

    fn request(self, key: &str, framing: Framing, tag: &str) -> Request {
        let chat = Chat::new(if matches!(self, Self::UnknownModel) { "gpt-99" } else { "gpt-5-mini" });
        let body = match self {
            Self::BadBody => "{".to_owned(),
            Self::TooLarge => chat.member("user", "x".repeat(1_100_000).into()).body(),
            _ => chat.body(),
        };
        let path = if matches!(self, Self::Route) { "/internal/x" } else { CHAT_PATH };
        let request = Request::new("POST", path).header(TAG_HEADER, tag).bearer(key);
        match framing {
            Framing::Announced => request.body(body),
            Framing::Chunked => request.steps(vec![Step::Data(body.into())]),
        }
    }
}

async fn run(
    stack: &Stack,
    rich: &Account,
    (refused, status, code, then): Case,
    framing: Framing,
    http2: bool,
) -> Result<()> {
    let key = refused.key(stack, rich).await?;
    let client = client(stack, http2)?;
    let [announced, chunked, streamed] = then;
    let expected = match (stack.setup().headers, framing) {
        _ if http2 => Kept,
        (Headers::Hold, Framing::Announced) => announced,
        (Headers::Hold, Framing::Chunked) => chunked,
        (Headers::Stream, _) => streamed,
    };
    let mut session = None;
    for time in 0..TIMES {
        let name = tag();
        let request = refused.request(&key, framing, &name);
        // The same connection, so the same worker, which has asked.
        let has_asked = session.is_some();
        let (answer, mut own) = match session.take() {
            None => send(client, request).await?,
            Some(mut session) => (testbed::session::Session::send(&mut session, request).await?, session),
        };
        refusal(&answer, status, code)?;
        ensure!(!reached_provider(stack, &name), "whole at the provider");
        let open = own.is_open().await;
        let as_expected = match expected {
            Either => true,
            LostOnceAsked => !(open && has_asked),
            Kept | Lost => open == (expected == Kept),
        };
        ensure!(as_expected, "refusal {time}: the connection is open: {open}");
        session = Some(own).filter(|_| open);
    }
    Ok(())
}

async fn on(ground: Ground) -> Result<()> {
    // In place of a 400, which would end the connection.
    let statuses = serde_json::json!({"statuses": {"unknown_model": 422}});
    let stack = ground.setup("refusals").plugin(statuses).start().await?;
    let rich = funded(&stack, "5").await?;
    e2e::still_serves(&stack, &rich).await?;
    let mut parts: Vec<Part<'_, ()>> = Vec::new();
    for case in CASES {
        for framing in [Framing::Announced, Framing::Chunked] {
            for http2 in PROTOCOLS {
                let (stack, rich) = (&stack, &rich);
                parts.push(Box::pin(async move {
                    let ended = run(stack, rich, *case, framing, http2).await;
                    ended.with_context(|| format!("{:?} {framing:?} http2 {http2}", case.0))
                }));
            }
        }
    }
    together(parts).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_refusal_costs_the_connection() -> Result<()> {
    for ground in Ground::ALL.into_iter().chain(Ground::OLDEST) {
        on(ground).await.with_context(|| format!("{ground:?}"))?;
    }
    Ok(())
}

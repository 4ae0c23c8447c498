//! What a case is run on: header mode, protocol to the upstream, version of Envoy; and what must be true after
//! every case.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::gateway::Headers;
use testbed::http::{Client, Request};
use testbed::request::Chat;
use testbed::session::Session;
use testbed::wait::{self, SETTLED_WITHIN};
use testbed::{Account, Setup, Stack};

use crate::{hold, setup};

/// Whether HTTP/2 is spoken between client and Envoy.
pub const PROTOCOLS: [bool; 2] = [false, true];
/// A tick of the filter, with room to spare.
const TICK: Duration = Duration::from_millis(350);
/// What one token of output of the model here costs, in micro-credits.
const OUTPUT_TOKEN: i64 = 100;

/// What a case is run on.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// The filter's mode.
    pub headers: Headers,
    /// Whether HTTP/2 is spoken to the upstream.
    pub upstream_http2: bool,
    /// Whether Envoy is of the oldest supported version.
    pub old: bool,
}

impl Ground {
    /// Both modes with both protocols to the upstream.
    pub const ALL: [Self; 4] = [
        Self { headers: Headers::Hold, upstream_http2: false, old: false },
        Self { headers: Headers::Hold, upstream_http2: true, old: false },
        Self { headers: Headers::Stream, upstream_http2: false, old: false },
        Self { headers: Headers::Stream, upstream_http2: true, old: false },
    ];
    /// Both modes, where the protocol to the upstream makes no difference.
    pub const MODES: [Self; 2] = [Self::ALL[0], Self::ALL[2]];
    /// Both modes, each with another protocol to the upstream.
    pub const MIXED: [Self; 2] = [Self::ALL[0], Self::ALL[3]];
    /// The oldest supported Envoy in both modes, each with the other protocol.
    pub const OLDEST: [Self; 2] = [Self { old: true, ..Self::ALL[0] }, Self { old: true, ..Self::ALL[3] }];

    /// The usual setup on this ground.
    #[must_use]
    pub fn setup(self, name: &str) -> Setup {
        let mut setup = setup(name).headers(self.headers);
        (setup.upstream_http2, setup.old_envoy) = (self.upstream_http2, self.old);
        setup
    }
}

/// A client of the stack's first Envoy.
///
/// # Errors
/// There is no Envoy.
pub fn client(stack: &Stack, http2: bool) -> Result<Client> {
    Ok(Client { http2, ..stack.client()? })
}

/// A future among others of its kind.
pub type Part<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Runs futures at once; their results in their order.
///
/// # Errors
/// All errors, when all have ended.
pub async fn together<T>(mut parts: Vec<Part<'_, T>>) -> Result<Vec<T>> {
    let mut results: Vec<Option<Result<T>>> = parts.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (part, result) in parts.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(ready) = part.as_mut().poll(context)
            {
                *result = Some(ready);
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results.into_iter().flatten() {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    ensure!(errors.is_empty(), "{} failed:\n{}", errors.len(), errors.join("\n"));
    Ok(values)
}

/// Sends a good request on a connection that has seen something else before, or on another one where HTTP has
/// ended it, and checks that it is served; whether the connection was kept.
///
/// # Errors
/// It is not served.
pub async fn serves_on(session: &mut Session, client: Client, account: &Account) -> Result<bool> {
    let good = || {
        let chat = Chat::new("gpt-5-mini").max_tokens(10).takes(10, 5);
        chat.request(&account.key)
    };
    let mut kept = session.is_open().await;
    let mut answer = if kept { session.send(good()).await } else { client.send(good()).await };
    // Envoy ends an HTTP/2 connection on which trailers come for a stream that it has answered and forgotten. That may
    // cross the next request, which it then has not looked at.
    if kept && answer.as_ref().is_err_and(|error| format!("{error:#}").contains("InvalidNewStreamId")) {
        (kept, answer) = (false, client.send(good()).await);
    }
    let answer = answer.with_context(|| format!("a good request afterwards, connection kept: {kept}"))?;
    answer.expect(200).with_context(|| format!("a good request afterwards, connection kept: {kept}"))?;
    Ok(kept)
}

/// Sends a request on a connection of its own that can go on afterwards.
///
/// # Errors
/// No connection, or no answer.
pub async fn send(client: Client, request: Request) -> Result<(testbed::http::Answer, Session)> {
    let mut session = Session::connect(client).await?;
    let answer = session.send(request).await?;
    Ok((answer, session))
}

/// Checks that nothing of these accounts is held, at the edge or in the ledger: the gauges are 0, and one
/// request can have all that each account has left.
///
/// # Errors
/// Something is held.
pub async fn nothing_held(stack: &Stack, accounts: &[&Account]) -> Result<()> {
    // The gauges are told with a tick; what a denial said is remembered as long.
    tokio::time::sleep(TICK).await;
    stack.settled(SETTLED_WITHIN).await?;
    let parts = accounts.iter().map(|account| Box::pin(takes_all(stack, account)) as Part<'_, ()>);
    together(parts.collect()).await?;
    stack.gateway()?.healthy().await
}

async fn takes_all(stack: &Stack, account: &Account) -> Result<()> {
    let left = wait::until("everything is reported", SETTLED_WITHIN, || async {
        let balance = stack.api().balance(&account.id).await?;
        ensure!(balance.in_flight == 0, "in flight: {balance:?}");
        Ok(Some(balance.available))
    })
    .await?;
    let mut tokens = 1;
    let mut fits = None;
    // The number of tokens is part of the body whose length it depends on: the second round knows its digits.
    for _ in 0..3 {
        let chat = Chat::new("gpt-5-mini").max_tokens(tokens).takes(0, 1);
        let least = hold("gpt-5-mini", &chat.body(), tokens)?;
        let spare = left.saturating_sub(least);
        if (0..=2 * OUTPUT_TOKEN).contains(&spare) {
            fits = Some(chat);
            break;
        }
        tokens = tokens.saturating_add_signed(spare.div_euclid(OUTPUT_TOKEN));
    }
    let chat = fits.with_context(|| format!("no request for all of {left}"))?;
    let answer = stack.chat(account, chat).await?;
    answer
        .expect(200)
        .with_context(|| format!("{}: not all of the {left} that are left", account.id))
        .map(drop)
}

/// Waits until every worker gets answers from the ledger again.
///
/// # Errors
/// They do not within a few seconds.
pub async fn recovered(stack: &Stack) -> Result<()> {
    let account = crate::funded(stack, "1").await?;
    wait::until_true("accounts that are not known here are served", SETTLED_WITHIN, || async {
        let cold = Account { key: stack.api().create_key(&account.id, None).await?.1, ..account.clone() };
        let answer = stack.chat(&cold, Chat::new("gpt-5-mini").max_tokens(1).takes(1, 1)).await?;
        Ok(answer.status == 200)
    })
    .await
}

//! Nothing of a stream waits: the provider sends a piece only when the client has got the one before. An answer that
//! is held back anywhere would hang here.

use anyhow::{Context, Result, ensure};
use e2e::ground::{Ground, PROTOCOLS, Part, client, together};
use e2e::samples::{Sample, is_usage_only, samples, selling};
use testbed::mock::Script;
use testbed::{Account, Stack};

/// Answers that are on their way at once.
const AT_ONCE: usize = 24;

/// A stream whose pieces wait for each other.
struct Flow<'a> {
    sample: &'a Sample,
    client_http2: bool,
    /// The client asks for the usage itself where the edge would.
    asks_for_usage: bool,
}

impl Flow<'_> {
    async fn run(&self, stack: &Stack, account: &Account) -> Result<()> {
        let tag = testbed::request::tag();
        // Where the edge takes an event out, it must have seen its end.
        let is_filtered = self.sample.is_asked_for() && !self.asks_for_usage;
        let pieces = self.sample.pieces(is_filtered);
        let ends = pieces.iter().scan(0, |at: &mut usize, piece| {
            *at += piece.len();
            Some(*at)
        });
        let script = Script { cuts: ends.collect(), in_turns: true, chunked: true, ..self.sample.script() };
        let request = self.sample.request(&account.key, &tag, &script, self.asks_for_usage);
        let mut reply = client(stack, self.client_http2)?.open(request).await?;
        ensure!(reply.status == 200, "{}", reply.status);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for (n, piece) in pieces.iter().enumerate() {
            if n > 0 {
                stack.mock.turn(&tag);
            }
            if !(is_filtered && is_usage_only(&String::from_utf8_lossy(piece))) {
                expected.extend_from_slice(piece);
            }
            while found.len() < expected.len() {
                let what = || format!("piece {n} of {}", pieces.len());
                found.extend_from_slice(&reply.piece().await.with_context(what)?.with_context(what)?);
            }
            ensure!(found == expected, "piece {n}: {}", String::from_utf8_lossy(&found));
        }
        let rest = reply.whole().await?;
        ensure!(rest.body.is_empty() && rest.broken.is_none(), "at the end: {rest:?}");
        Ok(())
    }
}

#[tokio::test]
async fn each_piece_of_a_stream_arrives_before_the_next_is_sent() -> Result<()> {
    let mut samples = samples()?;
    samples.retain(|sample| sample.content_type != "application/json" || sample.path.contains(":stream"));
    for ground in Ground::MIXED {
        let (stack, account) = selling("flow", ground, &samples).await?;
        let both = |sample| PROTOCOLS.map(|own| Flow { sample, client_http2: own, asks_for_usage: own });
        let flows: Vec<Flow<'_>> = samples.iter().flat_map(both).collect();
        for some in flows.chunks(AT_ONCE) {
            let runs = some.iter().map(|flow| {
                Box::pin(async { flow.run(&stack, &account).await.context(flow.sample.name.clone()) })
                    as Part<'_, ()>
            });
            together(runs.collect()).await.with_context(|| format!("{ground:?}"))?;
        }
        stack.finish_unreconciled().await?;
    }
    Ok(())
}

//! How long the bytes of a stream take on their way, with the filter and without: the first, and each chunk.
//!
//! One stream at a time; its chunks wait for each other, so that a chunk's time is its own: from when the provider
//! may send it to when the client has it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::report::median;
use crate::http::Client;
use crate::mock::Mock;
use crate::request::Chat;
use crate::session::Session;

/// Chunks of a stream that are timed.
const CHUNKS: usize = 20;

/// What was seen on one listener, in microseconds.
#[derive(Debug, Default)]
struct Times {
    first: Vec<f64>,
    chunk: Vec<f64>,
}

/// What was seen, without the filter and with it.
#[derive(Debug)]
pub struct Delays {
    without: Times,
    with: Times,
}

impl Delays {
    /// Times so many streams on each of two listeners, in turns.
    ///
    /// # Errors
    /// A stream is refused or breaks off.
    pub async fn measure(mock: &Mock, listeners: [SocketAddr; 2], key: &str, streams: usize) -> Result<Self> {
        let [without, with] = listeners;
        let mut sessions =
            [Session::connect(Client::http1(without)).await?, Session::connect(Client::http1(with)).await?];
        let mut times = [Times::default(), Times::default()];
        for stream in 0..=streams {
            for (session, times) in sessions.iter_mut().zip(&mut times) {
                one(mock, session, key, times).await?;
                if stream == 0 {
                    // Connections, leases and caches are made; none of it counts.
                    *times = Times::default();
                }
            }
        }
        let [without, with] = times;
        Ok(Self { without, with })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |what: &str, of: fn(&Times) -> &[f64]| {
            let [without, with] = [&self.without, &self.with].map(|times| median(of(times).iter().copied()));
            format!("{what}: {with:.0} µs, {without:.0} µs without the filter")
        };
        let [first, chunk] = [line("first byte of a stream", |t| &t.first), line("each chunk", |t| &t.chunk)];
        format!("{first}; {chunk} (medians of {})", self.with.first.len())
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let of = |times: &Times| {
            let [first, chunk] = [&times.first, &times.chunk].map(|all| median(all.iter().copied()));
            json!({"first_us": first, "chunk_us": chunk, "streams": times.first.len()})
        };
        json!({"without": of(&self.without), "with": of(&self.with)})
    }
}

async fn one(mock: &Mock, session: &mut Session, key: &str, times: &mut Times) -> Result<()> {
    let chat = Chat::stream("bench")
        .takes(10, CHUNKS as u64)
        .script(|script| (script.chunks, script.in_turns) = (Some(CHUNKS), true));
    let micros = |from: Instant| from.elapsed().as_secs_f64() * 1e6;
    let begin = Instant::now();
    let mut reply = session.open(chat.request(key)).await?;
    reply.piece().await?.with_context(|| format!("no first byte, status {}", reply.status))?;
    times.first.push(micros(begin));
    for _ in 0..CHUNKS {
        let begin = Instant::now();
        mock.turn(&chat.tag);
        reply.piece().await?.context("a stream ended early")?;
        times.chunk.push(micros(begin));
    }
    // The end of the content, the usage, the end of the stream.
    (0..3).for_each(|_| mock.turn(&chat.tag));
    reply.whole().await?.expect(200).map(drop)
}

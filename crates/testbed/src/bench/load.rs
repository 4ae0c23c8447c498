//! One round of load from `wrk`, and what it cost Envoy's worker.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::child::{Child, found_on_path};
use crate::request::CHAT_PATH;

/// Connections that are kept open.
const CONNECTIONS: u32 = 16;
/// The size of a request's body.
const REQUEST_BYTES: usize = 2_048;

/// What is sent, and to where.
#[derive(Clone, Debug)]
pub struct Load {
    /// The listener.
    pub address: SocketAddr,
    /// The API key.
    pub key: String,
    /// Whether streams are asked for.
    pub stream: bool,
}

/// What a round showed.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Answers per second.
    pub rate: f64,
    /// Answers in all.
    pub answers: u64,
    /// Answers whose status was not 2xx.
    pub refused: u64,
    /// CPU time of Envoy's worker per answer, in microseconds.
    pub cpu: f64,
}

impl Round {
    /// How much of the round the worker was busy, 0 to 1. Well below 1 the load, the upstream or the ledger was the
    /// limit, and answers per second say little of the worker.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.cpu * self.rate / 1e6
    }

    /// Answers per second of the worker's CPU time: what it could give if nothing else were the limit.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        1e6 / self.cpu
    }
}

impl Load {
    /// Runs `wrk` for so long.
    ///
    /// # Errors
    /// There is no `wrk`, or it says something unexpected.
    pub async fn run(&self, folder: &Path, core: usize, time: Duration, worker: &Worker) -> Result<Round> {
        let wrk = found_on_path("wrk").context("bench needs wrk (Debian: apt-get install wrk)")?;
        let script = folder.join("wrk.lua");
        std::fs::write(&script, self.script())?;
        let output = folder.join("wrk.out");
        std::fs::write(&output, "")?;
        let args = [
            "-t1",
            &format!("-c{CONNECTIONS}"),
            &format!("-d{}s", time.as_secs().max(1)),
            "-s",
            &script.display().to_string(),
            &format!("http://{}{CHAT_PATH}", self.address),
        ]
        .map(str::to_owned);
        let before = worker.busy()?;
        let mut child = Child::start_on(Some(core), "wrk", &wrk, &args, &[], &output)?;
        let status = child.ended(time.saturating_add(Duration::from_secs(20))).await?;
        let spent = worker.busy()?.saturating_sub(before);
        let text = std::fs::read_to_string(&output)?;
        ensure!(status.is_some_and(|status| status.success()), "wrk: {status:?}\n{text}");
        let number = |found: Option<&str>| found.and_then(|text| text.trim().parse::<f64>().ok());
        let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label));
        let answers = text.lines().find_map(|line| line.trim().split_once(" requests in ")).map(|(n, _)| n);
        let answers = number(answers).with_context(|| format!("wrk counts nothing:\n{text}"))?;
        let rate = number(after("Requests/sec:")).with_context(|| format!("wrk has no rate:\n{text}"))?;
        let refused = number(after("Non-2xx or 3xx responses:")).unwrap_or(0.0);
        Ok(Round {
            rate,
            answers: answers as u64,
            refused: refused as u64,
            cpu: spent.as_secs_f64() * 1e6 / answers.max(1.0),
        })
    }

    fn script(&self) -> String {
        let mut body =
            json!({"model": "bench", "max_tokens": 100, "messages": [{"role": "user", "content": ""}]});
        if let Some(members) = body.as_object_mut().filter(|_| self.stream) {
            members.insert("stream".to_owned(), Value::Bool(true));
        }
        let room = REQUEST_BYTES.saturating_sub(body.to_string().len());
        if let Some(content) = body.pointer_mut("/messages/0/content") {
            *content = Value::from("word ".repeat(REQUEST_BYTES).get(..room).unwrap_or_default());
        }
        format!(
            "wrk.method = \"POST\"\nwrk.headers[\"content-type\"] = \"application/json\"\n\
             wrk.headers[\"authorization\"] = \"Bearer {}\"\nwrk.body = [==[{body}]==]\n",
            self.key
        )
    }
}

/// Envoy's one worker thread.
#[derive(Clone, Debug)]
pub struct Worker {
    schedstat: PathBuf,
}

impl Worker {
    /// The worker thread of an Envoy process.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: u32) -> Result<Self> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        let named = |task: &PathBuf| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("wrk:worker_0"))
        };
        let worker = tasks.filter_map(|task| Some(task.ok()?.path())).find(named);
        Ok(Self { schedstat: worker.context("Envoy has no worker thread")?.join("schedstat") })
    }

    /// The CPU time that it has used.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn busy(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(&self.schedstat)?;
        let spent = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Ok(Duration::from_nanos(spent.context("schedstat has no figure")?))
    }
}

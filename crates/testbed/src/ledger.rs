//! The ledger: a `bursar serve` process, and a client of its public API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::child::Child;
use crate::http::{Answer, Client, Request};
use crate::money::micros;
use crate::wait;

/// How long the ledger may take to start.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long the check of its books may take: large ones take longer than any start.
const VERIFIED_WITHIN: Duration = Duration::from_secs(300);
/// Entries asked for in one page.
const PAGE: usize = 200;

/// What a ledger process is started with.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The `bursar` command.
    pub program: PathBuf,
    /// The catalog file.
    pub catalog: PathBuf,
    /// Where the books are kept, as `bursar serve --store` takes it.
    pub store: String,
    /// The port; 0 = a free one at each start.
    pub port: u16,
    /// The administrator's token.
    pub admin_token: String,
    /// The edge's token.
    pub edge_token: String,
    /// The log file.
    pub log: PathBuf,
    /// The core that it is kept on.
    pub core: Option<usize>,
}

/// A ledger.
#[derive(Debug)]
pub struct Ledger {
    serve: Serve,
    child: Child,
    /// Where it answers; may change with a restart.
    pub address: SocketAddr,
}

/// A client of the public API.
#[derive(Clone, Debug)]
pub struct Api {
    /// The ledger.
    pub address: SocketAddr,
    token: String,
}

/// What an account has, in micro-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// All that can still be spent.
    pub available: i64,
    /// What of it lies idle on nodes.
    pub leased: i64,
    /// Held for requests that have not ended.
    pub in_flight: i64,
    /// Used beyond what was granted.
    pub debt: i64,
}

/// A line of an account's journal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The whole line.
    pub json: Value,
    /// What happened (`charge`, `grant` …).
    pub kind: String,
    /// What it did to the account's credits, in micro-credits: below zero where credits were used.
    pub amount: i64,
    /// What no lot could pay, in micro-credits.
    pub debt: i64,
    /// The request, for charges.
    pub request: Option<String>,
    /// Pool and amount, in draw order.
    pub pools: Vec<(String, i64)>,
}

impl Ledger {
    /// Starts a ledger and waits until it is ready.
    ///
    /// # Errors
    /// It does not start; the error quotes its log.
    pub async fn start(serve: Serve) -> Result<Self> {
        let (child, address) = launch(&serve).await?;
        Ok(Self { serve, child, address })
    }

    /// A client of its API.
    #[must_use]
    pub fn api(&self) -> Api {
        Api { address: self.address, token: self.serve.admin_token.clone() }
    }

    /// Stops answering without ending (SIGSTOP).
    ///
    /// # Errors
    /// The process is gone.
    pub fn freeze(&self) -> Result<()> {
        self.child.signal(Signal::STOP)
    }

    /// Goes on after [`Ledger::freeze`].
    ///
    /// # Errors
    /// The process is gone.
    pub fn thaw(&self) -> Result<()> {
        self.child.signal(Signal::CONT)
    }

    /// Ends without any chance to tidy up (`kill -9`).
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().map(drop)
    }

    /// Ends in order.
    ///
    /// # Errors
    /// It cannot be ended.
    pub async fn stop(&mut self) -> Result<()> {
        self.child.stop().await.map(drop)
    }

    /// Starts again on the same books.
    ///
    /// # Errors
    /// As [`Ledger::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.child.kill()?;
        (self.child, self.address) = launch(&self.serve).await?;
        Ok(())
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.serve.log
    }

    /// The file of its books.
    ///
    /// # Errors
    /// They are not in SQLite.
    pub fn books(&self) -> Result<PathBuf> {
        let path = self.serve.store.strip_prefix("sqlite:").context("the books are not in SQLite")?;
        Ok(PathBuf::from(path))
    }

    /// Runs a `bursar` command of this ledger; what it printed, where it succeeded.
    ///
    /// # Errors
    /// It failed; the error quotes what it said.
    pub async fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = std::process::Command::new(&self.serve.program);
        command
            .args(words)
            .env("BURSAR_LEDGER", format!("http://{}", self.address))
            .env("BURSAR_ADMIN_TOKEN", &self.serve.admin_token)
            .env("BURSAR_STORE", &self.serve.store)
            .stdin(std::process::Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            bail!("bursar {words:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
        }
        Ok(text(&output.stdout))
    }

    /// Charges from an Envoy's access log what this ledger has not heard of; the command's summary.
    ///
    /// # Errors
    /// It failed, or refused something.
    pub async fn reconcile(&self, access_log: &Path, flags: &[&str]) -> Result<Value> {
        let file = access_log.display().to_string();
        let words = [&["reconcile", "--json", "--access-log", &file], flags].concat();
        Ok(serde_json::from_str(&self.run(&words).await?)?)
    }

    /// Runs the offline check of its books.
    ///
    /// # Errors
    /// The books disagree; the error quotes the list.
    pub async fn verify(&self) -> Result<()> {
        let log = self.serve.log.with_extension("verify");
        let args = ["verify", "--store", &self.serve.store].map(str::to_owned);
        let mut child = Child::start("bursar verify", &self.serve.program, &args, &[], &log)?;
        match child.ended(VERIFIED_WITHIN).await? {
            Some(status) if status.success() => Ok(()),
            other => bail!("bursar verify: {other:?}\n{}", crate::child::tail(&log)),
        }
    }
}

async fn launch(serve: &Serve) -> Result<(Child, SocketAddr)> {
    let text = |path: &Path| path.display().to_string();
    let listen = format!("127.0.0.1:{}", serve.port);
    let args = [
        ["--catalog", &text(&serve.catalog)],
        ["--listen", &listen],
        ["--store", &serve.store],
        // A line for each request would hide the lines that matter.
        ["--log", "info,ledger::http::layers=warn"],
    ];
    let env =
        [("BURSAR_ADMIN_TOKEN", serve.admin_token.clone()), ("BURSAR_EDGE_TOKEN", serve.edge_token.clone())];
    // What an earlier start wrote is not taken for this one's address.
    let before = std::fs::read(&serve.log).map_or(0, |log| log.len());
    let args: Vec<String> = ["serve"].iter().chain(args.iter().flatten()).map(ToString::to_string).collect();
    let mut child = Child::start_on(serve.core, "bursar serve", &serve.program, &args, &env, &serve.log)?;
    let start = std::time::Instant::now();
    let address = loop {
        child.alive().context("the ledger did not start")?;
        let log = std::fs::read(&serve.log).unwrap_or_default();
        if let Some(address) = bound_address(log.get(before..).unwrap_or_default()) {
            break address;
        }
        if start.elapsed() > READY_WITHIN {
            bail!("the ledger does not say where it listens\n{}", crate::child::tail(&serve.log));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    wait::until_true("the ledger is ready", READY_WITHIN, || async move {
        Ok(Client::http1(address).send(Request::get("/readyz")).await?.status == 200)
    })
    .await
    .with_context(|| crate::child::tail(&serve.log))?;
    Ok((child, address))
}

/// The first loopback address with a port in a log.
fn bound_address(log: &[u8]) -> Option<SocketAddr> {
    let text = String::from_utf8_lossy(log);
    text.match_indices("127.0.0.1:").find_map(|(at, found)| {
        let port = text.get(at.saturating_add(found.len())..)?;
        let digits = port.find(|c: char| !c.is_ascii_digit())?;
        let port: u16 = port.get(..digits)?.parse().ok().filter(|port| *port != 0)?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

// === impl Api ===

impl Api {
    /// Calls the API.
    ///
    /// # Errors
    /// No answer.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = self.client().send(self.request(method, path, body)).await;
        answer.with_context(|| format!("{method} {path} at the ledger"))
    }

    /// The request of a call.
    #[must_use]
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request {
        let request = Request::new(method, path).bearer(&self.token);
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    /// The client that calls it.
    #[must_use]
    pub const fn client(&self) -> Client {
        Client::http1(self.address)
    }

    /// Puts a catalog file's text in force.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn publish_catalog(&self, file: &str) -> Result<()> {
        let request = Request::new("POST", "/v1/catalog").bearer(&self.token);
        let request = request.header("content-type", "application/yaml").body(file.to_owned());
        let answer = Client::http1(self.address).send(request).await.context("no answer to a catalog")?;
        ensure!(answer.status == 200, "catalog: {} {}", answer.status, answer.text());
        Ok(())
    }

    /// Makes an account.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn create_account(&self, id: &str, plan: &str) -> Result<()> {
        self.done("POST", "/v1/accounts", &json!({"id": id, "plan": plan})).await.map(drop)
    }

    /// Makes a key, for these models only or for all; returns its id and the key itself.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn create_key(&self, account: &str, models: Option<&[&str]>) -> Result<(String, String)> {
        let body = models.map_or_else(|| json!({}), |models| json!({"models": models}));
        let made = self.done("POST", &format!("/v1/accounts/{account}/keys"), &body).await?;
        let text = |name: &str| made.get(name).and_then(Value::as_str).map(str::to_owned);
        text("id").zip(text("key")).with_context(|| format!("no key in {made}"))
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn revoke_key(&self, account: &str, key: &str) -> Result<()> {
        let answer = self.call("DELETE", &format!("/v1/accounts/{account}/keys/{key}"), None).await?;
        if answer.status >= 300 {
            bail!("revoking a key: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    /// Grants credits; `amount` is decimal.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn grant(&self, account: &str, pool: &str, amount: &str, reference: &str) -> Result<()> {
        let body = json!({"pool": pool, "amount": amount, "reference": reference});
        self.done("POST", &format!("/v1/accounts/{account}/grants"), &body).await.map(drop)
    }

    /// Sets an account's standing.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn set_status(&self, account: &str, status: &str) -> Result<()> {
        self.done("PATCH", &format!("/v1/accounts/{account}"), &json!({"status": status})).await.map(drop)
    }

    /// Switches the plan, at once.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn switch_plan(&self, account: &str, plan: &str) -> Result<()> {
        let body = json!({"plan": plan, "when": "now"});
        self.done("POST", &format!("/v1/accounts/{account}/plan"), &body).await.map(drop)
    }

    /// What an account has.
    ///
    /// # Errors
    /// No answer, or not as documented.
    pub async fn balance(&self, account: &str) -> Result<Balance> {
        let json = self.balance_json(account).await?;
        let amount = |name: &str| {
            let text = json.get(name).and_then(Value::as_str);
            text.and_then(micros).with_context(|| format!("no {name} in {json}"))
        };
        Ok(Balance {
            available: amount("available")?,
            leased: amount("leased")?,
            in_flight: amount("in_flight")?,
            debt: amount("debt")?,
        })
    }

    /// What an account has, as the API says it.
    ///
    /// # Errors
    /// No answer.
    pub async fn balance_json(&self, account: &str) -> Result<Value> {
        self.call("GET", &format!("/v1/accounts/{account}/balance"), None).await?.expect(200)?.json()
    }

    /// An account's whole journal, oldest first.
    ///
    /// # Errors
    /// No answer, or not as documented.
    pub async fn entries(&self, account: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/accounts/{account}/entries?limit={PAGE}{cursor}");
            let page = self.call("GET", &path, None).await?.expect(200)?.json()?;
            let data = page.get("data").and_then(Value::as_array).context("entries without data")?;
            entries.extend(data.iter().map(Entry::read).collect::<Result<Vec<_>>>()?);
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) if !data.is_empty() => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        let number = |entry: &Entry| entry.json.get("id").and_then(Value::as_str)?.parse::<u64>().ok();
        entries.sort_by_key(|entry| number(entry).unwrap_or(u64::MAX));
        Ok(entries)
    }

    async fn done(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.call(method, path, Some(body)).await?;
        if answer.status >= 300 {
            bail!("{method} {path}: {} {}", answer.status, answer.text());
        }
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }
}

// === impl Entry ===

impl Entry {
    /// A text member.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.json.get(name).and_then(Value::as_str)
    }

    /// A count of its usage.
    #[must_use]
    pub fn used(&self, meter: &str) -> u64 {
        self.json.get("usage").and_then(|usage| usage.get(meter)).and_then(Value::as_u64).unwrap_or(0)
    }

    fn read(json: &Value) -> Result<Self> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let amount = |value: &Value, name: &str| {
            let amount = value.get(name).and_then(Value::as_str).and_then(micros);
            amount.with_context(|| format!("no {name} in {value}"))
        };
        let pools = json.get("pools").and_then(Value::as_array).context("an entry without pools")?;
        let pool = |pool: &Value| Ok((text(pool, "pool").context("no pool")?, amount(pool, "amount")?));
        Ok(Self {
            kind: text(json, "kind").context("an entry without kind")?,
            amount: amount(json, "amount")?,
            debt: amount(json, "debt").unwrap_or(0),
            request: text(json, "request_id"),
            pools: pools.iter().map(pool).collect::<Result<_>>()?,
            json: json.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_address_is_found_in_a_log() {
        let log = b"INFO listening address=127.0.0.1:43127 store=sqlite\n";
        assert_eq!(bound_address(log), "127.0.0.1:43127".parse().ok());
        assert_eq!(bound_address(b"asked for 127.0.0.1:0 only\n"), None);
        assert_eq!(bound_address(b"cut off: 127.0.0.1:431"), None);
    }
}

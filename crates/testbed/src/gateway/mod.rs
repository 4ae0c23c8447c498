//! An Envoy process: started with a made configuration, asked through its admin port.

mod access_log;
mod config;
mod provider;
mod stats;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub use access_log::{Line, lines};
pub use config::{Config, Delivery, Filter, Headers, Listener, ROUTE_HEADER, Route, To};
pub use provider::{Header, Provider};
pub use stats::Stats;

use crate::child::Child;
use crate::http::{Client, Request};
use crate::wait;

/// How long Envoy may take to start; compiling the module is part of it.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running Envoy.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Its admin port.
    pub admin: SocketAddr,
    /// Its listeners, in the order of the configuration.
    pub listeners: Vec<SocketAddr>,
    access_log: Option<PathBuf>,
    /// Versions of what it watches.
    versions: u64,
}

/// How an Envoy process is run.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its worker threads.
    pub concurrency: u32,
    /// Where its files go.
    pub folder: &'a Path,
    /// Its name; names of files begin with it.
    pub name: &'a str,
    /// Its log's level.
    pub level: &'a str,
    /// The core that it is kept on.
    pub core: Option<usize>,
}

impl Gateway {
    /// Starts Envoy and waits until it takes requests.
    ///
    /// # Errors
    /// It does not start; the error quotes its log.
    pub async fn start(run: &Run<'_>, config: &Config) -> Result<Self> {
        let file = |kind: &str| run.folder.join(format!("{}.{kind}", run.name));
        let (config_file, admin_file, log) = (file("json"), file("admin"), file("log"));
        std::fs::write(&config_file, serde_json::to_string_pretty(&config.to_json()?)?)?;
        write_watched(config, 1)?;
        let text = |path: &Path| path.display().to_string();
        let args = [
            ["--config-path", &text(&config_file)],
            ["--admin-address-path", &text(&admin_file)],
            ["--concurrency", &run.concurrency.to_string()],
            ["--file-flush-interval-msec", "20"],
            ["--drain-time-s", "2"],
            ["--log-level", run.level],
        ];
        let args: Vec<String> = args
            .iter()
            .flatten()
            .map(ToString::to_string)
            .chain(["--use-dynamic-base-id".to_owned()])
            .collect();
        let mut child = Child::start_on(run.core, run.name, run.program, &args, &[], &log)?;
        let admin = loop {
            child.alive().context("Envoy did not start")?;
            let address = std::fs::read_to_string(&admin_file).ok().and_then(|text| text.trim().parse().ok());
            if let Some(address) = address {
                break address;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let access_log = config.access_log.clone();
        let mut gateway = Self { child, admin, listeners: Vec::new(), access_log, versions: 1 };
        let names: Vec<&str> = config.listeners.iter().map(|listener| listener.name.as_str()).collect();
        gateway.listeners = match gateway.ready(&names).await {
            Ok(listeners) => listeners,
            Err(error) => {
                gateway.child.alive()?;
                return Err(error.context(crate::child::tail(&log)));
            }
        };
        Ok(gateway)
    }

    /// Asks the admin port.
    ///
    /// # Errors
    /// No answer, or not 200.
    pub async fn ask(&self, method: &str, path: &str) -> Result<String> {
        let answer = Client::http1(self.admin).send(Request::new(method, path)).await?;
        Ok(answer.expect(200)?.text())
    }

    /// All counters and gauges.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub async fn stats(&self) -> Result<Stats> {
        Ok(Stats::parse(&self.ask("GET", "/stats").await?))
    }

    /// The metrics as Prometheus reads them.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub async fn prometheus(&self) -> Result<String> {
        self.ask("GET", "/stats/prometheus").await
    }

    /// The lines of the access log so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn access_log(&self) -> Result<Vec<Line>> {
        self.access_log.as_deref().map_or_else(|| Ok(Vec::new()), lines)
    }

    /// The file of the access log, where there is one.
    #[must_use]
    pub fn access_log_file(&self) -> Option<&Path> {
        self.access_log.as_deref()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.child.log()
    }

    /// Checks that no VM has failed (I7).
    ///
    /// # Errors
    /// One has; the error names the counters and quotes the log.
    pub async fn healthy(&self) -> Result<()> {
        let stats = self.stats().await?;
        let failed = stats.vm_failures();
        ensure!(failed.is_empty(), "VM failures: {failed:?}\n{}", crate::child::tail(self.log()));
        Ok(())
    }

    /// Gives it another configuration of what it watches, and waits until new requests meet that.
    ///
    /// # Errors
    /// It does not take it.
    pub async fn update(&mut self, config: &Config) -> Result<()> {
        let taken = |stats: &Stats| match &config.delivery {
            Delivery::Static => 0,
            Delivery::Listeners(_) => stats
                .get("listener_manager.listener_in_place_updated")
                .saturating_add(stats.get("listener_manager.listener_modified")),
            Delivery::Filter(_) => stats.sum_of("extension_config_discovery.", ".config_reload"),
        };
        let before = taken(&self.stats().await?);
        self.versions = self.versions.saturating_add(1);
        write_watched(config, self.versions)?;
        wait::until_true("Envoy has taken the configuration", READY_WITHIN, || async {
            let stats = self.stats().await?;
            let warm = stats.get("listener_manager.total_listeners_warming") == 0;
            Ok(taken(&stats) > before && warm)
        })
        .await
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It cannot be ended.
    pub async fn stop(&mut self) -> Result<()> {
        self.child.stop().await.map(drop)
    }

    async fn ready(&self, names: &[&str]) -> Result<Vec<SocketAddr>> {
        wait::until_true("Envoy is ready", READY_WITHIN, || async {
            Ok(self.ask("GET", "/ready").await?.starts_with("LIVE"))
        })
        .await?;
        let listeners: Value = serde_json::from_str(&self.ask("GET", "/listeners?format=json").await?)?;
        let port = |name: &&str| {
            let all = listeners.get("listener_statuses")?.as_array()?;
            let own = all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name))?;
            let address = own.pointer("/local_address/socket_address")?;
            let host = address.get("address")?.as_str()?;
            format!("{host}:{}", address.get("port_value")?).parse().ok()
        };
        let found: Option<Vec<SocketAddr>> = names.iter().map(port).collect();
        found.with_context(|| format!("Envoy does not list its listeners: {listeners}"))
    }
}

/// Puts what Envoy watches in its place: by a rename, which is what it watches for.
fn write_watched(config: &Config, version: u64) -> Result<()> {
    let Some((file, resources)) = config.watched(version) else {
        return Ok(());
    };
    let next = file.with_extension("next");
    std::fs::write(&next, serde_json::to_string_pretty(&resources)?)?;
    std::fs::rename(&next, file).with_context(|| format!("failed to write {}", file.display()))
}

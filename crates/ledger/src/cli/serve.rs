//! `bursar serve`: the ledger as a process, from its configuration to its last flush.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::failure::{Failure, Outcome};
use super::print;
use crate::config::{Config, ConfigError, Options, TokenSource, load_catalog};
use crate::engine;
use crate::http::{self, App};
use crate::metrics::Metrics;
use crate::service::Service;

/// Run the ledger.
///
/// Serves until SIGTERM or SIGINT, then ends the calls that are under way, flushes and exits. SIGHUP reads the
/// catalog file again and puts it in force; where it has problems the log names them and nothing changes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// The catalog file: plans, models, prices
    #[arg(long, env = "BURSAR_CATALOG", value_name = "FILE")]
    catalog: PathBuf,
    /// Where to listen; TLS belongs in front of anything but loopback
    #[arg(long, env = "BURSAR_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8700")]
    listen: SocketAddr,
    /// The store
    #[arg(long, env = "BURSAR_STORE", value_name = "URL", default_value = "sqlite:bursar.db")]
    store: String,
    /// What to log: error, warn, info, debug, or a filter such as ledger=debug
    #[arg(long, env = "BURSAR_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to log
    #[arg(long, env = "BURSAR_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// A file whose first line is the admin token [default: the variable BURSAR_ADMIN_TOKEN, else one is
    /// made and printed]
    #[arg(long, env = "BURSAR_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// A file whose first line is the edge token [default: the variable BURSAR_EDGE_TOKEN, else one is
    /// made and printed]
    #[arg(long, env = "BURSAR_EDGE_TOKEN_FILE", value_name = "FILE")]
    edge_token_file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  Try it; tokens are made for this run and printed once:
    bursar serve --catalog catalog.yaml

  For good:
    bursar serve --catalog /etc/bursar/catalog.yaml --store sqlite:/var/lib/bursar/ledger.db \\
      --admin-token-file /run/secrets/admin --edge-token-file /run/secrets/edge --log-format json";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// The longest that the store may take to close.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(30);

// === impl Serve ===

impl Serve {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        start_log(&self.log, self.log_format)?;
        let source = |file: Option<PathBuf>, variable: &str| match (file, std::env::var(variable)) {
            (Some(file), _) => TokenSource::File(file),
            (None, Ok(text)) => TokenSource::Text(text),
            (None, Err(_)) => TokenSource::Generate,
        };
        let catalog = self.catalog.clone();
        let (config, generated) = Config::new(&Options {
            catalog: self.catalog,
            listen: self.listen,
            store: self.store,
            admin_token: source(self.admin_token_file, "BURSAR_ADMIN_TOKEN"),
            edge_token: source(self.edge_token_file, "BURSAR_EDGE_TOKEN"),
        })?;
        for (name, token) in [("admin", generated.admin), ("edge", generated.edge)] {
            if let Some(token) = token {
                print::note(&format!("{name} token, made for this run: {token}"))?;
            }
        }
        let runtime = tokio::runtime::Runtime::new().map_err(|error| failed("the runtime", &error))?;
        let served = runtime.block_on(serve(config, catalog));
        // A webhook's receiver that does not answer is not waited for: its delivery is made at the next start.
        runtime.shutdown_background();
        served
    }
}

async fn serve(config: Config, catalog: PathBuf) -> Outcome {
    let listener =
        TcpListener::bind(config.listen).await.map_err(|error| failed(&config.listen.to_string(), &error))?;
    let address = listener.local_addr().map_err(|error| failed("the listener", &error))?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "listening beyond loopback without TLS: put TLS or mTLS in front");
    }
    let shutdown = shutdown_signal()?;
    let hangups = signal(SignalKind::hangup()).map_err(|error| failed("signals", &error))?;
    let metrics = Arc::new(Metrics::default());
    let options = engine::Options {
        store: config.store,
        catalog: config.catalog,
        metrics: Arc::clone(&metrics),
        delivery: engine::Delivery::default(),
    };
    let service = engine::open(options).map_err(|error| failed("the store", &error))?;
    let app = App::new(Arc::clone(&service), metrics, config.tokens)
        .map_err(|error| failed("the API's description", &error))?;
    let reloading = tokio::spawn(reload_on_hangup(hangups, catalog, Arc::clone(&service)));
    tracing::info!(%address, generation = service.generation(), "ready");
    let served = http::serve(listener, app.router(), shutdown).await;
    reloading.abort();
    close(service.as_ref()).await?;
    served.map_err(|error| failed("serving", &error))?;
    tracing::info!("closed");
    Ok(())
}

async fn close(service: &dyn Service) -> Outcome {
    match tokio::time::timeout(CLOSE_TIME_MAX, service.close()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed("closing the store", &error)),
        Err(_) => Err(Failure::Refused("bursar: the store did not close in time".to_owned())),
    }
}

/// Reads the catalog file again at each SIGHUP.
async fn reload_on_hangup(mut hangups: Signal, file: PathBuf, service: Arc<dyn Service>) {
    while hangups.recv().await.is_some() {
        let path = file.clone();
        let read = tokio::task::spawn_blocking(move || load_catalog(&path)).await;
        let catalog = match read {
            Ok(Ok(catalog)) => catalog,
            Ok(Err(ConfigError::Catalog(problems))) => {
                for problem in problems {
                    tracing::error!(problem, "catalog");
                }
                tracing::error!("the catalog has problems: the one in force stays");
                continue;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the catalog cannot be read: the one in force stays");
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "reading the catalog");
                continue;
            }
        };
        let act = crate::audit::Act::of_process("SIGHUP");
        match crate::audit::within(act, async { service.publish(catalog).await }).await {
            Ok(published) if published.changed => {}
            Ok(published) => {
                tracing::info!(version = published.version, "the catalog says the same as before")
            }
            Err(error) => tracing::error!(%error, "the catalog could not be put in force"),
        }
    }
}

/// Resolves at the first SIGTERM or SIGINT.
fn shutdown_signal() -> Outcome<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).map_err(|error| failed("signals", &error));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "closing");
    })
}

fn start_log(filter: &str, format: LogFormat) -> Outcome {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::BadInput(format!("bursar: --log `{filter}`: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::Refused(format!("bursar: the log: {error}")))
}

fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    let chain: Vec<String> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    Failure::Refused(format!("bursar: {what}: {}", chain.join(": ")))
}

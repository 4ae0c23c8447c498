//! `up`: the stack on known ports, until it is told to end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::Headers;
use crate::setup::{Ports, Setup};
use crate::stack::Stack;
use crate::tools::{Tools, shown};

/// What an account without a plan's credits gets to start with.
const TOP_UP: &str = "100";

/// Flags of `up`.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// The catalog.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Somebody else's server instead of the mock provider.
    #[arg(long, value_name = "HOST:PORT")]
    pub upstream: Option<String>,
    /// Where the books are kept, as `bursar serve --store` takes it; else a temporary folder.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Envoy's worker threads.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub concurrency: u32,
    /// Whether request headers wait for admission.
    #[arg(long, value_enum, default_value_t = Headers::Hold)]
    pub headers: Headers,
    /// The gateway's port.
    #[arg(long, value_name = "PORT", default_value_t = 10_000)]
    pub port: u16,
    /// The ledger's port.
    #[arg(long, value_name = "PORT", default_value_t = 8_700)]
    pub ledger_port: u16,
    /// The port of Envoy's admin interface.
    #[arg(long, value_name = "PORT", default_value_t = 9_901)]
    pub admin_port: u16,
    /// Envoy's log level.
    #[arg(long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: String,
}

impl Up {
    /// Starts the stack, says where it is, and ends it on SIGINT or SIGTERM.
    ///
    /// # Errors
    /// Something does not start, or ends by itself.
    pub async fn run(&self, tools: Tools) -> Result<()> {
        // Taken before anything is started, so that an early Ctrl-C ends in order too.
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut told = std::pin::pin!(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        eprintln!("starting the ledger and Envoy …");
        let mut stack = tokio::select! {
            stack = self.start(tools) => stack?,
            () = &mut told => return Ok(()),
        };
        let end = tokio::select! {
            end = watch(&mut stack) => end,
            () = &mut told => Ok(()),
        };
        if end.is_ok() {
            stack.discard_files();
        }
        stack.stop().await?;
        end
    }

    async fn start(&self, tools: Tools) -> Result<Stack> {
        let stack = self.setup(tools).await?.start().await?;
        let ready = json!({
            "gateway": format!("http://{}", stack.address()?),
            "ledger": format!("http://{}", stack.ledger.address),
            "envoy_admin": format!("http://{}", stack.gateway()?.admin),
            "admin_token": stack.admin_token,
            "keys": keys(&stack).await?,
            "mock_admin": format!("http://{}", stack.mock.admin),
        });
        println!("{ready}");
        eprintln!("ready; logs in {}; Ctrl-C ends it", shown(stack.folder()));
        Ok(stack)
    }

    async fn setup(&self, tools: Tools) -> Result<Setup> {
        let upstream = match &self.upstream {
            Some(upstream) => Some(resolved(upstream).await?),
            None => None,
        };
        let mut setup = Setup::new("up").headers(self.headers).concurrency(self.concurrency);
        setup.tools = tools;
        setup.upstream = upstream;
        setup.store.clone_from(&self.store);
        setup.link = false;
        setup.level.clone_from(&self.log_level);
        setup.ports = Some(Ports { gateway: self.port, ledger: self.ledger_port, admin: self.admin_port });
        if let Some(catalog) = &self.catalog {
            setup.catalog.clone_from(catalog);
        } else {
            setup = setup.plugin(json!({
                "routes": [{"path": "/v1/search", "methods": ["POST"], "action": {"flat": "search"}}],
            }));
        }
        Ok(setup)
    }
}

/// Ends when something of the stack does.
async fn watch(stack: &mut Stack) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stack.ledger.process().alive()?;
        for gateway in &mut stack.gateways {
            gateway.process().alive()?;
        }
    }
}

async fn resolved(upstream: &str) -> Result<SocketAddr> {
    let mut found =
        tokio::net::lookup_host(upstream).await.with_context(|| format!("--upstream {upstream}"))?;
    found.next().with_context(|| format!("--upstream {upstream}: no address"))
}

/// One account with one key for each plan of the catalog; those without credits of their own get some.
async fn keys(stack: &Stack) -> Result<BTreeMap<String, String>> {
    let api = stack.api();
    let plans = api.call("GET", "/v1/plans", None).await?.expect(200)?.json()?;
    let plans = plans.get("data").unwrap_or(&plans).as_array().context("no plans")?.clone();
    let mut keys = BTreeMap::new();
    for plan in &plans {
        let text = |name: &str| plan.get(name).and_then(Value::as_str);
        let name = text("name").or_else(|| text("id")).with_context(|| format!("no name in {plan}"))?;
        // On books that are kept the account may exist: it gets a further key.
        let account = format!("{name}-account");
        if api.call("GET", &format!("/v1/accounts/{account}"), None).await?.status == 404 {
            api.create_account(&account, name).await?;
        }
        let (_, key) = api.create_key(&account, None).await?;
        if api.balance(&account).await?.available == 0 {
            let reference = format!("up-{}", std::process::id());
            if let Err(error) = api.grant(&account, "topup", TOP_UP, &reference).await {
                eprintln!("the account on {name} has no credits: {error}");
            }
        }
        keys.insert(name.to_owned(), key);
    }
    Ok(keys)
}

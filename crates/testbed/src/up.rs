//! `up`: the stack on known ports, until it is told to end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::{Header, Headers, Provider};
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
    /// Somebody else's server instead of the mock provider: HOST:PORT, http://HOST or https://HOST.
    #[arg(long, value_name = "URL")]
    pub upstream: Option<Provider>,
    /// A header for that server, such as its own credential; $VARIABLE is taken from the environment. May be repeated.
    #[arg(long, value_name = "NAME: VALUE", requires = "upstream")]
    pub upstream_header: Vec<Header>,
    /// The authorities that may have signed that server's certificate, as PEM; else the system's.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub upstream_ca: Option<PathBuf>,
    /// Clients speak TLS with the gateway, with a certificate made for this run.
    #[arg(long)]
    pub tls: bool,
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
        let stack = self.setup(tools)?.start().await?;
        let ready = json!({
            "gateway": stack.url()?,
            "authority": stack.authority(),
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

    fn setup(&self, tools: Tools) -> Result<Setup> {
        let provider = self.upstream.clone().map(|provider| Provider {
            authorities: self.upstream_ca.clone(),
            headers: self.upstream_header.clone(),
            ..provider
        });
        let is_plain = provider.as_ref().is_none_or(|provider| !provider.tls);
        ensure!(self.upstream_ca.is_none() || !is_plain, "--upstream-ca is for an upstream with https://");
        let mut setup = Setup::new("up").headers(self.headers).concurrency(self.concurrency);
        setup.tools = tools;
        setup.provider = provider;
        setup.tls = self.tls;
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

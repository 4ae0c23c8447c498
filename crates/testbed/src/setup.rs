//! What a stack is made of.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::gateway::{Filter, Headers, Listener, Provider, Route};
use crate::ledger::Serve;
use crate::stack::Stack;
use crate::tls::Tls;
use crate::tools::{Tools, repository};

/// What a stack is made of. The default is one Envoy with two workers in `hold` mode in front of the
/// mock provider, selling by the ModelStack catalog, on free ports.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Names the folder of its files.
    pub name: String,
    /// The programs.
    pub tools: Tools,
    /// The catalog file.
    pub catalog: PathBuf,
    /// Further plans, as YAML to stand at the end of that file.
    pub plans: String,
    /// The filter's mode.
    pub headers: Headers,
    /// Worker threads of each Envoy.
    pub concurrency: u32,
    /// How many Envoys.
    pub envoys: usize,
    /// Whether they are of the oldest supported version.
    pub old_envoy: bool,
    /// How the filter's configuration reaches them.
    pub updates: Updates,
    /// Whether clients speak TLS with the first listener.
    pub tls: bool,
    /// Members that replace or add to those of the plugin's configuration.
    pub plugin: Value,
    /// Another server instead of the mock provider.
    pub upstream: Option<SocketAddr>,
    /// Somebody else's server instead of the mock provider, behind the first listener.
    pub provider: Option<Provider>,
    /// Whether HTTP/2 is spoken to the upstream.
    pub upstream_http2: bool,
    /// Routes of the first listener before the one to the upstream.
    pub routes: Vec<Route>,
    /// Whether the line between Envoy and ledger can be made bad.
    pub link: bool,
    /// Where the books are kept; none = SQLite in the run's folder.
    pub store: Option<String>,
    /// Fixed ports; none = free ones.
    pub ports: Option<Ports>,
    /// Listeners beside the first one.
    pub extra: Vec<Extra>,
    /// The core that Envoy is kept on.
    pub envoy_core: Option<usize>,
    /// The core that the ledger is kept on.
    pub ledger_core: Option<usize>,
    /// Whether Envoy writes an access log.
    pub access_log: bool,
    /// Envoy's log level.
    pub level: String,
}

/// How the filter's configuration reaches Envoy, and so how it can be changed while that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Updates {
    /// With the rest: not at all.
    #[default]
    None,
    /// With its listener.
    Listener,
    /// By itself.
    Filter,
}

/// A further listener, for comparison.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Its name.
    pub name: String,
    /// Its filter.
    pub filter: ExtraFilter,
    /// Its upstream, where it is another than that of the first listener.
    pub upstream: Option<SocketAddr>,
}

/// The filter of a further listener.
#[derive(Clone, Debug)]
pub enum ExtraFilter {
    /// None.
    None,
    /// A module without configuration.
    Plain(PathBuf),
    /// The filter, as in the first listener.
    Bursar,
    /// The filter as another module, with shared data of its own.
    Other(PathBuf),
}

/// Fixed ports.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Envoy's listener.
    pub gateway: u16,
    /// The ledger.
    pub ledger: u16,
    /// Envoy's admin interface.
    pub admin: u16,
}

impl Setup {
    /// The default stack with the tools that the environment names.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tools: Tools::from_env(),
            catalog: default_catalog(),
            plans: String::new(),
            headers: Headers::Hold,
            concurrency: 2,
            envoys: 1,
            old_envoy: false,
            updates: Updates::default(),
            tls: false,
            plugin: json!({}),
            upstream: None,
            provider: None,
            upstream_http2: false,
            routes: Vec::new(),
            link: true,
            store: None,
            ports: None,
            extra: Vec::new(),
            envoy_core: None,
            ledger_core: None,
            access_log: true,
            level: "warning".to_owned(),
        }
    }

    /// The same in this mode.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// The same on the oldest supported Envoy.
    #[must_use]
    pub fn old_envoy(mut self) -> Self {
        self.old_envoy = true;
        self
    }

    /// The same with a configuration that can be changed.
    #[must_use]
    pub fn updates(mut self, updates: Updates) -> Self {
        self.updates = updates;
        self
    }

    /// The same behind TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The same with another module.
    #[must_use]
    pub fn wasm(mut self, module: &Path) -> Self {
        self.tools.wasm = Some(module.to_path_buf());
        self
    }

    /// The same with so many workers.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// The same with so many Envoys.
    #[must_use]
    pub fn envoys(mut self, envoys: usize) -> Self {
        self.envoys = envoys;
        self
    }

    /// The same with these members in the plugin's configuration.
    #[must_use]
    pub fn plugin(mut self, members: Value) -> Self {
        merge(&mut self.plugin, &members);
        self
    }

    /// The same with another catalog.
    #[must_use]
    pub fn catalog(mut self, file: &Path) -> Self {
        self.catalog = file.to_path_buf();
        self
    }

    /// The same with further plans, as YAML to stand at the end of the catalog.
    #[must_use]
    pub fn plans(mut self, yaml: &str) -> Self {
        self.plans.push_str(yaml);
        self
    }

    /// The same with HTTP/2 to the upstream.
    #[must_use]
    pub fn upstream_http2(mut self) -> Self {
        self.upstream_http2 = true;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// Something does not start; the error says what and quotes its log.
    pub async fn start(self) -> Result<Stack> {
        Stack::start(self).await
    }

    pub(crate) fn check_ports(&self) -> Result<()> {
        let Some(Ports { gateway, ledger, admin }) = self.ports else { return Ok(()) };
        for (what, port) in [("the gateway", gateway), ("the ledger", ledger), ("Envoy's admin", admin)] {
            let taken = std::net::TcpListener::bind(("127.0.0.1", port)).is_err();
            ensure!(!taken, "port {port} for {what} is taken: stop what listens there or choose another");
        }
        Ok(())
    }

    pub(crate) fn serve(&self, folder: &Path, admin_token: &str, edge_token: &str) -> Result<Serve> {
        let mut catalog = self.catalog.clone();
        if !self.plans.is_empty() {
            let text = std::fs::read_to_string(&catalog).with_context(|| catalog.display().to_string())?;
            catalog = folder.join("catalog.yaml");
            std::fs::write(&catalog, text + &self.plans)?;
        }
        let books = folder.join("books.sqlite");
        Ok(Serve {
            program: self.tools.bursar()?.to_path_buf(),
            catalog,
            store: self.store.clone().unwrap_or_else(|| format!("sqlite:{}", books.display())),
            port: self.ports.map_or(0, |ports| ports.ledger),
            admin_token: admin_token.to_owned(),
            edge_token: edge_token.to_owned(),
            log: folder.join("ledger.log"),
            core: self.ledger_core,
        })
    }

    pub(crate) fn listeners(
        &self,
        number: usize,
        edge_token: &str,
        upstream: SocketAddr,
        tls: Option<&Tls>,
    ) -> Result<Vec<Listener>> {
        let own = self.filter(number, edge_token)?;
        let mut listeners = vec![Listener {
            name: "gateway".to_owned(),
            port: self.ports.map_or(0, |ports| ports.gateway),
            tls: tls.cloned(),
            filter: own.clone(),
            upstream,
            provider: self.provider.clone(),
            upstream_http2: self.upstream_http2,
            routes: self.routes.clone(),
        }];
        listeners.extend(self.extra.iter().map(|extra| Listener {
            name: extra.name.clone(),
            port: 0,
            tls: None,
            filter: match &extra.filter {
                ExtraFilter::None => Filter::None,
                ExtraFilter::Plain(wasm) => Filter::Plain { wasm: wasm.clone() },
                ExtraFilter::Bursar => own.clone(),
                ExtraFilter::Other(wasm) => own.clone().with_module(wasm, &extra.name),
            },
            upstream: extra.upstream.unwrap_or(upstream),
            provider: None,
            upstream_http2: self.upstream_http2,
            routes: Vec::new(),
        }));
        Ok(listeners)
    }

    fn filter(&self, number: usize, edge_token: &str) -> Result<Filter> {
        let mut plugin = json!({
            "ledger": {"cluster": "ledger", "token": edge_token},
            "headers": self.headers.as_str(),
            "label": format!("envoy-{number}"),
        });
        merge(&mut plugin, &self.plugin);
        Ok(Filter::Bursar { wasm: self.tools.wasm()?.to_path_buf(), headers: self.headers, plugin })
    }
}

/// The catalog of the ModelStack page.
#[must_use]
pub fn default_catalog() -> PathBuf {
    repository().join("envoy/catalogs/modelstack.yaml")
}

/// Replaces members of `base` by those of `over`, objects member by member.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

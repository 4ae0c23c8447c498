//! A ledger in this process on a port of its own, and a client that shows answers as they are.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger::http::{App, Token, Tokens, serve};
use ledger::metrics::Metrics;
use ledger::service::Service;
use ledger::{config, engine};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

pub const ADMIN: &str = "admin-token-of-the-tests";
pub const EDGE: &str = "edge-token-of-the-tests";
pub const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/catalog.yaml");

/// A running ledger; ends gracefully when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub service: Arc<dyn Service>,
    shutdown: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    runtime: Runtime,
    folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Server {
    pub fn start() -> Self {
        Self::on(Path::new(CATALOG), engine::Delivery::default())
    }

    /// A ledger that delivers webhooks in its own time.
    pub fn delivering(delivery: engine::Delivery) -> Self {
        Self::on(Path::new(CATALOG), delivery)
    }

    /// On a catalog that is written in the test.
    pub fn with_catalog(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.yaml");
        std::fs::write(&path, text).unwrap();
        Self::on(&path, engine::Delivery::default())
    }

    /// On one of the catalogs of the price pages.
    pub fn page(name: &str) -> Self {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../envoy/catalogs"));
        Self::on(&folder.join(name), engine::Delivery::default())
    }

    fn on(catalog: &Path, delivery: engine::Delivery) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let context = runtime.enter();
        let metrics = Arc::new(Metrics::default());
        let catalog = config::load_catalog(catalog).unwrap();
        let store = folder.path().join("ledger.db");
        let service =
            engine::open(engine::Options { store, catalog, metrics: Arc::clone(&metrics), delivery })
                .unwrap();
        let tokens = Tokens::new(Token::new(ADMIN).unwrap(), Token::new(EDGE).unwrap()).unwrap();
        let router = App::new(Arc::clone(&service), metrics, tokens).unwrap().router();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, ended) = oneshot::channel();
        let served = runtime.spawn(async move {
            serve(listener, router, async move {
                let _ = ended.await;
            })
            .await
            .unwrap();
        });
        drop(context);
        Self { address, service, shutdown: Some(shutdown), served: Some(served), runtime, folder }
    }

    /// Checks the books while the server runs.
    pub fn verify(&self) -> ledger::store::Report {
        ledger::store::verify(&self.folder.path().join("ledger.db")).unwrap()
    }

    /// Asks the server to end and waits until it has.
    pub fn stop(&mut self) {
        if let (Some(shutdown), Some(served)) = (self.shutdown.take(), self.served.take()) {
            let _ = shutdown.send(());
            self.runtime.block_on(served).unwrap();
            self.runtime.block_on(self.service.close()).unwrap();
        }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[("authorization", &bearer(ADMIN))], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, &[], body)
    }

    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.write("POST", path, headers, &body.to_string())
    }

    /// A write with the admin token and a JSON content type.
    pub fn write(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let authorization = bearer(ADMIN);
        let mut all = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        self.call(method, path, &all, Some(body.as_bytes()))
    }

    pub fn edge(&self, body: &impl serde::Serialize) -> Reply {
        let authorization = bearer(EDGE);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.call("POST", wire::SYNC_PATH, &headers, Some(&serde_json::to_vec(body).unwrap()))
    }

    /// Exactly this call.
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        call(self.address, method, path, headers, body)
    }

    /// An account on a plan.
    pub fn account(&self, id: &str, plan: &str) {
        let reply = self.post("/v1/accounts", &serde_json::json!({"id": id, "plan": plan}));
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON of a success.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The problem of a refusal, which must have the RFC 9457 form.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:bursar:problem:{code}"));
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem
    }
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A call to any address.
pub fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Reply {
    try_call(address, method, path, headers, body).unwrap()
}

/// A call to an address where perhaps nobody answers.
pub fn try_call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Reply, ureq::Error> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(30)));
    let agent = Agent::new_with_config(config.build());
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = match body {
        Some(body) => agent.run(request.body(body).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    }?;
    let text = response.body_mut().read_to_string()?;
    Ok(Reply { status: response.status().as_u16(), headers: response.headers().clone(), text })
}

//! What stands behind Envoy while it is measured: real keep-alive hops that cost as little as possible.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::child::{Child, found_on_path};
use crate::pace::{Paced, Step};
use crate::wait;

/// The size of a plain answer.
const ANSWER_BYTES: usize = 2_048;
/// The events of a streamed answer, without `[DONE]`.
const EVENTS: usize = 100;

/// The flags of the hidden command `provider`: an upstream in a process of its own.
#[derive(Args, Clone, Debug)]
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
}

/// A running upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// What it is, for people.
    pub name: &'static str,
    _child: Child,
}

impl Upstream {
    /// nginx with a fixed plain answer, or this program where there is no nginx.
    ///
    /// # Errors
    /// It does not start.
    pub async fn plain(folder: &Path, core: usize) -> Result<Self> {
        let Some(nginx) = found_on_path("nginx") else { return Self::own(folder, core).await };
        let address = free_address()?;
        let config = folder.join("nginx.conf");
        std::fs::write(&config, nginx_config(folder, address))?;
        let text = |path: &Path| path.display().to_string();
        let errors = folder.join("nginx.error");
        let args = ["-p", &text(folder), "-e", &text(&errors), "-c", &text(&config)].map(str::to_owned);
        let child = Child::start_on(Some(core), "nginx", &nginx, &args, &[], &folder.join("nginx.log"))?;
        ready(Self { address, name: "nginx", _child: child }).await
    }

    /// This program, which also streams.
    ///
    /// # Errors
    /// It does not start.
    pub async fn own(folder: &Path, core: usize) -> Result<Self> {
        let address = free_address()?;
        let program = std::env::current_exe()?;
        let args = ["provider".to_owned(), address.to_string()];
        let log = folder.join("provider.log");
        let child = Child::start_on(Some(core), "provider", &program, &args, &[], &log)?;
        ready(Self { address, name: "testbed", _child: child }).await
    }
}

impl Provider {
    /// Serves until the process is ended.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn run(&self) -> Result<()> {
        let listener = tokio::net::TcpListener::bind(self.address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Paced>, Infallible> {
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let streamed = body.windows(13).any(|window| window == b"\"stream\":true");
    let (kind, body) = if streamed {
        ("text/event-stream", Paced::new(events(), ()))
    } else {
        ("application/json", Paced::new([Step::Data(Bytes::from(plain_answer()))], ()).with_length())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

/// A plain answer of exactly 2 KB.
fn plain_answer() -> String {
    let begin = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let end = r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":400,"completion_tokens":50,"total_tokens":450}}"#;
    let content = "tok ".repeat(ANSWER_BYTES);
    let room = ANSWER_BYTES.saturating_sub(begin.len()).saturating_sub(end.len());
    format!("{begin}{}{end}", content.get(..room).unwrap_or_default())
}

/// Events that are written apart, as a provider writes them.
fn events() -> Vec<Step> {
    let event = |choices: &str, usage: &str| {
        let head = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"bench","#;
        Step::Data(Bytes::from(format!("{head}\"choices\":[{choices}],\"usage\":{usage}}}\n\n")))
    };
    let content = r#"{"index":0,"delta":{"content":"tok "},"finish_reason":null}"#;
    let usage = r#"{"prompt_tokens":400,"completion_tokens":99,"total_tokens":499}"#;
    let mut steps = Vec::new();
    for _ in 1..EVENTS {
        steps.extend([event(content, "null"), Step::Yield]);
    }
    steps.extend([event("", usage), Step::Data(Bytes::from_static(b"data: [DONE]\n\n"))]);
    steps
}

async fn ready(upstream: Upstream) -> Result<Upstream> {
    wait::until_true("the upstream is ready", Duration::from_secs(10), || async {
        Ok(crate::http::reachable(upstream.address).await.is_ok())
    })
    .await?;
    Ok(upstream)
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?)
}

fn nginx_config(folder: &Path, address: SocketAddr) -> String {
    let temp = |name: &str| format!("{name}_temp_path {}/{name};", folder.display());
    let temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temp).join(" ");
    format!(
        "daemon off; worker_processes 1; pid {}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; {temps}\n\
         server {{ listen {address}; location / {{ default_type application/json; return 200 '{}'; }} }} }}\n",
        folder.display(),
        plain_answer()
    )
}

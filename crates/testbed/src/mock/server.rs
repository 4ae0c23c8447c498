//! The mock provider's server, and the admin server that shows its record.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::answer::{Asked, Plan};
use super::record::{Ended, Record, Seen};
use super::script::{SCRIPT_HEADER, Script, TAG_HEADER, Tokens};
use crate::pace::{End, Paced, Turns, Watch};

/// A running mock provider; ends when dropped.
#[derive(Debug)]
pub struct Mock {
    /// Where it answers.
    pub address: SocketAddr,
    /// Where it shows its record: `GET /_record`, `DELETE /_record`.
    pub admin: SocketAddr,
    /// Its record.
    pub record: Record,
    waiting: Waiting,
    tasks: [JoinHandle<()>; 2],
}

/// How long the listener rests when no connection can be taken.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// The turns of the answers that are sent so, by the name of their request.
type Waiting = Arc<Mutex<HashMap<String, Turns>>>;

fn turns_of(waiting: &Waiting, tag: &str) -> Turns {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).entry(tag.to_owned()).or_default().clone()
}

/// A connection's socket, to make it end with a reset.
type Socket = Arc<std::net::TcpStream>;

impl Mock {
    /// Starts on free ports of the loopback interface.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start() -> Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts at this address; its admin server on a free port of the loopback interface.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let record = Record::default();
        let provider = TcpListener::bind(address).await.context("failed to bind the mock provider")?;
        let admin = TcpListener::bind("127.0.0.1:0").await.context("failed to bind the mock provider")?;
        let (address, admin_address) = (provider.local_addr()?, admin.local_addr()?);
        let waiting = Waiting::default();
        let tasks = [
            tokio::spawn(serve(provider, record.clone(), waiting.clone())),
            tokio::spawn(serve_admin(admin, record.clone())),
        ];
        Ok(Self { address, admin: admin_address, record, waiting, tasks })
    }

    /// Lets the answer to the request of this name send its next piece ([`Script::in_turns`]).
    pub fn turn(&self, tag: &str) {
        turns_of(&self.waiting, tag).add();
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn serve(listener: TcpListener, record: Record, waiting: Waiting) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, for one: the next connections may be taken again.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        tokio::spawn(connection(stream, record.clone(), waiting.clone()));
    }
}

async fn connection(stream: TcpStream, record: Record, waiting: Waiting) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket: Socket = Arc::new(stream.try_clone()?);
    let io = TokioIo::new(TcpStream::from_std(stream)?);
    let service = service_fn(move |request| answer(request, record.clone(), waiting.clone(), socket.clone()));
    let server = auto::Builder::new(TokioExecutor::new());
    // A broken connection is what some tests ask for.
    let _ = server.serve_connection_with_upgrades(io, service).await;
    Ok(())
}

async fn answer(
    mut request: Request<Incoming>,
    record: Record,
    waiting: Waiting,
    socket: Socket,
) -> Result<Response<Paced<Account>>> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<(String, String)> =
        request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let script = request.headers().get(SCRIPT_HEADER).map(|value| serde_json::from_slice(value.as_bytes()));
    let script: Script = script.transpose().context("the x-mock header is no script")?.unwrap_or_default();
    let http2 = request.version() == Version::HTTP_2;
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let tag = request.headers().get(TAG_HEADER).map(text);
    let turns = tag.as_deref().filter(|_| script.in_turns).map(|tag| turns_of(&waiting, tag));
    let script = match (&tag, script.failing) {
        (Some(tag), Some(_)) => script.of_try(record.tagged(tag).len().saturating_add(1)),
        _ => script,
    };
    let seq = record.begin(Seen {
        tag,
        method: method.clone(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        http2,
        headers: headers.clone(),
        ..Seen::default()
    });
    if request
        .headers()
        .get("upgrade")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
    {
        return Ok(upgraded(&mut request, &record, seq));
    }
    let body = request.into_body();
    let body = if script.early {
        tokio::spawn(read(body, http2, record.clone(), seq));
        Bytes::new()
    } else {
        read(body, http2, record.clone(), seq).await
    };
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let recorded = match &script.replay {
        Some(replay) => Some(tokio::fs::read(&replay.file).await.map(Bytes::from)?),
        None => None,
    };
    let (method, path, query) = (method.as_str(), path.as_str(), query.as_str());
    let (headers, body, turns) = (&headers, &body, turns.unwrap_or_default());
    let asked = Asked { seq, method, path, query, headers, body, json: &json, recorded, turns };
    let plan = Plan::new(&script, &asked);
    record.update(seq, |seen| {
        seen.model = json.get("model").and_then(Value::as_str).map(str::to_owned);
        seen.stream = json.get("stream") == Some(&Value::Bool(true));
        seen.tokens = plan.tokens;
    });
    tokio::time::sleep(Duration::from_millis(script.head_delay_ms)).await;
    let reset = script.cut.filter(|cut| !cut.fin && !http2).map(|_| socket);
    let mut account = Account { record, seq, reset, reports: plan.reports.clone(), sent: 0 };
    if plan.headless {
        account.breaking();
        account.ended(End::Broken);
        anyhow::bail!("broken off before the head");
    }
    account.record.update(seq, |seen| seen.status = plan.status);
    Ok(response(plan, account))
}

fn response(plan: Plan, account: Account) -> Response<Paced<Account>> {
    let body = Paced::new(plan.steps, account);
    let length = plan.length.filter(|_| plan.content_type.is_some());
    let mut response = Response::new(match length {
        Some(length) => body.announcing(length),
        None => body,
    });
    *response.status_mut() = StatusCode::from_u16(plan.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = plan.content_type.map(|kind| ("content-type".to_owned(), kind));
    for (name, value) in plan.headers.into_iter().chain(kind) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Reads a request's body to its end, noting how far it came.
async fn read(mut body: Incoming, http2: bool, record: Record, seq: usize) -> Bytes {
    let mut whole = BytesMut::new();
    let complete = loop {
        match body.frame().await {
            // The library takes a reset with CANCEL for an end.
            None => break !http2 || body.is_end_stream(),
            Some(Err(_)) => break false,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    whole.extend_from_slice(&data);
                    record.update(seq, |seen| seen.body_bytes = whole.len());
                }
            }
        }
    };
    record.update(seq, |seen| seen.note_body(&whole, complete));
    whole.freeze()
}

/// Accepts an upgrade and sends back what comes.
fn upgraded(request: &mut Request<Incoming>, record: &Record, seq: usize) -> Response<Paced<Account>> {
    let upgrade = hyper::upgrade::on(request);
    record.update(seq, |seen| (seen.complete, seen.status) = (true, 101));
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await?);
        let mut buffer = [0; 1024];
        loop {
            let n = io.read(&mut buffer).await?;
            if n == 0 {
                return Ok::<(), anyhow::Error>(());
            }
            io.write_all(buffer.get(..n).unwrap_or_default()).await?;
        }
    });
    let account = Account { record: record.clone(), seq, reset: None, reports: Vec::new(), sent: 0 };
    let mut response = Response::new(Paced::new([], account));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    response
}

/// Writes into the record how an answer goes.
#[derive(Debug)]
struct Account {
    record: Record,
    seq: usize,
    reset: Option<Socket>,
    reports: Vec<(usize, Tokens)>,
    sent: usize,
}

impl Watch for Account {
    fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
        let reported =
            self.reports.iter().rev().find(|(end, _)| *end <= self.sent).map(|(_, tokens)| *tokens);
        let sent = self.sent;
        self.record.update(self.seq, |seen| {
            seen.sent_bytes = sent;
            seen.reported = reported;
        });
    }

    fn breaking(&mut self) {
        if let Some(socket) = self.reset.take() {
            // Where the option is refused the connection ends in order instead.
            let _ = socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
        }
    }

    fn ended(&mut self, end: End) {
        // The socket is closed with the last handle to it.
        self.reset = None;
        self.record.update(self.seq, |seen| {
            seen.ended = match end {
                End::Complete => Ended::Complete,
                End::Broken => Ended::Broken,
                End::Abandoned => Ended::Abandoned,
            };
        });
    }
}

async fn serve_admin(listener: TcpListener, record: Record) {
    while let Ok((stream, _)) = listener.accept().await {
        let record = record.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let reply = admin(&request, &record);
            async move { Ok::<_, Infallible>(reply) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

fn admin(request: &Request<Incoming>, record: &Record) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/_record") => (200, serde_json::to_string(&record.all()).unwrap_or_default()),
        (&Method::DELETE, "/_record") => {
            record.reset();
            (204, String::new())
        }
        _ => (404, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

//! An HTTP client for tests: one connection a request (several: [`crate::session`]), nothing retried, nothing
//! hidden.
//!
//! It can send a body in pieces, read an answer as it comes, and hang up at any moment. HTTP/1.1 and
//! HTTP/2, each with TLS or without.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Version};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::pace::{Paced, Step};
use crate::session::{Connection, Session};
use crate::tls::Trust;

/// How long a whole exchange may take.
pub(crate) const EXCHANGE_WITHIN: Duration = Duration::from_secs(15);

/// Where requests go, and how.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The server.
    pub address: SocketAddr,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Whom it trusts, where TLS is spoken.
    pub tls: Option<Trust>,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    steps: Vec<Step>,
    chunked: bool,
}

/// An answer whose body is still coming. Dropping it hangs up.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    http2: bool,
    /// Kept as long as the answer comes, where the connection is its alone.
    connection: Option<Connection>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it came.
    pub body: Bytes,
    /// The trailers.
    pub trailers: Option<HeaderMap>,
    /// Why the body broke off, if it did.
    pub broken: Option<String>,
}

// === impl Client ===

impl Client {
    /// A client that speaks HTTP/1.1.
    #[must_use]
    pub const fn http1(address: SocketAddr) -> Self {
        Self { address, http2: false, tls: None }
    }

    /// A client that speaks HTTP/2.
    #[must_use]
    pub const fn http2(address: SocketAddr) -> Self {
        Self { address, http2: true, tls: None }
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// No connection, or no head came.
    pub async fn open(&self, request: Request) -> Result<Reply> {
        tokio::time::timeout(EXCHANGE_WITHIN, self.open_untimed(request))
            .await
            .context("no answer: the exchange hangs")?
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// As [`Client::open`]; a body that breaks off is no error but [`Answer::broken`].
    pub async fn send(&self, request: Request) -> Result<Answer> {
        self.open(request).await?.whole().await
    }

    async fn open_untimed(&self, request: Request) -> Result<Reply> {
        let mut session = Session::connect(*self).await?;
        let reply = session.open(request).await?;
        Ok(Reply { connection: Some(session.into_connection()), ..reply })
    }
}

// === impl Request ===

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        Self { method, path: path.to_owned(), headers: HeaderMap::new(), steps: Vec::new(), chunked: false }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).header("content-type", "application/json").body(body.to_string())
    }

    /// Adds a header. A name or value that HTTP does not allow is left out: such requests are made
    /// with [`crate::raw`].
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.append(name, value);
        }
        self
    }

    /// Adds an API key as `authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Sets the body, with its length announced.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.steps = vec![Step::Data(body.into())];
        self.chunked = false;
        self
    }

    /// Sets the body's steps; its length is not announced.
    #[must_use]
    pub fn steps(mut self, steps: Vec<Step>) -> Self {
        self.steps = steps;
        self.chunked = true;
        self
    }

    pub(crate) fn build(self, client: Client) -> Result<hyper::Request<Paced>> {
        let scheme = if client.tls.is_some() { "https" } else { "http" };
        let uri =
            if client.http2 { format!("{scheme}://{}{}", client.address, self.path) } else { self.path };
        let mut request = hyper::Request::builder().method(self.method).uri(uri);
        if let Some(headers) = request.headers_mut() {
            *headers = self.headers;
            if !client.http2 {
                headers.insert("host", client.address.to_string().parse()?);
            }
        }
        let body = Paced::new(self.steps, ());
        Ok(request.body(if self.chunked { body } else { body.with_length() })?)
    }
}

// === impl Reply ===

impl Reply {
    pub(crate) fn new(response: hyper::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let http2 = head.version == Version::HTTP_2;
        Self { status: head.status.as_u16(), headers: head.headers, body, http2, connection: None }
    }

    /// The next piece of the body, as it came.
    ///
    /// # Errors
    /// The body broke off or hangs.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(EXCHANGE_WITHIN, self.body.frame()).await;
            match frame.context("the answer hangs")? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The rest of the answer.
    ///
    /// # Errors
    /// It hangs.
    pub async fn whole(mut self) -> Result<Answer> {
        let mut body = BytesMut::new();
        let mut trailers = None;
        let broken = loop {
            let frame = tokio::time::timeout(EXCHANGE_WITHIN, self.body.frame()).await;
            match frame.context("the answer hangs")? {
                None => {
                    // The library takes a reset with NO_ERROR or CANCEL for an end.
                    let whole = !self.http2 || self.body.is_end_stream();
                    break (!whole).then(|| "the stream was reset".to_owned());
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => break Some(error.to_string()),
            }
        };
        drop(self.connection);
        Ok(Answer { status: self.status, headers: self.headers, body: body.freeze(), trailers, broken })
    }

    /// Hangs up.
    pub fn hang_up(self) {
        drop(self);
    }
}

// === impl Answer ===

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON: {} {}", self.status, self.text()))
    }

    /// The same, if it has this status and is whole.
    ///
    /// # Errors
    /// Another status came, or the body broke off.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "expected {status}, got {}: {}", self.status, self.text());
        ensure!(self.broken.is_none(), "the body broke off: {}", self.broken.unwrap_or_default());
        Ok(self)
    }

    /// The payloads of the server-sent events in the body.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let text = self.text();
        let events = text.split("\n\n").filter_map(|event| event.trim_start().strip_prefix("data:"));
        events.map(|payload| payload.trim().to_owned()).collect()
    }
}

/// Whether something answers at this address.
///
/// # Errors
/// Nothing listens there.
pub async fn reachable(address: SocketAddr) -> io::Result<()> {
    TcpStream::connect(address).await.map(drop)
}

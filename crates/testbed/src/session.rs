//! A connection that carries several requests, in turn or, on HTTP/2, at once.
//!
//! Dropping an answer, or the future that waits for one, cancels that request alone on HTTP/2; on HTTP/1 it
//! costs the connection.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::http::{Answer, Client, EXCHANGE_WITHIN, Reply, Request};
use crate::pace::Paced;
use crate::tls::Stream;

/// How long a connection that is still there may take to be ready for the next request.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// A connection to a server.
#[derive(Debug)]
pub struct Session {
    client: Client,
    sender: Sender,
    connection: Connection,
    socket: std::net::TcpStream,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Paced>),
    Http2(http2::SendRequest<Paced>),
}

/// Ends the connection's task with its owner.
#[derive(Debug)]
pub(crate) struct Connection(JoinHandle<()>);

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// Nothing listens there.
    pub async fn connect(client: Client) -> Result<Self> {
        let stream = TcpStream::connect(client.address).await;
        let stream = stream.with_context(|| format!("failed to connect to {}", client.address))?;
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let socket = stream.try_clone()?;
        let stream = TcpStream::from_std(stream)?;
        let stream: Box<dyn Stream> = match &client.tls {
            Some(trust) => Box::new(trust.connect(stream, client.address, client.http2).await?),
            None => Box::new(stream),
        };
        let io = TokioIo::new(stream);
        let (sender, connection) = if client.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            (Sender::Http2(sender), Connection::run(connection))
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            (Sender::Http1(sender), Connection::run(connection.with_upgrades()))
        };
        Ok(Self { client, sender, connection, socket })
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// The connection has gone, or no head came.
    pub async fn open(&mut self, request: Request) -> Result<Reply> {
        let request = request.build(self.client)?;
        let response = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    // The end of the last answer may not have been noted yet.
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => sender.send_request(request).await,
            }
        };
        let response = tokio::time::timeout(EXCHANGE_WITHIN, response).await;
        Ok(Reply::new(response.context("no answer: the exchange hangs")?.context("no answer")?))
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn send(&mut self, request: Request) -> Result<Answer> {
        self.open(request).await?.whole().await
    }

    /// Whether the connection takes another request.
    pub async fn is_open(&mut self) -> bool {
        let ready = async {
            match &mut self.sender {
                Sender::Http1(sender) => sender.ready().await.is_ok(),
                Sender::Http2(sender) => sender.ready().await.is_ok(),
            }
        };
        tokio::time::timeout(READY_WITHIN, ready).await.unwrap_or(false)
    }

    /// Closes with a reset instead of an orderly end.
    ///
    /// # Errors
    /// The socket refuses the option.
    pub fn reset(self) -> Result<()> {
        Ok(socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))?)
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }
}

impl Connection {
    fn run<F, E>(connection: F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        Self(tokio::spawn(async move {
            // How it ended shows in the exchange itself.
            let _ = connection.await;
        }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

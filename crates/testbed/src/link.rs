//! The line between Envoy and the ledger, which tests make as bad as they like.
//!
//! A TCP proxy with one fault at a time for all connections. Changing the fault cuts the connections
//! that are open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What is wrong with the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Nobody listens: connections are refused.
    Refuse,
    /// Connections are accepted and reset at once.
    Reset,
    /// Requests arrive, nothing ever comes back.
    Silence,
    /// Answers come this much later.
    Delay(Duration),
    /// Each request is answered with these bytes; the ledger hears nothing.
    Answer(Vec<u8>),
    /// Requests are served, their answers get lost: the connection is cut instead.
    LoseAnswers,
    /// Of each answer only the first half arrives, then the connection is cut.
    HalveAnswers,
}

impl Fault {
    /// Each request is answered with this status by somebody who is not the ledger.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let head = format!(
            "HTTP/1.1 {status} Broken\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nbroken"
        );
        Self::Answer(head.into_bytes())
    }

    /// Each request is answered 200 with a body that makes no sense, with the ledger's marker.
    #[must_use]
    pub fn garbage(body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-bursar-ledger: someone\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        Self::Answer(head.into_bytes())
    }
}

/// The line.
#[derive(Debug)]
pub struct Link {
    /// Where Envoy finds it.
    pub address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    fault: watch::Sender<Fault>,
    changes: mpsc::Sender<()>,
    changed: mpsc::Receiver<()>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Link {
    /// A line to `target`.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to bind the link")?;
        let address = listener.local_addr()?;
        let (target, targets) = watch::channel(target);
        let (fault, faults) = watch::channel(Fault::None);
        let (changes, changed) = mpsc::channel(1);
        let connections = Arc::new(AtomicUsize::new(0));
        let shared = Shared { targets, faults, connections: connections.clone() };
        let task = tokio::spawn(run(listener, address, shared, changes.clone()));
        Ok(Self { address, target, fault, changes, changed, connections, task })
    }

    /// Leads to another address from the next connection on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Sets the fault and waits until it is in force.
    ///
    /// # Errors
    /// The port could not be bound again.
    pub async fn set(&mut self, fault: Fault) -> Result<()> {
        self.fault.send_replace(fault);
        let changed = tokio::time::timeout(Duration::from_secs(5), self.changed.recv()).await;
        changed.ok().flatten().context("the link did not change")
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        // Kept open until here so that the task's sends never block on a closed channel.
        let _ = self.changes.try_send(());
    }
}

#[derive(Clone)]
struct Shared {
    targets: watch::Receiver<SocketAddr>,
    faults: watch::Receiver<Fault>,
    connections: Arc<AtomicUsize>,
}

async fn run(listener: TcpListener, address: SocketAddr, mut shared: Shared, changes: mpsc::Sender<()>) {
    let mut listener = Some(listener);
    loop {
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                if let Ok(stream) = accepted {
                    shared.connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(connection(stream, shared.clone()));
                }
            }
            change = shared.faults.changed() => {
                if change.is_err() {
                    return;
                }
                let refuse = *shared.faults.borrow_and_update() == Fault::Refuse;
                match (refuse, listener.is_some()) {
                    (true, _) => listener = None,
                    (false, true) => {}
                    (false, false) => match bind(address) {
                        Ok(bound) => listener = Some(bound),
                        Err(_) => return,
                    },
                }
                if changes.send(()).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// Serves one connection until it ends or the fault changes.
async fn connection(client: TcpStream, mut shared: Shared) {
    let fault = shared.faults.borrow_and_update().clone();
    let target = *shared.targets.borrow();
    tokio::select! {
        // A broken connection is this proxy's trade.
        _ = carry(client, target, fault) => {}
        _ = shared.faults.changed() => {}
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, fault: Fault) -> Result<()> {
    client.set_nodelay(true)?;
    match fault {
        Fault::Refuse => Ok(()),
        Fault::Reset => Ok(socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?),
        Fault::Silence => swallow(&mut client).await,
        Fault::Answer(answer) => {
            while request(&mut client).await? {
                client.write_all(&answer).await?;
            }
            Ok(())
        }
        Fault::None => {
            let mut server = TcpStream::connect(target).await?;
            server.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        }
        Fault::Delay(_) | Fault::LoseAnswers | Fault::HalveAnswers => disturbed(client, target, fault).await,
    }
}

/// Requests pass, answers do not pass as they should.
async fn disturbed(client: TcpStream, target: SocketAddr, fault: Fault) -> Result<()> {
    let server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        anyhow::Ok(())
    };
    let answers = async {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let n = from_server.read(&mut buffer).await?;
            let read = buffer.get(..n).unwrap_or_default();
            match fault {
                _ if n == 0 => return Ok(()),
                Fault::Delay(time) => {
                    tokio::time::sleep(time).await;
                    to_client.write_all(read).await?;
                }
                Fault::HalveAnswers => {
                    return Ok(to_client.write_all(read.get(..n / 2).unwrap_or_default()).await?);
                }
                _ => return Ok(()),
            }
        }
    };
    tokio::select! {
        end = requests => end,
        end = answers => end,
    }
}

async fn swallow(client: &mut TcpStream) -> Result<()> {
    let mut buffer = vec![0; 16 << 10];
    while client.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads one HTTP/1 request with a length; false at the end of the connection.
async fn request(client: &mut TcpStream) -> Result<bool> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if read.len() >= head.len().saturating_add(4).saturating_add(length) {
                return Ok(true);
            }
        }
        let mut buffer = vec![0; 16 << 10];
        let n = client.read(&mut buffer).await?;
        if n == 0 {
            return Ok(false);
        }
        read.extend_from_slice(buffer.get(..n).unwrap_or_default());
    }
}

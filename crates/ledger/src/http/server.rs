//! The listener: connections with bounds, and an end that waits for what is under way.
//!
//! HTTP/1.1 without TLS: the ledger binds loopback, or stands behind something that speaks TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Why the server ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Accept(#[source] std::io::Error),
}

/// The most connections at once; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 1_024;
/// The longest that a connection may take over a request's head, or idle before it: above the 60 s after
/// which clients usually close idle connections, so that it is they who close.
const HEAD_TIME_MAX: Duration = Duration::from_secs(75);
/// The longest that an ending server waits for what is under way: above the time limit of a call.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);
/// The rest after the listener has failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` resolves, then takes no more connections and ends those there are: idle ones
/// at once, others after the call that is under way.
///
/// # Errors
/// [`ServeError::Accept`] where the listener itself is broken.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (closing, _) = watch::channel(());
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), closing.subscribe());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) if is_passing(&error) => tokio::time::sleep(ACCEPT_PAUSE).await,
            Err(error) => return Err(ServeError::Accept(error)),
        }
    }
    drop(listener);
    closing.send_replace(());
    // Every connection holds a receiver until its end.
    if tokio::time::timeout(DRAIN_TIME_MAX, closing.closed()).await.is_err() {
        tracing::warn!("calls still under way were cut off");
    }
    Ok(())
}

/// One connection, until either side ends it or the server closes.
async fn connection(stream: TcpStream, router: Router, mut closing: watch::Receiver<()>) {
    // Answers are small and complete: nothing is gained by holding segments back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let called = AtomicBool::new(false);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        called.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = closing.changed() => {
            // Nobody waits for an answer where nobody has asked; the library would wait for a first call.
            if !called.load(Ordering::Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Whether accepting may succeed again: a connection that went away, or no descriptor free just now.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    const NO_PROCESS_DESCRIPTOR: i32 = 24;
    const NO_SYSTEM_DESCRIPTOR: i32 = 23;
    let gone = matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused | Kind::Interrupted
    );
    gone || matches!(error.raw_os_error(), Some(NO_PROCESS_DESCRIPTOR | NO_SYSTEM_DESCRIPTOR))
}

//! The listener: connections with bounds, and an end that waits for what is under way.
//!
//! HTTP/1.1 without TLS: the ledger binds loopback, or stands behind something that speaks TLS.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

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
    let graceful = GracefulShutdown::new();
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
                let connection = graceful.watch(connection(stream, router.clone()));
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) if is_passing(&error) => tokio::time::sleep(ACCEPT_PAUSE).await,
            Err(error) => return Err(ServeError::Accept(error)),
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("calls still under way were cut off");
    }
    Ok(())
}

fn connection(
    stream: TcpStream,
    router: Router,
) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>> {
    // Answers are small and complete: nothing is gained by holding segments back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
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

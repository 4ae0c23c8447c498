//! A message body that is sent in chosen pieces at chosen times, and may break off.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// One step of sending a body.
#[derive(Debug)]
pub enum Step {
    /// Nothing for a while.
    Wait(Duration),
    /// Nothing until somebody says so.
    Turn(Turns),
    /// What was sent so far is written out before the next step.
    Yield,
    /// A piece.
    Data(Bytes),
    /// Trailers.
    Trailers(HeaderMap),
    /// The body breaks off: HTTP/1 loses the connection, HTTP/2 resets the stream.
    Break,
}

/// What [`Step::Turn`] waits for: each turn that is added lets one step pass.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Turns {
    /// Lets one step pass.
    pub fn add(&self) {
        self.0.add_permits(1);
    }

    async fn taken(self) {
        // It is never closed.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// What a body waits for.
struct Pause(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pause")
    }
}

/// How the sending of a body went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was handed over.
    Complete,
    /// It broke off as planned.
    Broken,
    /// The other side went away first.
    Abandoned,
}

/// Told what is sent, and once how it ended.
pub trait Watch: Send + 'static {
    /// So many bytes more were handed over.
    fn sent(&mut self, bytes: usize);
    /// A step that breaks the body is about to be taken.
    fn breaking(&mut self) {}
    /// Sending is over.
    fn ended(&mut self, end: End);
}

impl Watch for () {
    fn sent(&mut self, _bytes: usize) {}
    fn ended(&mut self, _end: End) {}
}

/// A body made of steps.
#[derive(Debug)]
pub struct Paced<W: Watch = ()> {
    steps: VecDeque<Step>,
    pause: Option<Pause>,
    exact: Option<u64>,
    end: Option<End>,
    watch: W,
}

impl<W: Watch> Paced<W> {
    /// A body of these steps.
    pub fn new(steps: impl IntoIterator<Item = Step>, watch: W) -> Self {
        Self { steps: steps.into_iter().collect(), pause: None, exact: None, end: None, watch }
    }

    /// The same, announcing this length up front, whether it keeps to it or not.
    #[must_use]
    pub fn announcing(mut self, length: u64) -> Self {
        self.exact = Some(length);
        self
    }

    /// The same, announcing its length up front.
    #[must_use]
    pub fn with_length(mut self) -> Self {
        let data = |step: &Step| if let Step::Data(piece) = step { piece.len() as u64 } else { 0 };
        self.exact = Some(self.steps.iter().map(data).sum());
        self
    }

    fn end(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.watch.ended(end);
        }
    }
}

impl<W: Watch + Unpin> Body for Paced<W> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.0.as_mut().poll(context));
                self.pause = None;
            }
            match self.steps.pop_front() {
                Some(Step::Wait(time)) => self.pause = Some(Pause(Box::pin(sleep(time)))),
                Some(Step::Turn(turns)) => self.pause = Some(Pause(Box::pin(turns.taken()))),
                Some(Step::Yield) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Data(piece)) => {
                    self.watch.sent(piece.len());
                    if self.steps.is_empty() {
                        self.end(End::Complete);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Step::Trailers(trailers)) => {
                    self.end(End::Complete);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Some(Step::Break) => {
                    self.watch.breaking();
                    self.end(End::Broken);
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
                None => {
                    self.end(End::Complete);
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.exact.map_or_else(hyper::body::SizeHint::default, hyper::body::SizeHint::with_exact)
    }
}

impl<W: Watch> Drop for Paced<W> {
    fn drop(&mut self) {
        let end = if self.steps.is_empty() { End::Complete } else { End::Abandoned };
        self.end(end);
    }
}

//! What the core asks of its host: verdicts about the stream at hand, and effects from the root.

use std::borrow::Cow;
use std::rc::Rc;

use usage::request::edit::Edit;

use crate::reply::Reply;

/// Whether the stream goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    #[default]
    Continue,
    /// It waits.
    Pause,
}

/// A change of the headers at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Remove a header.
    Remove(Rc<str>),
    /// Set a header.
    Set(&'static str, Cow<'static, str>),
    /// Set a header whose name the configuration or the plan gives.
    Forward(Rc<str>, String),
}

/// What to do with the body at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BodyEdit {
    /// Nothing.
    #[default]
    Keep,
    /// Drop these many bytes: all that there are.
    Drop(usize),
    /// Edit its beginning.
    Prefix(Vec<Edit>),
    /// Put other bytes in place of these many: all that there are.
    Replace(usize, Vec<u8>),
}

/// The answer to one callback of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the stream goes on.
    pub flow: Flow,
    /// Changes of the headers of this direction; empty where they cannot be changed in this phase.
    pub headers: Vec<HeaderEdit>,
    /// Change of the body of this direction.
    pub body: BodyEdit,
    /// A local reply that ends the request.
    pub reply: Option<Box<Reply>>,
}

impl Verdict {
    /// Go on.
    #[must_use]
    pub fn go() -> Self {
        Self::default()
    }

    /// Wait.
    #[must_use]
    pub fn pause() -> Self {
        Self { flow: Flow::Pause, ..Self::default() }
    }

    /// End the request with a reply.
    #[must_use]
    pub fn reply(reply: Box<Reply>) -> Self {
        Self { flow: Flow::Pause, reply: Some(reply), ..Self::default() }
    }
}

/// A call to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `POST /v1/edge/sync`, by its number: an answer to one that was given up is told from the next one's.
    Sync(u64),
    /// `GET /v1/edge/catalog`, of a version.
    Catalog(u64),
}

/// What the root does for the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Let a parked request go on.
    Resume {
        /// The stream.
        context: u32,
        /// Changes to make first, while headers and body are still held.
        verdict: Box<Verdict>,
    },
    /// End a parked request with a reply.
    Reply {
        /// The stream.
        context: u32,
        /// The reply.
        reply: Box<Reply>,
    },
    /// Call the ledger; failing at once counts as a failed call.
    Call {
        /// Which call.
        kind: CallKind,
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// The body.
        body: Vec<u8>,
    },
    /// Wake the VM behind a queue (this one or another worker's).
    Wake {
        /// The queue.
        queue: u32,
    },
    /// Write a warning to the host's log.
    Warn(String),
}

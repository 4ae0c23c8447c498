//! The host as the core sees it: shared data, the time, and carrying out verdicts and effects.

use std::mem::discriminant;
use std::rc::Rc;

use edge::shared::Stale;
use edge::{BodyEdit, CallAnswer, CallKind, Config, Effect, Flow, HeaderEdit, Now, SharedData, Verdict};
use usage::request::edit::{apply, prefix_len};

use crate::Vm;
use crate::abi::{self, Buffer, Level, Map};
use crate::exports::Action;
use crate::pairs::serialise;

/// The longest answer of the ledger that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The message of a VM that wakes itself.
pub const WOKEN_BY_ITSELF: &[u8] = b"i";
/// The message of a VM that wakes another one.
pub const WOKEN_BY_OTHER: &[u8] = b"o";
/// Rounds of effects that effects of the same callback may cause.
const ROUNDS_MAX: usize = 16;

/// The host's shared data.
pub struct Shared;

impl SharedData for Shared {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        abi::shared(key)
    }

    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Stale> {
        if abi::set_shared(key, value, version.unwrap_or(0)) { Ok(()) } else { Err(Stale) }
    }
}

/// Wall clock less monotonic clock, in milliseconds.
pub fn wall_offset_ms() -> i64 {
    let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX);
    ms(abi::wall_ns()).saturating_sub(ms(abi::mono_ns()))
}

impl Vm {
    /// The moment of a callback: one host call.
    pub fn now(&self) -> Now {
        let mono_us = abi::mono_ns() / 1_000;
        let mono_ms = i64::try_from(mono_us / 1_000).unwrap_or(i64::MAX);
        Now { mono_us, wall_ms: mono_ms.saturating_add(self.wall_offset_ms.get()) }
    }

    /// Carries out what a stream's callback has asked for beside its verdict.
    pub fn after_stream(&self) {
        let effects = self.edge.borrow_mut().take_effects();
        for effect in effects {
            match effect {
                Effect::Wake { queue } => self.wake(queue),
                Effect::Warn(text) => abi::log(Level::Warn, &text),
                // Only root callbacks resume, reply and call.
                Effect::Resume { .. } | Effect::Reply { .. } | Effect::Call { .. } => {}
            }
        }
    }

    /// Carries out what a root's callback has asked for.
    pub fn after_root(&self, root: u32, config: &Config) {
        for _ in 0..ROUNDS_MAX {
            let effects = self.edge.borrow_mut().take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out(root, config, effect);
            }
        }
    }

    fn carry_out(&self, root: u32, config: &Config, effect: Effect) {
        match effect {
            Effect::Wake { queue } => self.wake(queue),
            Effect::Warn(text) => abi::log(Level::Warn, &text),
            Effect::Resume { context, verdict } => {
                // A stream that has gone is logged by itself.
                if abi::set_effective_context(context) {
                    let verdict = Verdict { flow: Flow::Continue, ..*verdict };
                    on_request(verdict);
                    abi::continue_request();
                    abi::set_effective_context(root);
                }
            }
            Effect::Reply { context, reply } => {
                if abi::set_effective_context(context) {
                    on_request(Verdict::reply(reply));
                    abi::set_effective_context(root);
                }
            }
            Effect::Call { kind, method, path, body } => self.call(config, kind, method, &path, &body),
        }
    }

    fn wake(&self, queue: u32) {
        if queue != 0 {
            let own = queue == self.edge.borrow().queue();
            // A queue whose VM has gone keeps the message; the tick is the net below.
            abi::enqueue(queue, if own { WOKEN_BY_ITSELF } else { WOKEN_BY_OTHER });
        }
    }

    fn call(&self, config: &Config, kind: CallKind, method: &str, path: &str, body: &[u8]) {
        let ledger = &config.ledger;
        let headers = serialise(&[
            (":method".into(), method.to_owned()),
            (":path".into(), path.to_owned()),
            (":authority".into(), ledger.authority.clone()),
            ("content-type".into(), "application/json".to_owned()),
            ("authorization".into(), format!("Bearer {}", ledger.token)),
        ]);
        let timeout_ms = u32::try_from(ledger.timeout_ms).unwrap_or(u32::MAX);
        match abi::call(&ledger.cluster, &headers, body, timeout_ms) {
            Ok(token) => {
                let mut calls = self.calls.borrow_mut();
                // One of a kind is under way at a time: an older one was given up, as its root has gone.
                calls.retain(|_, other| discriminant(other) != discriminant(&kind));
                calls.insert(token, kind);
            }
            Err(status) => {
                let cluster = &ledger.cluster;
                abi::log(
                    Level::Warn,
                    &format!(
                        "the ledger cluster {cluster:?} cannot be called: the host's status is {status}"
                    ),
                );
                self.edge.borrow_mut().call_answered(&Shared, kind, None, self.now());
            }
        }
    }

    /// Hands the answer of a call to the core.
    pub fn answered(&self, token: u32, body_size: usize) {
        let Some(kind) = self.calls.borrow_mut().remove(&token) else {
            return;
        };
        let status =
            abi::header(Map::Call, ":status").and_then(|status| edge::request::head::decimal(&status));
        let marked = abi::header(Map::Call, "x-bursar-ledger").is_some();
        let body = match body_size {
            0 => Some(Vec::new()),
            1..=ANSWER_BYTES_MAX => abi::buffer(Buffer::Call, 0, body_size),
            _ => None,
        };
        let answer = match (status.and_then(|status| u32::try_from(status).ok()), &body) {
            (Some(status), Some(body)) => Some(CallAnswer { status, marked, body }),
            _ => None,
        };
        self.edge.borrow_mut().call_answered(&Shared, kind, answer, self.now());
    }

    /// Hands the counts since the last tick to the host.
    pub fn flush_metrics(&self) {
        let mut known = self.metrics.borrow_mut();
        for delta in self.edge.borrow_mut().take_metrics() {
            let kind = if delta.gauge { abi::Kind::Gauge } else { abi::Kind::Counter };
            let id = known.get(&delta.name).copied().or_else(|| abi::metric(kind, &delta.name));
            if let Some(id) = id {
                abi::add_metric(id, delta.by);
                known.insert(delta.name, id);
            }
        }
    }
}

/// Carries out a verdict on the request of the effective context.
pub fn on_request(mut verdict: Verdict) -> Action {
    if !edit_body(Buffer::Request, &verdict.body) {
        // The body is as long as it was: another length would smuggle the rest into the next request.
        verdict.headers.retain(|edit| !matches!(edit, HeaderEdit::Set("content-length", _)));
        abi::log(Level::Warn, "a request body could not be edited; its usage will be estimated");
    }
    edit_headers(Map::Request, &verdict.headers);
    reply_or(verdict)
}

/// Carries out a verdict on the answer of the effective context.
pub fn on_response(verdict: Verdict) -> Action {
    edit_headers(Map::Response, &verdict.headers);
    edit_body(Buffer::Response, &verdict.body);
    reply_or(verdict)
}

fn reply_or(verdict: Verdict) -> Action {
    if let Some(reply) = verdict.reply {
        let headers = serialise(&reply.headers);
        abi::local_response(reply.status, &reply.details, &headers, &reply.body);
    }
    match verdict.flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}

fn edit_headers(map: Map, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => abi::remove_header(map, name),
            HeaderEdit::Set(name, value) => abi::set_header(map, name, value.as_bytes()),
            HeaderEdit::Forward(name, value) => abi::set_header(map, name, value.as_bytes()),
        };
    }
}

/// Edits a body; false where the host refuses.
fn edit_body(buffer: Buffer, edit: &BodyEdit) -> bool {
    match edit {
        BodyEdit::Keep | BodyEdit::Drop(0) => true,
        BodyEdit::Drop(size) => abi::set_buffer(buffer, *size, &[]),
        BodyEdit::Replace(size, bytes) => abi::set_buffer(buffer, *size, bytes),
        BodyEdit::Prefix(edits) => {
            let length = usize::try_from(prefix_len(edits)).unwrap_or(usize::MAX);
            let prefix = abi::buffer(buffer, 0, length).filter(|prefix| prefix.len() == length);
            prefix.is_some_and(|prefix| abi::set_buffer(buffer, length, &apply(&prefix, edits)))
        }
    }
}

/// Reads the plugin's configuration.
pub fn configuration(size: usize) -> Result<Rc<Config>, String> {
    let json = abi::buffer(Buffer::Configuration, 0, size).unwrap_or_default();
    Config::parse(&json).map(Rc::new).map_err(|error| error.to_string())
}

//! What Envoy does with a stream: when callbacks come, what a pause holds back, what reaches the upstream.
//!
//! In `stream` mode a pause in the headers stops everything: no body callback comes before it is resumed. In
//! `hold` mode the body comes while the headers wait. Headers can be changed only while they are here, the
//! body not in the trailers' callback, and what the upstream gets must be as long as `content-length` says.

use edge::config::HeaderMode;
use edge::effect::HeaderEdit;
use edge::{AnswerHead, BodyEdit, Flow, Origin, Verdict};
use usage::request::edit::{apply, prefix_len};

use crate::node::{Handle, Node};

/// What a client sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The whole request is on its way upstream.
    Forwarded,
    /// A local reply: status, body.
    Reply(u32, serde_json::Value),
}

/// A part of a request that the client sends.
#[derive(Clone, Debug)]
enum Part {
    Body(Vec<u8>, bool),
    Trailers,
}

/// One stream.
#[derive(Debug)]
pub struct Client {
    /// The worker that it is on.
    pub worker: usize,
    /// The host's number of it.
    pub context: u32,
    /// What is to be sent as its body.
    pub body: Vec<u8>,
    /// What its client has seen so far.
    pub seen: Option<Seen>,
    /// The stream is logged, or its VM is gone.
    pub over: bool,
    /// `content-length`, as the headers at hand say.
    pub length: Option<u64>,
    /// Body bytes that have reached the upstream.
    pub upstream: Vec<u8>,
    /// The headers have gone upstream.
    pub headers_sent: bool,
    /// Request headers set by the filter.
    pub set: Vec<(String, String)>,
    /// Request headers taken out by the filter.
    pub removed: Vec<String>,
    /// Body bytes that have reached the client.
    pub client: Vec<u8>,
    /// Parts that the host keeps until the headers go on.
    waiting: Vec<Part>,
    /// The body as far as the host has buffered it.
    buffer: Vec<u8>,
    ended: bool,
}

impl Node {
    /// A chat completion by the account's key; runs until it is decided or waits.
    pub fn chat(&mut self, worker: usize, account: &str, body: &str) -> usize {
        let stream = self.chat_headers(worker, account, body);
        self.body(stream);
        stream
    }

    /// The headers of a chat completion; its body is still to be sent.
    pub fn chat_headers(&mut self, worker: usize, account: &str, body: &str) -> usize {
        let authorization = format!("Bearer key-{account}");
        let length = body.len().to_string();
        let headers = [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("authorization", authorization.as_str()),
            ("content-length", length.as_str()),
        ];
        self.open(worker, &headers, false, body.as_bytes().to_vec())
    }

    /// A request without a body.
    pub fn get(&mut self, worker: usize, account: &str, path: &str) -> usize {
        let authorization = format!("Bearer key-{account}");
        let headers = [(":method", "GET"), (":path", path), ("authorization", &authorization)];
        self.open(worker, &headers, true, Vec::new())
    }

    /// Opens a stream with its headers.
    pub fn open(&mut self, worker: usize, headers: &[(&str, &str)], end: bool, body: Vec<u8>) -> usize {
        let context = self.next_context;
        self.next_context += 1;
        let length = headers.iter().find(|(name, _)| *name == "content-length");
        self.streams.push(Client {
            worker,
            context,
            body,
            seen: None,
            over: false,
            length: length.and_then(|(_, value)| value.parse().ok()),
            upstream: Vec::new(),
            headers_sent: false,
            set: Vec::new(),
            removed: Vec::new(),
            client: Vec::new(),
            waiting: Vec::new(),
            buffer: Vec::new(),
            ended: end,
        });
        let stream = self.streams.len() - 1;
        let pairs = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let (config, now) = (std::rc::Rc::clone(&self.config), self.now());
        let verdict = self.workers[worker].borrow_mut().request_headers(
            &Handle(&self.shared),
            context,
            &config,
            pairs,
            end,
            now,
        );
        self.act(stream, verdict);
        self.run();
        stream
    }

    /// Sends a stream's whole body, in one piece that ends it.
    pub fn body(&mut self, stream: usize) {
        let body = self.streams[stream].body.clone();
        self.piece(stream, &body, true);
    }

    /// Sends a piece of a stream's body.
    pub fn piece(&mut self, stream: usize, bytes: &[u8], end: bool) {
        self.part(stream, Part::Body(bytes.to_vec(), end));
    }

    /// Sends trailers: the end of a stream's request.
    pub fn trailers(&mut self, stream: usize) {
        self.part(stream, Part::Trailers);
    }

    fn part(&mut self, stream: usize, part: Part) {
        let client = &mut self.streams[stream];
        if client.over || client.seen.is_some() {
            return;
        }
        if self.config.headers == HeaderMode::Stream && !client.headers_sent {
            client.waiting.push(part);
            return;
        }
        let (worker, context) = (client.worker, client.context);
        match part {
            Part::Body(bytes, end) => {
                client.buffer.extend_from_slice(&bytes);
                client.ended = end;
                let body = client.buffer.clone();
                let read =
                    |start: usize, length: usize| body[start..(start + length).min(body.len())].to_vec();
                let now = self.now();
                let verdict = self.workers[worker].borrow_mut().request_body(
                    &Handle(&self.shared),
                    context,
                    body.len(),
                    end,
                    &read,
                    || now,
                );
                self.act(stream, verdict);
            }
            Part::Trailers => {
                client.ended = true;
                let now = self.now();
                let mut edge = self.workers[worker].borrow_mut();
                let verdict = edge.request_trailers(&Handle(&self.shared), context, now);
                drop(edge);
                assert_eq!(
                    verdict.body,
                    BodyEdit::Keep,
                    "the body cannot be changed in the trailers' callback"
                );
                self.act(stream, verdict);
            }
        }
        self.run();
    }

    /// The effect of a root: the stream goes on.
    pub(crate) fn resumed(&mut self, worker: usize, context: u32, verdict: Verdict) {
        if let Some(stream) = self.stream_of(worker, context) {
            assert_eq!(self.streams[stream].seen, None, "a request that is answered or gone is resumed");
            self.act(stream, Verdict { flow: Flow::Continue, ..verdict });
        }
    }

    /// The effect of a root: the stream ends with a reply.
    pub(crate) fn replied(&mut self, worker: usize, context: u32, reply: Box<edge::reply::Reply>) {
        if let Some(stream) = self.stream_of(worker, context) {
            assert_eq!(self.streams[stream].seen, None, "a request is answered twice, or after it has gone");
            self.act(stream, Verdict::reply(reply));
        }
    }

    fn stream_of(&self, worker: usize, context: u32) -> Option<usize> {
        let is_it = |client: &Client| client.worker == worker && client.context == context && !client.over;
        self.streams.iter().position(is_it)
    }

    /// Carries out a verdict on a request.
    fn act(&mut self, stream: usize, verdict: Verdict) {
        let client = &mut self.streams[stream];
        for edit in &verdict.headers {
            assert!(!client.headers_sent, "{edit:?} comes after the headers have gone");
            match edit {
                HeaderEdit::Remove(name) => {
                    client.length = client.length.filter(|_| **name != *"content-length");
                    client.removed.push(name.to_string());
                }
                HeaderEdit::Set(name, value) => {
                    if *name == "content-length" {
                        client.length = Some(value.parse().expect("a length"));
                    }
                    client.set.push(((*name).to_string(), value.to_string()));
                }
                HeaderEdit::Forward(name, value) => client.set.push((name.to_string(), value.clone())),
            }
        }
        match &verdict.body {
            BodyEdit::Keep => {}
            BodyEdit::Drop(size) => {
                assert_eq!(*size, client.buffer.len(), "all that there is");
                client.buffer.clear();
            }
            BodyEdit::Prefix(edits) => {
                let rest = client.buffer.split_off(usize::try_from(prefix_len(edits)).unwrap());
                client.buffer = apply(&client.buffer, edits);
                client.buffer.extend(rest);
            }
            BodyEdit::Replace(..) => panic!("request bodies are edited, never replaced"),
        }
        if let Some(reply) = verdict.reply {
            client.seen = Some(Seen::Reply(reply.status, serde_json::from_slice(&reply.body).expect("JSON")));
            self.log(stream, Origin::Host);
        } else if verdict.flow == Flow::Continue {
            self.release(stream);
        }
    }

    /// What was held goes upstream.
    fn release(&mut self, stream: usize) {
        let client = &mut self.streams[stream];
        client.headers_sent = true;
        let buffer = std::mem::take(&mut client.buffer);
        client.upstream.extend(buffer);
        if client.ended {
            if let Some(length) = client.length {
                assert_eq!(client.upstream.len() as u64, length, "the upstream's framing");
            }
            client.seen = Some(Seen::Forwarded);
            return;
        }
        for part in std::mem::take(&mut client.waiting) {
            self.part(stream, part);
        }
    }

    /// The upstream answers a forwarded stream with a plain JSON body, and the stream ends.
    pub fn answer(&mut self, stream: usize, status: u32, body: &str) -> String {
        assert_eq!(self.streams[stream].seen, Some(Seen::Forwarded), "only forwarded requests are answered");
        self.answer_headers(stream, status, "application/json");
        self.answer_piece(stream, body.as_bytes(), true);
        self.log(stream, Origin::Upstream)
    }

    /// The headers of an answer have come; gives what the client is told beside.
    pub fn answer_headers(&mut self, stream: usize, status: u32, content_type: &str) -> Vec<HeaderEdit> {
        self.answer_with(stream, status, content_type, &[])
    }

    /// The headers of an answer have come, with these among them.
    pub fn answer_with(
        &mut self,
        stream: usize,
        status: u32,
        content_type: &str,
        further: &[(&str, &str)],
    ) -> Vec<HeaderEdit> {
        let (worker, context) = (self.streams[stream].worker, self.streams[stream].context);
        let mut edge = self.workers[worker].borrow_mut();
        let content_type = content_type.as_bytes();
        let header = |name: &str| {
            further.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_bytes().to_vec())
        };
        let head = |_| AnswerHead { status, content_type, content_encoding: b"" };
        let verdict = edge.response_headers(context, head, &header);
        drop(edge);
        if let Some(reply) = verdict.reply {
            let body = serde_json::from_slice(&reply.body).expect("JSON");
            self.streams[stream].seen = Some(Seen::Reply(reply.status, body));
        }
        self.run();
        verdict.headers
    }

    /// A piece of an answer has come.
    pub fn answer_piece(&mut self, stream: usize, bytes: &[u8], end: bool) {
        let (worker, context) = (self.streams[stream].worker, self.streams[stream].context);
        let read = |start: usize, length: usize| bytes[start..start + length].to_vec();
        let verdict = self.workers[worker].borrow_mut().response_body(context, bytes.len(), end, &read);
        let client = &mut self.streams[stream].client;
        match verdict.body {
            BodyEdit::Keep => client.extend_from_slice(bytes),
            BodyEdit::Replace(size, other) => {
                assert_eq!(size, bytes.len());
                client.extend(other);
            }
            other => panic!("{other:?} for an answer"),
        }
        self.run();
    }

    /// The client goes.
    pub fn leave(&mut self, stream: usize) -> String {
        self.log(stream, Origin::Cut)
    }

    /// The stream ends.
    pub fn log(&mut self, stream: usize, origin: Origin) -> String {
        let client = &mut self.streams[stream];
        if std::mem::replace(&mut client.over, true) {
            return String::new();
        }
        let (worker, context) = (client.worker, client.context);
        let now = self.now();
        let line = self.workers[worker].borrow_mut().log(&Handle(&self.shared), context, || origin, now);
        self.run();
        line.unwrap_or_default()
    }
}

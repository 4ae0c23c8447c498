//! Clients and upstreams: they do what the schedule says, and keep their own record of what was delivered.

use edge::Origin;
use edge::testing::Holding;

use super::market::{self, Model};
use super::report::{Broken, ensure};
use super::schedule::{Answer, Ask, End};
use super::{Cluster, Event};
use crate::Seen;

/// What a request must come to, by its client's and its upstream's own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing was delivered.
    Nothing,
    /// These counts were.
    Counts { input: i64, output: i64 },
    /// Something was, without counts: something must be charged, at most what was held.
    Some,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Open,
    /// The filter answered it.
    Refused { status: u32, code: String },
    /// Its stream was logged.
    Logged,
    /// Its VM trapped.
    Trapped,
    /// Its process was killed.
    Killed,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Run {
    pub ask: Ask,
    pub process: u64,
    pub vm: usize,
    pub stream: usize,
    /// Its id.
    pub request: String,
    /// Parts sent, of the request.
    sent: u8,
    /// Parts sent, of the answer.
    answered: u8,
    pub due: Due,
    /// What it held when it was forwarded.
    pub holding: Option<Holding>,
    pub forwarded: bool,
    /// When it had been sent whole, in microseconds.
    pub whole_us: Option<u64>,
    pub fate: Fate,
    /// When it ended, in microseconds.
    pub ended_us: u64,
    /// When it was refused, a node had not called the ledger for a while.
    pub others_rest: bool,
    /// It has been charged or released before the ledger was restored.
    pub rolled_back: bool,
}

/// A node that has not called for this long, in microseconds, has nothing to say.
const RESTING_US: u64 = 3_000_000;
/// Parts of a request after its headers.
const PARTS: u8 = 3;

impl Cluster {
    /// A client comes.
    pub(super) fn open(&mut self, ask: Ask) {
        self.counts.requests += 1;
        let now_us = self.now_us;
        let Some(site) = self.sites[ask.node].as_mut() else { return };
        if site.stopped_until_us > now_us {
            return;
        }
        let vm = site.vms[ask.worker];
        let account = format!("acct{}", ask.account);
        let context = site.node.next_context;
        let stream = if ask.model == Model::Search {
            site.node.get(vm, &account, "/v1/search")
        } else {
            site.node.chat_headers(vm, &account, &body(&ask))
        };
        let request = site.node.workers[vm].borrow().request_id(context).unwrap_or_default().to_owned();
        let run = self.runs.len();
        let sent = if ask.model == Model::Search { PARTS } else { 0 };
        self.runs.push(Run {
            ask,
            process: site.process,
            vm,
            stream,
            request: request.clone(),
            sent,
            answered: 0,
            due: Due::Nothing,
            holding: None,
            forwarded: false,
            whole_us: (sent == PARTS).then_some(now_us),
            fate: Fate::Open,
            ended_us: 0,
            others_rest: false,
            rolled_back: false,
        });
        self.by_request.insert(request, run);
        site.undecided.push(run);
        self.trace.note(now_us, || format!("run {run}: {ask:?}"));
        if ask.answer == Answer::Early && self.schedule.headers == "stream" {
            self.at(ask.gap_us + 1, Event::Part(run));
        } else if sent < PARTS {
            self.at(ask.gap_us, Event::Part(run));
        }
        if let Some(leaves_us) = ask.leaves_us {
            self.at(leaves_us, Event::Leave(run));
        }
        self.touch(ask.node);
    }

    /// The place of a run's process, if that still runs and its stream has not ended.
    fn place_of(&self, run: usize) -> Option<usize> {
        let own = &self.runs[run];
        let site = self.sites[own.ask.node].as_ref().filter(|site| site.process == own.process)?;
        (own.fate == Fate::Open && !site.node.streams[own.stream].over).then_some(own.ask.node)
    }

    /// The next thing happens that client or upstream do by themselves.
    pub(super) fn part(&mut self, run: usize) -> Result<(), Broken> {
        let Some(node) = self.place_of(run) else { return Ok(()) };
        let Some(site) = self.sites[node].as_mut() else { return Ok(()) };
        if site.stopped_until_us > self.now_us {
            let wait = site.stopped_until_us - self.now_us;
            self.at(wait, Event::Part(run));
            return Ok(());
        }
        let own = &self.runs[run];
        let early = own.ask.answer == Answer::Early && self.schedule.headers == "stream";
        if own.forwarded && (early || own.sent == PARTS) {
            self.answer(node, run);
        } else if own.sent < PARTS && early {
            self.answer_early(node, run);
        } else if own.sent < PARTS {
            self.send(node, run);
        }
        self.touch(node);
        Ok(())
    }

    fn send(&mut self, node: usize, run: usize) {
        let own = &mut self.runs[run];
        let Some(site) = self.sites[node].as_mut() else { return };
        let body = body(&own.ask).into_bytes();
        let (first, rest) = body.split_at(body.len() / 2);
        own.sent += 1;
        own.whole_us = (own.sent == PARTS).then_some(self.now_us);
        match (own.sent, own.ask.end) {
            (1, _) => site.node.piece(own.stream, first, false),
            (2, end) => site.node.piece(own.stream, rest, end == End::WithData),
            (_, End::WithData) => {}
            (_, End::Apart) => site.node.piece(own.stream, b"", true),
            (_, End::InTrailers) => site.node.trailers(own.stream),
        }
        if own.sent < PARTS {
            let gap = own.ask.gap_us;
            self.at(gap, Event::Part(run));
        }
    }

    /// The upstream answers though it has not got the request whole.
    fn answer_early(&mut self, node: usize, run: usize) {
        let own = &self.runs[run];
        let Some(site) = self.sites[node].as_mut() else { return };
        let client = &site.node.streams[own.stream];
        if client.headers_sent && client.seen.is_none() && client.upstream.is_empty() {
            site.node.answer_headers(own.stream, 200, "application/json");
            self.log(node, run, Origin::Host);
        } else if client.seen.is_none() {
            self.send(node, run);
        }
    }

    /// The upstream's next part.
    fn answer(&mut self, node: usize, run: usize) {
        let Some(site) = self.sites[node].as_mut() else { return };
        let own = &mut self.runs[run];
        let (stream, ask) = (own.stream, own.ask);
        own.answered += 1;
        if own.answered == 1 {
            let status = if matches!(ask.answer, Answer::Failure | Answer::Nobody) { 503 } else { 200 };
            let events = matches!(ask.answer, Answer::Events { .. });
            let kind = if events { "text/event-stream" } else { "application/json" };
            site.node.answer_headers(stream, status, kind);
            if ask.model == Model::Search && status == 200 {
                own.due = Due::Counts { input: 0, output: 0 };
            }
            if ask.answer == Answer::Nobody {
                return self.log(node, run, Origin::Host);
            }
            return self.at(ask.answer_us / 2, Event::Part(run));
        }
        let first = own.answered == 2;
        let (piece, due) = piece(ask.answer, first, own.due);
        site.node.answer_piece(stream, piece.as_bytes(), !first);
        if ask.model != Model::Search {
            own.due = due;
        }
        if first {
            return self.at(ask.answer_us / 2, Event::Part(run));
        }
        self.log(node, run, Origin::Upstream);
    }

    /// A client leaves.
    pub(super) fn leave(&mut self, run: usize) {
        let Some(node) = self.place_of(run) else { return };
        self.log(node, run, Origin::Cut);
        self.touch(node);
    }

    /// A stream ends.
    fn log(&mut self, node: usize, run: usize, origin: Origin) {
        let own = &mut self.runs[run];
        let Some(site) = self.sites[node].as_mut() else { return };
        let line = site.node.log(own.stream, origin);
        (own.fate, own.ended_us) = (Fate::Logged, self.now_us);
        self.ledger.tamper.request_ended(&site.node);
        self.trace.note(self.now_us, || format!("run {run} is logged ({origin:?}): {line}"));
    }

    /// Looks at what was decided of a node's requests: forwarded ones go on upstream.
    pub(super) fn decisions(&mut self, node: usize) -> Result<(), Broken> {
        let mut sites = self.sites.iter().flatten();
        let others_rest = sites.any(|site| self.now_us > site.called_us + RESTING_US);
        let Some(site) = self.sites[node].as_mut() else { return Ok(()) };
        let (mut still, mut forwarded) = (Vec::new(), Vec::new());
        for run in std::mem::take(&mut site.undecided) {
            let own = &mut self.runs[run];
            if own.fate != Fate::Open {
                continue;
            }
            match &site.node.streams[own.stream].seen {
                None => still.push(run),
                Some(Seen::Reply(status, body)) => {
                    let code = body["code"].as_str().unwrap_or_default().to_owned();
                    self.counts.refused += 1;
                    own.others_rest = others_rest;
                    self.trace.note(self.now_us, || format!("run {run} is refused: {status} {body}"));
                    (own.fate, own.ended_us) = (Fate::Refused { status: *status, code }, self.now_us);
                }
                Some(Seen::Forwarded) => forwarded.push(run),
            }
        }
        site.undecided = still;
        for run in forwarded {
            let own = &mut self.runs[run];
            own.forwarded = true;
            let (think, holds) = (own.ask.think_us, own.holding.is_some());
            ensure("I4", holds, || format!("{} is forwarded without a hold", own.request))?;
            self.counts.admitted += 1;
            self.trace.note(self.now_us, || format!("run {run} is forwarded"));
            self.at(think, Event::Part(run));
        }
        Ok(())
    }

    /// Looks at what a node's requests have set aside since.
    pub(super) fn admissions(&mut self, node: usize) -> Result<(), Broken> {
        let Some(site) = self.sites[node].as_ref() else { return Ok(()) };
        let vms = site.all_vms();
        let holdings = vms.into_iter().flat_map(|vm| site.node.workers[vm].borrow().holdings());
        for holding in holdings.collect::<Vec<_>>() {
            let run = self.by_request.get(&holding.request).copied();
            let Some(run) = run else {
                return Err(Broken::new("I5", format!("{holding:?} is no client's")));
            };
            if self.runs[run].holding.is_none() {
                self.trace.note(self.now_us, || format!("run {run} holds: {holding:?}"));
                self.runs[run].holding = Some(holding.clone());
                self.check_admission(node, run, holding)?;
            }
        }
        Ok(())
    }
}

/// A piece of an answer, and what has been delivered when it is through.
fn piece(answer: Answer, first: bool, before: Due) -> (String, Due) {
    match (answer, first) {
        (Answer::Document { .. } | Answer::Early, true) => {
            (r#"{"choices":[{"message":{"content":"te"#.to_owned(), Due::Some)
        }
        (Answer::Events { .. }, true) => {
            ("data: {\"choices\":[{\"delta\":{\"content\":\"text\"}}]}\n\n".to_owned(), Due::Some)
        }
        (Answer::Document { input, output }, false) => {
            let usage = format!(r#""prompt_tokens":{input},"completion_tokens":{output}"#);
            (format!("xt\"}}}}],\"usage\":{{{usage}}}}}"), Due::Counts { input, output })
        }
        (Answer::Events { input, output }, false) => {
            let usage = format!(r#""prompt_tokens":{input},"completion_tokens":{output}"#);
            let last = format!("data: {{\"choices\":[],\"usage\":{{{usage}}}}}\n\ndata: [DONE]\n\n");
            (last, Due::Counts { input, output })
        }
        (Answer::NoUsage, true) => (r#"{"choices":[{"message":{"content":"text"}}]}"#.to_owned(), Due::Some),
        (Answer::Error, true) => (r#"{"error":{"message":"no"}}"#.to_owned(), Due::Nothing),
        (Answer::Failure | Answer::Nobody, true) => ("{}".to_owned(), Due::Nothing),
        (Answer::Early, false) => ("xt\"}}]}".to_owned(), before),
        (Answer::NoUsage | Answer::Error | Answer::Failure | Answer::Nobody, false) => {
            (String::new(), before)
        }
    }
}

/// What a client sends.
pub fn body(ask: &Ask) -> String {
    let letters = "x".repeat(usize::try_from(ask.letters).unwrap_or(0));
    let limit = ask.max_tokens.map(|limit| format!(r#""max_tokens":{limit},"#)).unwrap_or_default();
    let stream = if matches!(ask.answer, Answer::Events { .. }) { r#""stream":true,"# } else { "" };
    format!(
        r#"{{"model":"{}",{limit}{stream}"messages":[{{"role":"user","content":"{letters}"}}]}}"#,
        market::name(ask.model)
    )
}

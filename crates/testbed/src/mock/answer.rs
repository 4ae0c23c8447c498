//! What the mock provider answers: pure functions from script and request to head and body steps.
//!
//! Bodies are written as text on purpose: the test decides every byte, malformed ones too.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::api::{self, Api, Framing, Places};
use super::script::{Cut, CutPoint, Script, Tokens, UsageShape};
use crate::pace::{Step, Turns};

/// Between two pieces that must not arrive in one read.
const APART: Duration = Duration::from_millis(2);
/// Before an answer breaks off: HTTP/2 forgets what is not written yet when it resets a stream.
const BEFORE_BREAK: Duration = Duration::from_millis(50);
/// The creation time that every answer states, in seconds since 1970.
const CREATED: u64 = 1_700_000_000;
/// The content type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// At most so many tokens appear as text.
const TEXT_TOKENS_MAX: u64 = 4_096;

/// An answer: its head, and the steps of sending its body.
#[derive(Debug)]
pub struct Plan {
    /// Status.
    pub status: u16,
    /// Content type, where there is a body.
    pub content_type: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub steps: Vec<Step>,
    /// The body's length, where it is announced.
    pub length: Option<u64>,
    /// What the answer took.
    pub tokens: Option<Tokens>,
    /// After how many bytes of the body which tokens have been reported.
    pub reports: Vec<(usize, Tokens)>,
    /// The answer breaks off before its head.
    pub headless: bool,
}

fn is_chat(path: &str) -> bool {
    path.ends_with("/chat/completions") || path == "/openai/chat"
}

/// As many images as were asked for, or as the script says.
fn images(script: &Script, asked: &Value) -> String {
    let wanted = asked.get("n").and_then(Value::as_u64).unwrap_or(1);
    let count = script.items.unwrap_or(wanted);
    let data: Vec<Value> =
        (0..count).map(|n| json!({"url": format!("https://images.example/{n}")})).collect();
    json!({"created": CREATED, "data": data}).to_string()
}

/// A part of a body that belongs together.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    wait: Option<Duration>,
    reports: Option<Tokens>,
    content: bool,
}

/// A request as far as its answer depends on it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its number.
    pub seq: usize,
    /// Method.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// The query.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a [(String, String)],
    /// Its body.
    pub body: &'a [u8],
    /// The body as JSON; null where it is none.
    pub json: &'a Value,
    /// The recorded body to answer with, where the script names one.
    pub recorded: Option<Bytes>,
    /// What the pieces of a body wait for that is sent in turns.
    pub turns: Turns,
}

impl Plan {
    /// The answer to a request.
    #[must_use]
    pub fn new(script: &Script, asked: &Asked<'_>) -> Self {
        let status = script.status.unwrap_or(200);
        let mut plan = Self {
            status,
            content_type: Some("application/json".to_owned()),
            headers: script.replay.as_ref().map(|replay| replay.headers.clone()).unwrap_or_default(),
            steps: Vec::new(),
            length: (!script.chunked).then_some(0),
            tokens: None,
            reports: Vec::new(),
            headless: script.cut.is_some_and(|cut| cut.before == CutPoint::Head),
        };
        if let Some(seconds) = script.retry_after {
            plan.headers.push(("retry-after".to_owned(), seconds.to_string()));
        }
        let bodyless = status == 204 || status == 304 || asked.method == "HEAD";
        if bodyless {
            plan.content_type = None;
            return plan;
        }
        let mut parts = plan.parts(script, asked);
        if script.gzip {
            plan.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
            let whole: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
            parts = vec![Part { bytes: compressed(&whole), ..Part::default() }];
        }
        // The length of the whole body, also of one that breaks off.
        let length: usize = parts.iter().map(|part| part.bytes.len()).sum();
        plan.length = plan.length.map(|_| length as u64);
        plan.steps = plan.steps_of(script, parts, &asked.turns);
        plan
    }

    fn parts(&mut self, script: &Script, asked: &Asked<'_>) -> Vec<Part> {
        let whole = |text: String| vec![Part { bytes: text.into_bytes(), ..Part::default() }];
        if let (Some(replay), Some(recorded)) = (&script.replay, &asked.recorded) {
            self.content_type.clone_from(&replay.content_type);
            return vec![Part { bytes: recorded.to_vec(), ..Part::default() }];
        }
        let api = api::of_path(asked.path);
        if self.status >= 400 {
            return whole(error_body(self.status, api));
        }
        if let (Some(body), false) = (&script.body, is_chat(asked.path)) {
            return whole(body.clone());
        }
        if let Some(api) = api {
            return self.answer(script, asked, api);
        }
        match asked.path {
            "/v1/images/generations" => whole(images(script, asked.json)),
            path if is_chat(path) => self.completion(script, asked),
            "/v1/models" => whole(
                json!({"object": "list", "data": [{"id": "gpt-5-mini", "object": "model", "created": CREATED, "owned_by": "mock"}]})
                    .to_string(),
            ),
            "/v1/search" => whole(json!({"results": [{"title": "a result"}], "pad": "x".repeat(script.pad)}).to_string()),
            path => whole(
                json!({"method": asked.method, "path": path, "body_bytes": asked.body.len(), "headers": asked.headers})
                    .to_string(),
            ),
        }
    }

    fn completion(&mut self, script: &Script, asked: &Asked<'_>) -> Vec<Part> {
        let tokens = script.tokens(asked.body, asked.json);
        self.tokens = Some(tokens);
        let streamed = asked.json.get("stream") == Some(&Value::Bool(true));
        if streamed {
            self.content_type = Some(EVENT_STREAM.to_owned());
            self.length = None;
        }
        if let Some(body) = &script.body {
            return vec![Part { bytes: body.clone().into_bytes(), ..Part::default() }];
        }
        let model = asked.json.get("model").and_then(Value::as_str).unwrap_or("none");
        let model = script.answered_model.as_deref().unwrap_or(model);
        if streamed {
            stream(script, asked, model, tokens)
        } else {
            vec![plain(script, asked.seq, model, tokens)]
        }
    }

    /// An answer of one of the other APIs.
    fn answer(&mut self, script: &Script, asked: &Asked<'_>, api: &Api) -> Vec<Part> {
        let mut tokens = script.tokens(asked.body, asked.json);
        if !api::states_output(api.plain) {
            tokens.completion = 0;
        }
        self.tokens = Some(tokens);
        let named = asked.json.get("model").and_then(Value::as_str).unwrap_or("none");
        let model = script.answered_model.as_deref().or_else(|| api::path_model(asked.path)).unwrap_or(named);
        let all = text(tokens.completion) + &"x".repeat(script.pad);
        let places = Places { seq: asked.seq, model, tokens, text: &all, piece: "" };
        let streamed = asked.json.get("stream") == Some(&Value::Bool(true)) || api::streams(asked.path);
        let Some(stream) = api.stream.as_ref().filter(|_| streamed) else {
            let bytes = places.fill(api.plain).into_bytes();
            return vec![Part { bytes, reports: Some(tokens), ..Part::default() }];
        };
        self.length = None;
        let array = asked.path.ends_with(":streamGenerateContent") && !asked.query.contains("alt=sse");
        let framing = if array { Framing::Array } else { stream.framing };
        let kind = match framing {
            Framing::Events => Some(EVENT_STREAM),
            Framing::Lines(kind) => Some(kind),
            Framing::Aws | Framing::AwsBytes => Some("application/vnd.amazon.eventstream"),
            Framing::Array => None,
        };
        self.content_type = kind.map(str::to_owned).or(self.content_type.take());
        let chunks = script.chunks.unwrap_or(5).max(1);
        let pad = "x".repeat(script.pad / chunks);
        let upto = |n: usize| tokens.completion.saturating_mul(n as u64) / chunks as u64;
        let mut parts: Vec<Part> = Vec::new();
        let mut push = |(name, payload): (&str, &str), piece: &str, content: bool, end: bool| {
            let filled = Places { piece, ..places }.fill(payload);
            parts.push(Part {
                bytes: api::framed(framing, name, &filled, parts.is_empty(), end),
                wait: content.then(|| delay(script.chunk_delay_ms)).flatten(),
                reports: api::states_output(payload).then_some(tokens),
                content,
            });
        };
        stream.first.iter().for_each(|event| push(*event, "", false, false));
        for chunk in 1..=chunks {
            let share = upto(chunk).saturating_sub(upto(chunk.saturating_sub(1)));
            push(stream.chunk, &(text(share) + &pad), true, false);
        }
        for (n, event) in stream.last.iter().enumerate() {
            push(*event, "", false, n.saturating_add(1) == stream.last.len());
        }
        parts
    }

    fn steps_of(&mut self, script: &Script, parts: Vec<Part>, turns: &Turns) -> Vec<Step> {
        let mut steps = Vec::new();
        let apart = || if script.in_turns { Step::Turn(turns.clone()) } else { Step::Wait(APART) };
        let mut cuts = script.cuts.clone();
        cuts.sort_unstable();
        // Envoy ends an HTTP/2 connection on which empty frames follow each other.
        cuts.dedup();
        let mut at = 0_usize;
        let mut content = 0_usize;
        let single = parts.len() == 1;
        let breaks = |point| script.cut.is_some_and(|Cut { before, .. }| before == point);
        if breaks(CutPoint::Body) {
            return vec![Step::Wait(BEFORE_BREAK), Step::Break];
        }
        for part in parts {
            if part.content && breaks(CutPoint::Chunk(content)) {
                steps.extend([Step::Wait(BEFORE_BREAK), Step::Break]);
                return steps;
            }
            content = content.saturating_add(usize::from(part.content));
            steps.extend(part.wait.map(Step::Wait));
            if script.in_turns && at > 0 {
                steps.push(apart());
            }
            let end = at.saturating_add(part.bytes.len());
            let mut rest = Bytes::from(part.bytes);
            for cut in cuts.iter().filter(|cut| (at.saturating_add(1)..end).contains(cut)) {
                let piece = rest.split_to(cut.saturating_sub(end.saturating_sub(rest.len())));
                steps.extend([Step::Data(piece), apart()]);
            }
            if single && matches!(script.cut, Some(Cut { before: CutPoint::Chunk(_), .. })) {
                let half = rest.split_to(rest.len() / 2);
                steps.extend([Step::Data(half), Step::Wait(BEFORE_BREAK), Step::Break]);
                return steps;
            }
            steps.push(Step::Data(rest));
            at = end;
            self.reports.extend(part.reports.map(|tokens| (end, tokens)));
        }
        if breaks(CutPoint::End) {
            steps.extend([Step::Wait(BEFORE_BREAK), Step::Break]);
        } else if script.trailers {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-mock-trailer", HeaderValue::from_static("end"));
            steps.push(Step::Trailers(trailers));
        }
        steps
    }
}

fn plain(script: &Script, seq: usize, model: &str, tokens: Tokens) -> Part {
    let content = text(tokens.completion) + &"x".repeat(script.pad);
    let (usage, in_choice, reports) = match &script.usage {
        UsageShape::Api | UsageShape::Cumulative => {
            (format!(r#","usage":{}"#, tokens.usage()), String::new(), Some(tokens))
        }
        UsageShape::Absent => (String::new(), String::new(), None),
        UsageShape::Literal(json) => (format!(r#","usage":{json}"#), String::new(), None),
        UsageShape::InChoice => (String::new(), format!(r#","usage":{}"#, tokens.usage()), Some(tokens)),
    };
    let body = format!(
        r#"{{"id":"chatcmpl-mock-{seq}","object":"chat.completion","created":{CREATED},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":"stop"{in_choice}}}]{usage}}}"#,
        model = Value::from(model),
    );
    Part { bytes: body.into_bytes(), reports, ..Part::default() }
}

fn stream(script: &Script, asked: &Asked<'_>, model: &str, tokens: Tokens) -> Vec<Part> {
    let wanted = asked.json.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let reporting = wanted || script.always_usage;
    let chunks = script.chunks.unwrap_or(5).max(1);
    let wait = delay(script.chunk_delay_ms);
    let head = format!(
        r#"data: {{"id":"chatcmpl-mock-{}","object":"chat.completion.chunk","created":{CREATED},"model":{},"#,
        asked.seq,
        Value::from(model)
    );
    let event =
        |choices: &str, usage: &str| format!("{head}\"choices\":[{choices}]{usage}}}\n\n").into_bytes();
    let no_usage = if wanted && script.usage == UsageShape::Api { r#","usage":null"# } else { "" };
    let role = r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#;
    let mut parts = vec![Part { bytes: event(role, no_usage), ..Part::default() }];
    for chunk in 1..=chunks {
        let upto = |n: usize| tokens.completion.saturating_mul(n as u64) / chunks as u64;
        let share = upto(chunk).saturating_sub(upto(chunk.saturating_sub(1)));
        let pad = "x".repeat(script.pad / chunks);
        let delta =
            format!(r#"{{"index":0,"delta":{{"content":"{}{pad}"}},"finish_reason":null}}"#, text(share));
        let so_far = Tokens { completion: upto(chunk), ..tokens };
        let (usage, reports) = match script.usage {
            UsageShape::Cumulative => (format!(r#","usage":{}"#, so_far.usage()), Some(so_far)),
            _ => (no_usage.to_owned(), None),
        };
        parts.push(Part { bytes: event(&delta, &usage), wait, reports, content: true });
    }
    let (in_choice, reports) = match script.usage {
        UsageShape::InChoice if reporting => (format!(r#","usage":{}"#, tokens.usage()), Some(tokens)),
        _ => (String::new(), None),
    };
    let finish = format!(r#"{{"index":0,"delta":{{}},"finish_reason":"stop"{in_choice}}}"#);
    parts.push(Part { bytes: event(&finish, no_usage), reports, ..Part::default() });
    match &script.usage {
        UsageShape::Api if reporting => {
            let usage = format!(r#","usage":{}"#, tokens.usage());
            let wait = delay(script.usage_delay_ms);
            parts.push(Part { bytes: event("", &usage), wait, reports: Some(tokens), ..Part::default() });
        }
        UsageShape::Literal(json) if reporting => {
            parts.push(Part { bytes: event("", &format!(r#","usage":{json}"#)), ..Part::default() });
        }
        _ => {}
    }
    if !script.no_done {
        let wait = delay(script.done_delay_ms);
        parts.push(Part { bytes: b"data: [DONE]\n\n".to_vec(), wait, ..Part::default() });
    }
    parts
}

fn delay(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

fn text(tokens: u64) -> String {
    "tok ".repeat(usize::try_from(tokens.min(TEXT_TOKENS_MAX)).unwrap_or(0))
}

fn error_body(status: u16, api: Option<&Api>) -> String {
    let message = format!("the mock provider was told to answer {status}");
    if let Some(api) = api {
        return api.error.replace("$status", &status.to_string()).replace("$message", &message);
    }
    let (kind, code) = match status {
        429 => ("requests", "rate_limit_exceeded"),
        400..500 => ("invalid_request_error", "bad_request"),
        _ => ("server_error", "internal_error"),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

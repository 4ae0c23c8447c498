//! What must hold of any bytes. Each function is a fuzz target and, on the committed corpus, an ordinary test.
//!
//! The first bytes of an input choose the dialect, the framing and where it is cut; the rest is the body.

use serde_json::Value;
use tariff::Meter;
use usage::request::edit::{OutputBound, apply, include_usage, max_tokens, prefix_len};
use usage::request::{Boundary, Edit, RequestDialect, RequestError, RequestFacts, RequestScanner};
use usage::response::{Dialect, Format, Pointers, Reading, ResponseReader};
use usage::{Filtered, UsageChunkFilter};

/// Bytes of an input that choose, before its body.
pub const CHOICES: usize = 3;

/// The first byte of an input whose answer is read by [`POINTERS`].
pub const POINTED: u8 = u8::MAX;

/// Pointers as a configuration may have them, for an API that is not known.
const POINTERS: [(&str, Meter); 3] = [
    ("/usage/pages", Meter::Pages),
    ("/billed/0/tokens", Meter::InputTokens),
    ("/billed/1", Meter::OutputTokens),
];

/// The dialects, by the input's first byte.
pub const DIALECTS: [Dialect; 15] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Embeddings,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Items,
    Dialect::BedrockConverse,
    Dialect::BedrockInvoke,
    Dialect::CohereChat,
    Dialect::CohereEmbed,
    Dialect::OllamaChat,
    Dialect::OllamaEmbed,
    Dialect::Transcript,
    Dialect::Speech,
    Dialect::Rerank,
];

/// The framings, by its second.
pub const FORMATS: [Format; 4] = [Format::Json, Format::EventStream, Format::Lines, Format::AwsEventStream];

/// The bound that the request target lays on an answer.
const CAP: u64 = 100;

/// An answer read whole, cut and in single bytes comes to the same, and to counts that can be charged.
pub fn response(data: &[u8]) {
    let Some(([dialect, format, seed], body)) = split(data) else { return };
    let format = FORMATS[usize::from(format) % FORMATS.len()];
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| -> Reading {
        let mut reader = if dialect == POINTED {
            ResponseReader::pointed(&Pointers::new(POINTERS.into_iter()).expect("pointers"), format)
        } else {
            ResponseReader::new(DIALECTS[usize::from(dialect) % DIALECTS.len()], format)
        };
        pieces.for_each(|piece| reader.feed(piece));
        reader.reading()
    };
    let whole = read(&mut [body].into_iter());
    assert_eq!(read(&mut pieces(body, seed)), whole, "cut");
    assert_eq!(read(&mut body.chunks(1)), whole, "byte by byte");
    assert_eq!(whole.delivered.bytes, body.len() as u64);
    assert!(whole.delivered.content_bytes <= body.len() as u64, "text is never longer than its JSON");
    assert!(whole.delivered.content_events <= whole.delivered.events);
    let counts = whole.usage.iter().flat_map(|usage| usage.iter());
    assert!(counts.map(|(_, count)| count).all(|count| count <= usage::limits::COUNT_MAX));
    assert!(whole.usage.is_some() || whole.status == usage::Status::Failed);
}

/// A request body is read the same however it is cut; edited, it is the same but for what was to be edited.
pub fn request(data: &[u8]) {
    let Some(([dialect, stream, seed], body)) = split(data) else { return };
    let (dialect, bound) = match (dialect % 5, stream % 4) {
        (0, 0) => (RequestDialect::OpenAi, OutputBound::MaxTokens),
        (0, 1) => (RequestDialect::OpenAi, OutputBound::MaxOutputTokens),
        (0, 2) => (RequestDialect::OpenAi, OutputBound::Chat),
        (0, _) => (RequestDialect::OpenAi, OutputBound::OldChat),
        (1, _) => (RequestDialect::Gemini, OutputBound::Within("generationConfig", "maxOutputTokens")),
        (2, _) => (RequestDialect::BedrockConverse, OutputBound::Within("inferenceConfig", "maxTokens")),
        (3, _) => (RequestDialect::BedrockInvoke, OutputBound::Named),
        (_, _) => (RequestDialect::Ollama, OutputBound::Within("options", "num_predict")),
    };
    let asked = |facts: &RequestFacts| include_usage(facts).filter(|_| dialect == RequestDialect::OpenAi);
    let scanned = scan(dialect, &mut [body].into_iter());
    assert_eq!(scan(dialect, &mut pieces(body, seed)), scanned, "cut");
    assert_eq!(scan(dialect, &mut body.chunks(1)), scanned, "byte by byte");
    let Ok(facts) = scanned else { return };
    assert_eq!(facts.body_bytes, body.len() as u64);
    let edits: Vec<Edit> = asked(&facts).into_iter().chain(max_tokens(&facts, CAP, bound)).collect();
    let edited = edited(body, &edits);
    let again = scan(dialect, &mut [&*edited].into_iter()).expect("an edited body is as good as it was");
    assert_eq!(again.model, facts.model);
    assert_eq!(again.stream, facts.stream);
    let others = |facts: &RequestFacts| facts.other_models(|_| false);
    assert_eq!((again.answers(), others(&again)), (facts.answers(), others(&facts)));
    assert_eq!(again.texts("prompt"), facts.texts("prompt"));
    let may_ask = dialect == RequestDialect::OpenAi;
    assert!(!may_ask || !again.stream || again.include_usage == Some(true), "usage is asked for");
    let is_bound = again.own_bound(Some(bound)).is_some() || bound == OutputBound::Named;
    assert!(is_bound && again.bounds().all(|bound| bound.value <= CAP), "the cap stands");
    assert!(asked(&again).is_none() && max_tokens(&again, CAP, bound).is_empty(), "and needs no more");
    // What serde_json cannot read (lone surrogates, numbers out of range) other readers may.
    let Ok(before) = serde_json::from_slice::<Value>(body) else { return };
    let after = serde_json::from_slice::<Value>(&edited).expect("JSON stays JSON");
    assert_eq!(bare(after), bare(before), "nothing else has changed");
}

/// A form is read the same however it is cut, and names no other model to readers that take line breaks less strictly.
pub fn form(data: &[u8]) {
    let Some(([_, _, seed], body)) = split(data) else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let boundary = Boundary::of(FORM_TYPE).expect("a form").expect("a boundary");
        feed(RequestScanner::form(boundary), pieces)
    };
    let whole = read(&mut [body].into_iter());
    assert_eq!(read(&mut pieces(body, seed)), whole, "cut");
    assert_eq!(read(&mut body.chunks(1)), whole, "byte by byte");
    let Ok(facts) = whole else { return };
    assert_eq!(facts.body_bytes, body.len() as u64);
    assert!(facts.file_bytes <= facts.body_bytes && facts.media_bytes <= facts.body_bytes);
    assert!(lenient_models(body) <= 1, "another reader could find another model");
}

/// The content type of the forms that are tried.
const FORM_TYPE: &[u8] = b"multipart/form-data; boundary=B";

/// How many parts are called `model` where any line break ends lines, and a boundary may have anything behind it.
fn lenient_models(body: &[u8]) -> usize {
    let text: String = body.iter().map(|byte| char::from(*byte)).collect();
    let lines: Vec<&str> = text.split(['\r', '\n']).collect();
    let begins = lines.iter().enumerate().filter(|(_, line)| line.starts_with("--B")).map(|(at, _)| at);
    let is_model = |at: &usize| {
        let head = lines.iter().skip(at + 1).skip_while(|line| line.is_empty());
        let mut named = head.take_while(|line| line.to_ascii_lowercase().starts_with("content-"));
        named.any(|line| line.contains("name=\"model\"") || line.contains("name=model"))
    };
    begins.filter(is_model).count()
}

/// A filtered stream is the same however it is cut, and lacks nothing but usage-only events.
pub fn chunk_filter(data: &[u8]) {
    let Some(([_, _, seed], body)) = split(data) else { return };
    let whole = filter(&mut [body].into_iter());
    assert_eq!(filter(&mut pieces(body, seed)), whole, "cut");
    assert_eq!(filter(&mut body.chunks(1)), whole, "byte by byte");
    let mut rest = body.iter();
    assert!(whole.iter().all(|byte| rest.any(|own| own == byte)), "only bytes of the stream, in their order");
    let text = |stream: &[u8]| {
        let mut reader = ResponseReader::new(Dialect::OpenAiChat, Format::EventStream);
        reader.feed(stream);
        let reading = reader.reading();
        (reading.delivered.content_bytes, reading.delivered.content_events, reading.delivered.choices)
    };
    assert_eq!(text(&whole), text(body), "no text is lost");
    if !body.windows(7).any(|window| window == b"choices") && !body.contains(&b'\\') {
        assert_eq!(whole, body, "what names no choices is left alone");
    }
}

/// The bytes that choose, and the body.
fn split(data: &[u8]) -> Option<([u8; CHOICES], &[u8])> {
    let (choices, body) = data.split_first_chunk()?;
    Some((*choices, body))
}

/// The body cut into pieces of lengths that come from a seed.
fn pieces(body: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed).wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut rest = body;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Short pieces mostly, some long ones, now and then none at all.
        let wanted = (state >> 16) as usize % if state >> 30 == 0 { 200 } else { 9 };
        let (piece, after) = rest.split_at(wanted.min(rest.len()));
        let ended = rest.is_empty();
        rest = after;
        (!ended).then_some(piece)
    })
}

fn scan(
    dialect: RequestDialect,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Result<RequestFacts, RequestError> {
    feed(RequestScanner::new(dialect), pieces)
}

fn feed(
    mut scanner: RequestScanner,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Result<RequestFacts, RequestError> {
    for piece in pieces {
        scanner.feed(piece)?;
    }
    scanner.finish()
}

fn edited(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let (prefix, rest) = body.split_at(prefix_len(edits) as usize);
    let mut edited = apply(prefix, edits);
    edited.extend_from_slice(rest);
    edited
}

/// Members that may be edited, at the top and in objects.
const BOUNDS: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
    "max_gen_len",
    "maxTokens",
];
const NESTED: &[(&str, &str)] = &[
    ("stream_options", "include_usage"),
    ("generationConfig", "maxOutputTokens"),
    ("generationConfig", "max_output_tokens"),
    ("generation_config", "maxOutputTokens"),
    ("generation_config", "max_output_tokens"),
    ("inferenceConfig", "maxTokens"),
    ("inferenceConfig", "max_new_tokens"),
    ("inferenceConfig", "maxTokenCount"),
    ("textGenerationConfig", "maxTokens"),
    ("textGenerationConfig", "max_new_tokens"),
    ("textGenerationConfig", "maxTokenCount"),
    ("options", "num_predict"),
];

/// A body without what may be edited.
fn bare(mut body: Value) -> Value {
    for member in BOUNDS {
        body.as_object_mut().map(|body| body.remove(*member));
    }
    for (object, member) in NESTED {
        let inner = body.get_mut(*object).and_then(Value::as_object_mut);
        let is_empty = inner.is_some_and(|inner| {
            inner.remove(*member);
            inner.is_empty()
        });
        if is_empty || body.get(*object).is_some_and(Value::is_null) {
            body.as_object_mut().map(|body| body.remove(*object));
        }
    }
    body
}

fn filter(pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
    let mut filter = UsageChunkFilter::new();
    let mut out = Vec::new();
    for piece in pieces {
        match filter.push(piece) {
            Filtered::Unchanged => out.extend_from_slice(piece),
            Filtered::Replace(bytes) => out.extend_from_slice(&bytes),
        }
    }
    out.extend(filter.finish().unwrap_or_default());
    out
}

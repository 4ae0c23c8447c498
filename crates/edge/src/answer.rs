//! The answer's way to the client: usage is read from the bytes as they pass; nothing is held but, where the
//! edge itself asked for a usage chunk, the unfinished last event.

use std::rc::Rc;

use usage::{Filtered, Format, ResponseReader, UsageChunkFilter};

use crate::edge::Edge;
use crate::effect::{BodyEdit, HeaderEdit, Verdict};
use crate::reply::credits;
use crate::reply::refuse;
use crate::request::{Request, Stage};
use crate::route::Operation;
use crate::route::dialect::Dialect;
use crate::route::generic::GenericRoute;
use crate::stream::ReadBody;

/// What the answer's headers say.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerHead<'a> {
    /// `:status`.
    pub status: u32,
    /// `content-type`.
    pub content_type: &'a [u8],
    /// `content-encoding`.
    pub content_encoding: &'a [u8],
}

impl Edge {
    /// The answer's headers have come; `head` reads them, which costs host calls: the type only where it is
    /// told to. `header` reads a further one.
    pub fn response_headers<'a>(
        &mut self,
        context: u32,
        head: impl FnOnce(bool) -> AnswerHead<'a>,
        header: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Verdict {
        let Some(mut request) = self.requests.remove(&context) else {
            return Verdict::go();
        };
        let mut verdict = Verdict::go();
        match request.stage {
            Stage::Forwarded => {
                let head = head(is_told_by_type(&request));
                observe(&mut request, &head, header);
                verdict.headers = told(&request, head.status);
            }
            Stage::Passed if request.body.usage_injected => {
                // Shadow mode: what the edge asked for is taken out again; nothing is metered.
                let head = head(true);
                observe(&mut request, &head, header);
                request.answer.reader = None;
                request.answer.undecided = false;
                verdict.headers = told(&request, head.status);
            }
            // Its own local reply.
            Stage::Refused | Stage::Passed => {}
            Stage::Head | Stage::Body | Stage::Admission | Stage::Draining => {
                let status = head(false).status;
                request.answer.status = Some(status);
                if status < 400 {
                    let refusal = refuse::answered_early();
                    (request.body.ended, request.body.closed) = (true, true);
                    verdict = self.refuse(&mut request, refusal).map_or_else(Verdict::go, Verdict::reply);
                } else {
                    // Envoy's own refusal, or the upstream's: it passes, and there is nothing to charge.
                    request.stage = Stage::Refused;
                    self.leave_parked(&mut request);
                }
            }
        }
        self.requests.insert(context, request);
        verdict
    }

    /// A piece of the answer's body has come.
    pub fn response_body(
        &mut self,
        context: u32,
        size: usize,
        end_of_stream: bool,
        read: ReadBody<'_>,
    ) -> Verdict {
        let Some(request) = self.requests.get_mut(&context) else {
            return Verdict::go();
        };
        let dialect = dialect(&request.operation);
        let answer = &mut request.answer;
        answer.bytes = answer.bytes.saturating_add(u64::try_from(size).unwrap_or(0));
        let mut verdict = Verdict::go();
        // Only answers from the upstream are read.
        let read_it = answer.reader.is_some() || answer.filter.is_some() || answer.undecided;
        if !read_it || (size == 0 && !end_of_stream) {
            return verdict;
        }
        let piece = if size == 0 { Vec::new() } else { read(0, size) };
        let tells = |byte: &&u8| !byte.is_ascii_whitespace() && !BYTE_ORDER_MARK.contains(byte);
        let first = if answer.undecided { piece.iter().find(tells) } else { None };
        if let (Some(first), Some(dialect)) = (first, dialect) {
            let format = match first {
                b'{' | b'[' => Format::Json,
                // The highest byte of a frame's length.
                0..=8 => Format::AwsEventStream,
                _ => Format::EventStream,
            };
            answer.reader = Some(Box::new(ResponseReader::new(dialect, format)));
            answer.undecided = false;
        }
        if let Some(reader) = &mut answer.reader {
            reader.feed(&piece);
        }
        let Some(filter) = &mut answer.filter else {
            return verdict;
        };
        let mut replaced = match filter.push(&piece) {
            Filtered::Unchanged => None,
            Filtered::Replace(bytes) => Some(bytes),
        };
        if let Some(tail) = end_of_stream.then(|| filter.finish()).flatten() {
            replaced.get_or_insert(piece).extend_from_slice(&tail);
        }
        if let Some(bytes) = replaced {
            verdict.body = BodyEdit::Replace(size, bytes);
        }
        verdict
    }
}

/// No text begins with any of these bytes but for the mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How the answers of an operation are worded; nothing where they are not read.
fn dialect(operation: &Operation) -> Option<usage::Dialect> {
    match operation {
        Operation::Meter(dialect) => dialect.answers(),
        Operation::Exempt | Operation::Deny | Operation::Flat(_) => None,
    }
}

/// Whether the client asked for a stream of events.
fn is_streamed(request: &Request) -> bool {
    request.body.facts.as_ref().is_some_and(|facts| facts.stream)
}

/// Whether the answer may be what no reader makes anything of.
fn answers_plainly(request: &Request) -> bool {
    matches!(request.operation, Operation::Meter(dialect) if dialect.answers_plainly())
}

/// Whether how to read an answer is told by its type, not by its first byte.
fn is_told_by_type(request: &Request) -> bool {
    let counts = matches!(request.operation, Operation::Meter(dialect) if dialect.counts_in_headers());
    counts || is_streamed(request) || answers_plainly(request)
}

/// How an answer of that type is framed; nothing where no reader makes anything of it.
fn format(dialect: Dialect, content_type: &[u8]) -> Option<Format> {
    let known = TYPES.iter().find(|(begin, _)| begins(content_type, begin)).map(|(_, format)| *format);
    let usual = if dialect.streams_lines() { Format::Lines } else { Format::Json };
    known.or(Some(usual).filter(|_| !dialect.answers_plainly()))
}

fn begins(content_type: &[u8], with: &[u8]) -> bool {
    content_type.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
}

/// What a type begins with, and how answers of it are framed.
const TYPES: &[(&[u8], Format)] = &[
    (b"text/event-stream", Format::EventStream),
    (b"application/vnd.amazon.eventstream", Format::AwsEventStream),
    (b"application/x-ndjson", Format::Lines),
    (b"application/stream+json", Format::Lines),
    (b"application/jsonl", Format::Lines),
    (b"application/json", Format::Json),
];

/// Chooses how to read the answer.
fn observe(request: &mut Request, head: &AnswerHead<'_>, header: &dyn Fn(&str) -> Option<Vec<u8>>) {
    let answer = &mut request.answer;
    answer.status = Some(head.status);
    let Operation::Meter(dialect) = request.operation else {
        return;
    };
    answer.encoded =
        !head.content_encoding.is_empty() && !head.content_encoding.eq_ignore_ascii_case(b"identity");
    if answer.encoded {
        // What is in headers is not compressed.
        request.answer.reader = if let Dialect::Generic(place) = dialect {
            pointed(request, place, UNREAD, header)
        } else {
            dialect.answers().and_then(|answers| counted_in_headers(answers, header))
        };
        return;
    }
    if !is_told_by_type(request) {
        // The first byte will tell, which saves reading the type.
        request.answer.undecided = true;
        return;
    }
    if let Dialect::Generic(place) = dialect {
        request.answer.reader = pointed(request, place, head.content_type, header);
        return;
    }
    let (Some(format), Some(answers)) = (format(dialect, head.content_type), dialect.answers()) else {
        return;
    };
    if matches!(format, Format::Json | Format::EventStream)
        && !dialect.counts_in_headers()
        && !dialect.streams_lines()
    {
        // Some servers send events as plain text, or a document where events were asked for: the first byte tells.
        request.answer.undecided = true;
    } else {
        let mut reader = Box::new(ResponseReader::new(answers, format));
        state_headers(&mut reader, (answers, format), header);
        request.answer.reader = Some(reader);
    }
    if request.body.usage_injected && format == Format::EventStream {
        request.answer.filter = Some(Box::new(UsageChunkFilter::new()));
    }
}

/// The type of an answer that no reader makes anything of.
const UNREAD: &[u8] = b"application/octet-stream";

/// A reader of an answer whose headers alone can be read; nothing where they state no count.
fn counted_in_headers(
    answers: usage::Dialect,
    header: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Option<Box<ResponseReader>> {
    let mut reader = Box::new(ResponseReader::new(answers, Format::Opaque));
    state_headers(&mut reader, (answers, Format::Opaque), header).then_some(reader)
}

/// Tells a reader what matters in headers. Whether there were any counts.
fn state_headers(
    reader: &mut ResponseReader,
    (answers, format): (usage::Dialect, Format),
    header: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> bool {
    let mut stated = false;
    for name in ResponseReader::headers(answers, format) {
        if let Some(value) = header(name) {
            stated |= reader.state_header(name, &value);
        }
    }
    stated
}

/// A reader of what the configuration points to, with what the headers state.
fn pointed(
    request: &Request,
    place: GenericRoute,
    content_type: &[u8],
    header: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Option<Box<ResponseReader>> {
    let generic = request.config.generic(place)?;
    let pointers = generic.pointers()?;
    let known = TYPES.iter().find(|(begin, _)| begins(content_type, begin)).map(|(_, format)| *format);
    let is_json = content_type.is_empty() || content_type.windows(4).any(|four| four == b"json");
    let format = known.unwrap_or(if is_json { Format::Json } else { Format::Opaque });
    let format = if pointers.is_empty() { Format::Opaque } else { format };
    let mut reader = ResponseReader::pointed(pointers, format);
    for (name, meter) in generic.headers() {
        if let Some(value) = header(name) {
            reader.state(meter, &value);
        }
    }
    Some(Box::new(reader))
}

/// The most headers that are told, one removal included.
const TOLD_MAX: usize = 6;

/// The headers for the client: at most five, all from what was known at admission, none on failures.
fn told(request: &Request, status: u32) -> Vec<HeaderEdit> {
    let mut edits = Vec::with_capacity(TOLD_MAX);
    if request.answer.filter.is_some() {
        // The client hangs on a body that is shorter than announced.
        edits.push(HeaderEdit::Remove("content-length".into()));
    }
    let Some(hold) = request.hold.as_ref().filter(|_| status < 400) else {
        return edits;
    };
    let names = &request.config.answer_headers;
    let mut tell = |name: &Rc<str>, value| edits.push(HeaderEdit::Forward(Rc::clone(name), value));
    if let Some(name) = &names.request_id {
        tell(name, request.id.to_string());
    }
    if let (Some(name), Some(remaining)) = (&names.credits_remaining, hold.remaining) {
        tell(name, credits(remaining));
    }
    if let (Some(name), Operation::Flat(_)) = (&names.charge, &request.operation) {
        tell(name, credits(hold.credits));
    }
    let policy = request.account.as_ref().map(|account| &account.policy.rate_policy);
    if let (true, Some(limit), Some(policy)) = (names.rate_limit, &hold.rate_limit, policy) {
        edits.push(HeaderEdit::Set("ratelimit-policy", policy.clone().into()));
        edits.push(HeaderEdit::Set("ratelimit", limit.clone().into()));
    }
    edits
}

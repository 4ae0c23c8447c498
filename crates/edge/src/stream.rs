//! The request's way to the upstream: header, body and trailer callbacks.

use std::rc::Rc;

use usage::request::{Member, edit};
use usage::{RequestFacts, RequestScanner};

use crate::admit::Progress;
use crate::config::{Background, Config, HeaderMode};
use crate::edge::Edge;
use crate::effect::{BodyEdit, Flow, HeaderEdit, Verdict};
use crate::limits::{PATH_BYTES_MAX, SLICE};
use crate::metric::Ended;
use crate::reply::refuse;
use crate::reply::{Refusal, Reply};
use crate::request::credential::{identify, is_minted, without_parameters};
use crate::request::head::Head;
use crate::request::{Answer, Reason, Request, RequestBody, Stage};
use crate::route::dialect::Dialect;
use crate::route::{Operation, classify, error_shape, own, path_model};
use crate::shared::SharedData;
use crate::time::Now;

/// Reads a part of the body at hand: start, length.
pub type ReadBody<'a> = &'a dyn Fn(usize, usize) -> Vec<u8>;

impl Edge {
    /// The request's headers have come.
    pub fn request_headers<'a>(
        &mut self,
        shared: &dyn SharedData,
        context: u32,
        config: &'a Rc<Config>,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        end_of_stream: bool,
        now: Now,
    ) -> Verdict {
        self.clock.last_request = now.mono_us;
        let head = Head::read(pairs, &config.credentials.headers);
        let operation = classify(config, head.method, head.path);
        let route = own(config, head.method, head.path).map(|(_, own)| own);
        let mut verdict = Verdict::go();
        verdict.headers = cleaned(config, &head, &operation, end_of_stream);
        let mut request = Box::new(Request {
            config: Rc::clone(config),
            id: self.next_id(),
            began: now,
            errors: error_shape(&operation, head.path),
            operation,
            stage: Stage::Head,
            digest: None,
            key: None,
            account: None,
            body: RequestBody {
                announced: head.content_length,
                ended: end_of_stream,
                closed: end_of_stream,
                usage_not_asked: route.is_some_and(|own| !own.include_usage),
                is_old_chat: route.is_some_and(|own| !own.max_completion_tokens),
                sold_tier: route.and_then(|own| own.service_tier.clone()),
                ..RequestBody::default()
            },
            wait: None,
            rates_taken: None,
            shadow: None,
            refusal: None,
            hold: None,
            answer: Answer::default(),
        });
        let progress = match self.first_look(&mut request, &head) {
            Some(refusal) => Progress::Refuse(refusal),
            None if request.stage == Stage::Passed => Progress::Go,
            None => self.advance(shared, context, &mut request, now),
        };
        self.conclude(shared, &mut request, progress, &mut verdict, now);
        if request.stage != Stage::Passed || request.shadow.is_some() {
            self.requests.insert(context, request);
        } else {
            self.metrics.ended("none", Ended::Exempt);
        }
        verdict
    }

    /// What the headers alone decide.
    fn first_look(&mut self, request: &mut Request, head: &Head<'_>) -> Option<Refusal> {
        match request.operation {
            Operation::Exempt => {
                request.stage = Stage::Passed;
                return None;
            }
            Operation::Deny => return Some(refuse::route("This path is not offered.")),
            Operation::Flat(_) | Operation::Meter(_) => {}
        }
        if head.upgrade {
            return Some(refuse::route("Upgrades are not offered on this path."));
        }
        if head.path.len() > PATH_BYTES_MAX {
            return Some(refuse::route("The path is too long."));
        }
        // A credential could not be taken out of a path that is no text.
        if std::str::from_utf8(head.path).is_err() {
            return Some(refuse::route("The path is not readable."));
        }
        let sent = head.credentials.iter().map(|(name, value)| (&***name, *value));
        match identify(sent, &request.config.credentials.query, head.path) {
            Ok(digest) => request.digest = Some(digest),
            Err(error) => return Some(refuse::credential(error)),
        }
        if let Operation::Meter(dialect) = request.operation {
            let generic =
                if let Dialect::Generic(place) = dialect { request.config.generic(place) } else { None };
            let sold = generic.and_then(|generic| generic.price.clone());
            if !dialect.reads_body() {
                request.body.edited = true;
                let sold_tier = request.body.sold_tier.take();
                request.body.facts = Some(RequestFacts { model: sold, sold_tier, ..RequestFacts::default() });
                return None;
            }
            let limit = request.config.body_limit_bytes;
            if head.content_length.is_some_and(|announced| announced > limit) {
                return Some(refuse::too_large(limit));
            }
            if head.encoded {
                return Some(refuse::unreadable("it is compressed; send it as it is"));
            }
            let form = if dialect.takes_forms() { head.form() } else { Ok(None) };
            request.body.scanner = Some(Box::new(match form {
                Ok(None) => RequestScanner::new(dialect.requests()),
                Ok(Some(boundary)) => RequestScanner::form(boundary),
                Err(refusal) => return Some(refusal),
            }));
            request.body.path_model = match path_model(head.path) {
                Some(None) => {
                    return Some(refuse::unreadable("its path names a model in other than plain text"));
                }
                Some(model) => model,
                None => None,
            };
            if sold.is_some() {
                request.body.path_model = sold;
            }
            let is_invocation = dialect == Dialect::BedrockInvoke;
            request.body.tier = head.service_tier.filter(|_| is_invocation).map(Box::from);
            if request.body.ended {
                return Some(refuse::unreadable("it is empty"));
            }
        }
        None
    }

    /// A piece of the request's body has come: `size` bytes are in the host's buffer. The time is asked for where
    /// something is decided.
    pub fn request_body(
        &mut self,
        shared: &dyn SharedData,
        context: u32,
        size: usize,
        end_of_stream: bool,
        read: ReadBody<'_>,
        now: impl FnOnce() -> Now,
    ) -> Verdict {
        let Some(mut request) = self.requests.remove(&context) else {
            return Verdict::go();
        };
        let mut verdict = Verdict::pause();
        request.body.closed |= end_of_stream;
        request.body.ended |= end_of_stream;
        match request.stage {
            Stage::Forwarded => {
                verdict = Verdict::go();
                if request.operation.reads_body() && size > 0 {
                    // A metered body goes on whole: what comes behind it was not announced, read or priced.
                    verdict.body = BodyEdit::Drop(size);
                }
            }
            Stage::Passed => verdict = Verdict::go(),
            Stage::Refused => {}
            Stage::Draining => {
                verdict.body = BodyEdit::Drop(size);
                if end_of_stream {
                    verdict.reply = self.drained(&mut request);
                }
            }
            Stage::Head | Stage::Body | Stage::Admission => {
                let now = now();
                let progress = match self.scan(&mut request, size, read, &mut verdict) {
                    Err(refusal) => Progress::Refuse(refusal),
                    Ok(()) if request.wait.is_some() => Progress::Wait,
                    Ok(()) => self.advance(shared, context, &mut request, now),
                };
                self.conclude(shared, &mut request, progress, &mut verdict, now);
                if matches!(request.stage, Stage::Draining | Stage::Refused) {
                    verdict.body = BodyEdit::Drop(size);
                }
            }
        }
        self.requests.insert(context, request);
        verdict
    }

    /// Trailers have come: they are the end of the body, and no body callback says so.
    pub fn request_trailers(&mut self, shared: &dyn SharedData, context: u32, now: Now) -> Verdict {
        let Some(mut request) = self.requests.remove(&context) else {
            return Verdict::go();
        };
        let mut verdict = Verdict::pause();
        (request.body.ended, request.body.closed) = (true, true);
        match request.stage {
            Stage::Forwarded | Stage::Passed => verdict = Verdict::go(),
            Stage::Refused => {}
            Stage::Draining => verdict.reply = self.drained(&mut request),
            Stage::Head | Stage::Body | Stage::Admission => {
                let progress = match finish_scan(&mut request) {
                    Err(refusal) => Progress::Refuse(refusal),
                    Ok(()) if request.wait.is_some() => Progress::Wait,
                    // The account became known too late for the callback that had the body.
                    Ok(()) if request.body.facts.is_some() && !request.body.edited => {
                        let progress = self.park(context, &mut request, Reason::Edit, Vec::new(), now);
                        // What goes on at once goes as it is.
                        request.body.edited = !matches!(progress, Progress::Wait);
                        progress
                    }
                    Ok(()) => self.advance(shared, context, &mut request, now),
                };
                self.conclude(shared, &mut request, progress, &mut verdict, now);
            }
        }
        self.requests.insert(context, request);
        verdict
    }

    /// Turns progress into a verdict.
    fn conclude(
        &mut self,
        shared: &dyn SharedData,
        request: &mut Request,
        progress: Progress,
        verdict: &mut Verdict,
        now: Now,
    ) {
        match self.overrule(shared, request, progress, now) {
            Progress::Go => {
                verdict.flow = Flow::Continue;
                self.leave_parked(request);
                self.go(request, verdict);
            }
            Progress::Wait => verdict.flow = Flow::Pause,
            Progress::Refuse(refusal) => {
                self.give_rates_back(shared, request, now);
                verdict.reply = self.refuse(request, refusal);
                // What passes in shadow mode keeps its edit: the length that was announced counts it in.
                verdict.flow = if request.stage == Stage::Passed { Flow::Continue } else { Flow::Pause };
            }
        }
    }

    /// What changes when a request goes on: its stage, the body's edits where they are still to be made, and
    /// the headers that the plan sends upstream.
    pub(crate) fn go(&mut self, request: &mut Request, verdict: &mut Verdict) {
        let metered = request.operation.reads_body();
        let headers_first = metered && request.config.headers == HeaderMode::Stream;
        match request.stage {
            Stage::Admission => {
                request.stage = Stage::Forwarded;
                edit_body(request, verdict);
                if headers_first {
                    // They went ahead of the body.
                    return;
                }
            }
            Stage::Body if headers_first => {}
            Stage::Head
            | Stage::Body
            | Stage::Draining
            | Stage::Forwarded
            | Stage::Passed
            | Stage::Refused => {
                return;
            }
        }
        let policy = request.account.as_ref().map(|account| &account.policy.policy);
        let forward = policy.map_or(&[][..], |policy| &policy.forward);
        let edits = forward.iter().map(|(name, value)| match value.as_str() {
            "" => HeaderEdit::Remove(name.as_str().into()),
            value => HeaderEdit::Forward(name.as_str().into(), value.to_owned()),
        });
        verdict.headers.extend(edits);
    }

    /// Refuses a request: now, or at the end of its body where the connection would be lost otherwise. In
    /// shadow mode it is only noted, and the request passes.
    pub(crate) fn refuse(&mut self, request: &mut Request, refusal: Refusal) -> Option<Box<Reply>> {
        self.leave_parked(request);
        if !request.enforced() {
            request.shadow.get_or_insert(refusal.code);
            request.stage = Stage::Passed;
            return None;
        }
        let limit = request.config.body_limit_bytes;
        let body_comes = request.body.announced.is_some_and(|bytes| bytes > 0 && bytes <= limit);
        // In `stream` mode the body comes once the headers have gone, which only those of metered requests do
        // before all is decided.
        let headers_gone = request.operation.reads_body() && request.stage != Stage::Head;
        let can_wait = request.config.headers == HeaderMode::Hold || headers_gone;
        if !request.body.closed && body_comes && can_wait {
            request.refusal = Some(refusal);
            request.stage = Stage::Draining;
            return None;
        }
        Some(self.reply(request, &refusal))
    }

    /// The body of a refused request has ended.
    fn drained(&mut self, request: &mut Request) -> Option<Box<Reply>> {
        let refusal = request.refusal.take()?;
        Some(self.reply(request, &refusal))
    }

    fn reply(&mut self, request: &mut Request, refusal: &Refusal) -> Box<Reply> {
        request.stage = Stage::Refused;
        self.metrics.ended(request.plan(), Ended::Refused(refusal.code));
        let reply = Box::new(refusal.reply(&request.config, request.errors, &request.id));
        request.refusal = Some(refusal.clone());
        reply
    }

    /// Hands the body's bytes that have not been seen to the scanner.
    fn scan(
        &mut self,
        request: &mut Request,
        size: usize,
        read: ReadBody<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), Refusal> {
        // A body of the announced length is whole: the last callback, which says so, need not be waited for.
        request.body.ended |= request.body.announced == u64::try_from(size).ok() && !request.body.edited;
        let limit = request.config.body_limit_bytes;
        let Some(scanner) = &mut request.body.scanner else {
            let read = request.operation.reads_body() && request.body.facts.is_some();
            let longer = read && size > request.body.scanned;
            return if longer { Err(refuse::unreadable("it is longer than announced")) } else { Ok(()) };
        };
        if u64::try_from(size).is_ok_and(|size| size > limit) {
            // Not worth waiting for the end of a body that is already too large.
            request.body.announced = None;
            return Err(refuse::too_large(limit));
        }
        while request.body.scanned < size {
            let piece = read(request.body.scanned, size.saturating_sub(request.body.scanned).min(SLICE));
            if piece.is_empty() {
                break;
            }
            scanner.feed(&piece).map_err(refuse::unreadable)?;
            request.body.scanned = request.body.scanned.saturating_add(piece.len());
        }
        // Nothing can be written in the trailers phase, so the edit does not wait for the body's end. Without
        // the account's policy it must: then it is made when the request goes on.
        if request.account.is_some() {
            edit_body(request, verdict);
        }
        if request.body.ended { finish_scan(request) } else { Ok(()) }
    }
}

fn finish_scan(request: &mut Request) -> Result<(), Refusal> {
    let Some(scanner) = request.body.scanner.take() else {
        return Ok(());
    };
    let mut facts = scanner.finish().map_err(refuse::unreadable)?;
    if let Some(model) = request.body.path_model.take() {
        facts.model = Some(model);
    }
    facts.service_tier = request.body.tier.take();
    facts.sold_tier = request.body.sold_tier.take();
    facts.is_old_chat = request.body.is_old_chat;
    if let Operation::Meter(dialect) = request.operation {
        if facts.model.is_none() {
            facts.model = dialect.usual_model().map(Into::into);
        }
        request.body.outlives = outlives(request, &facts)?;
    }
    request.body.facts = Some(facts);
    Ok(())
}

/// Whether the answer is only the receipt of what is made later, as of a response in the background: its result is
/// fetched by other requests, as often as anybody likes.
///
/// # Errors
/// Where that is not offered.
fn outlives(request: &Request, facts: &RequestFacts) -> Result<bool, Refusal> {
    if request.operation != Operation::Meter(Dialect::OpenaiResponses) {
        return Ok(false);
    }
    match facts.member(BACKGROUND) {
        Ok(Member::Absent | Member::Flag(false)) => Ok(false),
        Ok(Member::Flag(true)) => match request.config.background {
            Background::Hold => Ok(true),
            Background::Deny => Err(refuse::parameter(BACKGROUND, "is not offered here: leave it out")),
        },
        Ok(_) => Err(refuse::parameter(BACKGROUND, "must be true or false")),
        Err(unclear) => Err(refuse::parameter(BACKGROUND, unclear)),
    }
}

/// The member by which a response is made in the background.
const BACKGROUND: &str = "background";

/// Edits the body once its document is complete: `stream_options.include_usage`, the plan's output bound.
fn edit_body(request: &mut Request, verdict: &mut Verdict) {
    let body = &mut request.body;
    let scanned =
        body.scanner.as_deref().filter(|scanner| scanner.is_complete()).and_then(RequestScanner::facts);
    let Some(facts) = body.facts.as_ref().or(scanned).filter(|_| !body.edited) else {
        return;
    };
    body.edited = true;
    let Operation::Meter(dialect) = request.operation else {
        return;
    };
    let usage = edit::include_usage(facts).filter(|_| dialect.asks_for_usage() && !body.usage_not_asked);
    body.usage_injected = usage.is_some();
    let policy = request.account.as_ref().map(|account| &account.policy.policy);
    let cap = policy.and_then(|policy| policy.max_tokens).zip(dialect.output_bound());
    let cap = cap.map(|(cap, bound)| edit::max_tokens(facts, cap, bound.of_server(body.is_old_chat)));
    let edits: Vec<_> = usage.into_iter().chain(cap.into_iter().flatten()).collect();
    if edits.is_empty() {
        return;
    }
    let added: u64 = edits.iter().map(|edit| u64::try_from(edit.replacement.len()).unwrap_or(0)).sum();
    let removed: u64 = edits.iter().map(|edit| edit.end.saturating_sub(edit.start)).sum();
    let shifted = |length: u64| length.saturating_add(added).saturating_sub(removed);
    body.scanned = usize::try_from(shifted(u64::try_from(body.scanned).unwrap_or(0))).unwrap_or(usize::MAX);
    // In `hold` mode the headers are still here; in `stream` mode the length was taken off before they went.
    if let (HeaderMode::Hold, Some(announced)) = (request.config.headers, body.announced) {
        verdict.headers.push(HeaderEdit::Set("content-length", shifted(announced).to_string().into()));
    }
    verdict.body = BodyEdit::Prefix(edits);
}

/// Room for the header changes of most requests.
const CLEANED: usize = 4;

/// Header changes that do not depend on the decision.
fn cleaned(config: &Config, head: &Head<'_>, operation: &Operation, end_of_stream: bool) -> Vec<HeaderEdit> {
    let text = |name: &[u8]| str::from_utf8(name).map(Rc::from).ok();
    // An exempt route's credential may be the upstream's own; only a key that the ledger minted is ours for sure.
    let exempt = *operation == Operation::Exempt;
    let ours = |value: &[u8]| !exempt || is_minted(value);
    let mut edits = Vec::with_capacity(CLEANED);
    edits.extend(head.forged.iter().filter_map(|name| text(name)).map(HeaderEdit::Remove));
    // In shadow mode the credential may be the upstream's own.
    if !config.credentials.keep && config.enforce {
        for (name, _) in head.credentials.iter().filter(|(_, value)| ours(value)) {
            // One removal takes all headers of a name.
            let removal = HeaderEdit::Remove(Rc::clone(name));
            if !edits.contains(&removal) {
                edits.push(removal);
            }
        }
        let path = without_parameters(head.path, &config.credentials.query)
            .and_then(|path| String::from_utf8(path).ok());
        edits.extend(path.map(|path| HeaderEdit::Set(":path", path.into())));
    }
    if let Operation::Meter(_) = operation {
        edits.push(HeaderEdit::Set("accept-encoding", "identity".into()));
        if operation.reads_body() && config.headers == HeaderMode::Stream && !end_of_stream {
            edits.push(HeaderEdit::Remove("content-length".into()));
        }
    }
    edits
}

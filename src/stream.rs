//! An HTTP stream: its callbacks, handed to the edge core.

use std::rc::Rc;

use edge::{AnswerHead, Config, Origin, SharedData};

use crate::Vm;
use crate::abi::{self, Buffer, Map};
use crate::exports::Action;
use crate::host::{Shared, on_request, on_response};
use crate::pairs::Pairs;

/// The name of the filter state that the access log can show: `%FILTER_STATE(wasm.bursar:PLAIN)%`.
const FILTER_STATE: &str = "bursar";

/// A stream.
pub struct Stream {
    context: u32,
    configured: Option<(Rc<Config>, Rc<Vm>)>,
}

impl Stream {
    /// A stream under a root's configuration.
    pub fn new(context: u32, configured: Option<(Rc<Config>, Rc<Vm>)>) -> Self {
        Self { context, configured }
    }

    /// The request's headers have come.
    pub fn on_request_headers(&mut self, end_of_stream: bool) -> Action {
        let Some((config, vm)) = &self.configured else {
            return Action::Continue;
        };
        let map = abi::headers(Map::Request).unwrap_or_default();
        let pairs = Pairs::new(&map);
        #[cfg(feature = "trap-for-tests")]
        crate::trap::begin(self.context, pairs.clone());
        let now = vm.now();
        let verdict =
            vm.edge.borrow_mut().request_headers(shared(), self.context, config, pairs, end_of_stream, now);
        vm.after_stream();
        on_request(verdict)
    }

    /// A piece of the request's body has come.
    pub fn on_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some((_, vm)) = &self.configured else {
            return Action::Continue;
        };
        #[cfg(feature = "trap-for-tests")]
        crate::trap::reach(self.context, crate::trap::Phase::Body);
        let read = |start, length| abi::buffer(Buffer::Request, start, length).unwrap_or_default();
        let now = || vm.now();
        let verdict =
            vm.edge.borrow_mut().request_body(shared(), self.context, size, end_of_stream, &read, now);
        vm.after_stream();
        on_request(verdict)
    }

    /// The request's trailers have come.
    pub fn on_request_trailers(&mut self) -> Action {
        let Some((_, vm)) = &self.configured else {
            return Action::Continue;
        };
        let now = vm.now();
        let verdict = vm.edge.borrow_mut().request_trailers(shared(), self.context, now);
        vm.after_stream();
        on_request(verdict)
    }

    /// The answer's headers have come.
    pub fn on_response_headers(&mut self) -> Action {
        let Some((_, vm)) = &self.configured else {
            return Action::Continue;
        };
        let (mut content_type, mut content_encoding) = (Vec::new(), Vec::new());
        let mut edge = vm.edge.borrow_mut();
        let header = |name: &str| abi::header(Map::Response, name);
        let verdict = edge.response_headers(
            self.context,
            |with_type| {
                let status = abi::header(Map::Response, ":status")
                    .and_then(|status| edge::request::head::decimal(&status));
                if with_type {
                    content_type = abi::header(Map::Response, "content-type").unwrap_or_default();
                }
                content_encoding = abi::header(Map::Response, "content-encoding").unwrap_or_default();
                AnswerHead {
                    status: status.and_then(|status| u32::try_from(status).ok()).unwrap_or(500),
                    content_type: &content_type,
                    content_encoding: &content_encoding,
                }
            },
            &header,
        );
        drop(edge);
        on_response(verdict)
    }

    /// A piece of the answer's body has come.
    pub fn on_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some((_, vm)) = &self.configured else {
            return Action::Continue;
        };
        #[cfg(feature = "trap-for-tests")]
        crate::trap::reach(self.context, crate::trap::Phase::Answer);
        let read = |start, length| abi::buffer(Buffer::Response, start, length).unwrap_or_default();
        let verdict = vm.edge.borrow_mut().response_body(self.context, size, end_of_stream, &read);
        on_response(verdict)
    }

    /// The stream has ended.
    pub fn on_log(&mut self) {
        let Some((_, vm)) = &self.configured else {
            return;
        };
        #[cfg(feature = "trap-for-tests")]
        crate::trap::reach(self.context, crate::trap::Phase::Log);
        let now = vm.now();
        let line = vm.edge.borrow_mut().log(shared(), self.context, origin, now);
        if let Some(line) = line {
            abi::set_property(FILTER_STATE, &line);
        }
        vm.after_stream();
    }
}

fn shared() -> &'static dyn SharedData {
    &Shared
}

/// Where the answer came from. The host names the end of every stream; its response flags are set where the
/// stream was cut.
fn origin() -> Origin {
    let details = abi::property(&["response", "code_details"]).unwrap_or_default();
    if details == b"via_upstream" {
        return Origin::Upstream;
    }
    let flags = abi::property(&["response", "flags"]).unwrap_or_default();
    if flags.iter().any(|byte| *byte != 0) { Origin::Cut } else { Origin::Host }
}

//! The callbacks of the proxy-wasm ABI 0.2.1 that the filter handles, and who they are for.
//!
//! The host calls every callback that a module exports, for each request; so what there is no use for is not
//! here. A missing `proxy_on_done` counts as done, usage never stands in response trailers, and the ledger is spoken
//! to over plain HTTP. A context that is not known is nobody's: its callback does nothing.
#![expect(
    unsafe_code,
    reason = "names that the host calls; nothing else in here is unsafe but `_initialize`"
)]

use std::cell::RefCell;
use std::panic;

use hashbrown::HashMap;

use crate::abi::{self, Level};
use crate::root::Root;
use crate::stream::Stream;

/// What a callback answers: the stream may go on, or it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// It goes on.
    Continue = 0,
    /// It waits.
    Pause = 1,
}

thread_local! {
    static ROOTS: RefCell<HashMap<u32, Root>> = RefCell::default();
    static STREAMS: RefCell<HashMap<u32, Stream>> = RefCell::default();
}

fn with_root<T>(context: u32, otherwise: T, call: impl FnOnce(&mut Root) -> T) -> T {
    ROOTS.with_borrow_mut(|roots| roots.get_mut(&context).map(call)).unwrap_or(otherwise)
}

fn with_stream<T>(context: u32, otherwise: T, call: impl FnOnce(&mut Stream) -> T) -> T {
    STREAMS.with_borrow_mut(|streams| streams.get_mut(&context).map(call)).unwrap_or(otherwise)
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: what the linker gathered to be run before anything else; the host calls this once, first.
    unsafe { __wasm_call_ctors() };
    panic::set_hook(Box::new(|info| abi::log(Level::Critical, &info.to_string())));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Makes room for bytes that the host returns; [`abi`] takes it over as a `Vec` of that capacity.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(Box::<[u8]>::new_uninit_slice(size)).cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    if root == 0 {
        ROOTS.with_borrow_mut(|roots| roots.insert(context, Root::new(context)));
    } else if let Some(stream) = with_root(root, None, |root| Some(root.stream(context))) {
        STREAMS.with_borrow_mut(|streams| streams.insert(context, stream));
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    // What a stream owned is dropped when nothing is borrowed any more.
    let stream = STREAMS.with_borrow_mut(|streams| streams.remove(&context));
    if stream.is_none() {
        drop(ROOTS.with_borrow_mut(|roots| roots.remove(&context)));
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: usize) -> u32 {
    with_root(context, false, |root| root.on_configure(size)).into()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    with_root(context, (), Root::on_tick);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(context: u32, queue: u32) {
    with_root(context, (), |root| root.on_queue_ready(queue));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    context: u32,
    token: u32,
    _headers: usize,
    size: usize,
    _trailers: usize,
) {
    // The host keeps calls by the root that made them, and forgets them with it.
    with_root(context, (), |root| root.on_http_call_response(token, size));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end_of_stream: u32) -> u32 {
    with_stream(context, Action::Continue, |stream| stream.on_request_headers(end_of_stream != 0)) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, end_of_stream: u32) -> u32 {
    with_stream(context, Action::Continue, |stream| stream.on_request_body(size, end_of_stream != 0)) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> u32 {
    with_stream(context, Action::Continue, |stream| stream.on_request_trailers()) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, _end_of_stream: u32) -> u32 {
    with_stream(context, Action::Continue, |stream| stream.on_response_headers()) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: usize, end_of_stream: u32) -> u32 {
    with_stream(context, Action::Continue, |stream| stream.on_response_body(size, end_of_stream != 0)) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    with_stream(context, (), |stream| stream.on_log());
}

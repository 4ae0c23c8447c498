//! The host calls that the filter uses, over the raw imports of the proxy-wasm ABI 0.2.1.
//!
//! A panic ends a worker's traffic, so every failure is a value here, and header bytes are bytes.
#![expect(unsafe_code, reason = "the raw imports of the host; every block is one call with checked results")]

/// Which header map a call is about.
#[derive(Clone, Copy, Debug)]
pub enum Map {
    /// Of the request.
    Request = 0,
    /// Of the answer.
    Response = 2,
    /// Of the answer to a call.
    Call = 6,
}

/// Which buffer a call is about.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    /// Of the request.
    Request = 0,
    /// Of the answer.
    Response = 1,
    /// Of the answer to a call.
    Call = 4,
    /// The plugin's configuration.
    Configuration = 7,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Only grows.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// Something is not as it should be.
    Warn = 3,
    /// Something does not work.
    Error = 4,
    /// Nothing works any more.
    Critical = 5,
}

const OK: u32 = 0;
const CAS_MISMATCH: u32 = 8;
const MONOTONIC: u32 = 1;
/// The stream type of requests.
const REQUEST_STREAM: u32 = 0;

unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        length: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, length: usize, data: *const u8, size: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, data: *const u8, size: usize, cas: u32) -> u32;
    fn proxy_register_shared_queue(name: *const u8, name_size: usize, queue: *mut u32) -> u32;
    fn proxy_enqueue_shared_queue(queue: u32, data: *const u8, size: usize) -> u32;
    fn proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, data: *const u8, size: usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, metric: *mut u32) -> u32;
    fn proxy_increment_metric(metric: u32, offset: i64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
}

#[cfg_attr(target_os = "wasi", link(wasm_import_module = "wasi_snapshot_preview1"))]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
    fn random_get(buffer: *mut u8, size: usize) -> u16;
}

/// Calls the host for bytes, for which it asks room of `proxy_on_memory_allocate`.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size = 0_usize;
    let status = call(&raw mut data, &raw mut size);
    if data.is_null() {
        return (status == OK).then(Vec::new);
    }
    // SAFETY: the host filled `size` bytes that it allocated through `proxy_on_memory_allocate`.
    let bytes = unsafe { Vec::from_raw_parts(data, size, size) };
    (status == OK).then_some(bytes)
}

/// All pairs of a header map, in the ABI's serialised form.
pub fn headers(map: Map) -> Option<Vec<u8>> {
    // SAFETY: both pointers are valid for the call.
    returned(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
}

/// One header; nothing where it is absent or the map cannot be read in this phase.
pub fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: all pointers are valid for the call.
    returned(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Sets a header; false where it cannot be set in this phase.
pub fn set_header(map: Map, name: &str, value: &[u8]) -> bool {
    // SAFETY: all pointers are valid for the call.
    OK == unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    }
}

/// Removes a header; false where it cannot be removed in this phase.
pub fn remove_header(map: Map, name: &str) -> bool {
    // SAFETY: the pointer is valid for the call.
    OK == unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) }
}

/// A part of a buffer.
pub fn buffer(buffer: Buffer, start: usize, length: usize) -> Option<Vec<u8>> {
    // SAFETY: both pointers are valid for the call.
    returned(|data, size| unsafe { proxy_get_buffer_bytes(buffer as u32, start, length, data, size) })
}

/// Replaces a part of a buffer, from its beginning; false where the host refuses.
pub fn set_buffer(buffer: Buffer, length: usize, bytes: &[u8]) -> bool {
    // SAFETY: the pointer is valid for the call.
    OK == unsafe { proxy_set_buffer_bytes(buffer as u32, 0, length, bytes.as_ptr(), bytes.len()) }
}

/// Answers the request; `headers` in the ABI's serialised form.
pub fn local_response(status: u32, details: &str, headers: &[u8], body: &[u8]) -> bool {
    // SAFETY: all pointers are valid for the call; -1 = no gRPC status.
    let sent = unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    };
    sent == OK
}

/// Calls a cluster; the answer comes to the context whose callback this is, under the token. An error is the host's
/// status: `headers` are in the ABI's serialised form.
pub fn call(cluster: &str, headers: &[u8], body: &[u8], timeout_ms: u32) -> Result<u32, u32> {
    let no_trailers = 0_u32.to_le_bytes();
    let mut token = 0;
    // SAFETY: all pointers are valid for the call.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            no_trailers.as_ptr(),
            no_trailers.len(),
            timeout_ms,
            &raw mut token,
        )
    };
    if status == OK { Ok(token) } else { Err(status) }
}

/// Writes a line to the host's log.
pub fn log(level: Level, text: &str) {
    // SAFETY: the pointer is valid for the call. What cannot be logged must not stop traffic.
    let _ = unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Lets the request of the effective context go on.
pub fn continue_request() -> bool {
    // SAFETY: no pointers.
    OK == unsafe { proxy_continue_stream(REQUEST_STREAM) }
}

/// Makes another context the effective one; false where it is gone.
pub fn set_effective_context(context: u32) -> bool {
    // SAFETY: no pointers.
    OK == unsafe { proxy_set_effective_context(context) }
}

/// A value of shared data and its version.
pub fn shared(key: &str) -> (Option<Vec<u8>>, Option<u32>) {
    #[cfg(feature = "trap-for-tests")]
    crate::trap::burn();
    let mut cas = 0_u32;
    // SAFETY: all pointers are valid for the call.
    let value = returned(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
    });
    (value.filter(|value| !value.is_empty()), (cas != 0).then_some(cas))
}

/// Stores a value of shared data; false where the version is not the current one.
pub fn set_shared(key: &str, value: &[u8], version: u32) -> bool {
    #[cfg(feature = "trap-for-tests")]
    crate::trap::burn();
    // SAFETY: all pointers are valid for the call.
    CAS_MISMATCH
        != unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) }
}

/// Registers a shared queue, which this VM then consumes.
pub fn register_queue(name: &str) -> Option<u32> {
    let mut queue = 0;
    // SAFETY: all pointers are valid for the call.
    let status = unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut queue) };
    (status == OK).then_some(queue)
}

/// Puts a message into a queue, which wakes its VM.
pub fn enqueue(queue: u32, message: &[u8]) -> bool {
    // SAFETY: the pointer is valid for the call.
    OK == unsafe { proxy_enqueue_shared_queue(queue, message.as_ptr(), message.len()) }
}

/// Takes a message from a queue; nothing where there is none.
pub fn dequeue(queue: u32) -> Option<Vec<u8>> {
    // SAFETY: both pointers are valid for the call.
    returned(|data, size| unsafe { proxy_dequeue_shared_queue(queue, data, size) })
}

/// A property of the stream.
pub fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    // SAFETY: all pointers are valid for the call.
    returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a property: filter state `wasm.<name>`.
pub fn set_property(name: &str, value: &str) -> bool {
    // SAFETY: all pointers are valid for the call.
    OK == unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
}

/// The host's id of a metric, made if there is none.
pub fn metric(kind: Kind, name: &str) -> Option<u32> {
    let mut metric = 0;
    // SAFETY: all pointers are valid for the call.
    let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut metric) };
    (status == OK).then_some(metric)
}

/// Adds to a metric.
pub fn add_metric(metric: u32, by: i64) {
    // SAFETY: no pointers. A metric that cannot be counted must not stop traffic.
    let _ = unsafe { proxy_increment_metric(metric, by) };
}

/// Sets the period of the root's tick, in milliseconds.
pub fn tick_every(ms: u32) -> bool {
    // SAFETY: no pointers.
    OK == unsafe { proxy_set_tick_period_milliseconds(ms) }
}

/// The wall clock, in nanoseconds since 1970.
pub fn wall_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the pointer is valid for the call.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// The monotonic clock, in nanoseconds; one base for all workers of the process.
pub fn mono_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the pointer is valid for the call.
    unsafe { clock_time_get(MONOTONIC, 0, &raw mut time) };
    time
}

/// 128 random bits.
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: the pointer is valid for 16 bytes.
    unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    bytes
}

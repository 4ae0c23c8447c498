//! See [`fuzz::chunk_filter`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::chunk_filter(data));

//! See `zun_fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zun_fuzz::request(bytes));

//! See `zun_fuzz::hello`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zun_fuzz::hello(bytes));

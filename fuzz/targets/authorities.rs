//! See `zun_fuzz::authorities`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zun_fuzz::authorities(bytes));

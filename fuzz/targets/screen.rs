//! See `zun_fuzz::screen`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zun_fuzz::screen(bytes));

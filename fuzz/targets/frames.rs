//! See `zun_fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zun_fuzz::frames(bytes));

//! See `zun_fuzz::trusted_cas`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zun_fuzz::trusted_cas(bytes));

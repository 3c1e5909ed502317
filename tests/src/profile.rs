//! How much is tried: a run of `make test` takes a tenth, `make test-long` sets `ZUN_TEST_LONG=1`.

/// Whether this is a long run.
pub fn is_long() -> bool {
    std::env::var_os("ZUN_TEST_LONG").is_some_and(|value| value == "1")
}

/// So many in a long run, a tenth otherwise.
pub fn times(many: usize) -> usize {
    if is_long() { many } else { many / 10 }
}

//! Length of the test run. `make test` runs a tenth of the repetitions; `make test-long` sets `ZUN_TEST_LONG=1` and
//! runs all.

/// Returns whether this is a long run.
pub fn is_long() -> bool {
    std::env::var_os("ZUN_TEST_LONG").is_some_and(|value| value == "1")
}

/// Returns `many` in a long run, and a tenth of it otherwise.
pub fn times(many: usize) -> usize {
    if is_long() { many } else { many / 10 }
}

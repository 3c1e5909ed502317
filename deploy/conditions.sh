#!/bin/bash
# Runs the tests of interactive sessions with release builds, on the installed engine and on Debian 13's, and writes
# the table in docs/conditions.md.
#   ZUN_TEST_LONG=1   run repeated tests in full length (default: a tenth)
#   ZUN_RUNS=N        run the whole set N times on each engine (default: 1)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

cargo build --release --locked --workspace --bins
cargo test --release --locked -p zun-tests --test interactive --test cluster --test gate --no-run
results=$TARGET/conditions.jsonl
rm -f "$results"
code=0
for engine in '' trixie; do
  for run in $(seq "${ZUN_RUNS:-1}"); do
    say "interactive sessions: engine ${engine:-installed}, run $run of ${ZUN_RUNS:-1}"
    as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_TEST_LONG=${ZUN_TEST_LONG:-}" \
      "ZUN_TEST_ENGINE=$engine" "ZUN_TEST_RESULTS=$results" ZUN_TEST_PROFILE=release \
      tests/services/with-services.sh cargo test --release --locked -p zun-tests --no-fail-fast --test interactive --test cluster --test gate -- \
      interactive c39_ ::c2 ::c3 ::c6 ::c7 ::c8 --test-threads 3 || code=$?
  done
done
"$TARGET/release/conditions" "$results" docs/conditions.md
exit "$code"

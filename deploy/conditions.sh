#!/bin/bash
# The interactive conditions on the installed engine and on Debian 13's, with release builds, and the table of what was
# found.
#   ZUN_TEST_LONG=1   repeated ones in full length
#   ZUN_RUNS=N        so many runs of the whole set on each engine
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

cargo build --release --locked --workspace --bins
cargo test --release --locked -p zun-tests --test interactive --test cluster --no-run
results=$TARGET/conditions.jsonl
rm -f "$results"
code=0
for engine in '' trixie; do
  for run in $(seq "${ZUN_RUNS:-1}"); do
    say "the conditions, engine ${engine:-as installed}, run $run"
    as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_TEST_LONG=${ZUN_TEST_LONG:-}" \
      "ZUN_TEST_ENGINE=$engine" "ZUN_TEST_RESULTS=$results" ZUN_TEST_PROFILE=release \
      tests/services/with-services.sh cargo test --release --locked -p zun-tests --no-fail-fast --test interactive --test cluster -- \
      interactive c39_ --test-threads 3 || code=$?
  done
done
"$TARGET/release/conditions" "$results" docs/interactive.md
exit "$code"

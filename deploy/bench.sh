#!/bin/bash
# Measures the release builds, and writes target/bench.json, docs/performance.md and the figures in
# README.md. Run it on an otherwise idle machine.
#   bench.sh [--long]     --long: also with 1,000,000 containers
# Settings in the environment:
#   ZUN_BENCH_ROWS=A,B    only the rows whose name contains A or B; docs/performance.md is then left alone
#   ZUN_BENCH_SAMPLES=N   the number of samples of each row (default: each row has its own)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

cargo build --release --locked --workspace --bins
results=$TARGET/bench.json
code=0
as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_BENCH_ROWS=${ZUN_BENCH_ROWS:-}" \
  "ZUN_BENCH_SAMPLES=${ZUN_BENCH_SAMPLES:-}" "ZUN_TEST_PROGRAMS=$RELEASE" ZUN_TEST_PROFILE=release \
  tests/services/with-services.sh "$RELEASE/zun-bench" measure "$@" "$results" || code=$?
[ "$(id -u)" = 0 ] || sudo chown -R "$(id -u):$(id -g)" "$TARGET"
if [ -z "${ZUN_BENCH_ROWS:-}" ]; then "$RELEASE/zun-bench" document "$results" docs/performance.md README.md; fi
exit "$code"

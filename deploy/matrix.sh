#!/bin/bash
# matrix.sh [ENGINE…]: runs the authorization tests (matrix, forms, smuggling, load) in full length and prints the number
# of requests by outcome. ENGINE is "" for the installed engine, or a Debian release for its engine
# (default: both "" and trixie).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

[ $# -gt 0 ] || set -- '' trixie
cargo build --locked --workspace --bins
cargo test --locked -p zun-tests --test authz --no-run
code=0
for engine in "$@"; do
  say "authorization tests: engine ${engine:-installed}"
  as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_TEST_LONG=${ZUN_TEST_LONG:-1}" "ZUN_TEST_ENGINE=$engine" \
    tests/services/with-services.sh cargo test --locked -p zun-tests --no-fail-fast --test authz -- --nocapture --test-threads 2 || code=$?
done
exit "$code"

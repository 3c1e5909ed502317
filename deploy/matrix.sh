#!/bin/bash
# What strangers can send, in full, on the installed engine and on Debian 13's: the matrix, forms, smuggling, load. What was
# tried and what became of it is printed.
#   matrix.sh [ENGINE…]   "" is the installed one, another is that of a Debian release
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

[ $# -gt 0 ] || set -- '' trixie
cargo build --locked --workspace --bins
cargo test --locked -p zun-tests --test authz --no-run
code=0
for engine in "$@"; do
  say "the matrix, engine ${engine:-as installed}"
  as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_TEST_LONG=${ZUN_TEST_LONG:-1}" "ZUN_TEST_ENGINE=$engine" \
    tests/services/with-services.sh cargo test --locked -p zun-tests --no-fail-fast --test authz -- --nocapture --test-threads 2 || code=$?
done
exit "$code"

#!/bin/bash
# All tests, with the services that they need. Arguments go to `cargo test`. With ZUN_TEST_LONG=1 what is tried
# a tenth of the times is tried in full.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

# The tests run the real binaries of this build.
cargo build --locked --workspace --bins
if [ "$(id -u)" = 0 ]; then
  exec tests/services/with-services.sh cargo test --locked --workspace "$@"
fi
# Built by the caller, run by root.
cargo test --locked --workspace --no-run
say "the tests run container engines: they are run through sudo"
code=0
sudo env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_TEST_LONG=${ZUN_TEST_LONG:-}" \
  tests/services/with-services.sh cargo test --locked --workspace "$@" || code=$?
sudo chown -R "$(id -u):$(id -g)" "$TARGET"
exit "$code"

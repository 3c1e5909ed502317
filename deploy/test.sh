#!/bin/bash
# Runs all tests with the services that they need. Arguments go to `cargo test`; with arguments, the web console's own tests
# do not run. With ZUN_TEST_LONG=1, repeated tests run in
# full length; the default is a tenth.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

if [ $# = 0 ]; then deploy/web.sh test; else deploy/web.sh build; fi
# The tests run the programs of this build.
cargo build --locked --workspace --bins
if [ "$(id -u)" = 0 ]; then
  exec tests/services/with-services.sh cargo test --locked --workspace "$@"
fi
# The caller builds, root runs.
cargo test --locked --workspace --no-run
say "the tests start container engines, which needs root: running them with sudo"
code=0
sudo env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_TEST_LONG=${ZUN_TEST_LONG:-}" \
  tests/services/with-services.sh cargo test --locked --workspace "$@" || code=$?
sudo chown -R "$(id -u):$(id -g)" "$TARGET"
exit "$code"
